//! The two calls that change something. One attempt each: what became of a call without an answer is looked up by the
//! engine, never found out by asking again.

use std::collections::BTreeMap;

use amikeep_cloud::{Action, CloudError, ImageRequest, Reboot, ResourceId};
use amikeep_domain::id::ImageId;
use aws_sdk_ec2::operation::create_image::builders::CreateImageFluentBuilder;
use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};

use crate::client::AwsCloud;
use crate::convert::{self, Unreadable};

/// The longest description of an image (`CreateImage` in the EC2 API Reference).
const DESCRIPTION_LEN_MAX: usize = 255;

impl AwsCloud {
    pub(crate) async fn create_image(&self, request: &ImageRequest) -> Result<ImageId, CloudError> {
        let call = self.call(Action::CreateImage);
        let answer = self.image_request(request).customize().interceptor(call.watch()).send().await;
        let answer = answer.map_err(|error| call.failed(&error))?;
        let id = convert::parsed(answer.image_id().unwrap_or_default());
        id.map_err(|Unreadable(what)| call.unreadable(&what, None))
    }

    pub(crate) async fn create_tags(
        &self,
        resources: &[ResourceId],
        tags: &BTreeMap<String, String>,
    ) -> Result<(), CloudError> {
        if resources.is_empty() || tags.is_empty() {
            return Ok(());
        }
        let call = self.call(Action::CreateTags);
        let ids = resources.iter().map(|resource| resource.as_str().to_owned()).collect();
        let request = self.writes.create_tags().set_resources(Some(ids)).set_tags(Some(tag_list(tags)));
        let answer = request.customize().interceptor(call.watch()).send().await;
        answer.map(|_| ()).map_err(|error| call.failed(&error))
    }

    /// The request for an image, ready to be sent. `NoReboot` is always said, since leaving it out means a reboot.
    pub(crate) fn image_request(&self, request: &ImageRequest) -> CreateImageFluentBuilder {
        let specifications = [ResourceType::Image, ResourceType::Snapshot].map(|resource| {
            TagSpecification::builder().resource_type(resource).set_tags(Some(tag_list(&request.tags))).build()
        });
        let specifications = (!request.tags.is_empty()).then(|| specifications.to_vec());
        self.writes
            .create_image()
            .instance_id(request.instance.as_str())
            .name(request.name.as_str())
            .description(request.description.chars().take(DESCRIPTION_LEN_MAX).collect::<String>())
            .no_reboot(request.reboot == Reboot::No)
            .set_tag_specifications(specifications)
    }
}

pub(crate) fn tag_list(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}
