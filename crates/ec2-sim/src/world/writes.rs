//! What changes tags, images and snapshots after they are made.
//!
//! Rules: `CreateTags`, `DeleteTags`, `DeregisterImage`, `DeleteSnapshot` and "Deregister an Amazon EC2 AMI".

use amikeep_domain::id::{ImageId, InstanceId, SnapshotId, VolumeId};
use jiff::Timestamp;

use crate::error::ApiError;
use crate::reply::{Reply, SnapshotDeletion};
use crate::request::{Action, NewTag};
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

    pub(crate) fn deregister_image(
        &mut self,
        context: &Context<'_>,
        image_id: &str,
        delete_snapshots: bool,
    ) -> Result<Reply, ApiError> {
        let id: ImageId = ids::parse(image_id)?;
        let may_delete = !self.iam.is_denied(&context.place.account, Action::DeleteSnapshot);
        let contents = self.contents(&context.place);
        let registration = contents.images.get(&id).map(|image| image.registration_at(context.now));
        match registration {
            None | Some(Registration::Unknown) => return Err(ApiError::image_not_found(&[image_id.to_owned()])),
            Some(Registration::Deregistered) => return Err(ApiError::image_unavailable(image_id)),
            Some(Registration::Registered) => context.end_dry_run()?,
        }
        let Some(image) = contents.images.get_mut(&id) else { return Ok(Reply::Done) };
        image.deregistered_at = Some(context.now);
        let snapshots: Vec<SnapshotId> = image.snapshot_ids().cloned().collect();
        let mut deletions = Vec::new();
        for snapshot in snapshots.into_iter().filter(|_| delete_snapshots) {
            if !contents.snapshots.get(&snapshot).is_some_and(|found| found.exists_at(context.now)) {
                continue;
            }
            let deletion = if !may_delete {
                SnapshotDeletion::MissingPermissions
            } else if contents.user_of(&snapshot, context.now).is_some() {
                SnapshotDeletion::Skipped
            } else {
                contents.delete(&snapshot, context.now);
                SnapshotDeletion::Success
            };
            deletions.push((snapshot, deletion));
        }
        Ok(Reply::ImageDeregistered(deletions))
    }

    pub(crate) fn delete_snapshot(&mut self, context: &Context<'_>, snapshot_id: &str) -> Result<Reply, ApiError> {
        let id: SnapshotId = ids::parse(snapshot_id)?;
        let contents = self.contents(&context.place);
        if !contents.snapshots.get(&id).is_some_and(|snapshot| snapshot.exists_at(context.now)) {
            return Err(ApiError::snapshot_not_found(&[snapshot_id.to_owned()]));
        }
        context.end_dry_run()?;
        if let Some(image) = contents.user_of(&id, context.now) {
            let message = format!("The snapshot {id} is currently in use by {}", image.facts.id);
            return Err(ApiError::client("InvalidSnapshot.InUse", message));
        }
        contents.delete(&id, context.now);
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
    /// The image that still maps a snapshot.
    fn user_of(&self, snapshot: &SnapshotId, now: Timestamp) -> Option<&Image> {
        let registered = |image: &&Image| image.registration_at(now) == Registration::Registered;
        self.images.values().filter(registered).find(|image| image.snapshot_ids().any(|id| id == snapshot))
    }

    fn delete(&mut self, id: &SnapshotId, now: Timestamp) {
        if let Some(snapshot) = self.snapshots.get_mut(id) {
            snapshot.deleted_at = Some(now);
        }
    }

    /// The tags of any resource. An image or snapshot that reads do not show yet cannot be tagged yet either: that is
    /// how tagging after `CreateImage` is seen to fail.
    fn tag_log(&mut self, resource: &str, context: &Context<'_>) -> Result<&mut TagLog, ApiError> {
        let at = context.horizon;
        let missing = [resource.to_owned()];
        match resource.split_once('-').map(|(prefix, _)| prefix) {
            Some("i") => {
                let id: InstanceId = ids::parse(resource)?;
                let found = self.instances.get_mut(&id).filter(|instance| instance.state_at(at).is_some());
                found.map(|instance| &mut instance.tags).ok_or_else(|| ApiError::instance_not_found(&missing))
            }
            Some("ami") => {
                let id: ImageId = ids::parse(resource)?;
                let registered = |image: &&mut Image| {
                    image.registration_at(at) == Registration::Registered && image.deregistered_at.is_none()
                };
                let found = self.images.get_mut(&id).filter(registered);
                found.map(|image| &mut image.tags).ok_or_else(|| ApiError::image_not_found(&missing))
            }
            Some("snap") => {
                let id: SnapshotId = ids::parse(resource)?;
                let found = self.snapshots.get_mut(&id).filter(|snapshot| snapshot.exists_at(at));
                found.map(|snapshot| &mut snapshot.tags).ok_or_else(|| ApiError::snapshot_not_found(&missing))
            }
            Some("vol") => {
                let id: VolumeId = ids::parse(resource)?;
                let found = self.volumes.get_mut(&id);
                found.map(|volume| &mut volume.tags).ok_or_else(|| ApiError::volume_not_found(&missing))
            }
            _ => Err(ApiError::client("InvalidID", format!("The ID '{resource}' is not valid"))),
        }
    }
}
