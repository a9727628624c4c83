//! Guards: what holds an image back that no rule keeps.
//!
//! Guards come after the rules, which run as if no guard existed. A guard can turn `delete` into `held` and nothing
//! else; it must never change the verdict of another image, so pinning an image costs no other image its place.

use std::fmt;

use jiff::Timestamp;

use crate::grade::Grade;
use crate::retention::verdict::{Candidate, Planned, Verdict};

/// Why an image is held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// It carries the tag `amikeep:pin`.
    Pinned,
    /// It is the newest image of its series.
    NewestOfSeries,
    /// It is the newest image whose grade is at least what its class asks for.
    NewestOfGrade,
    /// Something in the account was made from it or will be.
    InUse {
        /// The instances and launch templates.
        by: Vec<String>,
    },
    /// Whether it is in use could not be found out, which counts as in use.
    InUseUnknown {
        /// What stood in the way.
        why: String,
    },
    /// More would be deleted than `max_deletes` allows.
    MaxDeletes,
    /// Its policy is no longer in the configuration.
    PolicyGone,
    /// Its time is more than an hour ahead, so that it cannot be placed among the others.
    FromTheFuture,
    /// Another image of its series is from the future, and one of the two clocks is wrong.
    FutureInSeries {
        /// The image from the future.
        image: String,
    },
    /// It failed, and no newer image of its series has succeeded: something may still be saved from it.
    NoNewerSuccess,
    /// It could not be proved to be amikeep's own.
    NotProved {
        /// What is wrong with it.
        why: String,
    },
    /// Somebody else deregistered it; its snapshots are left for a while, since it could be restored.
    Missing {
        /// Until when.
        until: Timestamp,
    },
    /// EC2 is still making it, or its job has not ended.
    Unfinished,
    /// An operator has paused its policy or its instance.
    Paused {
        /// Of what, why, and until when.
        pause: String,
    },
    /// The host's clock makes no sense.
    Clock {
        /// How it is known.
        why: String,
    },
}

impl Guard {
    /// The word in `held_by`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::NewestOfSeries => "newest-of-series",
            Self::NewestOfGrade => "newest-of-grade",
            Self::InUse { .. } => "in-use",
            Self::InUseUnknown { .. } => "in-use-unknown",
            Self::MaxDeletes => "max-deletes",
            Self::PolicyGone => "policy-gone",
            Self::FromTheFuture => "from-the-future",
            Self::FutureInSeries { .. } => "future-in-series",
            Self::NoNewerSuccess => "no-newer-success",
            Self::NotProved { .. } => "not-proved",
            Self::Missing { .. } => "missing",
            Self::Unfinished => "unfinished",
            Self::Paused { .. } => "paused",
            Self::Clock { .. } => "clock",
        }
    }

    /// What the word leaves open: by what, or why.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::InUse { by } => Some(by.join(", ")),
            Self::InUseUnknown { why } | Self::NotProved { why } | Self::Clock { why } => Some(why.clone()),
            Self::FutureInSeries { image } => Some(image.clone()),
            Self::Missing { until } => Some(format!("until {until}")),
            Self::Paused { pause } => Some(pause.clone()),
            Self::Unfinished
            | Self::Pinned
            | Self::NewestOfSeries
            | Self::NewestOfGrade
            | Self::MaxDeletes
            | Self::PolicyGone
            | Self::FromTheFuture
            | Self::NoNewerSuccess => None,
        }
    }
}

/// The word, and the detail in brackets: `in-use (i-0123456789abcdef0)`.
impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        self.detail().map_or(Ok(()), |detail| write!(f, " ({detail})"))
    }
}

/// Whether an image carries the tag `amikeep:pin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pin {
    /// It does.
    Pinned,
    /// It does not.
    Unpinned,
}

/// Whether an image is in use. Only [`Usage::Unused`] lets it go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Usage {
    /// Complete answers, and none of them names the image.
    Unused,
    /// These instances and launch templates name the image.
    InUse {
        /// Their ids.
        by: Vec<String>,
    },
    /// An answer was denied, failed or incomplete, or it was not asked.
    Unknown {
        /// What stood in the way.
        why: String,
    },
}

/// What the guards look at. The usage is looked at only for an image that would go, so [`Usage::Unknown`] does for
/// the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    /// Whether it is pinned.
    pub pin: Pin,
    /// Whether it is in use.
    pub usage: Usage,
    /// Its grade; `None` while it is not known, which satisfies no class.
    pub grade: Option<Grade>,
    /// The least grade that its class asks for.
    pub grade_asked: Grade,
}

impl ImageFacts {
    fn guards(&self) -> impl Iterator<Item = Guard> {
        let pin = match self.pin {
            Pin::Pinned => Some(Guard::Pinned),
            Pin::Unpinned => None,
        };
        let usage = match &self.usage {
            Usage::Unused => None,
            Usage::InUse { by } => Some(Guard::InUse { by: by.clone() }),
            Usage::Unknown { why } => Some(Guard::InUseUnknown { why: why.clone() }),
        };
        pin.into_iter().chain(usage)
    }

    fn is_good_enough(&self) -> bool {
        self.grade.is_some_and(|grade| self.grade_asked <= grade)
    }
}

/// Applies every guard that looks at a series to the plan of one whole series, newest first.
pub fn apply_guards<Id>(series: &mut [Planned<Id>], facts: impl Fn(&Id) -> ImageFacts) {
    let newest = series.iter().position(Planned::counts);
    let newest_of_grade = series.iter().position(|image| image.counts() && facts(&image.id).is_good_enough());
    for (guard, index) in [(Guard::NewestOfSeries, newest), (Guard::NewestOfGrade, newest_of_grade)] {
        if let Some(image) = index.and_then(|index| series.get_mut(index)) {
            image.hold(guard);
        }
    }
    apply_image_guards(series, facts);
}

/// Applies the guards that look at one image alone: the pin and the usage. For images of failed jobs, of which there
/// is no newest to protect.
pub fn apply_image_guards<Id>(images: &mut [Planned<Id>], facts: impl Fn(&Id) -> ImageFacts) {
    for image in images.iter_mut().filter(|image| !matches!(image.verdict, Verdict::Keep(_))) {
        for guard in facts(&image.id).guards() {
            image.hold(guard);
        }
    }
}

/// The plan where there are no rules to ask, such as for a policy that is gone: all is held, newest first.
pub fn hold_all<Id: Ord + Clone>(candidates: &[Candidate<Id>], guard: &Guard) -> Vec<Planned<Id>> {
    let held = |image: &Candidate<Id>| Planned {
        id: image.id.clone(),
        captured_at: image.captured_at,
        verdict: Verdict::Held(vec![guard.clone()]),
    };
    crate::retention::newest_first(candidates).into_iter().map(held).collect()
}

/// How much of a policy may be deleted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteLimit {
    /// `max_deletes`: the most deletions in any 24 hours.
    pub max_deletes: u32,
    /// How many there were in the last 24 hours.
    pub deleted: u32,
}

impl DeleteLimit {
    /// The `max_deletes` of a policy that gives none, from its images that succeeded in the last 24 hours.
    pub fn default_max(succeeded: u32) -> u32 {
        succeeded.saturating_mul(2).saturating_add(20)
    }
}

/// A plan that is larger than its policy allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{planned} would be deleted after {} in the last 24 hours, and max_deletes is {}",
    .limit.deleted,
    .limit.max_deletes
)]
pub struct OverLimit {
    /// How many images, and sets of snapshots without one, would be deleted now.
    pub planned: usize,
    /// The limit.
    pub limit: DeleteLimit,
}

/// Holds every deletion of a policy if together they are more than `limit` allows. It comes last, since what another
/// guard holds is not deleted and does not count; and it takes the verdicts on all that there is of the policy at once.
pub fn hold_over_limit<'a>(
    verdicts: impl IntoIterator<Item = &'a mut Verdict>,
    limit: DeleteLimit,
) -> Result<(), OverLimit> {
    let is_delete = |verdict: &&mut Verdict| matches!(verdict, Verdict::Delete(_));
    let deletions: Vec<_> = verdicts.into_iter().filter(is_delete).collect();
    let planned = deletions.len();
    let allowed = limit.max_deletes.saturating_sub(limit.deleted);
    if u32::try_from(planned).is_ok_and(|planned| planned <= allowed) {
        return Ok(());
    }
    for verdict in deletions {
        verdict.hold(Guard::MaxDeletes);
    }
    Err(OverLimit { planned, limit })
}
