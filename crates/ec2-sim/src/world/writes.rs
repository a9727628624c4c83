//! What changes tags after their resource is made.
//!
//! Rules: `CreateTags` and `DeleteTags`.

use amikeep_domain::id::{ImageId, InstanceId, SnapshotId, VolumeId};
use jiff::Timestamp;

use crate::error::ApiError;
use crate::reply::{LaunchTemplateId, Reply};
use crate::request::NewTag;
use crate::world::images::{Image, Registration};
use crate::world::tags::{self, TagLog};
use crate::world::{Contents, Context, State, ids};

/// EC2's limit on the resources of one `CreateTags`.
const TAGGED_RESOURCES_MAX: usize = 1000;

impl State {
    pub(crate) fn create_tags(
        &mut self,
        context: &Context<'_>,
        resources: &[String],
        tags: &[NewTag],
    ) -> Result<Reply, ApiError> {
        check_resource_count(resources)?;
        tags::check_new(tags)?;
        let contents = self.contents(&context.place);
        // All or nothing: every resource is looked at before any is written.
        for resource in resources {
            contents.tag_log(resource, context)?.check_room(tags)?;
        }
        context.end_dry_run()?;
        for resource in resources {
            let log = contents.tag_log(resource, context)?;
            for tag in tags {
                log.put(context.now, tag);
            }
        }
        Ok(Reply::Done)
    }

    pub(crate) fn delete_tags(
        &mut self,
        context: &Context<'_>,
        resources: &[String],
        tags: &[(String, Option<String>)],
    ) -> Result<Reply, ApiError> {
        check_resource_count(resources)?;
        let contents = self.contents(&context.place);
        for resource in resources {
            contents.tag_log(resource, context)?;
        }
        context.end_dry_run()?;
        for resource in resources {
            let log = contents.tag_log(resource, context)?;
            let every: Vec<_> = log.as_of(Timestamp::MAX).into_keys().map(|key| (key, None)).collect();
            // Without any tag named, all tags of the user go; those of AWS stay.
            for (key, value) in if tags.is_empty() { &every } else { tags } {
                if !key.starts_with("aws:") {
                    log.remove(context.now, key, value.as_deref());
                }
            }
        }
        Ok(Reply::Done)
    }
}

fn check_resource_count(resources: &[String]) -> Result<(), ApiError> {
    if TAGGED_RESOURCES_MAX < resources.len() {
        let message = format!("The maximum number of resources in a call is {TAGGED_RESOURCES_MAX}.");
        return Err(ApiError::client("InvalidParameterValue", message));
    }
    Ok(())
}

impl Contents {
    /// The tags of any resource. An image or snapshot that reads do not show yet cannot be tagged yet either: that is
    /// how tagging after `CreateImage` is seen to fail.
    fn tag_log(&mut self, resource: &str, context: &Context<'_>) -> Result<&mut TagLog, ApiError> {
        let horizon = &context.horizon;
        let missing = [resource.to_owned()];
        match resource.split_once('-').map(|(prefix, _)| prefix) {
            Some("i") => {
                let id: InstanceId = ids::parse(resource)?;
                let found = self.instances.get_mut(&id).filter(|instance| instance.state_at(horizon.at).is_some());
                found.map(|instance| &mut instance.tags).ok_or_else(|| ApiError::instance_not_found(&missing))
            }
            Some("ami") => {
                let id: ImageId = ids::parse(resource)?;
                let registered = |image: &&mut Image| {
                    image.shown_as(horizon) == Registration::Registered && image.deregistered_at.is_none()
                };
                let found = self.images.get_mut(&id).filter(registered);
                found.map(|image| &mut image.tags).ok_or_else(|| ApiError::image_not_found(&missing))
            }
            Some("snap") => {
                let id: SnapshotId = ids::parse(resource)?;
                let found = self
                    .snapshots
                    .get_mut(&id)
                    .filter(|snapshot| snapshot.is_shown(horizon) && snapshot.deleted_at.is_none());
                found.map(|snapshot| &mut snapshot.tags).ok_or_else(|| ApiError::snapshot_not_found(&missing))
            }
            Some("vol") => {
                let id: VolumeId = ids::parse(resource)?;
                let found = self.volumes.get_mut(&id);
                found.map(|volume| &mut volume.tags).ok_or_else(|| ApiError::volume_not_found(&missing))
            }
            Some("lt") => {
                let id: LaunchTemplateId = ids::parse(resource)?;
                let found = self.launch_templates.get_mut(&id).filter(|template| template.deleted_at.is_none());
                found.map(|template| &mut template.tags).ok_or_else(|| ApiError::launch_template_not_found(&missing))
            }
            _ => Err(ApiError::client("InvalidID", format!("The ID '{resource}' is not valid"))),
        }
    }
}
