//! Pruning: which images go, each proved to be ours and with its reason, and the life of a deletion.
//!
//! [`plan_prune`] is the one function behind the daemon's own runs, `amikeep prune` and its dry run. It works on complete
//! listings alone: a caller that has only a part of one has nothing to give it.

mod deletion;
mod listing;
mod lost;
mod owned;
mod plan;
mod sets;
mod strays;
#[cfg(test)]
mod tests;

pub use crate::prune::deletion::{
    DELETION_FRESH_FOR, Deletion, DeletionEvent, DeletionState, DeletionStateName, IllegalDeletion, LeftSnapshot,
};
pub use crate::prune::listing::{EndedJob, KnownImage, KnownState, ListedImage, ListedSnapshot, ListedState, Listing};
pub use crate::prune::lost::{LostImage, NotReadable};
pub use crate::prune::owned::{NotProved, OwnedImage};
pub use crate::prune::plan::{
    Clock, DayCounts, MISSING_KEPT_FOR, PruneInputs, PrunePlan, PrunedImage, Released, plan_prune, wanted_usage,
};
pub use crate::prune::sets::PrunedSet;
pub use crate::prune::strays::stray_jobs;
