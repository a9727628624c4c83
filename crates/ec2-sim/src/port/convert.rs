//! From what the world shows to what the port gives. Nothing here decides or asks.

use amikeep_cloud::{
    ImageState, MappedDevice, RemovedSnapshot, SeenImage, SeenSnapshot, SnapshotRemoval, SnapshotState,
};
use amikeep_domain::id::SnapshotId;
use amikeep_domain::instance::{AttachedVolume, Hibernation, Instance};

use crate::reply::{self, ImageView, InstanceView, SnapshotDeletion, SnapshotView};

pub(crate) fn instance(disks: Option<u32>, view: InstanceView) -> Instance {
    let reason = view.state_reason.as_ref().map(|reason| reason.code.as_str());
    let hibernated = reason == Some("Client.UserInitiatedHibernate");
    let attached = |attached: reply::Attachment| AttachedVolume { device: attached.device, volume: attached.volume_id };
    let mut volumes: Vec<_> = view.attachments.into_iter().map(attached).collect();
    volumes.sort();
    Instance {
        id: view.facts.id,
        state: view.state,
        launched_at: view.launched_at,
        root_device: view.facts.root_device,
        root_device_name: Some(view.facts.root_device_name),
        volumes,
        instance_store_disks: disks,
        hibernation: if hibernated { Hibernation::Hibernated } else { Hibernation::No },
        tags: view.tags.into_iter().collect(),
    }
}

pub(crate) fn seen_image(view: ImageView) -> SeenImage {
    let reason = view.state_reason.map(|reason| reason.message);
    let state = match view.state {
        reply::ImageState::Pending => ImageState::Pending,
        reply::ImageState::Available => ImageState::Available,
        reply::ImageState::Disabled => ImageState::Disabled,
        state @ (reply::ImageState::Failed | reply::ImageState::Deregistered) => {
            ImageState::Failed { reason: reason.unwrap_or_else(|| state.as_str().to_owned()) }
        }
    };
    let device = |mapping: reply::Mapping| match mapping.mapped {
        reply::MappedDevice::Ebs { snapshot_id, .. } => {
            MappedDevice { device: mapping.device, snapshot: snapshot_id, virtual_name: None }
        }
        reply::MappedDevice::InstanceStore(name) => {
            MappedDevice { device: mapping.device, snapshot: None, virtual_name: Some(name) }
        }
    };
    let source_instance = view.facts.source_instance().cloned();
    SeenImage {
        source_instance,
        id: view.facts.id,
        name: view.facts.name,
        state,
        created_at: Some(view.facts.created_at),
        devices: view.mappings.into_iter().map(device).collect(),
        platform_details: Some(view.facts.platform_details),
        tags: view.tags,
    }
}

pub(crate) fn seen_snapshot(view: SnapshotView) -> SeenSnapshot {
    SeenSnapshot {
        id: view.facts.id,
        volume: Some(view.facts.volume_id),
        state: match view.state {
            reply::SnapshotState::Pending => SnapshotState::Pending,
            reply::SnapshotState::Completed => SnapshotState::Completed,
            reply::SnapshotState::Error => SnapshotState::Unusable,
        },
        started_at: Some(view.facts.started_at),
        description: view.facts.description,
        tags: view.tags,
    }
}

pub(crate) fn removed_snapshot((snapshot, deletion): (SnapshotId, SnapshotDeletion)) -> RemovedSnapshot {
    let removal = match deletion {
        SnapshotDeletion::Success => SnapshotRemoval::Deleted,
        SnapshotDeletion::Skipped => SnapshotRemoval::Shared,
        SnapshotDeletion::MissingPermissions => SnapshotRemoval::Denied,
        failed @ (SnapshotDeletion::InternalError | SnapshotDeletion::ClientError) => {
            SnapshotRemoval::Failed { code: failed.as_str().to_owned() }
        }
    };
    RemovedSnapshot { snapshot, removal }
}
