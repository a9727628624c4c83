//! What the world answers: resources as they are shown to a caller at one moment, typed once for both faces.

mod commands;
mod launch_templates;
mod machine;
mod snapshots;

use std::collections::BTreeMap;

use amikeep_domain::id::{AccountId, ImageId, InstanceId, Region, SnapshotId, VolumeId};
use amikeep_domain::instance::{InstanceState, RootDevice};
use jiff::Timestamp;

use crate::request::Reboot;

pub use crate::reply::commands::{AgentView, InvocationView};
pub use crate::reply::launch_templates::{
    ImageReference, InvalidLaunchTemplateId, LaunchTemplateId, LaunchTemplateVersionView, LaunchTemplateView,
    TemplateImage,
};
pub use crate::reply::machine::MachineAttributes;
pub(crate) use crate::reply::machine::usage_operation;
pub use crate::reply::snapshots::{SnapshotFacts, SnapshotState, SnapshotView};

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it; may be empty although there are more.
    pub items: Vec<T>,
    /// Where to go on; none at the end.
    pub next_token: Option<String>,
}

/// A quota of an account, as Service Quotas shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct QuotaView {
    /// `L-…`, the same for the same name.
    pub code: String,
    /// For people; of a request limit, it is all that tells which one it is.
    pub name: String,
    /// The applied value: a number, never NaN.
    pub value: f64,
}

impl Eq for QuotaView {}

/// The number that goes with a state on the wire.
pub(crate) fn state_code(state: InstanceState) -> u16 {
    match state {
        InstanceState::Pending => 0,
        InstanceState::Running => 16,
        InstanceState::ShuttingDown => 32,
        InstanceState::Terminated => 48,
        InstanceState::Stopping => 64,
        InstanceState::Stopped => 80,
    }
}

/// `rootDeviceType` on the wire.
pub(crate) fn root_device_type(root: RootDevice) -> &'static str {
    match root {
        RootDevice::Ebs => "ebs",
        RootDevice::InstanceStore => "instance-store",
    }
}

/// What does not change in an instance's life here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceFacts {
    /// `i-…`
    pub id: InstanceId,
    /// `r-…`
    pub reservation_id: String,
    /// Whose it is.
    pub account: AccountId,
    /// The image it was launched from.
    pub launched_from: String,
    /// Such as `m7g.large`.
    pub instance_type: String,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// Such as `Linux/UNIX`.
    pub platform_details: String,
    /// Products of the AWS Marketplace.
    pub product_codes: Vec<String>,
    /// What it has of its image.
    pub machine: MachineAttributes,
    /// Such as `eu-central-1a`.
    pub zone: String,
    /// Where the root file system lies.
    pub root_device: RootDevice,
    /// Such as `/dev/xvda`.
    pub root_device_name: String,
    /// The address in its subnet.
    pub private_ip: String,
    /// Whether it may hibernate.
    pub hibernation_configured: bool,
}

/// An EBS volume on a device of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Such as `/dev/xvda`.
    pub device: String,
    /// The volume.
    pub volume_id: VolumeId,
    /// Since when.
    pub attached_at: Timestamp,
    /// Whether the volume goes with the instance.
    pub delete_on_termination: bool,
}

/// EC2's reason for a state: `Client.UserInitiatedShutdown` and its like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateReason {
    /// The code alone.
    pub code: String,
    /// The code and a sentence.
    pub message: String,
}

impl StateReason {
    /// A reason whose message begins with its code, as EC2 writes them.
    pub fn new(code: &str, sentence: &str) -> Self {
        Self { code: code.to_owned(), message: format!("{code}: {sentence}") }
    }
}

/// An instance as shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceView {
    /// What does not change.
    pub facts: InstanceFacts,
    /// Its state then.
    pub state: InstanceState,
    /// Why it is stopped or terminated.
    pub state_reason: Option<StateReason>,
    /// The last start.
    pub launched_at: Timestamp,
    /// EBS volumes; instance-store volumes are never listed here.
    pub attachments: Vec<Attachment>,
    /// Its tags then.
    pub tags: Tags,
}

/// What does not change in a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeFacts {
    /// `vol-…`
    pub id: VolumeId,
    /// In GiB.
    pub size_gib: u32,
    /// Such as `gp3`.
    pub volume_type: String,
    /// Operations a second, of the types that tell them.
    pub iops: Option<u32>,
    /// In MiB/s.
    pub throughput: Option<u32>,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// Such as `eu-central-1a`.
    pub zone: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A volume as shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeView {
    /// What does not change.
    pub facts: VolumeFacts,
    /// The instance that has it.
    pub attachment: Option<(InstanceId, Attachment)>,
    /// Its tags then.
    pub tags: Tags,
}

/// EC2's image states, as far as the simulator shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are EC2's")]
pub enum ImageState {
    Pending,
    Available,
    Failed,
    Disabled,
    Deregistered,
}

impl ImageState {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Available => "available",
            Self::Failed => "failed",
            Self::Disabled => "disabled",
            Self::Deregistered => "deregistered",
        }
    }
}

/// What an image maps a device to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MappedDevice {
    /// A snapshot; none in what is shown before the snapshot is begun.
    Ebs {
        /// The snapshot of the volume.
        snapshot_id: Option<SnapshotId>,
        /// The volume.
        volume_id: VolumeId,
        /// In GiB.
        size_gib: u32,
        /// Such as `gp3`.
        volume_type: String,
        /// Where it was chosen.
        iops: Option<u32>,
        /// Where it was chosen, in MiB/s.
        throughput: Option<u32>,
        /// Whether the volume goes with an instance launched from it.
        delete_on_termination: bool,
        /// Whether it is encrypted.
        encrypted: bool,
    },
    /// An empty instance-store volume such as `ephemeral0`.
    InstanceStore(String),
}

/// `blockDeviceMapping` of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Such as `/dev/xvda`.
    pub device: String,
    /// What lies on it.
    pub mapped: MappedDevice,
}

/// What does not change in an image's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    /// `ami-…`
    pub id: ImageId,
    /// Unique per account and region.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// Whose it is.
    pub owner: AccountId,
    /// How it was made.
    pub origin: ImageOrigin,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// Such as `Linux/UNIX`.
    pub platform_details: String,
    /// What instances of it get.
    pub machine: MachineAttributes,
    /// Such as `/dev/xvda`.
    pub root_device_name: String,
    /// When it was asked for.
    pub created_at: Timestamp,
}

impl ImageFacts {
    /// The instance that it was made from; none for one that was registered from snapshots.
    pub fn source_instance(&self) -> Option<&InstanceId> {
        match &self.origin {
            ImageOrigin::CreateImage { instance, .. } => Some(instance),
            ImageOrigin::RegisterImage => None,
        }
    }
}

/// How an image was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageOrigin {
    /// From an instance.
    CreateImage {
        /// The instance.
        instance: InstanceId,
        /// What the call was asked to do.
        reboot: Reboot,
    },
    /// From snapshots that were there.
    RegisterImage,
}

/// `deregistrationProtection` of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeregistrationProtection {
    /// It can be deregistered; if a cooldown runs, not yet.
    Disabled,
    /// It cannot.
    Enabled,
    /// It cannot, nor for 24 hours after the protection is taken away.
    EnabledWithCooldown,
}

impl DeregistrationProtection {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Enabled => "enabled-without-cooldown",
            Self::EnabledWithCooldown => "enabled-with-cooldown",
        }
    }
}

/// An image as shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageView {
    /// What does not change.
    pub facts: ImageFacts,
    /// Its state then.
    pub state: ImageState,
    /// Why it failed.
    pub state_reason: Option<StateReason>,
    /// Its devices.
    pub mappings: Vec<Mapping>,
    /// Whether it is protected.
    pub protection: DeregistrationProtection,
    /// Its tags then.
    pub tags: Tags,
}

/// One line of `DescribeTags`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagView {
    /// The tagged resource.
    pub resource_id: String,
    /// `instance`, `image`, `snapshot`, `volume` or `launch-template`.
    pub resource_type: &'static str,
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
    /// Orders the listing.
    pub(crate) cursor: String,
}

/// One line of `DescribeInstanceStatus`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusView {
    /// The instance.
    pub instance_id: InstanceId,
    /// Its zone.
    pub zone: String,
    /// Its state then.
    pub state: InstanceState,
    /// `ok`, `initializing` or `not-applicable`: both status checks, which never fail here.
    pub checks: &'static str,
}

/// A kind of instance, as far as the simulator describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceType {
    /// Such as `m5d.large`.
    pub name: String,
    /// Instance-store disks.
    pub disks: u32,
    /// The size of each, in GB.
    pub disk_size_gb: u32,
}

/// `ReturnCode` of `DeregisterImage`, one per snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotDeletion {
    /// It is gone.
    Success,
    /// Another image uses it.
    Skipped,
    /// The caller may not delete snapshots.
    MissingPermissions,
    /// EC2 failed.
    InternalError,
    /// EC2 says that the request was wrong.
    ClientError,
}

impl SnapshotDeletion {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Skipped => "skipped",
            Self::MissingPermissions => "missing-permissions",
            Self::InternalError => "internal-error",
            Self::ClientError => "client-error",
        }
    }
}

/// What start, stop and terminate answer for each instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// The instance.
    pub instance_id: InstanceId,
    /// Before the call.
    pub previous: InstanceState,
    /// After the call.
    pub current: InstanceState,
}

/// What STS says about the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerIdentity {
    /// The 12 digits.
    pub account: AccountId,
    /// The user or the session of a role.
    pub arn: String,
    /// `AIDA…` or `AROA…:session`.
    pub user_id: String,
}

/// What `AssumeRole` hands out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSession {
    /// `ASIA…`
    pub access_key_id: String,
    /// Any text: signatures are not checked.
    pub secret_access_key: String,
    /// Must come with each request.
    pub session_token: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Who the caller has become.
    pub identity: CallerIdentity,
}

/// A successful answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "one variant per kind of answer")]
pub enum Reply {
    Instances(Page<InstanceView>),
    InstanceStatuses(Page<StatusView>),
    InstanceTypes(Page<InstanceType>),
    Volumes(Page<VolumeView>),
    Images(Page<ImageView>),
    Snapshots(Page<SnapshotView>),
    SnapshotsStarted(Vec<SnapshotView>),
    UefiData { instance_id: InstanceId, uefi_data: Option<String> },
    Tags(Page<TagView>),
    Regions(Vec<Region>),
    ImageReferences(Page<ImageReference>),
    LaunchTemplates(Page<LaunchTemplateView>),
    LaunchTemplateVersions(Page<LaunchTemplateVersionView>),
    LaunchTemplate(LaunchTemplateView),
    LaunchTemplateVersion(LaunchTemplateVersionView),
    ImageCreated(ImageId),
    Protection(DeregistrationProtection),
    ImageDeregistered(Vec<(SnapshotId, SnapshotDeletion)>),
    StateChanges(Vec<StateChange>),
    CallerIdentity(CallerIdentity),
    RoleAssumed(RoleSession),
    CommandSent { command_id: String, instance_ids: Vec<String>, at: Timestamp },
    Invocation(InvocationView),
    CommandCancelled,
    Agents(Vec<AgentView>),
    ServiceQuotas(Page<QuotaView>),
    Done,
}
