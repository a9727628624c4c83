//! Times as EC2 writes them: UTC with milliseconds and a `Z` in bodies, and HTTP's own form in the `Date` header.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Such as `2026-11-05T02:00:00.000Z`.
pub(crate) fn wire_time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Such as `Thu, 05 Nov 2026 02:00:00 GMT`.
pub(crate) fn http_date(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_header_is_in_english_and_in_whole_seconds() {
        let at = Timestamp::from_millisecond(1_762_308_005_999).unwrap();
        assert_eq!(http_date(at), "Wed, 05 Nov 2025 02:00:05 GMT");
    }

    #[test]
    fn a_time_has_milliseconds_even_when_they_are_zero() {
        assert_eq!(wire_time(Timestamp::from_millisecond(1_762_308_000_000).unwrap()), "2025-11-05T02:00:00.000Z");
        assert_eq!(wire_time(Timestamp::from_millisecond(1_762_308_000_007).unwrap()), "2025-11-05T02:00:00.007Z");
    }
}
