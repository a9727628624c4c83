//! Grades: how consistent an image really is, not what was asked for.

use std::fmt;
use std::str::FromStr;

use crate::id::InvalidId;

/// How consistent a volume, and so an image, is. Ordered from the weakest to the strongest, so that the grade of an
/// image is the minimum over the volumes that its class covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// Taken from a running instance without a freeze, or with a freeze that was not proved: what a power cut leaves.
    Crash,
    /// Frozen, without an application hook: the file system is whole, applications recover from their logs.
    Filesystem,
    /// Frozen, and every application hook succeeded.
    Application,
    /// Rebooted for the image: shut down in order, everything flushed.
    Clean,
    /// The instance was stopped, and still stopped when the snapshots appeared.
    Offline,
}

impl Grade {
    /// Every grade, weakest first.
    pub const ALL: [Self; 5] = [Self::Crash, Self::Filesystem, Self::Application, Self::Clean, Self::Offline];

    /// The word of the contract, as in the tag `amikeep:grade`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Filesystem => "filesystem",
            Self::Application => "application",
            Self::Clean => "clean",
            Self::Offline => "offline",
        }
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Grade {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::ALL.into_iter().find(|grade| grade.as_str() == text).ok_or_else(|| InvalidId {
            kind: "a grade",
            text: text.to_owned(),
            allowed: "crash, filesystem, application, clean or offline",
        })
    }
}

/// What stands behind the grade `clean`. EC2's API shows no more than that it accepted the reboot: the state of the
/// instance stays `running` throughout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// EC2 accepted the request.
    Requested,
    /// The boot id changed and an orderly shutdown was seen.
    Observed,
}

impl Evidence {
    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Observed => "observed",
        }
    }
}

impl FromStr for Evidence {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        [Self::Requested, Self::Observed].into_iter().find(|it| it.as_str() == text).ok_or_else(|| InvalidId {
            kind: "an evidence",
            text: text.to_owned(),
            allowed: "requested or observed",
        })
    }
}
