//! The calls that change something. One attempt each: what became of a call without an answer is looked up by the
//! engine, never found out by asking again.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use amikeep_cloud::{Action, CloudError, ImageRequest, Reboot, RemovedSnapshot, ResourceId};
use amikeep_domain::id::{ImageId, SnapshotId};
use aws_sdk_ec2::operation::create_image::builders::CreateImageFluentBuilder;
use aws_sdk_ec2::operation::delete_tags::builders::DeleteTagsFluentBuilder;
use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};

use crate::client::AwsCloud;
use crate::convert::{self, Unreadable};
use crate::errors::is_unknown_parameter;

/// The longest description of an image or a snapshot (`CreateImage` in the EC2 API Reference).
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

    pub(crate) async fn delete_tags(&self, resources: &[ResourceId], keys: &[String]) -> Result<(), CloudError> {
        // To name no key is to EC2 to name every tag.
        if resources.is_empty() || keys.is_empty() {
            return Ok(());
        }
        let call = self.call(Action::DeleteTags);
        let request = self.tag_removal(resources, keys);
        let answer = request.customize().interceptor(call.watch()).send().await;
        answer.map(|_| ()).map_err(|error| call.failed(&error))
    }

    /// Deregisters an image together with its snapshots, or alone where the endpoint knows no better.
    ///
    /// Clouds that speak EC2's language may know a version of it that is older than `DeleteAssociatedSnapshots`. Such a
    /// refusal says that nothing was done, so the request without the parameter is the first to do anything.
    pub(crate) async fn deregister_image(&self, image: &ImageId) -> Result<Vec<RemovedSnapshot>, CloudError> {
        if self.lacks_associated_snapshots.load(Ordering::Relaxed) {
            return self.deregister_image_with(image, None).await;
        }
        match self.deregister_image_with(image, Some(true)).await {
            Err(error) if is_unknown_parameter(&error, "DeleteAssociatedSnapshots") => {
                tracing::warn!(%error, "the endpoint deletes no snapshots with an image; it is not asked to any more");
                self.lacks_associated_snapshots.store(true, Ordering::Relaxed);
                self.deregister_image_with(image, None).await
            }
            result => result,
        }
    }

    async fn deregister_image_with(
        &self,
        image: &ImageId,
        delete_snapshots: Option<bool>,
    ) -> Result<Vec<RemovedSnapshot>, CloudError> {
        let call = self.call(Action::DeregisterImage);
        let request = self.writes.deregister_image().image_id(image.as_str());
        let request = request.set_delete_associated_snapshots(delete_snapshots);
        let answer = request.customize().interceptor(call.watch()).send().await;
        let answer = answer.map_err(|error| call.failed(&error))?;
        if answer.r#return() == Some(false) {
            return Err(call.unreadable("it is neither a success nor a refusal", None));
        }
        let removed: Result<Vec<_>, _> =
            answer.delete_snapshot_results().iter().map(convert::removed_snapshot).collect();
        let mut removed = removed.map_err(|Unreadable(what)| call.unreadable(&what, None))?;
        removed.sort_by(|a, b| a.snapshot.cmp(&b.snapshot));
        Ok(removed)
    }

    pub(crate) async fn remove_snapshot(&self, snapshot: &SnapshotId) -> Result<(), CloudError> {
        let call = self.call(Action::DeleteSnapshot);
        let request = self.writes.delete_snapshot().snapshot_id(snapshot.as_str());
        let answer = request.customize().interceptor(call.watch()).send().await;
        answer.map(|_| ()).map_err(|error| call.failed(&error))
    }

    /// The request to remove tags, ready to be sent. A key without a value means every value.
    pub(crate) fn tag_removal(&self, resources: &[ResourceId], keys: &[String]) -> DeleteTagsFluentBuilder {
        let ids = resources.iter().map(|resource| resource.as_str().to_owned()).collect();
        let tags = keys.iter().map(|key| Tag::builder().key(key).build()).collect();
        self.writes.delete_tags().set_resources(Some(ids)).set_tags(Some(tags))
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
            .description(described(&request.description))
            .no_reboot(request.reboot == Reboot::No)
            .set_tag_specifications(specifications)
    }
}

/// A description of no more than EC2 takes.
pub(crate) fn described(description: &str) -> String {
    description.chars().take(DESCRIPTION_LEN_MAX).collect()
}

pub(crate) fn tag_list(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}
