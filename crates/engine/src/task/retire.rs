//! Carrying deletions out: look once more, deregister, and see every snapshot gone.
//!
//! Some are looked at together, and go one after the other. Where that takes long, since EC2 is slow or its request limit has
//! no room, the rest is looked at again: what somebody pins meanwhile must not go.

use std::collections::BTreeMap;
use std::sync::Arc;

use amikeep_cloud::{Action, Cloud, CloudError, ImageQuery, SeenSnapshot, SnapshotQuery, VALUES_PER_FILTER_MAX};
use amikeep_domain::id::{AccountName, DeletionId, ImageId, SnapshotId};
use amikeep_domain::plan::Reading;
use amikeep_domain::prune::{Deletion, DeletionEvent, DeletionState, ListedImage};
use amikeep_ledger::LedgerError;
use jiff::{SignedDuration, Timestamp};

use crate::context::Context;
use crate::judge::{after_look, after_look_at_set, judge_retired, judge_snapshots};
use crate::outcome::log_deletion;
use crate::prune::list::listed_image;
use crate::report::{Report, Retired};

/// How old the last look before a call may be.
const LOOK_FRESH_FOR: SignedDuration = SignedDuration::from_secs(10);

/// What was seen at the last look, and when.
struct Look<T> {
    at: Timestamp,
    seen: T,
}

impl<T> Look<T> {
    fn is_fresh(&self, now: Timestamp) -> bool {
        now.duration_since(self.at).abs() <= LOOK_FRESH_FOR
    }
}

/// The last look if it is fresh, and else another one. What observes is not begun where it is not needed.
async fn fresh<C: Cloud, T>(
    ctx: &Context<C>,
    last: Option<Look<T>>,
    observe: impl Future<Output = Result<T, CloudError>>,
) -> Result<Look<T>, CloudError> {
    match last.filter(|look| look.is_fresh(ctx.now())) {
        Some(look) => Ok(look),
        None => observe.await.map(|seen| Look { at: ctx.now(), seen }),
    }
}

/// Deregisters images, one after the other. Each outcome is written down before the next call.
pub(crate) async fn retire_images<C: Cloud>(
    ctx: &Context<C>,
    account: AccountName,
    deletions: Vec<Deletion>,
) -> Report {
    let asked: Vec<DeletionId> = deletions.iter().map(|deletion| deletion.id).collect();
    let (mut retired, mut look) = (Retired::default(), None);
    for (n, deletion) in deletions.iter().enumerate() {
        let listed = match fresh(ctx, look, observe_images(ctx, &account, &deletions[n..])).await {
            Ok(look) => look,
            Err(error) => {
                retired.error = Some(error);
                break;
            }
        };
        let event = retire(ctx, &account, deletion, &listed.seen).await;
        if !record(ctx, deletion, &event, &mut retired).await {
            break;
        }
        look = Some(listed);
    }
    Report::Retired { account, reading: Reading::Retiring, asked, retired }
}

async fn observe_images<C: Cloud>(
    ctx: &Context<C>,
    account: &AccountName,
    deletions: &[Deletion],
) -> Result<BTreeMap<ImageId, ListedImage>, CloudError> {
    let ids: Vec<ImageId> = deletions.iter().filter_map(|deletion| deletion.image.clone()).collect();
    let ask = |cloud: Arc<C>| async move { cloud.observe_images(ImageQuery::Ids(ids)).await };
    let images = ctx.call(account, Action::DescribeImages, ask).await?;
    Ok(images.into_iter().filter_map(listed_image).collect())
}

async fn retire<C: Cloud>(
    ctx: &Context<C>,
    account: &AccountName,
    deletion: &Deletion,
    listed: &BTreeMap<ImageId, ListedImage>,
) -> DeletionEvent {
    let Some(image) = deletion.image.clone() else {
        return DeletionEvent::Withdrawn { reason: "it has no image".to_owned() };
    };
    if let Some(event) = after_look(deletion, listed.get(&image), &ctx.policy_set().owner, ctx.now()) {
        return event;
    }
    let ask = |cloud: Arc<C>| async move { cloud.retire_image(image).await };
    let answer = ctx.call(account, Action::DeregisterImage, ask).await;
    judge_retired(deletion, answer, ctx.now())
}

/// Looks which snapshots are left and asks those to go.
pub(crate) async fn delete_snapshots<C: Cloud>(
    ctx: &Context<C>,
    account: AccountName,
    deletions: Vec<Deletion>,
) -> Report {
    let asked: Vec<DeletionId> = deletions.iter().map(|deletion| deletion.id).collect();
    let (mut retired, mut look) = (Retired::default(), None);
    for (n, deletion) in deletions.iter().enumerate() {
        let there = match fresh(ctx, look, observe_snapshots(ctx, &account, &deletions[n..])).await {
            Ok(look) => look,
            Err(error) => {
                retired.error = Some(error);
                break;
            }
        };
        let event = match after_look_at_set(deletion, &there.seen, &ctx.policy_set().owner, ctx.now()) {
            Some(event) => event,
            None => check(ctx, &account, deletion, &there.seen).await,
        };
        if !record(ctx, deletion, &event, &mut retired).await {
            break;
        }
        look = Some(there);
    }
    Report::Retired { account, reading: Reading::Snapshots, asked, retired }
}

fn left_of(deletion: &Deletion) -> Vec<SnapshotId> {
    match &deletion.state {
        DeletionState::SnapshotsLeft { left, .. } => left.iter().map(|it| it.snapshot.clone()).collect(),
        DeletionState::Planned { .. } => deletion.snapshots.clone(),
        _ => Vec::new(),
    }
}

async fn observe_snapshots<C: Cloud>(
    ctx: &Context<C>,
    account: &AccountName,
    deletions: &[Deletion],
) -> Result<BTreeMap<SnapshotId, SeenSnapshot>, CloudError> {
    let wanted: Vec<SnapshotId> = deletions.iter().flat_map(left_of).collect();
    let mut there = BTreeMap::new();
    for ids in wanted.chunks(VALUES_PER_FILTER_MAX) {
        let query = SnapshotQuery::Ids(ids.to_vec());
        let ask = |cloud: Arc<C>| async move { cloud.observe_snapshots(query).await };
        let seen = ctx.call(account, Action::DescribeSnapshots, ask).await?;
        there.extend(seen.into_iter().map(|snapshot| (snapshot.id.clone(), snapshot)));
    }
    Ok(there)
}

async fn check<C: Cloud>(
    ctx: &Context<C>,
    account: &AccountName,
    deletion: &Deletion,
    there: &BTreeMap<SnapshotId, SeenSnapshot>,
) -> DeletionEvent {
    let mut answers = Vec::new();
    for snapshot in left_of(deletion) {
        let answer = if there.contains_key(&snapshot) {
            let id = snapshot.clone();
            let ask = |cloud: Arc<C>| async move { cloud.delete_snapshot(id).await };
            Some(ctx.call(account, Action::DeleteSnapshot, ask).await)
        } else {
            None
        };
        answers.push((snapshot, answer));
    }
    judge_snapshots(deletion, answers, ctx.now())
}

/// Writes an event down; false if the ledger failed, and then nothing more is asked of EC2.
async fn record<C: Cloud>(ctx: &Context<C>, deletion: &Deletion, event: &DeletionEvent, retired: &mut Retired) -> bool {
    let result: Result<Deletion, LedgerError> = ctx.ledger.record_deletion_event(deletion, event, ctx.now()).await;
    match result {
        Ok(after) => {
            log_deletion(deletion, event);
            retired.moved.push(after);
            true
        }
        Err(error) => {
            retired.failed = Some(error);
            false
        }
    }
}
