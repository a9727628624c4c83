//! What a look-up by name means for an unknown outcome.

use amikeep_cloud::SeenImage;
use amikeep_domain::decision::JobError;
use amikeep_domain::job::{Capturing, Job, JobEvent, JobState, Taken, TakenStep};
use amikeep_domain::policy::saturating_add;
use amikeep_domain::tags;
use jiff::{SignedDuration, Timestamp};

use crate::context::CALL_MAX;

/// The event that follows, or none while it is too early to tell: EC2's answers lag behind its writes by up to `lag`, and
/// that counts for an image that is missing as well as for one whose tags are.
pub(crate) fn judge_look_up(
    job: &Job,
    found: Option<&SeenImage>,
    lag: SignedDuration,
    engine_started_at: Timestamp,
    now: Timestamp,
) -> Option<JobEvent> {
    let (outcome, certain_at) = match &job.state {
        JobState::Capturing(outcome) => (outcome, certain_at(recorded_at(job), outcome, lag, engine_started_at, now)),
        JobState::Taken(Taken { step: TakenStep::Registering { recorded_at, outcome }, .. }) => {
            (outcome, certain_at(*recorded_at, outcome, lag, engine_started_at, now))
        }
        _ => return None,
    };
    let is_registering = matches!(job.state, JobState::Taken(_));
    match found {
        Some(image) => match image.tags.get(tags::JOB) {
            Some(tag) if *tag == job.id.to_string() => Some(JobEvent::Adopted { image: image.id.clone() }),
            Some(_) => Some(JobEvent::Failed(name_taken(job, Some(image)))),
            None => (certain_at <= now).then(|| JobEvent::Failed(name_taken(job, Some(image)))),
        },
        None if now < certain_at => None,
        None if outcome.name_in_use => Some(JobEvent::Failed(name_taken(job, None))),
        None => {
            let reason = format!("no image of that name after {} s, so the request did not arrive", lag.as_secs());
            let retry_at = now;
            let again = if is_registering {
                JobEvent::RegisterDeferred { retry_at, reason }
            } else {
                JobEvent::Deferred { retry_at, reason }
            };
            Some(again)
        }
    }
}

/// When what EC2 does not show by then was not carried out for certain.
///
/// A call is on its way for no longer than a call may take; and one of a daemon that died was sent before this engine took
/// the lock.
pub(super) fn certain_at(
    recorded_at: Timestamp,
    outcome: &Capturing,
    lag: SignedDuration,
    engine_started_at: Timestamp,
    now: Timestamp,
) -> Timestamp {
    let call_ended_at = saturating_add(recorded_at, CALL_MAX);
    let by_another = recorded_at < engine_started_at;
    let ended_at = if by_another { call_ended_at.min(engine_started_at) } else { call_ended_at };
    let certain_at = saturating_add(outcome.unknown_since.unwrap_or(ended_at), lag);
    // A time in the future was told by a clock that has been set back. Sending again is safe, since EC2 refuses the name.
    if saturating_add(now, CALL_MAX + lag) < certain_at { now } else { certain_at }
}

/// When the intent was committed.
pub(super) fn recorded_at(job: &Job) -> Timestamp {
    job.intent.as_ref().map_or(job.created_at, |intent| intent.recorded_at)
}

fn name_taken(job: &Job, image: Option<&SeenImage>) -> JobError {
    let name = job.intent.as_ref().map(|intent| intent.name.to_string()).unwrap_or_default();
    let holder = match image {
        Some(image) => format!("{}, which job {} did not make", image.id, job.id),
        None => "an image that EC2 does not show".to_owned(),
    };
    JobError::new(
        "name_taken",
        format!("the image name {name} is in use by {holder}"),
        "see what that image is; if the ledger was restored from a backup, it may be the image of this very fire; if another \
         amikeep made it, give each its own `owner`; else deregister it",
    )
}
