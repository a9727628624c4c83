//! Why a path may not be frozen, in words that lead on.

use std::fmt;
use std::path::PathBuf;

/// One path that may not be frozen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The path of the configuration; empty if it is about all of them.
    pub mount: PathBuf,
    /// Why.
    pub reason: Reason,
}

/// Why a path may not be frozen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// None, or too many.
    Count {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// The path leads nowhere.
    Missing {
        /// The system's reason.
        why: String,
    },
    /// A path within a file system: freezing it would stop all of that.
    NotAMountPoint {
        /// The mount that it is on.
        on: PathBuf,
    },
    /// The kernel's list of mounts and what is found at the path do not agree.
    Unknown,
    /// The file system has no freeze, or none that is known to work.
    CannotFreeze {
        /// Its type.
        fs_type: String,
    },
    /// It was named before.
    SameFileSystem {
        /// The path by which it was named first.
        first: PathBuf,
    },
    /// Something is on it that must go on.
    Holds {
        /// What.
        what: String,
        /// Where that is.
        path: PathBuf,
    },
    /// Nothing can be written to it.
    ReadOnly,
    /// It lives in a file of another one that would be frozen before it, and could not be flushed then.
    OnAFrozenFile {
        /// The other one.
        below: PathBuf,
    },
}

impl Refusal {
    /// What to do about it.
    pub fn next_step(&self) -> String {
        match &self.reason {
            Reason::Count { max, .. } => format!("name between 1 and {max} mounts"),
            Reason::Missing { .. } => "mount it, or correct the path".into(),
            Reason::NotAMountPoint { .. } => {
                "give the data a file system of its own, or choose another consistency for this class".into()
            }
            Reason::Unknown => "see what is mounted there with `findmnt --target`".into(),
            Reason::CannotFreeze { .. } => "move the data to xfs or ext4, or leave this mount out".into(),
            Reason::SameFileSystem { .. } => "name it once".into(),
            Reason::Holds { .. } => "move one of the two to a file system of its own".into(),
            Reason::ReadOnly => {
                "leave it out; if it should be writable, see the kernel's log for the error that made it read-only"
                    .into()
            }
            Reason::OnAFrozenFile { below } => format!("name it before `{}`", below.display()),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mount = self.mount.display();
        match &self.reason {
            Reason::Count { count, .. } => write!(f, "{count} mounts cannot be held still at once"),
            Reason::Missing { why } => write!(f, "`{mount}` is not there: {why}"),
            Reason::NotAMountPoint { on } => {
                write!(f, "`{mount}` is not a mount: freezing it would stop all of `{}`", on.display())
            }
            Reason::Unknown => write!(f, "`{mount}` is not what the kernel's list of mounts says"),
            Reason::CannotFreeze { fs_type } => write!(f, "`{mount}` is {fs_type}, which cannot be frozen"),
            Reason::SameFileSystem { first } => {
                write!(f, "`{mount}` is the same file system as `{}`", first.display())
            }
            Reason::Holds { what, path } => {
                write!(f, "`{mount}` holds {what} (`{}`), which must go on while it is frozen", path.display())
            }
            Reason::ReadOnly => write!(f, "`{mount}` is read-only: there is nothing to hold still"),
            Reason::OnAFrozenFile { below } => {
                write!(f, "`{mount}` lives in a file of `{}`, which would be frozen before it", below.display())
            }
        }
    }
}
