//! A simulated EC2: one world, the port in process and the real Query protocol over HTTP.
//!
//! It is written from EC2's documentation and never bent to what amikeep expects; `docs/ec2-sim.md` says what it
//! simulates, what it does not, and from which page each rule comes. It must never open anything but a loopback port.

mod agent;
mod clock;
mod error;
mod fault;
mod fleet;
pub mod http;
mod port;
mod reply;
mod request;
mod rng;
mod time_text;
mod world;
mod world_file;

pub use amikeep_domain::instance::{InstanceState, RootDevice};

pub use agent::{Agent, AgentLife, HostShell};
pub use clock::SimClock;
pub use error::ApiError;
pub use fault::{Fault, FaultOutcome};
pub use fleet::{FLEET_ACCOUNT, FLEET_REGION};
pub use port::SimCloud;
pub use reply::{
    AgentView, Attachment, CallerIdentity, DeregistrationProtection, ImageFacts, ImageOrigin, ImageReference,
    ImageState, ImageView, InstanceFacts, InstanceType, InstanceView, InvalidLaunchTemplateId, InvocationView,
    LaunchTemplateId, LaunchTemplateVersionView, LaunchTemplateView, MachineAttributes, MappedDevice, Mapping, Page,
    Reply, RoleSession, SnapshotDeletion, SnapshotFacts, SnapshotState, SnapshotView, StateChange, StateReason,
    StatusView, TagView, Tags, TemplateImage, VolumeFacts, VolumeView,
};
pub use request::{
    Action, CreateImage, CreateLaunchTemplate, CreateLaunchTemplateVersion, CreateSnapshots, DescribeImageReferences,
    DescribeImages, DescribeLaunchTemplateVersions, DeviceChange, Filter, LaunchTemplateData, LaunchTemplateRef,
    MappingChange, NewTag, Query, Reboot, RegisterImage, Request, ResourceTypeRequest, SendCommand, SnapshotMapping,
    TagSpecification,
};
pub use world::audit::{
    Call, CallOutcome, Deletion, ImageRecord, RebootCause, RebootRecord, Resource, ResourceRecord, SnapshotRecord,
};
pub use world::builder::{InvalidWorld, WorldBuilder};
pub use world::identity::{Role, Service, access_key_id, default_identity};
pub use world::limits::RequestLimits;
pub use world::paging::{FirstPage, Paging};
pub use world::points::PointInTime;
pub use world::settings::{ImageDuration, ImageFailure, Mishaps};
pub use world::spec::InstanceSpec;
pub use world::template_changes::LaunchTemplateSpec;
pub use world::volume_kind::VolumeKind;
pub use world::{Delivery, Invocation, Place, World};
pub use world_file::InvalidWorldFile;
