//! The guard's second thread, which does what may take long: trying, flushing and freezing.
//!
//! It must never thaw and never decide. Its orders and answers travel through two pipes, since the first thread waits
//! for everything at one place. It ends when the first thread is gone.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread;

use rustix::fs::{AtFlags, syncfs, unlinkat};
use rustix::io::{Errno, read, write};

use crate::guard::machine::Work;
use crate::ioctl;
use crate::moment::Moment;
use crate::wire::{Event, MESSAGE_BYTES};

/// A name that nobody uses. Removing a directory of this name waits while the file system is frozen, and else finds
/// nothing: the one question that changes nothing whatever the answer is.
const NOBODYS_NAME: &CStr = c".amikeep-asks-whether-writes-flow";

/// The thread needs a few small frames; all of its stack is locked into memory.
const STACK_BYTES: usize = 128 * 1024;

/// What the thread writes first, so that whoever waits for it knows that it has all the memory it will ever have.
const HERE: u8 = 1;

/// Starts the thread, and returns when it waits for its first order.
pub(crate) fn start(mounts: Arc<[OwnedFd]>, orders: OwnedFd, answers: OwnedFd, here: &OwnedFd) -> io::Result<()> {
    let body = move || {
        if write(&answers, &[HERE]).is_ok() {
            serve(&mounts, &orders, &answers);
        }
    };
    thread::Builder::new().stack_size(STACK_BYTES).spawn(body)?;
    let mut first = [0];
    match read(here, &mut first[..])? {
        1 => Ok(()),
        _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
    }
}

/// Gives an order. The pipe is empty then, so that this cannot wait; a lost thread shows as the end of its answers.
pub(crate) fn order(orders: BorrowedFd<'_>, work: Work) {
    let bytes = match work {
        Work::Prepare(mount) => [b'p', mount],
        Work::Freeze(mount) => [b'f', mount],
    };
    let _ = write(orders, &bytes);
}

/// Reads an answer; none if the thread is gone.
pub(crate) fn answer(answers: &OwnedFd) -> Option<Event> {
    let mut bytes = [0; MESSAGE_BYTES];
    let length = read(answers, &mut bytes[..]).ok()?;
    bytes.get(..length).and_then(Event::from_bytes)
}

fn serve(mounts: &[OwnedFd], orders: &OwnedFd, answers: &OwnedFd) {
    loop {
        let mut order = [0; 2];
        match read(orders, &mut order[..]) {
            Ok(2) => {}
            Err(Errno::INTR) => continue,
            _ => return,
        }
        let [kind, mount] = order;
        let Some(directory) = mounts.get(usize::from(mount)) else { return };
        let answer = match kind {
            b'p' => Event::Prepared { mount, result: prepare(directory) },
            _ => freeze(mount, directory),
        };
        if write(answers, &answer.to_bytes()).is_err() {
            return;
        }
    }
}

fn freeze(mount: u8, directory: &OwnedFd) -> Event {
    let began = Moment::now();
    let result = ioctl::freeze(directory);
    let done = Moment::now();
    match result {
        Ok(()) => Event::Frozen { mount, began, done },
        Err(errno) => Event::FreezeFailed { mount, errno, at: done },
    }
}

/// Waits until writes flow, and brings what is dirty to disk: writers wait while FIFREEZE does that.
fn prepare(directory: &OwnedFd) -> Result<(), Errno> {
    match unlinkat(directory.as_fd(), NOBODYS_NAME, AtFlags::REMOVEDIR) {
        // A mount that is read-only in the unit's own view answers so only after the file system let it pass.
        Err(Errno::NOENT | Errno::ROFS) => syncfs(directory),
        Ok(()) => Err(Errno::EXIST),
        Err(errno) => Err(errno),
    }
}
