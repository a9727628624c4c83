//! Which images something in the account uses: instances, and versions of launch templates.
//!
//! Changes nothing. Only complete answers make an image unused. What could not be asked for want of a permission leaves
//! every image unknown, which is an answer; what failed otherwise is an error, since the next time it may succeed.
//!
//! EC2 has an action that finds both kinds of use. It is young, so where an endpoint does not know it the instances and
//! the launch templates are looked through. Their listings are not filtered beyond the images of instances: a filter
//! would silently leave out what it does not understand, such as an image that a template names by a parameter.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use amikeep_cloud::{Action, CloudError, CloudErrorKind};
use amikeep_domain::id::ImageId;
use amikeep_domain::retention::Usage;
use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::describe_image_references::builders::DescribeImageReferencesFluentBuilder;
use aws_sdk_ec2::types;
use aws_sdk_ec2::types::{
    ImageReferenceOptionName, ImageReferenceResourceType, InstanceStateName, ResourceTypeOption, ResourceTypeRequest,
};

use crate::client::AwsCloud;
use crate::convert::{self, Unreadable};
use crate::page::{Page, every_page, filters};

/// The most images that `DescribeImageReferences` takes.
const IMAGES_PER_CALL_MAX: usize = 10;
/// References on a page. EC2 asks for 5 at least and documents no maximum; few images have more than this many.
const REFERENCES_PER_PAGE: i32 = 100;
/// The most versions of a launch template that `DescribeImageReferences` looks at. Left alone, it looks at ten.
const VERSIONS_LOOKED_AT_MAX: &str = "10000";
/// The most launch templates, and versions of one, that EC2 puts on a page.
const TEMPLATES_PER_PAGE: i32 = 200;
/// The states in which an instance uses its image: all but `terminated`.
const STATES_OF_USE: [InstanceStateName; 5] = [
    InstanceStateName::Pending,
    InstanceStateName::Running,
    InstanceStateName::ShuttingDown,
    InstanceStateName::Stopping,
    InstanceStateName::Stopped,
];
/// What endpoints answer to an action that they do not know, if not by the HTTP status alone.
const UNKNOWN_ACTION_CODES: [&str; 5] =
    ["InvalidAction", "UnsupportedOperation", "NotImplemented", "NotImplementedError", "UnknownOperationException"];
/// The HTTP status for a request that an endpoint does not know.
const NOT_IMPLEMENTED: u16 = 501;

/// Who uses the images that were asked about.
#[derive(Debug)]
struct Users {
    /// Every image, also one that nobody uses.
    by: BTreeMap<ImageId, BTreeSet<String>>,
    /// Why an image without a user may have one all the same.
    doubt: Option<String>,
}

impl Users {
    fn none_of(images: &BTreeSet<ImageId>) -> Self {
        Self { by: images.iter().map(|image| (image.clone(), BTreeSet::new())).collect(), doubt: None }
    }

    /// An image that was not asked about does not matter.
    fn note(&mut self, image: &ImageId, user: &str) {
        if let Some(by) = self.by.get_mut(image) {
            by.insert(user.to_owned());
        }
    }

    fn into_usage(self) -> BTreeMap<ImageId, Usage> {
        let Self { by, doubt } = self;
        let judge = |by: BTreeSet<String>| match &doubt {
            _ if !by.is_empty() => Usage::InUse { by: by.into_iter().collect() },
            Some(why) => Usage::Unknown { why: why.clone() },
            None => Usage::Unused,
        };
        by.into_iter().map(|(image, by)| (image, judge(by))).collect()
    }
}

impl AwsCloud {
    pub(crate) async fn usage(&self, images: &[ImageId]) -> Result<BTreeMap<ImageId, Usage>, CloudError> {
        let images: BTreeSet<ImageId> = images.iter().cloned().collect();
        match self.users(&images).await {
            Ok(users) => Ok(users.into_usage()),
            Err(error) if error.kind == CloudErrorKind::Denied => {
                let why = format!("{} is denied: {}", error.action, error.message);
                Ok(images.into_iter().map(|image| (image, Usage::Unknown { why: why.clone() })).collect())
            }
            Err(error) => Err(error),
        }
    }

    async fn users(&self, images: &BTreeSet<ImageId>) -> Result<Users, CloudError> {
        if images.is_empty() {
            return Ok(Users::none_of(images));
        }
        if !self.lacks_image_references.load(Ordering::Relaxed) {
            match self.users_by_references(images).await {
                Err(error) if self.lacks_image_references.load(Ordering::Relaxed) => {
                    tracing::warn!(%error, "the endpoint cannot tell who uses an image; instances and launch templates are looked through");
                }
                result => return result,
            }
        }
        self.users_by_search(images).await
    }

    async fn users_by_references(&self, images: &BTreeSet<ImageId>) -> Result<Users, CloudError> {
        let mut users = Users::none_of(images);
        let ids: Vec<String> = images.iter().map(ToString::to_string).collect();
        for ids in ids.chunks(IMAGES_PER_CALL_MAX) {
            for reference in self.describe_image_references(ids).await? {
                let image = convert::parsed(reference.image_id().unwrap_or_default());
                let call = self.call(Action::DescribeImageReferences);
                let image = image.map_err(|Unreadable(what)| call.unreadable(&what, None))?;
                users.note(&image, referrer(&reference));
            }
        }
        Ok(users)
    }

    async fn describe_image_references(&self, ids: &[String]) -> Result<Vec<types::ImageReference>, CloudError> {
        let call = self.call(Action::DescribeImageReferences);
        let request = self.references_request(ids).max_results(REFERENCES_PER_PAGE);
        every_page(&call, async |token| {
            let request = request.clone().set_next_token(token);
            let answer = request.customize().interceptor(call.watch()).send().await;
            let answer = answer.map_err(|error| {
                if is_unknown_action(&error) {
                    self.lacks_image_references.store(true, Ordering::Relaxed);
                }
                call.failed(&error)
            })?;
            Ok(Page { entries: answer.image_references.unwrap_or_default(), next: answer.next_token })
        })
        .await
    }

    /// The question, ready to be sent. The kinds of use are named, since the defaults count terminated instances and
    /// leave out all but the newest versions of launch templates.
    pub(crate) fn references_request(&self, ids: &[String]) -> DescribeImageReferencesFluentBuilder {
        let states = STATES_OF_USE.map(|state| state.as_str().to_owned());
        let depth = [VERSIONS_LOOKED_AT_MAX.to_owned()];
        self.reads
            .describe_image_references()
            .set_image_ids(Some(ids.to_vec()))
            .resource_types(kind_of_use(
                ImageReferenceResourceType::Ec2Instance,
                ImageReferenceOptionName::StateName,
                states.to_vec(),
            ))
            .resource_types(kind_of_use(
                ImageReferenceResourceType::Ec2LaunchTemplate,
                ImageReferenceOptionName::VersionDepth,
                depth.to_vec(),
            ))
    }

    async fn users_by_search(&self, images: &BTreeSet<ImageId>) -> Result<Users, CloudError> {
        let mut users = Users::none_of(images);
        for filter in filters("image-id", images.iter().map(ImageId::as_str)) {
            for instance in self.describe_instances(Some(filter)).await? {
                self.note_instance(&instance, &mut users)?;
            }
        }
        for template in self.describe_launch_templates().await? {
            let Some(id) = template.launch_template_id() else {
                let call = self.call(Action::DescribeLaunchTemplates);
                return Err(call.unreadable("a launch template has no id", None));
            };
            for version in self.describe_launch_template_versions(id).await? {
                note_version(id, &version, &mut users);
            }
        }
        Ok(users)
    }

    fn note_instance(&self, instance: &types::Instance, users: &mut Users) -> Result<(), CloudError> {
        let state = instance.state().and_then(|state| state.name());
        if state == Some(&InstanceStateName::Terminated) {
            return Ok(());
        }
        let image = convert::parsed(instance.image_id().unwrap_or_default());
        let call = self.call(Action::DescribeInstances);
        let image = image.map_err(|Unreadable(what)| call.unreadable(&what, None))?;
        users.note(&image, instance.instance_id().unwrap_or("an instance without an id"));
        Ok(())
    }

    async fn describe_launch_templates(&self) -> Result<Vec<types::LaunchTemplate>, CloudError> {
        let call = self.call(Action::DescribeLaunchTemplates);
        let request = self.reads.describe_launch_templates().max_results(TEMPLATES_PER_PAGE);
        every_page(&call, async |token| {
            let request = request.clone().set_next_token(token);
            let answer = request.customize().interceptor(call.watch()).send().await;
            let answer = answer.map_err(|error| call.failed(&error))?;
            Ok(Page { entries: answer.launch_templates.unwrap_or_default(), next: answer.next_token })
        })
        .await
    }

    /// Every version of one launch template; none of one that is gone since it was listed.
    async fn describe_launch_template_versions(
        &self,
        id: &str,
    ) -> Result<Vec<types::LaunchTemplateVersion>, CloudError> {
        let call = self.call(Action::DescribeLaunchTemplateVersions);
        let request = self.reads.describe_launch_template_versions().launch_template_id(id);
        let request = request.max_results(TEMPLATES_PER_PAGE);
        let versions = every_page(&call, async |token| {
            let request = request.clone().set_next_token(token);
            let answer = request.customize().interceptor(call.watch()).send().await;
            let answer = answer.map_err(|error| call.failed(&error))?;
            Ok(Page { entries: answer.launch_template_versions.unwrap_or_default(), next: answer.next_token })
        })
        .await;
        match versions {
            Err(error) if error.kind == CloudErrorKind::NotFound => Ok(Vec::new()),
            versions => versions,
        }
    }
}

fn kind_of_use(
    resource_type: ImageReferenceResourceType,
    option: ImageReferenceOptionName,
    values: Vec<String>,
) -> ResourceTypeRequest {
    let option = ResourceTypeOption::builder().option_name(option).set_option_values(Some(values)).build();
    ResourceTypeRequest::builder().resource_type(resource_type).resource_type_options(option).build()
}

/// Whether the endpoint said that it does not know the action.
pub(crate) fn is_unknown_action<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    let status = error.raw_response().map(|answer| answer.status().as_u16());
    status == Some(NOT_IMPLEMENTED) || error.code().is_some_and(|code| UNKNOWN_ACTION_CODES.contains(&code))
}

/// The id at the end of an ARN such as `arn:aws:ec2:eu-central-1:123456789012:instance/i-0123456789abcdef0`. A reference
/// of another shape is one all the same, and is told by what there is of it.
fn referrer(reference: &types::ImageReference) -> &str {
    let arn = reference.arn().unwrap_or_default();
    let id = arn.split(':').nth(5).and_then(|resource| resource.split('/').nth(1));
    let kind = || reference.resource_type().map_or("something without a name", ImageReferenceResourceType::as_str);
    [id.unwrap_or_default(), arn].into_iter().find(|text| !text.is_empty()).unwrap_or_else(kind)
}

/// A template may name no image at all. One that it names otherwise than by its id, such as `resolve:ssm:…`, can become
/// any image at the next launch.
fn note_version(template: &str, version: &types::LaunchTemplateVersion, users: &mut Users) {
    let image = version.launch_template_data().and_then(|data| data.image_id()).unwrap_or_default();
    if image.is_empty() {
        return;
    }
    match convert::parsed(image) {
        Ok(image) => users.note(&image, template),
        Err(_) if users.doubt.is_none() => {
            let number = version.version_number().unwrap_or_default();
            users.doubt = Some(format!("version {number} of launch template {template} names its image as `{image}`"));
        }
        Err(_) => {}
    }
}
