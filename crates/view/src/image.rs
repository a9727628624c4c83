//! An image as JSON, with the verdict of retention, and as tables by series.
//!
//! Verdicts are those of the rules and guards that can be known from the ledger and the configuration in force: what
//! asks EC2 (whether an image is in use) or spans a policy (`max_deletes`) is left to pruning, so an image that is
//! `delete` here may still be held there, and never the other way round.

mod judge;
mod series;

use std::fmt;

use amikeep_domain::retention::{KeepReason, KeptAs};
use serde::Serialize;

use crate::job::Volume;
use crate::text::Time;

pub(crate) use crate::image::judge::of_row;
pub use crate::image::judge::{judge, reaches};
pub use crate::image::series::{Series, by_series};

/// An image that is there, or should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Image {
    /// Its id.
    pub image_id: String,
    /// Its name.
    pub image_name: String,
    /// The job that had it made.
    pub job_id: String,
    /// The policy of the job.
    pub policy: String,
    /// The account it is in, by its 12 digits.
    pub account: String,
    /// The configured name of that account.
    pub account_name: String,
    /// The region it is in.
    pub region: String,
    /// The instance it was taken of.
    pub instance_id: String,
    /// The class that applied.
    pub class: String,
    /// Its time, by EC2's clock.
    pub captured_at: Option<Time>,
    /// How consistent it really is.
    pub grade: Option<&'static str>,
    /// Its volumes.
    pub volumes: Vec<Volume>,
    /// `available`, `deleting`, `snapshots-left`, `deleted` or `missing`.
    pub state: &'static str,
    /// Whether it carries the tag `amikeep:pin`.
    pub pinned: bool,
    /// `keep`, `delete` or `held`; null for an image that is missing.
    pub verdict: Option<&'static str>,
    /// The rules that keep it.
    pub reasons: Vec<Reason>,
    /// The guards that hold it though no rule keeps it.
    pub held_by: Vec<&'static str>,
    /// The same in words, with what the guard's word leaves open.
    pub held_because: Vec<String>,
    /// Why it goes, if it does.
    pub delete_reason: Option<String>,
}

/// Why a rule keeps an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The rule, by its key in `keep`.
    pub rule: &'static str,
    /// The how-manieth image it is that the rule keeps, from 1 for the newest.
    pub rank: u32,
    /// How many the rule keeps at most; null for `-1` and for the `within` rules.
    pub of: Option<u32>,
    /// The bucket, such as `2026-06`; null for `last` and `within`.
    pub bucket: Option<String>,
    /// `newest` of its bucket, or `oldest` of the series while the rule has counts left.
    pub kept_as: &'static str,
}

/// The answer of `images`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Images {
    /// The images, by series and newest first.
    pub images: Vec<Image>,
}

impl From<&KeepReason> for Reason {
    fn from(reason: &KeepReason) -> Self {
        let kept_as = match reason.kept_as {
            KeptAs::Newest => "newest",
            KeptAs::Oldest => "oldest",
        };
        Self { rule: reason.rule.as_str(), rank: reason.rank, of: reason.of, bucket: reason.bucket.clone(), kept_as }
    }
}

/// As in `monthly 3/12, 2026-06`.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rule, self.rank)?;
        if let Some(of) = self.of {
            write!(f, "/{of}")?;
        }
        if let Some(bucket) = &self.bucket {
            write!(f, ", {bucket}")?;
        }
        if self.kept_as == "oldest" { f.write_str(", oldest") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
