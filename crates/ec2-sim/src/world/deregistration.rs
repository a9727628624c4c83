//! How images and snapshots end, and what keeps them from it.
//!
//! Rules: `DeregisterImage`, `DeleteSnapshot`, "Deregister an Amazon EC2 AMI", "Protect an Amazon EC2 AMI from
//! deregistration" and "Amazon EBS snapshot lock".

use amikeep_domain::id::{ImageId, SnapshotId};
use jiff::Timestamp;

use crate::error::ApiError;
use crate::reply::{DeregistrationProtection, Reply, SnapshotDeletion, Tags};
use crate::request::Action;
use crate::world::audit::{Deletion, Resource};
use crate::world::images::{Image, Registration};
use crate::world::{Contents, Context, Place, State, ids};

impl State {
    pub(crate) fn deregister_image(
        &mut self,
        context: &Context<'_>,
        image_id: &str,
        delete_snapshots: bool,
    ) -> Result<Reply, ApiError> {
        let may_delete = !self.iam.is_denied(&context.place.account, Action::DeleteSnapshot);
        let contents = self.contents(&context.place);
        let image = contents.registered_image(image_id, context.now)?;
        let id = image.facts.id.clone();
        context.end_dry_run()?;
        if image.is_protected(context.now) {
            let message = format!("The image '{id}' is protected from deregistration.");
            return Err(ApiError::client("OperationNotPermitted", message));
        }
        image.deregistered_at = Some(context.now);
        let tags = image.tags.as_of(Timestamp::MAX);
        let snapshots: Vec<SnapshotId> = image.snapshot_ids().cloned().collect();
        let mishaps = self.settings.mishaps;
        let mut deletions = Vec::new();
        let mut records = vec![Deletion::new(context, Action::DeregisterImage, Resource::Image(id), tags)];
        for snapshot in snapshots.into_iter().filter(|_| delete_snapshots) {
            if mishaps.lingers(&mut self.rng) {
                self.fail_snapshot(&context.place, &snapshot);
            }
            let contents = self.contents(&context.place);
            let Some(deletion) = contents.delete_with_image(&snapshot, may_delete, context.now) else { continue };
            if deletion == SnapshotDeletion::Success {
                let tags = contents.snapshot_tags(&snapshot);
                let resource = Resource::Snapshot(snapshot.clone());
                records.push(Deletion::new(context, Action::DeregisterImage, resource, tags));
            }
            deletions.push((snapshot, deletion));
        }
        self.deletions.append(&mut records);
        Ok(Reply::ImageDeregistered(deletions))
    }

    pub(crate) fn delete_snapshot(&mut self, context: &Context<'_>, snapshot_id: &str) -> Result<Reply, ApiError> {
        let id: SnapshotId = ids::parse(snapshot_id)?;
        let contents = self.contents(&context.place);
        let found = contents.snapshots.get(&id).filter(|snapshot| snapshot.exists_at(context.now));
        let is_locked = found.map(|snapshot| snapshot.is_locked);
        let Some(is_locked) = is_locked else {
            return Err(ApiError::snapshot_not_found(&[snapshot_id.to_owned()]));
        };
        context.end_dry_run()?;
        if let Some(image) = contents.user_of(&id, context.now) {
            let message = format!("The snapshot {id} is currently in use by {}", image.facts.id);
            return Err(ApiError::client("InvalidSnapshot.InUse", message));
        }
        if is_locked {
            return Err(ApiError::client("OperationNotPermitted", format!("The snapshot {id} is locked.")));
        }
        contents.delete(&id, context.now);
        let tags = contents.snapshot_tags(&id);
        self.deletions.push(Deletion::new(context, Action::DeleteSnapshot, Resource::Snapshot(id), tags));
        Ok(Reply::Done)
    }

    pub(crate) fn protect_image(
        &mut self,
        context: &Context<'_>,
        image_id: &str,
        with_cooldown: bool,
    ) -> Result<Reply, ApiError> {
        let image = self.contents(&context.place).registered_image(image_id, context.now)?;
        context.end_dry_run()?;
        let enabled = DeregistrationProtection::Enabled;
        image.protection = if with_cooldown { DeregistrationProtection::EnabledWithCooldown } else { enabled };
        image.cooldown_until = None;
        Ok(Reply::Protection(image.protection))
    }

    pub(crate) fn unprotect_image(&mut self, context: &Context<'_>, image_id: &str) -> Result<Reply, ApiError> {
        let image = self.contents(&context.place).registered_image(image_id, context.now)?;
        context.end_dry_run()?;
        image.unprotect(context.now);
        Ok(Reply::Protection(image.protection))
    }
}

impl State {
    fn fail_snapshot(&mut self, place: &Place, id: &SnapshotId) {
        if let Some(snapshot) = self.contents(place).snapshots.get_mut(id) {
            snapshot.fails_with = Some(SnapshotDeletion::InternalError);
        }
    }
}

impl Contents {
    fn registered_image(&mut self, image_id: &str, now: Timestamp) -> Result<&mut Image, ApiError> {
        let id: ImageId = ids::parse(image_id)?;
        match self.images.get_mut(&id) {
            Some(image) => match image.registration_at(now) {
                Registration::Registered => Ok(image),
                Registration::Deregistered => Err(ApiError::image_unavailable(image_id)),
                Registration::Unknown => Err(ApiError::image_not_found(&[image_id.to_owned()])),
            },
            None => Err(ApiError::image_not_found(&[image_id.to_owned()])),
        }
    }

    /// Deletes a snapshot of an image that has just gone; none if there is no such snapshot any more, or not yet. That
    /// a locked one is a `client-error` is not documented.
    fn delete_with_image(&mut self, id: &SnapshotId, may_delete: bool, now: Timestamp) -> Option<SnapshotDeletion> {
        let is_used = self.user_of(id, now).is_some();
        let snapshot = self.snapshots.get_mut(id).filter(|snapshot| snapshot.exists_at(now))?;
        if !may_delete {
            return Some(SnapshotDeletion::MissingPermissions);
        }
        if is_used {
            return Some(SnapshotDeletion::Skipped);
        }
        if let Some(failure) = snapshot.fails_with.take() {
            return Some(failure);
        }
        if snapshot.is_locked {
            return Some(SnapshotDeletion::ClientError);
        }
        snapshot.deleted_at = Some(now);
        Some(SnapshotDeletion::Success)
    }

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

    fn snapshot_tags(&self, id: &SnapshotId) -> Tags {
        self.snapshots.get(id).map(|snapshot| snapshot.tags.as_of(Timestamp::MAX)).unwrap_or_default()
    }
}
