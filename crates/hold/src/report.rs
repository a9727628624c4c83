//! What a hold was, told after its end: how long writes stood still, and whether the freeze was unbroken.
//!
//! It owns the meaning of what was heard from the guard. It must never call a hold unbroken that somebody else thawed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rustix::io::Errno;

use crate::moment::{Anchor, Moment};
use crate::mount::OpenMount;
use crate::tally::{Seen, Tally, is_thawed};
use crate::wire::Cause;

/// The end of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldReport {
    /// Why it ended.
    pub cause: Cause,
    /// Every mount, in the order of freezing.
    pub mounts: Vec<MountReport>,
    /// The longest time for which writes to any of the mounts can have stood still; none if nothing was frozen.
    pub stall: Option<Duration>,
    /// When the last mount was frozen: from here on all stood still together.
    pub held_from: Option<Timestamp>,
    /// When the first thaw began: until here all stood still together.
    pub held_until: Option<Timestamp>,
}

/// What became of one mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountReport {
    /// Where it is mounted.
    pub path: PathBuf,
    /// `xfs`, `ext4` and so on.
    pub fs_type: String,
    /// The options of the file system, as the kernel shows them.
    pub options: String,
    /// How it ended.
    pub end: MountEnd,
    /// When its freeze was complete.
    pub frozen_at: Option<Timestamp>,
    /// When writes flowed again.
    pub thawed_at: Option<Timestamp>,
    /// From the start of its freeze to the end of its thaw.
    pub stall: Option<Duration>,
}

/// How the hold of one mount ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountEnd {
    /// It was never frozen.
    Untouched,
    /// It could not be frozen. `Errno::BUSY`: somebody else had frozen it.
    NotFrozen(Errno),
    /// It was frozen by us until we thawed it.
    Thawed,
    /// When we thawed it, it was not frozen any more: somebody else had thawed it, and nobody knows when.
    ThawedByOthers,
    /// It may still be frozen: thawing it failed, or has not been answered.
    LeftFrozen(Option<Errno>),
}

impl fmt::Display for MountEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untouched => f.write_str("never frozen"),
            Self::NotFrozen(Errno::BUSY) => f.write_str("somebody else had frozen it"),
            Self::NotFrozen(errno) => write!(f, "could not be frozen: {errno}"),
            Self::Thawed => f.write_str("thawed"),
            Self::ThawedByOthers => f.write_str("thawed by somebody else"),
            Self::LeftFrozen(_) => f.write_str("may still be frozen"),
        }
    }
}

impl HoldReport {
    /// Every mount was frozen, and still was when we thawed it.
    ///
    /// One thing it cannot see: that somebody thawed a mount and froze it again in the meantime. No call of the kernel
    /// tells one freeze from another.
    pub fn is_unbroken(&self) -> bool {
        !self.mounts.is_empty() && self.mounts.iter().all(|mount| mount.end == MountEnd::Thawed)
    }

    /// It was unbroken, and ended because we said so and for no other reason: what was seen before we said so, was
    /// seen while everything stood still.
    pub fn proves_hold(&self) -> bool {
        self.is_unbroken() && self.cause == Cause::Told
    }

    /// The mounts that may still be frozen. Whoever gets one here must tell a human, and leave the record in place that
    /// the next start thaws by.
    pub fn left_frozen(&self) -> Vec<&Path> {
        let left = self.mounts.iter().filter(|mount| matches!(mount.end, MountEnd::LeftFrozen(_)));
        left.map(|mount| mount.path.as_path()).collect()
    }

    pub(crate) fn new(tally: &Tally, mounts: &[OpenMount], anchor: &Anchor) -> Self {
        let of_mount = |(seen, mount): (&Seen, &OpenMount)| MountReport {
            path: mount.path.clone(),
            fs_type: mount.fs_type.clone(),
            options: mount.options.clone(),
            end: end_of(seen),
            frozen_at: seen.frozen.map(|at| anchor.wall(at)),
            thawed_at: thawed_at(seen).map(|at| anchor.wall(at)),
            stall: stall_of(seen),
        };
        let all_frozen = tally.mounts.iter().map(|seen| seen.frozen).collect::<Option<Vec<Moment>>>();
        let first_thaw = tally.mounts.iter().filter_map(|seen| Some(seen.thaw?.began)).min();
        let held_from = all_frozen.and_then(|moments| moments.into_iter().max());
        // A mount thawed before the last was frozen: they never stood still together.
        let together = held_from.zip(first_thaw).is_none_or(|(from, until)| from <= until);
        Self {
            cause: tally.ended.unwrap_or(Cause::GuardSilent),
            mounts: tally.mounts.iter().zip(mounts).map(of_mount).collect(),
            stall: tally.mounts.iter().filter_map(stall_of).max(),
            held_from: held_from.filter(|_| together).map(|at| anchor.wall(at)),
            held_until: held_from.and(first_thaw).filter(|_| together).map(|at| anchor.wall(at)),
        }
    }
}

fn end_of(seen: &Seen) -> MountEnd {
    match (seen.failed, seen.thaw.map(|thaw| thaw.result)) {
        (Some(errno), _) => MountEnd::NotFrozen(errno),
        // A freeze of which only the beginning was heard counts as held by us, but nothing was proved by it.
        (None, Some(Ok(()))) if seen.frozen.is_some() => MountEnd::Thawed,
        (None, Some(Ok(()) | Err(Errno::INVAL))) => MountEnd::ThawedByOthers,
        (None, Some(Err(errno))) => MountEnd::LeftFrozen(Some(errno)),
        (None, None) if seen.may_be_frozen() => MountEnd::LeftFrozen(None),
        (None, None) => MountEnd::Untouched,
    }
}

fn thawed_at(seen: &Seen) -> Option<Moment> {
    seen.thaw.filter(|thaw| is_thawed(thaw.result)).map(|thaw| thaw.done)
}

fn stall_of(seen: &Seen) -> Option<Duration> {
    Some(thawed_at(seen)?.since(seen.freezing?))
}

#[cfg(test)]
mod tests;
