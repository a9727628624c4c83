//! Images that never count: those of failed jobs, and those that EC2 reports failed.
//!
//! No rule is asked about them. They go once a newer image of the series has succeeded, and not before, since until
//! then a part of one may be the best there is.

use std::fmt;

use jiff::Timestamp;

use crate::retention::guard::Guard;
use crate::retention::verdict::{Candidate, DeleteReason, Planned, Verdict};

/// Plans the images of one series that never count. `series` is the plan of those that do, newest first.
pub fn plan_failed<Id: Ord + Clone + fmt::Display>(
    failed: &[Candidate<Id>],
    series: &[Planned<Id>],
) -> Vec<Planned<Id>> {
    let plan = |image: &Candidate<Id>| Planned {
        id: image.id.clone(),
        captured_at: image.captured_at,
        verdict: judge_failed(image.captured_at, series),
    };
    crate::retention::newest_first(failed).into_iter().map(plan).collect()
}

/// What becomes of something that was captured then and is no image that counts. An image from the future supersedes
/// nothing and stops all deletion here as well.
pub fn judge_failed<Id: fmt::Display>(captured_at: Timestamp, series: &[Planned<Id>]) -> Verdict {
    let future = series.iter().find(|image| !image.counts());
    let newest = series.iter().find(|image| image.counts());
    match (future, newest) {
        (Some(future), _) => Verdict::Held(vec![Guard::FutureInSeries { image: future.id.to_string() }]),
        (None, Some(newest)) if captured_at < newest.captured_at => {
            Verdict::Delete(DeleteReason::Superseded { by: newest.id.to_string() })
        }
        (None, _) => Verdict::Held(vec![Guard::NoNewerSuccess]),
    }
}
