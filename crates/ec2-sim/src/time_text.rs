//! Times as EC2 writes them: UTC with milliseconds and a `Z`.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Such as `2026-11-05T02:00:00.000Z`.
pub(crate) fn wire_time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_milliseconds_even_when_they_are_zero() {
        assert_eq!(wire_time(Timestamp::from_millisecond(1_762_308_000_000).unwrap()), "2025-11-05T02:00:00.000Z");
        assert_eq!(wire_time(Timestamp::from_millisecond(1_762_308_000_007).unwrap()), "2025-11-05T02:00:00.007Z");
    }
}
