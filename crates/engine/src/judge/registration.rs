//! What the answer to `RegisterImage` means. The snapshots are there whatever it is, so what can pass is waited for.

use amikeep_cloud::{CloudError, CloudErrorKind};
use amikeep_domain::decision::JobError;
use amikeep_domain::id::ImageId;
use amikeep_domain::job::{Job, JobEvent, Taken};
use amikeep_domain::policy::saturating_add;
use jiff::{SignedDuration, Timestamp};

use crate::advice::next_step;
use crate::judge::backoff;

/// How often the image is asked for although EC2 says that a snapshot is not there, or not as it should be: it was seen
/// completed, and one answer of EC2 may lag behind another.
const UNSEEN_TRIES_MAX: u32 = 6;
/// Credentials do not come back by themselves within seconds.
const CREDENTIALS_WAIT: SignedDuration = SignedDuration::from_mins(1);

pub(crate) fn judge_registration(
    job: &Job,
    taken: &Taken,
    answer: Result<ImageId, CloudError>,
    now: Timestamp,
) -> JobEvent {
    let error = match answer {
        Ok(image) => return JobEvent::Accepted { image },
        Err(error) => error,
    };
    let deferred = |wait: SignedDuration| JobEvent::RegisterDeferred {
        retry_at: saturating_add(now, wait),
        reason: format!("{}: {}", error.code, error.message),
    };
    match error.kind {
        CloudErrorKind::OutcomeUnknown => {
            JobEvent::OutcomeUnknown { reason: format!("{}: {}", error.code, error.message) }
        }
        CloudErrorKind::NameInUse => JobEvent::NameInUse,
        CloudErrorKind::Throttled | CloudErrorKind::Unavailable | CloudErrorKind::Busy => {
            deferred(backoff(job.id, taken.tries))
        }
        CloudErrorKind::Credentials => deferred(CREDENTIALS_WAIT),
        CloudErrorKind::NotFound | CloudErrorKind::WrongState if taken.tries < UNSEEN_TRIES_MAX => {
            deferred(backoff(job.id, taken.tries))
        }
        CloudErrorKind::Denied
        | CloudErrorKind::NotFound
        | CloudErrorKind::WrongState
        | CloudErrorKind::InUse
        | CloudErrorKind::Invalid
        | CloudErrorKind::DryRunSucceeded => {
            let next_step = format!(
                "{}; the snapshots {} hold what was captured, and stay until a newer image succeeds",
                next_step(&error),
                taken.snapshots.values().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            );
            JobEvent::Failed(JobError::new(&error.code, &error.message, next_step))
        }
    }
}
