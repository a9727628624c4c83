//! From snapshots to an image: settling a request of which nobody knows, watching the copies, registering the image.
//!
//! No image is registered before the intent is committed. Nothing is deleted here: snapshots of which no image is made are found
//! by a prune once there is a newer image.

use std::collections::BTreeMap;
use std::sync::Arc;

use amikeep_cloud::{Action, Cloud, CloudError, Registration, SeenSnapshot, SnapshotQuery, VALUES_PER_FILTER_MAX};
use amikeep_domain::id::{AccountName, JobId, SnapshotId};
use amikeep_domain::job::{IntendedRegistration, Intent, Job, JobEvent, JobState, Taken};
use amikeep_domain::plan::Reading;
use amikeep_domain::tags;
use amikeep_hold::apps::tag_of;
use amikeep_ledger::LedgerError;
use jiff::{SignedDuration, Timestamp};

use crate::context::Context;
use crate::judge::{judge_copies, judge_registration, judge_set};
use crate::report::{Looked, Recorded, Report};
use crate::task::record::record_changes;
use crate::task::request::image_description;

/// Looks for what a request of an unknown outcome may have made, by the tag of its job.
pub(crate) async fn look_up_sets<C: Cloud>(ctx: &Context<C>, account: AccountName, jobs: Vec<Job>) -> Report {
    let at = ctx.now();
    let asked: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let mut report = looked(&account, Reading::Sets, at, asked);
    let lag = ctx.visibility_lag(&account);
    let mut changes = Vec::new();
    for job in jobs {
        let id = job.id;
        let ask = |cloud: Arc<C>| async move { cloud.observe_snapshots(SnapshotQuery::Job(id)).await };
        match ctx.call(&account, Action::DescribeSnapshots, ask).await {
            Ok(found) => {
                let event = judge_set(&job, &found, lag, ctx.started_at, at);
                changes.extend(event.map(|event| (job, event)));
            }
            Err(error) => {
                report.error = Some(error);
                break;
            }
        }
    }
    report.recorded = record_changes(ctx, &changes).await;
    Report::Looked(report)
}

/// Looks how far the snapshots are that images are to be registered from: one question for all of them.
pub(crate) async fn poll_snapshots<C: Cloud>(
    ctx: &Context<C>,
    account: AccountName,
    jobs: Vec<Job>,
    missing_since: &BTreeMap<JobId, Timestamp>,
) -> Report {
    let at = ctx.now();
    let asked: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let mut report = looked(&account, Reading::Copies, at, asked);
    let seen = match observe(ctx, &account, &jobs).await {
        Ok(seen) => seen,
        Err(error) => {
            report.error = Some(error);
            return Report::Looked(report);
        }
    };
    let lag = ctx.visibility_lag(&account);
    let mut changes = Vec::new();
    for job in jobs {
        let JobState::Taken(taken) = &job.state else { continue };
        let is_there = taken.snapshots.values().all(|id| seen.contains_key(id));
        if is_there { &mut report.seen } else { &mut report.absent }.push(job.id);
        let missing_for = missing_since.get(&job.id).map_or(SignedDuration::ZERO, |since| at.duration_since(*since));
        let event = judge_copies(&job, taken, &seen, missing_for, lag, at);
        changes.extend(event.map(|event| (job, event)));
    }
    report.recorded = record_changes(ctx, &changes).await;
    Report::Looked(report)
}

fn looked(account: &AccountName, reading: Reading, at: Timestamp, asked: Vec<JobId>) -> Looked {
    let (absent, seen, recorded) = (Vec::new(), Vec::new(), Recorded::default());
    Looked { account: account.clone(), reading, at, asked, absent, seen, recorded, error: None }
}

async fn observe<C: Cloud>(
    ctx: &Context<C>,
    account: &AccountName,
    jobs: &[Job],
) -> Result<BTreeMap<SnapshotId, SeenSnapshot>, CloudError> {
    let ids: Vec<SnapshotId> = jobs.iter().filter_map(taken_of).flat_map(|it| it.snapshots.values().cloned()).collect();
    let mut seen = BTreeMap::new();
    for ids in ids.chunks(VALUES_PER_FILTER_MAX) {
        let ids = ids.to_vec();
        let ask = |cloud: Arc<C>| async move { cloud.observe_snapshots(SnapshotQuery::Ids(ids)).await };
        let found = ctx.call(account, Action::DescribeSnapshots, ask).await?;
        seen.extend(found.into_iter().map(|it| (it.id.clone(), it)));
    }
    Ok(seen)
}

fn taken_of(job: &Job) -> Option<&Taken> {
    match &job.state {
        JobState::Taken(taken) => Some(taken),
        _ => None,
    }
}

/// Commits the intent, registers the image, and commits the answer.
pub(crate) async fn register_image<C: Cloud>(ctx: &Context<C>, account: AccountName, jobs: Vec<Job>) -> Report {
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let Some(job) = jobs.into_iter().next() else { return Report::Jobs(Vec::new()) };
    match register(ctx, &account, job).await {
        Ok(job) => Report::Jobs(vec![job]),
        Err(error) => Report::LedgerFailed { jobs: ids, recording: Vec::new(), error },
    }
}

async fn register<C: Cloud>(ctx: &Context<C>, account: &AccountName, job: Job) -> Result<Job, LedgerError> {
    let ready = |cloud: Arc<C>| async move { cloud.ready(Action::RegisterImage).await };
    // Room that does not come is the call's own refusal, below.
    let _ = ctx.call(account, Action::RegisterImage, ready).await;
    let job = ctx.ledger.record_event(&job, &JobEvent::Registering, ctx.now()).await?;
    let (Some(intent), Some(taken)) = (&job.intent, taken_of(&job)) else { return Ok(job) };
    let Some(registration) = &intent.registration else { return Ok(job) };
    let request = request(&job, intent, registration, taken);
    let ask = |cloud: Arc<C>| async move { cloud.register_image(request).await };
    let answer = ctx.call(account, Action::RegisterImage, ask).await;
    let event = judge_registration(&job, taken, answer, ctx.now());
    ctx.ledger.record_event(&job, &event, ctx.now()).await
}

fn request(job: &Job, intent: &Intent, registration: &IntendedRegistration, taken: &Taken) -> Registration {
    let mut tags = registration.tags.clone();
    let position = job.hold.iter().flat_map(|held| &held.position);
    let position = tag_of(position.map(|(name, value)| (name.as_str(), value.as_str())), tags::VALUE_LEN_MAX);
    if !position.is_empty() {
        tags.insert(tags::POSITION.to_owned(), position);
    }
    Registration {
        name: intent.name.clone(),
        attributes: registration.attributes.clone(),
        snapshots: taken.snapshots.clone(),
        tags,
        description: image_description(&job.key, intent.mode),
    }
}
