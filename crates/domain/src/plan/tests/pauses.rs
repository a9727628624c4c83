//! What pauses stop, and that nothing surprising runs when they end.

use super::*;
use crate::job::Trigger;
use crate::pause::PauseScope;

fn pause(scope: PauseScope, since: &str, ended_at: Option<&str>) -> Pause {
    Pause {
        id: request(),
        scope,
        since: at(since),
        until: None,
        reason: Some("disk replacement".to_owned()),
        ended_at: ended_at.map(at),
    }
}

fn paused(mut world: World, since: &str, ended_at: Option<&str>) -> World {
    world.pauses = vec![pause(PauseScope::All, since, ended_at)];
    world
}

fn fire(world: &World) -> FireAction {
    match world.plan().actions.as_slice() {
        [Action::RecordFire(fire)] => fire.clone(),
        actions => panic!("{actions:?}"),
    }
}

fn count(fires: Option<crate::fire::Missed>) -> u64 {
    fires.map_or(0, |fires| fires.count)
}

#[test]
fn a_fire_that_falls_into_a_pause_is_skipped_for_good() {
    let mut world = paused(World::due(), "2026-11-22T01:00:00Z", None);
    let skipped = fire(&world);
    assert_eq!((skipped.due.run, count(skipped.due.missed), count(skipped.due.skipped)), (None, 0, 1));
    assert_eq!(skipped.pause.as_deref(), Some("all policies paused: disk replacement"));
    assert_eq!(skipped.due.planned_to, at("2026-11-22T02:00:00Z"));
    assert!(skipped.matched.is_empty());
    // The pause ends, and the fire is behind the cursor.
    world.change_cursor(|cursor| cursor.planned_to = skipped.due.planned_to);
    world.pauses[0].ended_at = Some(at("2026-11-22T02:10:00Z"));
    world.now = at("2026-11-22T02:10:00Z");
    assert!(world.actions().is_empty());
}

#[test]
fn a_fire_is_skipped_without_asking_ec2_anything() {
    let mut world = paused(World::due(), "2026-11-22T01:00:00Z", None);
    *world.view() = AccountView::default();
    assert_eq!(world.actions(), ["fire None matched 0"]);
}

#[test]
fn a_fire_that_fell_into_a_pause_is_skipped_also_when_it_is_planned_after_its_end() {
    let mut world = paused(World::due(), "2026-11-22T01:00:00Z", Some("2026-11-22T03:00:00Z"));
    world.now = at("2026-11-22T03:30:00Z");
    assert_eq!(count(fire(&world).due.skipped), 1);
}

#[test]
fn a_fire_that_could_run_only_in_a_pause_is_skipped() {
    let mut world = paused(World::due(), "2026-11-22T02:01:00Z", None);
    world.now = at("2026-11-22T02:01:30Z");
    let skipped = fire(&world);
    assert_eq!((skipped.due.run, count(skipped.due.skipped)), (None, 1));
}

#[test]
fn a_fire_at_the_end_of_a_pause_runs() {
    let world = paused(World::due(), "2026-11-22T01:00:00Z", Some("2026-11-22T02:00:00Z"));
    assert_eq!(world.actions(), ["fire Some(2026-11-22T02:00:00Z) matched 3"]);
}

#[test]
fn fires_that_were_missed_in_a_pause_are_told_as_skipped_and_those_before_it_as_missed() {
    let mut world = World::due();
    world.change_cursor(|cursor| cursor.planned_to = at("2026-11-18T02:00:00Z"));
    // Down since the 18th, paused from the 18th on: all of the 19th to the 22nd.
    let all = fire(&paused_clone(&world, "2026-11-18T12:00:00Z", Some("2026-11-22T01:00:00Z")));
    assert_eq!((count(all.due.missed), count(all.due.skipped)), (0, 3));
    assert_eq!(all.due.run.map(|it| it.scheduled_at), Some(at("2026-11-22T02:00:00Z")));
    let with_run = fire(&paused_clone(&world, "2026-11-18T12:00:00Z", None));
    assert_eq!((with_run.due.run, count(with_run.due.missed), count(with_run.due.skipped)), (None, 0, 4));
    // Paused only since the 21st: the two days before were missed, whatever came then.
    let partly = fire(&paused_clone(&world, "2026-11-20T12:00:00Z", Some("2026-11-22T01:00:00Z")));
    assert_eq!((count(partly.due.missed), count(partly.due.skipped)), (3, 0));
}

fn paused_clone(world: &World, since: &str, ended_at: Option<&str>) -> World {
    let world = World {
        policy_set: world.policy_set.clone(),
        cursors: world.cursors.clone(),
        accounts: world.accounts.clone(),
        ..World::new()
    };
    paused(world, since, ended_at)
}

#[test]
fn a_pause_of_another_policy_stops_nothing() {
    let mut world = World::due();
    world.pauses = vec![pause(PauseScope::Policy("weekly".parse().unwrap()), "2026-11-22T01:00:00Z", None)];
    assert_eq!(world.actions(), ["fire Some(2026-11-22T02:00:00Z) matched 3"]);
}

#[test]
fn of_a_paused_instance_the_job_is_skipped_and_no_other() {
    let mut world = World::due();
    world.pauses = vec![pause(PauseScope::Instance(instance(2).id), "2026-11-22T01:00:00Z", None)];
    assert_eq!(world.actions(), ["fire Some(2026-11-22T02:00:00Z) matched 3"]);
    let mut world = World::new().with_job(1, |_| {}).with_job(2, |_| {});
    world.pauses = vec![pause(PauseScope::Instance(instance(2).id), "2026-11-22T01:00:00Z", None)];
    let mut actions = world.actions();
    actions.sort();
    assert_eq!(
        actions,
        ["record skipped: paused", "request amikeep-test-nightly-i-00000000000000001-20261122T020000Z reboot"]
    );
}

#[test]
fn a_job_is_skipped_by_its_nominal_time_and_by_the_present_one() {
    let start_late = |job: &mut Job| job.window.start_at = at("2026-11-22T02:10:00Z");
    let at_ten_past = |since: &str, ended_at: Option<&str>| {
        let mut world = paused(World::new().with_job(1, start_late), since, ended_at);
        world.now = at("2026-11-22T02:10:00Z");
        world.view().inventory.as_mut().unwrap().answered_at = at("2026-11-22T02:10:00Z");
        world.actions()
    };
    assert_eq!(at_ten_past("2026-11-22T01:00:00Z", Some("2026-11-22T02:05:00Z")), ["record skipped: paused"]);
    assert_eq!(at_ten_past("2026-11-22T02:05:00Z", None), ["record skipped: paused"]);
    // Between the two it stops nothing.
    let between = at_ten_past("2026-11-22T02:03:00Z", Some("2026-11-22T02:05:00Z"));
    assert!(between[0].starts_with("request"), "{between:?}");
}

#[test]
fn a_job_that_an_operator_asked_for_is_not_stopped_by_a_pause() {
    let by_hand = |job: &mut Job| job.trigger = Trigger::Manual;
    let world = paused(World::new().with_job(1, by_hand), "2026-11-22T01:00:00Z", None);
    assert!(world.actions()[0].starts_with("request"), "{:?}", world.actions());
}

#[test]
fn what_is_sent_already_is_seen_through_in_a_pause() {
    let capturing = Capturing { unknown_since: None, name_in_use: false };
    let world = World::new()
        .with_job(1, |job| job.state = JobState::Capturing(capturing))
        .with_job(2, |job| job.state = pending("2026-11-22T01:00:00Z"));
    let world = paused(world, "2026-11-22T00:30:00Z", None);
    assert_eq!(world.actions(), ["look up 1", "poll 1"]);
}

#[test]
fn a_job_is_skipped_whether_or_not_there_is_room_for_it() {
    let mut world = paused(World::new().with_job(1, |_| {}), "2026-11-22T01:00:00Z", None);
    world.jobs_max = 0;
    assert_eq!(world.actions(), ["record skipped: paused"]);
}

/// Else it would run when the pause has ended and the account answers again.
#[test]
fn a_job_whose_account_does_not_answer_is_skipped_by_a_pause_as_well() {
    let mut world = paused(World::new().with_job(1, |_| {}), "2026-11-22T01:00:00Z", None);
    world.view().id = None;
    let actions = world.actions();
    assert!(actions.contains(&"record skipped: paused".to_owned()), "{actions:?}");
}

#[test]
fn deletions_that_were_decided_go_on_in_a_pause_and_new_ones_are_not_decided() {
    // What a pause holds back is decided in `plan_prune`; the prune itself goes on, for what is not paused.
    let mut world = paused(World::new(), "2026-11-22T01:00:00Z", None);
    world.policy_set.prune_schedule = Schedule::parse("30 * * * *", "UTC").unwrap();
    world.now = at("2026-11-22T02:30:00Z");
    assert_eq!(world.actions(), ["prune default to 2026-11-22T02:30:00Z"]);
}
