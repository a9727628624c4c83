//! The two calls that stop and start the writes of a file system.
//!
//! It owns FIFREEZE and FITHAW and nothing else. It must never be given a file system that `check` did not allow: a
//! frozen root file system stops the machine, and nothing here can tell one file system from another.
#![expect(
    unsafe_code,
    reason = "rustix knows no FIFREEZE and FITHAW, and lets an operation be named only in unsafe code"
)]

use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::ioctl::{NoArg, Opcode, ioctl, opcode};

/// `_IOWR('X', 119, int)`: the argument is declared and has never been read by any kernel.
const FIFREEZE: Opcode = opcode::read_write::<i32>(b'X', 119);
/// `_IOWR('X', 120, int)`, likewise.
const FITHAW: Opcode = opcode::read_write::<i32>(b'X', 120);

/// Stops every write to the file system that holds `directory`, after bringing what is dirty to disk.
///
/// It returns when that is done, cannot be interrupted, and outlives the process that asked for it. EBUSY says that the
/// file system was frozen already, EOPNOTSUPP that it cannot freeze, EPERM that `CAP_SYS_ADMIN` is missing.
pub(crate) fn freeze(directory: impl AsFd) -> Result<(), Errno> {
    // SAFETY: the number is that of FIFREEZE on every Linux architecture that has the common encoding, which rustix
    // applies. The kernel reads and writes no memory of ours for it: `ioctl_fsfreeze` ignores the argument, so the null
    // pointer of `NoArg` is never followed. A descriptor that takes no such call gets an error.
    unsafe { ioctl(directory, NoArg::<FIFREEZE>::new()) }
}

/// Lets writes flow again. EINVAL says that the file system was not frozen.
pub(crate) fn thaw(directory: impl AsFd) -> Result<(), Errno> {
    // SAFETY: as for `freeze`: FITHAW's argument is ignored by the kernel, and no memory of ours is touched.
    unsafe { ioctl(directory, NoArg::<FITHAW>::new()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_kernels_headers() {
        assert_eq!((FIFREEZE, FITHAW), (0xc004_5877, 0xc004_5878));
    }

    #[test]
    fn a_file_system_without_writes_to_stop_cannot_be_frozen_or_thawed() {
        let proc = std::fs::File::open("/proc").unwrap();
        let refusals = [Errno::OPNOTSUPP, Errno::PERM];
        assert!(refusals.contains(&freeze(&proc).unwrap_err()));
        assert!(thaw(&proc).is_err());
    }
}
