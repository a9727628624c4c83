//! Times on the command line: an instant, a date, or a span from now.
//!
//! What carries no offset is UTC, as everything amikeep prints. A span looks back in `history` and ahead in `plan`; the
//! command says which.

use std::str::FromStr;

use amikeep_domain::policy::saturating_add;
use amikeep_domain::retention::Within;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A time as it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeArg {
    /// At this instant.
    At(Timestamp),
    /// So long from now, into the past or into the future.
    Span(SignedDuration),
}

impl TimeArg {
    /// The instant, if a span means so long ago.
    pub(crate) fn ago(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Span(span) => saturating_add(now, -span),
        }
    }

    /// The instant, if a span means so long from now.
    pub(crate) fn ahead(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Span(span) => saturating_add(now, span),
        }
    }
}

/// A text that is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("neither RFC 3339 (2026-11-22T01:00:00Z), nor a date (2026-11-22), nor a span (24h, 7d; units are s, m, h, d)")]
pub(crate) struct InvalidTime;

impl FromStr for TimeArg {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self::At(at));
        }
        if let Ok(span) = text.parse::<Within>() {
            return Ok(Self::Span(span.duration()));
        }
        // What has an offset is an instant or nothing: a civil time would drop the offset without a word.
        let has_offset = text.split_once(['T', 't', ' ']).is_some_and(|(_, time)| time.contains(['+', '-', 'Z', 'z']));
        let civil = text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(DateTime::from));
        let civil = civil.ok().filter(|_| !has_offset).ok_or(InvalidTime)?;
        TimeZone::UTC.to_timestamp(civil).map(Self::At).map_err(|_| InvalidTime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, want) in [
            ("2026-11-22T01:00:00Z", "2026-11-22T01:00:00Z"),
            ("2026-11-22T02:00:00+01:00", "2026-11-22T01:00:00Z"),
            ("2026-11-22", "2026-11-22T00:00:00Z"),
            ("2026-11-22T01:30", "2026-11-22T01:30:00Z"),
            ("2026-11-22 01:30:15", "2026-11-22T01:30:15Z"),
        ] {
            assert_eq!(text.parse::<TimeArg>(), Ok(TimeArg::At(at(want))), "{text}");
        }
        for bad in ["", "24", "-24h", "yesterday", "2026-13-01", "0h", "2026-11-22T25:00", "2026-11-22T01:00+1"] {
            assert_eq!(bad.parse::<TimeArg>(), Err(InvalidTime), "{bad}");
        }
    }

    #[test]
    fn a_span_looks_back_or_ahead() {
        let day: TimeArg = "1d".parse().unwrap();
        let now = at("2026-11-22T12:00:00Z");
        assert_eq!(day.ago(now), at("2026-11-21T12:00:00Z"));
        assert_eq!(day.ahead(now), at("2026-11-23T12:00:00Z"));
    }
}
