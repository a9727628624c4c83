//! Watching images: one question for all that are due, and further ones only for those that have become ready.

use std::collections::BTreeMap;
use std::sync::Arc;

use amikeep_cloud::{
    Action, Cloud, CloudError, CloudErrorKind, ImageQuery, InstanceQuery, SeenImage, SeenSnapshot, SnapshotQuery,
    VALUES_PER_FILTER_MAX,
};
use amikeep_domain::id::{AccountName, ImageId, InstanceId, JobId, SnapshotId};
use amikeep_domain::instance::Instance;
use amikeep_domain::job::{Job, JobEvent, JobState, Pending};
use amikeep_domain::plan::Reading;
use jiff::{SignedDuration, Timestamp};
use tracing::warn;

use crate::context::Context;
use crate::judge::{ImageVerdict, finish, judge_image, offline_holds};
use crate::report::{Looked, Report};
use crate::task::record::record_changes;

/// What one look found.
#[derive(Default)]
struct Found {
    changes: Vec<(Job, JobEvent)>,
    absent: Vec<JobId>,
    seen: Vec<JobId>,
    /// Jobs whose images are available.
    available: Vec<(Job, Pending)>,
    /// Jobs whose instances must be seen to be still stopped.
    offline: Vec<Job>,
}

pub(crate) async fn poll_images<C: Cloud>(
    ctx: &Context<C>,
    account: AccountName,
    jobs: Vec<Job>,
    missing_since: &BTreeMap<JobId, Timestamp>,
) -> Report {
    let at = ctx.now();
    let asked: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let (found, error) = match look(ctx, &account, jobs, missing_since).await {
        Ok((found, error)) => (found, error),
        Err(error) => (Found::default(), Some(error)),
    };
    let recorded = record_changes(ctx, &found.changes).await;
    let Found { absent, seen, .. } = found;
    Report::Looked(Looked { account, reading: Reading::Images, at, asked, absent, seen, recorded, error })
}

/// Everything that can be told; with the error of a further question, which leaves what depends on it for the next look.
async fn look<C: Cloud>(
    ctx: &Context<C>,
    account: &AccountName,
    jobs: Vec<Job>,
    missing_since: &BTreeMap<JobId, Timestamp>,
) -> Result<(Found, Option<CloudError>), CloudError> {
    let images = observe_images(ctx, account, &jobs).await?;
    let mut found = sort_out(ctx, account, jobs, &images, missing_since);
    let offline = check_offline(ctx, account, std::mem::take(&mut found.offline)).await;
    let available = read_available(ctx, account, std::mem::take(&mut found.available), &images).await;
    let mut error = None;
    for result in [offline, available] {
        match result {
            Ok(changes) => found.changes.extend(changes),
            Err(failed) => error = Some(failed),
        }
    }
    Ok((found, error))
}

async fn observe_images<C: Cloud>(
    ctx: &Context<C>,
    account: &AccountName,
    jobs: &[Job],
) -> Result<BTreeMap<ImageId, SeenImage>, CloudError> {
    let ids: Vec<ImageId> = jobs.iter().filter_map(|job| job.image().cloned()).collect();
    let mut images = BTreeMap::new();
    for ids in ids.chunks(VALUES_PER_FILTER_MAX) {
        let ids = ids.to_vec();
        let ask = |cloud: Arc<C>| async move { cloud.observe_images(ImageQuery::Ids(ids)).await };
        let seen = ctx.call(account, Action::DescribeImages, ask).await?;
        images.extend(seen.into_iter().map(|image| (image.id.clone(), image)));
    }
    Ok(images)
}

fn sort_out<C: Cloud>(
    ctx: &Context<C>,
    account: &AccountName,
    jobs: Vec<Job>,
    images: &BTreeMap<ImageId, SeenImage>,
    missing_since: &BTreeMap<JobId, Timestamp>,
) -> Found {
    let (now, lag) = (ctx.now(), ctx.visibility_lag(account));
    let mut found = Found::default();
    for job in jobs {
        let JobState::Pending(pending) = &job.state else { continue };
        let pending = pending.clone();
        let seen = images.get(&pending.image);
        if seen.is_some() { &mut found.seen } else { &mut found.absent }.push(job.id);
        let missing_for = missing_since.get(&job.id).map_or(SignedDuration::ZERO, |since| now.duration_since(*since));
        match judge_image(&job, &pending, seen, missing_for, lag, now) {
            ImageVerdict::Pending => {}
            ImageVerdict::CheckOffline => found.offline.push(job),
            ImageVerdict::Available => found.available.push((job, pending)),
            ImageVerdict::Event(event) => found.changes.push((job, *event)),
        }
    }
    found
}

async fn check_offline<C: Cloud>(
    ctx: &Context<C>,
    account: &AccountName,
    jobs: Vec<Job>,
) -> Result<Vec<(Job, JobEvent)>, CloudError> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<InstanceId> = jobs.iter().map(|job| job.key.instance.clone()).collect();
    let mut instances: BTreeMap<InstanceId, Instance> = BTreeMap::new();
    for ids in ids.chunks(VALUES_PER_FILTER_MAX) {
        let ids = ids.to_vec();
        let ask = |cloud: Arc<C>| async move { cloud.observe_instances(InstanceQuery::Ids(ids)).await };
        let seen = ctx.call(account, Action::DescribeInstances, ask).await?;
        instances.extend(seen.into_iter().map(|it| (it.id.clone(), it)));
    }
    let checked = jobs.into_iter().map(|job| {
        let instance = instances.get(&job.key.instance);
        let still_stopped = job.intent.as_ref().is_some_and(|intent| offline_holds(intent, instance));
        (job, JobEvent::OfflineChecked { still_stopped })
    });
    Ok(checked.collect())
}

async fn read_available<C: Cloud>(
    ctx: &Context<C>,
    account: &AccountName,
    jobs: Vec<(Job, Pending)>,
    images: &BTreeMap<ImageId, SeenImage>,
) -> Result<Vec<(Job, JobEvent)>, CloudError> {
    let image_of = |pending: &Pending| images.get(&pending.image);
    let devices = jobs.iter().filter_map(|(_, pending)| image_of(pending)).flat_map(|image| &image.devices);
    let wanted: Vec<SnapshotId> = devices.filter_map(|device| device.snapshot.clone()).collect();
    let mut snapshots: BTreeMap<SnapshotId, SeenSnapshot> = BTreeMap::new();
    let mut denied = false;
    for ids in wanted.chunks(VALUES_PER_FILTER_MAX) {
        let ids = ids.to_vec();
        let ask = |cloud: Arc<C>| async move { cloud.observe_snapshots(SnapshotQuery::Ids(ids)).await };
        match ctx.call(account, Action::DescribeSnapshots, ask).await {
            Ok(seen) => snapshots.extend(seen.into_iter().map(|it| (it.id.clone(), it))),
            // Without this permission an image is as old as its creation date; it is an image all the same.
            Err(error) if error.kind == CloudErrorKind::Denied => {
                warn!(account = %account, "start times of snapshots are not known: {error}");
                denied = true;
                break;
            }
            Err(error) => return Err(error),
        }
    }
    let (now, lag) = (ctx.now(), ctx.visibility_lag(account));
    let finished = jobs.into_iter().filter_map(|(job, pending)| {
        let image = image_of(&pending)?;
        let complete = image.devices.iter().filter_map(|it| it.snapshot.as_ref()).all(|id| snapshots.contains_key(id));
        // An image may be visible before its snapshots are; their start times are worth a short wait.
        let waits = !complete && !denied && now.duration_since(pending.accepted_at) < lag;
        (!waits).then(|| {
            let event = finish(&job, &pending, image, &snapshots);
            (job, event)
        })
    });
    Ok(finished.collect())
}
