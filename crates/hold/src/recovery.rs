//! Thawing what a process froze that is no more, from what it had written down.
//!
//! It owns what happens when daemon and guard both died: whoever comes next, `ExecStopPost` or the next start, reads the
//! records and calls [`thaw_leftovers`], as often as it likes. It must never thaw what the record does not name: another
//! boot has frozen nothing of ours, and another device at the same path is another file system.
//!
//! The guard of a record is killed first, if it is still there: its daemon is gone, so it has nothing to do but thaw, and one
//! that hangs until later would thaw what another one holds then. A guard that dies in a freeze finishes it, since that
//! cannot be interrupted, and leaves it frozen; asked to thaw before that, the kernel says that nothing is frozen. So it is
//! waited for, and a record whose guard is still at work is not settled.
//!
//! One thing it cannot tell: that somebody else has frozen the same file system since. Their freeze would be thawed.
//! A record therefore must go as soon as its hold is over.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::poll;
use rustix::io::Errno;

use crate::device::DeviceNumber;
use crate::guard::thaw_firmly;
use crate::moment::{Moment, to_timespec};
use crate::mount::{device_of, open_directory};
use crate::observe::observe_mounts;
use crate::process::ProcessStamp;

/// How long a guard is waited for: it may be bringing to disk what was written since it was prepared.
const GUARD_WAIT_MAX: Duration = Duration::from_secs(10);

/// How often it is looked at.
const GUARD_LOOK_EVERY: Duration = Duration::from_millis(10);

/// What may be frozen, written down before it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrozenRecord {
    /// Where it was mounted.
    pub mount: PathBuf,
    /// `st_dev` of that directory.
    pub device: DeviceNumber,
    /// The boot in which this was. No freeze outlives one.
    pub boot_id: String,
    /// The guard that was to freeze it.
    pub guard: ProcessStamp,
}

/// What came of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// The record.
    pub record: FrozenRecord,
    /// What was found, and done.
    pub outcome: LeftoverOutcome,
}

/// What was found of a record, and done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftoverOutcome {
    /// It was frozen, and is not any more.
    Thawed,
    /// It was not frozen.
    WasNotFrozen,
    /// The machine was started anew since, so nothing of ours is frozen.
    OtherBoot,
    /// The device is mounted nowhere in this process's view. If it is frozen, it is so for nobody here.
    NotMounted,
    /// Its guard has been killed and is still in a freeze. The record must stay, and be tried again.
    GuardAtWork,
    /// It may still be frozen. The record must stay, and a human must know.
    Failed(Errno),
}

impl LeftoverOutcome {
    /// The record has done its duty and can go.
    pub fn is_settled(self) -> bool {
        !matches!(self, Self::Failed(_) | Self::GuardAtWork)
    }
}

/// The number of the boot that the machine is in.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// Thaws what the records name, the last first. Called again it finds nothing frozen.
///
/// It must only be called when the process that wrote the records is gone.
pub fn thaw_leftovers(records: &[FrozenRecord], boot_id: &str) -> Vec<Leftover> {
    let give_up = Moment::now() + GUARD_WAIT_MAX;
    let outcome = |record: &FrozenRecord| {
        if record.boot_id != boot_id {
            return LeftoverOutcome::OtherBoot;
        }
        record.guard.kill();
        match thaw_record(record) {
            // Thawing first and waiting then: writes wait too.
            LeftoverOutcome::WasNotFrozen if record.guard.is_at_work() => thaw_after_guard(record, give_up),
            outcome => outcome,
        }
    };
    records.iter().rev().map(|record| Leftover { record: record.clone(), outcome: outcome(record) }).collect()
}

fn thaw_after_guard(record: &FrozenRecord, give_up: Moment) -> LeftoverOutcome {
    while record.guard.is_at_work() {
        if give_up <= Moment::now() {
            return LeftoverOutcome::GuardAtWork;
        }
        let _ = poll(&mut [], Some(&to_timespec(GUARD_LOOK_EVERY)));
    }
    thaw_record(record)
}

fn thaw_record(record: &FrozenRecord) -> LeftoverOutcome {
    let result = match try_thaw(&record.mount, record.device) {
        Err(Errno::XDEV | Errno::NOENT | Errno::NOTDIR) => thaw_elsewhere(record.device),
        result => result,
    };
    match result {
        Ok(()) => LeftoverOutcome::Thawed,
        Err(Errno::INVAL) => LeftoverOutcome::WasNotFrozen,
        Err(Errno::XDEV) => LeftoverOutcome::NotMounted,
        Err(errno) => LeftoverOutcome::Failed(errno),
    }
}

/// A frozen file system can be mounted at another place by now, and is still frozen there.
fn thaw_elsewhere(device: DeviceNumber) -> Result<(), Errno> {
    let mounts = observe_mounts().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let places = mounts.iter().filter(|line| line.device == device);
    let mut results = places.map(|line| try_thaw(&line.mount_point, device));
    results.find(|result| *result != Err(Errno::XDEV)).unwrap_or(Err(Errno::XDEV))
}

/// XDEV says that another file system is there.
fn try_thaw(path: &Path, device: DeviceNumber) -> Result<(), Errno> {
    let directory = open_directory(path)?;
    if device_of(&directory)? != device {
        return Err(Errno::XDEV);
    }
    thaw_firmly(&directory)
}
