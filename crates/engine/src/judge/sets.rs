//! What is seen of snapshots that an image is to be registered from: whether they are all there, and what becomes of them.
//!
//! A set is adopted only if it is known to have been taken in the hold. A reply that was lost left nothing that was seen
//! before the thaw, so here, and nowhere else, EC2's clock has to tell; and it tells only what no difference between two
//! clocks can turn round.

use std::collections::BTreeMap;

use amikeep_cloud::{SeenSnapshot, SnapshotState};
use amikeep_domain::decision::JobError;
use amikeep_domain::freeze::START_TOLERANCE;
use amikeep_domain::id::{SnapshotId, VolumeId};
use amikeep_domain::instance::AttachedVolume;
use amikeep_domain::job::{Job, JobEvent, JobState, Taken};
use amikeep_domain::policy::saturating_add;
use amikeep_domain::tags;
use jiff::{SignedDuration, Timestamp};

use crate::judge::IMAGES_PER_JOB_MAX;
use crate::judge::look_up::{certain_at, recorded_at};

/// EC2 asks to wait at least 15 seconds between snapshots of a volume (`SnapshotCreationPerVolumeRateExceeded`).
const NEXT_SET_AFTER: SignedDuration = SignedDuration::from_secs(20);
/// What makes a snapshot fail does not pass within seconds.
const NEXT_AFTER_FAILURE: SignedDuration = SignedDuration::from_mins(1);

/// What to do about a set of snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SetVerdict {
    /// Wait.
    Wait,
    /// Write this down.
    Event(Box<JobEvent>),
    /// Write down that these go, then this.
    Discard {
        /// The snapshots.
        snapshots: Vec<SnapshotId>,
        /// Why no image is made of them.
        reason: String,
        /// How the job goes on.
        then: Box<JobEvent>,
    },
}

impl SetVerdict {
    fn event(event: JobEvent) -> Self {
        Self::Event(Box::new(event))
    }
}

/// What follows from the snapshots that carry the job's tag, for a request whose outcome is unknown.
pub(crate) fn judge_set(
    job: &Job,
    found: &[SeenSnapshot],
    lag: SignedDuration,
    engine_started_at: Timestamp,
    now: Timestamp,
) -> SetVerdict {
    let (JobState::Capturing(outcome), Some(intent)) = (&job.state, &job.intent) else { return SetVerdict::Wait };
    let is_over = certain_at(recorded_at(job), outcome, lag, engine_started_at, now) <= now;
    // An earlier set of the same job was begun before this intent, and a copy says of itself that it is one.
    let earliest = saturating_add(intent.recorded_at, -START_TOLERANCE);
    let description = tags::snapshot_description(&job.key);
    let is_of_request =
        |it: &&SeenSnapshot| it.description == description && it.started_at.is_none_or(|at| earliest <= at);
    let set: Vec<&SeenSnapshot> = found.iter().filter(is_of_request).collect();
    if set.is_empty() {
        let reason = format!("no snapshot of the job after {} s, so the request did not arrive", lag.as_secs());
        return if is_over {
            SetVerdict::event(JobEvent::Deferred { retry_at: now, reason })
        } else {
            SetVerdict::Wait
        };
    }
    let usable = set.iter().filter(|it| it.state != SnapshotState::Unusable);
    let by_volume: BTreeMap<VolumeId, SnapshotId> =
        usable.filter_map(|it| Some((it.volume.clone()?, it.id.clone()))).collect();
    let missing = intent.volumes.iter().find(|it| !by_volume.contains_key(&it.volume));
    let in_hold = job
        .hold
        .as_ref()
        .is_some_and(|held| set.iter().all(|it| it.started_at.is_some_and(|at| held.surely_covers(at))));
    let volumes: Vec<VolumeId> = by_volume.keys().cloned().collect();
    let newcomer = unexpected(&intent.volumes, &volumes);
    let reason = match missing {
        None if in_hold && newcomer.is_none() => {
            return SetVerdict::event(JobEvent::SnapshotsAdopted { snapshots: by_volume });
        }
        None => newcomer.unwrap_or_else(|| "nothing shows that they were begun in the hold".to_owned()),
        // EC2 may not show all of them yet.
        Some(_) if !is_over => return SetVerdict::Wait,
        Some(volume) => format!("there is none of {}", volume.volume),
    };
    let retry_at = saturating_add(now, NEXT_SET_AFTER);
    let snapshots: Vec<SnapshotId> = set.iter().map(|it| it.id.clone()).collect();
    if is_last(job, retry_at) {
        return failed(&snapshots, &format!("the reply to CreateSnapshots was lost, and {reason}"));
    }
    let again =
        JobEvent::Deferred { retry_at, reason: "the reply was lost, and its snapshots are of no use".to_owned() };
    SetVerdict::Discard { snapshots, reason, then: Box::new(again) }
}

/// A volume that was attached after the last look at the instance: nothing was known of it when it was decided what the
/// image has.
pub(crate) fn unexpected(expected: &[AttachedVolume], volumes: &[VolumeId]) -> Option<String> {
    let volume = volumes.iter().find(|volume| expected.iter().all(|it| it.volume != **volume))?;
    Some(format!("{volume} was attached in the last moment, and is not in the image"))
}

/// Whether nothing is taken anew: it was tried often enough, or the time of the job is over.
fn is_last(job: &Job, retry_at: Timestamp) -> bool {
    IMAGES_PER_JOB_MAX <= job.attempts || job.window.start_by < retry_at
}

/// The end of a job without an image. Its snapshots may be the best there is of its instance, so they stay until a prune
/// finds a newer image.
fn failed(snapshots: &[SnapshotId], reason: &str) -> SetVerdict {
    let ids: Vec<&str> = snapshots.iter().map(SnapshotId::as_str).collect();
    let message = format!("no image can be registered: {reason}");
    let next_step = format!(
        "see EC2's console for why, and run `amikeep backup` to try again now; what there is of {} stays until a newer image \
         succeeds",
        ids.join(", ")
    );
    SetVerdict::event(JobEvent::Failed(JobError::new("snapshots_failed", message, next_step)))
}

/// What follows from the snapshots of an image that is to be registered. `missing_for`: for how long one of them has been
/// absent from complete answers.
pub(crate) fn judge_copies(
    job: &Job,
    taken: &Taken,
    seen: &BTreeMap<SnapshotId, SeenSnapshot>,
    missing_for: SignedDuration,
    lag: SignedDuration,
    now: Timestamp,
) -> SetVerdict {
    let all: Vec<SnapshotId> = taken.snapshots.values().cloned().collect();
    let there: Vec<&SeenSnapshot> = all.iter().filter_map(|id| seen.get(id)).collect();
    if let Some(failed) = there.iter().find(|it| it.state == SnapshotState::Unusable) {
        return discard(job, &all, format!("EC2 reports {} as failed", failed.id), now);
    }
    if let Some(lost) = all.iter().find(|id| !seen.contains_key(id)) {
        let is_lost = lag < missing_for && saturating_add(taken.taken_at, lag) < now;
        return if is_lost {
            discard(job, &all, format!("{lost} is not there any more"), now)
        } else {
            SetVerdict::Wait
        };
    }
    if there.iter().all(|it| it.state == SnapshotState::Completed) {
        return SetVerdict::event(JobEvent::SnapshotsCompleted);
    }
    SetVerdict::Wait
}

/// Taken anew, as often as an image is made anew that EC2 reports as failed, and what is of no use goes.
fn discard(job: &Job, snapshots: &[SnapshotId], reason: String, now: Timestamp) -> SetVerdict {
    let retry_at = saturating_add(now, NEXT_AFTER_FAILURE);
    if is_last(job, retry_at) {
        return failed(snapshots, &reason);
    }
    let then = Box::new(JobEvent::Deferred { retry_at, reason: reason.clone() });
    SetVerdict::Discard { snapshots: snapshots.to_vec(), reason, then }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_that_nobody_knew_of_is_named() {
        let id = |n: u8| -> VolumeId { format!("vol-{n:017x}").parse().unwrap() };
        let expected = [1, 2].map(|n| AttachedVolume { device: format!("/dev/sd{n}"), volume: id(n) });
        assert_eq!(unexpected(&expected, &[id(1), id(2)]), None);
        let told = unexpected(&expected, &[id(1), id(3), id(2)]).unwrap();
        assert!(told.starts_with(id(3).as_str()), "{told}");
    }
}
