//! How far back each rule reaches at present.
//!
//! It answers what a number in `keep` does not say: the first bucket is the current one (`monthly = 12` is this month
//! and eleven before it), and a young series does not fill its rules yet.

use std::fmt;

use jiff::Timestamp;

use crate::retention::keep::{Keep, Limit, Rule};
use crate::retention::verdict::Planned;

/// What one rule keeps of a series at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// The rule.
    pub rule: Rule,
    /// Its limit.
    pub limit: Limit,
    /// How many images it keeps.
    pub kept: u32,
    /// The bucket of the newest image; `None` for `last` and `within`.
    pub newest_bucket: Option<String>,
    /// The bucket of the oldest image it keeps.
    pub oldest_bucket: Option<String>,
    /// The time of the oldest image it keeps.
    pub oldest_kept_at: Timestamp,
}

/// The reach of every rule of `keep` over the plan of one series, in the order of the rules. A rule that keeps nothing
/// (there is no image) has none.
pub fn reach<Id>(series: &[Planned<Id>], keep: &Keep) -> Vec<Reach> {
    keep.limits().filter_map(|(rule, limit)| reach_of_rule(series, rule, limit)).collect()
}

fn reach_of_rule<Id>(series: &[Planned<Id>], rule: Rule, limit: Limit) -> Option<Reach> {
    let kept = || {
        series.iter().filter_map(|image| {
            let reason = image.verdict.reasons().iter().find(|reason| reason.rule == rule)?;
            Some((image.captured_at, reason))
        })
    };
    let (_, newest) = kept().next()?;
    let (oldest_kept_at, oldest) = kept().last()?;
    Some(Reach {
        rule,
        limit,
        kept: oldest.rank,
        newest_bucket: newest.bucket.clone(),
        oldest_bucket: oldest.bucket.clone(),
        oldest_kept_at,
    })
}

/// As in `monthly=12 keeps 3, 2026-06 to 2026-04, back to 2026-04-30T00:00:03Z`.
impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={} keeps {}", self.rule, self.limit, self.kept)?;
        if let (Some(newest), Some(oldest)) = (&self.newest_bucket, &self.oldest_bucket) {
            write!(f, ", {newest} to {oldest}")?;
        }
        write!(f, ", back to {}", self.oldest_kept_at)
    }
}
