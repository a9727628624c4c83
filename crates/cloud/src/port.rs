//! The verbs, and what they take and give.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;

use amikeep_domain::id::{AccountId, ImageId, InstanceId, JobId, SnapshotId, VolumeId};
use amikeep_domain::image_attributes::ImageAttributes;
use amikeep_domain::image_name::ImageName;
use amikeep_domain::instance::Instance;
use amikeep_domain::retention::Usage;
use jiff::Timestamp;

use crate::capture::{Registration, SnapshotsRequest};
use crate::command::{CommandId, CommandRequest, CommandState, SeenAgent};
use crate::error::CloudError;
use crate::pacer::Limits;

/// The most values that EC2 takes in one filter ("Using filtering" in the EC2 User Guide). The engine keeps its queries
/// to this, so that one query is one call plus paging.
pub const VALUES_PER_FILTER_MAX: usize = 200;

/// The calls that amikeep makes, by their names in IAM policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// `sts:GetCallerIdentity`.
    GetCallerIdentity,
    /// `sts:AssumeRole`.
    AssumeRole,
    /// `ec2:DescribeInstances`.
    DescribeInstances,
    /// `ec2:DescribeInstanceTypes`, for instance-store disks.
    DescribeInstanceTypes,
    /// `ec2:DescribeImages`.
    DescribeImages,
    /// `ec2:DescribeSnapshots`.
    DescribeSnapshots,
    /// `ec2:CreateImage`.
    CreateImage,
    /// `ec2:CreateTags`.
    CreateTags,
    /// `ec2:DeleteTags`.
    DeleteTags,
    /// `ec2:DeregisterImage`.
    DeregisterImage,
    /// `ec2:DeleteSnapshot`.
    DeleteSnapshot,
    /// `ec2:DescribeImageReferences`.
    DescribeImageReferences,
    /// `ec2:DescribeLaunchTemplates`.
    DescribeLaunchTemplates,
    /// `ec2:DescribeLaunchTemplateVersions`.
    DescribeLaunchTemplateVersions,
    /// `ec2:DescribeVolumes`, for what an image from snapshots carries over.
    DescribeVolumes,
    /// `ec2:GetInstanceUefiData`, for the same.
    GetInstanceUefiData,
    /// `ec2:CreateSnapshots`.
    CreateSnapshots,
    /// `ec2:RegisterImage`.
    RegisterImage,
    /// `ssm:DescribeInstanceInformation`.
    DescribeInstanceInformation,
    /// `ssm:SendCommand`.
    SendCommand,
    /// `ssm:GetCommandInvocation`.
    GetCommandInvocation,
    /// `ssm:CancelCommand`.
    CancelCommand,
    /// `servicequotas:ListServiceQuotas`, for the request limits that are in force.
    ListServiceQuotas,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 23] = [
        Self::GetCallerIdentity,
        Self::AssumeRole,
        Self::DescribeInstances,
        Self::DescribeInstanceTypes,
        Self::DescribeImages,
        Self::DescribeSnapshots,
        Self::CreateImage,
        Self::CreateTags,
        Self::DeleteTags,
        Self::DeregisterImage,
        Self::DeleteSnapshot,
        Self::DescribeImageReferences,
        Self::DescribeLaunchTemplates,
        Self::DescribeLaunchTemplateVersions,
        Self::DescribeVolumes,
        Self::GetInstanceUefiData,
        Self::CreateSnapshots,
        Self::RegisterImage,
        Self::DescribeInstanceInformation,
        Self::SendCommand,
        Self::GetCommandInvocation,
        Self::CancelCommand,
        Self::ListServiceQuotas,
    ];

    /// The service that it belongs to, as IAM writes it.
    pub fn service(self) -> &'static str {
        match self {
            Self::GetCallerIdentity | Self::AssumeRole => "sts",
            Self::DescribeInstanceInformation
            | Self::SendCommand
            | Self::GetCommandInvocation
            | Self::CancelCommand => "ssm",
            Self::ListServiceQuotas => "servicequotas",
            _ => "ec2",
        }
    }

    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GetCallerIdentity => "GetCallerIdentity",
            Self::AssumeRole => "AssumeRole",
            Self::DescribeInstances => "DescribeInstances",
            Self::DescribeInstanceTypes => "DescribeInstanceTypes",
            Self::DescribeImages => "DescribeImages",
            Self::DescribeSnapshots => "DescribeSnapshots",
            Self::CreateImage => "CreateImage",
            Self::CreateTags => "CreateTags",
            Self::DeleteTags => "DeleteTags",
            Self::DeregisterImage => "DeregisterImage",
            Self::DeleteSnapshot => "DeleteSnapshot",
            Self::DescribeImageReferences => "DescribeImageReferences",
            Self::DescribeLaunchTemplates => "DescribeLaunchTemplates",
            Self::DescribeLaunchTemplateVersions => "DescribeLaunchTemplateVersions",
            Self::DescribeVolumes => "DescribeVolumes",
            Self::GetInstanceUefiData => "GetInstanceUefiData",
            Self::CreateSnapshots => "CreateSnapshots",
            Self::RegisterImage => "RegisterImage",
            Self::DescribeInstanceInformation => "DescribeInstanceInformation",
            Self::SendCommand => "SendCommand",
            Self::GetCommandInvocation => "GetCommandInvocation",
            Self::CancelCommand => "CancelCommand",
            Self::ListServiceQuotas => "ListServiceQuotas",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whose credentials these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub account: AccountId,
    /// The user or role, as an ARN.
    pub arn: String,
}

/// Which instances to describe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceQuery {
    /// Every instance of the account and region.
    All,
    /// These; ones that do not exist are left out of the answer. At most [`VALUES_PER_FILTER_MAX`].
    Ids(Vec<InstanceId>),
}

/// Which images to describe. Always those of the own account, disabled ones included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageQuery {
    /// These; ones that do not exist are left out of the answer. At most [`VALUES_PER_FILTER_MAX`].
    Ids(Vec<ImageId>),
    /// Those with one of these names. At most [`VALUES_PER_FILTER_MAX`].
    Names(Vec<ImageName>),
    /// Those with this value of the tag `amikeep:owner`.
    Owner(amikeep_domain::id::Owner),
}

/// The life of an image, in EC2's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageState {
    /// Being made.
    Pending,
    /// Ready to boot from.
    Available,
    /// Disabled by somebody: it exists, and cannot be launched.
    Disabled,
    /// It will not become available: `failed`, `error`, `invalid`, `deregistered`. With EC2's reason.
    Failed {
        /// EC2's reason, or the bare state.
        reason: String,
    },
}

/// One device of an image's block device mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedDevice {
    /// The device name.
    pub device: String,
    /// Its snapshot; absent for a while after `CreateImage`, and for the instance store.
    pub snapshot: Option<SnapshotId>,
    /// The instance-store disk it stands for, `ephemeral0`.
    pub virtual_name: Option<String>,
}

/// An image as described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenImage {
    /// Its id.
    pub id: ImageId,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: ImageState,
    /// When it was asked for, by EC2's clock.
    pub created_at: Option<Timestamp>,
    /// The instance it was taken of, where EC2 says so.
    pub source_instance: Option<InstanceId>,
    /// Its devices.
    pub devices: Vec<MappedDevice>,
    /// What instances of it are billed as, such as `Linux/UNIX`; none where EC2 does not say.
    pub platform_details: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// The life of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotState {
    /// The point in time is fixed, the data is on its way.
    Pending,
    /// All there.
    Completed,
    /// Failed, or in the recycle bin, or anything else that no image can rely on.
    Unusable,
}

/// Which snapshots to describe. Always those of the own account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotQuery {
    /// These; ones that do not exist are left out of the answer. At most [`VALUES_PER_FILTER_MAX`].
    Ids(Vec<SnapshotId>),
    /// Those with this value of the tag `amikeep:owner`.
    Owner(amikeep_domain::id::Owner),
    /// Those with this value of the tag `amikeep:job`.
    Job(JobId),
}

/// A snapshot as described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenSnapshot {
    /// Its id.
    pub id: SnapshotId,
    /// The volume it was taken of.
    pub volume: Option<VolumeId>,
    /// Its state.
    pub state: SnapshotState,
    /// When it was initiated, by EC2's clock.
    pub started_at: Option<Timestamp>,
    /// Its description. `CreateImage` writes there for which image it was made, a copy says that it is one.
    pub description: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// Whether EC2 shuts the instance down and boots it for the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reboot {
    /// It does: `NoReboot` false.
    Yes,
    /// It does not: `NoReboot` true.
    No,
}

/// An image to be made. Nothing is left to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRequest {
    /// Its name: unique in account and region, so a second request with it is refused.
    pub name: ImageName,
    /// The instance.
    pub instance: InstanceId,
    /// Whether it is rebooted.
    pub reboot: Reboot,
    /// Tags for the image and, the same, for each of its snapshots.
    pub tags: BTreeMap<String, String>,
    /// A sentence for the console, at most 255 characters.
    pub description: String,
}

/// Something that can carry tags.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceId {
    /// An image.
    Image(ImageId),
    /// A snapshot.
    Snapshot(SnapshotId),
}

impl ResourceId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Image(id) => id.as_str(),
            Self::Snapshot(id) => id.as_str(),
        }
    }
}

/// What became of one snapshot when its image was deregistered: `DeleteSnapshotReturnCode` in the API Reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotRemoval {
    /// `success`.
    Deleted,
    /// `skipped`: another image uses it.
    Shared,
    /// `missing-permissions`.
    Denied,
    /// `internal-error`, `client-error`, or a code that is not documented.
    Failed {
        /// EC2's code.
        code: String,
    },
}

/// One snapshot of a deregistered image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedSnapshot {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// What became of it.
    pub removal: SnapshotRemoval,
}

/// What a `DryRun` said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// The call would be allowed.
    Allowed,
    /// It would not; with EC2's message.
    Denied(String),
    /// EC2 could not be asked without doing it, or without a resource to ask about; with the reason.
    NotChecked(String),
}

/// The verbs. Each call is one attempt for a mutation; reads may be retried by the adapter. Futures are `Send`, so that
/// the engine can run them on any worker.
pub trait Cloud: Send + Sync + 'static {
    /// Asks whose credentials these are.
    fn observe_identity(&self) -> impl Future<Output = Result<Identity, CloudError>> + Send;

    /// Describes instances: completely, or not at all.
    fn observe_instances(&self, query: InstanceQuery)
    -> impl Future<Output = Result<Vec<Instance>, CloudError>> + Send;

    /// Describes images of the own account, disabled ones included: completely, or not at all.
    fn observe_images(&self, query: ImageQuery) -> impl Future<Output = Result<Vec<SeenImage>, CloudError>> + Send;

    /// Describes snapshots of the own account: completely, or not at all.
    fn observe_snapshots(
        &self,
        query: SnapshotQuery,
    ) -> impl Future<Output = Result<Vec<SeenSnapshot>, CloudError>> + Send;

    /// Asks which of these images anything in the account uses: instances that are not terminated, and any version of any
    /// launch template. Every image that was asked about is in the answer. A refusal of a permission is an answer too:
    /// [`Usage::Unknown`] for all. By `DescribeImageReferences` where the endpoint knows it, else by instances and launch
    /// templates.
    fn observe_usage(
        &self,
        images: Vec<ImageId>,
    ) -> impl Future<Output = Result<BTreeMap<ImageId, Usage>, CloudError>> + Send;

    /// Asks Service Quotas for the request limits of the account; what it does not tell is as documented. A pacer takes
    /// them into force. Nothing depends on the answer but speed: a backup never waits for it.
    fn observe_limits(&self) -> impl Future<Output = Result<Limits, CloudError>> + Send {
        async { Ok(Limits::documented()) }
    }

    /// EC2's time in the last answer of any kind, as its `Date` header had it; `None` before the first answer. Compared
    /// with the host's clock right after a call, it tells whether that clock makes sense.
    fn answered_at(&self) -> Option<Timestamp>;

    /// Waits until a call of `action` may be sent without being throttled; at once where nothing is paced. The next call of
    /// it does not wait again. Asked before what must not be followed by a wait: an intent that is committed, a file
    /// system that is frozen.
    fn ready(&self, _action: Action) -> impl Future<Output = Result<(), CloudError>> + Send {
        async { Ok(()) }
    }

    /// Asks for an image: one attempt, never repeated below this port.
    fn request_image(&self, request: ImageRequest) -> impl Future<Output = Result<ImageId, CloudError>> + Send;

    /// Asks for a snapshot of each EBS volume of an instance: one attempt, never repeated below this port. The ids are in
    /// the answer, and all of them hold one point in time (`CreateSnapshots` in the API Reference). Of an unknown outcome
    /// only the tags of the snapshots tell.
    fn request_snapshots(
        &self,
        request: SnapshotsRequest,
    ) -> impl Future<Output = Result<Vec<SeenSnapshot>, CloudError>> + Send;

    /// Reads what an image of an instance has to carry; `None` for an instance that does not exist.
    fn observe_attributes(
        &self,
        instance: InstanceId,
    ) -> impl Future<Output = Result<Option<ImageAttributes>, CloudError>> + Send;

    /// Makes an image of snapshots: one attempt, never repeated below this port. Snapshots that are not completed are
    /// [`CloudErrorKind::Busy`](crate::CloudErrorKind::Busy).
    fn register_image(&self, registration: Registration) -> impl Future<Output = Result<ImageId, CloudError>> + Send;

    /// Asks what Systems Manager knows of the agent of an instance; `None` for an instance that it does not manage.
    fn observe_agent(&self, instance: InstanceId)
    -> impl Future<Output = Result<Option<SeenAgent>, CloudError>> + Send;

    /// Sends a command: one attempt. There is no client token: a second request is a second command.
    fn run_command(&self, request: CommandRequest) -> impl Future<Output = Result<CommandId, CloudError>> + Send;

    /// Asks where a command is. `None` right after it was sent, when Systems Manager does not know it everywhere yet.
    fn observe_command(
        &self,
        command: CommandId,
        instance: InstanceId,
    ) -> impl Future<Output = Result<Option<CommandState>, CloudError>> + Send;

    /// Asks for a command to be stopped. Nothing promises that it is not delivered or run all the same.
    fn cancel_command(
        &self,
        command: CommandId,
        instance: InstanceId,
    ) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// Adds tags to resources, at most 1,000 of them. Doing it twice changes nothing.
    fn request_tags(
        &self,
        resources: Vec<ResourceId>,
        tags: BTreeMap<String, String>,
    ) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// Removes tags, whatever their values. A tag that is not there is no error.
    fn remove_tags(
        &self,
        resources: Vec<ResourceId>,
        keys: Vec<String>,
    ) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// Deregisters an image and asks for the deletion of its snapshots in the same call: one attempt. The image is gone
    /// even where snapshots are not; a snapshot that the answer does not name was not deleted for certain. An image that
    /// is gone already is [`CloudErrorKind::NotFound`](crate::CloudErrorKind::NotFound).
    fn retire_image(&self, image: ImageId) -> impl Future<Output = Result<Vec<RemovedSnapshot>, CloudError>> + Send;

    /// Deletes a snapshot: one attempt. One that is gone already is `NotFound`, one that an image uses is `InUse`.
    fn delete_snapshot(&self, snapshot: SnapshotId) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// Asks by `DryRun` whether `action` would be allowed; `instance` is one to ask about, where there is one.
    fn probe(
        &self,
        action: Action,
        instance: Option<InstanceId>,
    ) -> impl Future<Output = Result<ProbeOutcome, CloudError>> + Send;
}
