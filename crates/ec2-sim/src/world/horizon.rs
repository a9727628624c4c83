//! The moments that reads show. EC2 promises no order between its answers: what is new, what it is tagged with and all
//! else each may lag by its own time.
//!
//! Rules: "Eventual consistency" in EC2's Developer Guide.

use jiff::Timestamp;

use crate::clock::earlier;
use crate::world::settings::Settings;

/// How far back a read looks, from the moment of the call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Horizon {
    /// Everything that has no moment of its own.
    pub(crate) at: Timestamp,
    /// Images that were made later are not there yet.
    pub(crate) new_images: Timestamp,
    /// Snapshots that were begun later are not there yet.
    pub(crate) new_snapshots: Timestamp,
    /// The tags of everything.
    pub(crate) tags: Timestamp,
}

impl Horizon {
    /// No lag at all.
    pub(crate) fn none(now: Timestamp) -> Self {
        Self { at: now, new_images: now, new_snapshots: now, tags: now }
    }

    pub(crate) fn new(now: Timestamp, settings: &Settings) -> Self {
        let at = earlier(now, settings.describe_lag);
        Self {
            at,
            new_images: earlier(at, settings.new_image_lag),
            new_snapshots: earlier(at, settings.new_snapshot_lag),
            tags: earlier(at, settings.tag_lag),
        }
    }
}
