//! EC2's parameters, action by action, as its service model names them.
//!
//! A parameter that EC2 knows and the simulator does not carry out is refused as unsupported, and any other as unknown:
//! none is silently ignored.

mod images;
mod launch_templates;

use crate::error::ApiError;
use crate::http::form::Form;
use crate::request::{Action, Filter, NewTag, Query, Request, TagSpecification};

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
    let action =
        Action::parse(&name).filter(|action| action.is_ec2()).ok_or_else(|| ApiError::invalid_action(&name))?;
    let request = request(action, form)?;
    let dry_run = form.flag("DryRun")?.unwrap_or(false);
    form.refuse_the_rest()?;
    Ok((request, dry_run))
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
        Action::DescribeImages => images::describe_images(form)?,
        Action::DescribeImageReferences => images::describe_image_references(form)?,
        Action::DescribeLaunchTemplates => launch_templates::describe(form)?,
        Action::DescribeLaunchTemplateVersions => launch_templates::describe_versions(form)?,
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
        Action::CreateImage => images::create_image(form)?,
        Action::CreateSnapshots => images::create_snapshots(form)?,
        Action::RegisterImage => images::register_image(form)?,
        Action::GetInstanceUefiData => Request::GetInstanceUefiData { instance_id: form.required("InstanceId")? },
        Action::EnableImageDeregistrationProtection | Action::DisableImageDeregistrationProtection => {
            images::protection(action, form)?
        }
        Action::CreateLaunchTemplate => launch_templates::create(form)?,
        Action::CreateLaunchTemplateVersion => launch_templates::create_version(form)?,
        Action::DeleteLaunchTemplate => Request::DeleteLaunchTemplate(launch_templates::template(form)),
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
        Action::StopInstances | Action::TerminateInstances => stop_or_terminate(action, form)?,
        Action::RebootInstances => Request::RebootInstances { ids: required_list(form, "InstanceId")? },
        Action::GetCallerIdentity
        | Action::AssumeRole
        | Action::ListServiceQuotas
        | Action::SendCommand
        | Action::GetCommandInvocation
        | Action::CancelCommand
        | Action::DescribeInstanceInformation => return Err(ApiError::invalid_action(action.as_str())),
    })
}

fn stop_or_terminate(action: Action, form: &Form) -> Result<Request, ApiError> {
    form.flag("Force")?;
    form.flag("SkipOsShutdown")?;
    let ids = required_list(form, "InstanceId")?;
    if action == Action::TerminateInstances {
        return Ok(Request::TerminateInstances { ids });
    }
    Ok(Request::StopInstances { ids, hibernate: form.flag("Hibernate")?.unwrap_or(false) })
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
