//! Snapshots: not there before they are begun, pending until all data is copied, and in use as long as an image maps
//! them.
//!
//! Rules: "Create Amazon EBS snapshots", `DeleteSnapshot` and `DescribeSnapshots`.

use amikeep_domain::id::SnapshotId;
use jiff::Timestamp;

use crate::reply::{SnapshotDeletion, SnapshotFacts, SnapshotState, SnapshotView, Tags};
use crate::time_text::wire_time;
use crate::world::filters::{Attribute, Filterable};
use crate::world::horizon::Horizon;
use crate::world::tags::TagLog;

#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) facts: SnapshotFacts,
    pub(crate) completes_at: Timestamp,
    /// Since when it has failed.
    pub(crate) failed_at: Option<Timestamp>,
    /// Those that were taken in the same call, as one.
    pub(crate) set: Vec<SnapshotId>,
    pub(crate) deleted_at: Option<Timestamp>,
    /// Whether Snapshot Lock holds it.
    pub(crate) is_locked: bool,
    /// How its next deletion with an image ends, if it shall fail.
    pub(crate) fails_with: Option<SnapshotDeletion>,
    pub(crate) tags: TagLog,
}

impl Snapshot {
    pub(crate) fn exists_at(&self, at: Timestamp) -> bool {
        self.facts.started_at <= at && self.deleted_at.is_none_or(|deleted_at| at < deleted_at)
    }

    /// Whether a read finds it.
    pub(crate) fn is_shown(&self, horizon: &Horizon) -> bool {
        self.facts.started_at <= horizon.new_snapshots && self.exists_at(horizon.at)
    }

    pub(crate) fn state_at(&self, at: Timestamp) -> SnapshotState {
        match self.failed_at {
            Some(failed_at) if failed_at <= at => SnapshotState::Error,
            _ if self.completes_at <= at => SnapshotState::Completed,
            _ => SnapshotState::Pending,
        }
    }

    pub(crate) fn view(&self, horizon: &Horizon) -> Option<SnapshotView> {
        if !self.is_shown(horizon) {
            return None;
        }
        let at = horizon.at;
        let state = self.state_at(at);
        Some(SnapshotView {
            facts: self.facts.clone(),
            state,
            progress_percent: self.progress_percent(at),
            completed_at: (state == SnapshotState::Completed).then_some(self.completes_at),
            tags: self.tags.as_of(horizon.tags),
        })
    }

    fn progress_percent(&self, at: Timestamp) -> u8 {
        let whole = self.completes_at.duration_since(self.facts.started_at).as_millis().max(1);
        let done = at.duration_since(self.facts.started_at).as_millis().clamp(0, whole);
        u8::try_from(done * 100 / whole).unwrap_or(100)
    }
}

impl Filterable for SnapshotView {
    fn attribute(name: &str) -> Option<Attribute<Self>> {
        let attribute: Attribute<Self> = match name {
            "description" => |s| vec![s.facts.description.clone()],
            "encrypted" => |s| vec![s.facts.encrypted.to_string()],
            "owner-id" => |s| vec![s.facts.owner.to_string()],
            "progress" => |s| vec![format!("{}%", s.progress_percent)],
            "snapshot-id" => |s| vec![s.facts.id.to_string()],
            "start-time" => |s| vec![wire_time(s.facts.started_at)],
            "status" => |s| vec![s.state.as_str().to_owned()],
            "storage-tier" => |_| vec!["standard".to_owned()],
            "volume-id" => |s| vec![s.facts.volume_id.to_string()],
            "volume-size" => |s| vec![s.facts.size_gib.to_string()],
            _ => return None,
        };
        Some(attribute)
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn cursor(&self) -> &str {
        self.facts.id.as_str()
    }
}
