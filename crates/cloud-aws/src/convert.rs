//! What EC2 describes, in the types of the port.
//!
//! Nothing is left out or made up: a description without what the port promises, or with an id of no known shape, is an
//! error of the whole listing. Leaving the entry out would be a partial answer that looks like a complete one.

use std::collections::BTreeMap;
use std::str::FromStr;

use amikeep_cloud::{
    Billing, CommandOutput, CommandState, Identity, ImageAttributes, ImageState, MappedDevice, RemovedSnapshot,
    SeenAgent, SeenImage, SeenSnapshot, SnapshotRemoval, SnapshotState, VolumeAttributes,
};
use amikeep_domain::instance::{AttachedVolume, Hibernation, Instance, InstanceState, RootDevice};
use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types;
use aws_sdk_ec2::types::{AttachmentStatus, DeviceType, InstanceStateName};
use aws_sdk_ssm::operation::get_command_invocation::GetCommandInvocationOutput;
use aws_sdk_ssm::types::{CommandInvocationStatus, InstanceInformation, PingStatus, PlatformType};
use aws_sdk_sts::operation::get_caller_identity::GetCallerIdentityOutput;
use jiff::Timestamp;

/// The reason of a state that tells hibernation from an ordinary stop (`StateReason` in the EC2 API Reference).
const HIBERNATED: &str = "Client.UserInitiatedHibernate";

/// What is wrong with a description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreadable(pub(crate) String);

/// An instance; `instance_store_disks` is what is known of its type. All of it is copied: what is moved out of a page that is
/// freed soon would keep the memory around it from being given back.
pub(crate) fn instance(seen: &types::Instance, instance_store_disks: Option<u32>) -> Result<Instance, Unreadable> {
    let id = seen.instance_id.as_deref().unwrap_or_default();
    let about = |what: &str| Unreadable(format!("instance {id} has {what}"));
    let state = seen.state.as_ref().and_then(|state| state.name()).map_or("", InstanceStateName::as_str);
    let launch_time = seen.launch_time.as_ref().ok_or_else(|| about("no launch time"))?;
    let reason = seen.state_reason.as_ref().and_then(|reason| reason.code.as_deref());
    Ok(Instance {
        id: parsed(id)?,
        state: instance_state(state).ok_or_else(|| about(&format!("the unknown state `{state}`")))?,
        launched_at: timestamp(launch_time).ok_or_else(|| about("an impossible launch time"))?,
        root_device: root_device(seen.root_device_type.as_ref()),
        volumes: attached_volumes(seen.block_device_mappings())?,
        instance_store_disks,
        hibernation: if reason == Some(HIBERNATED) { Hibernation::Hibernated } else { Hibernation::No },
        tags: tags(seen.tags()).into_iter().collect(),
        root_device_name: seen.root_device_name.clone(),
    })
}

fn instance_state(word: &str) -> Option<InstanceState> {
    InstanceState::ALL.into_iter().find(|state| state.as_str() == word)
}

/// Without a word of EC2 the root is taken for EBS: if that is wrong EC2 refuses the image and says why, whereas
/// the other mistake would keep an instance without any.
fn root_device(kind: Option<&DeviceType>) -> RootDevice {
    match kind {
        Some(DeviceType::InstanceStore) => RootDevice::InstanceStore,
        _ => RootDevice::Ebs,
    }
}

fn attached_volumes(mappings: &[types::InstanceBlockDeviceMapping]) -> Result<Vec<AttachedVolume>, Unreadable> {
    let mut volumes = Vec::new();
    for mapping in mappings {
        let Some(ebs) = &mapping.ebs else { continue };
        if ebs.status == Some(AttachmentStatus::Detached) {
            continue;
        }
        let device = mapping.device_name.clone().unwrap_or_default();
        volumes.push(AttachedVolume { device, volume: parsed(ebs.volume_id().unwrap_or_default())? });
    }
    volumes.sort_unstable();
    volumes.shrink_to_fit();
    Ok(volumes)
}

/// An image.
pub(crate) fn image(seen: types::Image) -> Result<SeenImage, Unreadable> {
    let id = seen.image_id.as_deref().unwrap_or_default();
    Ok(SeenImage {
        id: parsed(id)?,
        state: image_state(id, &seen)?,
        created_at: parsed_if_there(seen.creation_date())?,
        source_instance: parsed_if_there(seen.source_instance_id())?,
        devices: seen.block_device_mappings().iter().map(mapped_device).collect::<Result<_, _>>()?,
        tags: tags(seen.tags()),
        platform_details: seen.platform_details,
        name: seen.name.unwrap_or_default(),
    })
}

fn image_state(id: &str, seen: &types::Image) -> Result<ImageState, Unreadable> {
    use types::ImageState as Word;
    match &seen.state {
        Some(Word::Pending | Word::Transient) => Ok(ImageState::Pending),
        Some(Word::Available) => Ok(ImageState::Available),
        Some(Word::Disabled) => Ok(ImageState::Disabled),
        Some(state @ (Word::Failed | Word::Error | Word::Invalid | Word::Deregistered)) => {
            let reason = seen.state_reason().and_then(|reason| reason.message().or(reason.code()));
            Ok(ImageState::Failed { reason: reason.unwrap_or(state.as_str()).to_owned() })
        }
        state => {
            let word = state.as_ref().map_or("", Word::as_str);
            Err(Unreadable(format!("image {id} has the unknown state `{word}`")))
        }
    }
}

fn mapped_device(mapping: &types::BlockDeviceMapping) -> Result<MappedDevice, Unreadable> {
    Ok(MappedDevice {
        device: mapping.device_name().unwrap_or_default().to_owned(),
        snapshot: parsed_if_there(mapping.ebs().and_then(types::EbsBlockDevice::snapshot_id))?,
        virtual_name: mapping.virtual_name().map(str::to_owned),
    })
}

/// A snapshot.
pub(crate) fn snapshot(seen: &types::Snapshot) -> Result<SeenSnapshot, Unreadable> {
    Ok(SeenSnapshot {
        id: parsed(seen.snapshot_id().unwrap_or_default())?,
        volume: parsed_if_there(seen.volume_id())?,
        state: snapshot_state(seen.state.as_ref()),
        started_at: seen.start_time().and_then(timestamp),
        description: seen.description().unwrap_or_default().to_owned(),
        tags: tags(seen.tags()),
    })
}

/// A snapshot as `CreateSnapshots` answers with it.
pub(crate) fn started_snapshot(seen: &types::SnapshotInfo) -> Result<SeenSnapshot, Unreadable> {
    Ok(SeenSnapshot {
        id: parsed(seen.snapshot_id().unwrap_or_default())?,
        volume: parsed_if_there(seen.volume_id())?,
        state: snapshot_state(seen.state.as_ref()),
        started_at: seen.start_time().and_then(timestamp),
        description: seen.description().unwrap_or_default().to_owned(),
        tags: tags(seen.tags()),
    })
}

fn snapshot_state(seen: Option<&types::SnapshotState>) -> SnapshotState {
    match seen {
        Some(types::SnapshotState::Pending) => SnapshotState::Pending,
        Some(types::SnapshotState::Completed) => SnapshotState::Completed,
        _ => SnapshotState::Unusable,
    }
}

/// What of an instance an image has to carry, as far as the instance itself and its volumes, by id, tell. A volume that
/// was not described is an error: its type would be guessed.
pub(crate) fn attributes(
    seen: &types::Instance,
    volumes: &BTreeMap<String, types::Volume>,
) -> Result<ImageAttributes, Unreadable> {
    let id = seen.instance_id().unwrap_or_default();
    let lacks = |what: &str| Unreadable(format!("instance {id} has no {what}"));
    let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let mut attached = Vec::new();
    for mapping in seen.block_device_mappings() {
        let Some(ebs) = mapping.ebs().filter(|ebs| ebs.status != Some(AttachmentStatus::Detached)) else { continue };
        let volume = ebs.volume_id().unwrap_or_default();
        let described = volumes.get(volume).ok_or_else(|| Unreadable(format!("volume {volume} is not described")))?;
        attached.push(volume_attributes(mapping.device_name().unwrap_or_default(), ebs, described)?);
    }
    attached.sort();
    let code = |code: &types::ProductCode| code.product_code_id().map(str::to_owned);
    Ok(ImageAttributes {
        architecture: text(seen.architecture().map(types::ArchitectureValues::as_str))
            .ok_or_else(|| lacks("architecture"))?,
        virtualization: text(seen.virtualization_type().map(types::VirtualizationType::as_str))
            .ok_or_else(|| lacks("virtualization type"))?,
        kernel: text(seen.kernel_id()),
        ramdisk: text(seen.ramdisk_id()),
        root_device_name: text(seen.root_device_name()).ok_or_else(|| lacks("root device name"))?,
        boot_mode: text(seen.boot_mode().map(types::BootModeValues::as_str)),
        tpm_support: text(seen.tpm_support()),
        uefi_data: None,
        ena_support: seen.ena_support().unwrap_or(false),
        sriov_net_support: text(seen.sriov_net_support()),
        imds_support: None,
        volumes: attached,
        instance_store: Vec::new(),
        billing: Billing {
            platform_details: seen.platform_details().unwrap_or_default().to_owned(),
            usage_operation: text(seen.usage_operation()),
            product_codes: seen.product_codes().iter().filter_map(code).collect(),
        },
    })
}

fn volume_attributes(
    device: &str,
    ebs: &types::EbsInstanceBlockDevice,
    described: &types::Volume,
) -> Result<VolumeAttributes, Unreadable> {
    let number = |number: Option<i32>| number.and_then(|number| u32::try_from(number).ok());
    let volume_type = described.volume_type().map_or("", types::VolumeType::as_str);
    if volume_type.is_empty() {
        return Err(Unreadable(format!("volume {} has no type", ebs.volume_id().unwrap_or_default())));
    }
    let attributes = VolumeAttributes {
        device: device.to_owned(),
        volume: parsed(ebs.volume_id().unwrap_or_default())?,
        delete_on_termination: ebs.delete_on_termination().unwrap_or(false),
        volume_type: volume_type.to_owned(),
        iops: number(described.iops()),
        throughput: number(described.throughput()),
    };
    Ok(attributes.settable())
}

/// Where a command is. A status that is not known is taken for one that says nothing.
pub(crate) fn command_state(seen: GetCommandInvocationOutput) -> CommandState {
    use CommandInvocationStatus as Status;
    let output = |seen: GetCommandInvocationOutput| CommandOutput {
        exit_code: seen.response_code,
        stdout: seen.standard_output_content.unwrap_or_default(),
        stderr: seen.standard_error_content.unwrap_or_default(),
    };
    let details = seen.status_details.clone().unwrap_or_default();
    match &seen.status {
        // With -1 it did not run at all, or the agent lost sight of it: the details say which.
        Some(Status::Success | Status::Failed) if 0 <= seen.response_code => CommandState::Ended(output(seen)),
        Some(Status::Success | Status::Failed | Status::Cancelled | Status::TimedOut) => {
            CommandState::GivenUp { details }
        }
        _ => CommandState::Underway,
    }
}

/// What is known of an agent.
pub(crate) fn agent(seen: &InstanceInformation) -> SeenAgent {
    SeenAgent {
        is_online: seen.ping_status() == Some(&PingStatus::Online),
        last_ping_at: seen.last_ping_date_time().and_then(timestamp),
        version: seen.agent_version().unwrap_or_default().to_owned(),
        platform: seen.platform_type().map_or("", PlatformType::as_str).to_owned(),
    }
}

/// What became of a snapshot of a deregistered image.
pub(crate) fn removed_snapshot(seen: &types::DeleteSnapshotReturnCode) -> Result<RemovedSnapshot, Unreadable> {
    let removal = match seen.return_code().map_or("no-code", types::SnapshotReturnCodes::as_str) {
        "success" => SnapshotRemoval::Deleted,
        "skipped" => SnapshotRemoval::Shared,
        "missing-permissions" => SnapshotRemoval::Denied,
        code => SnapshotRemoval::Failed { code: code.to_owned() },
    };
    Ok(RemovedSnapshot { snapshot: parsed(seen.snapshot_id().unwrap_or_default())?, removal })
}

/// Whose credentials they are.
pub(crate) fn identity(seen: GetCallerIdentityOutput) -> Result<Identity, Unreadable> {
    let account = parsed(seen.account().unwrap_or_default())?;
    Ok(Identity { account, arn: seen.arn.unwrap_or_default() })
}

/// The number of instance-store disks of a type.
pub(crate) fn disks(seen: &types::InstanceTypeInfo) -> u32 {
    let disks = seen.instance_storage_info().map(types::InstanceStorageInfo::disks).unwrap_or_default();
    disks.iter().filter_map(|disk| u32::try_from(disk.count()?).ok()).sum()
}

/// A text that has to have a known shape.
pub(crate) fn parsed<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Unreadable> {
    text.parse().map_err(|error: T::Err| Unreadable(error.to_string()))
}

/// A text that may be missing, or empty, which EC2 uses alike.
fn parsed_if_there<T: FromStr<Err: std::fmt::Display>>(text: Option<&str>) -> Result<Option<T>, Unreadable> {
    text.filter(|text| !text.is_empty()).map(parsed).transpose()
}

fn tags(seen: &[types::Tag]) -> BTreeMap<String, String> {
    let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
    seen.iter().map(|tag| (text(tag.key()), text(tag.value()))).collect()
}

fn timestamp(at: &DateTime) -> Option<Timestamp> {
    Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).ok()?).ok()
}
