//! One line per job that ended: it reads alone, and has fields to search by.

use amikeep_domain::grade::Grade;
use amikeep_domain::job::{Job, JobState};
use tracing::{error, info, warn};

pub(crate) fn log_outcome(job: &Job) {
    let key = &job.key;
    match &job.state {
        JobState::Succeeded { image, .. } => {
            let mode = job.intent.as_ref().map_or("unknown", |intent| intent.mode.as_str());
            info!(
                job_id = %job.id, policy = %key.policy, account = %key.account, region = %key.region,
                instance_id = %key.instance, scheduled_at = %key.scheduled_at, state = "succeeded", mode, grade = %image.grade,
                image_id = %image.image,
                "policy {} backed up {} as {} by {mode}, grade {}{}", key.policy, key.instance, image.image, image.grade,
                if image.grade == Grade::Crash { " (as consistent as after a power cut)" } else { "" }
            );
        }
        JobState::Failed { error, .. } => error!(
            job_id = %job.id, policy = %key.policy, account = %key.account, region = %key.region,
            instance_id = %key.instance, scheduled_at = %key.scheduled_at, state = "failed", code = %error.code,
            "policy {} did not back up {}: {}: {}; next step: {}", key.policy, key.instance, error.code, error.message,
            error.next_step
        ),
        JobState::Skipped { reason, .. } => warn!(
            job_id = %job.id, policy = %key.policy, account = %key.account, region = %key.region,
            instance_id = %key.instance, scheduled_at = %key.scheduled_at, state = "skipped", reason = reason.as_str(),
            "policy {} skipped {}: {}", key.policy, key.instance, reason.as_str()
        ),
        _ => {}
    }
}
