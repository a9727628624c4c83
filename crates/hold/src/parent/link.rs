//! The connection to one guard, and the thread that listens to it.
//!
//! It owns what the parent does when the guard dies or falls silent: kill it first, so that it cannot thaw a later hold,
//! and thaw. What is thawed when is argued at [`Link::force`] and [`Link::after_death`]. The thread must never log,
//! allocate much, or touch a file: it works while file systems are frozen.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType,
    recv, send, sendmsg, shutdown, socketpair,
};
use rustix::process::{Signal, pidfd_send_signal};

use crate::error::HoldError;
use crate::guard::{MOUNTS_MAX, thaw_firmly};
use crate::moment::{Moment, to_timespec};
use crate::mount::OpenMount;
use crate::parent::{GuardProgram, open_pidfd};
use crate::process::ProcessStamp;
use crate::tally::Tally;
use crate::wire::{Cause, Event, MESSAGE_BYTES, Request, VERSION};

/// One guard, seen from its parent.
#[derive(Debug)]
pub(super) struct Link {
    socket: OwnedFd,
    mounts: Vec<OpenMount>,
    guard: OwnedFd,
    stamp: ProcessStamp,
    state: Mutex<State>,
    changed: Condvar,
    /// Held by whoever thaws on this side, so that no mount is thawed twice and the second answer taken for a breach.
    thawing: Mutex<()>,
}

#[derive(Debug)]
struct State {
    tally: Tally,
    /// The guard has ended and all that it owed has been tried.
    over: bool,
    /// The guard was killed by us.
    forced: bool,
    /// When the guard must have ended by itself.
    end_by: Option<Moment>,
}

/// Starts the process and the thread, and says hello.
pub(super) fn start(program: &GuardProgram, mounts: Vec<OpenMount>) -> Result<Arc<Link>, HoldError> {
    let failed = |source| HoldError::Start { program: program.program.clone(), source };
    let (socket, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(|errno| failed(errno.into()))?;
    say_hello(&socket, &mounts).map_err(|errno| failed(errno.into()))?;
    let mut command = Command::new(&program.program);
    command.args(&program.args).env_clear().current_dir("/");
    // Nothing of the guard's may be a file or a pipe that somebody else fills or reads. Its own group keeps an
    // interrupt at the terminal away from it: its parent gets that, and thaws in good order.
    command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn().map_err(failed)?;
    // The command still has our copy of the guard's end of the socket; as long as that is open, no end is seen.
    drop(command);
    // It is not reaped, so its number cannot mean another yet.
    let known = open_pidfd(child.id()).and_then(|guard| Ok((guard, ProcessStamp::of(child.id())?)));
    let (guard, stamp) = match known {
        Ok(known) => known,
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            return Err(failed(error));
        }
    };
    let state = State { tally: Tally::new(mounts.len()), over: false, forced: false, end_by: None };
    let link = Arc::new(Link {
        socket,
        mounts,
        guard,
        stamp,
        state: Mutex::new(state),
        changed: Condvar::new(),
        thawing: Mutex::new(()),
    });
    let listener = Arc::clone(&link);
    let spawned = thread::Builder::new().name("hold".into()).spawn(move || listener.listen(child));
    // The child has gone with the thread that was not started; the guard sees the end of the socket.
    spawned.map_err(failed)?;
    Ok(link)
}

fn say_hello(socket: &OwnedFd, mounts: &[OpenMount]) -> Result<(), Errno> {
    let directories: Vec<BorrowedFd<'_>> = mounts.iter().map(|mount| mount.directory.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOUNTS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let count = u8::try_from(mounts.len()).unwrap_or(u8::MAX);
    if !control.push(SendAncillaryMessage::ScmRights(&directories)) {
        return Err(Errno::MFILE);
    }
    let hello = Request::Hello { version: VERSION, mounts: count }.to_bytes();
    sendmsg(socket, &[IoSlice::new(&hello)], &mut control, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
    Ok(())
}

impl Link {
    pub(super) fn mounts(&self) -> &[OpenMount] {
        &self.mounts
    }

    pub(super) fn guard_pid(&self) -> Option<u32> {
        (!self.is_over()).then_some(self.stamp.pid)
    }

    pub(super) fn stamp(&self) -> ProcessStamp {
        self.stamp
    }

    pub(super) fn heard(&self) -> Tally {
        self.state().tally.clone()
    }

    pub(super) fn is_over(&self) -> bool {
        self.state().over
    }

    pub(super) fn has_begun(&self) -> bool {
        self.state().tally.has_begun() || self.state().end_by.is_some()
    }

    pub(super) fn prepare_anew(&self) {
        self.state().tally.forget_preparation();
    }

    /// From now on the guard is not believed in beyond this moment.
    pub(super) fn expect_end_by(&self, moment: Moment) {
        self.state().end_by = Some(moment);
    }

    /// A guard that is gone is noticed by the thread that listens.
    pub(super) fn say(&self, request: Request) {
        let _ = send(&self.socket, &request.to_bytes(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    }

    /// The guard sees the end of the socket; one that does not get so far (in a preparation) is killed besides.
    pub(super) fn hang_up(&self) {
        let _ = shutdown(&self.socket, Shutdown::Write);
        let _ = pidfd_send_signal(&self.guard, Signal::KILL);
    }

    /// Waits until `enough` is true of what was heard, or the hold is over, or `limit` has passed.
    pub(super) fn wait(&self, limit: Duration, enough: impl Fn(&Tally) -> bool) -> Tally {
        let waits = |state: &mut State| !state.over && state.tally.ended.is_none() && !enough(&state.tally);
        self.wait_while(limit, waits).tally.clone()
    }

    /// Waits until the guard has ended and everything is thawed that can be; false when `limit` came first.
    pub(super) fn wait_until_over(&self, limit: Duration) -> bool {
        self.wait_while(limit, |state| !state.over).over
    }

    fn wait_while(&self, limit: Duration, waits: impl FnMut(&mut State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.changed.wait_timeout_while(self.state(), limit, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, event: Event) {
        self.state().tally.hear(event);
        self.changed.notify_all();
    }

    /// The life of the thread that listens: until the guard has ended, and what it owed is thawed.
    fn listen(&self, mut child: Child) {
        loop {
            match self.receive() {
                Received::Event(event) => self.hear(event),
                Received::Nothing => {}
                Received::Late => self.force(),
                Received::End => break,
            }
        }
        self.after_death();
        // It has closed its socket, so it has ended or is about to.
        let _ = child.wait();
        // Whoever waits for the end may open the same mounts at once, while this thread still has them open.
        self.mounts.iter().for_each(OpenMount::release);
        self.state().over = true;
        self.changed.notify_all();
    }

    fn receive(&self) -> Received {
        let mut source = [PollFd::new(&self.socket, PollFlags::IN)];
        match poll(&mut source, self.patience().as_ref().map(|left| to_timespec(*left)).as_ref()) {
            Ok(0) => return Received::Late,
            Err(Errno::INTR) => return Received::Nothing,
            Ok(_) | Err(_) => {}
        }
        let mut bytes = [0; MESSAGE_BYTES + 1];
        match recv(&self.socket, &mut bytes[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => Received::End,
            Ok((length, _)) => {
                bytes.get(..length).and_then(Event::from_bytes).map_or(Received::Nothing, Received::Event)
            }
            Err(Errno::AGAIN | Errno::INTR) => Received::Nothing,
            Err(_) => Received::End,
        }
    }

    /// How long the guard may still be silent; for ever while it has nothing to freeze, or when it was killed already.
    fn patience(&self) -> Option<Duration> {
        let state = self.state();
        state.end_by.filter(|_| !state.forced && state.tally.has_begun()).map(|end_by| end_by.since(Moment::now()))
    }

    /// Kills a guard that does not do what it is for, and thaws what it is known to have frozen.
    ///
    /// It is killed first: a guard that was stopped and goes on later would thaw what another one holds then. A mount
    /// that is still being frozen cannot be thawed before that is done; the socket ends when it is, since the kernel
    /// closes a process's files only after its last thread has left its last call, and then `after_death` thaws it.
    pub(super) fn force(&self) {
        {
            let mut state = self.state();
            if state.over {
                return;
            }
            state.forced = true;
            state.tally.ended.get_or_insert(Cause::GuardSilent);
        }
        let _ = pidfd_send_signal(&self.guard, Signal::KILL);
        self.thaw(Tally::owed_and_complete);
    }

    /// The guard is dead: everything that it may have left frozen is thawed, at once.
    fn after_death(&self) {
        let owed = self.state().tally.owed();
        if !owed.is_empty() {
            self.thaw(Tally::owed);
        }
        self.hear(Event::Ended { cause: Cause::GuardDied, at: Moment::now() });
    }

    fn thaw(&self, owed: impl Fn(&Tally) -> Vec<u8>) {
        let _one_at_a_time = self.thawing.lock().unwrap_or_else(PoisonError::into_inner);
        let owed = owed(&self.state().tally);
        for mount in owed {
            let Some(open) = self.mounts.get(usize::from(mount)) else { continue };
            let began = Moment::now();
            let result = thaw_firmly(&open.directory);
            self.hear(Event::Thawed { mount, result, began, done: Moment::now() });
        }
    }
}

enum Received {
    Event(Event),
    /// A message that is none, or an interruption.
    Nothing,
    /// The guard should have ended by now.
    Late,
    /// Nothing will ever come again.
    End,
}
