//! One account, completely: whose it is, every image and snapshot of ours, and the rows of the ledger.

use std::collections::BTreeMap;
use std::sync::Arc;

use amikeep_cloud::{
    Action, Cloud, CloudError, ImageQuery, ImageState, SeenImage, SeenSnapshot, SnapshotQuery, VALUES_PER_FILTER_MAX,
};
use amikeep_domain::id::{AccountId, AccountName, ImageId, Region, SnapshotId};
use amikeep_domain::prune::{KnownImage, KnownState, ListedImage, ListedSnapshot, ListedState, Listing};
use amikeep_ledger::{ImageRow, ImageRowState, LedgerError};
use jiff::Timestamp;

use crate::context::Context;
use crate::task::observe::check_expected;

/// The reason of an image in that state, which has none of its own.
const DEREGISTERED: &str = "deregistered";

/// A listing and the rows that belong to it.
pub(super) struct Listed {
    pub(super) listing: Listing,
    pub(super) known: Vec<KnownImage>,
    pub(super) answered: Option<Answered>,
}

/// Two clocks at one moment.
pub(super) struct Answered {
    pub(super) endpoint_at: Timestamp,
    pub(super) host_at: Timestamp,
}

/// Why there is no complete listing.
pub(super) enum Problem {
    /// EC2 did not give one.
    Cloud(String),
    /// The ledger failed.
    Ledger(LedgerError),
}

impl From<CloudError> for Problem {
    fn from(error: CloudError) -> Self {
        Self::Cloud(error.to_string())
    }
}

/// Whose credentials these are at this moment, and the region. Asked each time: what is deleted must not rest on what was
/// true hours ago.
pub(crate) async fn identity<C: Cloud>(ctx: &Context<C>, account: &AccountName) -> Result<(AccountId, Region), String> {
    let Some(rules) = ctx.policy_set().accounts.get(account) else {
        return Err(format!("account {account} is not in the configuration"));
    };
    let ask = |cloud: Arc<C>| async move { cloud.observe_identity().await };
    let identity = ctx.call(account, Action::GetCallerIdentity, ask).await;
    let identity = identity.map_err(|error| format!("{error}; {}", crate::advice::next_step(&error)))?;
    let identity = check_expected(ctx, account, identity)?;
    Ok((identity.account, rules.region.clone()))
}

/// The complete listing, or why there is none.
pub(super) async fn list<C: Cloud>(
    ctx: &Context<C>,
    account_name: &AccountName,
    account: &AccountId,
    region: &Region,
) -> Result<Listed, Problem> {
    let began_at = ctx.now();
    let owner = ctx.policy_set().owner.clone();
    let by_owner = ImageQuery::Owner(owner.clone());
    let ask = |cloud: Arc<C>| async move { cloud.observe_images(by_owner).await };
    let images = ctx.call(account_name, Action::DescribeImages, ask).await?;
    let answered = ctx.answered_at(account_name).map(|endpoint_at| Answered { endpoint_at, host_at: ctx.now() });
    let mut images: BTreeMap<ImageId, ListedImage> = images.into_iter().filter_map(listed_image).collect();
    let ask = |cloud: Arc<C>| async move { cloud.observe_snapshots(SnapshotQuery::Owner(owner)).await };
    let snapshots = ctx.call(account_name, Action::DescribeSnapshots, ask).await?;
    let snapshots: BTreeMap<SnapshotId, ListedSnapshot> = snapshots.into_iter().map(listed_snapshot).collect();
    let rows = ctx.ledger.images_to_prune(account, region).await.map_err(Problem::Ledger)?;
    // An image whose tags were changed is not missing: it is asked for by its id.
    let unlisted: Vec<ImageId> =
        rows.iter().map(|row| row.image.clone()).filter(|image| !images.contains_key(image)).collect();
    for ids in unlisted.chunks(VALUES_PER_FILTER_MAX) {
        let by_id = ImageQuery::Ids(ids.to_vec());
        let ask = |cloud: Arc<C>| async move { cloud.observe_images(by_id).await };
        images.extend(ctx.call(account_name, Action::DescribeImages, ask).await?.into_iter().filter_map(listed_image));
    }
    let (account, account_name, region) = (account.clone(), account_name.clone(), region.clone());
    let listing = Listing { account, account_name, region, began_at, images, snapshots };
    Ok(Listed { listing, known: rows.into_iter().filter_map(known_image).collect(), answered })
}

/// `None` for an image that was deregistered: EC2 goes on describing it for a short while.
pub(crate) fn listed_image(seen: SeenImage) -> Option<(ImageId, ListedImage)> {
    let state = match seen.state {
        ImageState::Failed { reason } if reason == DEREGISTERED => return None,
        ImageState::Pending => ListedState::Pending,
        ImageState::Available => ListedState::Available,
        ImageState::Disabled => ListedState::Disabled,
        ImageState::Failed { .. } => ListedState::Failed,
    };
    let snapshots = seen.devices.into_iter().filter_map(|device| device.snapshot).collect();
    let image = ListedImage {
        state,
        name: seen.name,
        created_at: seen.created_at,
        source_instance: seen.source_instance,
        snapshots,
        tags: seen.tags,
    };
    Some((seen.id, image))
}

fn listed_snapshot(seen: SeenSnapshot) -> (SnapshotId, ListedSnapshot) {
    let SeenSnapshot { id, started_at, description, tags, .. } = seen;
    (id, ListedSnapshot { started_at, description, tags })
}

/// `None` for an image that is deleted.
fn known_image(row: ImageRow) -> Option<KnownImage> {
    let state = match row.state {
        ImageRowState::Pending => KnownState::Pending,
        ImageRowState::Available => KnownState::Available,
        ImageRowState::Failed => KnownState::Failed,
        ImageRowState::Missing => KnownState::Missing,
        ImageRowState::Deleting | ImageRowState::SnapshotsLeft => KnownState::Going,
        ImageRowState::Deleted => return None,
    };
    Some(KnownImage {
        image: row.image,
        name: row.name.to_string(),
        job: row.job,
        policy: row.policy,
        account: row.account,
        account_name: row.account_name,
        region: row.region,
        instance: row.instance,
        class: row.class,
        captured_at: row.captured_at,
        grade: row.grade,
        snapshots: row.volumes.into_iter().filter_map(|volume| volume.snapshot).collect(),
        state,
        counts: row.counts,
        pinned: row.pinned,
        missing_since: row.missing_since,
        first_seen_at: row.first_seen_at,
        last_seen_at: row.last_seen_at,
    })
}
