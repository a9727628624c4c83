//! Nights on which something goes wrong, one thing at a time.

use amikeep_domain::job::{Job, JobState};
use amikeep_ec2_sim::{Action, ApiError, Fault, FaultOutcome, ImageFailure, InstanceState};
use amikeep_ledger::FireFilter;
use jiff::SignedDuration;

use crate::simulated::audit::{assert_all_succeeded, audit};
use crate::simulated::house::{ACCOUNT, House, at, instance_id, policy, spec, world};

fn nightly(class: &str, fault: Option<Fault>) -> House {
    let mut fleet = world().instance(spec(1));
    if let Some(fault) = fault {
        fleet = fleet.fault(fault);
    }
    House::new(fleet, vec![policy("nightly", class)])
}

async fn only_job(house: &mut House) -> Job {
    let mut jobs = house.jobs().await;
    assert_eq!(jobs.len(), 1, "{:?}", house.lines().await);
    jobs.remove(0)
}

fn refusal(status: u16, code: &'static str) -> FaultOutcome {
    FaultOutcome::Error(ApiError::new(status, code, format!("a message for {code}")))
}

#[tokio::test]
async fn throttling_is_waited_out() {
    let mut house = nightly("stateful", Some(Fault::on(Action::CreateImage, FaultOutcome::Throttle).times(4)));
    house.live_until("2026-11-22T04:00:00Z").await;
    assert_all_succeeded(&house, 1).await;
    audit(&house).await;
    assert_eq!(house.world.count(Action::CreateImage), 5);
    assert_eq!(only_job(&mut house).await.attempts, 5);
}

#[tokio::test]
async fn limits_on_concurrent_snapshots_are_waited_out() {
    for code in ["SnapshotCreationPerVolumeRateExceeded", "ConcurrentSnapshotLimitExceeded", "IncorrectState"] {
        let mut house = nightly("stateless", Some(Fault::on(Action::CreateImage, refusal(400, code)).times(2)));
        house.live_until("2026-11-22T04:00:00Z").await;
        assert_all_succeeded(&house, 1).await;
        let calls = house.world.calls();
        let asked: Vec<_> =
            calls.iter().filter(|call| call.action() == Action::CreateImage).map(|call| call.at).collect();
        let gaps = asked.windows(2).map(|pair| pair[1].duration_since(pair[0]));
        assert!(gaps.min() >= Some(SignedDuration::from_secs(15)), "{code}");
    }
}

#[tokio::test]
async fn a_reply_that_is_lost_after_the_effect_is_never_asked_for_again() {
    for class in ["stateful", "stateless"] {
        let mut house = nightly(class, Some(Fault::on(Action::CreateImage, FaultOutcome::LostReplyAfterEffect)));
        house.live_until("2026-11-22T04:00:00Z").await;
        assert_all_succeeded(&house, 1).await;
        audit(&house).await;
        assert_eq!(house.world.count(Action::CreateImage), 1);
    }
}

#[tokio::test]
async fn a_lost_reply_is_settled_although_the_image_is_invisible_for_minutes() {
    let fleet = world().instance(spec(1)).fault(Fault::on(Action::CreateImage, FaultOutcome::LostReplyAfterEffect));
    let mut house = House::new(fleet.describe_lag(SignedDuration::from_mins(4)), vec![policy("nightly", "stateful")]);
    house.live_until("2026-11-22T05:00:00Z").await;
    assert_all_succeeded(&house, 1).await;
    audit(&house).await;
    assert_eq!(house.world.count(Action::CreateImage), 1);
}

#[tokio::test]
async fn a_duplicate_that_turns_out_to_be_our_own_is_adopted() {
    // The image stays invisible for longer than the configured lag, so the same name is sent again, and EC2 refuses it.
    let fleet = world().instance(spec(1)).fault(Fault::on(Action::CreateImage, FaultOutcome::LostReplyAfterEffect));
    let mut house = House::new(fleet.describe_lag(SignedDuration::from_mins(8)), vec![policy("nightly", "stateful")]);
    house.live_until("2026-11-22T05:00:00Z").await;
    assert_all_succeeded(&house, 1).await;
    audit(&house).await;
    assert_eq!(house.world.count(Action::CreateImage), 2);
    assert_eq!(house.world.images().len(), 1);
}

#[tokio::test]
async fn a_request_that_never_arrived_is_sent_again_under_the_same_name() {
    for outcome in [FaultOutcome::LostBeforeEffect, FaultOutcome::Garbage, refusal(500, "InternalError")] {
        let mut house = nightly("stateful", Some(Fault::on(Action::CreateImage, outcome)));
        house.live_until("2026-11-22T04:00:00Z").await;
        assert_all_succeeded(&house, 1).await;
        audit(&house).await;
        assert_eq!(house.world.count(Action::CreateImage), 2);
        assert!(house.world.images()[0].name.ends_with("20261122T020000Z"));
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_not_sent_again_outside_its_window() {
    let fault = Fault::on(Action::CreateImage, FaultOutcome::LostBeforeEffect);
    let mut house = nightly("stateless", Some(fault));
    house.policy_set.policies.get_mut(&"nightly".parse().unwrap()).unwrap().start_within = SignedDuration::from_mins(3);
    house.live_until("2026-11-22T04:00:00Z").await;
    assert_eq!(house.lines().await, ["1 failed: start_within_passed"]);
    assert_eq!(house.world.count(Action::CreateImage), 1);
}

#[tokio::test]
async fn reads_that_fail_delay_a_fire_and_do_not_lose_it() {
    let mut house =
        nightly("stateless", Some(Fault::on(Action::DescribeInstances, refusal(503, "Unavailable")).times(3)));
    house.live_until("2026-11-22T04:00:00Z").await;
    assert_all_succeeded(&house, 1).await;
}

#[tokio::test]
async fn a_poll_that_fails_is_no_failure_of_the_image() {
    let mut house =
        nightly("stateless", Some(Fault::on(Action::DescribeImages, FaultOutcome::LostBeforeEffect).times(6)));
    house.live_until("2026-11-22T04:00:00Z").await;
    assert_all_succeeded(&house, 1).await;
}

#[tokio::test]
async fn an_image_that_fails_is_made_again_without_a_reboot_only() {
    for (class, want, images) in
        [("stateless", "1 succeeded: no-reboot crash", 2), ("stateful", "1 failed: image_failed", 1)]
    {
        let mut house = nightly(class, None);
        house.world.fail_next_image(&instance_id(1), ImageFailure::internal(SignedDuration::from_mins(2)));
        house.live_until("2026-11-22T04:00:00Z").await;
        assert_eq!(house.lines().await, [want]);
        assert_eq!(house.world.images().len(), images);
        audit(&house).await;
    }
}

#[tokio::test]
async fn a_name_that_somebody_else_uses_fails_the_job_and_touches_nothing() {
    let mut house = nightly("stateful", None);
    // Another amikeep with the same owner and a ledger of its own has taken the image of this fire.
    let name = "amikeep-test-nightly-i-00000000000000001-20261122T020000Z";
    house.take_image(1, name, &[("amikeep:job", "somebody-else")]);
    house.live_until("2026-11-22T04:00:00Z").await;
    assert_eq!(house.lines().await, ["1 failed: name_taken"]);
    assert!(house.world.reboots(&instance_id(1)).is_empty());
    assert_eq!(house.world.images().len(), 1);
}

#[tokio::test]
async fn missing_permission_fails_at_once_and_names_the_action() {
    let mut house = nightly("stateful", None);
    house.world.deny(&ACCOUNT.parse().unwrap(), Action::CreateImage);
    house.live_until("2026-11-22T04:00:00Z").await;
    let JobState::Failed { error, finished_at, .. } = only_job(&mut house).await.state else { panic!("denied") };
    assert_eq!(error.code, "UnauthorizedOperation");
    assert!(error.next_step.contains("ec2:CreateImage"), "{}", error.next_step);
    assert!(finished_at < at("2026-11-22T02:01:00Z"));
}

#[tokio::test]
async fn a_grade_that_cannot_be_written_does_not_lose_the_image() {
    let mut house =
        nightly("stateless", Some(Fault::on(Action::CreateTags, refusal(403, "UnauthorizedOperation")).always()));
    house.live_until("2026-11-22T04:00:00Z").await;
    assert_eq!(house.lines().await, ["1 succeeded: no-reboot crash"]);
    let ledger = house.ledger().await;
    let job = only_job(&mut house).await;
    let events = ledger.events(job.id).await.unwrap();
    let graded = events.iter().find(|it| it.event == "graded").unwrap();
    assert!(graded.detail.contains("amikeep:grade"), "{}", graded.detail);
}

#[tokio::test]
async fn an_instance_that_goes_between_plan_and_call_is_skipped() {
    let mut late = policy("nightly", "stateless");
    late.jitter = SignedDuration::from_mins(30);
    let mut house = House::new(world().instance(spec(1)).instance(spec(2)), vec![late]);
    let mut engine = house.engine().await;
    house.run_until(&mut engine, "2026-11-22T02:00:00Z").await;
    assert_eq!(engine.open_jobs().count(), 2, "{:?}", house.lines().await);
    house.terminate(1);
    house.run_until(&mut engine, "2026-11-22T05:00:00Z").await;
    drop(engine);
    assert_eq!(house.lines().await, ["1 skipped: terminated", "2 succeeded: no-reboot crash"]);
}

#[tokio::test]
async fn instances_that_cannot_be_imaged_say_why() {
    let fleet = world()
        .instance(spec(1).state(InstanceState::Terminated))
        .instance(
            amikeep_ec2_sim::InstanceSpec::new(instance_id(2).to_string())
                .tag("Env", "prod")
                .instance_store_root("/dev/sda1"),
        )
        .instance(spec(3).tag("amikeep:class", "no-such-class"))
        .instance(spec(4).tag("aws:autoscaling:groupName", "web"));
    let mut house = House::new(fleet, vec![policy("nightly", "stateful")]);
    house.live_until("2026-11-22T04:00:00Z").await;
    assert_eq!(
        house.lines().await,
        ["2 failed: instance_store_root", "3 failed: class_tag_unknown", "4 failed: reboot_blocked"]
    );
    assert!(house.world.images().is_empty());
}

#[tokio::test]
async fn a_stopped_instance_that_is_started_in_between_is_not_graded_offline() {
    for (class, want) in [("stateless", "1 succeeded: no-reboot crash"), ("stateful", "1 failed: grade_too_low")] {
        let fleet = world()
            .instance(spec(1).state(InstanceState::Stopped))
            .snapshot_lag(SignedDuration::from_secs(90), SignedDuration::ZERO);
        let mut house = House::new(fleet, vec![policy("nightly", class)]);
        let mut engine = house.engine().await;
        house.run_until(&mut engine, "2026-11-22T02:00:30Z").await;
        house.start(1);
        house.run_until(&mut engine, "2026-11-22T04:00:00Z").await;
        drop(engine);
        assert_eq!(house.lines().await, [want], "{class}");
    }
}

#[tokio::test]
async fn an_image_that_somebody_deregisters_is_a_failure_and_not_a_wait_for_ever() {
    let mut house = nightly("stateless", None);
    let mut engine = house.engine().await;
    house.run_until(&mut engine, "2026-11-22T02:01:00Z").await;
    let image = house.world.images()[0].id.clone();
    house.deregister(&image);
    house.run_until(&mut engine, "2026-11-22T04:00:00Z").await;
    drop(engine);
    assert_eq!(house.lines().await, ["1 failed: image_vanished"]);
}

#[tokio::test]
async fn an_overdue_image_is_flagged_and_still_counts() {
    let mut house = nightly("stateless", None);
    house.world.set_image_duration(&instance_id(1), SignedDuration::from_hours(31));
    house.policy_set.policies.get_mut(&"nightly".parse().unwrap()).unwrap().deadline = SignedDuration::from_hours(2);
    let mut engine = house.engine().await;
    house.run_until(&mut engine, "2026-11-22T05:00:00Z").await;
    let JobState::Pending(pending) = engine.open_jobs().next().unwrap().state.clone() else { panic!("pending") };
    assert!(pending.stalled);
    house.run_until(&mut engine, "2026-11-23T10:00:00Z").await;
    drop(engine);
    // The job of the next night had until 08:00 to start, and the image was available at 09:00.
    assert_eq!(house.lines().await, ["1 skipped: overlapped", "1 succeeded: no-reboot crash"]);
}

#[tokio::test]
async fn a_fire_that_matches_nothing_is_written_down() {
    let mut house = House::new(world().instance(spec(1).tag("Env", "test")), vec![policy("nightly", "stateless")]);
    house.live_until("2026-11-22T03:00:00Z").await;
    let ledger = house.ledger().await;
    let fires = ledger.fires(&FireFilter::default(), 10, None).await.unwrap().rows;
    assert_eq!(fires.len(), 1);
    assert_eq!((fires[0].outcome.as_str(), fires[0].matched), ("no-match", 0));
}

#[tokio::test]
async fn after_a_downtime_the_latest_fire_runs_and_the_others_are_one_row() {
    let mut house = nightly("stateless", None);
    house.live_until("2026-11-22T01:30:00Z").await;
    house.world.clock().set(at("2026-11-25T04:00:00Z"));
    house.live_until("2026-11-25T05:00:00Z").await;
    assert_all_succeeded(&house, 1).await;
    let ledger = house.ledger().await;
    let fires = ledger.fires(&FireFilter::default(), 10, None).await.unwrap().rows;
    let rows: Vec<_> =
        fires.iter().map(|it| (it.outcome.as_str(), it.scheduled_at.to_string(), it.missed_count)).collect();
    assert_eq!(
        rows,
        [("ran", "2026-11-25T02:00:00Z".to_owned(), None), ("missed", "2026-11-24T02:00:00Z".to_owned(), Some(3)),]
    );
}

#[tokio::test]
async fn a_reboot_is_not_caught_up_at_noon() {
    let mut house = nightly("stateful", None);
    house.live_until("2026-11-22T01:30:00Z").await;
    house.world.clock().set(at("2026-11-22T07:00:00Z"));
    house.live_until("2026-11-22T08:30:00Z").await;
    assert_eq!(house.lines().await, ["1 failed: reboot_blocked"]);
    assert!(house.world.reboots(&instance_id(1)).is_empty());
}

#[tokio::test]
async fn a_clock_that_jumps_back_fires_nothing_twice() {
    let mut house = nightly("stateless", None);
    house.live_until("2026-11-22T03:00:00Z").await;
    for back_to in ["2026-11-22T02:30:00Z", "2026-11-22T01:59:00Z", "2026-11-21T01:00:00Z"] {
        house.world.clock().set(at(back_to));
        house.live_until("2026-11-22T03:00:00Z").await;
    }
    let of_the_fire = house.jobs().await;
    let of_the_fire: Vec<_> =
        of_the_fire.iter().filter(|it| it.key.scheduled_at == at("2026-11-22T02:00:00Z")).collect();
    assert_eq!(of_the_fire.len(), 1);
    audit(&house).await;
}

#[tokio::test]
async fn a_call_that_hangs_stops_only_its_own_job() {
    let hang = Fault::on(Action::CreateImage, FaultOutcome::Hang).touching(instance_id(1).to_string());
    let mut house =
        House::new(world().instance(spec(1)).instance(spec(2)).fault(hang), vec![policy("nightly", "stateless")]);
    house.live_until("2026-11-22T04:00:00Z").await;
    assert_all_succeeded(&house, 2).await;
    audit(&house).await;
    let images = house.world.images();
    let healthy = images.iter().find(|it| it.instance_id == instance_id(2)).unwrap();
    assert_eq!(healthy.created_at, at("2026-11-22T02:00:00Z"));
}

#[tokio::test]
async fn a_changed_account_sends_nothing_to_the_wrong_place() {
    let mut house = nightly("stateless", None);
    let expected = "999988887777".parse().unwrap();
    house.policy_set.accounts.values_mut().next().unwrap().expected_id = Some(expected);
    house.live_until("2026-11-22T09:00:00Z").await;
    assert!(house.world.images().is_empty());
    let ledger = house.ledger().await;
    let fires = ledger.fires(&FireFilter::default(), 10, None).await.unwrap().rows;
    assert_eq!(fires[0].outcome.as_str(), "missed");
    assert!(fires[0].note.as_deref().is_some_and(|it| it.contains("wrong account")), "{:?}", fires[0].note);
}
