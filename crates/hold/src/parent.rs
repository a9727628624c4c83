//! The side of the daemon: starts a guard, asks it to freeze and to thaw, and thaws itself when the guard cannot.
//!
//! It owns the rule that whoever asked for a hold sees it end. A [`Guard`] is ready and has frozen nothing; a [`Hold`]
//! is frozen; a report is what is left. It must never leave a mount frozen that it may thaw, on no path out.
//!
//! Calls block, for as long as a freeze or a thaw takes, and there is no runtime in this crate: between freeze and thaw
//! the fewer parts must work the better, so a runtime whose threads are all busy must not delay a thaw. Each guard has a
//! thread of its own here that listens to it (`link`); an asynchronous caller wraps the few calls in its pool of
//! blocking threads, and asks [`Hold::ended`], which never waits, as often as it likes.

mod link;

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::error::{FreezeError, HoldError};
use crate::guard::MOUNTS_MAX;
use crate::moment::{Anchor, Moment};
use crate::mount::OpenMount;
use crate::parent::link::Link;
use crate::recovery::FrozenRecord;
use crate::report::HoldReport;
use crate::tally::Tally;
use crate::wire::{Cause, Request, VERSION};

/// A guard checks itself and locks its memory in a small part of this.
const READY_WAIT_MAX: Duration = Duration::from_secs(10);

/// What a guard that works may add to a budget before its parent stops believing in it.
const GRACE: Duration = Duration::from_millis(500);

/// Thawing takes milliseconds. A guard that has not answered by then is killed, and its parent thaws.
const THAW_WAIT_MAX: Duration = Duration::from_secs(2);

/// How long a guard that was never used is waited for.
const END_WAIT_MAX: Duration = Duration::from_millis(200);

/// How long a dead guard's last freeze is waited for at the end of a hold. It may be flushing to a disk that hangs;
/// the thread that listens waits on.
const DEATH_WAIT_MAX: Duration = Duration::from_secs(5);

/// How to start a guard: this very program, with the words that lead it to [`crate::guard::main`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardProgram {
    /// `/proc/self/exe` is the file that runs, also after an upgrade has replaced it.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

/// A guard that is started and checked. Nothing is frozen.
#[derive(Debug)]
pub struct Guard {
    link: Arc<Link>,
}

impl Guard {
    /// Starts a guard for these mounts, to be frozen in this order, and waits until it has said that it is ready.
    pub fn start(program: &GuardProgram, mounts: Vec<OpenMount>) -> Result<Self, HoldError> {
        if mounts.is_empty() || MOUNTS_MAX < mounts.len() {
            return Err(HoldError::Count { count: mounts.len(), max: MOUNTS_MAX });
        }
        let guard = Self { link: link::start(program, mounts)? };
        let heard = guard.link.wait(READY_WAIT_MAX, |tally| tally.ready.is_some() || tally.refused.is_some());
        if let Some((step, errno)) = heard.refused {
            return Err(HoldError::Refused { step, errno });
        }
        match heard.ready {
            Some((VERSION, Ok(()))) => Ok(guard),
            Some((VERSION, Err(errno))) => Err(HoldError::MemoryNotLocked(errno)),
            Some(_) => Err(HoldError::OtherVersion),
            None => Err(silence(&heard, READY_WAIT_MAX)),
        }
    }

    /// Finds out whether every mount takes writes, and brings what is dirty to disk, so that the freeze is short.
    ///
    /// It must come before anything is locked. It may be repeated right before the freeze, and is worth it for whoever
    /// holds no application's lock in that time. A mount that takes no writes within `limit` costs the guard.
    pub fn prepare(&mut self, limit: Duration) -> Result<(), HoldError> {
        self.link.prepare_anew();
        self.link.say(Request::Prepare);
        let heard = self.link.wait(limit, |tally| tally.preparation().is_some());
        match heard.preparation() {
            Some(Ok(())) => Ok(()),
            Some(Err((mount, source))) => {
                let path = self.link.mounts().get(mount).map(|mount| mount.path.clone()).unwrap_or_default();
                Err(HoldError::Prepare { path, source })
            }
            None if heard.ended.is_some() => Err(silence(&heard, limit)),
            None => {
                let unanswered = heard.mounts.iter().zip(self.link.mounts()).find(|(seen, _)| seen.prepared.is_none());
                let path = unanswered.map(|(_, mount)| mount.path.clone()).unwrap_or_default();
                Err(HoldError::TakesNoWrites { path, limit })
            }
        }
    }

    /// Its process.
    pub fn pid(&self) -> Option<u32> {
        self.link.guard_pid()
    }

    /// What the ledger must hold before [`Guard::freeze`] is called, so that a start after a crash can thaw.
    pub fn records(&self, boot_id: &str) -> Vec<FrozenRecord> {
        let record = |mount: &OpenMount| FrozenRecord {
            mount: mount.path.clone(),
            device: mount.device,
            boot_id: boot_id.to_owned(),
            guard: self.link.stamp(),
        };
        self.link.mounts().iter().map(record).collect()
    }

    /// Freezes every mount in order. Whatever happens, all are thawed again when `budget` has passed from now on.
    ///
    /// `now` is the time at this moment by the caller's clock, by which the report tells the times of the hold.
    pub fn freeze(self, budget: Duration, now: Timestamp) -> Result<Hold, Box<FreezeError>> {
        let anchor = Anchor::at(now);
        let thaw_by = Moment::now() + budget;
        self.link.expect_end_by(thaw_by + GRACE);
        self.link.say(Request::Freeze { thaw_by });
        let heard = self.link.wait(budget + GRACE, Tally::is_held);
        let hold = Hold { link: Arc::clone(&self.link), anchor, ended: false };
        if heard.is_held() {
            return Ok(hold);
        }
        Err(Box::new(FreezeError { report: hold.thaw() }))
    }
}

impl Drop for Guard {
    /// A guard that was never asked to freeze ends: nobody will ever speak to it again. One that was is the hold's.
    ///
    /// It is waited for a moment, so that the mounts can be unmounted afterwards; one that hangs in a preparation is not.
    fn drop(&mut self) {
        if !self.link.has_begun() {
            self.link.hang_up();
            self.link.wait_until_over(END_WAIT_MAX);
        }
    }
}

fn silence(heard: &Tally, limit: Duration) -> HoldError {
    heard.ended.map_or(HoldError::Silent { limit }, |cause| HoldError::Ended { cause })
}

/// Every mount is frozen, until this is thawed, the budget ends, or anybody dies.
#[derive(Debug)]
#[must_use = "a hold that is dropped is thawed"]
pub struct Hold {
    link: Arc<Link>,
    anchor: Anchor,
    /// All that can be done about its end was done.
    ended: bool,
}

impl Hold {
    /// Every mount is frozen as far as anybody knows. It never waits, and can be asked as often as one likes.
    pub fn is_held(&self) -> bool {
        self.link.heard().is_held()
    }

    /// Why the hold is over, if it is. It never waits.
    pub fn ended(&self) -> Option<Cause> {
        self.link.heard().ended
    }

    /// Waits until the hold is over by itself and everything is thawed that can be, at most for `limit`.
    pub fn wait_for_end(&self, limit: Duration) -> Option<Cause> {
        if self.link.wait_until_over(limit) { self.ended() } else { None }
    }

    /// When the last mount was frozen.
    pub fn held_from(&self) -> Option<Timestamp> {
        let heard = self.link.heard();
        heard.mounts.iter().filter_map(|seen| seen.frozen).max().map(|at| self.anchor.wall(at))
    }

    /// The guard's process.
    pub fn guard_pid(&self) -> Option<u32> {
        self.link.guard_pid()
    }

    /// Thaws, and tells what the hold was. When it returns, all is thawed, or named as left frozen.
    pub fn thaw(mut self) -> HoldReport {
        end(&self.link);
        self.ended = true;
        HoldReport::new(&self.link.heard(), self.link.mounts(), &self.anchor)
    }
}

impl Drop for Hold {
    /// The last resort, for a panic or a forgotten return. It blocks whoever drops it until the thaw has been answered,
    /// milliseconds as a rule: writes that hang are worse than a thread that waits, and a thaw left to somebody else
    /// might never come. After [`Hold::thaw`] it does nothing.
    fn drop(&mut self) {
        if !self.ended {
            end(&self.link);
        }
    }
}

/// Asks the guard to thaw, and does it itself if the guard will not. When everything is over it returns at once.
fn end(link: &Arc<Link>) {
    if link.is_over() {
        return;
    }
    link.say(Request::Thaw);
    if !link.wait_until_over(THAW_WAIT_MAX) {
        link.force();
        link.wait_until_over(DEATH_WAIT_MAX);
    }
}

/// A process of ours that has not been reaped, by a name that cannot come to mean another.
fn open_pidfd(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}
