//! Images: pending, then available or failed, until somebody deregisters them.
//!
//! Rules: "Create an Amazon EBS-backed AMI", `DescribeImages` and `DeregisterImage`.

use amikeep_domain::id::SnapshotId;
use jiff::{SignedDuration, Timestamp};

use crate::clock::later;
use crate::reply::{
    DeregistrationProtection, ImageFacts, ImageState, ImageView, MappedDevice, Mapping, StateReason, Tags,
};
use crate::time_text::wire_time;
use crate::world::filters::{Attribute, Filterable};
use crate::world::horizon::Horizon;
use crate::world::snapshots::Snapshot;
use crate::world::tags::TagLog;

/// How long a deregistered image gives empty results and not "not found".
const DEREGISTERED_KNOWN_FOR: SignedDuration = SignedDuration::from_hours(1);
/// How long protection holds after it was taken away, if it was given so.
const PROTECTION_COOLDOWN: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) facts: ImageFacts,
    pub(crate) mappings: Vec<Mapping>,
    pub(crate) fate: Fate,
    pub(crate) disabled_at: Option<Timestamp>,
    pub(crate) deregistered_at: Option<Timestamp>,
    pub(crate) protection: DeregistrationProtection,
    /// Until when it is protected although the protection was taken away.
    pub(crate) cooldown_until: Option<Timestamp>,
    pub(crate) tags: TagLog,
}

/// What becomes of a pending image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    Available { at: Timestamp },
    Failed { at: Timestamp, reason: StateReason },
}

/// Whether an image can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registration {
    /// Not yet, or no longer known at all.
    Unknown,
    Registered,
    /// Gone, but its id is still known.
    Deregistered,
}

impl Image {
    pub(crate) fn new(facts: ImageFacts, mappings: Vec<Mapping>, fate: Fate, tags: TagLog) -> Self {
        let protection = DeregistrationProtection::Disabled;
        let (disabled_at, deregistered_at, cooldown_until) = (None, None, None);
        Self { facts, mappings, fate, disabled_at, deregistered_at, protection, cooldown_until, tags }
    }

    /// Whether a read finds it.
    pub(crate) fn shown_as(&self, horizon: &Horizon) -> Registration {
        if horizon.new_images < self.facts.created_at {
            return Registration::Unknown;
        }
        self.registration_at(horizon.at)
    }

    pub(crate) fn is_protected(&self, now: Timestamp) -> bool {
        self.protection != DeregistrationProtection::Disabled || self.cooldown_until.is_some_and(|until| now < until)
    }

    pub(crate) fn unprotect(&mut self, now: Timestamp) {
        if self.protection == DeregistrationProtection::EnabledWithCooldown {
            self.cooldown_until = Some(later(now, PROTECTION_COOLDOWN));
        }
        self.protection = DeregistrationProtection::Disabled;
    }

    pub(crate) fn registration_at(&self, at: Timestamp) -> Registration {
        match self.deregistered_at {
            _ if at < self.facts.created_at => Registration::Unknown,
            Some(gone_at) if later(gone_at, DEREGISTERED_KNOWN_FOR) <= at => Registration::Unknown,
            Some(gone_at) if gone_at <= at => Registration::Deregistered,
            _ => Registration::Registered,
        }
    }

    pub(crate) fn state_at(&self, at: Timestamp) -> ImageState {
        if self.deregistered_at.is_some_and(|gone_at| gone_at <= at) {
            return ImageState::Deregistered;
        }
        match &self.fate {
            Fate::Failed { at: failed_at, .. } if *failed_at <= at => ImageState::Failed,
            Fate::Available { at: available_at } if *available_at <= at => match self.disabled_at {
                Some(disabled_at) if disabled_at <= at => ImageState::Disabled,
                _ => ImageState::Available,
            },
            _ => ImageState::Pending,
        }
    }

    pub(crate) fn is_pending_at(&self, at: Timestamp) -> bool {
        self.facts.created_at <= at && self.state_at(at) == ImageState::Pending
    }

    /// As a read shows it. A device has no snapshot id before its snapshot is begun.
    pub(crate) fn view<'a>(
        &self,
        horizon: &Horizon,
        snapshot: impl Fn(&SnapshotId) -> Option<&'a Snapshot>,
    ) -> Option<ImageView> {
        if self.shown_as(horizon) != Registration::Registered {
            return None;
        }
        let at = horizon.at;
        let state = self.state_at(at);
        let mut mappings = self.mappings.clone();
        for mapping in &mut mappings {
            if let MappedDevice::Ebs { snapshot_id, .. } = &mut mapping.mapped {
                let begun = |id: &SnapshotId| snapshot(id).is_some_and(|snapshot| snapshot.facts.started_at <= at);
                *snapshot_id = snapshot_id.take().filter(begun);
            }
        }
        let state_reason = match &self.fate {
            Fate::Failed { reason, .. } if state == ImageState::Failed => Some(reason.clone()),
            _ => None,
        };
        let (protection, tags) = (self.protection, self.tags.as_of(horizon.tags));
        Some(ImageView { facts: self.facts.clone(), state, state_reason, mappings, protection, tags })
    }

    /// The snapshots that it maps, begun or not.
    pub(crate) fn snapshot_ids(&self) -> impl Iterator<Item = &SnapshotId> {
        self.mappings.iter().filter_map(|mapping| match &mapping.mapped {
            MappedDevice::Ebs { snapshot_id, .. } => snapshot_id.as_ref(),
            MappedDevice::InstanceStore(_) => None,
        })
    }
}

impl ImageView {
    /// `account/name`.
    pub fn location(&self) -> String {
        format!("{}/{}", self.facts.owner, self.facts.name)
    }
}

impl Filterable for ImageView {
    fn attribute(name: &str) -> Option<Attribute<Self>> {
        if let Some(rest) = name.strip_prefix("block-device-mapping.") {
            return mapping_attribute(rest);
        }
        let attribute: Attribute<Self> = match name {
            "architecture" => |i| vec![i.facts.architecture.clone()],
            "creation-date" => |i| vec![wire_time(i.facts.created_at)],
            "description" => |i| i.facts.description.iter().cloned().collect(),
            "boot-mode" => |i| i.facts.machine.boot_mode.iter().cloned().collect(),
            "ena-support" => |i| vec![i.facts.machine.ena_support.to_string()],
            "hypervisor" => |_| vec!["xen".to_owned()],
            "image-id" => |i| vec![i.facts.id.to_string()],
            "image-type" => |_| vec!["machine".to_owned()],
            "is-public" => |_| vec!["false".to_owned()],
            "manifest-location" => |i| vec![i.location()],
            "name" => |i| vec![i.facts.name.clone()],
            "owner-id" => |i| vec![i.facts.owner.to_string()],
            "root-device-name" => |i| vec![i.facts.root_device_name.clone()],
            "root-device-type" => |_| vec!["ebs".to_owned()],
            "source-instance-id" => |i| i.facts.source_instance().iter().map(ToString::to_string).collect(),
            "state" => |i| vec![i.state.as_str().to_owned()],
            "state-reason-code" => |i| i.state_reason.iter().map(|reason| reason.code.clone()).collect(),
            "state-reason-message" => |i| i.state_reason.iter().map(|reason| reason.message.clone()).collect(),
            "virtualization-type" => |i| vec![i.facts.machine.virtualization.clone()],
            _ => return None,
        };
        Some(attribute)
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn cursor(&self) -> &str {
        self.facts.id.as_str()
    }
}

fn mapping_attribute(name: &str) -> Option<Attribute<ImageView>> {
    fn ebs(image: &ImageView, read: impl Fn(&MappedDevice) -> Option<String>) -> Vec<String> {
        image.mappings.iter().filter_map(|mapping| read(&mapping.mapped)).collect()
    }
    let attribute: Attribute<ImageView> = match name {
        "device-name" => |i| i.mappings.iter().map(|mapping| mapping.device.clone()).collect(),
        "delete-on-termination" => |i| {
            ebs(i, |mapped| match mapped {
                MappedDevice::Ebs { delete_on_termination, .. } => Some(delete_on_termination.to_string()),
                MappedDevice::InstanceStore(_) => None,
            })
        },
        "encrypted" => |i| {
            ebs(i, |mapped| match mapped {
                MappedDevice::Ebs { encrypted, .. } => Some(encrypted.to_string()),
                MappedDevice::InstanceStore(_) => None,
            })
        },
        "snapshot-id" => |i| {
            ebs(i, |mapped| match mapped {
                MappedDevice::Ebs { snapshot_id, .. } => snapshot_id.as_ref().map(ToString::to_string),
                MappedDevice::InstanceStore(_) => None,
            })
        },
        "volume-size" => |i| {
            ebs(i, |mapped| match mapped {
                MappedDevice::Ebs { size_gib, .. } => Some(size_gib.to_string()),
                MappedDevice::InstanceStore(_) => None,
            })
        },
        "volume-type" => |i| {
            ebs(i, |mapped| match mapped {
                MappedDevice::Ebs { volume_type, .. } => Some(volume_type.clone()),
                MappedDevice::InstanceStore(_) => None,
            })
        },
        _ => return None,
    };
    Some(attribute)
}
