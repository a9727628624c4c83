//! Images that are registered from snapshots: what they are registered with, and how far the snapshots are.

use std::collections::BTreeMap;

use amikeep_domain::id::{SnapshotId, VolumeId};
use amikeep_domain::image_attributes::{Billing, ImageAttributes, InstanceStoreDevice, VolumeAttributes};
use amikeep_domain::job::{Capturing, IntendedRegistration, Taken, TakenStep};
use serde::{Deserialize, Serialize};

use crate::field::Unreadable;
use crate::stored::{text, time};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredRegistration {
    attributes: StoredAttributes,
    tags: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredAttributes {
    architecture: String,
    virtualization: String,
    kernel: Option<String>,
    ramdisk: Option<String>,
    root_device_name: String,
    boot_mode: Option<String>,
    tpm_support: Option<String>,
    uefi_data: Option<String>,
    ena_support: bool,
    sriov_net_support: Option<String>,
    imds_support: Option<String>,
    volumes: Vec<StoredVolumeAttributes>,
    /// Device and virtual name of each.
    instance_store: Vec<(String, String)>,
    platform_details: String,
    usage_operation: Option<String>,
    product_codes: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredVolumeAttributes {
    device: String,
    volume: String,
    delete_on_termination: bool,
    volume_type: String,
    iops: Option<u32>,
    throughput: Option<u32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredTaken {
    /// By volume.
    snapshots: BTreeMap<String, String>,
    taken_at: String,
    stalled: bool,
    tries: u32,
    step: StoredStep,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
enum StoredStep {
    Copying,
    Complete { retry_at: Option<String> },
    Registering { recorded_at: String, unknown_since: Option<String>, name_in_use: bool },
}

impl From<&IntendedRegistration> for StoredRegistration {
    fn from(registration: &IntendedRegistration) -> Self {
        let it = &registration.attributes;
        let volume = |volume: &VolumeAttributes| StoredVolumeAttributes {
            device: volume.device.clone(),
            volume: volume.volume.to_string(),
            delete_on_termination: volume.delete_on_termination,
            volume_type: volume.volume_type.clone(),
            iops: volume.iops,
            throughput: volume.throughput,
        };
        let attributes = StoredAttributes {
            architecture: it.architecture.clone(),
            virtualization: it.virtualization.clone(),
            kernel: it.kernel.clone(),
            ramdisk: it.ramdisk.clone(),
            root_device_name: it.root_device_name.clone(),
            boot_mode: it.boot_mode.clone(),
            tpm_support: it.tpm_support.clone(),
            uefi_data: it.uefi_data.clone(),
            ena_support: it.ena_support,
            sriov_net_support: it.sriov_net_support.clone(),
            imds_support: it.imds_support.clone(),
            volumes: it.volumes.iter().map(volume).collect(),
            instance_store: it.instance_store.iter().map(|it| (it.device.clone(), it.virtual_name.clone())).collect(),
            platform_details: it.billing.platform_details.clone(),
            usage_operation: it.billing.usage_operation.clone(),
            product_codes: it.billing.product_codes.clone(),
        };
        Self { attributes, tags: registration.tags.clone() }
    }
}

impl TryFrom<StoredRegistration> for IntendedRegistration {
    type Error = Unreadable;

    fn try_from(stored: StoredRegistration) -> Result<Self, Unreadable> {
        let StoredRegistration { attributes: it, tags } = stored;
        let volume = |volume: StoredVolumeAttributes| -> Result<VolumeAttributes, Unreadable> {
            Ok(VolumeAttributes {
                device: volume.device,
                volume: volume.volume.parse()?,
                delete_on_termination: volume.delete_on_termination,
                volume_type: volume.volume_type,
                iops: volume.iops,
                throughput: volume.throughput,
            })
        };
        let disk = |(device, virtual_name)| InstanceStoreDevice { device, virtual_name };
        let attributes = ImageAttributes {
            architecture: it.architecture,
            virtualization: it.virtualization,
            kernel: it.kernel,
            ramdisk: it.ramdisk,
            root_device_name: it.root_device_name,
            boot_mode: it.boot_mode,
            tpm_support: it.tpm_support,
            uefi_data: it.uefi_data,
            ena_support: it.ena_support,
            sriov_net_support: it.sriov_net_support,
            imds_support: it.imds_support,
            volumes: it.volumes.into_iter().map(volume).collect::<Result<_, _>>()?,
            instance_store: it.instance_store.into_iter().map(disk).collect(),
            billing: Billing {
                platform_details: it.platform_details,
                usage_operation: it.usage_operation,
                product_codes: it.product_codes,
            },
        };
        Ok(Self { attributes, tags })
    }
}

impl From<&Taken> for StoredTaken {
    fn from(taken: &Taken) -> Self {
        let step = match &taken.step {
            TakenStep::Copying => StoredStep::Copying,
            TakenStep::Complete { retry_at } => StoredStep::Complete { retry_at: retry_at.as_ref().map(text) },
            TakenStep::Registering { recorded_at, outcome } => StoredStep::Registering {
                recorded_at: text(recorded_at),
                unknown_since: outcome.unknown_since.as_ref().map(text),
                name_in_use: outcome.name_in_use,
            },
        };
        Self {
            snapshots: taken.snapshots.iter().map(|(volume, id)| (volume.to_string(), id.to_string())).collect(),
            taken_at: text(&taken.taken_at),
            stalled: taken.stalled,
            tries: taken.tries,
            step,
        }
    }
}

impl TryFrom<StoredTaken> for Taken {
    type Error = Unreadable;

    fn try_from(stored: StoredTaken) -> Result<Self, Unreadable> {
        let step = match stored.step {
            StoredStep::Copying => TakenStep::Copying,
            StoredStep::Complete { retry_at } => {
                TakenStep::Complete { retry_at: retry_at.as_deref().map(time).transpose()? }
            }
            StoredStep::Registering { recorded_at, unknown_since, name_in_use } => {
                let unknown_since = unknown_since.as_deref().map(time).transpose()?;
                let outcome = Capturing { unknown_since, name_in_use };
                TakenStep::Registering { recorded_at: time(&recorded_at)?, outcome }
            }
        };
        let pair = |(volume, id): (String, String)| -> Result<(VolumeId, SnapshotId), Unreadable> {
            Ok((volume.parse()?, id.parse()?))
        };
        Ok(Self {
            snapshots: stored.snapshots.into_iter().map(pair).collect::<Result<_, _>>()?,
            taken_at: time(&stored.taken_at)?,
            stalled: stored.stalled,
            tries: stored.tries,
            step,
        })
    }
}
