//! Everything that the guard needs, gathered before anything is frozen.
//!
//! It owns the order: signals are blocked before the second thread exists, the thread runs before memory is locked, and
//! memory is locked last. What cannot be had is said; what is only a help (the kernel's mercy when memory runs out, a
//! better place in the queue for the processor) is tried and never missed.
#![expect(
    unsafe_code,
    reason = "blocking signals and reading them from a descriptor is in no safe interface that we have"
)]

use std::fs;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::panic;
use std::path::Path;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, fstat, stat};
use rustix::io::Errno;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};

use crate::guard::{MOUNTS_MAX, Unfit, worker};
use crate::ioctl;
use crate::moment::{Moment, to_timespec};
use crate::mount::open_directory;
use crate::wire::{MESSAGE_BYTES, Request, Step, VERSION};

/// A parent sends its first message before it even waits for an answer.
const HELLO_WAIT_MAX: Duration = Duration::from_secs(10);

/// All that a hold uses.
pub(crate) struct Resources {
    /// The directories, in the order of freezing.
    pub(crate) mounts: Arc<[OwnedFd]>,
    pub(crate) signals: OwnedFd,
    pub(crate) timer: OwnedFd,
    pub(crate) orders: OwnedFd,
    pub(crate) answers: OwnedFd,
    /// Whether all memory is locked.
    pub(crate) locked: Result<(), Errno>,
}

impl Resources {
    pub(crate) fn mount_count(&self) -> u8 {
        u8::try_from(self.mounts.len()).unwrap_or(0)
    }
}

/// Reads the first message and makes everything ready.
pub(crate) fn prepare(socket: BorrowedFd<'_>) -> Result<Resources, Unfit> {
    let resource = |errno| Unfit { step: Step::Resources, errno };
    // A panic must neither write nor format: the report could wait for the very file system that is frozen. The
    // process ends, and its parent thaws.
    panic::set_hook(Box::new(|_| {}));
    let signals = signals().map_err(|error| resource(errno_of(&error)))?;
    let mounts: Arc<[OwnedFd]> = hello(socket)?.into();
    check_mounts(&mounts)?;
    check_permission()?;
    ask_for_mercy();
    let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK);
    let timer = timer.map_err(resource)?;
    let (orders_out, orders) = pipe_with(PipeFlags::CLOEXEC).map_err(resource)?;
    let (answers, answers_in) = pipe_with(PipeFlags::CLOEXEC).map_err(resource)?;
    let started = worker::start(Arc::clone(&mounts), orders_out, answers_in, &answers);
    started.map_err(|error| resource(errno_of(&error)))?;
    // The first reading of the clock looks for it in memory that the kernel lends; later ones only read.
    let _ = Moment::now();
    let locked = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE);
    Ok(Resources { mounts, signals, timer, orders, answers, locked })
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

fn hello(socket: BorrowedFd<'_>) -> Result<Vec<OwnedFd>, Unfit> {
    let unfit = |errno| Unfit { step: Step::Hello, errno };
    let mut source = [PollFd::new(&socket, PollFlags::IN)];
    if poll(&mut source, Some(&to_timespec(HELLO_WAIT_MAX))).map_err(unfit)? == 0 {
        return Err(unfit(Errno::TIMEDOUT));
    }
    let mut bytes = [0; MESSAGE_BYTES + 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOUNTS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let message = recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags).map_err(unfit)?;
    let mut mounts = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(directories) = part {
            mounts.extend(directories);
        }
    }
    match bytes.get(..message.bytes).and_then(Request::from_bytes) {
        _ if message.flags.contains(ReturnFlags::CTRUNC) => Err(unfit(Errno::MFILE)),
        Some(Request::Hello { version, .. }) if version != VERSION => Err(unfit(Errno::PROTONOSUPPORT)),
        Some(Request::Hello { mounts: 1.., .. }) if mounts.len() > MOUNTS_MAX => Err(unfit(Errno::MFILE)),
        Some(Request::Hello { mounts: count @ 1.., .. }) if mounts.len() == usize::from(count) => Ok(mounts),
        _ => Err(unfit(Errno::PROTO)),
    }
}

/// The last look before a freeze: whatever went wrong before, the root file system is not frozen by this process.
fn check_mounts(mounts: &[OwnedFd]) -> Result<(), Unfit> {
    let unfit = |errno| Unfit { step: Step::Mounts, errno };
    let root = stat("/").map_err(unfit)?;
    for mount in mounts {
        let found = fstat(mount).map_err(unfit)?;
        if found.st_dev == root.st_dev {
            return Err(unfit(Errno::XDEV));
        }
        if !FileType::from_raw_mode(found.st_mode).is_dir() {
            return Err(unfit(Errno::NOTDIR));
        }
    }
    Ok(())
}

/// Asked of a file system that cannot freeze at all, so that the answer is only about the permission: the kernel looks at
/// that first. A freeze that fails for it would be found when an application is locked already.
fn check_permission() -> Result<(), Unfit> {
    let unfit = |errno| Unfit { step: Step::Permission, errno };
    let proc = open_directory(Path::new("/proc")).map_err(unfit)?;
    match ioctl::thaw(&proc) {
        Err(Errno::PERM) => Err(unfit(Errno::PERM)),
        _ => Ok(()),
    }
}

/// What helps, and is done without where it is not allowed.
///
/// No real-time priority: a hold needs microseconds of processor time, and a mistake under a real-time priority would
/// take a machine with one processor away from everybody else.
fn ask_for_mercy() {
    let _ = fs::write("/proc/self/oom_score_adj", "-1000");
    let _ = rustix::process::setpriority_process(None, -20);
}

/// Blocks every signal that can be blocked, and gives a descriptor for those that ask the guard to end.
///
/// Blocked and not handled: no code runs at a moment that nobody chose, and the signal is one more thing to wait for.
fn signals() -> io::Result<OwnedFd> {
    // SAFETY: both sets are initialised by the calls that fill them before they are read; all pointers are to locals
    // that outlive the calls. `pthread_sigmask` changes the mask of the only thread there is, as `guard::main` demands,
    // and a null pointer for the old mask is allowed. Blocking faults of our own (SIGSEGV and the like) is left out,
    // since it is undefined what follows one that is blocked. `signalfd` returns a new descriptor that nobody else
    // owns, or -1, which is checked before it is wrapped.
    unsafe {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(all.as_mut_ptr());
        for fault in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGABRT] {
            libc::sigdelset(all.as_mut_ptr(), fault);
        }
        let error = libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), ptr::null_mut());
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        let mut ends = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(ends.as_mut_ptr());
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT] {
            libc::sigaddset(ends.as_mut_ptr(), signal);
        }
        let descriptor = libc::signalfd(-1, ends.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(descriptor))
    }
}
