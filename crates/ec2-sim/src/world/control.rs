//! What a test or an operator does to a running world, past its calls.

use std::time::Duration;

use amikeep_domain::id::{AccountId, ImageId, InstanceId, SnapshotId};
use jiff::{SignedDuration, Timestamp};

use crate::fault::Fault;
use crate::reply::SnapshotDeletion;
use crate::request::Action;
use crate::world::World;
use crate::world::settings::{ImageFailure, Mishaps};
use crate::world::snapshots::Snapshot;

impl World {
    /// Plans something to go wrong.
    pub fn plan_fault(&self, fault: Fault) {
        self.state().faults.add(fault);
    }

    /// Forgets every planned fault.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// Takes a permission from everybody in an account.
    pub fn deny(&self, account: &AccountId, action: Action) {
        self.state().iam.deny(account, action);
    }

    /// Gives a permission back.
    pub fn allow(&self, account: &AccountId, action: Action) {
        self.state().iam.allow(account, action);
    }

    /// Ends a session, or makes an access key unknown.
    pub fn expire_credentials(&self, access_key_id: &str) {
        let now = self.clock.now();
        self.state().iam.expire(access_key_id, now);
    }

    /// From now on reads show the world as it was this long ago.
    pub fn set_describe_lag(&self, lag: SignedDuration) {
        self.state().settings.describe_lag = lag;
    }

    /// How long a call over HTTP takes.
    pub(crate) fn latency(&self) -> Duration {
        self.state().settings.latency
    }

    /// From now on snapshots begin this long after `CreateImage`.
    pub fn set_snapshot_lag(&self, lag: SignedDuration) {
        self.state().settings.snapshot_lag = lag;
    }

    /// Images of `instance` take this long from now on, whatever is drawn for the others.
    pub fn set_image_duration(&self, instance: &InstanceId, duration: SignedDuration) {
        self.state().settings.image_durations.insert(instance.clone(), duration);
    }

    /// The next image of `instance` fails so. Called twice, the next two do.
    pub fn fail_next_image(&self, instance: &InstanceId, failure: ImageFailure) {
        self.state().settings.image_failures.entry(instance.clone()).or_default().push_back(failure);
    }

    /// From now on new images, new snapshots and tags show this much later than all else.
    pub fn set_newcomer_lag(&self, images: SignedDuration, snapshots: SignedDuration, tags: SignedDuration) {
        let settings = &mut self.state().settings;
        (settings.new_image_lag, settings.new_snapshot_lag, settings.tag_lag) = (images, snapshots, tags);
    }

    /// What may happen to any image from now on.
    pub fn set_mishaps(&self, mishaps: Mishaps) {
        self.state().settings.mishaps = mishaps;
    }

    /// From now on the endpoint does not know this action and answers `InvalidAction`.
    pub fn forget_action(&self, action: Action) {
        self.state().settings.unknown_actions.insert(action);
    }

    /// Terminates an instance at a time that may be yet to come, whoever does it.
    pub fn terminate_at(&self, instance: &InstanceId, at: Timestamp) {
        let mut state = self.state();
        let takes = state.settings.stop;
        for contents in state.places.values_mut() {
            contents.terminate_at(instance, at, takes);
        }
    }

    /// Disables an image, as an operator can outside of amikeep.
    pub fn disable_image(&self, image: &ImageId) {
        let now = self.clock().now();
        for contents in self.state().places.values_mut() {
            if let Some(image) = contents.images.get_mut(image) {
                image.disabled_at = Some(now);
            }
        }
    }

    /// Locks a snapshot with Snapshot Lock: it cannot be deleted.
    pub fn lock_snapshot(&self, id: &SnapshotId) {
        self.change_snapshot(id, |snapshot| snapshot.is_locked = true);
    }

    /// Takes the lock away.
    pub fn unlock_snapshot(&self, id: &SnapshotId) {
        self.change_snapshot(id, |snapshot| snapshot.is_locked = false);
    }

    /// The next `DeregisterImage` that wants to delete this snapshot says this of it, and leaves it.
    pub fn fail_snapshot_deletion(&self, id: &SnapshotId, failure: SnapshotDeletion) {
        self.change_snapshot(id, |snapshot| snapshot.fails_with = Some(failure));
    }

    /// Images that are registered from now on come out as another platform than plain Linux, as `RegisterImage` warns that they
    /// can.
    pub fn set_registered_platform(&self, platform_details: &str) {
        self.state().settings.registered_platform = Some(platform_details.to_owned());
    }

    /// This snapshot fails now, and with it all that were taken as one with it: "If any one of the snapshots in the set fails,
    /// all of the other snapshots are marked as failed" is what `CreateSnapshots` promises.
    pub fn fail_snapshot(&self, id: &SnapshotId) {
        let now = self.clock().now();
        let mut failed = vec![id.clone()];
        for contents in self.state().places.values() {
            failed.extend(contents.snapshots.get(id).into_iter().flat_map(|it| it.set.clone()));
        }
        for id in failed {
            self.change_snapshot(&id, |snapshot| snapshot.failed_at = Some(now));
        }
    }

    fn change_snapshot(&self, id: &SnapshotId, change: impl Fn(&mut Snapshot)) {
        for contents in self.state().places.values_mut() {
            contents.snapshots.get_mut(id).into_iter().for_each(&change);
        }
    }
}
