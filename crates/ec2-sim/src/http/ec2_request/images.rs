//! The parameters of the actions on images.

use crate::error::ApiError;
use crate::http::ec2_request::{query, refuse_list, tag_specifications};
use crate::http::form::Form;
use crate::reply::MachineAttributes;
use crate::request::{
    Action, CreateImage, CreateSnapshots, DescribeImageReferences, DescribeImages, DeviceChange, MappingChange, Reboot,
    RegisterImage, Request, ResourceTypeRequest, SnapshotMapping,
};

/// The architecture of an image when the caller does not say.
const ARCHITECTURE: &str = "i386";

pub(crate) fn describe_images(form: &Form) -> Result<Request, ApiError> {
    refuse_list(form, "ExecutableBy")?;
    // An owner always sees deprecated images, so the flag changes nothing here.
    form.flag("IncludeDeprecated")?;
    Ok(Request::DescribeImages(DescribeImages {
        ids: form.list("ImageId"),
        owners: form.list("Owner"),
        include_disabled: form.flag("IncludeDisabled")?.unwrap_or(false),
        query: query(form)?,
    }))
}

pub(crate) fn create_image(form: &Form) -> Result<Request, ApiError> {
    if form.text("SnapshotLocation").is_some_and(|location| location != "regional") {
        return Err(ApiError::unsupported("a SnapshotLocation other than regional"));
    }
    if form.text("BootModeOverride").is_some() {
        return Err(ApiError::unsupported("BootModeOverride"));
    }
    let mappings =
        form.numbers("BlockDeviceMapping").into_iter().map(|n| mapping(form, n)).collect::<Result<_, _>>()?;
    Ok(Request::CreateImage(CreateImage {
        instance_id: form.required("InstanceId")?,
        name: form.required("Name")?,
        description: form.text("Description"),
        reboot: if form.flag("NoReboot")?.unwrap_or(false) { Reboot::No } else { Reboot::Yes },
        mappings,
        tag_specifications: tag_specifications(form)?,
    }))
}

fn mapping(form: &Form, n: u32) -> Result<MappingChange, ApiError> {
    let name = |member: &str| format!("BlockDeviceMapping.{n}.{member}");
    let device = form.required(&name("DeviceName"))?;
    for fixed in ["VolumeSize", "VolumeType", "SnapshotId", "Encrypted", "KmsKeyId", "Iops", "Throughput"] {
        if form.text(&name(&format!("Ebs.{fixed}"))).is_some() {
            return Err(ApiError::unsupported(&format!("a change of {fixed} in CreateImage")));
        }
    }
    let change = if form.text(&name("NoDevice")).is_some() {
        DeviceChange::Drop
    } else if let Some(virtual_name) = form.text(&name("VirtualName")) {
        DeviceChange::InstanceStore(virtual_name)
    } else if let Some(wanted) = form.flag(&name("Ebs.DeleteOnTermination"))? {
        DeviceChange::DeleteOnTermination(wanted)
    } else {
        let message = format!("The mapping of '{device}' says nothing");
        return Err(ApiError::client("InvalidBlockDeviceMapping", message));
    };
    Ok(MappingChange { device, change })
}

pub(crate) fn create_snapshots(form: &Form) -> Result<Request, ApiError> {
    for unsupported in ["OutpostArn", "CopyTagsFromSource"] {
        if form.text(unsupported).is_some() {
            return Err(ApiError::unsupported(unsupported));
        }
    }
    if form.text("Location").is_some_and(|location| location != "regional") {
        return Err(ApiError::unsupported("a Location other than regional"));
    }
    Ok(Request::CreateSnapshots(CreateSnapshots {
        instance_id: form.required("InstanceSpecification.InstanceId")?,
        exclude_root: form.flag("InstanceSpecification.ExcludeBootVolume")?.unwrap_or(false),
        excluded: form.list("InstanceSpecification.ExcludeDataVolumeId"),
        description: form.text("Description"),
        tag_specifications: tag_specifications(form)?,
    }))
}

/// What is left out has EC2's default, which is another one than instances of these years have.
fn machine(form: &Form) -> Result<MachineAttributes, ApiError> {
    Ok(MachineAttributes {
        virtualization: form.text("VirtualizationType").unwrap_or_else(|| "paravirtual".to_owned()),
        boot_mode: form.text("BootMode"),
        tpm_support: form.text("TpmSupport"),
        uefi_data: form.text("UefiData"),
        ena_support: form.flag("EnaSupport")?.unwrap_or(false),
        sriov_net_support: form.text("SriovNetSupport"),
        imds_support: form.text("ImdsSupport"),
    })
}

pub(crate) fn register_image(form: &Form) -> Result<Request, ApiError> {
    let (mut mappings, mut instance_store) = (Vec::new(), Vec::new());
    for n in form.numbers("BlockDeviceMapping") {
        match form.text(&format!("BlockDeviceMapping.{n}.VirtualName")) {
            Some(virtual_name) => {
                instance_store.push((form.required(&format!("BlockDeviceMapping.{n}.DeviceName"))?, virtual_name));
            }
            None => mappings.push(snapshot_mapping(form, n)?),
        }
    }
    Ok(Request::RegisterImage(RegisterImage {
        name: form.required("Name")?,
        description: form.text("Description"),
        architecture: form.text("Architecture").unwrap_or_else(|| ARCHITECTURE.to_owned()),
        root_device_name: form.required("RootDeviceName")?,
        mappings,
        instance_store,
        machine: machine(form)?,
        tag_specifications: tag_specifications(form)?,
    }))
}

fn snapshot_mapping(form: &Form, n: u32) -> Result<SnapshotMapping, ApiError> {
    let name = |member: &str| format!("BlockDeviceMapping.{n}.{member}");
    Ok(SnapshotMapping {
        device: form.required(&name("DeviceName"))?,
        snapshot_id: form.required(&name("Ebs.SnapshotId"))?,
        delete_on_termination: form.flag(&name("Ebs.DeleteOnTermination"))?.unwrap_or(true),
        volume_type: form.text(&name("Ebs.VolumeType")),
        iops: size(form, &name("Ebs.Iops"))?,
        throughput: size(form, &name("Ebs.Throughput"))?,
    })
}

fn size(form: &Form, name: &str) -> Result<Option<u32>, ApiError> {
    let Some(number) = form.number(name)? else { return Ok(None) };
    let size = u32::try_from(number);
    size.map(Some).map_err(|_| ApiError::invalid_value(&number.to_string(), name, "It must not be negative."))
}

pub(crate) fn protection(action: Action, form: &Form) -> Result<Request, ApiError> {
    let image_id = form.required("ImageId")?;
    if action == Action::DisableImageDeregistrationProtection {
        return Ok(Request::DisableImageDeregistrationProtection { image_id });
    }
    let with_cooldown = form.flag("WithCooldown")?.unwrap_or(false);
    Ok(Request::EnableImageDeregistrationProtection { image_id, with_cooldown })
}

pub(crate) fn describe_image_references(form: &Form) -> Result<Request, ApiError> {
    let types = form.numbers("ResourceType").into_iter().map(|n| resource_type(form, n)).collect::<Result<_, _>>()?;
    Ok(Request::DescribeImageReferences(DescribeImageReferences {
        ids: form.list("ImageId"),
        all_types: form.flag("IncludeAllResourceTypes")?.unwrap_or(false),
        types,
        query: query(form)?,
    }))
}

fn resource_type(form: &Form, n: u32) -> Result<ResourceTypeRequest, ApiError> {
    let prefix = format!("ResourceType.{n}");
    let option = |m: u32| {
        let prefix = format!("{prefix}.ResourceTypeOption.{m}");
        Ok((form.required(&format!("{prefix}.OptionName"))?, form.list(&format!("{prefix}.OptionValue"))))
    };
    let options = form.numbers(&format!("{prefix}.ResourceTypeOption")).into_iter().map(option);
    Ok(ResourceTypeRequest {
        resource_type: form.required(&format!("{prefix}.ResourceType"))?,
        options: options.collect::<Result<_, ApiError>>()?,
    })
}
