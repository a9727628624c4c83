//! What happens at exactly a limit: of a batch, of the room, of the time to start in.

use super::*;

/// As many jobs as are asked for, each for an instance of its own.
fn jobs(count: u16, state: impl Fn() -> JobState) -> World {
    let mut world = World::new();
    world.jobs_max = usize::from(count);
    for n in 1..=count {
        world = world.with_job(1, |job| {
            let [high, low] = n.to_be_bytes();
            job.id = JobId::new(at("2026-11-22T02:00:00Z"), [0, 0, 0, 0, 0, 0, 0, 0, high, low]);
            job.key.instance = instance(u32::from(n)).id;
            job.state = state();
        });
    }
    world
}

fn queued() -> JobState {
    JobState::Queued { retry_at: None, waiting_for: None }
}

fn capturing() -> JobState {
    JobState::Capturing(Capturing { unknown_since: None, name_in_use: false })
}

fn finishing() -> JobState {
    JobState::Finishing(Finished {
        image: "ami-00000000000000001".parse().unwrap(),
        captured_at: at("2026-11-22T01:00:05Z"),
        grade: Grade::Crash,
        evidence: None,
        volumes: Vec::new(),
    })
}

#[test]
fn facts_about_two_hundred_instances_are_one_question_and_the_others_wait() {
    for (count, asked) in [(199, 199), (200, 200), (201, 200)] {
        let mut world = jobs(count, queued);
        world.now = at("2026-11-22T02:00:31Z");
        assert_eq!(world.actions(), [format!("instances {asked}")], "{count}");
    }
}

#[test]
fn an_instance_that_two_jobs_wait_for_is_asked_about_once() {
    let mut world = World::new().with_job(1, |_| {}).with_job(2, |job| job.key.instance = instance(1).id);
    world.now = at("2026-11-22T02:00:31Z");
    assert_eq!(world.actions(), ["instances 1"]);
}

#[test]
fn facts_are_fresh_at_exactly_their_limit() {
    let mut world = World::new().with_job(1, |_| {});
    world.now = at("2026-11-22T02:00:30Z");
    assert_eq!(world.actions(), ["request amikeep-test-nightly-i-00000000000000001-20261122T020000Z reboot"]);
    world.now = at("2026-11-22T02:00:30.000000001Z");
    assert_eq!(world.actions(), ["instances 1"]);
}

#[test]
fn names_are_looked_up_two_hundred_at_a_time() {
    for (count, asked) in [(199, 199), (200, 200), (201, 200)] {
        assert_eq!(jobs(count, capturing).actions(), [format!("look up {asked}")], "{count}");
    }
}

#[test]
fn images_are_looked_at_a_thousand_at_a_time() {
    for (count, asked) in [(999, 999), (1_000, 1_000), (1_001, 1_000)] {
        let world = jobs(count, || pending("2026-11-22T01:00:00Z"));
        assert_eq!(world.actions(), [format!("poll {asked}")], "{count}");
    }
}

#[test]
fn grades_that_fill_a_call_wait_for_no_look() {
    for (count, written) in [(89, None), (90, Some(90)), (91, Some(90))] {
        let mut world = jobs(count, finishing);
        world.view().reading.insert(Reading::Images);
        let expected: Vec<String> = written.iter().map(|jobs| format!("grade crash {jobs}")).collect();
        assert_eq!(world.actions(), expected, "{count}");
    }
}

#[test]
fn a_request_whose_outcome_is_unknown_keeps_its_room() {
    let mut world = World::new().with_job(1, |job| job.state = capturing()).with_job(2, |_| {});
    let now = world.now;
    world.view().looked_at.insert(job_id(1), now);
    world.jobs_max = 1;
    assert!(world.actions().is_empty(), "{:?}", world.actions());
    // One that cannot be asked about, since its account is another one now, keeps none.
    world.jobs.get_mut(job_id(1)).unwrap().key.account = "999988887777".parse().unwrap();
    assert_eq!(world.actions(), ["request amikeep-test-nightly-i-00000000000000002-20261122T020000Z reboot"]);
}

#[test]
fn the_last_room_goes_to_the_job_that_was_due_first() {
    let due_at = |time: &str| {
        let start_at = at(time);
        move |job: &mut Job| job.window.start_at = start_at
    };
    let mut world = World::new()
        .with_job(1, due_at("2026-11-22T01:59:00Z"))
        .with_job(2, due_at("2026-11-22T01:58:00Z"))
        .with_job(3, due_at("2026-11-22T01:59:30Z"));
    world.jobs_max = 1;
    assert_eq!(world.actions(), ["request amikeep-test-nightly-i-00000000000000002-20261122T020000Z reboot"]);
    world.jobs_max = 2;
    world.busy.insert(job_id(2));
    assert_eq!(world.actions(), ["request amikeep-test-nightly-i-00000000000000001-20261122T020000Z reboot"]);
}

#[test]
fn the_end_of_start_within_is_still_in_time() {
    const END: &str = "2026-11-22T08:00:00Z";
    const AFTER: &str = "2026-11-22T08:00:00.000000001Z";
    // Without room.
    let mut world = World::new().with_job(1, |_| {});
    (world.jobs_max, world.now) = (0, at(END));
    let plan = world.plan();
    assert_eq!((plan.actions.len(), plan.wake_at), (0, Some(at(AFTER))));
    world.now = at(AFTER);
    assert!(world.actions()[0].starts_with("record failed: start_within_passed"), "{:?}", world.actions());
    // Behind another image of the same instance.
    let mut world = World::new().with_job(1, |job| job.state = pending("2026-11-22T07:59:59Z")).with_job(2, |job| {
        job.key.instance = instance(1).id;
        job.state = JobState::Queued {
            retry_at: None,
            waiting_for: Some(format!("the image of job {} of the same instance must be finished first", job_id(1))),
        };
    });
    world.now = at(END);
    world.view().looked_at.insert(job_id(1), at(END));
    assert!(world.actions().is_empty(), "{:?}", world.actions());
    world.now = at(AFTER);
    assert_eq!(world.actions(), ["record skipped: overlapped"]);
}
