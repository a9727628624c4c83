//! Durations as text: one number and one unit.

use amikeep_domain::retention::Within;
use jiff::SignedDuration;
use serde_json::{Value as Json, json};

use crate::value::{Refusal, Text};

pub(crate) const MINUTE: i64 = 60;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// The units in seconds, the largest first.
const UNITS: [(char, i64); 4] = [('d', DAY), ('h', HOUR), ('m', MINUTE), ('s', 1)];

const ALLOWED: &str = "a whole number and one of s, m, h, d, such as 90s, 15m, 6h or 7d";

/// A duration from `MIN` to `MAX` seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span<const MIN: i64, const MAX: i64>(pub(crate) SignedDuration);

impl<const MIN: i64, const MAX: i64> Text for Span<MIN, MAX> {
    const EXPECTED: &'static str = "a duration such as \"15m\"";

    fn constraints() -> Json {
        json!({ "pattern": "^[0-9]+[smhd]$" })
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let secs = seconds(text)?;
        if (MIN..=MAX).contains(&secs) {
            return Ok(Self(SignedDuration::from_secs(secs)));
        }
        let problem = if secs < MIN { "short" } else { "long" };
        Err(Refusal::new(format!("`{text}` is too {problem}")).allow(format!("{} to {}", in_words(MIN), in_words(MAX))))
    }
}

impl Text for Within {
    const EXPECTED: &'static str = "a duration such as \"30d\"";

    fn constraints() -> Json {
        json!({ "pattern": "^0*[1-9][0-9]*[smhd]$" })
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let duration = SignedDuration::from_secs(seconds(text)?);
        Self::new(duration).map_err(|_| Refusal::new(format!("`{text}` is too short")).allow("at least 1s"))
    }
}

fn seconds(text: &str) -> Result<i64, Refusal> {
    let refused = || Refusal::new(format!("`{text}` is not a duration")).allow(ALLOWED);
    let n_digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at(n_digits);
    let size = UNITS.into_iter().find(|(name, _)| unit.strip_prefix(*name) == Some("")).map(|(_, size)| size);
    match (digits.parse::<i64>(), size) {
        (Ok(number), Some(size)) => number.checked_mul(size).ok_or_else(refused),
        (Ok(number), None) => Err(refused().suggest(rewrite(number, unit))),
        (Err(_), _) => Err(refused()),
    }
}

/// What to write instead of units that others accept.
fn rewrite(number: i64, unit: &str) -> Option<String> {
    if unit.is_empty() {
        return Some(format!("say of what: `{number}s`, `{number}m`, `{number}h` or `{number}d`"));
    }
    if unit.bytes().any(|b| b.is_ascii_digit()) {
        return Some("write it as one whole number and one unit, such as `90m`".to_owned());
    }
    let word = unit.trim().to_ascii_lowercase();
    let days = match word.as_str() {
        "w" | "week" | "weeks" => number.checked_mul(7)?,
        _ => {
            let (name, _) = UNITS.into_iter().find(|(name, _)| word.starts_with(*name))?;
            return (word != "mo" && !word.starts_with("mon")).then(|| format!("did you mean `{number}{name}`?"));
        }
    };
    Some(format!("write it in days: `{days}d`"))
}

/// A number of seconds in its largest whole unit.
fn in_words(secs: i64) -> String {
    let (name, size) = UNITS.into_iter().find(|(_, size)| 0 < secs && secs % size == 0).unwrap_or(('s', 1));
    format!("{}{name}", secs / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    type AnySpan = Span<0, { 365 * DAY }>;

    #[test]
    fn a_duration_is_one_number_and_one_unit() {
        for (text, secs) in [("90s", 90), ("15m", 900), ("6h", 21_600), ("7d", 604_800), ("0s", 0), ("007d", 604_800)] {
            assert_eq!(AnySpan::parse(text).map(|it| it.0), Ok(SignedDuration::from_secs(secs)), "{text}");
        }
    }

    #[test]
    fn what_others_accept_is_refused_with_what_to_write() {
        for (text, want) in [
            ("1h30m", Some("write it as one whole number and one unit, such as `90m`")),
            ("2w", Some("write it in days: `14d`")),
            ("90", Some("say of what: `90s`, `90m`, `90h` or `90d`")),
            ("5min", Some("did you mean `5m`?")),
            ("5 m", Some("did you mean `5m`?")),
            ("3 Days", Some("did you mean `3d`?")),
            ("1mo", None),
            ("3months", None),
            ("1.5h", Some("write it as one whole number and one unit, such as `90m`")),
            ("-5m", None),
            ("", None),
            ("m", None),
            ("5µs", None),
            ("99999999999999999999s", None),
            ("9223372036854775807d", None),
        ] {
            let refusal = AnySpan::parse(text).unwrap_err();
            assert_eq!(refusal.suggestion.as_deref(), want, "{text}");
            assert_eq!(refusal.allowed.as_deref(), Some(ALLOWED), "{text}");
        }
    }

    #[test]
    fn a_range_is_told_in_the_words_of_the_file() {
        let refusal = Span::<1, HOUR>::parse("2h").unwrap_err();
        assert_eq!((refusal.message.as_str(), refusal.allowed.as_deref()), ("`2h` is too long", Some("1s to 1h")));
        assert_eq!(Span::<1, HOUR>::parse("0s").unwrap_err().message, "`0s` is too short");
        assert_eq!(AnySpan::parse("366d").unwrap_err().allowed.as_deref(), Some("0s to 365d"));
    }
}
