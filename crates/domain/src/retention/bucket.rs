//! Calendar buckets: the hour, day, ISO week, month and year of an image in the policy's time zone.
//!
//! A bucket is an integer while images are compared and a text only for those that are kept. Two images are in the
//! same bucket if and only if their keys are equal; nothing is derived from the order of keys, since local time can
//! run backwards (a zone that sets its clocks back just after midnight has a day, the day before, and the day again).

use jiff::{Timestamp, tz::TimeZone};

/// The size of a calendar bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Period {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Period {
    /// How the name of a bucket is written.
    fn format(self) -> &'static str {
        match self {
            Self::Hour => "%Y-%m-%dT%H%:z",
            Self::Day => "%Y-%m-%d",
            Self::Week => "%G-W%V",
            Self::Month => "%Y-%m",
            Self::Year => "%Y",
        }
    }

    /// The name of the bucket that `at` is in, such as `2026-W01` or `2026-10-25T02+02:00`.
    pub(crate) fn label(self, at: Timestamp, timezone: &TimeZone) -> String {
        at.to_zoned(timezone.clone()).strftime(self.format()).to_string()
    }
}

/// The buckets of one instant, computed once per image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Buckets {
    hour: i64,
    day: i64,
    week: i64,
    month: i64,
    year: i64,
}

impl Buckets {
    /// The buckets that `at` is in. The key of an hour carries the UTC offset, so that the hour which an autumn night
    /// repeats is two buckets.
    pub(crate) fn new(at: Timestamp, timezone: &TimeZone) -> Self {
        let offset = timezone.to_offset(at);
        let local = offset.to_datetime(at);
        let iso_week = local.date().iso_week_date();
        // Each factor is larger than what is added to it can be, so that no two buckets share a key.
        let year = i64::from(local.year());
        let month = year * 100 + i64::from(local.month());
        let day = month * 100 + i64::from(local.day());
        let hour = (day * 100 + i64::from(local.hour())) * 1_000_000 + i64::from(offset.seconds());
        let week = i64::from(iso_week.year()) * 100 + i64::from(iso_week.week());
        Self { hour, day, week, month, year }
    }

    pub(crate) fn key(&self, period: Period) -> i64 {
        match period {
            Period::Hour => self.hour,
            Period::Day => self.day,
            Period::Week => self.week,
            Period::Month => self.month,
            Period::Year => self.year,
        }
    }
}

/// The buckets that a walk from newest to oldest has met.
///
/// Keys almost always come in falling order, and are then compared with the last one only; the search is for the few
/// minutes in which local time runs backwards.
#[derive(Debug, Default)]
pub(crate) struct Met {
    falling: Vec<i64>,
}

impl Met {
    /// Adds a bucket; whether it is new.
    pub(crate) fn insert(&mut self, key: i64) -> bool {
        if self.falling.last().is_none_or(|last| key < *last) {
            self.falling.push(key);
            return true;
        }
        let at = self.falling.partition_point(|met| key < *met);
        let is_new = self.falling.get(at) != Some(&key);
        if is_new {
            self.falling.insert(at, key);
        }
        is_new
    }
}
