//! What operators stop for a while, and what they cancel.

use amikeep_domain::fire::FireOutcome;
use amikeep_domain::pause::PauseScope;
use amikeep_ec2_sim::Action;
use amikeep_ledger::{FireFilter, RequestKind};
use jiff::SignedDuration;

use crate::simulated::house::{House, at, instance_id, policy, spec, world};

fn pause(scope: PauseScope, until: Option<&str>) -> RequestKind {
    RequestKind::Pause { scope, until: until.map(at), reason: Some("disk replacement".to_owned()) }
}

async fn fires(house: &mut House) -> Vec<String> {
    let ledger = house.reader().await;
    let page = ledger.fires(&FireFilter::default(), 100, None).await.unwrap();
    let line = |row: &amikeep_ledger::FireRow| {
        let count = row.missed_count.map_or(String::new(), |count| format!(" {count}"));
        format!("{} {}{count}", row.scheduled_at, row.outcome.as_str())
    };
    page.rows.iter().rev().map(line).collect()
}

#[tokio::test]
async fn a_paused_policy_skips_its_fires_and_nothing_runs_on_resume() {
    let mut house = House::new(world().instance(spec(1)), vec![policy("nightly", "stateless")]);
    let mut engine = house.engine().await;
    engine.settle().await.unwrap();
    house.ask(1, pause(PauseScope::Policy("nightly".parse().unwrap()), None)).await;
    house.run_until(&mut engine, "2026-11-24T03:00:00Z").await;
    assert_eq!(house.world.count(Action::CreateImage), 0);
    let resume = house.ask(2, RequestKind::Resume { scope: PauseScope::Policy("nightly".parse().unwrap()) }).await;
    house.run_until(&mut engine, "2026-11-24T12:00:00Z").await;
    assert!(house.status(resume).await.done);
    assert_eq!(house.world.count(Action::CreateImage), 0, "no surprise on resume");
    house.run_until(&mut engine, "2026-11-25T03:00:00Z").await;
    assert_eq!(house.world.count(Action::CreateImage), 1);
    drop(engine);
    let fires = fires(&mut house).await;
    assert_eq!(fires.last().unwrap(), "2026-11-25T02:00:00Z ran", "{fires:?}");
    assert!(fires[..fires.len() - 1].iter().all(|fire| fire.contains(FireOutcome::Skipped.as_str())), "{fires:?}");
}

#[tokio::test]
async fn a_pause_counts_by_the_time_of_a_fire_although_the_daemon_was_down() {
    let mut house = House::new(world().instance(spec(1)), vec![policy("nightly", "stateless")]);
    let mut engine = house.engine().await;
    engine.settle().await.unwrap();
    house.ask(1, pause(PauseScope::All, Some("2026-11-22T03:00:00Z"))).await;
    engine.settle().await.unwrap();
    drop(engine);
    house.world.clock().set(at("2026-11-22T04:00:00Z"));
    house.live_until("2026-11-22T05:00:00Z").await;
    assert_eq!(house.world.count(Action::CreateImage), 0);
    assert_eq!(fires(&mut house).await, ["2026-11-22T02:00:00Z skipped 1"]);
}

#[tokio::test]
async fn a_paused_instance_has_a_job_that_says_so_and_others_go_on() {
    let fleet = world().instance(spec(1)).instance(spec(2));
    let mut house = House::new(fleet, vec![policy("nightly", "stateless")]);
    let mut engine = house.engine().await;
    engine.settle().await.unwrap();
    house.ask(1, pause(PauseScope::Instance(instance_id(1)), None)).await;
    house.run_until(&mut engine, "2026-11-22T03:00:00Z").await;
    drop(engine);
    assert_eq!(house.lines().await, ["1 skipped: paused", "2 succeeded: no-reboot crash"]);
}

#[tokio::test]
async fn a_backup_by_hand_is_not_stopped_by_a_pause() {
    let mut house = House::new(world().instance(spec(1)), vec![policy("nightly", "stateless")]);
    let mut engine = house.engine().await;
    engine.settle().await.unwrap();
    house.ask(1, pause(PauseScope::All, None)).await;
    engine.settle().await.unwrap();
    let kind = RequestKind::Backup {
        instance: instance_id(1),
        policy: "nightly".parse().unwrap(),
        account: None,
        consistency: None,
    };
    house.ask(2, kind).await;
    house.run_until(&mut engine, "2026-11-22T01:30:00Z").await;
    drop(engine);
    assert_eq!(house.lines().await, ["1 succeeded: no-reboot crash"]);
}

#[tokio::test]
async fn what_is_paused_is_not_pruned() {
    let mut house = House::new(world().instance(spec(1)), vec![policy("nightly", "stateless")]);
    house.live_until("2026-11-25T01:00:00Z").await;
    house.policy_set.policies.values_mut().for_each(|policy| policy.keep = "last=1".parse().unwrap());
    let mut engine = house.engine().await;
    house.ask(1, pause(PauseScope::All, None)).await;
    house.run_until(&mut engine, "2026-11-25T12:00:00Z").await;
    assert!(house.world.deletions().is_empty());
    house.ask(2, RequestKind::Resume { scope: PauseScope::All }).await;
    house.run_until(&mut engine, "2026-11-25T13:00:00Z").await;
    assert!(!house.world.deletions().is_empty());
}

#[tokio::test]
async fn a_job_is_cancelled_before_its_image_is_asked_for_and_not_after() {
    let mut policy = policy("nightly", "stateless");
    policy.jitter = SignedDuration::from_mins(30);
    let mut house = House::new(world().instance(spec(1)), vec![policy]);
    let mut engine = house.engine().await;
    house.run_until(&mut engine, "2026-11-22T02:00:00Z").await;
    let job = house.jobs().await[0].id;
    let cancel = house.ask(1, RequestKind::Cancel { job }).await;
    engine.settle().await.unwrap();
    assert!(house.status(cancel).await.done);
    assert_eq!(house.lines().await, ["1 skipped: cancelled"]);
    let again = house.ask(2, RequestKind::Cancel { job }).await;
    engine.settle().await.unwrap();
    assert!(house.status(again).await.done, "what is cancelled is cancelled");
    house.world.clock().set(at("2026-11-23T02:31:00Z"));
    engine.settle().await.unwrap();
    let job = house.jobs().await[1].id;
    let late = house.ask(3, RequestKind::Cancel { job }).await;
    engine.settle().await.unwrap();
    assert_eq!(house.status(late).await.refused.unwrap().code, "too_late");
}
