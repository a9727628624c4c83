//! The parameters of the actions on launch templates. Of `LaunchTemplateData` only the image and the instance type are
//! known; any other member is refused as an unknown parameter.

use crate::error::ApiError;
use crate::http::ec2_request::{query, tag_specifications};
use crate::http::form::Form;
use crate::request::{
    CreateLaunchTemplate, CreateLaunchTemplateVersion, DescribeLaunchTemplateVersions, LaunchTemplateData,
    LaunchTemplateRef, Request,
};

pub(crate) fn describe(form: &Form) -> Result<Request, ApiError> {
    form.flag("IncludeManagedResources")?;
    let (ids, names) = (form.list("LaunchTemplateId"), form.list("LaunchTemplateName"));
    Ok(Request::DescribeLaunchTemplates { ids, names, query: query(form)? })
}

pub(crate) fn describe_versions(form: &Form) -> Result<Request, ApiError> {
    form.flag("IncludeManagedResources")?;
    refuse_to_resolve(form)?;
    Ok(Request::DescribeLaunchTemplateVersions(DescribeLaunchTemplateVersions {
        template: template(form),
        versions: form.list("LaunchTemplateVersion"),
        min: form.number("MinVersion")?,
        max: form.number("MaxVersion")?,
        query: query(form)?,
    }))
}

pub(crate) fn create(form: &Form) -> Result<Request, ApiError> {
    Ok(Request::CreateLaunchTemplate(CreateLaunchTemplate {
        name: form.required("LaunchTemplateName")?,
        description: form.text("VersionDescription"),
        data: data(form),
        tag_specifications: tag_specifications(form)?,
        client_token: form.text("ClientToken"),
    }))
}

pub(crate) fn create_version(form: &Form) -> Result<Request, ApiError> {
    refuse_to_resolve(form)?;
    Ok(Request::CreateLaunchTemplateVersion(CreateLaunchTemplateVersion {
        template: template(form),
        source_version: form.text("SourceVersion"),
        description: form.text("VersionDescription"),
        data: data(form),
        client_token: form.text("ClientToken"),
    }))
}

pub(crate) fn template(form: &Form) -> LaunchTemplateRef {
    LaunchTemplateRef { id: form.text("LaunchTemplateId"), name: form.text("LaunchTemplateName") }
}

/// There is no Systems Manager here that could tell what a parameter stands for.
fn refuse_to_resolve(form: &Form) -> Result<(), ApiError> {
    if form.flag("ResolveAlias")?.unwrap_or(false) { Err(ApiError::unsupported("ResolveAlias")) } else { Ok(()) }
}

fn data(form: &Form) -> LaunchTemplateData {
    LaunchTemplateData {
        image_id: form.text("LaunchTemplateData.ImageId"),
        instance_type: form.text("LaunchTemplateData.InstanceType"),
    }
}
