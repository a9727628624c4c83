//! A second opinion: real time walked minute by minute, with its own reading of cron and of the wall clock.
//!
//! Nothing here is shared with the code under test but the time zone database. The rule is stated in another way, too:
//! the walk remembers the latest wall-clock minute it has seen, and a fixed time fires when the clock first shows it or
//! first shows something later.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{at, schedule};
use crate::schedule::Schedule;

const MINUTES_PER_DAY: usize = 24 * 60;
const ZONES: [&str; 5] = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Chatham", "UTC"];

/// Few enough fires to compare them over two years.
const SPARSE: [&str; 16] = [
    "0 2 * * *",
    "30 2,14 * * *",
    "0 2,3 * * *",
    "10-50/20 1-3 * * *",
    "45 1,2,3 * * 0",
    "0 3 13 * 5",
    "15 2 1,15 * 7",
    "30 2 29 2 *",
    "30 2 */2 * MON",
    "0 4 1 JAN,jul *",
    "5 22 * * mon-fri",
    "30 3 28-31 3,4,9,10 SUN",
    "30 */6 * * *",
    "45 2-4,*/8 * * *",
    "*/30 2 * * SAT-SUN",
    "*/20 1-3 1-7 * *",
];
/// Compared in the days around each change of clocks only: many fires, or little that the others do not show.
const DENSE: [&str; 8] =
    ["* * * * *", "*/7 * * * *", "* 2 * * *", "0-59 1-3 * * *", "30 2 * * *", "0 0 * * *", "59 23 31 * *", "0 * * * *"];

/// One expression of five fields, read without any help.
struct Reading {
    fixed: bool,
    time_of_day: Vec<bool>,
    fields: [Vec<bool>; 3],
    day_of_month_set: bool,
    weekday_set: bool,
}

impl Reading {
    fn of(expression: &str) -> Self {
        let texts: Vec<&str> = expression.split(' ').collect();
        let [minute, hour, day, month, weekday] = texts[..] else { panic!("{expression}") };
        let (minutes, hours) = (values(minute, 0, 59), values(hour, 0, 23));
        let mut weekdays = values(weekday, 0, 7);
        weekdays[0] |= weekdays[7];
        Self {
            fixed: !minute.contains('*') && !hour.contains('*'),
            time_of_day: (0..MINUTES_PER_DAY).map(|minute| hours[minute / 60] && minutes[minute % 60]).collect(),
            fields: [values(day, 1, 31), values(month, 1, 12), weekdays],
            day_of_month_set: day != "*",
            weekday_set: weekday != "*",
        }
    }

    fn names_day(&self, day: Date) -> bool {
        let index = |value: i8| usize::try_from(value).unwrap();
        let [days, months, weekdays] = &self.fields;
        let day_of_month = days[index(day.day())];
        let weekday = weekdays[index(day.weekday().to_sunday_zero_offset())];
        let either = match (self.day_of_month_set, self.weekday_set) {
            (true, true) => day_of_month || weekday,
            (true, false) => day_of_month,
            (false, _) => weekday,
        };
        months[index(day.month())] && either
    }
}

fn values(text: &str, min: usize, max: usize) -> Vec<bool> {
    const NAMES: [&str; 19] = [
        "sun", "mon", "tue", "wed", "thu", "fri", "sat", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep",
        "oct", "nov", "dec",
    ];
    let value = |text: &str| -> usize {
        match NAMES.iter().position(|name| *name == text.to_lowercase()) {
            Some(weekday) if weekday < 7 => weekday,
            Some(month) => month - 6,
            None => text.parse().unwrap(),
        }
    };
    let mut set = vec![false; max + 1];
    for item in text.split(',') {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (min, max),
            Some((first, last)) if last.eq_ignore_ascii_case("sun") => (value(first), 7),
            Some((first, last)) => (value(first), value(last)),
            None => (value(range), value(range)),
        };
        (first..=last).step_by(value(step)).for_each(|value| set[value] = true);
    }
    set
}

/// Every minute of a span of real time, with what the wall clock of a zone shows: minutes since the midnight before.
struct Walk {
    first_minute: i64,
    first_day: Date,
    civil: Vec<usize>,
}

impl Walk {
    fn of(zone: &TimeZone, from: Timestamp, until: Timestamp) -> Self {
        let (first_minute, last_minute) = (from.as_second().div_euclid(60), until.as_second().div_euclid(60));
        let first_day = zone.to_datetime(instant_of(first_minute)).date();
        let mut civil: Vec<usize> = Vec::new();
        for quarter in (first_minute..=last_minute).step_by(15) {
            let end = (quarter + 15).min(last_minute + 1);
            // No zone changes its offset twice in a quarter of an hour: where both ends agree, so does what is between.
            let constant = zone.to_offset(instant_of(quarter)) == zone.to_offset(instant_of(end));
            for minute in quarter..end {
                civil.push(match civil.last() {
                    Some(last) if constant && minute != quarter => last + 1,
                    _ => minutes_since(first_day, zone.to_datetime(instant_of(minute))),
                });
            }
        }
        Self { first_minute, first_day, civil }
    }

    /// Which of the minutes that the wall clock shows, or skips, an expression names.
    fn named(&self, reading: &Reading) -> Vec<bool> {
        let minutes = self.civil.iter().max().unwrap() + 1;
        let mut named = Vec::with_capacity(minutes + MINUTES_PER_DAY);
        let mut day = self.first_day;
        while named.len() < minutes {
            if reading.names_day(day) {
                named.extend_from_slice(&reading.time_of_day);
            } else {
                named.resize(named.len() + MINUTES_PER_DAY, false);
            }
            day = day.tomorrow().unwrap();
        }
        named
    }

    /// The fires of an expression in this span, but for its first minute.
    fn fires(&self, reading: &Reading) -> Vec<Timestamp> {
        let named = self.named(reading);
        let mut fires = Vec::new();
        let (mut minute, mut seen) = (self.first_minute, self.civil[0]);
        for &civil in &self.civil[1..] {
            minute += 1;
            let fires_now = if reading.fixed && civil != seen + 1 {
                // The clock was changed: forward past some minutes, or back to what it showed before.
                (seen + 1..=civil).any(|skipped| named[skipped])
            } else {
                named[civil]
            };
            seen = seen.max(civil);
            if fires_now {
                fires.push(instant_of(minute));
            }
        }
        fires
    }
}

fn instant_of(minute: i64) -> Timestamp {
    Timestamp::from_second(minute * 60).unwrap()
}

fn minutes_since(day: Date, shown: DateTime) -> usize {
    let days = usize::try_from((shown.date() - day).get_days()).unwrap();
    let minute = usize::try_from(i32::from(shown.hour()) * 60 + i32::from(shown.minute())).unwrap();
    days * MINUTES_PER_DAY + minute
}

/// Compares every question that a schedule answers with the fires that the walk found.
fn assert_same(schedule: &Schedule, expected: &[Timestamp], from: Timestamp, until: Timestamp) {
    let found: Vec<Timestamp> = schedule.between(from, until).collect();
    let difference = found.iter().zip(expected).find(|(found, expected)| found != expected);
    assert_eq!(difference, None, "{schedule:?} from {from}");
    assert_eq!(found.len(), expected.len(), "{schedule:?} from {from}");
    assert_eq!(
        schedule.latest_between(from, until),
        expected.last().copied(),
        "{schedule:?} from {from} until {until}"
    );
}

/// Puts the cursor of a planner everywhere in the hours around a change of clocks.
fn assert_same_from_every_start(schedule: &Schedule, expected: &[Timestamp], from: Timestamp, change: Timestamp) {
    let mut cursor = change - SignedDuration::from_hours(4);
    while cursor < change + SignedDuration::from_hours(4) {
        let passed = expected.partition_point(|fire| *fire <= cursor);
        if let Some(next) = expected.get(passed) {
            assert_eq!(schedule.next_after(cursor), Some(*next), "{schedule:?} after {cursor}");
        }
        let latest = passed.checked_sub(1).map(|index| expected[index]);
        assert_eq!(schedule.latest_between(from, cursor), latest, "{schedule:?} latest at {cursor}");
        cursor += SignedDuration::from_secs(7 * 60 + 30);
    }
}

/// The instants at which a zone changes its clocks in 2026 and 2027.
fn changes(zone: &TimeZone) -> Vec<Timestamp> {
    let until = at("2028-01-01T00:00:00Z");
    zone.following(at("2026-01-01T00:00:00Z")).map(|change| change.timestamp()).take_while(|at| *at < until).collect()
}

fn scan_two_years(zone_name: &str) {
    let zone = TimeZone::get(zone_name).unwrap();
    let (from, until) = (at("2025-12-31T00:00:00Z"), at("2028-01-02T00:00:00Z"));
    let walk = Walk::of(&zone, from, until);
    for expression in SPARSE {
        assert_same(&schedule(expression, zone_name), &walk.fires(&Reading::of(expression)), from, until);
    }
}

fn scan_changes(zone_name: &str) {
    let zone = TimeZone::get(zone_name).unwrap();
    let changes = changes(&zone);
    assert_eq!(changes.len(), if zone_name == "UTC" { 0 } else { 4 }, "{zone_name}");
    for change in changes {
        let (from, until) = (change - SignedDuration::from_hours(26), change + SignedDuration::from_hours(26));
        let walk = Walk::of(&zone, from, until);
        for expression in SPARSE.into_iter().chain(DENSE) {
            let schedule = schedule(expression, zone_name);
            let expected = walk.fires(&Reading::of(expression));
            assert_same(&schedule, &expected, from, until);
            assert_same_from_every_start(&schedule, &expected, from, change);
        }
    }
}

#[test]
fn berlin_agrees_with_a_walk_through_two_years() {
    scan_two_years(ZONES[0]);
}

#[test]
fn new_york_agrees_with_a_walk_through_two_years() {
    scan_two_years(ZONES[1]);
}

#[test]
fn lord_howe_agrees_with_a_walk_through_two_years() {
    scan_two_years(ZONES[2]);
}

#[test]
fn chatham_agrees_with_a_walk_through_two_years() {
    scan_two_years(ZONES[3]);
}

#[test]
fn utc_agrees_with_a_walk_through_two_years() {
    scan_two_years(ZONES[4]);
}

#[test]
fn every_start_around_every_change_of_clocks_agrees_with_the_walk() {
    ZONES.into_iter().for_each(scan_changes);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any zone, around any change of its clocks since 1990, from any minute.
    #[test]
    fn any_change_of_any_zone_agrees_with_the_walk(
        zone in proptest::sample::select(crate::schedule::timezone_names().collect::<Vec<_>>()),
        year in 1990_i64..2040,
        expression in proptest::sample::select(SPARSE.into_iter().chain(DENSE).collect::<Vec<_>>()),
        lead_minutes in 1_i64..2000,
    ) {
        let timezone = TimeZone::get(&zone).unwrap();
        let start = Timestamp::from_second((year - 1970) * 365 * 86_400).unwrap();
        let change = timezone.following(start).next().map_or(start, |change| change.timestamp());
        let from = change - SignedDuration::from_mins(lead_minutes);
        let until = change + SignedDuration::from_hours(40);
        let expected = Walk::of(&timezone, from, until).fires(&Reading::of(expression));
        assert_same(&schedule(expression, &zone), &expected, from, until);
    }
}
