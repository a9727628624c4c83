//! Images that never count: those of failed jobs, and those that EC2 reports failed.
//!
//! No rule is asked about them. They go once a newer image of the series has succeeded, and not before, since until
//! then a part of one may be the best there is.

use std::fmt;

use crate::retention::guard::Guard;
use crate::retention::verdict::{Candidate, DeleteReason, Planned, Verdict};

/// Plans the images of one series that never count. `series` is the plan of those that do, newest first. An image
/// from the future supersedes nothing and stops all deletion here as well.
pub fn plan_failed<Id: Ord + Clone + fmt::Display>(
    failed: &[Candidate<Id>],
    series: &[Planned<Id>],
) -> Vec<Planned<Id>> {
    let future = series.iter().find(|image| !image.counts());
    let newest = series.iter().find(|image| image.counts());
    let decide = |image: &Candidate<Id>| match (future, newest) {
        (Some(future), _) => Verdict::Held(vec![Guard::FutureInSeries { image: future.id.to_string() }]),
        (None, Some(newest)) if image.captured_at < newest.captured_at => {
            Verdict::Delete(DeleteReason::Superseded { by: newest.id.to_string() })
        }
        (None, _) => Verdict::Held(vec![Guard::NoNewerSuccess]),
    };
    let plan = |image: &Candidate<Id>| Planned {
        id: image.id.clone(),
        captured_at: image.captured_at,
        verdict: decide(image),
    };
    crate::retention::newest_first(failed).into_iter().map(plan).collect()
}
