//! Which paths may be frozen, decided before anything is locked.
//!
//! It owns every reason to refuse, and must never touch the machine: facts come from `observe`. File systems are told
//! apart by the kernel's device number and never by their paths, since a freeze stops a whole file system wherever it is
//! mounted, and a path that is no mount of its own belongs to the file system above it, at worst the root.
//!
//! Whether a mount is frozen already is not among the facts: the kernel shows that nowhere. The guard finds it out by
//! asking whether writes flow, right before the hold ([`crate::Guard::prepare`]).

mod refusal;

use std::path::{Path, PathBuf};

use crate::device::DeviceNumber;
use crate::guard::MOUNTS_MAX;
use crate::mountinfo::MountLine;

pub use crate::check::refusal::{Reason, Refusal};

/// File systems that are known to freeze as they should, and that have a log to replay.
const CAN_FREEZE: [&str; 5] = ["btrfs", "ext3", "ext4", "f2fs", "xfs"];

/// All that is known of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Every mount of this process's view.
    pub mounts: Vec<MountLine>,
    /// The paths of the configuration, in their order.
    pub wanted: Vec<PathFacts>,
    /// What must not stand still, each with where it is.
    pub protected: Vec<(Protected, PathFacts)>,
    /// File systems on a file: the first is on a loop device whose file is in the second.
    pub on_files_of: Vec<(DeviceNumber, DeviceNumber)>,
}

/// Something that must go on while file systems are frozen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protected {
    /// What it is, as a message calls it: `the ledger`.
    pub what: String,
    /// Where it is. If it does not exist yet, the directory that it would come to be in is meant.
    pub path: PathBuf,
}

impl Protected {
    /// `what` as a message calls it.
    pub fn new(what: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { what: what.into(), path: path.into() }
    }
}

/// What no machine can do without, and what Run Command lives on: the same as on a machine that is reached through it
/// (`ssm/guard.sh`). The caller adds its ledger, its log and its program.
pub fn always_protected() -> Vec<Protected> {
    let parts = [
        ("the root directory", "/"),
        ("`/boot`", "/boot"),
        ("the configuration of the system", "/etc"),
        ("programs and libraries", "/usr"),
        ("`/var`", "/var"),
        ("the state of the system", "/var/lib"),
        ("the logs", "/var/log"),
        ("`/tmp`", "/tmp"),
        ("`/run`", "/run"),
        ("shared memory", "/dev/shm"),
        ("the SSM agent's state", "/var/lib/amazon/ssm"),
        ("the SSM agent's state", "/var/snap/amazon-ssm-agent"),
        ("the SSM agent's configuration", "/etc/amazon/ssm"),
        ("the SSM agent", "/usr/bin/amazon-ssm-agent"),
        ("the SSM agent", "/snap/amazon-ssm-agent"),
    ];
    parts.into_iter().map(|(what, path)| Protected::new(what, path)).collect()
}

/// A path, and what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathFacts {
    /// As it was given.
    pub path: PathBuf,
    /// What it leads to, or the system's reason that it leads nowhere.
    pub found: Result<Found, String>,
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Without links.
    pub resolved: PathBuf,
    /// `st_dev`.
    pub device: DeviceNumber,
    /// The mount that it is on; none before Linux 5.8.
    pub mount_id: Option<u64>,
}

/// A mount that may be frozen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedMount {
    /// Where it is mounted.
    pub path: PathBuf,
    /// `st_dev` of its directory.
    pub device: DeviceNumber,
    /// Which mount it is; none before Linux 5.8.
    pub mount_id: Option<u64>,
    /// `xfs`, `ext4` and so on.
    pub fs_type: String,
    /// The options of the file system.
    pub options: String,
}

/// The mounts to freeze in the order of the configuration, or every reason why not.
pub fn check(facts: &Facts) -> Result<Vec<CheckedMount>, Vec<Refusal>> {
    let mut mounts = Vec::new();
    let mut refusals = Vec::new();
    let mut chosen: Vec<(&Path, DeviceNumber)> = Vec::new();
    if facts.wanted.is_empty() || MOUNTS_MAX < facts.wanted.len() {
        let reason = Reason::Count { count: facts.wanted.len(), max: MOUNTS_MAX };
        refusals.push(Refusal { mount: PathBuf::new(), reason });
    }
    for wanted in &facts.wanted {
        match check_one(facts, wanted, &chosen) {
            Ok((mount, device)) => {
                chosen.push((&wanted.path, device));
                mounts.push(mount);
            }
            Err(reason) => refusals.push(Refusal { mount: wanted.path.clone(), reason }),
        }
    }
    if refusals.is_empty() { Ok(mounts) } else { Err(refusals) }
}

fn check_one(
    facts: &Facts,
    wanted: &PathFacts,
    chosen: &[(&Path, DeviceNumber)],
) -> Result<(CheckedMount, DeviceNumber), Reason> {
    let found = wanted.found.as_ref().map_err(|why| Reason::Missing { why: why.clone() })?;
    let line = mount_of(&facts.mounts, found).ok_or(Reason::Unknown)?;
    if line.mount_point != found.resolved {
        return Err(Reason::NotAMountPoint { on: line.mount_point.clone() });
    }
    // On btrfs each subvolume has a number of its own; everywhere else another number means another mount on top.
    if line.fs_type != "btrfs" && line.device != found.device {
        return Err(Reason::Unknown);
    }
    if !CAN_FREEZE.contains(&line.fs_type.as_str()) {
        return Err(Reason::CannotFreeze { fs_type: line.fs_type.clone() });
    }
    if let Some((first, _)) = chosen.iter().find(|(_, device)| *device == line.device) {
        return Err(Reason::SameFileSystem { first: first.to_path_buf() });
    }
    if let Some(protected) = facts.protected.iter().find(|entry| stands_still_with(facts, line.device, entry)) {
        return Err(Reason::Holds { what: protected.0.what.clone(), path: protected.0.path.clone() });
    }
    if line.is_read_only() {
        return Err(Reason::ReadOnly);
    }
    if let Some((below, _)) = chosen.iter().find(|(_, device)| is_below(facts, *device, line.device)) {
        return Err(Reason::OnAFrozenFile { below: below.to_path_buf() });
    }
    let mount = CheckedMount {
        path: found.resolved.clone(),
        device: found.device,
        mount_id: found.mount_id,
        fs_type: line.fs_type.clone(),
        options: line.options.clone(),
    };
    Ok((mount, line.device))
}

/// Whether something that must go on is on this file system, or on one in a file of it.
fn stands_still_with(facts: &Facts, device: DeviceNumber, (_, at): &(Protected, PathFacts)) -> bool {
    // Where it is cannot be told, so nothing shows that it is elsewhere; `observe` looks for the nearest directory
    // that is there, and the root always is.
    let Ok(found) = &at.found else { return true };
    let of_mount = mount_of(&facts.mounts, found).map(|line| line.device);
    [of_mount, Some(found.device)].into_iter().flatten().any(|at| at == device || is_below(facts, device, at))
}

/// Whether `upper` lives in a file of `lower`, at any distance.
fn is_below(facts: &Facts, lower: DeviceNumber, upper: DeviceNumber) -> bool {
    let mut at = upper;
    // No chain is longer than the list of its links, whatever nonsense that holds.
    for _ in &facts.on_files_of {
        let Some((_, next)) = facts.on_files_of.iter().find(|(device, _)| *device == at) else { return false };
        if *next == lower {
            return true;
        }
        at = *next;
    }
    false
}

/// The mount that a path is on: the one that the kernel names, or else the last of those whose place is the longest
/// beginning of the path.
fn mount_of<'a>(mounts: &'a [MountLine], found: &Found) -> Option<&'a MountLine> {
    match found.mount_id {
        Some(id) => mounts.iter().find(|line| line.id == id),
        None => mounts
            .iter()
            .filter(|line| found.resolved.starts_with(&line.mount_point))
            .max_by_key(|line| line.mount_point.components().count()),
    }
}

#[cfg(test)]
mod tests;
