//! Writing the grade on images and snapshots. It repeats what the ledger knows, so that the ledger can be rebuilt.

use std::collections::BTreeMap;
use std::sync::Arc;

use amikeep_cloud::{Action, Cloud, CloudError, CloudErrorKind, ResourceId};
use amikeep_domain::grade::Grade;
use amikeep_domain::id::{AccountName, JobId};
use amikeep_domain::job::{Job, JobEvent, JobState};
use amikeep_domain::plan::Reading;
use amikeep_domain::tags;
use tracing::warn;

use crate::context::Context;
use crate::report::{Looked, Report};
use crate::task::record::record_changes;

pub(crate) async fn write_grades<C: Cloud>(
    ctx: &Context<C>,
    account: AccountName,
    grade: Grade,
    jobs: Vec<Job>,
) -> Report {
    let at = ctx.now();
    let asked: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let (changes, error) = match write(ctx, &account, grade, &jobs).await {
        Ok(()) => (graded(jobs, None), None),
        Err(error) if passes(&error) => (Vec::new(), Some(error)),
        // One image that is gone fails the call for all; alone, each gets what it deserves.
        Err(_) if 1 < jobs.len() => write_one_by_one(ctx, &account, grade, jobs).await,
        Err(error) => (graded(jobs, Some(&error)), None),
    };
    let recorded = record_changes(ctx, &changes).await;
    let (absent, seen) = (Vec::new(), Vec::new());
    Report::Looked(Looked { account, reading: Reading::Grades, at, asked, absent, seen, recorded, error })
}

async fn write<C: Cloud>(
    ctx: &Context<C>,
    account: &AccountName,
    grade: Grade,
    jobs: &[Job],
) -> Result<(), CloudError> {
    let resources: Vec<ResourceId> = jobs.iter().flat_map(resources_of).collect();
    let tags = BTreeMap::from([(tags::GRADE.to_owned(), grade.to_string())]);
    let ask = |cloud: Arc<C>| async move { cloud.request_tags(resources, tags).await };
    ctx.call(account, Action::CreateTags, ask).await
}

async fn write_one_by_one<C: Cloud>(
    ctx: &Context<C>,
    account: &AccountName,
    grade: Grade,
    jobs: Vec<Job>,
) -> (Vec<(Job, JobEvent)>, Option<CloudError>) {
    let mut changes = Vec::new();
    for job in jobs {
        match write(ctx, account, grade, std::slice::from_ref(&job)).await {
            Ok(()) => changes.extend(graded(vec![job], None)),
            Err(error) if passes(&error) => return (changes, Some(error)),
            Err(error) => changes.extend(graded(vec![job], Some(&error))),
        }
    }
    (changes, None)
}

/// Whether it can be tried again: credentials that expired at night are renewed by morning.
fn passes(error: &CloudError) -> bool {
    error.kind.is_transient() || error.kind == CloudErrorKind::Credentials
}

fn resources_of(job: &Job) -> Vec<ResourceId> {
    let JobState::Finishing(finished) = &job.state else { return Vec::new() };
    let snapshots = finished.volumes.iter().filter_map(|it| it.snapshot.clone()).map(ResourceId::Snapshot);
    std::iter::once(ResourceId::Image(finished.image.clone())).chain(snapshots).collect()
}

/// A grade that cannot be written on the image is no reason to lose the image: the job succeeds and says so.
fn graded(jobs: Vec<Job>, error: Option<&CloudError>) -> Vec<(Job, JobEvent)> {
    let problem = error.map(|error| format!("the tag {} is missing on the image: {error}", tags::GRADE));
    if let (Some(problem), Some(job)) = (&problem, jobs.first()) {
        warn!(job_id = %job.id, policy = %job.key.policy, "{problem}");
    }
    jobs.into_iter().map(|job| (job, JobEvent::Graded { problem: problem.clone() })).collect()
}
