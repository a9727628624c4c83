//! Facts about mounts, read from the machine for `check`.
//!
//! It decides nothing, and opens nothing for writing. Paths are resolved by the kernel, without links.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};

use crate::check::{Facts, Found, PathFacts, Protected};
use crate::device::DeviceNumber;
use crate::mount::{device_of, mount_id_of};
use crate::mountinfo::{self, MountLine};

/// Where the kernel shows the mounts of this process.
const MOUNTINFO: &str = "/proc/self/mountinfo";

/// The major number of loop devices.
const LOOP_MAJOR: u32 = 7;

/// Reads all that `check` needs.
pub fn observe(wanted: &[PathBuf], protected: Vec<Protected>) -> io::Result<Facts> {
    let mounts = observe_mounts()?;
    let place = |part: Protected| {
        let at = observe_nearest(&part.path);
        (part, at)
    };
    Ok(Facts {
        wanted: wanted.iter().map(|path| observe_path(path, path)).collect(),
        protected: protected.into_iter().map(place).collect(),
        on_files_of: observe_files(&mounts),
        mounts,
    })
}

/// All mounts, as the kernel shows them now. A path that is no text spoils its own line and no other: it will not be
/// found again, and is refused.
pub(crate) fn observe_mounts() -> io::Result<Vec<MountLine>> {
    Ok(mountinfo::parse(&String::from_utf8_lossy(&fs::read(MOUNTINFO)?)))
}

/// The path itself, or the nearest directory above it that is there. Whatever is in the way but a missing name stays an
/// error: what cannot be looked at is not known to be elsewhere.
fn observe_nearest(path: &Path) -> PathFacts {
    let is_missing = |at: &&Path| fs::symlink_metadata(at).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    let nearest = path.ancestors().find(|at| !is_missing(at)).unwrap_or(path);
    observe_path(path, nearest)
}

fn observe_path(given: &Path, path: &Path) -> PathFacts {
    PathFacts { path: given.to_owned(), found: find(path).map_err(|error| error.to_string()) }
}

/// What a path leads to. It reads and writes nothing there.
pub(crate) fn find(path: &Path) -> io::Result<Found> {
    let resolved = fs::canonicalize(path)?;
    // Only a name for it: neither reading nor writing, and no permission to do either.
    let file = open(&resolved, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    Ok(Found { resolved, device: device_of(&file)?, mount_id: mount_id_of(&file) })
}

fn observe_files(mounts: &[MountLine]) -> Vec<(DeviceNumber, DeviceNumber)> {
    let loops = mounts.iter().filter(|line| line.device.major == LOOP_MAJOR);
    loops.filter_map(|line| Some((line.device, device_behind(line.device, mounts)?))).collect()
}

/// The file system that holds the file of a loop device.
fn device_behind(device: DeviceNumber, mounts: &[MountLine]) -> Option<DeviceNumber> {
    let file = fs::read_to_string(format!("/sys/dev/block/{device}/loop/backing_file")).ok()?;
    let found = find(Path::new(file.trim_end_matches('\n'))).ok()?;
    // The number of the mount where there is one, since that is what `check` compares.
    let of_mount = mounts.iter().find(|line| Some(line.id) == found.mount_id).map(|line| line.device);
    Some(of_mount.unwrap_or(found.device))
}
