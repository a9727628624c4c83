//! What the guard and its parent say to each other: messages of one size, over a socket that keeps them apart.
//!
//! It owns their bytes, and must never allocate: the guard writes them while file systems are frozen. A message that
//! is not exactly as described is none at all.
//!
//! ```text
//! byte   0      1                      2-3       4-7     8-15   16-23  24-31
//!        kind   mount, count or cause  version   errno   from   to     zero
//! ```

use rustix::io::Errno;

use crate::moment::Moment;

/// Parent and guard are the same file, but an upgrade can replace it between the two. They agree or nothing freezes.
pub(crate) const VERSION: u16 = 1;

/// The largest number of an error (`MAX_ERRNO` in the kernel's `include/linux/err.h`).
const ERRNO_MAX: i32 = 4095;

/// Every message has this size.
pub(crate) const MESSAGE_BYTES: usize = 32;

/// A message as it travels.
pub(crate) type Bytes = [u8; MESSAGE_BYTES];

/// What the parent says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// The first message; the directories of so many mounts come with it, in the order in which they are to freeze.
    Hello { version: u16, mounts: u8 },
    /// Try whether every mount takes writes, and bring what is dirty to disk.
    Prepare,
    /// Freeze all of them, and thaw at this moment whatever happens.
    Freeze { thaw_by: Moment },
    /// Thaw.
    Thaw,
}

/// What the guard says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// Checked and waiting. `locked` is what came of locking its memory.
    Ready { version: u16, locked: Result<(), Errno> },
    /// It cannot do what it is for.
    Refused { step: Step, errno: Errno },
    /// A mount takes writes, or does not, and why.
    Prepared { mount: u8, result: Result<(), Errno> },
    /// The freeze of a mount begins: from here on it may be frozen, whoever dies.
    Freezing { mount: u8, at: Moment },
    /// A mount is frozen.
    Frozen { mount: u8, began: Moment, done: Moment },
    /// A mount could not be frozen.
    FreezeFailed { mount: u8, errno: Errno, at: Moment },
    /// A mount is thawed, or was not frozen any more (EINVAL), or cannot be thawed.
    Thawed { mount: u8, result: Result<(), Errno>, began: Moment, done: Moment },
    /// The last message: nothing is frozen by this guard any more, unless a `Thawed` said so.
    Ended { cause: Cause, at: Moment },
}

/// What the guard was doing when it found that it is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// The first message was not what it should be.
    Hello = 1,
    /// A directory it was given is on the root file system, or is not a directory of any.
    Mounts = 2,
    /// Signals, timer, pipes, or its second thread.
    Resources = 3,
    /// It may not freeze: `CAP_SYS_ADMIN` is missing.
    Permission = 4,
}

/// Why a hold ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Cause {
    /// It was told to thaw.
    Told = 1,
    /// The budget was used up.
    Budget = 2,
    /// Its parent was gone.
    ParentGone = 3,
    /// It was asked to stop by a signal.
    Signal = 4,
    /// A mount could not be frozen.
    FreezeFailed = 5,
    /// It was asked to freeze when the time to thaw had come already.
    TooLate = 6,
    /// It was told what makes no sense, or its second thread was gone.
    Confused = 7,
    /// The guard died, and its parent thawed.
    GuardDied = 8,
    /// The guard did not answer; its parent killed it, and thawed.
    GuardSilent = 9,
}

impl Cause {
    const ALL: [Self; 9] = [
        Self::Told,
        Self::Budget,
        Self::ParentGone,
        Self::Signal,
        Self::FreezeFailed,
        Self::TooLate,
        Self::Confused,
        Self::GuardDied,
        Self::GuardSilent,
    ];

    /// In the words of a job's history.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Told => "told to thaw",
            Self::Budget => "the budget was used up",
            Self::ParentGone => "the daemon was gone",
            Self::Signal => "the guard was asked to stop by a signal",
            Self::FreezeFailed => "a mount could not be frozen",
            Self::TooLate => "the order to freeze came too late",
            Self::Confused => "the guard was told what makes no sense",
            Self::GuardDied => "the guard died",
            Self::GuardSilent => "the guard did not answer",
        }
    }
}

impl Step {
    const ALL: [Self; 4] = [Self::Hello, Self::Mounts, Self::Resources, Self::Permission];

    /// In the words of an error.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hello => "understanding what it was told",
            Self::Mounts => "checking the mounts",
            Self::Resources => "setting itself up",
            Self::Permission => "asking for the permission to freeze (CAP_SYS_ADMIN)",
        }
    }
}

/// The fields that messages are made of; what a message does not use is zero.
#[derive(Default, PartialEq)]
struct Fields {
    kind: u8,
    small: u8,
    version: u16,
    errno: i32,
    from: Moment,
    to: Moment,
}

impl Fields {
    fn pack(&self) -> Bytes {
        let mut bytes = [0; MESSAGE_BYTES];
        bytes[0] = self.kind;
        bytes[1] = self.small;
        bytes[2..4].copy_from_slice(&self.version.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.errno.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.from.as_nanos().to_le_bytes());
        bytes[16..24].copy_from_slice(&self.to.as_nanos().to_le_bytes());
        bytes
    }

    fn unpack(bytes: &[u8]) -> Option<Self> {
        let bytes: &Bytes = bytes.try_into().ok()?;
        let nanos = |at: usize| Some(Moment::from_nanos(u64::from_le_bytes(bytes[at..at + 8].try_into().ok()?)));
        Some(Self {
            kind: bytes[0],
            small: bytes[1],
            version: u16::from_le_bytes(bytes[2..4].try_into().ok()?),
            errno: i32::from_le_bytes(bytes[4..8].try_into().ok()?),
            from: nanos(8)?,
            to: nanos(16)?,
        })
    }

    /// None for a number that no error of the kernel has: of such a one no [`Errno`] can be made.
    fn result(&self) -> Option<Result<(), Errno>> {
        match self.errno {
            0 => Some(Ok(())),
            1..=ERRNO_MAX => Some(Err(Errno::from_raw_os_error(self.errno))),
            _ => None,
        }
    }
}

fn number(result: Result<(), Errno>) -> i32 {
    result.err().map_or(0, Errno::raw_os_error)
}

impl Request {
    /// As it travels.
    pub(crate) fn to_bytes(self) -> Bytes {
        let fields = match self {
            Self::Hello { version, mounts } => Fields { kind: 1, small: mounts, version, ..Fields::default() },
            Self::Prepare => Fields { kind: 2, ..Fields::default() },
            Self::Freeze { thaw_by } => Fields { kind: 3, to: thaw_by, ..Fields::default() },
            Self::Thaw => Fields { kind: 4, ..Fields::default() },
        };
        fields.pack()
    }

    /// None for anything that [`Request::to_bytes`] does not make.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let fields = Fields::unpack(bytes)?;
        let request = match fields.kind {
            1 => Self::Hello { version: fields.version, mounts: fields.small },
            2 => Self::Prepare,
            3 => Self::Freeze { thaw_by: fields.to },
            4 => Self::Thaw,
            _ => return None,
        };
        (request.to_bytes() == *bytes).then_some(request)
    }
}

impl Event {
    /// As it travels.
    pub(crate) fn to_bytes(self) -> Bytes {
        let none = Fields::default();
        let fields = match self {
            Self::Ready { version, locked } => Fields { kind: 65, version, errno: number(locked), ..none },
            Self::Refused { step, errno } => {
                Fields { kind: 66, small: step as u8, errno: errno.raw_os_error(), ..none }
            }
            Self::Prepared { mount, result } => Fields { kind: 67, small: mount, errno: number(result), ..none },
            Self::Freezing { mount, at } => Fields { kind: 68, small: mount, from: at, ..none },
            Self::Frozen { mount, began, done } => Fields { kind: 69, small: mount, from: began, to: done, ..none },
            Self::FreezeFailed { mount, errno, at } => {
                Fields { kind: 70, small: mount, errno: errno.raw_os_error(), to: at, ..none }
            }
            Self::Thawed { mount, result, began, done } => {
                Fields { kind: 71, small: mount, errno: number(result), from: began, to: done, ..none }
            }
            Self::Ended { cause, at } => Fields { kind: 72, small: cause as u8, to: at, ..none },
        };
        fields.pack()
    }

    /// None for anything that [`Event::to_bytes`] does not make.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let fields = Fields::unpack(bytes)?;
        let (mount, began, done) = (fields.small, fields.from, fields.to);
        let errno = || fields.result()?.err();
        let event = match fields.kind {
            65 => Self::Ready { version: fields.version, locked: fields.result()? },
            66 => Self::Refused { step: Step::ALL.into_iter().find(|step| *step as u8 == mount)?, errno: errno()? },
            67 => Self::Prepared { mount, result: fields.result()? },
            68 => Self::Freezing { mount, at: began },
            69 => Self::Frozen { mount, began, done },
            70 => Self::FreezeFailed { mount, errno: errno()?, at: done },
            71 => Self::Thawed { mount, result: fields.result()?, began, done },
            72 => Self::Ended { cause: Cause::ALL.into_iter().find(|cause| *cause as u8 == mount)?, at: done },
            _ => return None,
        };
        (event.to_bytes() == *bytes).then_some(event)
    }
}

#[cfg(test)]
mod tests;
