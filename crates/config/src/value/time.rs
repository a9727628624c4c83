//! When: cron expressions, time zones, weekdays and times of day.

use amikeep_domain::class::weekday_name;
use amikeep_domain::schedule::{self, Schedule, ScheduleError};
use jiff::civil::{Time, Weekday};
use serde_json::{Value as Json, json};

use crate::suggest;
use crate::value::{Refusal, Text};

/// A zone that every machine has; for checking an expression before its own zone is known to be right.
pub(crate) const UTC: &str = "UTC";

/// A cron expression that fires sooner or later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cron(pub(crate) String);

impl Text for Cron {
    const EXPECTED: &'static str = "a cron expression";

    fn constraints() -> Json {
        json!({ "examples": ["0 2 * * *", "*/30 * * * *", "@daily"] })
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        Schedule::parse(text, UTC).map(|_| Self(text.to_owned())).map_err(Refusal::from)
    }
}

/// The name of an IANA time zone that this machine knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Zone(pub(crate) String);

impl Text for Zone {
    const EXPECTED: &'static str = "a time zone";

    fn constraints() -> Json {
        json!({ "examples": ["UTC", "Europe/Berlin"] })
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        schedule::timezone(text).map(|_| Self(text.to_owned())).map_err(|error| {
            let meant = suggest::nearest_zone(text, schedule::timezone_names());
            Refusal::from(error).suggest(suggest::did_you_mean(meant))
        })
    }
}

/// The messages of the domain say what is allowed.
impl From<ScheduleError> for Refusal {
    fn from(error: ScheduleError) -> Self {
        Self::new(error.to_string())
    }
}

const DAYS: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];

/// Days of the week, Monday first, each once: `"Sat,Sun"`, `"Mon-Fri"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Days(pub(crate) Vec<Weekday>);

impl Text for Days {
    const EXPECTED: &'static str = "days such as \"Sat,Sun\"";

    fn constraints() -> Json {
        let day = "(Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
        json!({ "pattern": format!("^{day}(-{day})?( *, *{day}(-{day})?)*$") })
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let mut named = Vec::new();
        for part in text.split(',') {
            let days = match part.split_once('-') {
                Some((first, last)) => days_between(day(first)?, day(last)?),
                None => vec![day(part)?],
            };
            if let Some(twice) = days.iter().find(|day| named.contains(*day)) {
                return Err(Refusal::new(format!("`{text}` names {} twice", weekday_name(*twice))));
            }
            named.extend(days);
        }
        Ok(Self(DAYS.into_iter().filter(|day| named.contains(day)).collect()))
    }
}

fn day(name: &str) -> Result<Weekday, Refusal> {
    let name = name.trim();
    DAYS.into_iter().find(|day| weekday_name(*day).eq_ignore_ascii_case(name)).ok_or_else(|| {
        let meant = DAYS
            .map(weekday_name)
            .into_iter()
            .find(|day| name.get(..day.len()).is_some_and(|start| start.eq_ignore_ascii_case(day)));
        Refusal::new(format!("`{name}` is not a day of the week"))
            .allow(format!("{}, with commas, or a range such as Mon-Fri", DAYS.map(weekday_name).join(", ")))
            .suggest(suggest::did_you_mean(meant))
    })
}

/// From the first to the last, past Sunday if need be.
fn days_between(first: Weekday, last: Weekday) -> Vec<Weekday> {
    let mut days = vec![first];
    let mut day = first;
    while day != last {
        day = day.next();
        days.push(day);
    }
    days
}

/// A time of day, `HH:MM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClockTime(pub(crate) Time);

impl Text for ClockTime {
    const EXPECTED: &'static str = "a time such as \"01:30\"";

    fn constraints() -> Json {
        json!({ "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$" })
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let parsed = match text.as_bytes() {
            [h1, h2, b':', m1, m2] => two_digits(*h1, *h2).zip(two_digits(*m1, *m2)),
            _ => None,
        };
        let time = parsed.and_then(|(hour, minute)| Time::new(hour, minute, 0, 0).ok());
        time.map(Self).ok_or_else(|| {
            let midnight = (text == "24:00").then(|| "write midnight as `00:00`".to_owned());
            Refusal::new(format!("`{text}` is not a time of day")).allow("00:00 to 23:59, as HH:MM").suggest(midnight)
        })
    }
}

fn two_digits(tens: u8, ones: u8) -> Option<i8> {
    if !tens.is_ascii_digit() || !ones.is_ascii_digit() {
        return None;
    }
    i8::try_from((tens - b'0') * 10 + (ones - b'0')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_names_and_ranges_each_once() {
        let names = |text: &str| {
            Days::parse(text).map(|days| days.0.into_iter().map(weekday_name).collect::<Vec<_>>().join(" "))
        };
        for (text, want) in [
            ("Sat,Sun", "Sat Sun"),
            ("Sun, sat", "Sat Sun"),
            ("Mon-Fri", "Mon Tue Wed Thu Fri"),
            ("Fri-Mon", "Mon Fri Sat Sun"),
            ("Wed", "Wed"),
            ("Mon-Mon", "Mon"),
            ("Mon-Sun", "Mon Tue Wed Thu Fri Sat Sun"),
        ] {
            assert_eq!(names(text), Ok(want.to_owned()), "{text}");
        }
        for text in ["", "Sat,", "Sat Sun", "Mon-", "Mon-Fri-Sun", "Sat,Sat-Sun", "8", "weekend"] {
            assert!(names(text).is_err(), "{text}");
        }
        assert_eq!(names("Saturday").unwrap_err().suggestion.as_deref(), Some("did you mean `Sat`?"));
    }

    #[test]
    fn a_time_of_day_has_two_digits_twice() {
        assert_eq!(ClockTime::parse("23:59"), Ok(ClockTime(Time::constant(23, 59, 0, 0))));
        for text in ["24:00", "1:00", "01:60", "0100", "01:00:00", "", "ab:cd", "+1:00"] {
            assert!(ClockTime::parse(text).is_err(), "{text}");
        }
    }
}
