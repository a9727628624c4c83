//! What an operator may rely on, written as the nights and dates that prove it.

mod nights;
mod oracle;
mod syntax;

use jiff::{SignedDuration, Timestamp};

use super::*;

fn schedule(expression: &str, zone: &str) -> Schedule {
    Schedule::parse(expression, zone).unwrap_or_else(|error| panic!("{error}"))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The fires in a span, as their wall clock shows them, with the offset that tells the two passes of a fold apart.
fn fires(expression: &str, zone: &str, after: &str, until: &str) -> Vec<String> {
    let schedule = schedule(expression, zone);
    schedule
        .between(at(after), at(until))
        .map(|fire| fire.to_zoned(schedule.timezone().clone()).strftime("%m-%d %H:%M:%S%:z").to_string())
        .collect()
}

#[test]
fn an_occurrence_is_after_the_first_bound_and_not_after_the_second() {
    let nightly = schedule("0 2 * * *", "UTC");
    let (first, second) = (at("2026-06-01T02:00:00Z"), at("2026-06-02T02:00:00Z"));
    assert_eq!(nightly.between(first, second).collect::<Vec<_>>(), [second]);
    assert_eq!(nightly.latest_between(first, second), Some(second));
    assert_eq!(nightly.latest_between(second, at("2026-06-03T01:59:59.999999999Z")), None);
    assert_eq!(nightly.next_after(at("2026-06-01T01:59:59.999999999Z")), Some(first));
    assert_eq!(nightly.next_after(at("2026-06-01T02:00:00.000000001Z")), Some(second));
}

#[test]
fn a_fire_at_the_very_change_of_clocks_belongs_to_the_span_that_ends_there() {
    let (before, change) = (at("2026-03-29T00:00:00Z"), at("2026-03-29T01:00:00Z"));
    for expression in ["30 2 * * *", "0 3 * * *", "0 3-4 * * *", "*/30 3 * * *"] {
        let schedule = schedule(expression, "Europe/Berlin");
        assert_eq!(schedule.between(before, change).collect::<Vec<_>>(), [change], "{expression}");
        assert_eq!(schedule.latest_between(before, change), Some(change), "{expression}");
        assert_ne!(schedule.next_after(change), Some(change), "{expression}");
    }
}

#[test]
fn an_empty_or_backward_span_has_no_occurrences() {
    let minutely = schedule("* * * * *", "UTC");
    let (early, late) = (at("2026-06-01T00:00:00Z"), at("2026-06-02T00:00:00Z"));
    assert_eq!(minutely.between(late, early).count(), 0);
    assert_eq!(minutely.between(early, early).count(), 0);
    assert_eq!(minutely.latest_between(late, early), None);
    assert_eq!(minutely.summary(late, early), None);
    assert_eq!(minutely.summary(early, early), None);
}

#[test]
fn both_ends_of_time_are_answered() {
    let minutely = schedule("* * * * *", "Europe/Berlin");
    assert_eq!(minutely.next_after(Timestamp::MAX), None);
    assert_eq!(minutely.latest_between(Timestamp::MIN, Timestamp::MIN), None);
    assert!(minutely.next_after(Timestamp::UNIX_EPOCH) == Some(at("1970-01-01T00:01:00Z")));
    // Within the first seconds that a timestamp can hold there is no year that cron knows.
    assert!(minutely.between(Timestamp::MIN, Timestamp::MAX).next().is_some());
}

#[test]
fn day_of_month_and_weekday_are_alternatives_when_both_are_set() {
    let days = fires("0 0 13 * FRI", "UTC", "2027-08-01T00:00:00Z", "2027-08-31T23:00:00Z");
    let expected = ["08-06", "08-13", "08-20", "08-27"].map(|day| format!("{day} 00:00:00+00:00"));
    assert_eq!(days, expected);
    let days = fires("0 0 1,15 * 1", "UTC", "2026-05-31T00:00:00Z", "2026-06-30T23:00:00Z");
    let expected = ["06-01", "06-08", "06-15", "06-22", "06-29"].map(|day| format!("{day} 00:00:00+00:00"));
    assert_eq!(days, expected);
}

#[test]
fn a_step_over_days_counts_as_set() {
    // Every second day, and every Monday besides: the union, not Mondays with an odd date.
    let fires = fires("0 0 */2 * MON", "UTC", "2026-06-05T00:00:00Z", "2026-06-09T12:00:00Z");
    assert_eq!(fires, ["06-07 00:00:00+00:00", "06-08 00:00:00+00:00", "06-09 00:00:00+00:00"]);
}

#[test]
fn a_leap_day_schedule_fires_across_a_century_without_a_leap_year() {
    let leap_days = schedule("0 3 29 2 *", "Europe/Berlin");
    assert_eq!(leap_days.next_after(at("2026-01-01T00:00:00Z")), Some(at("2028-02-29T02:00:00Z")));
    assert_eq!(leap_days.next_after(at("2096-03-01T00:00:00Z")), Some(at("2104-02-29T02:00:00Z")));
    assert_eq!(
        leap_days.latest_between(at("2025-01-01T00:00:00Z"), at("2040-01-01T00:00:00Z")),
        Some(at("2036-02-29T02:00:00Z"))
    );
    let hours = schedule("0 * 29 2 *", "Europe/Berlin");
    assert_eq!(hours.next_after(at("2096-03-01T00:00:00Z")), Some(at("2104-02-28T23:00:00Z")));
}

#[test]
fn a_fifth_sunday_of_february_is_found_across_forty_years() {
    let rare = schedule("0 3 * 2 SUN#5", "UTC");
    assert_eq!(rare.next_after(at("2088-02-29T03:00:00Z")), Some(at("2128-02-29T03:00:00Z")));
    let before = rare.latest_between(at("2000-01-01T00:00:00Z"), at("2128-02-29T02:59:59Z"));
    assert_eq!(before, Some(at("2088-02-29T03:00:00Z")));
}

#[test]
fn seconds_are_a_leading_sixth_field() {
    let fires_in_a_minute = fires("*/20 30 2 * * *", "UTC", "2026-06-01T00:00:00Z", "2026-06-01T23:00:00Z");
    assert_eq!(fires_in_a_minute, ["06-01 02:30:00+00:00", "06-01 02:30:20+00:00", "06-01 02:30:40+00:00"]);
    let five = schedule("15 4 * * *", "UTC");
    let six = schedule("0 15 4 * * *", "UTC");
    let (after, until) = (at("2026-01-01T00:00:00Z"), at("2026-02-01T00:00:00Z"));
    assert!(five.between(after, until).eq(six.between(after, until)));
}

#[test]
fn a_month_of_seconds_is_summed_up_with_an_exact_end_and_a_bounded_count() {
    let secondly = schedule("* * * * * *", "Europe/Berlin");
    let due = secondly.summary(at("2026-10-01T00:00:00Z"), at("2026-10-31T23:59:59.5Z"));
    let expected = Due { first: at("2026-10-01T00:00:01Z"), latest: at("2026-10-31T23:59:59Z"), count: COUNT_MAX };
    assert_eq!(due, Some(expected));
}

#[test]
fn a_summary_agrees_with_the_occurrences_it_sums_up() {
    for expression in ["0 2 * * *", "*/30 * * * *", "30 2,14 * * *", "0 0 1 * *", "30 2 29 3 *"] {
        let schedule = schedule(expression, "Europe/Berlin");
        let mut after = at("2026-02-27T11:13:17Z");
        for hours in (1..120).chain([500, 1000, 5000]) {
            let until = after + SignedDuration::from_hours(hours);
            let all: Vec<Timestamp> = schedule.between(after, until).collect();
            let due = schedule.summary(after, until);
            assert_eq!(due.map(|due| due.first), all.first().copied(), "{expression} {after} {until}");
            assert_eq!(due.map(|due| due.latest), all.last().copied(), "{expression} {after} {until}");
            assert_eq!(due.map_or(0, |due| due.count), all.len() as u64, "{expression} {after} {until}");
            after += SignedDuration::from_hours(17);
        }
    }
}

#[test]
fn a_fingerprint_changes_with_expression_or_zone_and_with_nothing_else() {
    let base = schedule("0 2 * * MON", "Europe/Berlin");
    assert_eq!(base.fingerprint(), schedule("  0  2 *\t* mon ", "europe/berlin").fingerprint());
    assert_ne!(base.fingerprint(), schedule("0 3 * * MON", "Europe/Berlin").fingerprint());
    assert_ne!(base.fingerprint(), schedule("0 2 * * MON", "Europe/Paris").fingerprint());
    assert_eq!(base, schedule("0  2 * * MON", "Europe/Berlin"));
    assert_ne!(base, schedule("0 2 * * MON", "Europe/Paris"));
}

#[test]
fn only_names_that_mean_the_same_on_every_machine_are_zones() {
    for name in ["UTC", "Etc/UTC", "Europe/Berlin", "Asia/Kolkata"] {
        assert!(timezone(name).is_ok(), "{name}");
    }
    for name in
        ["", " ", "localtime", "posixrules", "right/Europe/Berlin", "Etc/Unknown", "+02:00", "CET-1CEST", "../UTC"]
    {
        assert_eq!(timezone(name), Err(ScheduleError::UnknownZone { name: name.to_owned() }), "{name:?}");
    }
    assert_eq!(
        Schedule::parse("0 2 * * *", "Europe/Berln").unwrap_err().to_string(),
        "`Europe/Berln` is not a time zone: an IANA name such as Europe/Berlin, or UTC, is expected"
    );
}

#[test]
fn every_name_that_is_suggested_is_accepted() {
    let names: Vec<String> = timezone_names().collect();
    assert!(names.len() > 400 && names.is_sorted(), "{}", names.len());
    assert!(names.iter().any(|name| name == "Australia/Lord_Howe"));
    let refused: Vec<&String> = names.iter().filter(|name| timezone(name).is_err()).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn a_schedule_is_told_as_it_was_written_with_single_spaces() {
    let schedule = schedule("  0\t2  * *   MON ", "europe/berlin");
    assert_eq!((schedule.expression(), schedule.timezone_name()), ("0 2 * * MON", "Europe/Berlin"));
    assert_eq!(format!("{schedule:?}"), "Schedule(0 2 * * MON Europe/Berlin)");
}
