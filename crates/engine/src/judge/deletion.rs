//! What the answers of EC2 mean for a deletion.

use std::collections::{BTreeMap, BTreeSet};

use amikeep_cloud::{CloudError, CloudErrorKind, RemovedSnapshot, SeenSnapshot, SnapshotRemoval};
use amikeep_domain::decision::JobError;
use amikeep_domain::id::{Owner, SnapshotId};
use amikeep_domain::plan::DELETION_RETRY_MAX;
use amikeep_domain::policy::saturating_add;
use amikeep_domain::prune::{
    DELETION_FRESH_FOR, Deletion, DeletionEvent, DeletionState, LeftSnapshot, ListedImage, OwnedImage,
};
use amikeep_domain::tags;
use jiff::{SignedDuration, Timestamp};

use crate::advice::next_step;
use crate::judge::backoff;

/// When a snapshot that was asked to go is first looked for.
const LOOK_AFTER: SignedDuration = SignedDuration::from_secs(2);
/// The first wait for a snapshot that EC2 refuses to delete; doubled up to [`DELETION_RETRY_MAX`]. Somebody has to do
/// something about it, or nobody will.
const REFUSED_RETRY_MIN: SignedDuration = SignedDuration::from_hours(1);
/// Credentials that do not work are tried again after this.
const CREDENTIALS_WAIT: SignedDuration = SignedDuration::from_mins(5);

/// What the last look before the call means: an event, or nothing if the image is to be deregistered now.
pub(crate) fn after_look(
    deletion: &Deletion,
    listed: Option<&ListedImage>,
    owner: &Owner,
    now: Timestamp,
) -> Option<DeletionEvent> {
    let withdrawn = |reason: String| Some(DeletionEvent::Withdrawn { reason });
    let Some(listed) = listed else { return Some(deregistered(deletion, &[], now)) };
    if DELETION_FRESH_FOR < now.duration_since(deletion.planned_at).abs() {
        return withdrawn(format!("it was decided at {}, and is decided anew", deletion.planned_at));
    }
    if listed.is_pinned() {
        return withdrawn("it was pinned in the meantime".to_owned());
    }
    match OwnedImage::still_holds(deletion, listed, owner) {
        Ok(()) => None,
        Err(problem) => withdrawn(problem.to_string()),
    }
}

/// What follows from a last look at snapshots that go without an image; none if they may be asked to go. One that does not
/// carry our tags for the job any more is somebody else's by now, and nothing more of the set is touched. That holds as
/// long as any of it is there: unlike those of an image that is gone, each of them is still worth something.
pub(crate) fn after_look_at_set(
    deletion: &Deletion,
    there: &BTreeMap<SnapshotId, SeenSnapshot>,
    owner: &Owner,
    now: Timestamp,
) -> Option<DeletionEvent> {
    let mut there = deletion.snapshots.iter().filter_map(|id| there.get(id)).peekable();
    if deletion.image.is_some() || there.peek().is_none() {
        return None;
    }
    let is_planned = matches!(deletion.state, DeletionState::Planned { .. });
    if is_planned && DELETION_FRESH_FOR < now.duration_since(deletion.planned_at).abs() {
        let reason = format!("it was decided at {}, and is decided anew", deletion.planned_at);
        return Some(DeletionEvent::Withdrawn { reason });
    }
    let job = deletion.job.to_string();
    let problem = there.find_map(|snapshot| {
        let is = |tag: &str, value: &str| snapshot.tags.get(tag).is_some_and(|found| found == value);
        if snapshot.tags.contains_key(tags::PIN) {
            return Some(format!("{} was pinned in the meantime", snapshot.id));
        }
        let is_ours = is(tags::OWNER, owner.as_str()) && is(tags::JOB, &job);
        (!is_ours).then(|| format!("{} does not carry the tags of its job", snapshot.id))
    });
    problem.map(|reason| DeletionEvent::Withdrawn { reason })
}

/// What the answer to a deregistration means. It can be asked for again, so that an unknown outcome is no special case.
pub(crate) fn judge_retired(
    deletion: &Deletion,
    answer: Result<Vec<RemovedSnapshot>, CloudError>,
    now: Timestamp,
) -> DeletionEvent {
    let error = match answer {
        Ok(removed) => return deregistered(deletion, &removed, now),
        Err(error) => error,
    };
    let deferred = |wait: SignedDuration| DeletionEvent::Deferred {
        retry_at: saturating_add(now, wait),
        reason: format!("{}: {}", error.code, error.message),
    };
    match error.kind {
        CloudErrorKind::NotFound => deregistered(deletion, &[], now),
        CloudErrorKind::Throttled
        | CloudErrorKind::Busy
        | CloudErrorKind::Unavailable
        | CloudErrorKind::OutcomeUnknown => deferred(backoff(deletion.job, deletion.attempts)),
        CloudErrorKind::Credentials => deferred(CREDENTIALS_WAIT),
        CloudErrorKind::Denied
        | CloudErrorKind::Invalid
        | CloudErrorKind::WrongState
        | CloudErrorKind::NameInUse
        | CloudErrorKind::InUse
        | CloudErrorKind::DryRunSucceeded => DeletionEvent::Refused(job_error(&error)),
    }
}

fn job_error(error: &CloudError) -> JobError {
    JobError::new(&error.code, &error.message, next_step(error))
}

/// The image is gone. Every snapshot that is known of it has to be seen to be gone as well, whatever the answer said.
fn deregistered(deletion: &Deletion, removed: &[RemovedSnapshot], now: Timestamp) -> DeletionEvent {
    let told: BTreeMap<&SnapshotId, &SnapshotRemoval> = removed.iter().map(|it| (&it.snapshot, &it.removal)).collect();
    let all: BTreeSet<&SnapshotId> = deletion.snapshots.iter().chain(told.keys().copied()).collect();
    let left = all.into_iter().map(|snapshot| LeftSnapshot {
        snapshot: snapshot.clone(),
        error: told.get(snapshot).and_then(|removal| removal_error(removal)),
    });
    DeletionEvent::Deregistered { left: left.collect(), retry_at: saturating_add(now, LOOK_AFTER) }
}

/// Why the answer to the deregistration left a snapshot. What it was for certain comes out when it is asked for alone.
fn removal_error(removal: &SnapshotRemoval) -> Option<JobError> {
    match removal {
        SnapshotRemoval::Deleted => None,
        SnapshotRemoval::Shared => Some(JobError::new(
            "skipped",
            "another image uses it",
            "nothing, if that image is needed: the snapshot goes when nothing uses it",
        )),
        SnapshotRemoval::Denied => Some(JobError::new(
            "missing-permissions",
            "EC2 may not delete it with these credentials",
            "allow ec2:DeleteSnapshot for amikeep's user or role",
        )),
        SnapshotRemoval::Failed { code } => {
            Some(JobError::new(code, "EC2 did not delete it", "nothing: it is tried again"))
        }
    }
}

/// What became of the snapshots that were still there: none for one that is gone, else the answer to its deletion.
pub(crate) fn judge_snapshots(
    deletion: &Deletion,
    answers: Vec<(SnapshotId, Option<Result<(), CloudError>>)>,
    now: Timestamp,
) -> DeletionEvent {
    let mut left = Vec::new();
    let mut wait = SignedDuration::ZERO;
    for (snapshot, answer) in answers {
        let (error, retry_in) = match answer {
            None => continue,
            Some(Ok(())) => (None, LOOK_AFTER),
            Some(Err(error)) if error.kind == CloudErrorKind::NotFound => continue,
            Some(Err(error)) => {
                let retry_in = match error.kind {
                    CloudErrorKind::Credentials => CREDENTIALS_WAIT,
                    kind if kind.is_transient() => backoff(deletion.job, deletion.attempts),
                    _ => refused_wait(deletion.attempts),
                };
                (Some(job_error(&error)), retry_in)
            }
        };
        // What can be tried soon is tried soon, and takes the others with it.
        wait = if left.is_empty() { retry_in } else { wait.min(retry_in) };
        left.push(LeftSnapshot { snapshot, error });
    }
    DeletionEvent::SnapshotsChecked { left, retry_at: saturating_add(now, wait) }
}

fn refused_wait(attempts: u32) -> SignedDuration {
    // The first step of a deletion was the image itself.
    REFUSED_RETRY_MIN.saturating_mul(1 << attempts.saturating_sub(1).min(5)).min(DELETION_RETRY_MAX)
}

#[cfg(test)]
mod tests {
    use amikeep_cloud::Action;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn snapshot(n: u32) -> SnapshotId {
        format!("snap-{n:017x}").parse().unwrap()
    }

    fn deletion() -> Deletion {
        Deletion {
            id: "0193509f-6e00-7c3a-9b1e-5d2f8a4c6e11".parse().unwrap(),
            image: Some("ami-00000000000000001".parse().unwrap()),
            job: "0193509f-6e00-7c3a-9b1e-5d2f8a4c6e10".parse().unwrap(),
            policy: "db".parse().unwrap(),
            account: "111122223333".parse().unwrap(),
            account_name: "default".parse().unwrap(),
            region: "eu-central-1".parse().unwrap(),
            instance: "i-00000000000000001".parse().unwrap(),
            snapshots: vec![snapshot(1), snapshot(2)],
            reason: "no rule keeps it".to_owned(),
            planned_at: at("2026-11-22T01:30:00Z"),
            attempts: 0,
            state: DeletionState::Planned { retry_at: None },
        }
    }

    fn error(action: Action, status: u16, code: &str) -> CloudError {
        CloudError::from_answer(action, status, code, "because")
    }

    fn retired(answer: Result<Vec<RemovedSnapshot>, CloudError>) -> String {
        let event = judge_retired(&deletion(), answer, at("2026-11-22T01:30:05Z"));
        format!("{}: {}", event.as_str(), event.detail())
    }

    #[test]
    fn an_image_that_is_gone_already_leaves_its_snapshots_to_be_looked_for() {
        for code in ["InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"] {
            let told = retired(Err(error(Action::DeregisterImage, 400, code)));
            assert!(told.starts_with("deregistered: snap-00000000000000001 is to be seen gone"), "{told}");
        }
    }

    #[test]
    fn an_unknown_outcome_is_asked_again_and_a_refusal_is_not() {
        assert!(retired(Err(error(Action::DeregisterImage, 500, "InternalError"))).starts_with("deletion-deferred"));
        assert!(
            retired(Err(error(Action::DeregisterImage, 503, "RequestLimitExceeded"))).starts_with("deletion-deferred")
        );
        assert!(
            retired(Err(error(Action::DeregisterImage, 403, "UnauthorizedOperation"))).starts_with("deletion-refused")
        );
        assert!(
            retired(Err(error(Action::DeregisterImage, 400, "OperationNotPermitted"))).starts_with("deletion-refused")
        );
    }

    #[test]
    fn success_is_believed_only_when_the_snapshot_is_seen_to_be_gone() {
        let removed = |n, removal| RemovedSnapshot { snapshot: snapshot(n), removal };
        let answer = vec![removed(1, SnapshotRemoval::Deleted), removed(3, SnapshotRemoval::Shared)];
        let DeletionEvent::Deregistered { left, .. } =
            judge_retired(&deletion(), Ok(answer), at("2026-11-22T01:30:05Z"))
        else {
            panic!("it was deregistered")
        };
        let codes: Vec<_> = left.iter().map(|it| it.error.as_ref().map(|error| error.code.as_str())).collect();
        assert_eq!(codes, [None, None, Some("skipped")], "the snapshot that only EC2 knew of is not forgotten");
    }

    #[test]
    fn a_snapshot_in_use_is_left_alone_for_longer_each_time() {
        let refused = || Some(Err(error(Action::DeleteSnapshot, 400, "InvalidSnapshot.InUse")));
        let now = at("2026-11-22T01:30:05Z");
        let waits = |attempts| {
            let deletion = Deletion { attempts, ..deletion() };
            let event = judge_snapshots(&deletion, vec![(snapshot(1), refused()), (snapshot(2), None)], now);
            let DeletionEvent::SnapshotsChecked { left, retry_at } = event else { panic!("it was checked") };
            (left.len(), retry_at.duration_since(now).as_hours())
        };
        assert_eq!([waits(1), waits(2), waits(3), waits(9)], [(1, 1), (1, 2), (1, 4), (1, 24)]);
    }

    #[test]
    fn snapshots_that_are_all_gone_end_the_deletion() {
        let gone = Some(Err(error(Action::DeleteSnapshot, 400, "InvalidSnapshot.NotFound")));
        let event =
            judge_snapshots(&deletion(), vec![(snapshot(1), gone), (snapshot(2), None)], at("2026-11-22T02:00:00Z"));
        assert_eq!(event.as_str(), "deleted");
    }

    #[test]
    fn a_decision_that_was_not_carried_out_in_time_is_taken_anew() {
        let owner = "test".parse().unwrap();
        let tags = BTreeMap::from([
            ("amikeep:owner".to_owned(), "test".to_owned()),
            ("amikeep:job".to_owned(), deletion().job.to_string()),
        ]);
        let listed = |tags: BTreeMap<String, String>| ListedImage {
            state: amikeep_domain::prune::ListedState::Available,
            name: "amikeep-test".to_owned(),
            created_at: None,
            source_instance: Some(deletion().instance),
            snapshots: vec![],
            tags,
        };
        let look = |listed: Option<&ListedImage>, now| {
            after_look(&deletion(), listed, &owner, at(now)).map(|event| event.as_str())
        };
        assert_eq!(look(Some(&listed(tags.clone())), "2026-11-22T01:31:00Z"), None);
        assert_eq!(look(Some(&listed(tags.clone())), "2026-11-22T03:00:00Z"), Some("deletion-withdrawn"));
        assert_eq!(look(None, "2026-11-22T03:00:00Z"), Some("deregistered"), "what is gone is gone");
        let pinned = [tags.clone(), [("amikeep:pin".to_owned(), String::new())].into()].into_iter().flatten().collect();
        assert_eq!(look(Some(&listed(pinned)), "2026-11-22T01:31:00Z"), Some("deletion-withdrawn"));
        assert_eq!(look(Some(&listed(BTreeMap::new())), "2026-11-22T01:31:00Z"), Some("deletion-withdrawn"));
    }
}
