//! Images in two steps: the snapshots of an instance, what an image of it has to carry, and the image of the snapshots.

use std::collections::BTreeMap;

use amikeep_cloud::{
    Action, Billing, CloudError, ImageAttributes, InstanceStoreDevice, Registration, SeenSnapshot, SnapshotsRequest,
    VolumeAttributes,
};
use amikeep_domain::id::{ImageId, InstanceId, VolumeId};

use crate::port::{SimCloud, convert, lost, new_tags, one_filter_each};
use crate::reply::{
    ImageView, InstanceView, MachineAttributes, MappedDevice, Page, Reply, VolumeFacts, usage_operation,
};
use crate::request::{
    CreateSnapshots, DescribeImages, Filter, RegisterImage, Request, SnapshotMapping, TagSpecification,
};

impl SimCloud {
    pub(crate) fn start_snapshots(&self, request: &SnapshotsRequest) -> Result<Vec<SeenSnapshot>, CloudError> {
        let call = CreateSnapshots {
            instance_id: request.instance.to_string(),
            exclude_root: false,
            excluded: Vec::new(),
            description: Some(request.description.clone()),
            tag_specifications: specification("snapshot", &request.tags),
        };
        match self.send(Action::CreateSnapshots, Request::CreateSnapshots(call), false)? {
            Reply::SnapshotsStarted(started) => {
                let mut started: Vec<_> = started.into_iter().map(convert::seen_snapshot).collect();
                started.sort_by(|a, b| a.id.cmp(&b.id));
                Ok(started)
            }
            _ => Err(lost(Action::CreateSnapshots, "bad-answer", "the answer cannot be used")),
        }
    }

    pub(crate) fn register(&self, registration: Registration) -> Result<ImageId, CloudError> {
        match self.send(Action::RegisterImage, Request::RegisterImage(register_image(registration)), false)? {
            Reply::ImageCreated(id) => Ok(id),
            _ => Err(lost(Action::RegisterImage, "bad-answer", "the answer cannot be used")),
        }
    }

    pub(crate) fn attributes(&self, instance: &InstanceId) -> Result<Option<ImageAttributes>, CloudError> {
        let filter = [Filter::new("instance-id", [instance.to_string()])];
        let request = |query| Request::DescribeInstances { ids: Vec::new(), query };
        let views = self.list(Action::DescribeInstances, &filter, request, |reply| match reply {
            Reply::Instances(page) => Some(page),
            _ => None,
        })?;
        let Some(view) = views.into_iter().next() else { return Ok(None) };
        let image = self.launched_from(&view)?;
        let volumes = self.volumes_of(&view)?;
        let uefi_data = match view.facts.machine.boot_mode.as_deref() {
            Some("uefi") => self.uefi_data(instance)?,
            _ => None,
        };
        Ok(Some(attributes(view, image.as_ref(), &volumes, uefi_data)))
    }

    fn launched_from(&self, view: &InstanceView) -> Result<Option<ImageView>, CloudError> {
        let filter = [Filter::new("image-id", [view.facts.launched_from.clone()])];
        let request = |query| Request::DescribeImages(DescribeImages { query, ..DescribeImages::default() });
        let images = self.list(Action::DescribeImages, &filter, request, |reply| match reply {
            Reply::Images(page) => Some(page),
            _ => None,
        })?;
        Ok(images.into_iter().next())
    }

    fn volumes_of(&self, view: &InstanceView) -> Result<BTreeMap<VolumeId, VolumeFacts>, CloudError> {
        let ids = view.attachments.iter().map(|attached| attached.volume_id.to_string());
        let mut volumes = BTreeMap::new();
        for filters in one_filter_each("volume-id", ids) {
            let request = |query| Request::DescribeVolumes { ids: Vec::new(), query };
            let described = self.list(Action::DescribeVolumes, &filters, request, |reply| match reply {
                Reply::Volumes(Page { items, next_token }) => Some(Page { items, next_token }),
                _ => None,
            })?;
            volumes.extend(described.into_iter().map(|volume| (volume.facts.id.clone(), volume.facts)));
        }
        Ok(volumes)
    }

    fn uefi_data(&self, instance: &InstanceId) -> Result<Option<String>, CloudError> {
        let request = Request::GetInstanceUefiData { instance_id: instance.to_string() };
        match self.send(Action::GetInstanceUefiData, request, false)? {
            Reply::UefiData { uefi_data, .. } => Ok(uefi_data),
            _ => Err(lost(Action::GetInstanceUefiData, "bad-answer", "the answer cannot be used")),
        }
    }
}

fn specification(resource_type: &str, tags: &BTreeMap<String, String>) -> Vec<TagSpecification> {
    if tags.is_empty() {
        return Vec::new();
    }
    vec![TagSpecification { resource_type: resource_type.to_owned(), tags: new_tags(tags) }]
}

fn register_image(registration: Registration) -> RegisterImage {
    let Registration { name, attributes: it, snapshots, tags, description } = registration;
    let mapping = |volume: VolumeAttributes| {
        let snapshot_id = snapshots.get(&volume.volume)?.to_string();
        Some(SnapshotMapping {
            device: volume.device,
            snapshot_id,
            delete_on_termination: volume.delete_on_termination,
            volume_type: Some(volume.volume_type),
            iops: volume.iops,
            throughput: volume.throughput,
        })
    };
    let mappings: Vec<SnapshotMapping> = it.volumes.into_iter().filter_map(mapping).collect();
    let is_free = |device: &InstanceStoreDevice| mappings.iter().all(|mapping| mapping.device != device.device);
    let instance_store = it.instance_store.into_iter().filter(is_free).map(|it| (it.device, it.virtual_name)).collect();
    RegisterImage {
        name: name.to_string(),
        description: Some(description),
        architecture: it.architecture,
        root_device_name: it.root_device_name,
        mappings,
        instance_store,
        machine: MachineAttributes {
            virtualization: it.virtualization,
            boot_mode: it.boot_mode,
            tpm_support: it.tpm_support,
            uefi_data: it.uefi_data,
            ena_support: it.ena_support,
            sriov_net_support: it.sriov_net_support,
            imds_support: it.imds_support,
        },
        tag_specifications: specification("image", &tags),
    }
}

fn attributes(
    view: InstanceView,
    image: Option<&ImageView>,
    volumes: &BTreeMap<VolumeId, VolumeFacts>,
    uefi_data: Option<String>,
) -> ImageAttributes {
    let InstanceView { facts, attachments, .. } = view;
    let volume = |attached: &crate::reply::Attachment| {
        let described = volumes.get(&attached.volume_id)?;
        let volume = VolumeAttributes {
            device: attached.device.clone(),
            volume: attached.volume_id.clone(),
            delete_on_termination: attached.delete_on_termination,
            volume_type: described.volume_type.clone(),
            iops: described.iops,
            throughput: described.throughput,
        };
        Some(volume.settable())
    };
    let mut attached: Vec<VolumeAttributes> = attachments.iter().filter_map(volume).collect();
    attached.sort();
    let disk = |mapping: &crate::reply::Mapping| match &mapping.mapped {
        MappedDevice::InstanceStore(virtual_name) => {
            Some(InstanceStoreDevice { device: mapping.device.clone(), virtual_name: virtual_name.clone() })
        }
        MappedDevice::Ebs { .. } => None,
    };
    let usage_operation = usage_operation(&facts.platform_details).to_owned();
    ImageAttributes {
        architecture: facts.architecture,
        virtualization: facts.machine.virtualization,
        kernel: None,
        ramdisk: None,
        root_device_name: facts.root_device_name,
        boot_mode: facts.machine.boot_mode,
        tpm_support: facts.machine.tpm_support,
        uefi_data,
        ena_support: facts.machine.ena_support,
        sriov_net_support: facts.machine.sriov_net_support,
        imds_support: match image {
            Some(image) => image.facts.machine.imds_support.clone(),
            None => facts.machine.imds_support,
        },
        volumes: attached,
        instance_store: image.map(|image| image.mappings.iter().filter_map(disk).collect()).unwrap_or_default(),
        billing: Billing {
            platform_details: facts.platform_details,
            usage_operation: Some(usage_operation),
            product_codes: facts.product_codes,
        },
    }
}
