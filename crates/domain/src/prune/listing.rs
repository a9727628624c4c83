//! What is known of images before any is judged: EC2's complete listing, and the rows of the ledger.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::grade::Grade;
use crate::id::{AccountId, AccountName, ClassName, ImageId, InstanceId, JobId, PolicyName, Region, SnapshotId};
use crate::tags;

/// A complete listing of one account and region: every image and every snapshot with our `amikeep:owner`, and besides
/// them the images of the ledger that EC2 shows without that tag.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The account.
    pub account: AccountId,
    /// Its configured name.
    pub account_name: AccountName,
    /// The region.
    pub region: Region,
    /// When it was begun: it shows everything that was there by then, but for EC2's lag.
    pub began_at: Timestamp,
    /// The images.
    pub images: BTreeMap<ImageId, ListedImage>,
    /// The snapshots.
    pub snapshots: BTreeMap<SnapshotId, ListedSnapshot>,
}

/// The life of an image, as far as pruning goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListedState {
    /// EC2 makes it.
    Pending,
    /// It can be launched.
    Available,
    /// Somebody disabled it.
    Disabled,
    /// EC2 reports it failed.
    Failed,
}

/// An image as EC2 lists it.
#[derive(Debug, Clone)]
pub struct ListedImage {
    /// Its state.
    pub state: ListedState,
    /// Its name.
    pub name: String,
    /// When it was asked for.
    pub created_at: Option<Timestamp>,
    /// The instance it was taken of, where EC2 says so.
    pub source_instance: Option<InstanceId>,
    /// The snapshots that it maps.
    pub snapshots: Vec<SnapshotId>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl ListedImage {
    /// Whether an operator wants it kept, whatever the value of the tag.
    pub fn is_pinned(&self) -> bool {
        self.tags.contains_key(tags::PIN)
    }
}

/// A snapshot as EC2 lists it.
#[derive(Debug, Clone)]
pub struct ListedSnapshot {
    /// When it was initiated.
    pub started_at: Option<Timestamp>,
    /// Its description.
    pub description: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl ListedSnapshot {
    /// The image that it was made for, as `CreateImage` writes it: "Created by CreateImage(i-…) for ami-…" ("Deregister an
    /// Amazon EBS-backed AMI" in the EC2 User Guide). A copy of a snapshot has another description, also when the tags
    /// were copied with it.
    pub fn made_for(&self) -> Option<(InstanceId, ImageId)> {
        let (instance, rest) = self.description.strip_prefix("Created by CreateImage(")?.split_once(')')?;
        let image = rest.strip_prefix(" for ")?.split_whitespace().next()?;
        Some((instance.parse().ok()?, image.parse().ok()?))
    }

    /// Whether an operator wants it kept, and so the image that it belongs to.
    pub fn is_pinned(&self) -> bool {
        self.tags.contains_key(tags::PIN)
    }
}

/// The job that tags name.
pub(super) fn job_of(tags: &BTreeMap<String, String>) -> Option<JobId> {
    tags.get(tags::JOB)?.parse().ok()
}

/// What the ledger says of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownState {
    /// EC2 makes it for a job that has not ended.
    Pending,
    /// It was available when it was last seen.
    Available,
    /// EC2 reported it failed, or its job ended before it was available.
    Failed,
    /// Somebody else deregistered it.
    Missing,
    /// Its deletion is under way.
    Going,
}

/// An image of a row of the ledger.
#[derive(Debug, Clone)]
pub struct KnownImage {
    /// The image.
    pub image: ImageId,
    /// Its name.
    pub name: String,
    /// The job that had it made.
    pub job: JobId,
    /// The policy of the job.
    pub policy: PolicyName,
    /// The account it is in.
    pub account: AccountId,
    /// The configured name of that account.
    pub account_name: AccountName,
    /// The region it is in.
    pub region: Region,
    /// The instance it was taken of.
    pub instance: InstanceId,
    /// The class that applied.
    pub class: ClassName,
    /// When it was captured.
    pub captured_at: Option<Timestamp>,
    /// Its grade.
    pub grade: Option<Grade>,
    /// Its snapshots, as far as they were written down.
    pub snapshots: Vec<SnapshotId>,
    /// What became of it.
    pub state: KnownState,
    /// Whether its job succeeded.
    pub counts: bool,
    /// Whether it was pinned when it was last seen.
    pub pinned: bool,
    /// Since when complete listings have not shown it, as far as that was written down.
    pub missing_since: Option<Timestamp>,
    /// When it was first seen.
    pub first_seen_at: Timestamp,
    /// When it was last seen.
    pub last_seen_at: Timestamp,
}

/// A job of the ledger that has ended, for an image or snapshots that it left behind without knowing.
#[derive(Debug, Clone)]
pub struct EndedJob {
    /// The policy.
    pub policy: PolicyName,
    /// The account.
    pub account: AccountId,
    /// The configured name of that account.
    pub account_name: AccountName,
    /// The region.
    pub region: Region,
    /// The instance.
    pub instance: InstanceId,
    /// The class.
    pub class: ClassName,
    /// The names that its images may have had.
    pub image_names: Vec<String>,
    /// The description of snapshots that it asked for by itself.
    pub snapshot_description: String,
    /// When it ended.
    pub finished_at: Timestamp,
}
