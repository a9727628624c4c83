//! Asking for an image: the intent is committed first, then EC2 is called once, then the answer is committed.

use std::sync::Arc;

use amikeep_cloud::{Action, Cloud, CloudError, CloudErrorKind, ImageRequest, Reboot};
use amikeep_domain::class::Consistency;
use amikeep_domain::decision::start_within_passed;
use amikeep_domain::id::{AccountName, ImageId};
use amikeep_domain::job::{Job, JobEvent, JobState};
use amikeep_domain::plan::{FACTS_FRESH_FOR, RequestAction};
use amikeep_ledger::LedgerError;

use crate::context::Context;
use crate::judge::judge_request;
use crate::report::Report;

pub(crate) async fn request_image<C: Cloud>(ctx: &Context<C>, jobs: Vec<Job>, action: RequestAction) -> Report {
    let ids = vec![action.job];
    let Some(job) = jobs.into_iter().next() else { return Report::Jobs(Vec::new()) };
    match request(ctx, job, action).await {
        Ok(job) => Report::Jobs(vec![job]),
        Err(error) => Report::LedgerFailed { jobs: ids, recording: None, error },
    }
}

/// The wait for room in EC2's request limit comes before the intent: a process that dies while it waits leaves nothing
/// in doubt.
async fn request<C: Cloud>(ctx: &Context<C>, job: Job, action: RequestAction) -> Result<Job, LedgerError> {
    let ready = |cloud: Arc<C>| async move { cloud.ready(Action::CreateImage).await };
    if let Err(error) = ctx.call(&action.account, Action::CreateImage, ready).await {
        // Nothing was sent, whatever the error says.
        let kind = CloudErrorKind::Throttled;
        let event = judge_request(&job, Err(CloudError { kind, ..error }), ctx.now());
        return ctx.ledger.record_event(&job, &event, ctx.now()).await;
    }
    if job.window.start_by < ctx.now() {
        // The plan was made in time, and the host slept or the request waited since.
        let late = JobEvent::Failed(start_within_passed(job.window, ""));
        return ctx.ledger.record_event(&job, &late, ctx.now()).await;
    }
    if FACTS_FRESH_FOR < ctx.now().duration_since(action.intent.recorded_at) {
        // The turn is kept, so that the next try, on facts that are read again, does not wait for another.
        let reason = "it waited for room in EC2's request limit, and decides anew".to_owned();
        let event = JobEvent::Deferred { retry_at: ctx.now(), reason };
        return ctx.ledger.record_event(&job, &event, ctx.now()).await;
    }
    let request = image_request(&job, &action);
    let job = record_intent(ctx, job, &action).await?;
    let answer = send(ctx, &action.account, request).await;
    let event = judge_request(&job, answer, ctx.now());
    ctx.ledger.record_event(&job, &event, ctx.now()).await
}

/// From here on the outcome counts as unknown until it is written down, whatever happens to this process.
async fn record_intent<C: Cloud>(ctx: &Context<C>, job: Job, action: &RequestAction) -> Result<Job, LedgerError> {
    let job = match job.state {
        JobState::Queued { .. } => ctx.ledger.record_event(&job, &JobEvent::Started, ctx.now()).await?,
        _ => job,
    };
    let mut intent = action.intent.clone();
    intent.recorded_at = ctx.now();
    let event = JobEvent::Intended { class: action.class.clone(), intent };
    ctx.ledger.record_event(&job, &event, ctx.now()).await
}

async fn send<C: Cloud>(ctx: &Context<C>, account: &AccountName, request: ImageRequest) -> Result<ImageId, CloudError> {
    ctx.call(account, Action::CreateImage, |cloud: Arc<C>| async move { cloud.request_image(request).await }).await
}

fn image_request(job: &Job, action: &RequestAction) -> ImageRequest {
    let key = &job.key;
    ImageRequest {
        name: action.intent.name.clone(),
        instance: key.instance.clone(),
        reboot: match action.intent.mode {
            Consistency::Reboot => Reboot::Yes,
            Consistency::NoReboot | Consistency::Freeze => Reboot::No,
        },
        tags: action.tags.clone(),
        description: format!(
            "amikeep: {} of {} at {}, {}",
            key.policy, key.instance, key.scheduled_at, action.intent.mode
        ),
    }
}
