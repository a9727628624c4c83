//! What the guard does about everything that can happen to it, without doing any of it.
//!
//! It owns the order of freezes and thaws. It must never thaw a mount whose freeze it did not see succeed, and never
//! end while one is frozen. It allocates nothing.
//!
//! Freezing is the work of a second thread, since FIFREEZE cannot be interrupted and may flush for long: while the
//! second mount is being frozen, the budget, a signal or the parent's death must still thaw the first at once. A freeze
//! that is under way at the end is awaited, and thawed as soon as it is there ([`Phase::Draining`]).

use rustix::io::Errno;

use crate::moment::Moment;
use crate::wire::{Cause, Event, Request};

/// More mounts than any machine is asked to hold still at once; it bounds the guard's fixed memory.
pub(crate) const MOUNTS_MAX: usize = 16;

/// What the machine does to the world.
pub(crate) trait Effects {
    fn now(&mut self) -> Moment;
    /// Gives the second thread something to do; its answer comes back through [`Machine::worked`].
    fn start(&mut self, work: Work);
    fn thaw(&mut self, mount: u8) -> Result<(), Errno>;
    /// Tells the parent, who may be gone or not listening; it must not wait.
    fn tell(&mut self, event: Event);
}

/// Something for the second thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Prepare(u8),
    Freeze(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Preparing(u8),
    Freezing(u8),
    Held,
    /// It is over, but for a freeze that cannot be called back.
    Draining(Cause),
    Done,
}

/// One hold, from the first message to the last.
#[derive(Debug)]
pub(crate) struct Machine {
    mounts: u8,
    phase: Phase,
    frozen: [bool; MOUNTS_MAX],
    thaw_by: Moment,
}

impl Machine {
    /// For so many mounts, at least one and at most [`MOUNTS_MAX`].
    pub(crate) fn new(mounts: u8) -> Self {
        debug_assert!(0 < mounts && usize::from(mounts) <= MOUNTS_MAX);
        Self { mounts, phase: Phase::Idle, frozen: [false; MOUNTS_MAX], thaw_by: Moment::default() }
    }

    /// Nothing is left to do, and nothing is frozen.
    pub(crate) fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// When [`Machine::clock`] must be called, whatever else happens.
    pub(crate) fn alarm(&self) -> Option<Moment> {
        matches!(self.phase, Phase::Freezing(_) | Phase::Held).then_some(self.thaw_by)
    }

    /// The parent said something. What makes no sense ends the hold: that is the one safe answer.
    pub(crate) fn asked(&mut self, request: Option<Request>, effects: &mut impl Effects) {
        match (request, self.phase) {
            (_, Phase::Draining(_) | Phase::Done) => {}
            (Some(Request::Thaw), _) => self.end(Cause::Told, effects),
            (Some(Request::Prepare), Phase::Idle) => {
                self.phase = Phase::Preparing(0);
                effects.start(Work::Prepare(0));
            }
            (Some(Request::Freeze { thaw_by }), Phase::Idle) => {
                self.thaw_by = thaw_by;
                if effects.now() < thaw_by {
                    self.freeze(0, effects);
                } else {
                    self.end(Cause::TooLate, effects);
                }
            }
            _ => self.end(Cause::Confused, effects),
        }
    }

    /// The second thread has finished what it was given.
    pub(crate) fn worked(&mut self, answer: Option<Event>, effects: &mut impl Effects) {
        match (answer, self.phase) {
            (Some(Event::Prepared { mount, result }), Phase::Preparing(at)) if mount == at => {
                effects.tell(Event::Prepared { mount, result });
                self.phase = Phase::Idle;
                if result.is_ok() && at + 1 < self.mounts {
                    self.phase = Phase::Preparing(at + 1);
                    effects.start(Work::Prepare(at + 1));
                }
            }
            (Some(Event::Frozen { mount, began, done }), Phase::Freezing(at)) if mount == at => {
                self.mark(mount, true);
                effects.tell(Event::Frozen { mount, began, done });
                if self.thaw_by <= effects.now() {
                    self.phase = Phase::Held;
                    self.end(Cause::Budget, effects);
                } else if at + 1 < self.mounts {
                    self.freeze(at + 1, effects);
                } else {
                    self.phase = Phase::Held;
                }
            }
            (Some(Event::Frozen { mount, began, done }), Phase::Draining(cause)) => {
                self.mark(mount, true);
                effects.tell(Event::Frozen { mount, began, done });
                self.thaw_all(effects);
                self.finish(cause, effects);
            }
            (Some(Event::FreezeFailed { mount, errno, at }), Phase::Freezing(_)) => {
                effects.tell(Event::FreezeFailed { mount, errno, at });
                self.phase = Phase::Held;
                self.end(Cause::FreezeFailed, effects);
            }
            (Some(Event::FreezeFailed { mount, errno, at }), Phase::Draining(cause)) => {
                effects.tell(Event::FreezeFailed { mount, errno, at });
                self.finish(cause, effects);
            }
            (_, Phase::Done) => {}
            _ => {
                // The second thread is gone or confused, so there is no answer to wait for.
                self.thaw_all(effects);
                self.finish(Cause::Confused, effects);
            }
        }
    }

    /// The clock has moved.
    pub(crate) fn clock(&mut self, effects: &mut impl Effects) {
        if self.alarm().is_some_and(|alarm| alarm <= effects.now()) {
            self.end(Cause::Budget, effects);
        }
    }

    /// Thaws everything, and ends as soon as no freeze is under way.
    pub(crate) fn end(&mut self, cause: Cause, effects: &mut impl Effects) {
        match self.phase {
            Phase::Draining(_) | Phase::Done => {}
            Phase::Freezing(_) => {
                self.phase = Phase::Draining(cause);
                self.thaw_all(effects);
            }
            // A preparation changes nothing, so nobody waits for it: it may hang for as long as somebody else's freeze.
            Phase::Idle | Phase::Preparing(_) | Phase::Held => {
                self.thaw_all(effects);
                self.finish(cause, effects);
            }
        }
    }

    fn freeze(&mut self, mount: u8, effects: &mut impl Effects) {
        self.phase = Phase::Freezing(mount);
        let at = effects.now();
        effects.tell(Event::Freezing { mount, at });
        effects.start(Work::Freeze(mount));
    }

    fn thaw_all(&mut self, effects: &mut impl Effects) {
        for mount in (0..self.mounts).rev() {
            if self.mark(mount, false) {
                let began = effects.now();
                let result = effects.thaw(mount);
                let done = effects.now();
                effects.tell(Event::Thawed { mount, result, began, done });
            }
        }
    }

    fn finish(&mut self, cause: Cause, effects: &mut impl Effects) {
        self.phase = Phase::Done;
        let at = effects.now();
        effects.tell(Event::Ended { cause, at });
    }

    /// What was there before.
    fn mark(&mut self, mount: u8, frozen: bool) -> bool {
        self.frozen.get_mut(usize::from(mount)).is_some_and(|slot| std::mem::replace(slot, frozen))
    }
}

#[cfg(test)]
mod tests;
