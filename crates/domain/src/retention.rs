//! Retention: which images of a series stay, which go, and why.
//!
//! It is computed whenever it is applied and stamped on nothing, so an edit of `keep` applies to what exists. It must
//! never look at a clock, at EC2 or at the ledger: the caller gives the images that count (of succeeded jobs, seen
//! available in a complete listing), the rules, the zone and `now`.
//!
//! # Pruning every night keeps what pruning once at the end would keep
//!
//! Let `R(S)` be what one rule keeps of the images `S`; `A` the images so far, `B` images newer than all of `A`, and
//! `X` what is left of `A` after pruning. `X` contains `R(A)`, and perhaps more: what other rules keep, what guards
//! hold, what EC2 refused to delete. Then `R(X ∪ B) = R(A ∪ B)`, and by repetition every night equals the end:
//! - *Newest of each bucket, at most n.* An image of `A` that is chosen from `A ∪ B` is the newest of its bucket in
//!   `A` too, with no more buckets before it, so it is in `R(A)` and in `X`. `X ∪ B` therefore has the same first n
//!   buckets with the same newest images. This needs nothing of a bucket but that its members are fixed.
//! - *The oldest, while counts are left.* If fewer than n buckets are in `A ∪ B`, fewer are in `A`; then `R(A)` holds
//!   the newest of every bucket and the oldest image, so `X ∪ B` has the same buckets and the same oldest. If there are
//!   n or more, the n newest are in `X ∪ B` and no count is left there either. The oldest takes the next free rank;
//!   since the walk ends with it, nothing else can lose a place to it.
//! - *Within a span of the newest.* The newest only moves forward, so the start of the span does too; what is in the
//!   span of `A ∪ B` was in the span of `A`.
//!
//! What is left out once is never wanted again, a guard may hold an image for any time without changing the others,
//! and any number of rules may be joined since the argument holds for each. It does not cover an image that turns up
//! behind newer ones: within a series nothing is sent while an image is pending, and an image from the future stops
//! the pruning.

mod bucket;
mod failed;
mod guard;
mod keep;
mod keep_text;
mod reach;
#[cfg(test)]
mod tests;
mod verdict;

use std::fmt;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use crate::retention::bucket::{Buckets, Met, Period};

pub use crate::retention::failed::{judge_failed, plan_failed};
pub use crate::retention::guard::{
    DeleteLimit, Guard, ImageFacts, OverLimit, Pin, Usage, apply_guards, apply_image_guards, hold_all, hold_over_limit,
};
pub use crate::retention::keep::{
    Count, EmptyKeep, InvalidCount, InvalidWithin, Keep, KeepRules, Limit, Rule, UnknownRule, Within,
};
pub use crate::retention::keep_text::InvalidKeepText;
pub use crate::retention::reach::{Reach, reach};
pub use crate::retention::verdict::{Candidate, DeleteReason, KeepReason, KeptAs, Planned, Verdict};

/// How far ahead of `now` the time of an image may be. EC2's clock and ours differ by seconds; an hour more is a clock
/// that is wrong, and then "newest" means nothing.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(1);

/// Asks the rules about one series: a verdict for every image, newest first.
///
/// `now` only tells which images are from the future. They are held, the rules do not see them, and while there is one
/// nothing of the series is deleted.
pub fn plan_series<Id: Ord + Clone + fmt::Display>(
    candidates: &[Candidate<Id>],
    keep: &Keep,
    timezone: &TimeZone,
    now: Timestamp,
) -> Vec<Planned<Id>> {
    let images = newest_first(candidates);
    let n_future = images.partition_point(|image| AHEAD_MAX < image.captured_at.duration_since(now));
    let (future, counted) = images.split_at(n_future);
    let guard = future.first().map(|image| Guard::FutureInSeries { image: image.id.to_string() });

    let mut planned: Vec<_> =
        future.iter().map(|image| plan_image(image, Verdict::Held(vec![Guard::FromTheFuture]))).collect();
    for (image, reasons) in counted.iter().zip(Walk::new(counted, keep, timezone).reasons(keep)) {
        let verdict = if reasons.is_empty() { Verdict::Delete(DeleteReason::NoRule) } else { Verdict::Keep(reasons) };
        let mut image = plan_image(image, verdict);
        if let Some(guard) = &guard {
            image.hold(guard.clone());
        }
        planned.push(image);
    }
    planned
}

/// The order of a series: newest first, ties by id; an image that is given twice is there once.
fn newest_first<Id: Ord>(candidates: &[Candidate<Id>]) -> Vec<&Candidate<Id>> {
    let mut images: Vec<_> = candidates.iter().collect();
    images.sort_unstable_by(|a, b| b.captured_at.cmp(&a.captured_at).then_with(|| a.id.cmp(&b.id)));
    images.dedup_by(|a, b| a.id == b.id);
    images
}

fn plan_image<Id: Clone>(image: &Candidate<Id>, verdict: Verdict) -> Planned<Id> {
    Planned { id: image.id.clone(), captured_at: image.captured_at, verdict }
}

/// The images that count, newest first, while the rules walk over them. An image is known by its index.
struct Walk<'a> {
    times: Vec<Timestamp>,
    /// Empty if no rule asks for buckets.
    buckets: Vec<Buckets>,
    timezone: &'a TimeZone,
}

impl<'a> Walk<'a> {
    fn new<Id>(images: &[&Candidate<Id>], keep: &Keep, timezone: &'a TimeZone) -> Self {
        let times: Vec<_> = images.iter().map(|image| image.captured_at).collect();
        let needs_buckets = keep.limits().any(|(rule, _)| rule.period().is_some());
        let buckets =
            if needs_buckets { times.iter().map(|at| Buckets::new(*at, timezone)).collect() } else { Vec::new() };
        Self { times, buckets, timezone }
    }

    /// For each image the rules that keep it.
    fn reasons(&self, keep: &Keep) -> Vec<Vec<KeepReason>> {
        let mut reasons = vec![Vec::new(); self.times.len()];
        for (rule, limit) in keep.limits() {
            let of = match limit {
                Limit::Count(count) => count.limit(),
                Limit::Within(_) => None,
            };
            for (rank, (index, kept_as)) in (1..).zip(self.chosen(rule.period(), limit)) {
                let bucket = rule.period().map(|period| period.label(self.times[index], self.timezone));
                reasons[index].push(KeepReason { rule, rank, of, bucket, kept_as });
            }
        }
        reasons
    }

    /// The images that one rule keeps, newest first.
    fn chosen(&self, period: Option<Period>, limit: Limit) -> Vec<(usize, KeptAs)> {
        let newest = self.newest_of_each(period).map(|index| (index, KeptAs::Newest));
        match limit {
            Limit::Within(within) => newest.take_while(|(index, _)| self.age(*index) <= within.duration()).collect(),
            Limit::Count(count) => {
                let n_max = count.limit().map_or(usize::MAX, |limit| limit as usize);
                let mut chosen: Vec<_> = newest.take(n_max).collect();
                let oldest = self.times.len().checked_sub(1);
                let last = chosen.last().map(|(index, _)| *index);
                if chosen.len() < n_max && last != oldest {
                    chosen.extend(oldest.map(|index| (index, KeptAs::Oldest)));
                }
                chosen
            }
        }
    }

    /// The newest image of each bucket; every image where there are no buckets.
    fn newest_of_each(&self, period: Option<Period>) -> impl Iterator<Item = usize> + '_ {
        let mut met = Met::default();
        (0..self.times.len())
            .filter(move |index| period.is_none_or(|period| met.insert(self.buckets[*index].key(period))))
    }

    /// How much older an image is than the newest that counts.
    fn age(&self, index: usize) -> SignedDuration {
        self.times[0].duration_since(self.times[index])
    }
}
