//! Freezing a ledger of the newest schema, with rows in every table, for the tests of all later ones.
//!
//! `AMIKEEP_FREEZE_LEDGER=1 cargo test -p amikeep-ledger frozen` writes the file that a new migration asks for, and what this
//! release reads from it. A frozen file is never written again.

use std::fmt::{Debug, Write as _};

use amikeep_domain::instance::{Hibernation, Instance, InstanceState, RootDevice};
use amikeep_domain::pause::{Pause, PauseScope};
use jiff::Timestamp;

use super::*;
use crate::fixture::{
    account, account_name, error, image, instance, intended, new_deletion, policy, prune_record, region, registered,
    snapshot, snapshots_taken, until_pending,
};
use crate::{FireFilter, HistoryFilter, NewDeletion, RequestKind};

/// The frozen ledgers, and what was read from each.
pub(super) const TESTDATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata");

pub(super) fn frozen(version: i64) -> PathBuf {
    Path::new(TESTDATA).join(format!("v{version}.sqlite"))
}

pub(super) fn frozen_views(version: i64) -> PathBuf {
    Path::new(TESTDATA).join(format!("v{version}.txt"))
}

/// Everything that can be asked of a ledger, a line for each answer.
pub(super) async fn views(ledger: &Ledger) -> String {
    let mut text = String::new();
    let all = HistoryFilter::default();
    tell(&mut text, "accounts", ledger.accounts().await.unwrap());
    tell(&mut text, "instances", ledger.instances(&account_name()).await.unwrap());
    tell(&mut text, "cursors", ledger.cursors().await.unwrap());
    tell(&mut text, "fires", ledger.fires(&FireFilter::default(), 1_000, None).await.unwrap().rows);
    let jobs = ledger.history(&all, 1_000, None).await.unwrap().rows;
    for job in &jobs {
        tell(&mut text, "job", [job]);
        tell(&mut text, "  events", ledger.events(job.id).await.unwrap());
        let of_job = ledger.open_deletions().await.unwrap().into_iter();
        tell(&mut text, "  snapshots that go", of_job.filter(|it| it.job == job.id && it.image.is_none()));
        if let Some(request) = job.request {
            tell(&mut text, "  request", ledger.request(request).await.unwrap());
        }
    }
    tell(&mut text, "open requests", ledger.open_requests().await.unwrap());
    for row in ledger.images(None, None).await.unwrap() {
        tell(&mut text, "image", [&row]);
        tell(&mut text, "  deletions", ledger.deletions_of_image(&row.image).await.unwrap());
    }
    tell(&mut text, "prunes", ledger.prunes(1_000).await.unwrap());
    tell(&mut text, "holds", ledger.open_holds().await.unwrap());
    tell(&mut text, "prune cursors", ledger.prune_cursors().await.unwrap());
    tell(&mut text, "pauses", ledger.pauses_since(Timestamp::UNIX_EPOCH).await.unwrap());
    tell(&mut text, "summaries", ledger.summaries(None, None).await.unwrap());
    tell(&mut text, "fire summaries", ledger.fire_summaries(None).await.unwrap());
    tell(&mut text, "tallies", ledger.figures().await.unwrap().tallies);
    text
}

fn tell(text: &mut String, what: &str, rows: impl IntoIterator<Item: Debug>) {
    for row in rows {
        writeln!(text, "{what}: {row:?}").unwrap();
    }
}

fn running(n: u32) -> Instance {
    Instance {
        id: instance(n),
        state: InstanceState::Running,
        launched_at: at("2026-11-01T00:00:00Z"),
        root_device: RootDevice::Ebs,
        root_device_name: None,
        volumes: vec![],
        instance_store_disks: None,
        hibernation: Hibernation::No,
        tags: [("Name".to_owned(), format!("db-{n}"))].into_iter().collect(),
    }
}

/// A row in every table, and jobs in many states.
async fn fill(fixture: &Fixture) {
    let ledger = &fixture.ledger;
    let begun = at("2026-11-22T00:30:00Z");
    ledger.record_start(begun).await.unwrap();
    ledger.record_account(&account_name(), &account(), &region(), begun).await.unwrap();
    ledger.record_account_error(&"other".parse().unwrap(), "denied", begun).await.unwrap();
    ledger.record_inventory(&account_name(), begun, &[running(1), running(2)]).await.unwrap();
    ledger.record_inventory(&account_name(), at("2026-11-22T00:45:00Z"), &[running(1)]).await.unwrap();

    // Old enough to be a sum.
    let old = fixture.queued(9).await;
    fixture.follow(old, &[JobEvent::Failed(error())]).await;
    ledger.summarise(at("2026-11-23T00:00:00Z"), 10).await.unwrap();

    fixture.succeeded(1).await;
    let gone = fixture.succeeded(2).await;
    fixture.failed(3).await;
    fixture.queued(4).await;
    let capturing = fixture.queued(5).await;
    let capturing = fixture.follow(capturing, &[JobEvent::Started, intended()]).await;
    let record = crate::holds::tests::record();
    ledger.record_hold(capturing.id, &record, at("2026-11-22T01:00:01Z")).await.unwrap();
    fixture.follow(capturing, &[JobEvent::Held(Box::new(crate::holds::tests::held()))]).await;
    let pending = fixture.queued(6).await;
    fixture.follow(pending, &until_pending(6)).await;
    let taken = fixture.queued(7).await;
    let taken = fixture.follow(taken, &[JobEvent::Started, registered(), snapshots_taken(7)]).await;
    fixture.follow(taken, &[JobEvent::SnapshotsCompleted, JobEvent::Registering]).await;
    let left = fixture.queued(8).await;
    let until_left = [JobEvent::Started, registered(), snapshots_taken(8), JobEvent::Failed(error())];
    let left = fixture.follow(left, &until_left).await;
    let set = NewDeletion { image: None, snapshots: vec![snapshot(8)], ..new_deletion(&left, 8) };
    let deletions = vec![new_deletion(&gone, 2), set];
    assert_eq!(
        ledger.record_prune(&prune_record(&[1, 2], deletions)).await.unwrap().deletions[0].image,
        Some(image(2))
    );

    let scope = PauseScope::Policy(policy());
    let (since, until) = (at("2026-11-22T02:00:00Z"), Some(at("2026-11-22T05:00:00Z")));
    let reason = Some("disk replacement".to_owned());
    let kind = RequestKind::Pause { scope: scope.clone(), until, reason: reason.clone() };
    let id = fixture.request(1, kind).await;
    ledger.record_pause(&Pause { id, scope, since, until, reason, ended_at: None }, since).await.unwrap();
    let kind = RequestKind::Backup {
        instance: instance(1),
        policy: policy(),
        account: Some(account_name()),
        consistency: None,
    };
    fixture.request(2, kind).await;
    ledger.record_stop(at("2026-11-22T04:00:00Z")).await.unwrap();
}

#[tokio::test]
async fn the_newest_schema_can_be_frozen_with_a_row_in_every_table() {
    let fixture = Fixture::new().await;
    fill(&fixture).await;
    let views = views(&fixture.ledger).await;
    let path = fixture.path();
    let Fixture { dir: _dir, ledger, .. } = fixture;
    ledger.close().await;
    super::released::assert_no_table_is_empty(&path).await;
    let version = known_version();
    if std::env::var_os("AMIKEEP_FREEZE_LEDGER").is_some() && !frozen(version).exists() {
        fs::copy(&path, frozen(version)).unwrap();
        fs::write(frozen_views(version), views).unwrap();
    }
}
