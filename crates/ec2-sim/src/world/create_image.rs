//! `CreateImage`: what it refuses, what it starts, and when its snapshots and its image will be done.
//!
//! Rules: `CreateImage`, "Create an Amazon EBS-backed AMI", the list of error codes and "Amazon EBS quotas". The call
//! has no client token, and nothing protects a caller from making two images but their names.

use std::collections::{BTreeMap, VecDeque};

use amikeep_domain::id::{ImageId, InstanceId, SnapshotId, VolumeId};
use amikeep_domain::instance::{InstanceState, RootDevice};
use jiff::{SignedDuration, Timestamp};

use crate::clock::later;
use crate::error::ApiError;
use crate::reply::{ImageFacts, ImageOrigin, MappedDevice, Mapping, Reply, SnapshotFacts, SnapshotState, StateReason};
use crate::request::{Action, CreateImage, DeviceChange, NewTag, Reboot, TagSpecification};
use crate::world::audit::{RebootCause, RebootRecord};
use crate::world::ids::{self, ResourceId};
use crate::world::images::{Fate, Image};
use crate::world::instances::{Instance, OrderKind};
use crate::world::settings::{ImageFailure, Mishap};
use crate::world::snapshots::Snapshot;
use crate::world::tags::{self, TagLog};
use crate::world::volume_kind::pending_snapshots_max;
use crate::world::{Contents, Context, State};

/// EC2's limit.
const DESCRIPTION_LEN_MAX: usize = 255;

impl State {
    pub(crate) fn create_image(&mut self, context: &Context<'_>, call: &CreateImage) -> Result<Reply, ApiError> {
        check_name(&call.name)?;
        let tags = NewTags::check(call.description.as_deref(), &call.tag_specifications, &["image", "snapshot"])?;
        let instance_id: InstanceId = ids::parse(&call.instance_id)?;
        let wants_tags = !call.tag_specifications.is_empty();
        if wants_tags && self.iam.is_denied(&context.place.account, Action::CreateTags) {
            return Err(ApiError::unauthorized(&context.caller.arn, Action::CreateTags.as_str()));
        }
        let contents = self.places.entry(context.place.clone()).or_default();
        let instance = contents.instances.get(&instance_id);
        let state = instance.and_then(|instance| instance.state_at(context.now));
        let (Some(instance), Some(state)) = (instance, state) else {
            return Err(ApiError::instance_not_found(std::slice::from_ref(&call.instance_id)));
        };
        context.end_dry_run()?;
        check_instance(instance, state)?;
        let mut mappings = map_devices(instance, contents, call)?;
        contents.check_name_is_free(&call.name, context)?;
        contents.check_snapshot_limit(&mapped_volumes(&mappings), context.now)?;

        let image_id = ImageId::fresh(&mut self.rng);
        let mishap = self.settings.mishaps.draw(&mut self.rng);
        let takes = match mishap {
            Some(Mishap::Slow(takes)) => takes,
            _ => self.settings.draw_image_duration(&instance_id, call.reboot, &mut self.rng),
        };
        let mut failure = self.settings.image_failures.get_mut(&instance_id).and_then(VecDeque::pop_front);
        if mishap == Some(Mishap::Fails) {
            failure = failure.or_else(|| Some(ImageFailure::internal(takes / 2)));
        }
        let restarts = call.reboot == Reboot::Yes && state == InstanceState::Running;
        let shutdown = if restarts { self.settings.shutdown } else { SignedDuration::ZERO };
        let first = later(context.now, self.settings.snapshot_lag.saturating_add(shutdown));
        let capture = Capture { first, spread: self.settings.snapshot_spread, done_at: later(context.now, takes) };
        let snapshots = begin_snapshots(&mut mappings, &capture, || SnapshotId::fresh(&mut self.rng));
        let facts = ImageFacts {
            id: image_id.clone(),
            name: call.name.clone(),
            description: call.description.clone(),
            owner: context.place.account.clone(),
            origin: ImageOrigin::CreateImage { instance: instance_id.clone(), reboot: call.reboot },
            architecture: instance.facts.architecture.clone(),
            platform_details: instance.facts.platform_details.clone(),
            machine: instance.facts.machine.clone(),
            root_device_name: instance.facts.root_device_name.clone(),
            created_at: context.now,
        };
        if restarts {
            contents.restart(&instance_id, context.now, RebootCause::CreateImage(image_id.clone()));
        }
        contents.register(facts, mappings, snapshots, &tags, failure, capture.done_at);
        if mishap == Some(Mishap::InstanceVanishes) {
            contents.terminate_at(&instance_id, later(context.now, takes / 2), self.settings.stop);
        }
        Ok(Reply::ImageCreated(image_id))
    }
}

/// The image's tags and its snapshots' tags.
pub(crate) struct NewTags {
    image: Vec<NewTag>,
    snapshot: Vec<NewTag>,
}

impl NewTags {
    /// Checks what an image shall be described and tagged with; `taggable` are the resources that its call can tag.
    pub(crate) fn check(
        description: Option<&str>,
        specifications: &[TagSpecification],
        taggable: &[&str],
    ) -> Result<Self, ApiError> {
        if description.is_some_and(|text| DESCRIPTION_LEN_MAX < text.chars().count()) {
            let message =
                format!("Character sets beyond {DESCRIPTION_LEN_MAX} characters are not supported for description");
            return Err(ApiError::client("InvalidParameterValue", message));
        }
        let mut checked = Self { image: Vec::new(), snapshot: Vec::new() };
        for specification in specifications {
            match specification.resource_type.as_str() {
                other if !taggable.contains(&other) => {
                    let message = format!("'{other}' is not a valid taggable resource type for this operation.");
                    return Err(ApiError::client("InvalidParameterValue", message));
                }
                "image" => checked.image.extend(specification.tags.iter().cloned()),
                _ => checked.snapshot.extend(specification.tags.iter().cloned()),
            }
        }
        for tags in [&checked.image, &checked.snapshot] {
            tags::check_new(tags)?;
            TagLog::default().check_room(tags)?;
        }
        Ok(checked)
    }

    pub(crate) fn image_log(&self, at: Timestamp) -> TagLog {
        TagLog::of(&self.image, at)
    }

    pub(crate) fn snapshot_log(&self, at: Timestamp) -> TagLog {
        TagLog::of(&self.snapshot, at)
    }
}

pub(crate) fn check_name(name: &str) -> Result<(), ApiError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "()[] ./-'@_".contains(c);
    if (3..=128).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    let message = "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', \
                   '[', ']', ' ', '.', '/', '-', ''', '@' and '_'";
    Err(ApiError::client("InvalidAMIName.Malformed", message))
}

fn check_instance(instance: &Instance, state: InstanceState) -> Result<(), ApiError> {
    let id = &instance.facts.id;
    if !matches!(state, InstanceState::Running | InstanceState::Stopped) {
        // EC2's list of codes has IncorrectInstanceState, but this is the refusal that CreateImage is seen to give.
        let message = format!("Invalid value '{id}' for instanceId. Instance is not in state 'running' or 'stopped'");
        return Err(ApiError::client("InvalidParameterValue", message));
    }
    if instance.facts.root_device == RootDevice::InstanceStore {
        let message = format!("The instance '{id}' does not have an 'ebs' root device type and cannot be imaged.");
        return Err(ApiError::client("UnsupportedOperation", message));
    }
    Ok(())
}

/// The devices of the image. Its snapshots are not begun yet.
fn map_devices(instance: &Instance, contents: &Contents, call: &CreateImage) -> Result<Vec<Mapping>, ApiError> {
    let mut mappings: Vec<Mapping> = Vec::new();
    for attached in &instance.attachments {
        let Some(volume) = contents.volumes.get(&attached.volume_id) else { continue };
        let mapped = MappedDevice::Ebs {
            snapshot_id: None,
            volume_id: attached.volume_id.clone(),
            size_gib: volume.facts.size_gib,
            volume_type: volume.facts.volume_type.clone(),
            iops: volume.facts.iops,
            throughput: volume.facts.throughput,
            delete_on_termination: attached.delete_on_termination,
            encrypted: volume.facts.encrypted,
        };
        mappings.push(Mapping { device: attached.device.clone(), mapped });
    }
    for (device, virtual_name) in &instance.instance_store {
        let mapped = MappedDevice::InstanceStore(virtual_name.clone());
        mappings.push(Mapping { device: device.clone(), mapped });
    }
    let invalid = |message: String| Err(ApiError::client("InvalidBlockDeviceMapping", message));
    for change in &call.mappings {
        let device = &change.device;
        let at = mappings.iter().position(|mapping| mapping.device == *device);
        match (&change.change, at) {
            (DeviceChange::Drop, _) if *device == instance.facts.root_device_name => {
                return invalid(format!("The root device '{device}' cannot be left out of an image"));
            }
            (DeviceChange::Drop, at) => mappings.retain(|mapping| at.is_none() || mapping.device != *device),
            (DeviceChange::DeleteOnTermination(wanted), Some(at)) => match &mut mappings[at].mapped {
                MappedDevice::Ebs { delete_on_termination, .. } => *delete_on_termination = *wanted,
                MappedDevice::InstanceStore(_) => return invalid(format!("'{device}' is not an EBS volume")),
            },
            (DeviceChange::DeleteOnTermination(_), None) => {
                return invalid(format!("Instance does not have a volume attached at '{device}'"));
            }
            (DeviceChange::InstanceStore(name), None) => {
                let mapped = MappedDevice::InstanceStore(name.clone());
                mappings.push(Mapping { device: device.clone(), mapped });
            }
            (DeviceChange::InstanceStore(_), Some(_)) => return invalid(format!("'{device}' is in use")),
        }
    }
    Ok(mappings)
}

fn mapped_volumes(mappings: &[Mapping]) -> Vec<VolumeId> {
    let volume = |mapping: &Mapping| match &mapping.mapped {
        MappedDevice::Ebs { volume_id, .. } => Some(volume_id.clone()),
        MappedDevice::InstanceStore(_) => None,
    };
    mappings.iter().filter_map(volume).collect()
}

/// When the snapshots begin and when the image is done.
struct Capture {
    first: Timestamp,
    spread: SignedDuration,
    done_at: Timestamp,
}

/// A snapshot that will begin.
struct Begun {
    id: SnapshotId,
    started_at: Timestamp,
    completes_at: Timestamp,
    mapped: MappedDevice,
}

/// Gives each EBS device its snapshot. Snapshots are complete somewhat before the image is.
fn begin_snapshots(mappings: &mut [Mapping], capture: &Capture, mut fresh: impl FnMut() -> SnapshotId) -> Vec<Begun> {
    let mut begun = Vec::new();
    let mut started_at = capture.first;
    for mapping in mappings {
        if let MappedDevice::Ebs { snapshot_id, .. } = &mut mapping.mapped {
            let id = fresh();
            *snapshot_id = Some(id.clone());
            let left = capture.done_at.duration_since(started_at).max(SignedDuration::ZERO);
            let completes_at = later(started_at, left / 10 * 9);
            begun.push(Begun { id, started_at, completes_at, mapped: mapping.mapped.clone() });
            started_at = later(started_at, capture.spread);
        }
    }
    begun
}

impl Contents {
    /// A name is free again once its deregistration is visible everywhere. A failed image still holds its name: EC2
    /// does not document it, and so no caller may count on the contrary.
    pub(crate) fn check_name_is_free(&self, name: &str, context: &Context<'_>) -> Result<(), ApiError> {
        let holds = |image: &&Image| image.deregistered_at.is_none_or(|gone_at| context.horizon.at < gone_at);
        match self.images.values().filter(holds).find(|image| image.facts.name == name) {
            None => Ok(()),
            Some(image) => {
                let message = format!("AMI name {name} is already in use by AMI {}", image.facts.id);
                Err(ApiError::client("InvalidAMIName.Duplicate", message))
            }
        }
    }

    pub(crate) fn check_snapshot_limit(&self, volumes: &[VolumeId], now: Timestamp) -> Result<(), ApiError> {
        for volume_id in volumes {
            let pending = |snapshot: &&Snapshot| {
                snapshot.facts.volume_id == *volume_id
                    && snapshot.deleted_at.is_none()
                    && snapshot.facts.started_at < Timestamp::MAX
                    && snapshot.state_at(now) != SnapshotState::Completed
            };
            let volume_type = self.volumes.get(volume_id).map_or("gp3", |volume| &volume.facts.volume_type);
            if pending_snapshots_max(volume_type) <= self.snapshots.values().filter(pending).count() {
                let message = format!("Maximum allowed in-progress snapshots for the volume '{volume_id}' exceeded.");
                return Err(ApiError::client("ConcurrentSnapshotLimitExceeded", message));
            }
        }
        Ok(())
    }

    /// Restarts an instance, which fails every image of it that is still pending.
    pub(crate) fn restart(&mut self, id: &InstanceId, at: Timestamp, cause: RebootCause) {
        self.interrupt_images(id, at);
        if let Some(instance) = self.instances.get_mut(id) {
            instance.reboots.push(RebootRecord { at, cause });
        }
    }

    /// Fails what is pending of an instance that is rebooted or terminated.
    pub(crate) fn interrupt_images(&mut self, id: &InstanceId, at: Timestamp) {
        let reason = StateReason::new(
            "Client.InstanceTerminated",
            "The instance was terminated or rebooted during AMI creation.",
        );
        for image in self.images.values_mut() {
            if image.facts.source_instance() == Some(id) && image.is_pending_at(at) {
                image.fate = Fate::Failed { at, reason: reason.clone() };
                abandon_snapshots(&mut self.snapshots, image, at);
            }
        }
    }

    /// Terminates an instance at a time that may be yet to come, which fails what is pending of it then.
    pub(crate) fn terminate_at(&mut self, id: &InstanceId, at: Timestamp, takes: SignedDuration) {
        self.interrupt_images(id, at);
        if let Some(instance) = self.instances.get_mut(id) {
            instance.order(OrderKind::Terminate, at, takes);
        }
    }

    fn register(
        &mut self,
        facts: ImageFacts,
        mappings: Vec<Mapping>,
        snapshots: Vec<Begun>,
        tags: &NewTags,
        failure: Option<ImageFailure>,
        done_at: Timestamp,
    ) {
        let source = facts.source_instance().map(ToString::to_string).unwrap_or_default();
        let description = format!("Created by CreateImage({source}) for {}", facts.id);
        let mut available_at = done_at;
        for begun in snapshots {
            let MappedDevice::Ebs { volume_id, size_gib, encrypted, .. } = begun.mapped else { continue };
            available_at = available_at.max(begun.completes_at);
            let snapshot_facts = SnapshotFacts {
                id: begun.id.clone(),
                volume_id,
                size_gib,
                encrypted,
                description: description.clone(),
                owner: facts.owner.clone(),
                started_at: begun.started_at,
            };
            let snapshot = Snapshot {
                facts: snapshot_facts,
                completes_at: begun.completes_at,
                failed_at: None,
                set: Vec::new(),
                deleted_at: None,
                is_locked: false,
                fails_with: None,
                tags: tags.snapshot_log(begun.started_at),
            };
            self.snapshots.insert(begun.id, snapshot);
        }
        let id = facts.id.clone();
        let fails = failure.map(|failure| (later(facts.created_at, failure.after), failure.reason));
        let fate = match fails {
            Some((at, reason)) => Fate::Failed { at, reason },
            None => Fate::Available { at: available_at },
        };
        let tags = tags.image_log(facts.created_at);
        let image = Image::new(facts, mappings, fate, tags);
        if let Fate::Failed { at, .. } = image.fate {
            abandon_snapshots(&mut self.snapshots, &image, at);
        }
        self.images.insert(id, image);
    }
}

/// Snapshots that a failed image had not begun yet never begin. Those that it had begun stay: EC2 does not say that
/// they go.
fn abandon_snapshots(snapshots: &mut BTreeMap<SnapshotId, Snapshot>, image: &Image, failed_at: Timestamp) {
    for id in image.snapshot_ids() {
        if let Some(snapshot) = snapshots.get_mut(id)
            && failed_at < snapshot.facts.started_at
        {
            snapshot.facts.started_at = Timestamp::MAX;
            snapshot.completes_at = Timestamp::MAX;
        }
    }
}
