//! Snapshots as shown.

use amikeep_domain::id::{AccountId, SnapshotId, VolumeId};
use jiff::Timestamp;

use crate::reply::Tags;

/// EC2's snapshot states, as far as the simulator shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are EC2's")]
pub enum SnapshotState {
    Pending,
    Completed,
    /// It failed, and no image can be made of it.
    Error,
}

impl SnapshotState {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Completed => "completed",
            Self::Error => "error",
        }
    }
}

/// What does not change in a snapshot's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotFacts {
    /// `snap-…`
    pub id: SnapshotId,
    /// The volume.
    pub volume_id: VolumeId,
    /// In GiB.
    pub size_gib: u32,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// `Created by CreateImage(…) for ami-…`.
    pub description: String,
    /// Whose it is.
    pub owner: AccountId,
    /// The point in time that it holds; it cannot be seen before.
    pub started_at: Timestamp,
}

/// A snapshot as shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotView {
    /// What does not change.
    pub facts: SnapshotFacts,
    /// Its state then.
    pub state: SnapshotState,
    /// 0 to 100.
    pub progress_percent: u8,
    /// When it was complete.
    pub completed_at: Option<Timestamp>,
    /// Its tags then.
    pub tags: Tags,
}
