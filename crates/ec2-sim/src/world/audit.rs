//! What truly happened, for tests and audits: no API of EC2 tells this, and amikeep never sees it.

use std::collections::BTreeSet;

use amikeep_domain::id::{AccountId, ImageId, InstanceId, Region, SnapshotId, VolumeId};
use amikeep_domain::instance::InstanceState;
use jiff::Timestamp;

use crate::reply::{ImageOrigin, ImageState, LaunchTemplateId, Tags};
use crate::request::{Action, Reboot, Request};
use crate::world::images::Image;
use crate::world::tags::TagLog;
use crate::world::{Contents, Context, Place, World};

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

/// One image that `CreateImage` ever made, deregistered or not.
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
    /// It was done, and the caller got this error code all the same.
    RefusedAfterEffect(String),
    /// It was done, and the answer broke off in its body.
    CutInBody,
    /// Nothing was done, and the connection was cut.
    LostBeforeEffect,
    /// It was done, and the connection was cut before the answer.
    LostAfterEffect,
    /// Nothing was done, and no answer ever comes.
    Hung,
    /// It was done, and no answer ever comes.
    HungAfterEffect,
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

/// Something that an account can have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// An instance.
    Instance(InstanceId),
    /// A volume.
    Volume(VolumeId),
    /// An image.
    Image(ImageId),
    /// A snapshot.
    Snapshot(SnapshotId),
    /// A launch template.
    LaunchTemplate(LaunchTemplateId),
}

impl Resource {
    /// The id as text.
    pub fn id(&self) -> &str {
        match self {
            Self::Instance(id) => id.as_str(),
            Self::Volume(id) => id.as_str(),
            Self::Image(id) => id.as_str(),
            Self::Snapshot(id) => id.as_str(),
            Self::LaunchTemplate(id) => id.as_str(),
        }
    }
}

/// One image or snapshot that a call removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// When.
    pub at: Timestamp,
    /// In which account.
    pub account: AccountId,
    /// In which region.
    pub region: Region,
    /// Who called, as an ARN.
    pub caller: String,
    /// By which call: `DeregisterImage` removes snapshots too.
    pub action: Action,
    /// What.
    pub resource: Resource,
    /// Its tags when it went.
    pub tags: Tags,
}

impl Deletion {
    pub(crate) fn new(context: &Context<'_>, action: Action, resource: Resource, tags: Tags) -> Self {
        Self {
            at: context.now,
            account: context.place.account.clone(),
            region: context.place.region.clone(),
            caller: context.caller.arn.clone(),
            action,
            resource,
            tags,
        }
    }
}

/// One resource that was ever there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceRecord {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// What it is.
    pub resource: Resource,
    /// Its tags now, or its last ones.
    pub tags: Tags,
    /// When an image or snapshot was removed by a call, or a launch template.
    pub removed_at: Option<Timestamp>,
}

impl World {
    /// Every image and snapshot that a call removed, oldest first.
    pub fn deletions(&self) -> Vec<Deletion> {
        self.state().deletions.clone()
    }

    /// The removals from the `n`th on, for whoever follows them.
    pub fn deletions_from(&self, n: usize) -> Vec<Deletion> {
        self.state().deletions.get(n..).unwrap_or_default().to_vec()
    }

    /// Every resource that was ever there, with its tags: whose it is, each test tells by them. Snapshots that are not
    /// begun are left out.
    pub fn resources(&self) -> Vec<ResourceRecord> {
        self.resources_where(|_| true)
    }

    /// Those of [`resources`](Self::resources) whose tag `key` has one of `values`, for whoever asks often.
    pub fn resources_tagged(&self, key: &str, values: &BTreeSet<String>) -> Vec<ResourceRecord> {
        let now = self.clock().now();
        self.resources_where(|tags| tags.value_at(key, now).is_some_and(|value| values.contains(value)))
    }

    fn resources_where(&self, is_wanted: impl Fn(&TagLog) -> bool) -> Vec<ResourceRecord> {
        let now = self.clock().now();
        let state = self.state();
        state.places.iter().flat_map(|(place, contents)| resources(place, contents, now, &is_wanted)).collect()
    }

    /// The tags of an image or a snapshot now, or its last ones; none of anything else.
    pub fn tags_of(&self, resource: &str) -> Option<Tags> {
        let now = self.clock().now();
        let state = self.state();
        let image = resource.parse::<ImageId>().ok();
        let snapshot = resource.parse::<SnapshotId>().ok();
        state.places.values().find_map(|contents| {
            let image = image.as_ref().and_then(|id| contents.images.get(id)).map(|it| &it.tags);
            let log = image.or_else(|| Some(&contents.snapshots.get(snapshot.as_ref()?)?.tags));
            log.map(|log| log.as_of(now))
        })
    }

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

    /// Every image that `CreateImage` ever made, oldest first.
    pub fn images(&self) -> Vec<ImageRecord> {
        self.images_where(|_| true)
    }

    /// Those of [`images`](Self::images) whose tag `key` has one of `values`, for whoever asks often.
    pub fn images_tagged(&self, key: &str, values: &BTreeSet<String>) -> Vec<ImageRecord> {
        let now = self.clock().now();
        self.images_where(|tags| tags.value_at(key, now).is_some_and(|value| values.contains(value)))
    }

    fn images_where(&self, is_wanted: impl Fn(&TagLog) -> bool) -> Vec<ImageRecord> {
        let now = self.clock().now();
        let state = self.state();
        let mut images = Vec::new();
        for (place, contents) in &state.places {
            let wanted = contents.images.values().filter(|image| is_wanted(&image.tags));
            images.extend(wanted.filter_map(|image| record(place, contents, image, now)));
        }
        images.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        images
    }

    /// Every restart of an instance, wherever it is.
    pub fn reboots(&self, instance: &InstanceId) -> Vec<RebootRecord> {
        let state = self.state();
        let found = state.places.values().find_map(|contents| contents.instances.get(instance));
        found.map(|instance| instance.reboots.clone()).unwrap_or_default()
    }
}

fn resources(
    place: &Place,
    contents: &Contents,
    now: Timestamp,
    is_wanted: impl Fn(&TagLog) -> bool,
) -> Vec<ResourceRecord> {
    let record = |resource: Resource, tags: &TagLog, removed_at: Option<Timestamp>| ResourceRecord {
        account: place.account.clone(),
        region: place.region.clone(),
        resource,
        tags: tags.as_of(now),
        removed_at,
    };
    let instances = contents.instances.iter().filter(|(_, it)| is_wanted(&it.tags));
    let instances = instances.map(|(id, it)| record(Resource::Instance(id.clone()), &it.tags, None));
    let volumes = contents.volumes.iter().filter(|(_, it)| is_wanted(&it.tags));
    let volumes = volumes.map(|(id, it)| record(Resource::Volume(id.clone()), &it.tags, None));
    let images = contents.images.iter().filter(|(_, it)| is_wanted(&it.tags));
    let images = images.map(|(id, it)| record(Resource::Image(id.clone()), &it.tags, it.deregistered_at));
    let snapshots = contents.snapshots.iter().filter(|(_, it)| it.facts.started_at <= now && is_wanted(&it.tags));
    let snapshots = snapshots.map(|(id, it)| record(Resource::Snapshot(id.clone()), &it.tags, it.deleted_at));
    let templates = contents.launch_templates.iter().filter(|(_, it)| is_wanted(&it.tags));
    let templates = templates.map(|(id, it)| record(Resource::LaunchTemplate(id.clone()), &it.tags, it.deleted_at));
    instances.chain(volumes).chain(images).chain(snapshots).chain(templates).collect()
}

/// None for an image that was registered and not made of an instance.
fn record(place: &Place, contents: &Contents, image: &Image, now: Timestamp) -> Option<ImageRecord> {
    let ImageOrigin::CreateImage { instance, reboot } = &image.facts.origin else { return None };
    let source = contents.instances.get(instance);
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
    Some(ImageRecord {
        account: place.account.clone(),
        region: place.region.clone(),
        id: image.facts.id.clone(),
        name: image.facts.name.clone(),
        instance_id: instance.clone(),
        reboot: *reboot,
        created_at: image.facts.created_at,
        state: image.state_at(now),
        deregistered_at: image.deregistered_at,
        tags: image.tags.as_of(now),
        snapshots,
    })
}
