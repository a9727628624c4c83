//! The guard: a process of its own that freezes, and thaws whatever happens to the one that asked.
//!
//! It owns what happens between the first freeze and the last thaw. From the message that it is ready until it ends it
//! must never allocate, open a file, log, or wait for anything but its socket, its timer, its signals and its second
//! thread: any of these could need the file system that it holds frozen, and then nobody would ever thaw it. Its memory
//! is locked, so that it also needs no page read back. [`HOLDING`] is set for that time; the tests' guard aborts on the
//! first allocation while it is.
//!
//! It learns of its parent's death by the end of the socket, which the kernel closes whatever killed the parent. It does
//! not use `PR_SET_PDEATHSIG`: that fires when the parent's *thread* ends, and a pool of threads may end the one that
//! started the guard in the middle of a hold.
//!
//! One guard is for one hold, and ends with it.

mod machine;
mod setup;
mod worker;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::time::{Itimerspec, TimerfdTimerFlags, timerfd_settime};

use crate::guard::machine::{Effects, Machine, Work};
use crate::guard::setup::Resources;
use crate::ioctl;
use crate::moment::{Moment, to_timespec};
use crate::wire::{Cause, Event, MESSAGE_BYTES, Request, VERSION};

pub(crate) use crate::guard::machine::MOUNTS_MAX;

/// True while the guard must not allocate. An allocator of a test looks at it; nothing else does.
pub static HOLDING: AtomicBool = AtomicBool::new(false);

/// A thaw that fails for another reason than that nothing was frozen is tried again this often.
const THAW_TRIES_MAX: usize = 5;

/// The pause between two tries.
const THAW_PAUSE: Duration = Duration::from_millis(20);

/// Why the guard could not begin; the parent is told, if it still listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unfit {
    pub(crate) step: crate::wire::Step,
    pub(crate) errno: Errno,
}

/// The whole life of a guard process. Its standard input is the socket to its parent.
///
/// It must be called by a process that is nothing else, before any thread is started: it blocks signals, locks memory
/// and silences panics for the whole process.
pub fn main() -> ExitCode {
    let socket = rustix::stdio::stdin();
    match setup::prepare(socket) {
        Ok(resources) => {
            hold(socket, &resources);
            ExitCode::SUCCESS
        }
        Err(unfit) => {
            let refusal = Event::Refused { step: unfit.step, errno: unfit.errno };
            tell(socket, refusal);
            ExitCode::FAILURE
        }
    }
}

/// From the message that it is ready until nothing is frozen any more.
fn hold(socket: BorrowedFd<'_>, resources: &Resources) {
    let mut machine = Machine::new(resources.mount_count());
    let mut hands = Hands { socket, mounts: &resources.mounts, orders: resources.orders.as_fd() };
    HOLDING.store(true, Ordering::SeqCst);
    hands.tell(Event::Ready { version: VERSION, locked: resources.locked });
    let mut alarm = None;
    while !machine.is_done() {
        if machine.alarm() != alarm {
            alarm = machine.alarm();
            if set_alarm(&resources.timer, alarm).is_err() {
                machine.end(Cause::Confused, &mut hands);
            }
        }
        round(&mut machine, &mut hands, resources);
    }
    HOLDING.store(false, Ordering::SeqCst);
}

/// Waits for something to happen, and tells the machine.
fn round(machine: &mut Machine, hands: &mut Hands<'_>, resources: &Resources) {
    let mut sources = [
        PollFd::new(&hands.socket, PollFlags::IN),
        PollFd::new(&resources.answers, PollFlags::IN),
        PollFd::new(&resources.timer, PollFlags::IN),
        PollFd::new(&resources.signals, PollFlags::IN),
    ];
    match poll(&mut sources, None) {
        Ok(_) => {}
        Err(Errno::INTR) => return,
        Err(_) => return machine.end(Cause::Confused, hands),
    }
    let [socket, answers, timer, signals] = sources.map(|source| source.revents());
    // What was frozen meanwhile comes first, so that every end knows of it.
    if !answers.is_empty() {
        machine.worked(worker::answer(&resources.answers), hands);
    }
    if !timer.is_empty() {
        machine.clock(hands);
    }
    if !signals.is_empty() {
        machine.end(Cause::Signal, hands);
    }
    if socket.intersects(PollFlags::HUP | PollFlags::ERR) {
        // Nobody waits for what may still be in the socket, an order to freeze least of all.
        machine.end(Cause::ParentGone, hands);
    } else if !socket.is_empty() {
        let mut bytes = [0; MESSAGE_BYTES + 1];
        match recv(hands.socket, &mut bytes[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => machine.end(Cause::ParentGone, hands),
            Ok((length, _)) => machine.asked(bytes.get(..length).and_then(Request::from_bytes), hands),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => machine.end(Cause::ParentGone, hands),
        }
    }
}

/// Absolute time on the clock that goes on while the machine is suspended; none switches it off.
fn set_alarm(timer: &OwnedFd, alarm: Option<Moment>) -> Result<(), Errno> {
    let off = to_timespec(Duration::ZERO);
    let at = Itimerspec { it_interval: off, it_value: alarm.map_or(off, Moment::to_timespec) };
    timerfd_settime(timer, TimerfdTimerFlags::ABSTIME, &at).map(|_| ())
}

/// Never waits: a parent that does not read must not keep its file systems frozen.
fn tell(socket: BorrowedFd<'_>, event: Event) {
    // A parent that is gone, or whose socket is full, is noticed elsewhere or does not matter.
    let _ = send(socket, &event.to_bytes(), SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
}

/// The machine's effects, for real.
struct Hands<'a> {
    socket: BorrowedFd<'a>,
    mounts: &'a [OwnedFd],
    orders: BorrowedFd<'a>,
}

impl Effects for Hands<'_> {
    fn now(&mut self) -> Moment {
        Moment::now()
    }

    fn start(&mut self, work: Work) {
        worker::order(self.orders, work);
    }

    fn thaw(&mut self, mount: u8) -> Result<(), Errno> {
        let Some(directory) = self.mounts.get(usize::from(mount)) else { return Err(Errno::INVAL) };
        thaw_firmly(directory)
    }

    fn tell(&mut self, event: Event) {
        tell(self.socket, event);
    }
}

/// Thaws, and tries again if the file system would not; EINVAL is an answer and not a failure.
pub(crate) fn thaw_firmly(directory: impl AsFd) -> Result<(), Errno> {
    let mut result = ioctl::thaw(&directory);
    for _ in 1..THAW_TRIES_MAX {
        match result {
            Ok(()) | Err(Errno::INVAL | Errno::PERM | Errno::BADF | Errno::NOTTY | Errno::OPNOTSUPP) => break,
            Err(_) => {
                let _ = poll(&mut [], Some(&to_timespec(THAW_PAUSE)));
                result = ioctl::thaw(&directory);
            }
        }
    }
    result
}
