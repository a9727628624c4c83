//! The transition table: every state and every event.

use expect_test::expect;

use super::*;
use crate::class::Consistency;
use crate::decision::{JobError, SkipReason};
use crate::fixture::{at, job, policy};
use crate::freeze::{Held, Proof};

fn image(n: u8) -> ImageId {
    format!("ami-{n:017x}").parse().unwrap()
}

fn intent(expected: Grade) -> Intent {
    Intent {
        name: "amikeep-test-nightly".parse().unwrap(),
        asked: Consistency::Reboot,
        mode: Consistency::Reboot,
        reason: "class stateful".to_owned(),
        expected,
        grade_min: None,
        volumes: Vec::new(),
        instance_store_disks: None,
        launched_at: at("2026-01-01T00:00:00Z"),
        deadline: SignedDuration::from_hours(24),
        hold: None,
        registration: None,
        recorded_at: at("2026-11-22T02:00:00Z"),
    }
}

fn finished() -> Finished {
    let captured_at = at("2026-11-22T02:00:05Z");
    Finished { image: image(1), captured_at, grade: Grade::Clean, evidence: None, volumes: Vec::new() }
}

fn pending(offline: OfflineProof) -> JobState {
    let accepted_at = at("2026-11-22T02:00:01Z");
    JobState::Pending(Pending { image: image(1), accepted_at, stalled: false, offline })
}

fn snapshots() -> BTreeMap<VolumeId, SnapshotId> {
    BTreeMap::from([("vol-00000001".parse().unwrap(), "snap-00000001".parse().unwrap())])
}

fn taken(step: TakenStep) -> JobState {
    let taken_at = at("2026-11-22T02:00:01Z");
    JobState::Taken(Taken { snapshots: snapshots(), taken_at, stalled: false, tries: 0, step })
}

fn registering() -> TakenStep {
    let outcome = Capturing { unknown_since: None, name_in_use: false };
    TakenStep::Registering { recorded_at: at("2026-11-22T02:10:00Z"), outcome }
}

/// `pending`, and how far it is.
fn told(state: &JobState) -> String {
    match state {
        JobState::Taken(Taken { step: TakenStep::Copying, .. }) => "pending (copying)".to_owned(),
        JobState::Taken(Taken { step: TakenStep::Complete { .. }, .. }) => "pending (complete)".to_owned(),
        JobState::Taken(Taken { step: TakenStep::Registering { .. }, .. }) => "pending (registering)".to_owned(),
        state => state.name().to_string(),
    }
}

fn held() -> Held {
    Held {
        freeze: "db".parse().unwrap(),
        grade: Grade::Filesystem,
        proof: Proof::Proved,
        mounts: Vec::new(),
        volumes: Vec::new(),
        held_from: None,
        held_until: None,
        stall: None,
        locked: None,
        position: Vec::new(),
    }
}

fn error() -> JobError {
    JobError::new("code", "message", "next step")
}

fn states() -> Vec<JobState> {
    let finished_at = at("2026-11-22T03:00:00Z");
    vec![
        JobState::Queued { retry_at: None, waiting_for: None },
        JobState::Preparing,
        JobState::Holding,
        JobState::Capturing(Capturing { unknown_since: None, name_in_use: false }),
        taken(TakenStep::Copying),
        taken(TakenStep::Complete { retry_at: None }),
        taken(registering()),
        pending(OfflineProof::Awaited),
        JobState::Finishing(finished()),
        JobState::Succeeded { image: finished(), finished_at },
        JobState::Failed { error: error(), image: None, finished_at },
        JobState::Skipped { reason: SkipReason::Vanished, finished_at },
    ]
}

fn events() -> Vec<JobEvent> {
    let retry_at = at("2026-11-22T02:05:00Z");
    vec![
        JobEvent::Started,
        JobEvent::Deferred { retry_at, reason: "throttled".to_owned() },
        JobEvent::Waiting { reason: "overlap".to_owned() },
        JobEvent::Holding { freeze: "db".parse().unwrap() },
        JobEvent::NotHeld { reason: "busy".to_owned() },
        JobEvent::HoldStep { step: HoldStep::Thawed, detail: String::new() },
        JobEvent::Held(Box::new(held())),
        JobEvent::HookFailed { reason: "`/bin/resume` exited with 1".to_owned() },
        JobEvent::Intended { class: "stateful".parse().unwrap(), intent: intent(Grade::Clean) },
        JobEvent::OutcomeUnknown { reason: "timeout".to_owned() },
        JobEvent::NameInUse,
        JobEvent::Accepted { image: image(1) },
        JobEvent::Adopted { image: image(1) },
        JobEvent::SnapshotsTaken { snapshots: snapshots() },
        JobEvent::SnapshotsAdopted { snapshots: snapshots() },
        JobEvent::SnapshotsCompleted,
        JobEvent::Registering,
        JobEvent::RegisterDeferred { retry_at, reason: "throttled".to_owned() },
        JobEvent::Stalled,
        JobEvent::OfflineChecked { still_stopped: true },
        JobEvent::Available(finished()),
        JobEvent::ImageFailed { image: image(1), retry_at, reason: "internal".to_owned() },
        JobEvent::Graded { problem: None },
        JobEvent::Failed(error()),
        JobEvent::Skipped(SkipReason::Overlapped),
    ]
}

fn in_state(state: JobState) -> Job {
    Job { state, intent: Some(intent(Grade::Clean)), ..job(1, &policy("nightly")) }
}

#[test]
fn every_event_in_every_state_is_decided() {
    let at = at("2026-11-22T02:01:00Z");
    let rows = events().into_iter().map(|event| {
        let cells: Vec<String> = states()
            .into_iter()
            .filter_map(|state| {
                let from = told(&state);
                let to = in_state(state).apply(&event, at).ok()?;
                Some(format!("{from} -> {}", told(&to.state)))
            })
            .collect();
        format!("{:20}{}\n", event.as_str(), cells.join(", "))
    });
    let table: String = rows.collect();
    expect![[r#"
        started             queued -> preparing
        deferred            queued -> queued, preparing -> queued, holding -> queued, capturing -> queued, pending (copying) -> queued, pending (complete) -> queued
        waiting             queued -> queued
        holding             preparing -> holding
        not-held            holding -> holding, capturing -> holding
        thawed              holding -> holding, capturing -> capturing, pending (copying) -> pending (copying), pending (complete) -> pending (complete), pending (registering) -> pending (registering), pending -> pending
        held                capturing -> capturing
        hook-failed         capturing -> capturing, pending (copying) -> pending (copying), pending (complete) -> pending (complete), pending (registering) -> pending (registering), pending -> pending
        intended            preparing -> capturing, holding -> capturing
        outcome-unknown     capturing -> capturing, pending (registering) -> pending (registering)
        name-in-use         capturing -> capturing, pending (registering) -> pending (registering)
        accepted            capturing -> pending, pending (registering) -> pending
        adopted             capturing -> pending, pending (registering) -> pending
        snapshots-taken     capturing -> pending (copying)
        snapshots-adopted   capturing -> pending (copying)
        snapshots-completed pending (copying) -> pending (complete)
        registering         pending (complete) -> pending (registering)
        register-deferred   pending (registering) -> pending (complete)
        stalled             pending (copying) -> pending (copying), pending (complete) -> pending (complete), pending (registering) -> pending (registering), pending -> pending
        offline-checked     pending -> pending
        available           pending -> finishing
        image-failed        pending -> queued
        graded              finishing -> succeeded
        failed              queued -> failed, preparing -> failed, holding -> failed, capturing -> failed, pending (copying) -> failed, pending (complete) -> failed, pending (registering) -> failed, pending -> failed, finishing -> failed
        skipped             queued -> skipped, preparing -> skipped, holding -> skipped, capturing -> skipped
    "#]]
    .assert_eq(&table);
}

#[test]
fn an_illegal_event_names_job_state_and_event() {
    let error = in_state(JobState::Preparing).apply(&JobEvent::Stalled, at("2026-11-22T02:01:00Z")).unwrap_err();
    assert!(error.to_string().ends_with("the event `stalled` cannot follow the state `preparing`"), "{error}");
}

#[test]
fn another_jobs_image_cannot_finish_this_job() {
    let available = JobEvent::Available(Finished { image: image(2), ..finished() });
    assert!(in_state(pending(OfflineProof::NotApplicable)).apply(&available, at("2026-11-22T02:01:00Z")).is_err());
}

#[test]
fn an_image_is_reported_as_stalled_once() {
    let now = at("2026-11-23T03:00:00Z");
    let stalled = in_state(pending(OfflineProof::NotApplicable)).apply(&JobEvent::Stalled, now).unwrap();
    assert!(stalled.clone().apply(&JobEvent::Stalled, now).is_err());
    // It stays watched, and counts if it becomes available after all.
    assert_eq!(stalled.apply(&JobEvent::Available(finished()), now).unwrap().state.name(), StateName::Finishing);
}

#[test]
fn a_further_image_of_a_job_gets_a_further_number() {
    let now = at("2026-11-22T02:20:00Z");
    let failed = JobEvent::ImageFailed { image: image(1), retry_at: now, reason: "internal".to_owned() };
    let job = in_state(pending(OfflineProof::NotApplicable)).apply(&failed, now).unwrap();
    assert_eq!(job.number.get(), 2);
    // An unknown outcome keeps its number, and so its name.
    let capturing = JobState::Capturing(Capturing { unknown_since: None, name_in_use: false });
    let deferred = JobEvent::Deferred { retry_at: now, reason: "not found by name".to_owned() };
    assert_eq!(in_state(capturing).apply(&deferred, now).unwrap().number, ImageNumber::FIRST);
}

#[test]
fn only_an_image_of_a_stopped_instance_waits_for_its_proof() {
    for (expected, want) in [(Grade::Offline, OfflineProof::Awaited), (Grade::Crash, OfflineProof::NotApplicable)] {
        let capturing = JobState::Capturing(Capturing { unknown_since: None, name_in_use: false });
        let job = Job { intent: Some(intent(expected)), ..in_state(capturing) };
        let job = job.apply(&JobEvent::Accepted { image: image(1) }, at("2026-11-22T02:00:01Z")).unwrap();
        let JobState::Pending(pending) = job.state else { panic!("{expected}") };
        assert_eq!(pending.offline, want, "{expected}");
    }
}

#[test]
fn a_hold_belongs_to_the_intent_it_was_for_and_a_failed_hook_takes_its_proof_away() {
    let now = at("2026-11-22T02:00:01Z");
    let capturing = JobState::Capturing(Capturing { unknown_since: None, name_in_use: false });
    let job = in_state(capturing).apply(&JobEvent::Held(Box::new(held())), now).unwrap();
    assert_eq!(job.hold.as_ref().and_then(Held::doubt), None);
    let failed = JobEvent::HookFailed { reason: "`/bin/resume` exited with 1".to_owned() };
    let failed = job.clone().apply(&failed, now).unwrap();
    assert_eq!(failed.hold.as_ref().and_then(Held::doubt), Some("`/bin/resume` exited with 1"));
    // Tried again, it has to be held again.
    let again = Job { state: JobState::Holding, ..job };
    let intended = JobEvent::Intended { class: "critical".parse().unwrap(), intent: intent(Grade::Filesystem) };
    assert_eq!(again.apply(&intended, now).unwrap().hold, None);
}

#[test]
fn what_is_known_of_a_state_is_what_it_carries() {
    let ended = Some(at("2026-11-22T03:00:00Z"));
    for state in states() {
        let job = in_state(state);
        let word = job.state.name().as_str();
        let (has_image, finished_at) = match job.state.name() {
            StateName::Pending => (job.image().is_some(), None),
            StateName::Finishing => (true, None),
            StateName::Succeeded => (true, ended),
            StateName::Failed | StateName::Skipped => (false, ended),
            _ => (false, None),
        };
        assert_eq!(job.image(), has_image.then(|| image(1)).as_ref(), "{word}");
        assert_eq!(job.finished_at(), finished_at, "{word}");
        assert_eq!((word.parse(), job.state.name().is_terminal()), (Ok(job.state.name()), finished_at.is_some()));
    }
    assert!(in_state(pending(OfflineProof::Awaited)).image().is_some());
    let failed = in_state(pending(OfflineProof::Awaited)).apply(&JobEvent::Failed(error()), at("2026-11-22T03:00:00Z"));
    assert_eq!(failed.unwrap().image(), Some(&image(1)), "an image stays known although its job failed");
}

#[test]
fn another_jobs_image_cannot_fail_this_jobs() {
    let now = at("2026-11-22T02:20:00Z");
    let failed = JobEvent::ImageFailed { image: image(2), retry_at: now, reason: "internal".to_owned() };
    assert!(in_state(pending(OfflineProof::NotApplicable)).apply(&failed, now).is_err());
}

#[test]
fn whether_an_instance_was_still_stopped_is_settled_once() {
    let now = at("2026-11-22T02:01:00Z");
    for (still_stopped, want) in [(true, OfflineProof::Proved), (false, OfflineProof::Refuted)] {
        let checked = JobEvent::OfflineChecked { still_stopped };
        let job = in_state(pending(OfflineProof::Awaited)).apply(&checked, now).unwrap();
        let JobState::Pending(pending) = &job.state else { panic!("{want:?}") };
        assert_eq!(pending.offline, want);
        assert!(job.apply(&checked, now).is_err());
    }
    assert!(
        in_state(pending(OfflineProof::NotApplicable))
            .apply(&JobEvent::OfflineChecked { still_stopped: true }, now)
            .is_err()
    );
}

#[test]
fn an_outcome_is_unknown_since_the_last_request_and_a_name_in_use_keeps_that_time() {
    let (first, second) = (at("2026-11-22T02:01:00Z"), at("2026-11-22T02:02:00Z"));
    let capturing = || in_state(JobState::Capturing(Capturing { unknown_since: None, name_in_use: false }));
    let unknown = JobEvent::OutcomeUnknown { reason: "timeout".to_owned() };
    let since = |job: &Job| match &job.state {
        JobState::Capturing(it) => (it.unknown_since, it.name_in_use),
        state => panic!("{}", state.name()),
    };
    let job = capturing().apply(&unknown, first).unwrap();
    assert_eq!(since(&job), (Some(first), false));
    assert_eq!(since(&job.clone().apply(&JobEvent::NameInUse, second).unwrap()), (Some(first), true));
    assert_eq!(since(&job.apply(&unknown, second).unwrap()), (Some(second), false));
    assert_eq!(since(&capturing().apply(&JobEvent::NameInUse, second).unwrap()), (Some(second), true));
}

#[test]
fn a_job_started_when_it_was_first_taken_up_and_counts_its_requests() {
    let (first, second) = (at("2026-11-22T02:01:00Z"), at("2026-11-22T02:02:00Z"));
    let job = in_state(JobState::Queued { retry_at: None, waiting_for: None });
    let before = job.attempts;
    let deferred = JobEvent::Deferred { retry_at: second, reason: "throttled".to_owned() };
    let intended = JobEvent::Intended { class: "stateful".parse().unwrap(), intent: intent(Grade::Clean) };
    let mut job = job;
    for (event, now) in [
        (&JobEvent::Started, first),
        (&intended, first),
        (&deferred, first),
        (&JobEvent::Started, second),
        (&intended, second),
    ] {
        job = job.apply(event, now).unwrap();
    }
    assert_eq!((job.started_at, job.attempts), (Some(first), before + 2));
}

#[test]
fn history_tells_of_a_hold_what_stalled_and_what_it_proves() {
    let stall = Some(SignedDuration::from_millis(1_234));
    let proved = JobEvent::Held(Box::new(Held { stall, ..held() }));
    assert_eq!(proved.detail(), "writes stalled 1234 ms; proved");
    let proof = Proof::Unproved { why: "no snapshot was seen".to_owned() };
    let unproved = JobEvent::Held(Box::new(Held { proof, ..held() }));
    assert_eq!(unproved.detail(), "nothing was frozen; not proved: no snapshot was seen");
}
