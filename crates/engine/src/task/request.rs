//! Asking for an image: the intent is committed first, then EC2 is called once, then the answer is committed.

use std::sync::Arc;

use amikeep_cloud::{Action, Cloud, CloudError, CloudErrorKind, ImageRequest, Reboot};
use amikeep_domain::class::Consistency;
use amikeep_domain::decision::start_within_passed;
use amikeep_domain::id::{AccountName, ImageId};
use amikeep_domain::job::{Job, JobEvent, JobKey, JobState};
use amikeep_domain::plan::{FACTS_FRESH_FOR, RequestAction};
use amikeep_ledger::LedgerError;

use crate::context::Context;
use crate::judge::judge_request;
use crate::report::Report;
use crate::task::hold::request_held;

pub(crate) async fn request_image<C: Cloud>(ctx: &Context<C>, jobs: Vec<Job>, mut action: RequestAction) -> Report {
    let ids = vec![action.job];
    let Some(job) = jobs.into_iter().next() else { return Report::Jobs(Vec::new()) };
    let requested = match action.hold.take() {
        Some(order) => Box::pin(request_held(ctx, job, action, *order)).await,
        None => request(ctx, job, action).await,
    };
    match requested {
        Ok(job) => Report::Jobs(vec![job]),
        Err(error) => Report::LedgerFailed { jobs: ids, recording: Vec::new(), error },
    }
}

async fn request<C: Cloud>(ctx: &Context<C>, job: Job, action: RequestAction) -> Result<Job, LedgerError> {
    match admit(ctx, &job, &action, Action::CreateImage).await {
        Some(event) => ctx.ledger.record_event(&job, &event, ctx.now()).await,
        None => request_admitted(ctx, job, action).await,
    }
}

/// Waits for room in EC2's request limit; the event that follows if the request may not be sent then.
///
/// It comes before the intent: a process that dies while it waits leaves nothing in doubt.
pub(crate) async fn admit<C: Cloud>(
    ctx: &Context<C>,
    job: &Job,
    action: &RequestAction,
    call: Action,
) -> Option<JobEvent> {
    let ready = |cloud: Arc<C>| async move { cloud.ready(call).await };
    if let Err(error) = ctx.call(&action.account, call, ready).await {
        // Nothing was sent, whatever the error says.
        let kind = CloudErrorKind::Throttled;
        return Some(judge_request(job, Err(CloudError { kind, ..error }), ctx.now()));
    }
    if job.window.start_by < ctx.now() {
        // The plan was made in time, and the host slept or the request waited since.
        return Some(JobEvent::Failed(start_within_passed(job.window, "")));
    }
    if FACTS_FRESH_FOR < ctx.now().duration_since(action.intent.recorded_at) {
        // The turn is kept, so that the next try, on facts that are read again, does not wait for another.
        let reason = "it waited for room in EC2's request limit, and decides anew".to_owned();
        return Some(JobEvent::Deferred { retry_at: ctx.now(), reason });
    }
    None
}

/// Commits the intent, sends the request, and commits the answer.
pub(crate) async fn request_admitted<C: Cloud>(
    ctx: &Context<C>,
    job: Job,
    action: RequestAction,
) -> Result<Job, LedgerError> {
    let request = image_request(&action);
    let job = record_intent(ctx, job, &action).await?;
    let answer = send(ctx, &action.account, request).await;
    let event = judge_request(&job, answer, ctx.now());
    ctx.ledger.record_event(&job, &event, ctx.now()).await
}

/// From here on the outcome counts as unknown until it is written down, whatever happens to this process. One commit for
/// all of it: the call has its turn already, and a burst of them waits for the one disk.
async fn record_intent<C: Cloud>(ctx: &Context<C>, job: Job, action: &RequestAction) -> Result<Job, LedgerError> {
    let now = ctx.now();
    let mut intent = action.intent.clone();
    intent.recorded_at = now;
    let intended = JobEvent::Intended { class: action.class.clone(), intent };
    match job.state {
        JobState::Queued { .. } => ctx.ledger.record_told(&job, &[(JobEvent::Started, now), (intended, now)]).await,
        _ => ctx.ledger.record_event(&job, &intended, now).await,
    }
}

/// The only call of `request_image`.
pub(crate) async fn send<C: Cloud>(
    ctx: &Context<C>,
    account: &AccountName,
    request: ImageRequest,
) -> Result<ImageId, CloudError> {
    ctx.call(account, Action::CreateImage, |cloud: Arc<C>| async move { cloud.request_image(request).await }).await
}

pub(crate) fn image_request(action: &RequestAction) -> ImageRequest {
    let key = &action.key;
    ImageRequest {
        name: action.intent.name.clone(),
        instance: key.instance.clone(),
        reboot: match action.intent.mode {
            Consistency::Reboot => Reboot::Yes,
            Consistency::NoReboot | Consistency::Freeze => Reboot::No,
        },
        tags: action.tags.clone(),
        description: image_description(key, action.intent.mode),
    }
}

pub(crate) fn image_description(key: &JobKey, mode: Consistency) -> String {
    format!("amikeep: {} of {} at {}, {mode}", key.policy, key.instance, key.scheduled_at)
}
