//! What truly happened, for tests and audits: no API of EC2 tells this, and amikeep never sees it.

use amikeep_domain::id::{AccountId, ImageId, InstanceId, Region, SnapshotId, VolumeId};
use amikeep_domain::instance::InstanceState;
use jiff::Timestamp;

use crate::reply::{ImageState, Tags};
use crate::request::{Action, Reboot, Request};
use crate::world::images::Image;
use crate::world::{Contents, Place, World};

/// Why an instance was restarted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RebootCause {
    /// By `CreateImage` without `NoReboot`.
    CreateImage(ImageId),
    /// By `RebootInstances`.
    RebootInstances,
}

/// One restart of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebootRecord {
    /// When it was ordered.
    pub at: Timestamp,
    /// By which call.
    pub cause: RebootCause,
}

/// One image that was ever made, deregistered or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRecord {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// `ami-…`
    pub id: ImageId,
    /// Its name.
    pub name: String,
    /// The instance it was made from.
    pub instance_id: InstanceId,
    /// What `CreateImage` was asked to do.
    pub reboot: Reboot,
    /// When `CreateImage` was called.
    pub created_at: Timestamp,
    /// Its state now, without any lag.
    pub state: ImageState,
    /// When it was deregistered.
    pub deregistered_at: Option<Timestamp>,
    /// Its tags now.
    pub tags: Tags,
    /// Its snapshots, those included that are deleted or not yet begun.
    pub snapshots: Vec<SnapshotRecord>,
}

/// One snapshot that was ever begun or will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRecord {
    /// `snap-…`
    pub id: SnapshotId,
    /// The volume.
    pub volume_id: VolumeId,
    /// The point in time that it holds.
    pub started_at: Timestamp,
    /// What the instance did at that point in time.
    pub instance_state: Option<InstanceState>,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
}

/// How a recorded call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallOutcome {
    /// The caller got its answer.
    Answered,
    /// The caller got this error code.
    Refused(String),
    /// Nothing was done, and the connection was cut.
    LostBeforeEffect,
    /// It was done, and the connection was cut before the answer.
    LostAfterEffect,
    /// Nothing was done, and no answer ever comes.
    Hung,
    /// Nothing was done, and the answer is a page of HTML.
    Garbage,
}

/// One call as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When.
    pub at: Timestamp,
    /// Whose credentials.
    pub account: AccountId,
    /// Which region.
    pub region: Region,
    /// What was asked.
    pub request: Request,
    /// Whether only permissions were asked for.
    pub dry_run: bool,
    /// How it ended.
    pub outcome: CallOutcome,
}

impl Call {
    /// The action of the request.
    pub fn action(&self) -> Action {
        self.request.action()
    }
}

impl World {
    /// Every call so far, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// The calls from the `n`th on, for whoever follows them.
    pub fn calls_from(&self, n: usize) -> Vec<Call> {
        self.state().calls.get(n..).unwrap_or_default().to_vec()
    }

    /// How often an action was called, dry runs and refused calls included.
    pub fn count(&self, action: Action) -> usize {
        self.state().calls.iter().filter(|call| call.action() == action).count()
    }

    /// Every image ever made, oldest first.
    pub fn images(&self) -> Vec<ImageRecord> {
        let now = self.clock().now();
        let state = self.state();
        let places = state.places.iter();
        let mut images: Vec<ImageRecord> = places
            .flat_map(|(place, contents)| {
                contents.images.values().map(move |image| record(place, contents, image, now))
            })
            .collect();
        images.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        images
    }

    /// Every restart of an instance, wherever it is.
    pub fn reboots(&self, instance: &InstanceId) -> Vec<RebootRecord> {
        let state = self.state();
        let found = state.places.values().find_map(|contents| contents.instances.get(instance));
        found.map(|instance| instance.reboots.clone()).unwrap_or_default()
    }

    /// Disables an image, as an operator can outside of amikeep.
    pub fn disable_image(&self, image: &ImageId) {
        let now = self.clock().now();
        for contents in self.state().places.values_mut() {
            if let Some(image) = contents.images.get_mut(image) {
                image.disabled_at = Some(now);
            }
        }
    }
}

fn record(place: &Place, contents: &Contents, image: &Image, now: Timestamp) -> ImageRecord {
    let source = contents.instances.get(&image.facts.source.id);
    let begun = image.snapshot_ids().filter_map(|id| contents.snapshots.get(id));
    let snapshots = begun
        .filter(|snapshot| snapshot.facts.started_at < Timestamp::MAX)
        .map(|snapshot| SnapshotRecord {
            id: snapshot.facts.id.clone(),
            volume_id: snapshot.facts.volume_id.clone(),
            started_at: snapshot.facts.started_at,
            instance_state: source.and_then(|instance| instance.state_at(snapshot.facts.started_at)),
            deleted_at: snapshot.deleted_at,
        })
        .collect();
    ImageRecord {
        account: place.account.clone(),
        region: place.region.clone(),
        id: image.facts.id.clone(),
        name: image.facts.name.clone(),
        instance_id: image.facts.source.id.clone(),
        reboot: image.facts.reboot,
        created_at: image.facts.created_at,
        state: image.state_at(now),
        deregistered_at: image.deregistered_at,
        tags: image.tags.as_of(now),
        snapshots,
    }
}
