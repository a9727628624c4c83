//! One instance of a world that is yet to begin.

use std::collections::BTreeMap;

use amikeep_domain::instance::{InstanceState, RootDevice};
use jiff::Timestamp;

use crate::reply::MachineAttributes;
use crate::world::instances::{Order, OrderKind};
use crate::world::volume_kind::VolumeKind;

#[derive(Debug, Clone)]
pub(crate) struct VolumeSpec {
    pub(crate) device: String,
    pub(crate) size_gib: u32,
    pub(crate) id: Option<String>,
    pub(crate) kind: VolumeKind,
}

/// One instance to be. The first volume is the root.
#[derive(Debug, Clone)]
pub struct InstanceSpec {
    pub(crate) id: String,
    pub(crate) state: InstanceState,
    pub(crate) hibernated: bool,
    pub(crate) hibernation_configured: bool,
    pub(crate) instance_type: String,
    pub(crate) architecture: String,
    pub(crate) platform_details: String,
    pub(crate) product_codes: Vec<String>,
    pub(crate) machine: MachineAttributes,
    pub(crate) zone_suffix: char,
    pub(crate) root: RootDevice,
    pub(crate) root_device_name: Option<String>,
    pub(crate) volumes: Vec<VolumeSpec>,
    pub(crate) instance_store: Vec<(String, String)>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) launched_at: Option<Timestamp>,
    pub(crate) image: Option<String>,
}

impl InstanceSpec {
    /// A running Linux instance with an EBS root of 8 GiB, unless told otherwise.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            state: InstanceState::Running,
            hibernated: false,
            hibernation_configured: false,
            instance_type: "m7g.large".to_owned(),
            architecture: "arm64".to_owned(),
            platform_details: "Linux/UNIX".to_owned(),
            product_codes: Vec::new(),
            machine: MachineAttributes::default(),
            zone_suffix: 'a',
            root: RootDevice::Ebs,
            root_device_name: None,
            volumes: Vec::new(),
            instance_store: Vec::new(),
            tags: BTreeMap::new(),
            launched_at: None,
            image: None,
        }
    }

    /// Adds a tag; `aws:…` too, as AWS itself would.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// Adds an EBS volume of type gp3; the first one is the root.
    #[must_use]
    pub fn volume(self, device: impl Into<String>, size_gib: u32) -> Self {
        self.volume_of(device, size_gib, VolumeKind::default())
    }

    /// Adds an EBS volume of some type.
    #[must_use]
    pub fn volume_of(mut self, device: impl Into<String>, size_gib: u32, kind: VolumeKind) -> Self {
        self.volumes.push(VolumeSpec { device: device.into(), size_gib, id: None, kind });
        self
    }

    /// Adds an EBS volume with a known id.
    #[must_use]
    pub fn volume_with_id(mut self, device: impl Into<String>, size_gib: u32, id: impl Into<String>) -> Self {
        let (device, id) = (device.into(), Some(id.into()));
        self.volumes.push(VolumeSpec { device, size_gib, id, kind: VolumeKind::default() });
        self
    }

    /// Adds an instance-store data volume, such as `/dev/sdb` as `ephemeral0`. It shows in the disks of the instance's
    /// type, and in images, but never in `DescribeInstances`.
    #[must_use]
    pub fn instance_store(mut self, device: impl Into<String>, virtual_name: impl Into<String>) -> Self {
        self.instance_store.push((device.into(), virtual_name.into()));
        self
    }

    /// Its root is in the instance store, at this device.
    #[must_use]
    pub fn instance_store_root(mut self, device: impl Into<String>) -> Self {
        self.root = RootDevice::InstanceStore;
        self.root_device_name = Some(device.into());
        self
    }

    /// Its state when the world begins.
    #[must_use]
    pub fn state(mut self, state: InstanceState) -> Self {
        self.state = state;
        self
    }

    /// Stopped by hibernation.
    #[must_use]
    pub fn hibernated(mut self) -> Self {
        (self.state, self.hibernated, self.hibernation_configured) = (InstanceState::Stopped, true, true);
        self
    }

    /// May hibernate.
    #[must_use]
    pub fn hibernation_configured(mut self) -> Self {
        self.hibernation_configured = true;
        self
    }

    /// Such as `m5d.large`.
    #[must_use]
    pub fn instance_type(mut self, name: impl Into<String>) -> Self {
        self.instance_type = name.into();
        self
    }

    /// `x86_64` or `arm64`.
    #[must_use]
    pub fn architecture(mut self, architecture: impl Into<String>) -> Self {
        self.architecture = architecture.into();
        self
    }

    /// Such as `Windows`.
    #[must_use]
    pub fn platform_details(mut self, details: impl Into<String>) -> Self {
        self.platform_details = details.into();
        self
    }

    /// Adds a product of the AWS Marketplace.
    #[must_use]
    pub fn product_code(mut self, code: impl Into<String>) -> Self {
        self.product_codes.push(code.into());
        self
    }

    /// What it has of its image.
    #[must_use]
    pub fn machine(mut self, machine: MachineAttributes) -> Self {
        self.machine = machine;
        self
    }

    /// The last letter of its availability zone.
    #[must_use]
    pub fn zone(mut self, suffix: char) -> Self {
        self.zone_suffix = suffix;
        self
    }

    /// The image that it was launched from; without it, one of somebody else.
    #[must_use]
    pub fn image(mut self, id: impl Into<String>) -> Self {
        self.image = Some(id.into());
        self
    }

    /// When it was started; without it, a month before the world begins.
    #[must_use]
    pub fn launched_at(mut self, at: Timestamp) -> Self {
        self.launched_at = Some(at);
        self
    }

    /// The orders that led to the state in which the instance begins.
    pub(crate) fn past_orders(&self, launched_at: Timestamp, now: Timestamp) -> Vec<Order> {
        let (last, settled) = match self.state {
            InstanceState::Pending => {
                return vec![Order { kind: OrderKind::Start, at: launched_at, settles_at: Timestamp::MAX }];
            }
            InstanceState::Running => (None, true),
            InstanceState::Stopping => (Some(OrderKind::Stop), false),
            InstanceState::Stopped if self.hibernated => (Some(OrderKind::Hibernate), true),
            InstanceState::Stopped => (Some(OrderKind::Stop), true),
            InstanceState::ShuttingDown => (Some(OrderKind::Terminate), false),
            InstanceState::Terminated => (Some(OrderKind::Terminate), true),
        };
        let mut orders = vec![Order { kind: OrderKind::Start, at: launched_at, settles_at: launched_at }];
        orders.extend(last.map(|kind| Order { kind, at: now, settles_at: if settled { now } else { Timestamp::MAX } }));
        orders
    }
}
