//! What answers mean.

use std::collections::BTreeMap;

use amikeep_cloud::{
    Action, CloudError, CloudErrorKind, ImageState, MappedDevice, SeenImage, SeenSnapshot, SnapshotState,
};
use amikeep_domain::class::Consistency;
use amikeep_domain::freeze::{Held, Proof};
use amikeep_domain::grade::Grade;
use amikeep_domain::id::{ImageId, SnapshotId};
use amikeep_domain::image_name::ImageNumber;
use amikeep_domain::instance::AttachedVolume;
use amikeep_domain::job::{
    Capturing, Intent, Job, JobEvent, JobKey, JobState, OfflineProof, Pending, Taken, TakenStep, Trigger,
};
use amikeep_domain::policy::StartWindow;
use amikeep_domain::tags;
use jiff::{SignedDuration, Timestamp};

use super::*;

const LAG: SignedDuration = SignedDuration::from_mins(5);
/// The engine was started long ago.
const STARTED: Timestamp = Timestamp::UNIX_EPOCH;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn image_id(n: u8) -> ImageId {
    format!("ami-{n:017x}").parse().unwrap()
}

fn intent(mode: Consistency) -> Intent {
    Intent {
        name: "amikeep-test-nightly".parse().unwrap(),
        asked: mode,
        mode,
        reason: "class stateful".to_owned(),
        expected: Grade::Crash,
        grade_min: None,
        volumes: ["/dev/sdf", "/dev/xvda"].map(volume).to_vec(),
        instance_store_disks: Some(1),
        launched_at: at("2026-01-01T00:00:00Z"),
        deadline: SignedDuration::from_hours(24),
        hold: None,
        registration: None,
        recorded_at: at("2026-11-22T02:00:00Z"),
    }
}

fn volume(device: &str) -> AttachedVolume {
    AttachedVolume { device: device.to_owned(), volume: "vol-00000000000000001".parse().unwrap() }
}

fn job(state: JobState) -> Job {
    let scheduled_at = at("2026-11-22T02:00:00Z");
    Job {
        id: JobId::new(scheduled_at, [1; 10]),
        key: JobKey {
            policy: "nightly".parse().unwrap(),
            account: "111122223333".parse().unwrap(),
            region: "eu-central-1".parse().unwrap(),
            instance: "i-00000000000000001".parse().unwrap(),
            scheduled_at,
        },
        account_name: "default".parse().unwrap(),
        trigger: Trigger::Schedule,
        request: None,
        asked: None,
        class: "stateful".parse().unwrap(),
        window: StartWindow { start_at: scheduled_at, start_by: at("2026-11-22T08:00:00Z") },
        created_at: scheduled_at,
        started_at: Some(scheduled_at),
        attempts: 1,
        number: ImageNumber::FIRST,
        intent: Some(intent(Consistency::NoReboot)),
        hold: None,
        state,
    }
}

fn capturing(unknown_since: Option<&str>, name_in_use: bool) -> Job {
    job(JobState::Capturing(Capturing { unknown_since: unknown_since.map(at), name_in_use }))
}

fn pending(offline: OfflineProof) -> Pending {
    Pending { image: image_id(1), accepted_at: at("2026-11-22T02:00:01Z"), stalled: false, offline }
}

fn seen(state: ImageState, job_tag: Option<&str>) -> SeenImage {
    let device = |device: &str, n: u8| MappedDevice {
        device: device.to_owned(),
        snapshot: Some(format!("snap-{n:017x}").parse().unwrap()),
        virtual_name: None,
    };
    SeenImage {
        id: image_id(1),
        name: "amikeep-test-nightly".to_owned(),
        state,
        created_at: Some(at("2026-11-22T02:00:01Z")),
        source_instance: None,
        platform_details: None,
        devices: vec![device("/dev/xvda", 1), device("/dev/sdf", 2)],
        tags: job_tag.map(|tag| (tags::JOB.to_owned(), tag.to_owned())).into_iter().collect(),
    }
}

fn error(kind: CloudErrorKind) -> CloudError {
    let (code, message) = ("Code".to_owned(), "message".to_owned());
    CloudError { action: Action::CreateImage, kind, code, message, request_id: None }
}

#[test]
fn every_answer_to_a_request_has_one_meaning() {
    use CloudErrorKind as Kind;
    let now = at("2026-11-22T02:00:02Z");
    for (kind, want) in [
        (Kind::Throttled, "deferred"),
        (Kind::Busy, "deferred"),
        (Kind::Unavailable, "deferred"),
        (Kind::WrongState, "deferred"),
        (Kind::NotFound, "failed"),
        (Kind::Credentials, "deferred"),
        (Kind::OutcomeUnknown, "outcome-unknown"),
        (Kind::NameInUse, "name-in-use"),
        (Kind::Denied, "failed"),
        (Kind::Invalid, "failed"),
        (Kind::DryRunSucceeded, "failed"),
    ] {
        let event = judge_request(&capturing(None, false), Err(error(kind)), now);
        assert_eq!(event.as_str(), want, "{kind:?}");
        if let JobEvent::Deferred { retry_at, .. } = event {
            assert!(now < retry_at, "{kind:?} must not be tried again at once");
        }
    }
    assert_eq!(judge_request(&capturing(None, false), Ok(image_id(1)), now), JobEvent::Accepted { image: image_id(1) });
}

#[test]
fn an_instance_that_is_not_found_is_looked_at_again_before_it_is_given_up() {
    let gone = CloudError { code: "InvalidInstanceID.NotFound".to_owned(), ..error(CloudErrorKind::NotFound) };
    let event = judge_request(&capturing(None, false), Err(gone), at("2026-11-22T02:00:02Z"));
    assert_eq!(event.as_str(), "deferred");
}

#[test]
fn a_person_at_a_terminal_learns_of_bad_credentials_at_once() {
    let job = Job { trigger: Trigger::Manual, ..capturing(None, false) };
    let event = judge_request(&job, Err(error(CloudErrorKind::Credentials)), at("2026-11-22T02:00:02Z"));
    assert_eq!(event.as_str(), "failed");
}

#[test]
fn backoff_grows_to_five_minutes_and_differs_between_jobs() {
    let waits: Vec<SignedDuration> = (1..=20).map(|attempts| backoff(capturing(None, false).id, attempts)).collect();
    assert!(waits.iter().all(|wait| SignedDuration::from_secs(1) <= *wait && *wait <= BACKOFF_MAX), "{waits:?}");
    assert!(SignedDuration::from_secs(150) <= waits[19]);
    let other = JobId::new(at("2026-11-22T02:00:00Z"), [2; 10]);
    assert_ne!(backoff(other, 5), waits[4]);
}

#[test]
fn an_image_with_our_job_tag_is_adopted_whatever_its_state() {
    let job = capturing(Some("2026-11-22T02:00:30Z"), false);
    let tag = job.id.to_string();
    for state in [ImageState::Pending, ImageState::Available, ImageState::Failed { reason: "x".to_owned() }] {
        let event = judge_look_up(&job, Some(&seen(state, Some(&tag))), LAG, STARTED, at("2026-11-22T02:00:31Z"));
        assert_eq!(event, Some(JobEvent::Adopted { image: image_id(1) }));
    }
}

#[test]
fn an_image_of_another_job_fails_this_one_at_once() {
    let found = seen(ImageState::Available, Some("somebody-elses-job"));
    let event = judge_look_up(&capturing(None, true), Some(&found), LAG, STARTED, at("2026-11-22T02:00:01Z"));
    let Some(JobEvent::Failed(error)) = event else { panic!("{event:?}") };
    assert_eq!(error.code, "name_taken");
    assert!(error.message.contains(image_id(1).as_str()), "{}", error.message);
}

#[test]
fn tags_may_lag_behind_their_image() {
    let job = capturing(Some("2026-11-22T02:00:30Z"), false);
    let found = seen(ImageState::Pending, None);
    assert_eq!(judge_look_up(&job, Some(&found), LAG, STARTED, at("2026-11-22T02:05:29Z")), None);
    let event = judge_look_up(&job, Some(&found), LAG, STARTED, at("2026-11-22T02:05:30Z"));
    assert_eq!(event.map(|it| it.as_str()), Some("failed"));
}

#[test]
fn an_image_that_is_not_found_is_asked_for_again_only_after_the_lag() {
    let job = capturing(Some("2026-11-22T02:00:30Z"), false);
    assert_eq!(judge_look_up(&job, None, LAG, STARTED, at("2026-11-22T02:05:29.999Z")), None);
    let event = judge_look_up(&job, None, LAG, STARTED, at("2026-11-22T02:05:30Z"));
    assert_eq!(event.map(|it| it.as_str()), Some("deferred"));
}

#[test]
fn after_a_crash_the_lag_counts_from_the_latest_moment_of_sending() {
    // The intent was committed at 02:00:00 and a call may take 90 s, but none outlives the process that made it.
    let job = capturing(None, false);
    for (started, certain_at) in [
        ("2026-11-22T02:00:20Z", "2026-11-22T02:05:20Z"),
        ("2026-11-22T03:00:00Z", "2026-11-22T02:06:30Z"),
        ("2026-11-22T01:00:00Z", "2026-11-22T02:06:30Z"),
    ] {
        let just_before = at(certain_at) - SignedDuration::from_millis(1);
        assert_eq!(judge_look_up(&job, None, LAG, at(started), just_before), None, "{started}");
        assert!(judge_look_up(&job, None, LAG, at(started), at(certain_at)).is_some(), "{started}");
    }
}

#[test]
fn a_name_that_ec2_says_is_taken_is_never_asked_for_in_a_circle() {
    let job = capturing(Some("2026-11-22T02:00:30Z"), true);
    let event = judge_look_up(&job, None, LAG, STARTED, at("2026-11-22T02:06:00Z"));
    let Some(JobEvent::Failed(error)) = event else { panic!("{event:?}") };
    assert_eq!(error.code, "name_taken");
}

fn judge(job: &Job, pending: &Pending, seen: Option<&SeenImage>, missing_for: SignedDuration) -> ImageVerdict {
    judge_image(job, pending, seen, missing_for, LAG, at("2026-11-22T02:30:00Z"))
}

#[test]
fn an_image_that_is_absent_for_longer_than_the_lag_has_vanished() {
    let pending = pending(OfflineProof::NotApplicable);
    let job = job(JobState::Pending(pending.clone()));
    assert_eq!(judge(&job, &pending, None, LAG), ImageVerdict::Pending);
    let verdict = judge(&job, &pending, None, LAG + SignedDuration::from_secs(1));
    let ImageVerdict::Event(event) = verdict else { panic!("{verdict:?}") };
    let JobEvent::Failed(error) = *event else { panic!("{event:?}") };
    assert_eq!(error.code, "image_vanished");
}

#[test]
fn another_image_is_made_only_without_a_reboot_and_three_times_at_most() {
    let pending = pending(OfflineProof::NotApplicable);
    let failed = seen(ImageState::Failed { reason: "Server.InternalError".to_owned() }, None);
    let word = |job: &Job| match judge(job, &pending, Some(&failed), SignedDuration::ZERO) {
        ImageVerdict::Event(event) => event.as_str(),
        other => panic!("{other:?}"),
    };
    let mut job = job(JobState::Pending(pending.clone()));
    assert_eq!(word(&job), "image-failed");
    job.number = ImageNumber::from_stored(3).unwrap();
    assert_eq!(word(&job), "failed");
    job.number = ImageNumber::FIRST;
    job.window.start_by = at("2026-11-22T02:30:59Z");
    assert_eq!(word(&job), "failed");
    job.window.start_by = at("2026-11-22T08:00:00Z");
    job.intent = Some(intent(Consistency::Reboot));
    assert_eq!(word(&job), "failed");
}

#[test]
fn a_stopped_instance_is_checked_as_soon_as_every_snapshot_is_there() {
    let pending = pending(OfflineProof::Awaited);
    let job = job(JobState::Pending(pending.clone()));
    let mut image = seen(ImageState::Pending, None);
    assert_eq!(judge(&job, &pending, Some(&image), SignedDuration::ZERO), ImageVerdict::CheckOffline);
    image.devices[1].snapshot = None;
    assert_eq!(judge(&job, &pending, Some(&image), SignedDuration::ZERO), ImageVerdict::Pending);
}

fn snapshots() -> BTreeMap<amikeep_domain::id::SnapshotId, SeenSnapshot> {
    [(1, "2026-11-22T02:00:09Z"), (2, "2026-11-22T02:00:07Z")]
        .into_iter()
        .map(|(n, started_at)| {
            let id: amikeep_domain::id::SnapshotId = format!("snap-{n:017x}").parse().unwrap();
            let (volume, started_at) = (None, Some(at(started_at)));
            let snapshot = SeenSnapshot {
                id: id.clone(),
                volume,
                state: SnapshotState::Completed,
                started_at,
                description: String::new(),
                tags: BTreeMap::new(),
            };
            (id, snapshot)
        })
        .collect()
}

#[test]
fn a_finished_image_is_as_old_as_its_earliest_snapshot() {
    let pending = pending(OfflineProof::NotApplicable);
    let job = job(JobState::Pending(pending.clone()));
    let event = finish(&job, &pending, &seen(ImageState::Available, None), &snapshots());
    let JobEvent::Available(finished) = event else { panic!("{event:?}") };
    assert_eq!(finished.captured_at, at("2026-11-22T02:00:07Z"));
    let volumes: Vec<_> = finished.volumes.iter().map(|it| (it.device.as_str(), it.snapshot.is_some())).collect();
    assert_eq!(volumes, [("/dev/sdf", true), ("/dev/xvda", true), ("instance-store-0", false)]);
    // No image has a disk of the instance store, so that is no news.
    assert_eq!(JobEvent::Available(finished.clone()).detail(), format!("{}, grade crash", finished.image));
}

#[test]
fn an_image_without_a_volume_that_it_should_have_says_which() {
    let pending = pending(OfflineProof::NotApplicable);
    let job = job(JobState::Pending(pending.clone()));
    let mut seen = seen(ImageState::Available, None);
    seen.devices.retain(|device| device.device != "/dev/sdf");
    let event = finish(&job, &pending, &seen, &snapshots());
    let volume = &job.intent.as_ref().unwrap().volumes.iter().find(|it| it.device == "/dev/sdf").unwrap().volume;
    assert!(event.detail().ends_with(&format!("; it has no snapshot of /dev/sdf ({volume})")), "{}", event.detail());
}

#[test]
fn grades_say_what_was_proved_and_not_what_was_hoped() {
    for (mode, offline, want) in [
        (Consistency::Reboot, OfflineProof::NotApplicable, "clean (requested)"),
        (Consistency::NoReboot, OfflineProof::NotApplicable, "crash"),
        (Consistency::NoReboot, OfflineProof::Proved, "offline"),
        (Consistency::NoReboot, OfflineProof::Refuted, "crash"),
    ] {
        let pending = pending(offline);
        let mut job = job(JobState::Pending(pending.clone()));
        job.intent = Some(intent(mode));
        let event = finish(&job, &pending, &seen(ImageState::Available, None), &snapshots());
        let JobEvent::Available(finished) = event else { panic!("{event:?}") };
        let evidence = finished.evidence.map(|it| format!(" ({})", it.as_str())).unwrap_or_default();
        assert_eq!(format!("{}{evidence}", finished.grade), want);
    }
}

#[test]
fn a_class_that_accepts_nothing_weaker_fails_and_keeps_the_image() {
    let pending = pending(OfflineProof::Refuted);
    let mut job = job(JobState::Pending(pending.clone()));
    job.intent.as_mut().unwrap().grade_min = Some(Grade::Clean);
    let event = finish(&job, &pending, &seen(ImageState::Available, None), &snapshots());
    let JobEvent::Failed(error) = &event else { panic!("{event:?}") };
    assert_eq!(error.code, "grade_too_low");
    let failed = job.apply(&event, at("2026-11-22T02:30:00Z")).unwrap();
    assert_eq!(failed.image(), Some(&image_id(1)));
}

/// A hold of `/dev/sdf` from 02:00:02 to 02:00:05.
fn held(proof: Proof) -> Held {
    Held {
        freeze: "data".parse().unwrap(),
        grade: Grade::Filesystem,
        proof,
        mounts: Vec::new(),
        volumes: vec!["vol-00000000000000002".parse().unwrap()],
        held_from: Some(at("2026-11-22T02:00:02Z")),
        held_until: Some(at("2026-11-22T02:00:05Z")),
        stall: None,
        locked: None,
        position: Vec::new(),
    }
}

/// What becomes of an image in mode freeze whose snapshots were begun at these times: of the root, and of `/dev/sdf`.
fn judge_held(hold: Option<Held>, root_at: &str, data_at: &str, grade_min: Option<Grade>) -> JobEvent {
    let pending = pending(OfflineProof::NotApplicable);
    let mut job = job(JobState::Pending(pending.clone()));
    let mut intent = intent(Consistency::Freeze);
    intent.grade_min = grade_min;
    intent.volumes[0].volume = "vol-00000000000000002".parse().unwrap();
    (job.intent, job.hold) = (Some(intent), hold);
    let begun = |n: u8, started_at: &str| {
        let id: SnapshotId = format!("snap-{n:017x}").parse().unwrap();
        let mut seen = snapshots().into_values().next().unwrap();
        (seen.id, seen.started_at) = (id.clone(), Some(at(started_at)));
        (id, seen)
    };
    finish(&job, &pending, &seen(ImageState::Available, None), &[begun(1, root_at), begun(2, data_at)].into())
}

#[test]
fn a_held_image_is_worth_what_its_held_volumes_are_and_its_root_is_shown_as_it_is() {
    let inside = "2026-11-22T02:00:04Z";
    let event = judge_held(Some(held(Proof::Proved)), "2026-11-22T02:10:00Z", inside, Some(Grade::Filesystem));
    let JobEvent::Available(finished) = event else { panic!("{event:?}") };
    assert_eq!(finished.grade, Grade::Filesystem);
    let volumes: Vec<_> = finished.volumes.iter().map(|it| (it.device.as_str(), it.grade)).collect();
    let want = [("/dev/sdf", Some(Grade::Filesystem)), ("/dev/xvda", Some(Grade::Crash)), ("instance-store-0", None)];
    assert_eq!(volumes, want);
}

#[test]
fn a_hold_that_proves_nothing_is_crash_where_that_is_accepted_and_else_a_failure_that_says_why() {
    let (inside, late) = ("2026-11-22T02:00:04Z", "2026-11-22T02:00:07.001Z");
    let unproved = Proof::Unproved { why: "the budget was used up".to_owned() };
    for (hold, data_at, why) in [
        (Some(held(unproved)), inside, "the budget was used up"),
        (Some(held(Proof::Proved)), late, "more than 2 s outside the hold"),
        (None, inside, "amikeep ended before it could say"),
    ] {
        let event = judge_held(hold.clone(), inside, data_at, None);
        let JobEvent::Available(finished) = event else { panic!("{event:?}") };
        assert_eq!(finished.grade, Grade::Crash, "{why}");
        let event = judge_held(hold, inside, data_at, Some(Grade::Filesystem));
        let JobEvent::Failed(error) = event else { panic!("{event:?}") };
        assert_eq!(error.code, "freeze_unproved");
        assert!(error.message.contains(why), "{}", error.message);
    }
}

/// What `RegisterImage` is answered with, the nth time that it is asked.
fn registered(tries: u32, status: u16, code: &str) -> JobEvent {
    let taken = Taken {
        snapshots: BTreeMap::new(),
        taken_at: at("2026-11-22T02:00:05Z"),
        stalled: false,
        tries,
        step: TakenStep::Complete { retry_at: None },
    };
    let error = CloudError::from_answer(Action::RegisterImage, status, code, "because");
    judge_registration(&job(JobState::Taken(taken.clone())), &taken, Err(error), at("2026-11-22T02:05:00Z"))
}

#[test]
fn a_snapshot_that_is_not_there_yet_for_ec2_is_waited_for_and_not_for_ever() {
    for code in ["InvalidSnapshot.NotFound", "IncorrectInstanceState"] {
        let waits =
            (1..20).take_while(|tries| matches!(registered(*tries, 400, code), JobEvent::RegisterDeferred { .. }));
        assert_eq!(waits.count(), 5, "{code}");
        assert!(matches!(registered(6, 400, code), JobEvent::Failed(_)), "{code}");
    }
    assert!(matches!(registered(1, 400, "InvalidParameterValue"), JobEvent::Failed(_)));
    assert!(matches!(registered(99, 503, "RequestLimitExceeded"), JobEvent::RegisterDeferred { .. }));
}

/// What follows from one snapshot of the job that was begun then, for a reply to `CreateSnapshots` that was lost.
fn judge_lost(attempts: u32, begun: &str) -> Option<JobEvent> {
    let hold = Some(held(Proof::Proved));
    let job = Job { hold, attempts, ..capturing(Some("2026-11-22T02:00:05Z"), false) };
    let snapshot = SeenSnapshot {
        id: "snap-00000000000000001".parse().unwrap(),
        volume: Some("vol-00000000000000001".parse().unwrap()),
        state: SnapshotState::Pending,
        started_at: Some(at(begun)),
        description: tags::snapshot_description(&job.key),
        tags: BTreeMap::new(),
    };
    judge_set(&job, &[snapshot], LAG, STARTED, at("2026-11-22T02:00:10Z"))
}

#[test]
fn snapshots_of_a_lost_reply_are_adopted_only_if_no_other_request_can_have_made_them() {
    let deferred = |event: Option<JobEvent>| match event {
        Some(JobEvent::Deferred { reason, .. }) => reason,
        event => panic!("{event:?}"),
    };
    assert!(matches!(judge_lost(1, "2026-11-22T02:00:02Z"), Some(JobEvent::SnapshotsAdopted { .. })));
    let told = deferred(judge_lost(1, "2026-11-22T02:00:04Z"));
    assert!(told.contains("nothing shows that they were begun in the hold"), "{told}");
    let told = deferred(judge_lost(2, "2026-11-22T02:00:02Z"));
    assert!(told.contains("an earlier request may have made them"), "{told}");
    assert!(told.contains("snap-00000000000000001 stays until a newer image succeeds"), "{told}");
    assert!(matches!(judge_lost(3, "2026-11-22T02:00:02Z"), Some(JobEvent::Failed(_))), "not for ever");
}
