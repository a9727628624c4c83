//! An image in two steps: snapshots of all volumes of an instance in one call, and an image registered from them.
//!
//! `CreateSnapshots` answers with the ids and has one documented point in time for all volumes, which `CreateImage` has
//! not. The price is that what `CreateImage` carries over by itself has to be carried over here, and that EC2 can bill an
//! image rightly only if it is plain Linux: nothing but `CreateImage` knows what a licence is.

use std::collections::BTreeMap;

use amikeep_domain::id::{InstanceId, SnapshotId, VolumeId};
use amikeep_domain::image_attributes::ImageAttributes;
use amikeep_domain::image_name::ImageName;

/// Snapshots to be taken of every EBS volume of an instance. There is no name and no client token: a second request is a
/// second set of snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotsRequest {
    /// The instance.
    pub instance: InstanceId,
    /// Tags for each of them.
    pub tags: BTreeMap<String, String>,
    /// A sentence for the console, at most 255 characters.
    pub description: String,
}

/// An image to be registered from snapshots. Nothing is left to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its name: unique in account and region, so a second request with it is refused.
    pub name: ImageName,
    /// What the instance had.
    pub attributes: ImageAttributes,
    /// The snapshot of each volume. A volume without one is left out of the image.
    pub snapshots: BTreeMap<VolumeId, SnapshotId>,
    /// Tags for the image.
    pub tags: BTreeMap<String, String>,
    /// A sentence for the console, at most 255 characters.
    pub description: String,
}
