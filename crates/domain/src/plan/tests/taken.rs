//! Snapshots on their way to an image, and unknown outcomes of what has no name.

use super::*;
use crate::fixture::attributes;
use crate::job::{IntendedRegistration, Taken, TakenStep};

const COMPLETE: TakenStep = TakenStep::Complete { retry_at: None };

/// An image is to be registered from what EC2 is asked for.
fn intent_by_snapshots() -> Intent {
    let registration = IntendedRegistration { attributes: attributes(), tags: BTreeMap::new() };
    Intent { registration: Some(Box::new(registration)), ..intent() }
}

fn capturing() -> Capturing {
    Capturing { unknown_since: None, name_in_use: false }
}

/// So many jobs, whose snapshots EC2 answered with at 02:00.
fn taken(jobs: u8, step: &TakenStep) -> World {
    (1..=jobs).fold(World::new(), |world, n| {
        world.with_job(n, |job| {
            job.intent = Some(intent_by_snapshots());
            job.state = JobState::Taken(Taken {
                snapshots: BTreeMap::new(),
                taken_at: at("2026-11-22T02:00:00Z"),
                stalled: false,
                tries: 0,
                step: step.clone(),
            });
        })
    })
}

/// What is planned at a time, and when it wants to be asked again.
fn planned(world: &mut World, now: &str) -> (Vec<String>, Option<Timestamp>) {
    world.now = at(now);
    (world.actions(), world.plan().wake_at)
}

#[test]
fn copies_are_looked_at_when_they_are_due_and_together() {
    let mut world = taken(3, &TakenStep::Copying);
    assert_eq!(planned(&mut world, "2026-11-22T02:00:01.999Z"), (vec![], Some(at("2026-11-22T02:00:02Z"))));
    assert_eq!(planned(&mut world, "2026-11-22T02:00:02Z").0, ["poll snapshots 3"]);
    // Those that are due within ten seconds are looked at with the first; one that was seen just now is not.
    let job = job_id(2);
    world.view().looked_at.insert(job, at("2026-11-22T02:01:00Z"));
    assert_eq!(planned(&mut world, "2026-11-22T02:01:04.999Z").0, ["poll snapshots 2"]);
    assert_eq!(planned(&mut world, "2026-11-22T02:01:05Z").0, ["poll snapshots 3"]);
    world.view().reading.insert(Reading::Copies);
    assert!(planned(&mut world, "2026-11-22T02:01:05Z").0.is_empty());
}

#[test]
fn a_look_at_copies_by_a_clock_that_was_set_back_since_is_made_again() {
    let mut world = taken(1, &TakenStep::Copying);
    world.view().looked_at.insert(job_id(1), at("2026-11-22T02:00:01Z"));
    assert!(planned(&mut world, "2026-11-22T02:00:01Z").0.is_empty());
    world.view().looked_at.insert(job_id(1), at("2026-11-22T02:00:01.000000001Z"));
    assert_eq!(planned(&mut world, "2026-11-22T02:00:01Z").0, ["poll snapshots 1"]);
}

#[test]
fn two_hundred_copies_are_one_question() {
    for (count, asked) in [(200, 200), (201, 200)] {
        let mut world = taken(count, &TakenStep::Copying);
        assert_eq!(planned(&mut world, "2026-11-22T02:00:02Z").0, [format!("poll snapshots {asked}")]);
    }
}

#[test]
fn an_image_is_registered_once_its_snapshots_are_there_and_a_wait_is_over() {
    let mut world = taken(1, &COMPLETE);
    assert_eq!(planned(&mut world, "2026-11-22T02:01:00Z").0, ["register in default"]);
    let retry_at = Some(at("2026-11-22T02:05:00Z"));
    let mut world = taken(1, &TakenStep::Complete { retry_at });
    assert_eq!(planned(&mut world, "2026-11-22T02:04:59Z"), (vec![], retry_at));
    assert_eq!(planned(&mut world, "2026-11-22T02:05:00Z").0, ["register in default"]);
    // Nothing waits longer than five minutes, so a longer wait was computed by a clock that has been set back since.
    assert_eq!(planned(&mut world, "2026-11-22T02:00:00Z"), (vec![], retry_at));
    assert_eq!(planned(&mut world, "2026-11-22T01:59:59.999Z").0, ["register in default"]);
}

#[test]
fn a_registration_of_an_unknown_outcome_is_looked_up_by_its_name() {
    let recorded_at = at("2026-11-22T02:10:00Z");
    let world = taken(1, &TakenStep::Registering { recorded_at, outcome: capturing() });
    assert_eq!(world.actions(), ["look up 1"]);
}

#[test]
fn snapshots_of_an_unknown_outcome_are_looked_up_by_their_job_a_few_at_a_time() {
    for (count, asked) in [(1, 1), (10, 10), (11, 10)] {
        let mut world = (1..=count).fold(World::new(), |world, n| {
            world.with_job(n, |job| {
                job.intent = Some(intent_by_snapshots());
                job.state = JobState::Capturing(capturing());
            })
        });
        assert_eq!(world.actions(), [format!("look up sets {asked}")]);
        world.view().reading.insert(Reading::Sets);
        assert!(world.actions().is_empty(), "{:?}", world.actions());
    }
    // What has a name is looked up by it.
    let named = World::new().with_job(1, |job| {
        job.intent = Some(intent());
        job.state = JobState::Capturing(capturing());
    });
    assert_eq!(named.actions(), ["look up 1"]);
}

#[test]
fn an_unknown_outcome_is_looked_up_again_after_five_seconds() {
    let mut world = World::new().with_job(1, |job| job.state = JobState::Capturing(capturing()));
    world.view().looked_at.insert(job_id(1), at("2026-11-22T02:00:00Z"));
    assert_eq!(planned(&mut world, "2026-11-22T02:00:04.999Z"), (vec![], Some(at("2026-11-22T02:00:05Z"))));
    assert_eq!(planned(&mut world, "2026-11-22T02:00:05Z").0, ["look up 1"]);
    // A look in the future was at a clock that has been set back since.
    assert_eq!(planned(&mut world, "2026-11-22T01:59:59Z").0, ["look up 1"]);
}

#[test]
fn snapshots_that_take_too_long_are_reported_once_and_stay_watched() {
    for (step, next) in [(TakenStep::Copying, "poll snapshots 1"), (COMPLETE, "register in default")] {
        let mut world = taken(1, &step);
        assert_eq!(planned(&mut world, "2026-11-23T02:00:00Z").0.first().unwrap(), "record stalled: ");
        let JobState::Taken(taken) = &mut world.jobs.get_mut(job_id(1)).unwrap().state else { panic!() };
        taken.stalled = true;
        assert!(world.actions().contains(&next.to_owned()), "{:?}", world.actions());
    }
}
