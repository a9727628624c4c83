//! Images that are registered from snapshots which were taken in a hold, whatever goes wrong between the two.
//!
//! The holder is real, and what it freezes is nothing: the guard is a few lines of shell that speak its language.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use amikeep_domain::class::IfBlocked;
use amikeep_domain::freeze::{Application, CaptureBy, Commands, Connection, Freeze, HoldRecord, MysqlLock, Via};
use amikeep_domain::id::{InstanceId, SnapshotId};
use amikeep_domain::job::{Job, JobState};
use amikeep_domain::prune::DeletionState;
use amikeep_domain::tags;
use amikeep_ec2_sim::{
    Action, Fault, FaultOutcome, InstanceSpec, MachineAttributes, NewTag, RegisterImage, Request, Resource,
    SnapshotMapping,
};
use amikeep_engine::{Host, recover_holds};
use amikeep_hold::apps::Secret;
use amikeep_hold::{GuardProgram, Protected};
use jiff::SignedDuration;

use crate::crashes::{die_and_recover, with_deaths};
use crate::simulated::audit::{audit, audit_deletions};
use crate::simulated::crashing::Side;
use crate::simulated::house::{ACCOUNT, House, at, instance_id, policy, spec, world};

/// Is ready, and thaws when it is told.
const GUARD: &str = "echo ready; while read word rest; do case $word in thaw) echo thawing told; echo thawed told ok; exit;; \
                     esac; done";

#[derive(Debug)]
struct Shell;

impl Host for Shell {
    fn guard(&self) -> GuardProgram {
        GuardProgram { program: PathBuf::from("/nonexistent"), args: Vec::new() }
    }

    fn command_guard(&self) -> GuardProgram {
        GuardProgram { program: "/bin/sh".into(), args: vec!["-c".into(), GUARD.into()] }
    }

    fn protected(&self) -> Vec<Protected> {
        Vec::new()
    }

    fn firmware_instance(&self) -> Option<InstanceId> {
        None
    }

    fn instance(&self) -> Pin<Box<dyn Future<Output = Result<InstanceId, String>> + Send + '_>> {
        Box::pin(async { Err("it is any".to_owned()) })
    }

    fn address(&self, _connection: &Connection) -> Result<Secret, String> {
        Err("there is none".to_owned())
    }
}

fn freeze() -> Freeze {
    Freeze {
        name: "data".parse().unwrap(),
        via: Via::Command,
        mounts: Vec::new(),
        devices: vec!["/dev/sdf".to_owned()],
        instance: None,
        application: Application::None,
        mysql_lock: MysqlLock::EveryEngine,
        connection: None,
        pre: Vec::new(),
        post: Vec::new(),
        commands: Some(Commands { freeze: vec!["/bin/true".to_owned()], thaw: vec!["/bin/true".to_owned()] }),
        command_limit: SignedDuration::from_secs(30),
        budget: SignedDuration::from_secs(20),
        lock_wait: SignedDuration::from_secs(1),
        capture: CaptureBy::Snapshots,
    }
}

/// One instance that is held still and imaged by snapshots at 02:00.
pub(crate) fn house_of(spec: InstanceSpec, if_blocked: IfBlocked) -> House {
    let mut house = House::new(world().instance(spec), vec![policy("nightly", "critical")]);
    let class = house.policy_set.classes.get_mut(&"critical".parse().unwrap()).unwrap();
    (class.freeze, class.if_blocked) = (Some("data".parse().unwrap()), if_blocked);
    house.policy_set.freezes.insert("data".parse().unwrap(), freeze());
    house.host = Arc::new(Shell);
    house
}

fn house() -> House {
    house_of(spec(1), IfBlocked::Fail)
}

/// The snapshots that are there, and how many were ever.
fn snapshots(house: &House) -> (BTreeSet<SnapshotId>, usize) {
    let all: Vec<_> =
        house.world.resources().into_iter().filter(|it| matches!(it.resource, Resource::Snapshot(_))).collect();
    let id = |resource: &Resource| match resource {
        Resource::Snapshot(id) => id.clone(),
        _ => unreachable!("only snapshots are left"),
    };
    let there = all.iter().filter(|it| it.removed_at.is_none()).map(|it| id(&it.resource)).collect();
    (there, all.len())
}

fn images(house: &House) -> usize {
    let images = house.world.resources().into_iter().filter(|it| matches!(it.resource, Resource::Image(_)));
    images.filter(|it| it.removed_at.is_none()).count()
}

async fn events(house: &House) -> Vec<String> {
    let job = house.jobs().await[0].id;
    let events = house.reader().await.events(job).await.unwrap();
    events.into_iter().map(|event| event.event).collect()
}

/// One image of one set of snapshots, and nothing else; the job succeeded.
async fn assert_one_image(house: &House, context: &str) {
    assert_eq!(house.lines().await, ["1 succeeded: freeze filesystem"], "{context}");
    assert_eq!(images(house), 1, "{context}");
    let row = house.images().await.into_iter().find(|row| row.counts).unwrap();
    let of_image: BTreeSet<SnapshotId> = row.volumes.iter().filter_map(|it| it.snapshot.clone()).collect();
    assert_eq!(snapshots(house).0, of_image, "{context}: nothing else is left");
    audit(house).await;
    audit_deletions(house, &[].into()).await;
}

#[tokio::test]
async fn snapshots_are_taken_in_the_hold_and_registered_when_they_are_completed() {
    let mut house = house();
    house.live_until("2026-11-22T02:00:30Z").await;
    let jobs = house.jobs().await;
    assert!(matches!(&jobs[0].state, JobState::Taken(taken) if taken.snapshots.len() == 2), "{:?}", jobs[0].state);
    assert_eq!((jobs[0].state.name().as_str(), images(&house)), ("pending", 0));
    // A daemon that is started again carries on.
    house.live_until("2026-11-22T02:30:00Z").await;
    assert_one_image(&house, "a night").await;
    assert_eq!(
        events(&house).await,
        [
            "queued",
            "started",
            "holding",
            "intended",
            "sent",
            "answered",
            "frozen",
            "thawed",
            "held",
            "snapshots-taken",
            "snapshots-completed",
            "registering",
            "accepted",
            "available",
            "graded",
        ]
        .map(str::to_owned)
        .to_vec()
    );
    assert_eq!(house.world.count(Action::CreateImage), 0);
    assert_eq!(house.world.count(Action::RegisterImage), 1, "not before the snapshots are completed");
    let image = house.world.resources().into_iter().find(|it| matches!(it.resource, Resource::Image(_))).unwrap();
    for (tag, value) in
        [(tags::OWNER, "test"), (tags::MODE, "freeze"), (tags::GRADE, "filesystem"), (tags::CLASS, "critical")]
    {
        assert_eq!(image.tags.get(tag).map(String::as_str), Some(value), "{tag}");
    }
}

#[tokio::test]
async fn an_instance_that_is_not_plain_linux_is_told_so_before_anything_stands_still() {
    for (if_blocked, line) in [
        (IfBlocked::Fail, "1 failed: capture_unfit"),
        (IfBlocked::Wait, "1 failed: capture_unfit"),
        (IfBlocked::NoReboot, "1 succeeded: no-reboot crash"),
    ] {
        let spec = spec(1).platform_details("Red Hat Enterprise Linux");
        let mut house = house_of(spec, if_blocked);
        house.live_until("2026-11-22T02:30:00Z").await;
        assert_eq!(house.lines().await, [line], "{if_blocked:?}");
        let events = events(&house).await;
        assert!(!events.contains(&"sent".to_owned()) && events.contains(&"not-held".to_owned()), "{events:?}");
        assert_eq!(house.world.count(Action::CreateSnapshots), 0);
        let by_image = usize::from(if_blocked == IfBlocked::NoReboot);
        assert_eq!(house.world.count(Action::CreateImage), by_image, "another capture only if the class says so");
    }
}

#[tokio::test]
async fn a_lost_reply_is_looked_up_and_what_it_made_stays_until_there_is_an_image() {
    let mut house = house();
    house.world.plan_fault(Fault::on(Action::CreateSnapshots, FaultOutcome::LostReplyAfterEffect));
    house.live_until("2026-11-22T02:20:00Z").await;
    // The hold was over at once, so no clock can tell whether they were begun in it.
    assert_eq!((images(&house), snapshots(&house).0.len()), (1, 4), "{:?}", events(&house).await);
    house.live_until("2026-11-22T03:00:00Z").await;
    assert_one_image(&house, "lost").await;
    assert_eq!(snapshots(&house).1, 4);
    let events = events(&house).await;
    for event in ["outcome-unknown", "deferred", "snapshots-taken", "deletion-planned", "deleted"] {
        assert!(events.contains(&event.to_owned()), "{event}: {events:?}");
    }
    assert_eq!(house.world.count(Action::CreateSnapshots), 2, "once in each hold");
}

#[tokio::test]
async fn a_set_that_can_no_longer_be_taken_anew_stays_until_a_newer_image_succeeds() {
    let mut house = house();
    house.world.plan_fault(Fault::on(Action::CreateSnapshots, FaultOutcome::LostReplyAfterEffect));
    // Not visible as long as the daemon lives.
    house.world.set_newcomer_lag(SignedDuration::ZERO, SignedDuration::from_mins(1), SignedDuration::ZERO);
    house.live_until("2026-11-22T02:00:10Z").await;
    house.world.clock().set(at("2026-11-22T09:00:00Z"));
    house.live_until("2026-11-22T10:00:00Z").await;
    assert_eq!(house.lines().await, ["1 failed: snapshots_failed"], "no capture may begin after 08:00");
    assert_eq!((snapshots(&house).0.len(), snapshots(&house).1), (2, 2));
    house.live_until("2026-11-23T04:00:00Z").await;
    assert_eq!((images(&house), snapshots(&house).0.len(), snapshots(&house).1), (1, 2, 4));
    audit_deletions(&house, &[].into()).await;
}

#[tokio::test]
async fn replies_that_are_always_lost_end_after_three_holds_and_leave_what_was_taken() {
    let mut house = house();
    house.world.plan_fault(Fault::on(Action::CreateSnapshots, FaultOutcome::LostReplyAfterEffect).times(100));
    house.live_until("2026-11-22T07:00:00Z").await;
    assert_eq!(house.lines().await, ["1 failed: snapshots_failed"]);
    assert_eq!(house.world.count(Action::CreateSnapshots), 3, "each one holds up writes");
    assert_eq!((images(&house), snapshots(&house).0.len()), (0, 6));
}

#[tokio::test]
async fn snapshots_stay_of_an_instance_that_is_gone_before_they_could_be_taken_anew() {
    let mut house = house();
    house.world.plan_fault(Fault::on(Action::CreateSnapshots, FaultOutcome::LostReplyAfterEffect));
    house.live_until("2026-11-22T02:00:10Z").await;
    house.terminate(1);
    house.live_until("2026-11-23T01:00:00Z").await;
    assert_eq!(
        (images(&house), snapshots(&house).0.len()),
        (0, 2),
        "they are all there is: {:?}",
        events(&house).await
    );
}

#[tokio::test]
async fn snapshots_that_are_pinned_while_ec2_refuses_to_delete_them_stay() {
    let mut house = house();
    house.world.deny(&ACCOUNT.parse().unwrap(), Action::DeleteSnapshot);
    house.world.plan_fault(Fault::on(Action::CreateSnapshots, FaultOutcome::LostReplyAfterEffect));
    house.live_until("2026-11-22T02:30:00Z").await;
    let row = house.images().await.remove(0);
    let of_image: BTreeSet<SnapshotId> = row.volumes.iter().filter_map(|it| it.snapshot.clone()).collect();
    let first: Vec<SnapshotId> = snapshots(&house).0.difference(&of_image).cloned().collect();
    assert_eq!(first.len(), 2);
    let pin = NewTag { key: tags::PIN.to_owned(), value: String::new() };
    house.call(Request::CreateTags { resources: vec![first[0].to_string()], tags: vec![pin] });
    house.world.allow(&ACCOUNT.parse().unwrap(), Action::DeleteSnapshot);
    house.live_until("2026-11-23T12:00:00Z").await;
    assert!(first.iter().all(|id| snapshots(&house).0.contains(id)), "{:?}", events(&house).await);
    assert!(events(&house).await.contains(&"deletion-withdrawn".to_owned()));
}

#[tokio::test]
async fn a_request_that_did_not_arrive_is_asked_again_when_that_is_certain() {
    let mut house = house();
    house.world.plan_fault(Fault::on(Action::CreateSnapshots, FaultOutcome::LostBeforeEffect));
    house.live_until("2026-11-22T02:04:00Z").await;
    assert_eq!(house.world.count(Action::CreateSnapshots), 1, "EC2's answers may lag for five minutes");
    house.live_until("2026-11-22T03:00:00Z").await;
    assert_one_image(&house, "not arrived").await;
    assert_eq!(snapshots(&house).1, 2);
}

#[tokio::test]
async fn a_set_of_which_a_snapshot_is_missing_is_taken_anew() {
    let mut house = house();
    house.world.plan_fault(Fault::on(Action::CreateSnapshots, FaultOutcome::LostReplyAfterEffect));
    // Nothing is visible until somebody has taken one away.
    house.world.set_newcomer_lag(SignedDuration::ZERO, SignedDuration::from_mins(1), SignedDuration::ZERO);
    house.live_until("2026-11-22T02:00:10Z").await;
    let one = snapshots(&house).0.into_iter().next().unwrap();
    house.call(Request::DeleteSnapshot { snapshot_id: one.to_string() });
    house.live_until("2026-11-22T02:04:00Z").await;
    let early = events(&house).await;
    assert!(!early.contains(&"deferred".to_owned()), "it may only not be visible yet: {early:?}");
    house.live_until("2026-11-22T03:00:00Z").await;
    assert_one_image(&house, "incomplete").await;
    let told = house.reader().await.events(house.jobs().await[0].id).await.unwrap();
    let deferred = told.into_iter().find(|event| event.event == "deferred").unwrap();
    assert!(deferred.detail.contains("there is none of vol-"), "{deferred:?}");
}

#[tokio::test]
async fn snapshots_that_fail_are_taken_anew_and_not_for_ever() {
    let mut house = house();
    let mut engine = house.engine().await;
    for minute in 0..6 {
        house.run_until(&mut engine, &format!("2026-11-22T02:{minute:02}:10Z")).await;
        for one in snapshots(&house).0 {
            house.world.fail_snapshot(&one);
        }
    }
    house.run_until(&mut engine, "2026-11-22T03:00:00Z").await;
    assert_eq!(house.lines().await, ["1 failed: snapshots_failed"]);
    assert_eq!(house.world.count(Action::CreateSnapshots), 3);
    // They may be the best there is.
    assert_eq!((snapshots(&house).0.len(), images(&house)), (6, 0), "{:?}", events(&house).await);
}

#[tokio::test]
async fn a_registration_of_an_unknown_outcome_is_adopted_by_its_name() {
    for (outcome, calls) in [(FaultOutcome::LostReplyAfterEffect, 1), (FaultOutcome::LostBeforeEffect, 2)] {
        let mut house = house();
        house.world.plan_fault(Fault::on(Action::RegisterImage, outcome));
        house.live_until("2026-11-22T03:00:00Z").await;
        assert_one_image(&house, "registration").await;
        assert_eq!(house.world.count(Action::RegisterImage), calls);
        assert_eq!(house.world.count(Action::CreateSnapshots), 1);
    }
}

#[tokio::test]
async fn a_name_that_is_taken_by_somebody_else_is_told_and_the_snapshots_stay() {
    let mut house = house();
    let name = format!("amikeep-test-nightly-{}-20261122T020000Z", instance_id(1));
    house.take_image(1, &name, &[]);
    house.live_until("2026-11-22T03:00:00Z").await;
    assert_eq!(house.lines().await, ["1 failed: name_taken"]);
    assert_eq!(snapshots(&house).0.len(), 4, "those of the other image, and a complete set");
}

#[tokio::test]
async fn a_registration_that_is_refused_fails_and_names_the_snapshots() {
    let mut house = house();
    house.world.deny(&crate::simulated::house::ACCOUNT.parse().unwrap(), Action::RegisterImage);
    house.live_until("2026-11-22T03:00:00Z").await;
    let jobs = house.jobs().await;
    let JobState::Failed { error, .. } = &jobs[0].state else { panic!("{:?}", jobs[0].state) };
    let (there, _) = snapshots(&house);
    assert_eq!((error.code.as_str(), there.len()), ("UnauthorizedOperation", 2));
    assert!(there.iter().all(|id| error.next_step.contains(id.as_str())), "{error:?}");
    // They may be the best there is until a newer image has succeeded, and go then.
    house.world.allow(&crate::simulated::house::ACCOUNT.parse().unwrap(), Action::RegisterImage);
    house.live_until("2026-11-23T02:25:00Z").await;
    assert_eq!((images(&house), snapshots(&house).0.len()), (1, 4));
    house.live_until("2026-11-23T04:00:00Z").await;
    let left = snapshots(&house).0;
    assert!(left.len() == 2 && there.is_disjoint(&left), "{left:?}");
    audit_deletions(&house, &[].into()).await;
}

#[tokio::test]
async fn snapshots_that_show_when_nobody_looks_any_more_go_and_pinned_or_foreign_ones_stay() {
    for (tag, value, stays) in [("note", "mine", false), (tags::PIN, "", true), (tags::OWNER, "other", true)] {
        let mut house = house();
        house.world.plan_fault(Fault::on(Action::CreateSnapshots, FaultOutcome::LostReplyAfterEffect));
        // Longer than EC2's answers are taken to lag.
        house.world.set_newcomer_lag(SignedDuration::ZERO, SignedDuration::from_mins(7), SignedDuration::ZERO);
        house.live_until("2026-11-22T02:05:20Z").await;
        house.world.set_newcomer_lag(SignedDuration::ZERO, SignedDuration::ZERO, SignedDuration::ZERO);
        house.live_until("2026-11-22T02:20:00Z").await;
        assert_eq!(house.lines().await, ["1 succeeded: freeze filesystem"]);
        let row = house.images().await.remove(0);
        let of_image: BTreeSet<SnapshotId> = row.volumes.iter().filter_map(|it| it.snapshot.clone()).collect();
        let (there, ever) = snapshots(&house);
        assert_eq!((there.len(), ever), (4, 4));
        for id in there.difference(&of_image) {
            let tag = NewTag { key: tag.to_owned(), value: value.to_owned() };
            house.call(Request::CreateTags { resources: vec![id.to_string()], tags: vec![tag] });
        }
        house.live_until("2026-11-22T04:00:00Z").await;
        let left = snapshots(&house).0;
        assert_eq!(left.len(), if stays { 4 } else { 2 }, "{tag}: {left:?}");
        assert!(of_image.is_subset(&left), "{tag}");
    }
}

/// What a process had on record that died in a hold before it ran this command.
fn died_before(post: &str) -> HoldRecord {
    HoldRecord {
        freeze: "data".parse().unwrap(),
        boot_id: String::new(),
        guard: None,
        mounts: Vec::new(),
        thaw: None,
        post: vec![vec![post.to_owned()]],
        stopped_replica: None,
        command_limit: SignedDuration::from_secs(30),
        facts: Vec::new(),
        left: Vec::new(),
    }
}

#[tokio::test]
async fn a_hold_is_settled_whatever_has_become_of_its_job() {
    let mut house = house_of(spec(1), IfBlocked::Wait);
    let freeze = house.policy_set.freezes.get_mut(&"data".parse().unwrap()).unwrap();
    freeze.commands = Some(Commands { freeze: vec!["/bin/false".to_owned()], thaw: vec!["/bin/true".to_owned()] });
    let job = recovered(&mut house, "/bin/true").await;
    assert!(matches!(job.state, JobState::Queued { .. }), "it waits until it can be held: {job:?}");
}

/// The job of a night once a command was run whose hold this process knew nothing of.
async fn recovered(house: &mut House, post: &str) -> Job {
    house.live_until("2026-11-22T02:00:30Z").await;
    let (job, ledger, clock) = (house.jobs().await.remove(0), house.ledger().await, house.clock());
    ledger.record_hold(job.id, &died_before(post), clock.now()).await.unwrap();
    recover_holds(&ledger, &*clock, &house.host).await.unwrap();
    assert!(ledger.open_holds().await.unwrap().is_empty(), "{post}");
    ledger.job(job.id).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_command_that_fails_after_a_crash_takes_the_proof_from_what_was_asked_for() {
    for (post, line) in [("/bin/true", "1 succeeded: freeze filesystem"), ("/bin/false", "1 failed: freeze_unproved")] {
        let mut house = house();
        let job = recovered(&mut house, post).await;
        assert!(matches!(job.state, JobState::Taken(_)), "{job:?}");
        house.live_until("2026-11-22T02:30:00Z").await;
        assert_eq!(house.lines().await, [line], "{post}: {:?}", events(&house).await);
    }
    let mut house = house();
    house.world.plan_fault(Fault::on(Action::CreateSnapshots, FaultOutcome::LostReplyAfterEffect));
    house.world.set_newcomer_lag(SignedDuration::ZERO, SignedDuration::from_mins(5), SignedDuration::ZERO);
    let job = recovered(&mut house, "/bin/false").await;
    assert!(matches!(job.state, JobState::Capturing(_)), "nobody knows yet what came of it: {job:?}");
    assert!(
        job.hold.as_ref().is_some_and(|held| held.doubt().is_some_and(|why| why.contains("/bin/false"))),
        "{job:?}"
    );
}

#[tokio::test]
async fn an_image_that_is_billed_differently_is_an_error_and_kept() {
    let mut house = house();
    house.live_until("2026-11-22T02:00:30Z").await;
    house.world.set_registered_platform("Windows");
    house.live_until("2026-11-22T03:00:00Z").await;
    assert_eq!(house.lines().await, ["1 failed: platform_differs"]);
    assert_eq!((images(&house), snapshots(&house).0.len()), (1, 2));
}

#[tokio::test]
async fn killed_between_any_two_steps_of_a_hold_with_snapshots() {
    let effects = with_deaths(&[Side::After], async |fate| {
        let mut house = house();
        let life = die_and_recover(&mut house, fate, "2026-11-22T02:20:00Z", "2026-11-22T02:50:00Z").await;
        assert_one_image(&house, &format!("{fate:?}")).await;
        life
    });
    let effects = effects.await;
    assert!(20 < effects, "a night has more effects than {effects}");
}

#[tokio::test]
async fn killed_between_any_two_steps_of_giving_snapshots_up() {
    let effects = with_deaths(&[Side::After], async |fate| {
        let mut house = house();
        house.world.plan_fault(Fault::on(Action::CreateSnapshots, FaultOutcome::LostReplyAfterEffect));
        let life = die_and_recover(&mut house, fate, "2026-11-22T02:40:00Z", "2026-11-22T03:50:00Z").await;
        assert_one_image(&house, &format!("{fate:?}")).await;
        life
    });
    assert!(20 < effects.await);
}

#[tokio::test]
async fn retention_takes_the_snapshots_of_a_registered_image_with_it() {
    let mut house = house();
    house.policy_set.policies.values_mut().for_each(|policy| policy.keep = "last=1".parse().unwrap());
    house.live_until("2026-11-24T04:00:00Z").await;
    assert_eq!(house.jobs().await.len(), 3);
    assert_eq!((images(&house), snapshots(&house).0.len(), snapshots(&house).1), (1, 2, 6));
    assert_eq!(house.now(), at("2026-11-24T04:00:00Z"));
}

/// One instance that is held still and imaged by `CreateImage`, whose snapshots begin at once.
fn house_by_image(if_blocked: IfBlocked) -> House {
    let mut house = house_of(spec(1), if_blocked);
    let freeze = house.policy_set.freezes.get_mut(&"data".parse().unwrap()).unwrap();
    (freeze.capture, freeze.budget) = (CaptureBy::Image, SignedDuration::from_secs(3));
    house.world.set_snapshot_lag(SignedDuration::ZERO);
    house
}

#[tokio::test]
async fn an_image_whose_reply_hangs_or_is_lost_is_found_by_its_name_and_proved_by_its_snapshots() {
    for outcome in [FaultOutcome::HangAfterEffect, FaultOutcome::LostReplyAfterEffect] {
        let mut house = house_by_image(IfBlocked::Fail);
        house.world.plan_fault(Fault::on(Action::CreateImage, outcome.clone()));
        house.live_until("2026-11-22T02:30:00Z").await;
        assert_eq!(house.lines().await, ["1 succeeded: freeze filesystem"], "{outcome:?}");
        let events = events(&house).await;
        let at = |word: &str| events.iter().position(|it| it == word).unwrap_or_else(|| panic!("{word}: {events:?}"));
        assert!(at("snapshots-seen") < at("thawed") && at("thawed") < at("outcome-unknown"), "{events:?}");
        assert!(at("outcome-unknown") < at("adopted"), "{events:?}");
        assert_eq!((images(&house), house.world.count(Action::CreateImage)), (1, 1));
        audit(&house).await;
    }
}

#[tokio::test]
async fn snapshots_prove_nothing_without_a_reply_where_an_earlier_request_may_have_made_them() {
    let mut house = house_by_image(IfBlocked::NoReboot);
    house.world.plan_fault(Fault::on(Action::CreateImage, FaultOutcome::LostBeforeEffect));
    house.world.plan_fault(Fault::on(Action::CreateImage, FaultOutcome::LostReplyAfterEffect).nth(2));
    house.live_until("2026-11-22T03:00:00Z").await;
    assert_eq!(house.lines().await, ["1 succeeded: freeze crash"]);
    assert_eq!((images(&house), house.world.count(Action::CreateImage)), (1, 2));
}

#[tokio::test]
async fn snapshots_that_somebody_else_made_an_image_of_stay_until_that_image_is_gone() {
    let mut house = house();
    house.world.deny(&ACCOUNT.parse().unwrap(), Action::DeleteSnapshot);
    house.world.plan_fault(Fault::on(Action::CreateSnapshots, FaultOutcome::LostReplyAfterEffect));
    house.live_until("2026-11-22T02:30:00Z").await;
    let row = house.images().await.remove(0);
    let of_image: BTreeSet<SnapshotId> = row.volumes.iter().filter_map(|it| it.snapshot.clone()).collect();
    let first: Vec<SnapshotId> = snapshots(&house).0.difference(&of_image).cloned().collect();
    assert_eq!(first.len(), 2, "the set of the lost reply");
    let devices = ["/dev/xvda", "/dev/sdf"];
    house.call(Request::RegisterImage(RegisterImage {
        name: "somebody-elses".to_owned(),
        description: None,
        architecture: "x86_64".to_owned(),
        root_device_name: devices[0].to_owned(),
        mappings: devices
            .iter()
            .zip(&first)
            .map(|(device, id)| SnapshotMapping::new(*device, id.to_string()))
            .collect(),
        instance_store: Vec::new(),
        machine: MachineAttributes::default(),
        tag_specifications: Vec::new(),
    }));
    house.world.allow(&ACCOUNT.parse().unwrap(), Action::DeleteSnapshot);
    house.live_until("2026-11-22T20:00:00Z").await;
    // EC2 keeps them; the job has its image, and what is left is on record with EC2's word and what to do about it.
    assert_eq!(house.lines().await, ["1 succeeded: freeze filesystem"]);
    assert!(first.iter().all(|id| snapshots(&house).0.contains(id)));
    let open = house.reader().await.open_deletions().await.unwrap();
    let [deletion] = open.as_slice() else { panic!("{open:#?}") };
    let DeletionState::SnapshotsLeft { left, .. } = &deletion.state else { panic!("{deletion:#?}") };
    for left in left {
        let error = left.error.as_ref().unwrap();
        assert_eq!(error.code, "InvalidSnapshot.InUse");
        assert!(error.next_step.contains("see which image uses the snapshot"), "{error:?}");
    }
    let told = house.reader().await.events(deletion.job).await.unwrap();
    assert!(told.iter().any(|event| event.detail.contains("InvalidSnapshot.InUse")), "{told:#?}");
    let foreign = house.world.resources().into_iter().find_map(|it| match it.resource {
        Resource::Image(id) if !it.tags.contains_key(tags::OWNER) => Some(id),
        _ => None,
    });
    house.deregister(&foreign.unwrap());
    house.live_until("2026-11-23T22:00:00Z").await;
    assert!(!first.iter().any(|id| snapshots(&house).0.contains(id)), "they go when nothing uses them");
    assert!(house.reader().await.open_deletions().await.unwrap().is_empty());
}
