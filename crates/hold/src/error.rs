//! What can go wrong before anything is frozen.
//!
//! What goes wrong later is told by the report of the hold, since by then the first thing to say is what was thawed.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rustix::io::Errno;

use crate::report::HoldReport;
use crate::wire::{Cause, Step};

/// Nothing was frozen, and why.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// A mount that was there during the check is not any more.
    #[error("failed to open `{}`", path.display())]
    Open {
        /// The mount.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: Errno,
    },
    /// Between the check and now something else came to be at this path.
    #[error("`{}` is not the mount that was checked", path.display())]
    Changed {
        /// The mount.
        path: PathBuf,
    },
    /// Another hold of it is under way, or its guard has not ended yet.
    #[error("`{}` is held by another amikeep at this moment", path.display())]
    Taken {
        /// The mount.
        path: PathBuf,
    },
    /// More mounts than a guard can hold, or none.
    #[error("{count} mounts cannot be held at once: at least 1 and at most {max}")]
    Count {
        /// How many were asked for.
        count: usize,
        /// How many can be.
        max: usize,
    },
    /// The guard's process could not be started.
    #[error("failed to start the guard `{}`", program.display())]
    Start {
        /// What was to be started.
        program: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The guard said that it cannot do what it is for.
    #[error("the guard failed in {}", step.as_str())]
    Refused {
        /// What it was doing.
        step: Step,
        /// The system's reason.
        #[source]
        errno: Errno,
    },
    /// The guard is not of this version: the program was replaced while this process ran.
    #[error("the guard is of another version than the daemon: restart the daemon")]
    OtherVersion,
    /// Without its memory locked the guard may wait for a page when it should thaw.
    #[error("the guard could not lock its memory: set LimitMEMLOCK=infinity for the unit")]
    MemoryNotLocked(#[source] Errno),
    /// The guard ended, or said nothing.
    #[error("the guard did not answer within {} s", limit.as_secs())]
    Silent {
        /// How long it was waited for.
        limit: Duration,
    },
    /// The guard ended before it was told to.
    #[error("the guard ended: {}", cause.as_str())]
    Ended {
        /// Why.
        cause: Cause,
    },
    /// Flushing a mount failed.
    #[error("failed to bring what is dirty in `{}` to disk", path.display())]
    Prepare {
        /// The mount.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: Errno,
    },
    /// A mount takes no writes.
    #[error(
        "`{}` takes no writes: it is frozen already, or its disk does not answer within {} s; `fsfreeze --unfreeze` thaws it",
        path.display(), limit.as_secs()
    )]
    TakesNoWrites {
        /// The mount.
        path: PathBuf,
        /// How long it was waited for.
        limit: Duration,
    },
}

/// A freeze that did not come about. Everything that had been frozen is thawed, as the report says.
#[derive(Debug, thiserror::Error)]
#[error("failed to freeze: {}", report.cause.as_str())]
pub struct FreezeError {
    /// What was frozen for how long, and whether all of it was thawed.
    pub report: HoldReport,
}
