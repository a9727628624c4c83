//! One line per job that ended, and per step of a deletion: it reads alone, and has fields to search by.

use amikeep_domain::grade::Grade;
use amikeep_domain::job::{Job, JobState};
use amikeep_domain::prune::{Deletion, DeletionEvent};
use jiff::SignedDuration;
use tracing::{error, info, warn};

pub(crate) fn log_outcome(job: &Job) {
    let key = &job.key;
    match &job.state {
        JobState::Succeeded { image, .. } => {
            let mode = job.intent.as_ref().map_or("unknown", |intent| intent.mode.as_str());
            let ms = |length: Option<SignedDuration>| length.and_then(|it| i64::try_from(it.as_millis()).ok());
            let hold_ms = job.hold.as_ref().and_then(|held| ms(held.stall));
            let lock_ms = job.hold.as_ref().and_then(|held| ms(held.locked));
            info!(
                job_id = %job.id, policy = %key.policy, account = %key.account, region = %key.region,
                instance_id = %key.instance, scheduled_at = %key.scheduled_at, state = "succeeded", mode, grade = %image.grade,
                image_id = %image.image, hold_ms, lock_ms,
                "policy {} backed up {} as {} by {mode}, grade {}{}", key.policy, key.instance, image.image, image.grade,
                if image.grade == Grade::Crash { " (as consistent as after a power cut)" } else { "" }
            );
            let left_out = image.left_out();
            if !left_out.is_empty() {
                warn!(
                    job_id = %job.id, policy = %key.policy, instance_id = %key.instance, image_id = %image.image,
                    "{} of {} has no snapshot of {left_out}: the volume was there when the image was asked for, and is not \
                     backed up", image.image, key.instance
                );
            }
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

/// `before` is the deletion as it was before the event.
pub(crate) fn log_deletion(before: &Deletion, event: &DeletionEvent) {
    let (image, policy, instance) = (before.what(), &before.policy, &before.instance);
    let (word, detail) = (event.as_str(), event.detail());
    if before.image.is_none() {
        return log_set_deletion(before, event);
    }
    match event {
        DeletionEvent::SnapshotsChecked { left, .. } if left.is_empty() => info!(
            image_id = %image, job_id = %before.job, policy = %policy, instance_id = %instance, state = "deleted",
            "{image} of {instance} and its snapshots are deleted: {}", before.reason
        ),
        DeletionEvent::Deregistered { left, .. } if left.is_empty() => info!(
            image_id = %image, job_id = %before.job, policy = %policy, instance_id = %instance, state = "deleted",
            "{image} of {instance} is deleted, and had no snapshot left: {}", before.reason
        ),
        DeletionEvent::Refused(error) => error!(
            image_id = %image, job_id = %before.job, policy = %policy, instance_id = %instance, code = %error.code,
            "{image} of {instance} is not deleted: {detail}; next step: {}", error.next_step
        ),
        DeletionEvent::SnapshotsChecked { left, .. } if event.is_notable(&before.state) => {
            let next_step = left.iter().find_map(|it| it.error.as_ref()).map_or("nothing", |it| it.next_step.as_str());
            warn!(
                image_id = %image, job_id = %before.job, policy = %policy, instance_id = %instance,
                "{image} is gone, and snapshots of it are left: {detail}; next step: {next_step}"
            );
        }
        DeletionEvent::Deferred { .. } | DeletionEvent::Withdrawn { .. } => {
            warn!(image_id = %image, policy = %policy, instance_id = %instance, "{word}: {image}: {detail}");
        }
        DeletionEvent::Deregistered { .. } | DeletionEvent::SnapshotsChecked { .. } => {}
    }
}

/// The same of snapshots of which no image was made.
fn log_set_deletion(before: &Deletion, event: &DeletionEvent) {
    let (what, policy, instance) = (before.what(), &before.policy, &before.instance);
    let detail = event.detail();
    match event {
        DeletionEvent::SnapshotsChecked { left, .. } if left.is_empty() => info!(
            job_id = %before.job, policy = %policy, instance_id = %instance, state = "deleted",
            "{what} of {instance} are deleted: {}", before.reason
        ),
        _ if event.is_notable(&before.state) => warn!(
            job_id = %before.job, policy = %policy, instance_id = %instance,
            "{what} of {instance} are not deleted yet: {detail}"
        ),
        _ => {}
    }
}
