//! The occurrences of a schedule in a span of real time, forwards one by one and backwards from the end.
//!
//! Owns the walk: stretch by stretch, asking croner for the matching wall-clock times of each. Must never decide what a
//! skipped or repeated time means: that is `schedule/stretch.rs`.

use std::iter::FusedIterator;

use croner::Cron;
use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};

use crate::schedule::Schedule;
use crate::schedule::stretch::Stretch;

/// Cron knows nothing finer than a second.
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// Ascending occurrences of a schedule, computed as they are asked for. Made by [`Schedule::between`].
#[derive(Debug, Clone)]
pub struct Occurrences<'a> {
    schedule: &'a Schedule,
    cron: Option<Cron>,
    until: Timestamp,
    /// What was given out last: several skipped times fire at one instant, which is given out once.
    last: Option<Timestamp>,
    /// `None` when there is nothing more to come.
    position: Option<Position>,
}

#[derive(Debug, Clone, Copy)]
struct Position {
    stretch: Stretch,
    /// The first wall-clock time of the stretch that was not looked at.
    from: DateTime,
}

impl<'a> Occurrences<'a> {
    pub(crate) fn new(schedule: &'a Schedule, after: Timestamp, until: Timestamp) -> Self {
        let position = if after < until { Position::after(schedule, after) } else { None };
        Self { schedule, cron: position.and_then(|_| schedule.cron()), until, last: None, position }
    }

    /// The next wall-clock time that matches, as an instant, and where to look from then on.
    fn step(&self, position: Position) -> Option<(Timestamp, Position)> {
        let Position { mut stretch, mut from } = position;
        loop {
            let civil = self.cron.as_ref()?.find_next_occurrence(&from, true).ok()?;
            let at = stretch.instant(civil)?;
            match stretch.ends_at() {
                Some(end) if end <= at && self.until < end => return None,
                Some(end) if end <= at => {
                    stretch = stretch.next(&self.schedule.0.timezone)?;
                    from = stretch.first_civil(self.schedule.0.kind)?;
                }
                _ => return Some((at, Position { stretch, from: civil.checked_add(SECOND).ok()? })),
            }
        }
    }
}

impl Position {
    fn after(schedule: &Schedule, after: Timestamp) -> Option<Self> {
        let stretch = Stretch::containing(&schedule.0.timezone, after);
        let whole_second = stretch.civil(after).with().subsec_nanosecond(0).build().ok()?;
        let from = whole_second.checked_add(SECOND).ok()?;
        let from = stretch.first_civil(schedule.0.kind).map_or(from, |first| from.max(first));
        Some(Self { stretch, from })
    }
}

impl Iterator for Occurrences<'_> {
    type Item = Timestamp;

    fn next(&mut self) -> Option<Timestamp> {
        loop {
            let found = self.step(self.position?);
            self.position = found.map(|(_, position)| position);
            let (at, _) = found?;
            if self.until < at {
                self.position = None;
                return None;
            }
            if self.last.replace(at) != Some(at) {
                return Some(at);
            }
        }
    }
}

impl FusedIterator for Occurrences<'_> {}

/// The last occurrence `t` with `after < t <= until`.
pub(crate) fn latest(schedule: &Schedule, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
    let cron = schedule.cron()?;
    let mut stretch = Stretch::containing(&schedule.0.timezone, until);
    let mut from = stretch.civil(until);
    loop {
        let civil = cron.find_previous_occurrence(&from, true).ok()?;
        if stretch.first_civil(schedule.0.kind).is_none_or(|first| first <= civil) {
            return stretch.instant(civil).filter(|at| after < *at);
        }
        if stretch.begins_at()? <= after {
            return None;
        }
        stretch = stretch.previous(&schedule.0.timezone)?;
        from = stretch.end_civil()?.checked_sub(SECOND).ok()?;
    }
}
