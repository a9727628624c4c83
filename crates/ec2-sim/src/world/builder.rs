//! How a world is described before it begins: accounts, regions, instances, and how it behaves.

use std::collections::BTreeMap;
use std::time::Duration;

use amikeep_domain::id::{AccountId, ImageId, InstanceId, InvalidId, Region, VolumeId};
use amikeep_domain::instance::RootDevice;
use jiff::{SignedDuration, Timestamp};

use crate::clock::{SimClock, earlier};
use crate::fault::{Fault, FaultPlan};
use crate::reply::{Attachment, ImageState, InstanceFacts, InstanceType, InvalidLaunchTemplateId, VolumeFacts};
use crate::request::Action;
use crate::rng::Rng;
use crate::world::commands::Commands;
use crate::world::identity::{Iam, Role};
use crate::world::ids::ResourceId;
use crate::world::instances::{Instance, private_ip};
use crate::world::limits::{Buckets, RequestLimits};
use crate::world::paging::Paging;
use crate::world::settings::{ImageDuration, Mishaps, Settings};
use crate::world::spec::{InstanceSpec, VolumeSpec};
use crate::world::tags::TagLog;
use crate::world::template_changes::LaunchTemplateSpec;
use crate::world::volume_kind::{Performance, VolumeKind};
use crate::world::volumes::Volume;
use crate::world::{Contents, Place, State, World, types};

/// How old the instances of a new world are.
const INSTANCE_AGE: SignedDuration = SignedDuration::from_hours(24 * 30);

/// Why a world cannot begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWorld {
    /// An id, account or region is not one.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// An id of a launch template is not one.
    #[error(transparent)]
    TemplateId(#[from] InvalidLaunchTemplateId),
    /// Something without an account and a region to be in.
    #[error("{what} comes before any account and region")]
    Nowhere {
        /// An instance, or the name of a launch template.
        what: String,
    },
    /// A volume of a type that is none, or with what cannot be provisioned of its type.
    #[error("a volume of type {volume_type} {problem}")]
    VolumeKind {
        /// Such as `io2`.
        volume_type: String,
        /// What is wrong, for people.
        problem: &'static str,
    },
    /// The same launch template twice in a region.
    #[error("launch template {name} is there twice")]
    TemplateTwice {
        /// Its name.
        name: String,
    },
    /// An instance cannot be launched from an image that is not available.
    #[error("image {image} is {state} and nothing can be launched from it", state = state.as_str())]
    ImageNotAvailable {
        /// The image.
        image: ImageId,
        /// Its state.
        state: ImageState,
    },
    /// The same instance twice in a region.
    #[error("instance {instance} is there twice")]
    Twice {
        /// The instance.
        instance: InstanceId,
    },
}

/// Describes a world step by step. A mistake is reported by [`build`](Self::build).
#[derive(Debug)]
pub struct WorldBuilder {
    clock: SimClock,
    seed: u64,
    settings: Settings,
    account: Option<AccountId>,
    region: Option<Region>,
    places: BTreeMap<Place, Vec<InstanceSpec>>,
    launch_templates: Vec<(Place, LaunchTemplateSpec)>,
    instance_types: BTreeMap<String, InstanceType>,
    iam: Iam,
    faults: FaultPlan,
    mistake: Option<InvalidWorld>,
}

impl World {
    /// An empty world that stands still at the beginning of 2026, to be filled.
    pub fn builder() -> WorldBuilder {
        // 2026-01-01T00:00:00Z.
        let clock = SimClock::manual(Timestamp::from_second(1_767_225_600).unwrap_or(Timestamp::UNIX_EPOCH));
        WorldBuilder {
            clock,
            seed: 0,
            settings: Settings::default(),
            account: None,
            region: None,
            places: BTreeMap::new(),
            launch_templates: Vec::new(),
            instance_types: types::well_known(),
            iam: Iam::default(),
            faults: FaultPlan::default(),
            mistake: None,
        }
    }

    /// Launches one more instance in a place that the world has. An image of that place must be available; any other is
    /// taken for an image of somebody else.
    pub fn launch(&self, place: &Place, spec: InstanceSpec) -> Result<InstanceId, InvalidWorld> {
        let now = self.clock().now();
        let mut state = self.state();
        let State { rng, places, instance_types, .. } = &mut *state;
        let contents = places.entry(place.clone()).or_default();
        settle(contents, place, spec, now, rng, instance_types)
    }
}

impl WorldBuilder {
    /// The time of this world.
    #[must_use]
    pub fn clock(mut self, clock: SimClock) -> Self {
        self.clock = clock;
        self
    }

    /// Where its chance comes from.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// What follows is in this account, which gets an access key (`access_key_id`).
    #[must_use]
    pub fn account(mut self, id: &str) -> Self {
        match id.parse::<AccountId>() {
            Ok(account) => {
                self.iam.add_account(&account);
                self.account = Some(account);
            }
            Err(error) => self.mistake(InvalidWorld::Id(error)),
        }
        self.settle_place()
    }

    /// What follows is in this region.
    #[must_use]
    pub fn region(mut self, name: &str) -> Self {
        match name.parse() {
            Ok(region) => self.region = Some(region),
            Err(error) => self.mistake(InvalidWorld::Id(error)),
        }
        self.settle_place()
    }

    /// Puts an instance into the present account and region.
    #[must_use]
    pub fn instance(mut self, spec: InstanceSpec) -> Self {
        match (&self.account, &self.region) {
            (Some(account), Some(region)) => {
                let place = Place { account: account.clone(), region: region.clone() };
                self.places.entry(place).or_default().push(spec);
            }
            _ => self.mistake(InvalidWorld::Nowhere { what: spec.id }),
        }
        self
    }

    /// Puts a launch template into the present account and region.
    #[must_use]
    pub fn launch_template(mut self, spec: LaunchTemplateSpec) -> Self {
        match (&self.account, &self.region) {
            (Some(account), Some(region)) => {
                let place = Place { account: account.clone(), region: region.clone() };
                self.launch_templates.push((place, spec));
            }
            _ => self.mistake(InvalidWorld::Nowhere { what: spec.into_name() }),
        }
        self
    }

    /// Adds an instance type or changes its disks.
    #[must_use]
    pub fn instance_type(mut self, name: &str, disks: u32, disk_size_gb: u32) -> Self {
        self.instance_types.insert(name.to_owned(), InstanceType { name: name.to_owned(), disks, disk_size_gb });
        self
    }

    /// A role of the present account that anybody may assume who gives the external id.
    #[must_use]
    pub fn role(mut self, name: &str, external_id: Option<&str>) -> Self {
        if let Some(account) = self.account.clone() {
            let arn = format!("arn:aws:iam::{account}:role/{name}");
            self.iam.add_role(Role { arn, account, external_id: external_id.map(ToOwned::to_owned) });
        }
        self
    }

    /// Takes a permission from everybody in the present account.
    #[must_use]
    pub fn deny(mut self, action: Action) -> Self {
        if let Some(account) = &self.account {
            self.iam.deny(account, action);
        }
        self
    }

    /// Plans something to go wrong.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.add(fault);
        self
    }

    /// How long images are pending.
    #[must_use]
    pub fn image_duration(mut self, duration: ImageDuration) -> Self {
        self.settings.image_duration = duration;
        self
    }

    /// How far reads are behind writes; by default not at all.
    #[must_use]
    pub fn describe_lag(mut self, lag: SignedDuration) -> Self {
        self.settings.describe_lag = lag;
        self
    }

    /// How much later than all else new images, new snapshots and tags show; by default not at all.
    #[must_use]
    pub fn newcomer_lag(mut self, images: SignedDuration, snapshots: SignedDuration, tags: SignedDuration) -> Self {
        let settings = &mut self.settings;
        (settings.new_image_lag, settings.new_snapshot_lag, settings.tag_lag) = (images, snapshots, tags);
        self
    }

    /// What may happen to any image; by default nothing.
    #[must_use]
    pub fn mishaps(mut self, mishaps: Mishaps) -> Self {
        self.settings.mishaps = mishaps;
        self
    }

    /// The endpoint does not know this action and answers `InvalidAction`.
    #[must_use]
    pub fn unknown_action(mut self, action: Action) -> Self {
        self.settings.unknown_actions.insert(action);
        self
    }

    /// How long a call over HTTP takes in real time: half of it before EC2 knows of the call, half after it was carried
    /// out. By default nothing. Connections are made at once, and calls in process take no time.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.settings.latency = latency;
        self
    }

    /// From `CreateImage` to its first snapshot, and from one snapshot to the next; by default 2 s and nothing.
    #[must_use]
    pub fn snapshot_lag(mut self, first: SignedDuration, next: SignedDuration) -> Self {
        (self.settings.snapshot_lag, self.settings.snapshot_spread) = (first, next);
        self
    }

    /// How long starts, stops and the shutdown before a rebooted capture take; by default 20 s, 30 s and 15 s.
    #[must_use]
    pub fn state_changes(mut self, start: SignedDuration, stop: SignedDuration, shutdown: SignedDuration) -> Self {
        (self.settings.start, self.settings.stop, self.settings.shutdown) = (start, stop, shutdown);
        self
    }

    /// How listings are cut.
    #[must_use]
    pub fn paging(mut self, paging: Paging) -> Self {
        self.settings.paging = paging;
        self
    }

    /// Whether requests are limited; by default as EC2 documents.
    #[must_use]
    pub fn request_limits(mut self, limits: RequestLimits) -> Self {
        self.settings.request_limits = limits;
        self
    }

    /// Gives one action another request limit than the documented one, as AWS does on request: a bucket of `capacity`
    /// tokens with `refill` new ones a second.
    #[must_use]
    pub fn request_limit(mut self, action: Action, capacity: f64, refill: f64) -> Self {
        self.settings.special_limits.insert(action, (capacity, refill));
        self
    }

    /// Begins the world.
    pub fn build(self) -> Result<World, InvalidWorld> {
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        let now = self.clock.now();
        let mut rng = Rng::new(self.seed);
        let mut instance_types = self.instance_types;
        let mut places = BTreeMap::new();
        for (place, specs) in self.places {
            let mut contents = Contents::default();
            for spec in specs {
                settle(&mut contents, &place, spec, now, &mut rng, &mut instance_types)?;
            }
            places.insert(place, contents);
        }
        for (place, spec) in self.launch_templates {
            let contents: &mut Contents = places.entry(place.clone()).or_default();
            contents.settle_template(&place, spec, now, &mut rng)?;
        }
        let state = State {
            rng,
            request_ids: Rng::new(self.seed),
            settings: self.settings,
            places,
            instance_types,
            iam: self.iam,
            faults: self.faults,
            buckets: Buckets::default(),
            calls: Vec::new(),
            deletions: Vec::new(),
            commands: Commands::default(),
        };
        Ok(World::new(self.clock, state))
    }

    fn settle_place(mut self) -> Self {
        if let (Some(account), Some(region)) = (&self.account, &self.region) {
            self.places.entry(Place { account: account.clone(), region: region.clone() }).or_default();
        }
        self
    }

    /// The first mistake is the one that is told.
    fn mistake(&mut self, mistake: InvalidWorld) {
        self.mistake.get_or_insert(mistake);
    }
}

/// Puts one instance with its volumes into a place.
fn settle(
    contents: &mut Contents,
    place: &Place,
    spec: InstanceSpec,
    now: Timestamp,
    rng: &mut Rng,
    types: &mut BTreeMap<String, InstanceType>,
) -> Result<InstanceId, InvalidWorld> {
    let id: InstanceId = spec.id.parse()?;
    if contents.instances.contains_key(&id) {
        return Err(InvalidWorld::Twice { instance: id });
    }
    let reservation_id = rng.resource_id("r-");
    let launched_from = match &spec.image {
        Some(image) => contents.check_can_launch(image.parse()?, now)?.to_string(),
        None => rng.resource_id("ami-"),
    };
    let launched_at = spec.launched_at.unwrap_or_else(|| earlier(now, INSTANCE_AGE));
    let zone = format!("{}{}", place.region, spec.zone_suffix);
    let mut volumes = spec.volumes.clone();
    if volumes.is_empty() && spec.root == RootDevice::Ebs {
        let (device, kind) = ("/dev/xvda".to_owned(), VolumeKind::default());
        volumes.push(VolumeSpec { device, size_gib: 8, id: None, kind });
    }
    let disks = u32::try_from(spec.instance_store.len()).unwrap_or(u32::MAX);
    let described = InstanceType { name: spec.instance_type.clone(), disks, disk_size_gb: 75 };
    types.entry(spec.instance_type.clone()).or_insert(described);
    let root_device_name = spec.root_device_name.clone().or_else(|| volumes.first().map(|first| first.device.clone()));
    let facts = InstanceFacts {
        id: id.clone(),
        reservation_id,
        account: place.account.clone(),
        launched_from,
        instance_type: spec.instance_type.clone(),
        architecture: spec.architecture.clone(),
        platform_details: spec.platform_details.clone(),
        product_codes: spec.product_codes.clone(),
        machine: spec.machine.clone(),
        zone,
        root_device: spec.root,
        root_device_name: root_device_name.unwrap_or_else(|| "/dev/sda1".to_owned()),
        private_ip: private_ip(rng),
        hibernation_configured: spec.hibernation_configured,
    };
    let attachments = attach_volumes(contents, &facts, volumes, launched_at, rng)?;
    let instance = Instance {
        facts,
        orders: spec.past_orders(launched_at, now),
        attachments,
        instance_store: spec.instance_store,
        tags: TagLog::new(launched_at, spec.tags),
        reboots: Vec::new(),
    };
    contents.instances.insert(id.clone(), instance);
    Ok(id)
}

impl Contents {
    fn check_can_launch(&self, id: ImageId, now: Timestamp) -> Result<ImageId, InvalidWorld> {
        match self.images.get(&id).map(|image| image.state_at(now)) {
            None | Some(ImageState::Available) => Ok(id),
            Some(state) => Err(InvalidWorld::ImageNotAvailable { image: id, state }),
        }
    }
}

/// Makes the volumes of an instance. Only the root goes with it when it is terminated, as EC2 has it by default.
fn attach_volumes(
    contents: &mut Contents,
    instance: &InstanceFacts,
    specs: Vec<VolumeSpec>,
    created_at: Timestamp,
    rng: &mut Rng,
) -> Result<Vec<Attachment>, InvalidWorld> {
    let mut attachments = Vec::new();
    for spec in specs {
        let volume_id: VolumeId = match &spec.id {
            Some(known) => known.parse()?,
            None => VolumeId::fresh(rng),
        };
        let is_root = instance.root_device == RootDevice::Ebs && spec.device == instance.root_device_name;
        let attached = Attachment {
            device: spec.device,
            volume_id: volume_id.clone(),
            attached_at: created_at,
            delete_on_termination: is_root,
        };
        let Performance { iops, throughput_mib } = spec.kind.performance(spec.size_gib)?;
        let facts = VolumeFacts {
            id: volume_id.clone(),
            size_gib: spec.size_gib,
            volume_type: spec.kind.volume_type,
            iops,
            throughput: throughput_mib,
            encrypted: false,
            zone: instance.zone.clone(),
            created_at,
        };
        let attachment = Some((instance.id.clone(), attached.clone()));
        contents.volumes.insert(volume_id, Volume { facts, attachment, tags: TagLog::default() });
        attachments.push(attached);
    }
    Ok(attachments)
}
