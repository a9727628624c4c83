//! Accounts keep their last error until an inventory succeeds, and inventories remember who is gone.

use amikeep_domain::instance::{Hibernation, RootDevice};

use super::*;
use crate::fixture::{Fixture, account, account_name, at, instance, region};

fn seen(n: u32, name: Option<&str>, state: InstanceState) -> Instance {
    let tags = name.map(|name| ("Name".to_owned(), name.to_owned()));
    Instance {
        id: instance(n),
        state,
        launched_at: at("2026-11-01T00:00:00Z"),
        root_device: RootDevice::Ebs,
        root_device_name: None,
        volumes: vec![],
        instance_store_disks: None,
        hibernation: Hibernation::No,
        tags: tags.into_iter().collect(),
    }
}

#[tokio::test]
async fn an_error_is_shown_until_an_inventory_succeeds() {
    let fixture = Fixture::new().await;
    let ledger = &fixture.ledger;
    let first = at("2026-11-22T01:00:00Z");
    ledger.record_account_error(&account_name(), "no credentials", first).await.unwrap();
    let mut expected = AccountSeen {
        name: account_name(),
        id: None,
        region: None,
        seen_at: first,
        inventory_at: None,
        last_error: Some(("no credentials".to_owned(), first)),
    };
    assert_eq!(ledger.accounts().await.unwrap(), std::slice::from_ref(&expected));

    let second = at("2026-11-22T02:00:00Z");
    ledger.record_account(&account_name(), &account(), &region(), second).await.unwrap();
    expected = AccountSeen { id: Some(account()), region: Some(region()), seen_at: second, ..expected };
    assert_eq!(ledger.accounts().await.unwrap(), std::slice::from_ref(&expected));

    let third = at("2026-11-22T03:00:00Z");
    ledger.record_inventory(&account_name(), third, &[]).await.unwrap();
    expected = AccountSeen { inventory_at: Some(third), last_error: None, ..expected };
    assert_eq!(ledger.accounts().await.unwrap(), [expected]);
}

#[tokio::test]
async fn an_inventory_says_who_is_there_and_since_when_the_others_are_gone() {
    let fixture = Fixture::new().await;
    let time = |hour: u32| at(&format!("2026-11-22T{hour:02}:00:00Z"));
    let record = async |hour, instances: &[Instance]| {
        fixture.ledger.record_inventory(&account_name(), time(hour), instances).await.unwrap();
        fixture.ledger.instances(&account_name()).await.unwrap()
    };
    let web = seen(1, Some("web \"1\""), InstanceState::Running);
    let db = seen(2, None, InstanceState::Stopped);
    record(1, &[web.clone(), db.clone()]).await;
    record(2, &[web.clone(), db]).await;
    let found = record(3, std::slice::from_ref(&web)).await;
    let row = InstanceSeen {
        instance: instance(1),
        name: Some("web \"1\"".to_owned()),
        state: InstanceState::Running,
        present: true,
        first_seen_at: time(1),
        last_seen_at: time(3),
    };
    let gone = InstanceSeen {
        instance: instance(2),
        name: None,
        state: InstanceState::Stopped,
        present: false,
        first_seen_at: time(1),
        last_seen_at: time(2),
    };
    assert_eq!(found, [row.clone(), gone.clone()]);

    let found =
        record(4, &[seen(1, Some("web"), InstanceState::Stopping), seen(2, None, InstanceState::Running)]).await;
    let renamed = Some("web".to_owned());
    assert_eq!(
        found,
        [
            InstanceSeen { name: renamed, state: InstanceState::Stopping, last_seen_at: time(4), ..row },
            InstanceSeen { state: InstanceState::Running, present: true, last_seen_at: time(4), ..gone },
        ]
    );
}

#[tokio::test]
async fn an_inventory_without_news_writes_no_instance() {
    let fixture = Fixture::new().await;
    let fleet: Vec<_> = (0..10_000).map(|n| seen(n, Some("worker"), InstanceState::Running)).collect();
    fixture.ledger.record_inventory(&account_name(), at("2026-11-22T01:00:00Z"), &fleet).await.unwrap();
    let changes = async || -> i64 {
        sqlx::query_scalar("SELECT total_changes()").fetch_one(fixture.ledger.writer()).await.unwrap()
    };
    let before = changes().await;
    fixture.ledger.record_inventory(&account_name(), at("2026-11-22T02:00:00Z"), &fleet).await.unwrap();
    // The account's time and the inventory's own row.
    assert_eq!(changes().await - before, 2);
    let found = fixture.ledger.instances(&account_name()).await.unwrap();
    assert_eq!(found.len(), 10_000);
    assert!(found.iter().all(|it| it.present && it.last_seen_at == at("2026-11-22T02:00:00Z")));
}

#[tokio::test]
async fn accounts_do_not_share_instances() {
    let fixture = Fixture::new().await;
    let other: AccountName = "other".parse().unwrap();
    let web = seen(1, None, InstanceState::Running);
    fixture.ledger.record_inventory(&account_name(), at("2026-11-22T01:00:00Z"), &[web]).await.unwrap();
    fixture.ledger.record_inventory(&other, at("2026-11-22T02:00:00Z"), &[]).await.unwrap();
    assert!(fixture.ledger.instances(&account_name()).await.unwrap()[0].present);
    assert_eq!(fixture.ledger.instances(&other).await.unwrap(), []);
}
