//! The retention planner alone: what `simulate` shows.

use amikeep_domain::retention::{Candidate, Keep, Planned, plan_series};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::image::Reason;
use crate::table::{Cell, Column, Fit, Table, Tone};
use crate::text::Time;

/// One time of the input, and what would become of an image that was taken then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SimulatedImage {
    /// The time.
    pub time: Time,
    /// `keep` or `delete`.
    pub verdict: &'static str,
    /// The rules that keep it.
    pub reasons: Vec<Reason>,
}

/// Why an input is none.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTimes {
    /// It is not JSON, or not an array of texts.
    #[error("not a JSON array of RFC 3339 times, such as [\"2026-11-22T01:00:00Z\"]: {0}")]
    NotAnArray(serde_json::Error),
    /// One of the texts is no time.
    #[error("`{text}` is not a time as RFC 3339 has it: {error}")]
    NotATime {
        /// The text.
        text: String,
        /// What is wrong with it.
        error: jiff::Error,
    },
}

/// Reads the input: a JSON array of RFC 3339 times.
pub fn times(text: &str) -> Result<Vec<Timestamp>, InvalidTimes> {
    let texts: Vec<String> = serde_json::from_str(text).map_err(InvalidTimes::NotAnArray)?;
    texts.into_iter().map(|text| text.parse().map_err(|error| InvalidTimes::NotATime { text, error })).collect()
}

/// Asks the rules about images of these times, newest first. The newest stands for now, so none is from the future.
pub fn simulate(times: &[Timestamp], keep: &Keep, timezone: &TimeZone) -> Vec<SimulatedImage> {
    let Some(newest) = times.iter().max() else { return Vec::new() };
    let candidates: Vec<_> = times.iter().enumerate().map(|(id, at)| Candidate { id, captured_at: *at }).collect();
    let view = |image: Planned<usize>| SimulatedImage {
        time: Time(image.captured_at),
        verdict: image.verdict.as_str(),
        reasons: image.verdict.reasons().iter().map(Reason::from).collect(),
    };
    plan_series(&candidates, keep, timezone, *newest).into_iter().map(view).collect()
}

/// A list of simulated images.
pub fn table(images: &[SimulatedImage]) -> Table {
    let columns =
        vec![Column::new("TIME", Fit::Whole), Column::new("VERDICT", Fit::Whole), Column::new("KEPT BY", Fit::Wraps)];
    let row = |image: &SimulatedImage| {
        let tone = if image.verdict == "keep" { Tone::Good } else { Tone::Warning };
        let reasons: Vec<_> = image.reasons.iter().map(ToString::to_string).collect();
        vec![Cell::plain(image.time.to_string()), Cell::new(image.verdict, tone), Cell::plain(reasons.join("; "))]
    };
    Table { columns, rows: images.iter().map(row).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_time_is_now_and_comes_first() {
        let times: Vec<Timestamp> = ["2126-11-21T01:00:00Z", "2126-11-22T01:00:00Z", "2126-11-20T01:00:00Z"]
            .map(|text| text.parse().unwrap())
            .to_vec();
        let images = simulate(&times, &"last=1,daily=2".parse().unwrap(), &TimeZone::UTC);
        let seen: Vec<_> = images.iter().map(|it| (it.time.to_string(), it.verdict)).collect();
        assert_eq!(
            seen,
            [
                ("2126-11-22T01:00:00Z".to_owned(), "keep"),
                ("2126-11-21T01:00:00Z".to_owned(), "keep"),
                ("2126-11-20T01:00:00Z".to_owned(), "delete"),
            ]
        );
        assert_eq!(
            serde_json::to_value(&images[0]).unwrap()["reasons"],
            serde_json::json!([
                {"rule": "last", "rank": 1, "of": 1, "bucket": null, "kept_as": "newest"},
                {"rule": "daily", "rank": 1, "of": 2, "bucket": "2126-11-22", "kept_as": "newest"},
            ])
        );
    }

    #[test]
    fn times_are_a_json_array_of_rfc_3339() {
        assert_eq!(times("[]").unwrap(), []);
        assert_eq!(times(r#"["2026-11-22T02:00:00+01:00"]"#).unwrap(), ["2026-11-22T01:00:00Z".parse().unwrap()]);
        for bad in ["", "{}", "[1]", r#"["2026-11-22"]"#] {
            assert!(times(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_in_gives_nothing_out() {
        assert_eq!(simulate(&[], &"last=1".parse().unwrap(), &TimeZone::UTC), []);
    }
}
