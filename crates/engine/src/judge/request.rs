//! What the answer to `CreateImage` means, and to `CreateSnapshots`.

use amikeep_cloud::{CloudError, CloudErrorKind, SeenSnapshot};
use amikeep_domain::decision::JobError;
use amikeep_domain::id::ImageId;
use amikeep_domain::job::{Job, JobEvent, Trigger};
use amikeep_domain::plan::FACTS_FRESH_FOR;
use amikeep_domain::policy::saturating_add;
use jiff::{SignedDuration, Timestamp};

use crate::advice::next_step;
use crate::judge::backoff;

/// EC2 asks to wait at least 15 seconds between snapshots of a volume (`SnapshotCreationPerVolumeRateExceeded`).
const BUSY_WAIT_MIN: SignedDuration = SignedDuration::from_secs(20);

/// Credentials do not come back by themselves within seconds.
const CREDENTIALS_WAIT: SignedDuration = SignedDuration::from_mins(1);

pub(crate) fn judge_request(job: &Job, answer: Result<ImageId, CloudError>, now: Timestamp) -> JobEvent {
    match answer {
        Ok(image) => JobEvent::Accepted { image },
        Err(error) => judge_error(job, &error, now),
    }
}

/// The same of `CreateSnapshots`, whose answer names the snapshots. Those of which EC2 does not say what volume they are of
/// are of no use to an image.
pub(crate) fn judge_request_of_snapshots(
    job: &Job,
    answer: Result<Vec<SeenSnapshot>, CloudError>,
    now: Timestamp,
) -> JobEvent {
    match answer {
        Ok(taken) => {
            let snapshots = taken.into_iter().filter_map(|it| Some((it.volume?, it.id))).collect();
            JobEvent::SnapshotsTaken { snapshots }
        }
        Err(error) => judge_error(job, &error, now),
    }
}

fn judge_error(job: &Job, error: &CloudError, now: Timestamp) -> JobEvent {
    let deferred = |wait: SignedDuration| JobEvent::Deferred {
        retry_at: saturating_add(now, wait),
        reason: format!("{}: {}", error.code, error.message),
    };
    let failed = || JobEvent::Failed(JobError::new(&error.code, &error.message, next_step(error)));
    let wait = backoff(job.id, job.attempts);
    match error.kind {
        CloudErrorKind::OutcomeUnknown => {
            JobEvent::OutcomeUnknown { reason: format!("{}: {}", error.code, error.message) }
        }
        CloudErrorKind::NameInUse => JobEvent::NameInUse,
        CloudErrorKind::Throttled | CloudErrorKind::Unavailable => deferred(wait),
        CloudErrorKind::Busy => deferred(wait.max(BUSY_WAIT_MIN)),
        // Facts have changed since the decision: wait until they are certainly read again, and decide anew.
        CloudErrorKind::NotFound if !error.code.starts_with("InvalidInstanceID") => failed(),
        CloudErrorKind::WrongState | CloudErrorKind::NotFound => {
            deferred(FACTS_FRESH_FOR + SignedDuration::from_secs(1))
        }
        // A person who waits at a terminal wants to know at once; a nightly run may be healed by morning.
        CloudErrorKind::Credentials if job.trigger != Trigger::Manual => deferred(wait.max(CREDENTIALS_WAIT)),
        CloudErrorKind::Credentials
        | CloudErrorKind::Denied
        | CloudErrorKind::InUse
        | CloudErrorKind::Invalid
        | CloudErrorKind::DryRunSucceeded => failed(),
    }
}
