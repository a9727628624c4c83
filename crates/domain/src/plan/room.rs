//! The room of `max_concurrent_jobs`, shared by the places that EC2 limits: accounts in regions.
//!
//! A place starts images as fast as its own request limits allow, so two waves that are due at once should run side by
//! side. By age alone the older one would take all the room and keep it to its end. Each place therefore has a fair
//! share as long as others want theirs, and what one does not want goes to the others: max-min fairness.

use std::collections::BTreeMap;

use crate::id::{AccountId, Region};
use crate::job::Job;

/// Where EC2 counts requests.
type Limited<'a> = (&'a AccountId, &'a Region);

fn limited(job: &Job) -> Limited<'_> {
    (&job.key.account, &job.key.region)
}

/// How much room is left, and for whom.
#[derive(Debug)]
pub(super) struct Room<'a> {
    left: usize,
    taken: BTreeMap<Limited<'a>, usize>,
    shares: BTreeMap<Limited<'a>, usize>,
}

impl<'a> Room<'a> {
    /// Room for `jobs_max` jobs, some of which `taken` have, and `wanting` would take now.
    pub(super) fn new(
        jobs_max: usize,
        taken: impl IntoIterator<Item = &'a Job>,
        wanting: impl IntoIterator<Item = &'a Job>,
    ) -> Self {
        let taken = count(taken);
        let mut wanted = taken.clone();
        for (place, jobs) in count(wanting) {
            *wanted.entry(place).or_default() += jobs;
        }
        let left = jobs_max.saturating_sub(taken.values().sum());
        Self { left, taken, shares: shares(jobs_max, wanted) }
    }

    /// Whether there is any for anybody.
    pub(super) fn is_left(&self) -> bool {
        0 < self.left
    }

    /// Whether the job may take room: there is some, and its place has not had its share.
    pub(super) fn has_for(&self, job: &Job) -> bool {
        let place = limited(job);
        let taken = self.taken.get(&place).copied().unwrap_or_default();
        // Whoever was not counted wanted nothing, and is held back by nothing but the whole.
        0 < self.left && self.shares.get(&place).is_none_or(|share| taken < *share)
    }

    pub(super) fn take(&mut self, job: &'a Job) {
        self.left = self.left.saturating_sub(1);
        *self.taken.entry(limited(job)).or_default() += 1;
    }
}

fn count<'a>(jobs: impl IntoIterator<Item = &'a Job>) -> BTreeMap<Limited<'a>, usize> {
    let mut counts = BTreeMap::new();
    for job in jobs {
        *counts.entry(limited(job)).or_default() += 1;
    }
    counts
}

/// Whoever wants least is served first and leaves the rest to the others. Nobody has less than one, so that where there
/// are more places than room the older job goes first, as it would alone.
fn shares<P: Ord>(jobs_max: usize, wanted: BTreeMap<P, usize>) -> BTreeMap<P, usize> {
    let mut by_want: Vec<(P, usize)> = wanted.into_iter().collect();
    by_want.sort_by_key(|(_, wanted)| *wanted);
    let (mut left, mut places) = (jobs_max, by_want.len());
    let share = |(place, wanted): (P, usize)| {
        let share = wanted.min(left.div_ceil(places.max(1)));
        left = left.saturating_sub(share);
        places = places.saturating_sub(1);
        (place, share.max(1))
    };
    by_want.into_iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(jobs_max: usize, wanted: &[(&'static str, usize)]) -> Vec<(&'static str, usize)> {
        shares(jobs_max, wanted.iter().copied().collect()).into_iter().collect()
    }

    #[test]
    fn what_one_does_not_want_goes_to_the_others() {
        assert_eq!(told(64, &[("a", 10_000)]), [("a", 64)]);
        assert_eq!(told(64, &[("a", 10_000), ("b", 500)]), [("a", 32), ("b", 32)]);
        assert_eq!(told(64, &[("a", 10_000), ("b", 3)]), [("a", 61), ("b", 3)]);
        assert_eq!(told(64, &[("a", 100), ("b", 100), ("c", 10)]), [("a", 27), ("b", 27), ("c", 10)]);
    }

    #[test]
    fn more_places_than_room_leave_everybody_one() {
        assert_eq!(told(1, &[("a", 5), ("b", 5)]), [("a", 1), ("b", 1)]);
        assert_eq!(told(0, &[("a", 5)]), [("a", 1)]);
    }
}
