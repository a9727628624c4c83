//! A mount that is open, so that it can be frozen and thawed without its path.
//!
//! It owns the proof that what is open is what was checked. Opening by path alone would be deadly: a mount that has gone
//! in the meantime leaves a directory of the file system below it, and that may be the root.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, StatxFlags, flock, fstat, open, statx};
use rustix::io::Errno;

use crate::check::CheckedMount;
use crate::device::DeviceNumber;
use crate::error::HoldError;

/// An open directory of a checked mount. It keeps the mount from being unmounted.
#[derive(Debug)]
pub struct OpenMount {
    pub(crate) path: PathBuf,
    pub(crate) device: DeviceNumber,
    pub(crate) fs_type: String,
    pub(crate) options: String,
    pub(crate) directory: OwnedFd,
}

impl OpenMount {
    /// Opens what `check` allowed, makes sure that it is the same, and that nobody else of us is about to freeze it.
    pub fn open(checked: &CheckedMount) -> Result<Self, HoldError> {
        let path = checked.path.clone();
        let failed = |source| HoldError::Open { path: path.clone(), source };
        let directory = open_directory(&path).map_err(failed)?;
        let device = device_of(&directory).map_err(failed)?;
        let mount_id = mount_id_of(&directory);
        if device != checked.device || mount_id.zip(checked.mount_id).is_some_and(|(now, then)| now != then) {
            return Err(HoldError::Changed { path });
        }
        // The guard gets the same open file, so the lock lasts until both are gone. It is the kernel's own memory and
        // writes nothing, frozen or not.
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(HoldError::Taken { path }),
            Err(source) => return Err(HoldError::Open { path, source }),
        }
        Ok(Self { path, device, fs_type: checked.fs_type.clone(), options: checked.options.clone(), directory })
    }

    /// Lets others of us freeze it, although it is still open here.
    pub(crate) fn release(&self) {
        // It cannot fail for an open file, and closing it does the same.
        let _ = flock(&self.directory, FlockOperation::Unlock);
    }

    #[cfg(test)]
    pub(crate) fn of_nothing(path: &str) -> Self {
        let directory = open_directory(std::path::Path::new("/proc")).unwrap();
        let device = DeviceNumber { major: 0, minor: 0 };
        Self { path: path.into(), device, fs_type: "xfs".into(), options: "rw".into(), directory }
    }
}

/// For reading only, which also succeeds while it is frozen.
pub(crate) fn open_directory(path: &std::path::Path) -> Result<OwnedFd, Errno> {
    open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
}

pub(crate) fn device_of(directory: &OwnedFd) -> Result<DeviceNumber, Errno> {
    Ok(DeviceNumber::from_raw(fstat(directory)?.st_dev))
}

/// Which mount an open file belongs to; none before Linux 5.8.
pub(crate) fn mount_id_of(file: &OwnedFd) -> Option<u64> {
    let found = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
    StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::MNT_ID).then_some(found.stx_mnt_id)
}
