//! What the experiment asks of the kernel to run for hours beside others: mounts of its own, and an end in good order.
//!
//! A container that boots copies the mounts of the machine, and a file system lives on for as long as one copy of its mount
//! does: what should be unmounted in an image would not be. Nobody copies what is mounted in here.
#![expect(unsafe_code, reason = "the kernel is asked for it by calls that have no safe form here")]

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::bench::alone;

/// Leaves the mounts of the machine to the others. To be called before there is a second thread. False only when the
/// machine is not to mount anything.
pub(crate) fn leave_the_others() -> bool {
    // For this moment alone: a mount of a test that ran now would be copied in here.
    let Some(_alone) = alone() else { return false };
    // SAFETY: it takes a number alone, and there is no other thread that could share what is left.
    succeeded(unsafe { libc::unshare(libc::CLONE_NEWNS) });
    let (none, flags) = (ptr::null(), libc::MS_REC | libc::MS_PRIVATE);
    // SAFETY: the path is a string of C, and with these flags the kernel reads nothing of the others.
    succeeded(unsafe { libc::mount(none, c"/".as_ptr(), none, flags, ptr::null()) });
    true
}

/// Whether somebody wants it to end.
static ENDS: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_signal: libc::c_int) {
    ENDS.store(true, Ordering::SeqCst);
}

/// From now on SIGINT and SIGTERM are noted and end nothing by themselves, so that servers are ended and what is mounted
/// is put away.
pub(crate) fn note_signals() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the handler does nothing but store to an atomic, which is safe at any moment.
        let before = unsafe { libc::signal(signal, note as extern "C" fn(libc::c_int) as libc::sighandler_t) };
        assert!(before != libc::SIG_ERR, "no handler: {}", io::Error::last_os_error());
    }
}

/// Whether one of them has come.
pub(crate) fn is_to_end() -> bool {
    ENDS.load(Ordering::SeqCst)
}

fn succeeded(result: libc::c_int) {
    assert!(result == 0, "no mounts of its own: {}", io::Error::last_os_error());
}
