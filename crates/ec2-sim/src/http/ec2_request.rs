//! EC2's parameters, action by action, as its service model names them.
//!
//! A parameter that EC2 knows and the simulator does not carry out is refused as unsupported, and any other as unknown:
//! none is silently ignored.

use crate::error::ApiError;
use crate::http::form::Form;
use crate::request::{
    Action, CreateImage, DescribeImages, DeviceChange, Filter, MappingChange, NewTag, Query, Reboot, Request,
    TagSpecification,
};

/// The version of the API whose names and shapes these are.
pub(crate) const VERSION: &str = "2016-11-15";

/// A request and whether it is a dry run.
pub(crate) fn parse(form: &Form) -> Result<(Request, bool), ApiError> {
    let name = form
        .text("Action")
        .ok_or_else(|| ApiError::client("MissingAction", "No action was supplied with this request."))?;
    let version = form.required("Version")?;
    if version != VERSION {
        let message = format!("The requested version ({version}) of service AmazonEC2 does not exist");
        return Err(ApiError::client("NoSuchVersion", message));
    }
    let action = Action::parse(&name).filter(|action| !action.is_sts()).ok_or_else(|| invalid_action(&name))?;
    let request = request(action, form)?;
    let dry_run = form.flag("DryRun")?.unwrap_or(false);
    form.refuse_the_rest()?;
    Ok((request, dry_run))
}

pub(crate) fn invalid_action(name: &str) -> ApiError {
    ApiError::client("InvalidAction", format!("The action {name} is not valid for this web service."))
}

fn request(action: Action, form: &Form) -> Result<Request, ApiError> {
    Ok(match action {
        Action::DescribeInstances => {
            form.flag("IncludeManagedResources")?;
            Request::DescribeInstances { ids: form.list("InstanceId"), query: query(form)? }
        }
        Action::DescribeInstanceStatus => {
            form.flag("IncludeManagedResources")?;
            let include_all = form.flag("IncludeAllInstances")?.unwrap_or(false);
            Request::DescribeInstanceStatus { ids: form.list("InstanceId"), include_all, query: query(form)? }
        }
        Action::DescribeInstanceTypes => {
            form.flag("IncludeUnsupportedInRegion")?;
            Request::DescribeInstanceTypes { names: form.list("InstanceType"), query: query(form)? }
        }
        Action::DescribeVolumes => {
            form.flag("IncludeManagedResources")?;
            Request::DescribeVolumes { ids: form.list("VolumeId"), query: query(form)? }
        }
        Action::DescribeImages => describe_images(form)?,
        Action::DescribeSnapshots => {
            refuse_list(form, "RestorableBy")?;
            let (ids, owners) = (form.list("SnapshotId"), form.list("Owner"));
            Request::DescribeSnapshots { ids, owners, query: query(form)? }
        }
        Action::DescribeTags => Request::DescribeTags { query: query(form)? },
        Action::DescribeRegions => {
            form.flag("AllRegions")?;
            Request::DescribeRegions { names: form.list("RegionName"), filters: filters(form)? }
        }
        Action::CreateImage => create_image(form)?,
        Action::CreateTags => Request::CreateTags {
            resources: required_list(form, "ResourceId")?,
            tags: required("Tag.1.Key", tags(form, "Tag")?)?,
        },
        Action::DeleteTags => delete_tags(form)?,
        Action::DeregisterImage => Request::DeregisterImage {
            image_id: form.required("ImageId")?,
            delete_snapshots: form.flag("DeleteAssociatedSnapshots")?.unwrap_or(false),
        },
        Action::DeleteSnapshot => Request::DeleteSnapshot { snapshot_id: form.required("SnapshotId")? },
        Action::StartInstances => Request::StartInstances { ids: required_list(form, "InstanceId")? },
        Action::StopInstances => {
            form.flag("Force")?;
            form.flag("SkipOsShutdown")?;
            let hibernate = form.flag("Hibernate")?.unwrap_or(false);
            Request::StopInstances { ids: required_list(form, "InstanceId")?, hibernate }
        }
        Action::TerminateInstances => {
            form.flag("Force")?;
            form.flag("SkipOsShutdown")?;
            Request::TerminateInstances { ids: required_list(form, "InstanceId")? }
        }
        Action::RebootInstances => Request::RebootInstances { ids: required_list(form, "InstanceId")? },
        Action::GetCallerIdentity | Action::AssumeRole => return Err(invalid_action(action.as_str())),
    })
}

fn describe_images(form: &Form) -> Result<Request, ApiError> {
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

fn create_image(form: &Form) -> Result<Request, ApiError> {
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

fn tag_specifications(form: &Form) -> Result<Vec<TagSpecification>, ApiError> {
    let read = |n: u32| {
        let prefix = format!("TagSpecification.{n}");
        Ok(TagSpecification {
            resource_type: form.required(&format!("{prefix}.ResourceType"))?,
            tags: tags(form, &format!("{prefix}.Tag"))?,
        })
    };
    form.numbers("TagSpecification").into_iter().map(read).collect()
}

/// A tag without a value has an empty one.
fn tags(form: &Form, prefix: &str) -> Result<Vec<NewTag>, ApiError> {
    let read = |n: u32| {
        let key = form.required(&format!("{prefix}.{n}.Key"))?;
        Ok(NewTag { key, value: form.text(&format!("{prefix}.{n}.Value")).unwrap_or_default() })
    };
    form.numbers(prefix).into_iter().map(read).collect()
}

fn delete_tags(form: &Form) -> Result<Request, ApiError> {
    let read = |n: u32| Ok((form.required(&format!("Tag.{n}.Key"))?, form.text(&format!("Tag.{n}.Value"))));
    let tags = form.numbers("Tag").into_iter().map(read).collect::<Result<_, ApiError>>()?;
    Ok(Request::DeleteTags { resources: required_list(form, "ResourceId")?, tags })
}

fn query(form: &Form) -> Result<Query, ApiError> {
    Ok(Query { filters: filters(form)?, max_results: form.number("MaxResults")?, next_token: form.text("NextToken") })
}

fn filters(form: &Form) -> Result<Vec<Filter>, ApiError> {
    let read = |n: u32| {
        let name = form.required(&format!("Filter.{n}.Name"))?;
        Ok(Filter { name, values: form.list(&format!("Filter.{n}.Value")) })
    };
    form.numbers("Filter").into_iter().map(read).collect()
}

fn required_list(form: &Form, prefix: &str) -> Result<Vec<String>, ApiError> {
    required(prefix, form.list(prefix))
}

fn required<T>(name: &str, list: Vec<T>) -> Result<Vec<T>, ApiError> {
    if list.is_empty() { Err(ApiError::missing_parameter(name)) } else { Ok(list) }
}

fn refuse_list(form: &Form, prefix: &str) -> Result<(), ApiError> {
    if form.list(prefix).is_empty() { Ok(()) } else { Err(ApiError::unsupported(prefix)) }
}
