//! What an answer of EC2 means for a job. Pure: the tasks ask EC2, these say which event follows.

mod deletion;
mod image;
mod look_up;
mod registration;
mod request;
mod sets;

pub(crate) use deletion::{after_look, after_look_at_set, judge_retired, judge_snapshots};
pub(crate) use image::{IMAGES_PER_JOB_MAX, ImageVerdict, finish, judge_image, offline_holds};
pub(crate) use look_up::judge_look_up;
pub(crate) use registration::judge_registration;
pub(crate) use request::{judge_request, judge_request_of_snapshots};
pub(crate) use sets::{judge_copies, judge_set, unexpected};

use amikeep_domain::id::JobId;
use amikeep_domain::jitter::stable_hash;
use jiff::SignedDuration;

/// The longest wait between two tries.
const BACKOFF_MAX: SignedDuration = SignedDuration::from_mins(5);

/// Doubles from 2 s to 5 min, less up to a half that follows from job and attempt: a thousand jobs that were throttled
/// together do not come back together.
pub(crate) fn backoff(job: JobId, attempts: u32) -> SignedDuration {
    let full = SignedDuration::from_secs(1 << attempts.clamp(1, 9)).min(BACKOFF_MAX);
    let hash = stable_hash(&[&job.to_string(), &attempts.to_string()]);
    let share = i32::try_from(hash % 1_000).unwrap_or(0);
    full - full / 2 * share / 1_000
}

#[cfg(test)]
mod tests;
