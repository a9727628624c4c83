//! What can be asked of the world, typed once for both faces. Ids are still raw text here, since EC2 itself is what
//! tells a malformed id from an unknown one.

mod action;

pub use amikeep_cloud::Reboot;

use crate::reply::MachineAttributes;
pub use crate::request::action::Action;

/// One `Filter.N`: any of the values is enough, and all filters must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// `Filter.N.Name`.
    pub name: String,
    /// `Filter.N.Value.M`, with `*`, `?` and `\`.
    pub values: Vec<String>,
}

impl Filter {
    /// A filter on `name` that any of `values` satisfies.
    pub fn new<V: Into<String>>(name: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        Self { name: name.into(), values: values.into_iter().map(Into::into).collect() }
    }
}

/// What every paged describe has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// All of them must match.
    pub filters: Vec<Filter>,
    /// The wanted page size; a page may be smaller.
    pub max_results: Option<i64>,
    /// Where the last page ended.
    pub next_token: Option<String>,
}

/// A tag to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTag {
    /// Up to 127 characters, not beginning with `aws:`.
    pub key: String,
    /// Up to 256 characters.
    pub value: String,
}

/// `TagSpecification.N`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagSpecification {
    /// `image` or `snapshot` in `CreateImage`.
    pub resource_type: String,
    /// The tags for every new resource of that type.
    pub tags: Vec<NewTag>,
}

/// `BlockDeviceMapping.N` of `CreateImage`: only what that call can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingChange {
    /// `DeviceName`.
    pub device: String,
    /// What becomes of it.
    pub change: DeviceChange,
}

/// How `CreateImage` treats one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceChange {
    /// `NoDevice`: left out of the image.
    Drop,
    /// `Ebs.DeleteOnTermination`.
    DeleteOnTermination(bool),
    /// An instance-store volume, by its `VirtualName`.
    InstanceStore(String),
}

/// Parameters of `CreateImage`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateImage {
    /// The instance to be imaged.
    pub instance_id: String,
    /// Unique per account and region.
    pub name: String,
    /// Up to 255 characters.
    pub description: Option<String>,
    /// Whether the instance is restarted.
    pub reboot: Reboot,
    /// Changes to the devices.
    pub mappings: Vec<MappingChange>,
    /// Tags on the image and on its snapshots.
    pub tag_specifications: Vec<TagSpecification>,
}

/// Parameters of `DescribeImages`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DescribeImages {
    /// `ImageId.N`.
    pub ids: Vec<String>,
    /// `Owner.N`: `self`, account ids or aliases.
    pub owners: Vec<String>,
    /// Whether disabled images are shown.
    pub include_disabled: bool,
    /// Filters and paging.
    pub query: Query,
}

/// One device of `RegisterImage`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotMapping {
    /// `DeviceName`.
    pub device: String,
    /// `Ebs.SnapshotId`.
    pub snapshot_id: String,
    /// `Ebs.DeleteOnTermination`.
    pub delete_on_termination: bool,
    /// `Ebs.VolumeType`.
    pub volume_type: Option<String>,
    /// `Ebs.Iops`.
    pub iops: Option<u32>,
    /// `Ebs.Throughput`.
    pub throughput: Option<u32>,
}

impl SnapshotMapping {
    /// A snapshot whose volume goes with an instance launched from it, as it is by default.
    pub fn new(device: impl Into<String>, snapshot_id: impl Into<String>) -> Self {
        Self {
            device: device.into(),
            snapshot_id: snapshot_id.into(),
            delete_on_termination: true,
            volume_type: None,
            iops: None,
            throughput: None,
        }
    }
}

/// Parameters of `RegisterImage`, for images on EBS snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterImage {
    /// Unique per account and region.
    pub name: String,
    /// Up to 255 characters.
    pub description: Option<String>,
    /// `x86_64`, `arm64` and others.
    pub architecture: String,
    /// Which device is the root.
    pub root_device_name: String,
    /// The devices with a snapshot.
    pub mappings: Vec<SnapshotMapping>,
    /// The devices with a `VirtualName`.
    pub instance_store: Vec<(String, String)>,
    /// What instances of it get.
    pub machine: MachineAttributes,
    /// Tags on the image.
    pub tag_specifications: Vec<TagSpecification>,
}

/// Parameters of `CreateSnapshots`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateSnapshots {
    /// `InstanceSpecification.InstanceId`.
    pub instance_id: String,
    /// `InstanceSpecification.ExcludeBootVolume`.
    pub exclude_root: bool,
    /// `InstanceSpecification.ExcludeDataVolumeId.N`.
    pub excluded: Vec<String>,
    /// Of each of the snapshots.
    pub description: Option<String>,
    /// Tags on the snapshots.
    pub tag_specifications: Vec<TagSpecification>,
}

/// Parameters of `SendCommand`, for the document that runs a shell script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendCommand {
    /// `InstanceIds`.
    pub instance_ids: Vec<String>,
    /// `DocumentName`.
    pub document_name: String,
    /// `Comment`.
    pub comment: Option<String>,
    /// `TimeoutSeconds`: how long it may wait for its delivery.
    pub timeout_seconds: Option<i64>,
    /// The document's `commands`: lines of a script.
    pub commands: Vec<String>,
    /// The document's `executionTimeout`, in seconds.
    pub execution_timeout: Option<i64>,
}

/// `ResourceType.N` of `DescribeImageReferences`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceTypeRequest {
    /// Such as `ec2:Instance`.
    pub resource_type: String,
    /// `ResourceTypeOption.N`: names with their values.
    pub options: Vec<(String, Vec<String>)>,
}

/// Parameters of `DescribeImageReferences`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DescribeImageReferences {
    /// `ImageId.N`, 1 to 10.
    pub ids: Vec<String>,
    /// `IncludeAllResourceTypes`.
    pub all_types: bool,
    /// `ResourceType.N`.
    pub types: Vec<ResourceTypeRequest>,
    /// Paging; there are no filters.
    pub query: Query,
}

/// A launch template by its id or its name: exactly one of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LaunchTemplateRef {
    /// `LaunchTemplateId`.
    pub id: Option<String>,
    /// `LaunchTemplateName`.
    pub name: Option<String>,
}

/// `LaunchTemplateData`, as far as the simulator has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LaunchTemplateData {
    /// `ImageId`.
    pub image_id: Option<String>,
    /// `InstanceType`.
    pub instance_type: Option<String>,
}

/// Parameters of `CreateLaunchTemplate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateLaunchTemplate {
    /// Unique per account and region.
    pub name: String,
    /// `VersionDescription`.
    pub description: Option<String>,
    /// What its first version says.
    pub data: LaunchTemplateData,
    /// Tags on the template.
    pub tag_specifications: Vec<TagSpecification>,
    /// `ClientToken`.
    pub client_token: Option<String>,
}

/// Parameters of `CreateLaunchTemplateVersion`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateLaunchTemplateVersion {
    /// Of which template.
    pub template: LaunchTemplateRef,
    /// From which version it inherits what `data` does not say.
    pub source_version: Option<String>,
    /// `VersionDescription`.
    pub description: Option<String>,
    /// What it says.
    pub data: LaunchTemplateData,
    /// `ClientToken`.
    pub client_token: Option<String>,
}

/// Parameters of `DescribeLaunchTemplateVersions`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DescribeLaunchTemplateVersions {
    /// Of which template; of all if it names none.
    pub template: LaunchTemplateRef,
    /// Numbers, `$Latest` and `$Default`.
    pub versions: Vec<String>,
    /// `MinVersion`.
    pub min: Option<i64>,
    /// `MaxVersion`.
    pub max: Option<i64>,
    /// Filters and paging.
    pub query: Query,
}

/// A call with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the parameters of EC2's action of the same name")]
pub enum Request {
    DescribeInstances { ids: Vec<String>, query: Query },
    DescribeInstanceStatus { ids: Vec<String>, include_all: bool, query: Query },
    DescribeInstanceTypes { names: Vec<String>, query: Query },
    DescribeVolumes { ids: Vec<String>, query: Query },
    DescribeImages(DescribeImages),
    DescribeSnapshots { ids: Vec<String>, owners: Vec<String>, query: Query },
    DescribeTags { query: Query },
    DescribeRegions { names: Vec<String>, filters: Vec<Filter> },
    DescribeImageReferences(DescribeImageReferences),
    DescribeLaunchTemplates { ids: Vec<String>, names: Vec<String>, query: Query },
    DescribeLaunchTemplateVersions(DescribeLaunchTemplateVersions),
    CreateImage(CreateImage),
    CreateSnapshots(CreateSnapshots),
    RegisterImage(RegisterImage),
    GetInstanceUefiData { instance_id: String },
    CreateTags { resources: Vec<String>, tags: Vec<NewTag> },
    DeleteTags { resources: Vec<String>, tags: Vec<(String, Option<String>)> },
    DeregisterImage { image_id: String, delete_snapshots: bool },
    EnableImageDeregistrationProtection { image_id: String, with_cooldown: bool },
    DisableImageDeregistrationProtection { image_id: String },
    DeleteSnapshot { snapshot_id: String },
    CreateLaunchTemplate(CreateLaunchTemplate),
    CreateLaunchTemplateVersion(CreateLaunchTemplateVersion),
    DeleteLaunchTemplate(LaunchTemplateRef),
    StartInstances { ids: Vec<String> },
    StopInstances { ids: Vec<String>, hibernate: bool },
    TerminateInstances { ids: Vec<String> },
    RebootInstances { ids: Vec<String> },
    GetCallerIdentity,
    SendCommand(SendCommand),
    GetCommandInvocation { command_id: String, instance_id: String },
    CancelCommand { command_id: String, instance_ids: Vec<String> },
    DescribeInstanceInformation { ids: Vec<String> },
    AssumeRole { role_arn: String, session_name: String, external_id: Option<String>, duration_seconds: i64 },
    ListServiceQuotas { service_code: String, max_results: Option<i64>, next_token: Option<String> },
}

impl LaunchTemplateRef {
    fn subjects(&self) -> Vec<&str> {
        self.id.iter().chain(&self.name).map(String::as_str).collect()
    }
}

impl Request {
    /// Which action it is.
    pub fn action(&self) -> Action {
        match self {
            Self::DescribeInstances { .. } => Action::DescribeInstances,
            Self::DescribeInstanceStatus { .. } => Action::DescribeInstanceStatus,
            Self::DescribeInstanceTypes { .. } => Action::DescribeInstanceTypes,
            Self::DescribeVolumes { .. } => Action::DescribeVolumes,
            Self::DescribeImages(_) => Action::DescribeImages,
            Self::DescribeSnapshots { .. } => Action::DescribeSnapshots,
            Self::DescribeTags { .. } => Action::DescribeTags,
            Self::DescribeRegions { .. } => Action::DescribeRegions,
            Self::DescribeImageReferences(_) => Action::DescribeImageReferences,
            Self::DescribeLaunchTemplates { .. } => Action::DescribeLaunchTemplates,
            Self::DescribeLaunchTemplateVersions(_) => Action::DescribeLaunchTemplateVersions,
            Self::CreateImage(_) => Action::CreateImage,
            Self::CreateSnapshots(_) => Action::CreateSnapshots,
            Self::RegisterImage(_) => Action::RegisterImage,
            Self::GetInstanceUefiData { .. } => Action::GetInstanceUefiData,
            Self::CreateTags { .. } => Action::CreateTags,
            Self::DeleteTags { .. } => Action::DeleteTags,
            Self::DeregisterImage { .. } => Action::DeregisterImage,
            Self::EnableImageDeregistrationProtection { .. } => Action::EnableImageDeregistrationProtection,
            Self::DisableImageDeregistrationProtection { .. } => Action::DisableImageDeregistrationProtection,
            Self::DeleteSnapshot { .. } => Action::DeleteSnapshot,
            Self::CreateLaunchTemplate(_) => Action::CreateLaunchTemplate,
            Self::CreateLaunchTemplateVersion(_) => Action::CreateLaunchTemplateVersion,
            Self::DeleteLaunchTemplate(_) => Action::DeleteLaunchTemplate,
            Self::StartInstances { .. } => Action::StartInstances,
            Self::StopInstances { .. } => Action::StopInstances,
            Self::TerminateInstances { .. } => Action::TerminateInstances,
            Self::RebootInstances { .. } => Action::RebootInstances,
            Self::GetCallerIdentity => Action::GetCallerIdentity,
            Self::AssumeRole { .. } => Action::AssumeRole,
            Self::SendCommand(_) => Action::SendCommand,
            Self::GetCommandInvocation { .. } => Action::GetCommandInvocation,
            Self::CancelCommand { .. } => Action::CancelCommand,
            Self::DescribeInstanceInformation { .. } => Action::DescribeInstanceInformation,
            Self::ListServiceQuotas { .. } => Action::ListServiceQuotas,
        }
    }

    /// The ids and names that the call is about: what a fault can be aimed at.
    pub fn subjects(&self) -> Vec<&str> {
        match self {
            Self::CreateImage(call) => vec![&call.instance_id, &call.name],
            Self::CreateSnapshots(call) => vec![&call.instance_id],
            Self::GetInstanceUefiData { instance_id } => vec![instance_id],
            Self::RegisterImage(call) => vec![&call.name],
            Self::DeregisterImage { image_id: id, .. }
            | Self::EnableImageDeregistrationProtection { image_id: id, .. }
            | Self::DisableImageDeregistrationProtection { image_id: id }
            | Self::DeleteSnapshot { snapshot_id: id } => vec![id],
            Self::CreateLaunchTemplate(call) => vec![&call.name],
            Self::CreateLaunchTemplateVersion(call) => call.template.subjects(),
            Self::DeleteLaunchTemplate(template) => template.subjects(),
            Self::DescribeLaunchTemplateVersions(call) => call.template.subjects(),
            Self::DescribeLaunchTemplates { ids, names, .. } => ids.iter().chain(names).map(String::as_str).collect(),
            Self::DescribeImageReferences(call) => call.ids.iter().map(String::as_str).collect(),
            Self::AssumeRole { role_arn, .. } => vec![role_arn],
            Self::SendCommand(call) => call.instance_ids.iter().map(String::as_str).collect(),
            Self::GetCommandInvocation { command_id, instance_id } => vec![command_id, instance_id],
            Self::ListServiceQuotas { service_code, .. } => vec![service_code],
            Self::DescribeImages(call) => call.ids.iter().map(String::as_str).collect(),
            Self::DescribeInstances { ids, .. }
            | Self::DescribeInstanceStatus { ids, .. }
            | Self::DescribeVolumes { ids, .. }
            | Self::DescribeSnapshots { ids, .. }
            | Self::DescribeInstanceTypes { names: ids, .. }
            | Self::DescribeRegions { names: ids, .. }
            | Self::CancelCommand { instance_ids: ids, .. }
            | Self::DescribeInstanceInformation { ids }
            | Self::CreateTags { resources: ids, .. }
            | Self::DeleteTags { resources: ids, .. }
            | Self::StartInstances { ids }
            | Self::StopInstances { ids, .. }
            | Self::TerminateInstances { ids }
            | Self::RebootInstances { ids } => ids.iter().map(String::as_str).collect(),
            Self::DescribeTags { .. } | Self::GetCallerIdentity => Vec::new(),
        }
    }

    /// Filters and paging, where the action has them.
    pub fn query(&self) -> Option<&Query> {
        match self {
            Self::DescribeInstances { query, .. }
            | Self::DescribeInstanceStatus { query, .. }
            | Self::DescribeInstanceTypes { query, .. }
            | Self::DescribeVolumes { query, .. }
            | Self::DescribeSnapshots { query, .. }
            | Self::DescribeLaunchTemplates { query, .. }
            | Self::DescribeTags { query } => Some(query),
            Self::DescribeImages(call) => Some(&call.query),
            Self::DescribeImageReferences(call) => Some(&call.query),
            Self::DescribeLaunchTemplateVersions(call) => Some(&call.query),
            _ => None,
        }
    }
}
