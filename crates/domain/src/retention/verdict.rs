//! The words in which retention answers: a verdict for every image, with its reasons.

use std::fmt;

use jiff::Timestamp;

use crate::retention::guard::Guard;
use crate::retention::keep::Rule;

/// One image, as far as the rules look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<Id> {
    /// Its id, which settles ties of time.
    pub id: Id,
    /// Its time: the earliest start of its snapshots, else its creation date.
    pub captured_at: Timestamp,
}

/// By which half of a count rule an image is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptAs {
    /// It is the newest of its bucket, or one of the newest where the rule has no buckets.
    Newest,
    /// It is the oldest of the series, and the rule had a count left.
    Oldest,
}

/// Why a rule keeps an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepReason {
    /// The rule.
    pub rule: Rule,
    /// The how-manieth image it is that the rule keeps, from 1 for the newest.
    pub rank: u32,
    /// How many the rule keeps at most; `None` for `-1` and for the `within` rules.
    pub of: Option<u32>,
    /// The bucket the image is in, such as `2026-06`, `2026-W01` or `2026-10-25T02+02:00`; `None` for `last` and
    /// `within`.
    pub bucket: Option<String>,
    /// By which half of the rule.
    pub kept_as: KeptAs,
}

/// As in `monthly 3/12, 2026-06`.
impl fmt::Display for KeepReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rule, self.rank)?;
        if let Some(of) = self.of {
            write!(f, "/{of}")?;
        }
        if let Some(bucket) = &self.bucket {
            write!(f, ", {bucket}")?;
        }
        match self.kept_as {
            KeptAs::Newest => Ok(()),
            KeptAs::Oldest => f.write_str(", oldest"),
        }
    }
}

/// Why an image goes, as it is written down before the deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeleteReason {
    /// No rule of `keep` wants it.
    NoRule,
    /// Its job failed or EC2 reports it failed, and a newer image of the series has succeeded.
    Superseded {
        /// The id of the newer image.
        by: String,
    },
    /// Somebody else deregistered it, and a newer image of the series has succeeded; what goes are its snapshots.
    Abandoned {
        /// When it was last seen.
        last_seen_at: Timestamp,
    },
    /// That was decided before, and it is being carried out.
    UnderWay,
}

impl fmt::Display for DeleteReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRule => f.write_str("no rule keeps it"),
            Self::Superseded { by } => write!(f, "it failed, and {by} is newer and succeeded"),
            Self::Abandoned { last_seen_at } => {
                write!(f, "somebody else deregistered it after {last_seen_at}, and its snapshots are left")
            }
            Self::UnderWay => f.write_str("its deletion is under way"),
        }
    }
}

/// What becomes of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// At least one rule keeps it; every rule that does is listed.
    Keep(Vec<KeepReason>),
    /// It goes.
    Delete(DeleteReason),
    /// No rule keeps it, and at least one guard holds it back; every guard that does is listed.
    Held(Vec<Guard>),
}

impl Verdict {
    /// The word of the contract.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Keep(_) => "keep",
            Self::Delete(_) => "delete",
            Self::Held(_) => "held",
        }
    }

    /// The rules that keep the image.
    pub fn reasons(&self) -> &[KeepReason] {
        match self {
            Self::Keep(reasons) => reasons,
            Self::Delete(_) | Self::Held(_) => &[],
        }
    }

    /// The guards that hold the image back.
    pub fn held_by(&self) -> &[Guard] {
        match self {
            Self::Held(guards) => guards,
            Self::Keep(_) | Self::Delete(_) => &[],
        }
    }

    /// Puts one more guard before the image. A guard only ever turns a deletion into a hold: what a rule keeps needs
    /// no guard, and no guard releases what another one holds.
    pub fn hold(&mut self, guard: Guard) {
        match self {
            Self::Keep(_) => {}
            Self::Delete(_) => *self = Self::Held(vec![guard]),
            Self::Held(guards) => guards.push(guard),
        }
    }
}

/// One image and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned<Id> {
    /// The image.
    pub id: Id,
    /// Its time.
    pub captured_at: Timestamp,
    /// What becomes of it.
    pub verdict: Verdict,
}

impl<Id> Planned<Id> {
    /// Puts one more guard before the image.
    pub fn hold(&mut self, guard: Guard) {
        self.verdict.hold(guard);
    }

    /// Whether the image takes part in the rules. An image from the future does not.
    pub(crate) fn counts(&self) -> bool {
        !self.verdict.held_by().contains(&Guard::FromTheFuture)
    }
}
