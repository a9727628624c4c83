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

/// The event that follows from the snapshots that carry the job's tag, for a request whose outcome is unknown; none while it is
/// too early to tell.
pub(crate) fn judge_set(
    job: &Job,
    found: &[SeenSnapshot],
    lag: SignedDuration,
    engine_started_at: Timestamp,
    now: Timestamp,
) -> Option<JobEvent> {
    let (JobState::Capturing(outcome), Some(intent)) = (&job.state, &job.intent) else { return None };
    let is_over = certain_at(recorded_at(job), outcome, lag, engine_started_at, now) <= now;
    // An earlier set of the same job was begun before this intent, and a copy says of itself that it is one.
    let earliest = saturating_add(intent.recorded_at, -START_TOLERANCE);
    let description = tags::snapshot_description(&job.key);
    let is_of_request =
        |it: &&SeenSnapshot| it.description == description && it.started_at.is_none_or(|at| earliest <= at);
    let set: Vec<&SeenSnapshot> = found.iter().filter(is_of_request).collect();
    if set.is_empty() {
        let reason = format!("no snapshot of the job after {} s, so the request did not arrive", lag.as_secs());
        return is_over.then_some(JobEvent::Deferred { retry_at: now, reason });
    }
    let usable = set.iter().filter(|it| it.state != SnapshotState::Unusable);
    let by_volume: BTreeMap<VolumeId, SnapshotId> =
        usable.filter_map(|it| Some((it.volume.clone()?, it.id.clone()))).collect();
    let missing = intent.volumes.iter().find(|it| !by_volume.contains_key(&it.volume));
    let in_hold = job
        .hold
        .as_ref()
        .is_some_and(|held| set.iter().all(|it| it.started_at.is_some_and(|at| held.surely_covers(at))));
    // Those of an earlier request of the job stay, and only clocks would tell them from these.
    let is_only = job.attempts <= 1;
    let volumes: Vec<VolumeId> = by_volume.keys().cloned().collect();
    let newcomer = unexpected(&intent.volumes, &volumes);
    let reason = match missing {
        None if in_hold && is_only && newcomer.is_none() => {
            return Some(JobEvent::SnapshotsAdopted { snapshots: by_volume });
        }
        None => newcomer.unwrap_or_else(|| {
            let unknown = "nothing shows that they were begun in the hold";
            if in_hold { "an earlier request may have made them" } else { unknown }.to_owned()
        }),
        // EC2 may not show all of them yet.
        Some(_) if !is_over => return None,
        Some(volume) => format!("there is none of {}", volume.volume),
    };
    let reason = format!("the reply to CreateSnapshots was lost, and {reason}");
    Some(given_up(job, set.iter().map(|it| &it.id), &reason, saturating_add(now, NEXT_SET_AFTER)))
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

/// No image is made of these. They may be the best there is of their instance, so they stay until a prune finds an image that
/// is newer; taken anew they are as often as an image is made anew that EC2 reports as failed.
fn given_up<'a>(
    job: &Job,
    snapshots: impl Iterator<Item = &'a SnapshotId>,
    reason: &str,
    retry_at: Timestamp,
) -> JobEvent {
    let ids = snapshots.map(SnapshotId::as_str).collect::<Vec<_>>().join(", ");
    let stay = format!("what there is of {ids} stays until a newer image succeeds");
    if !is_last(job, retry_at) {
        return JobEvent::Deferred { retry_at, reason: format!("no image can be registered: {reason}; {stay}") };
    }
    let next_step = format!("see EC2's console for why, and run `amikeep backup` to try again now; {stay}");
    JobEvent::Failed(JobError::new("snapshots_failed", format!("no image can be registered: {reason}"), next_step))
}

/// The event that follows from the snapshots of an image that is to be registered; none while they are copied. `missing_for`:
/// for how long one of them has been absent from complete answers.
pub(crate) fn judge_copies(
    job: &Job,
    taken: &Taken,
    seen: &BTreeMap<SnapshotId, SeenSnapshot>,
    missing_for: SignedDuration,
    lag: SignedDuration,
    now: Timestamp,
) -> Option<JobEvent> {
    let all = || taken.snapshots.values();
    let there: Vec<&SeenSnapshot> = all().filter_map(|id| seen.get(id)).collect();
    let again = |reason: &str| Some(given_up(job, all(), reason, saturating_add(now, NEXT_AFTER_FAILURE)));
    if let Some(failed) = there.iter().find(|it| it.state == SnapshotState::Unusable) {
        return again(&format!("EC2 reports {} as failed", failed.id));
    }
    if let Some(lost) = all().find(|id| !seen.contains_key(id)) {
        let is_lost = lag < missing_for && saturating_add(taken.taken_at, lag) < now;
        return if is_lost { again(&format!("{lost} is not there any more")) } else { None };
    }
    there.iter().all(|it| it.state == SnapshotState::Completed).then_some(JobEvent::SnapshotsCompleted)
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
