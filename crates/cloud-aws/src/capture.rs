//! Images in two steps: the snapshots of an instance, what an image of it has to carry, and the image of the snapshots.

use std::collections::BTreeMap;

use amikeep_cloud::{
    Action, CloudError, ImageAttributes, InstanceStoreDevice, Registration, SeenSnapshot, SnapshotsRequest,
};
use amikeep_domain::id::{ImageId, InstanceId};
use aws_sdk_ec2::operation::create_snapshots::builders::CreateSnapshotsFluentBuilder;
use aws_sdk_ec2::operation::register_image::builders::RegisterImageFluentBuilder;
use aws_sdk_ec2::types::{
    ArchitectureValues, BlockDeviceMapping, BootModeValues, EbsBlockDevice, Filter, HttpTokensState, Image,
    ImdsSupportValues, Instance, InstanceBootModeValues, InstanceSpecification, ResourceType, TagSpecification,
    TpmSupportValues, Volume, VolumeType,
};

use crate::client::AwsCloud;
use crate::convert::{self, Unreadable};
use crate::page::{ENTRIES_PER_PAGE, Page, every_page, filters};
use crate::write::{described, tag_list};

/// Variables of UEFI are documented only beside a boot mode, and an instance whose image names none has them if its type boots
/// by UEFI and by nothing else: then that is said ("Amazon EC2 instance launch behavior with boot modes" in the User Guide).
fn boot_mode(attributes: &ImageAttributes) -> Option<&str> {
    attributes.boot_mode.as_deref().or_else(|| attributes.uefi_data.as_ref().map(|_| "uefi"))
}

impl AwsCloud {
    pub(crate) async fn create_snapshots(&self, request: &SnapshotsRequest) -> Result<Vec<SeenSnapshot>, CloudError> {
        let call = self.call(Action::CreateSnapshots);
        let answer = self.snapshots_request(request).customize().interceptor(call.watch()).send().await;
        let answer = answer.map_err(|error| call.failed(&error))?;
        let started: Result<Vec<_>, _> = answer.snapshots().iter().map(convert::started_snapshot).collect();
        let mut started = started.map_err(|Unreadable(what)| call.unreadable(&what, None))?;
        if started.is_empty() {
            return Err(call.unreadable("it names no snapshot", None));
        }
        started.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(started)
    }

    /// The request for snapshots of every volume, the root included, ready to be sent.
    pub(crate) fn snapshots_request(&self, request: &SnapshotsRequest) -> CreateSnapshotsFluentBuilder {
        let specification = TagSpecification::builder()
            .resource_type(ResourceType::Snapshot)
            .set_tags(Some(tag_list(&request.tags)))
            .build();
        self.writes
            .create_snapshots()
            .instance_specification(InstanceSpecification::builder().instance_id(request.instance.as_str()).build())
            .description(described(&request.description))
            .set_tag_specifications((!request.tags.is_empty()).then(|| vec![specification]))
    }

    pub(crate) async fn register(&self, registration: &Registration) -> Result<ImageId, CloudError> {
        let call = self.call(Action::RegisterImage);
        let answer = self.registration(registration).customize().interceptor(call.watch()).send().await;
        let answer = answer.map_err(|error| call.failed(&error))?;
        let id = convert::parsed(answer.image_id().unwrap_or_default());
        id.map_err(|Unreadable(what)| call.unreadable(&what, None))
    }

    /// The request for an image of snapshots, ready to be sent. What is left out has a default at EC2 that is another
    /// one: `i386`, `paravirtual`, no ENA.
    pub(crate) fn registration(&self, registration: &Registration) -> RegisterImageFluentBuilder {
        let it = &registration.attributes;
        let specification = TagSpecification::builder()
            .resource_type(ResourceType::Image)
            .set_tags(Some(tag_list(&registration.tags)))
            .build();
        self.writes
            .register_image()
            .name(registration.name.as_str())
            .description(described(&registration.description))
            .architecture(ArchitectureValues::from(it.architecture.as_str()))
            .virtualization_type(&it.virtualization)
            .set_kernel_id(it.kernel.clone())
            .set_ramdisk_id(it.ramdisk.clone())
            .root_device_name(&it.root_device_name)
            .set_boot_mode(boot_mode(it).map(BootModeValues::from))
            .set_tpm_support(it.tpm_support.as_deref().map(TpmSupportValues::from))
            .set_uefi_data(it.uefi_data.clone())
            .ena_support(it.ena_support)
            .set_sriov_net_support(it.sriov_net_support.clone())
            .set_imds_support(it.imds_support.as_deref().map(ImdsSupportValues::from))
            .set_block_device_mappings(Some(mappings(registration)))
            .set_tag_specifications((!registration.tags.is_empty()).then(|| vec![specification]))
    }

    /// What an image of the instance has to carry. `ImdsSupport` and the names of instance-store disks are told by
    /// nothing but the image that the instance was launched from, which may be gone.
    pub(crate) async fn attributes(&self, instance: &InstanceId) -> Result<Option<ImageAttributes>, CloudError> {
        let filter = filters("instance-id", [instance.as_str()]).into_iter().next();
        let Some(seen) = self.describe_instances(filter).await?.into_iter().next() else { return Ok(None) };
        let image = self.launched_from(&seen).await?;
        let volumes = self.described_volumes(&seen).await?;
        let uefi_data = match seen.current_instance_boot_mode {
            Some(InstanceBootModeValues::Uefi) => self.uefi_data(instance).await?,
            _ => None,
        };
        let call = self.call(Action::DescribeInstances);
        let attributes = convert::attributes(&seen, &volumes);
        let mut attributes = attributes.map_err(|Unreadable(what)| call.unreadable(&what, None))?;
        attributes.uefi_data = uefi_data;
        attributes.imds_support = imds_support(&seen, image.as_ref());
        attributes.instance_store = image.as_ref().map(instance_store).unwrap_or_default();
        Ok(Some(attributes))
    }

    async fn launched_from(&self, seen: &Instance) -> Result<Option<Image>, CloudError> {
        let Some(image) = seen.image_id() else { return Ok(None) };
        let call = self.call(Action::DescribeImages);
        let filter = Filter::builder().name("image-id").values(image).build();
        // Whoever owns it: most instances were launched from somebody else's image.
        let request = self.reads.describe_images().filters(filter).include_deprecated(true);
        let answer = request.customize().interceptor(call.watch()).send().await;
        let answer = answer.map_err(|error| call.failed(&error))?;
        Ok(answer.images.unwrap_or_default().into_iter().next())
    }

    async fn described_volumes(&self, seen: &Instance) -> Result<BTreeMap<String, Volume>, CloudError> {
        let ids = seen.block_device_mappings().iter().filter_map(|mapping| mapping.ebs()?.volume_id());
        let call = self.call(Action::DescribeVolumes);
        let mut volumes = BTreeMap::new();
        for filter in filters("volume-id", ids) {
            let request = self.reads.describe_volumes().filters(filter).max_results(ENTRIES_PER_PAGE);
            let described = every_page(&call, async |token| {
                let request = request.clone().set_next_token(token);
                let answer = request.customize().interceptor(call.watch()).send().await;
                let answer = answer.map_err(|error| call.failed(&error))?;
                Ok(Page { entries: answer.volumes.unwrap_or_default(), next: answer.next_token })
            });
            let by_id = |volume: Volume| (volume.volume_id.clone().unwrap_or_default(), volume);
            volumes.extend(described.await?.into_iter().map(by_id));
        }
        Ok(volumes)
    }

    async fn uefi_data(&self, instance: &InstanceId) -> Result<Option<String>, CloudError> {
        let call = self.call(Action::GetInstanceUefiData);
        let request = self.reads.get_instance_uefi_data().instance_id(instance.as_str());
        let answer = request.customize().interceptor(call.watch()).send().await;
        let answer = answer.map_err(|error| call.failed(&error))?;
        Ok(answer.uefi_data.filter(|data| !data.is_empty()))
    }
}

/// As the image says. Where it is gone, an instance that insists on version 2 gets an image that does.
fn imds_support(seen: &Instance, image: Option<&Image>) -> Option<String> {
    if let Some(image) = image {
        return image.imds_support().map(|support| support.as_str().to_owned());
    }
    let tokens = seen.metadata_options().and_then(|options| options.http_tokens());
    (tokens == Some(&HttpTokensState::Required)).then(|| ImdsSupportValues::V20.as_str().to_owned())
}

fn instance_store(image: &Image) -> Vec<InstanceStoreDevice> {
    let device = |mapping: &BlockDeviceMapping| {
        let (device, virtual_name) = (mapping.device_name()?.to_owned(), mapping.virtual_name()?.to_owned());
        Some(InstanceStoreDevice { device, virtual_name })
    };
    image.block_device_mappings().iter().filter_map(device).collect()
}

/// The encryption of a volume is that of its snapshot, and cannot be said here.
fn mappings(registration: &Registration) -> Vec<BlockDeviceMapping> {
    let it = &registration.attributes;
    let volumes = it.volumes.iter().filter_map(|volume| {
        let snapshot = registration.snapshots.get(&volume.volume)?;
        let ebs = EbsBlockDevice::builder()
            .snapshot_id(snapshot.as_str())
            .delete_on_termination(volume.delete_on_termination)
            .volume_type(VolumeType::from(volume.volume_type.as_str()))
            .set_iops(volume.iops.and_then(|iops| i32::try_from(iops).ok()))
            .set_throughput(volume.throughput.and_then(|throughput| i32::try_from(throughput).ok()))
            .build();
        Some(BlockDeviceMapping::builder().device_name(&volume.device).ebs(ebs).build())
    });
    let is_free = |device: &&InstanceStoreDevice| it.volumes.iter().all(|volume| volume.device != device.device);
    let disks =
        it.instance_store.iter().filter(is_free).map(|disk| {
            BlockDeviceMapping::builder().device_name(&disk.device).virtual_name(&disk.virtual_name).build()
        });
    volumes.chain(disks).collect()
}
