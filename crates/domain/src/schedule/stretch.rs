//! Stretches of constant offset, and the rule for the times that a change of offset skips or repeats.
//!
//! Real time in a zone is a row of stretches, each with one offset from UTC, and within a stretch wall clock and real
//! time run in parallel: nothing is skipped, nothing repeated. So the whole rule is which wall-clock times belong to
//! which stretch. All of them end where the stretch ends. They begin
//!
//! - for an interval, where the wall clock stands when the stretch begins. Times inside a gap then belong to no stretch
//!   and times inside a fold to two: an interval fires at every real time, and only at those;
//! - for a fixed time, where the *previous* stretch ended. Then every wall-clock time belongs to exactly one stretch,
//!   and fires once. Times inside a fold belong to the first pass. Times inside a gap belong to the stretch after it and
//!   are moved to its first instant, all of them to the same one.
//!
//! This takes for granted that no stretch is shorter than the fold it begins with; in the database none is.
//!
//! Must never know anything about cron.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::schedule::syntax::Kind;

/// The smallest step of a [`Timestamp`].
const NANOSECOND: SignedDuration = SignedDuration::from_nanos(1);

/// A longest span of real time in which a zone keeps one offset from UTC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    offset: Offset,
    /// `None` if it reaches back as far as the database does.
    begin: Option<Begin>,
    /// The first instant of the next stretch; `None` if there is no next one.
    end: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy)]
struct Begin {
    at: Timestamp,
    previous_offset: Offset,
}

impl Stretch {
    /// The stretch that an instant lies in.
    pub(crate) fn containing(zone: &TimeZone, instant: Timestamp) -> Self {
        let offset = zone.to_offset(instant);
        // A transition may change no more than the zone's abbreviation, hence the comparisons of offsets.
        let end = zone.following(instant).find(|next| next.offset() != offset).map(|next| next.timestamp());
        let including_instant = instant.checked_add(NANOSECOND).unwrap_or(instant);
        let begin = zone.preceding(including_instant).find_map(|transition| {
            let at = transition.timestamp();
            let previous_offset = zone.to_offset(at.checked_sub(NANOSECOND).ok()?);
            (previous_offset != offset).then_some(Begin { at, previous_offset })
        });
        Self { offset, begin, end }
    }

    /// The stretch after this one.
    pub(crate) fn next(&self, zone: &TimeZone) -> Option<Self> {
        self.end.map(|end| Self::containing(zone, end))
    }

    /// The stretch before this one.
    pub(crate) fn previous(&self, zone: &TimeZone) -> Option<Self> {
        let last_before = self.begin?.at.checked_sub(NANOSECOND).ok()?;
        Some(Self::containing(zone, last_before))
    }

    /// The first instant of the stretch, if it has one.
    pub(crate) fn begins_at(&self) -> Option<Timestamp> {
        self.begin.map(|begin| begin.at)
    }

    /// The first instant after the stretch, if there is one.
    pub(crate) fn ends_at(&self) -> Option<Timestamp> {
        self.end
    }

    /// What the wall clock shows at an instant of this stretch.
    pub(crate) fn civil(&self, instant: Timestamp) -> DateTime {
        self.offset.to_datetime(instant)
    }

    /// The first wall-clock time that belongs to this stretch; `None` if all earlier ones do.
    pub(crate) fn first_civil(&self, kind: Kind) -> Option<DateTime> {
        self.begin.map(|begin| match kind {
            Kind::Interval => self.offset.to_datetime(begin.at),
            Kind::Fixed => begin.previous_offset.to_datetime(begin.at),
        })
    }

    /// The first wall-clock time that no longer belongs to this stretch; `None` if all later ones do.
    pub(crate) fn end_civil(&self) -> Option<DateTime> {
        self.end.map(|end| self.offset.to_datetime(end))
    }

    /// The instant at which a wall-clock time that belongs to this stretch fires; `None` beyond the end of time.
    pub(crate) fn instant(&self, civil: DateTime) -> Option<Timestamp> {
        let instant = self.offset.to_timestamp(civil).ok()?;
        // Only a fixed time inside a gap lies before the stretch that it belongs to.
        Some(self.begins_at().map_or(instant, |begin| instant.max(begin)))
    }
}
