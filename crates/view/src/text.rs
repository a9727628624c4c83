//! How times and durations are written: RFC 3339 in UTC for programs, to the minute or second for people.

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::{Serialize, Serializer};

/// A time in JSON: RFC 3339, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}

/// To the minute, as in `2026-11-22 01:00`, in UTC.
pub fn minute(at: Timestamp) -> String {
    format(at, "%Y-%m-%d %H:%M")
}

/// To the second, as in `2026-11-22 01:00:07`, in UTC.
pub(crate) fn second(at: Timestamp) -> String {
    format(at, "%Y-%m-%d %H:%M:%S")
}

/// How exact the times of one table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precision {
    Minute,
    Second,
}

impl Precision {
    /// Seconds if any of the times has some: two fires of one minute must not look the same.
    pub(crate) fn of(times: impl IntoIterator<Item = Timestamp>) -> Self {
        let has_seconds = |at: Timestamp| at.as_second() % 60 != 0;
        if times.into_iter().any(has_seconds) { Self::Second } else { Self::Minute }
    }

    /// A time, in UTC.
    pub(crate) fn write(self, at: Timestamp) -> String {
        match self {
            Self::Minute => minute(at),
            Self::Second => second(at),
        }
    }
}

/// On the wall clock of a zone, with its offset then: RFC 3339.
pub(crate) fn local(at: Timestamp, timezone: &TimeZone) -> String {
    at.to_zoned(timezone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

fn format(at: Timestamp, format: &str) -> String {
    TimeZone::UTC.to_datetime(at).strftime(format).to_string()
}

/// As the configuration writes durations: a whole number of the largest unit that fits.
pub(crate) fn duration(duration: SignedDuration) -> String {
    const UNITS: [(i64, &str); 3] = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let secs = duration.as_secs();
    let fits = |(size, _): &(i64, &str)| secs != 0 && secs % size == 0;
    let (size, unit) = UNITS.into_iter().find(fits).unwrap_or((1, "s"));
    format!("{}{unit}", secs / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_the_configuration_writes_them() {
        for (secs, want) in [(0, "0s"), (90, "90s"), (600, "10m"), (5_400, "90m"), (21_600, "6h"), (604_800, "7d")] {
            assert_eq!(duration(SignedDuration::from_secs(secs)), want);
        }
    }

    #[test]
    fn seconds_are_shown_as_soon_as_one_time_has_some() {
        let times = ["2026-11-22T01:00:00.900Z", "2026-11-22T01:00:30Z"].map(|at| at.parse::<Timestamp>().unwrap());
        assert_eq!(Precision::of(times[..1].to_vec()).write(times[0]), "2026-11-22 01:00");
        assert_eq!(Precision::of(times).write(times[0]), "2026-11-22 01:00:00");
    }

    #[test]
    fn json_times_are_utc() {
        let at: Timestamp = "2026-11-22T02:00:00.250+01:00".parse().unwrap();
        assert_eq!(serde_json::to_string(&Time(at)).unwrap(), r#""2026-11-22T01:00:00.25Z""#);
    }
}
