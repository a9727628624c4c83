//! What the parent has heard from its guard, and what follows from it.
//!
//! It owns the answer to the two questions after a death: which mounts may still be frozen, and was the hold unbroken.
//! It never acts and never asks a clock.

use rustix::io::Errno;

use crate::moment::Moment;
use crate::wire::{Cause, Event, Step};

/// What is known of one mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) prepared: Option<Result<(), Errno>>,
    /// The guard began to freeze it.
    pub(crate) freezing: Option<Moment>,
    /// It was frozen, with the time at which that was complete.
    pub(crate) frozen: Option<Moment>,
    pub(crate) failed: Option<Errno>,
    pub(crate) thaw: Option<Thaw>,
}

/// The last attempt to thaw a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thaw {
    pub(crate) result: Result<(), Errno>,
    pub(crate) began: Moment,
    pub(crate) done: Moment,
}

impl Seen {
    /// Nothing says that it is not frozen.
    ///
    /// A freeze that began and has no outcome counts: the guard died in it. Should somebody else have frozen the mount
    /// in the moments since the guard found it taking writes, their freeze is thawed too; that is the lesser evil beside
    /// a server whose writes hang until somebody finds out why.
    pub(crate) fn may_be_frozen(&self) -> bool {
        let began = self.freezing.is_some() || self.frozen.is_some();
        began && self.failed.is_none() && !self.thaw.is_some_and(|thaw| is_thawed(thaw.result))
    }
}

/// EINVAL says that it was not frozen, by whomever it was thawed.
pub(crate) fn is_thawed(result: Result<(), Errno>) -> bool {
    matches!(result, Ok(()) | Err(Errno::INVAL))
}

/// All that was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) mounts: Vec<Seen>,
    pub(crate) ready: Option<(u16, Result<(), Errno>)>,
    pub(crate) refused: Option<(Step, Errno)>,
    pub(crate) ended: Option<Cause>,
}

impl Tally {
    pub(crate) fn new(mounts: usize) -> Self {
        Self { mounts: vec![Seen::default(); mounts], ready: None, refused: None, ended: None }
    }

    /// Takes in a message. One about a mount that there is not says nothing.
    pub(crate) fn hear(&mut self, event: Event) {
        match event {
            Event::Ready { version, locked } => self.ready = Some((version, locked)),
            Event::Refused { step, errno } => self.refused = Some((step, errno)),
            Event::Prepared { mount, result } => self.of(mount, |seen| seen.prepared = Some(result)),
            Event::Freezing { mount, at } => self.of(mount, |seen| seen.freezing = Some(at)),
            Event::Frozen { mount, done, .. } => self.of(mount, |seen| seen.frozen = Some(done)),
            Event::FreezeFailed { mount, errno, .. } => self.of(mount, |seen| seen.failed = Some(errno)),
            Event::Thawed { mount, result, began, done } => {
                self.of(mount, |seen| seen.thaw = Some(Thaw { result, began, done }));
            }
            // What the parent found out itself, that it had to kill the guard, is not replaced by what comes later.
            Event::Ended { cause, .. } => {
                self.ended.get_or_insert(cause);
            }
        }
    }

    fn of(&mut self, mount: u8, change: impl FnOnce(&mut Seen)) {
        if let Some(seen) = self.mounts.get_mut(usize::from(mount)) {
            change(seen);
        }
    }

    /// Every mount was prepared, or the first that was not, with the reason.
    pub(crate) fn preparation(&self) -> Option<Result<(), (usize, Errno)>> {
        for (mount, seen) in self.mounts.iter().enumerate() {
            match seen.prepared {
                Some(Ok(())) => {}
                Some(Err(errno)) => return Some(Err((mount, errno))),
                None => return None,
            }
        }
        Some(Ok(()))
    }

    /// Asked for again, a preparation begins anew.
    pub(crate) fn forget_preparation(&mut self) {
        for seen in &mut self.mounts {
            seen.prepared = None;
        }
    }

    /// Every mount is frozen, and no thaw of any was heard of.
    pub(crate) fn is_held(&self) -> bool {
        self.ended.is_none() && self.mounts.iter().all(|seen| seen.frozen.is_some() && seen.thaw.is_none())
    }

    /// Whether a freeze is under way or done, so that somebody must see to its end.
    pub(crate) fn has_begun(&self) -> bool {
        self.mounts.iter().any(|seen| seen.freezing.is_some())
    }

    /// The mounts that must be thawed when the guard is dead, the last frozen first.
    pub(crate) fn owed(&self) -> Vec<u8> {
        self.indices(Seen::may_be_frozen)
    }

    /// Those of them whose freeze is complete, so that they can be thawed while another is still being frozen.
    pub(crate) fn owed_and_complete(&self) -> Vec<u8> {
        self.indices(|seen| seen.may_be_frozen() && seen.frozen.is_some())
    }

    fn indices(&self, which: impl Fn(&Seen) -> bool) -> Vec<u8> {
        let chosen = (0_u8..).zip(&self.mounts).filter(|(_, seen)| which(seen)).map(|(mount, _)| mount);
        let mut chosen: Vec<u8> = chosen.collect();
        chosen.reverse();
        chosen
    }
}

#[cfg(test)]
mod tests;
