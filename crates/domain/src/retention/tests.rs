//! The edges of retention, each as a table that can be read against a calendar. The laws are in `laws`.
#![expect(clippy::needless_raw_string_hashes, reason = "`UPDATE_EXPECT=1` writes the tables so")]

mod guards;
mod laws;

use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::*;

const LONG_AFTER: &str = "2030-01-01T00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

/// Candidates whose ids are their places in `times`.
fn series(times: &[&str]) -> Vec<Candidate<usize>> {
    times.iter().enumerate().map(|(id, time)| Candidate { id, captured_at: at(time) }).collect()
}

fn render(planned: &[Planned<usize>]) -> String {
    lines(planned.iter().map(|image| format!("#{} {} {}", image.id, image.captured_at, render_verdict(image))))
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line + "\n").collect()
}

fn render_verdict(image: &Planned<usize>) -> String {
    let why: Vec<_> = match &image.verdict {
        Verdict::Keep(reasons) => reasons.iter().map(ToString::to_string).collect(),
        Verdict::Delete(reason) => vec![reason.to_string()],
        Verdict::Held(guards) => guards.iter().map(ToString::to_string).collect(),
    };
    format!("{}: {}", image.verdict.as_str(), why.join(" + "))
}

fn check(times: &[&str], keep: &str, timezone: &str, expected: &Expect) {
    let planned = plan_series(&series(times), &keep.parse().unwrap(), &zone(timezone), at(LONG_AFTER));
    expected.assert_eq(&render(&planned));
}

#[test]
fn every_rule_that_keeps_an_image_is_listed_with_rank_and_bucket() {
    check(
        &["2026-06-02T02:00Z", "2026-06-01T02:00Z", "2026-05-31T02:00Z", "2026-05-30T02:00Z", "2026-05-29T02:00Z"],
        "last=1,hourly=1,daily=2,weekly=3,monthly=12,yearly=1,within=24h,within_monthly=2d",
        "UTC",
        &expect![[r#"
            #0 2026-06-02T02:00:00Z keep: last 1/1 + hourly 1/1, 2026-06-02T02+00:00 + daily 1/2, 2026-06-02 + weekly 1/3, 2026-W23 + monthly 1/12, 2026-06 + yearly 1/1, 2026 + within 1 + within_monthly 1, 2026-06
            #1 2026-06-01T02:00:00Z keep: daily 2/2, 2026-06-01 + within 2
            #2 2026-05-31T02:00:00Z keep: weekly 2/3, 2026-W22 + monthly 2/12, 2026-05 + within_monthly 2, 2026-05
            #3 2026-05-30T02:00:00Z delete: no rule keeps it
            #4 2026-05-29T02:00:00Z keep: weekly 3/3, 2026-W22, oldest + monthly 3/12, 2026-05, oldest
        "#]],
    );
}

#[test]
fn a_bucket_begins_at_midnight_of_the_policys_zone() {
    // Midnight in Berlin is 22:00 UTC in summer: the second image is the last of 9 June, the first is of 10 June.
    check(
        &["2026-06-09T22:00:00Z", "2026-06-09T21:59:59.999Z", "2026-06-09T00:00:00Z"],
        "daily=2",
        "Europe/Berlin",
        &expect![[r#"
            #0 2026-06-09T22:00:00Z keep: daily 1/2, 2026-06-10
            #1 2026-06-09T21:59:59.999Z keep: daily 2/2, 2026-06-09
            #2 2026-06-09T00:00:00Z delete: no rule keeps it
        "#]],
    );
}

#[test]
fn the_same_images_fall_into_other_days_in_another_zone() {
    // In Tokyo, nine hours ahead, the first image is of 10 June already.
    let times = ["2026-06-09T16:00Z", "2026-06-09T14:00Z", "2026-06-09T10:00Z"];
    check(
        &times,
        "daily=2",
        "UTC",
        &expect![[r#"
        #0 2026-06-09T16:00:00Z keep: daily 1/2, 2026-06-09
        #1 2026-06-09T14:00:00Z delete: no rule keeps it
        #2 2026-06-09T10:00:00Z keep: daily 2/2, 2026-06-09, oldest
    "#]],
    );
    check(
        &times,
        "daily=2",
        "Asia/Tokyo",
        &expect![[r#"
        #0 2026-06-09T16:00:00Z keep: daily 1/2, 2026-06-10
        #1 2026-06-09T14:00:00Z keep: daily 2/2, 2026-06-09
        #2 2026-06-09T10:00:00Z delete: no rule keeps it
    "#]],
    );
}

#[test]
fn a_week_is_the_iso_week_with_the_iso_year() {
    // 2026 has a week 53, which ends on Sunday 3 January 2027: the old and the new year share it.
    check(
        &["2027-01-04T12:00Z", "2027-01-03T12:00Z", "2027-01-01T12:00Z", "2026-12-31T12:00Z", "2026-12-27T12:00Z"],
        "weekly=-1",
        "UTC",
        &expect![[r#"
            #0 2027-01-04T12:00:00Z keep: weekly 1, 2027-W01
            #1 2027-01-03T12:00:00Z keep: weekly 2, 2026-W53
            #2 2027-01-01T12:00:00Z delete: no rule keeps it
            #3 2026-12-31T12:00:00Z delete: no rule keeps it
            #4 2026-12-27T12:00:00Z keep: weekly 3, 2026-W52
        "#]],
    );
    // Monday 29 December 2025 is in week 1 of 2026.
    check(
        &["2026-01-01T12:00Z", "2025-12-29T12:00Z", "2025-12-28T12:00Z"],
        "weekly=2",
        "UTC",
        &expect![[r#"
        #0 2026-01-01T12:00:00Z keep: weekly 1/2, 2026-W01
        #1 2025-12-29T12:00:00Z delete: no rule keeps it
        #2 2025-12-28T12:00:00Z keep: weekly 2/2, 2025-W52
    "#]],
    );
}

#[test]
fn a_year_ends_in_the_policys_zone_whatever_the_week_says() {
    check(
        &["2026-12-31T23:00Z", "2026-12-31T22:59:59Z", "2026-01-01T00:00Z"],
        "yearly=2",
        "Europe/Berlin",
        &expect![[r#"
            #0 2026-12-31T23:00:00Z keep: yearly 1/2, 2027
            #1 2026-12-31T22:59:59Z keep: yearly 2/2, 2026
            #2 2026-01-01T00:00:00Z delete: no rule keeps it
        "#]],
    );
}

#[test]
fn the_repeated_hour_of_an_autumn_night_is_two_buckets() {
    check(
        &["2026-10-25T01:50Z", "2026-10-25T01:10Z", "2026-10-25T00:50Z", "2026-10-25T00:10Z", "2026-10-24T23:30Z"],
        "hourly=3",
        "Europe/Berlin",
        &expect![[r#"
            #0 2026-10-25T01:50:00Z keep: hourly 1/3, 2026-10-25T02+01:00
            #1 2026-10-25T01:10:00Z delete: no rule keeps it
            #2 2026-10-25T00:50:00Z keep: hourly 2/3, 2026-10-25T02+02:00
            #3 2026-10-25T00:10:00Z delete: no rule keeps it
            #4 2026-10-24T23:30:00Z keep: hourly 3/3, 2026-10-25T01+02:00
        "#]],
    );
}

#[test]
fn the_autumn_night_is_one_day() {
    check(
        &["2026-10-25T22:59Z", "2026-10-25T01:10Z", "2026-10-24T22:00Z"],
        "daily=1",
        "Europe/Berlin",
        &expect![[r#"
            #0 2026-10-25T22:59:00Z keep: daily 1/1, 2026-10-25
            #1 2026-10-25T01:10:00Z delete: no rule keeps it
            #2 2026-10-24T22:00:00Z delete: no rule keeps it
        "#]],
    );
}

#[test]
fn a_repeated_half_hour_is_told_apart_as_well() {
    // Lord Howe Island goes back by half an hour, from 02:00 to 01:30.
    check(
        &["2026-04-04T15:10Z", "2026-04-04T14:50Z", "2026-04-04T14:10Z"],
        "hourly=-1",
        "Australia/Lord_Howe",
        &expect![[r#"
            #0 2026-04-04T15:10:00Z keep: hourly 1, 2026-04-05T01+10:30
            #1 2026-04-04T14:50:00Z keep: hourly 2, 2026-04-05T01+11:00
            #2 2026-04-04T14:10:00Z keep: hourly 3, 2026-04-05T01+11:00, oldest
        "#]],
    );
}

#[test]
fn the_hour_that_a_spring_night_skips_uses_up_no_count() {
    check(
        &["2026-03-29T01:10Z", "2026-03-29T00:50Z", "2026-03-28T23:50Z"],
        "hourly=2",
        "Europe/Berlin",
        &expect![[r#"
            #0 2026-03-29T01:10:00Z keep: hourly 1/2, 2026-03-29T03+02:00
            #1 2026-03-29T00:50:00Z keep: hourly 2/2, 2026-03-29T01+01:00
            #2 2026-03-28T23:50:00Z delete: no rule keeps it
        "#]],
    );
}

#[test]
fn a_day_that_local_time_leaves_and_enters_again_is_one_bucket() {
    // Newfoundland set its clocks back at 00:01: 7 November began, was 6 November again for 59 minutes, and went on.
    check(
        &["2010-11-07T03:31Z", "2010-11-07T02:50Z", "2010-11-07T02:30:30Z", "2010-11-06T12:00Z"],
        "daily=-1",
        "America/St_Johns",
        &expect![[r#"
            #0 2010-11-07T03:31:00Z keep: daily 1, 2010-11-07
            #1 2010-11-07T02:50:00Z keep: daily 2, 2010-11-06
            #2 2010-11-07T02:30:30Z delete: no rule keeps it
            #3 2010-11-06T12:00:00Z keep: daily 3, 2010-11-06, oldest
        "#]],
    );
}

#[test]
fn ties_go_by_id() {
    let (time, keep) = (at("2026-06-01T02:00Z"), "last=1,within=1s".parse().unwrap());
    let tied = ["ami-c", "ami-a", "ami-b"].map(|id| Candidate { id, captured_at: time });
    let planned = plan_series(&tied, &keep, &TimeZone::UTC, at(LONG_AFTER));
    assert_eq!(planned.iter().map(|image| image.id).collect::<Vec<_>>(), ["ami-a", "ami-b", "ami-c"]);
    assert_eq!(planned.iter().map(|image| image.verdict.reasons().len()).collect::<Vec<_>>(), [2, 1, 1]);
}

#[test]
fn an_image_that_is_given_twice_takes_one_place() {
    let mut twice = series(&["2026-06-02T02:00Z", "2026-06-01T02:00Z"]);
    twice.push(twice[0].clone());
    let planned = plan_series(&twice, &"last=2".parse().unwrap(), &TimeZone::UTC, at(LONG_AFTER));
    expect![[r#"
        #0 2026-06-02T02:00:00Z keep: last 1/2
        #1 2026-06-01T02:00:00Z keep: last 2/2
    "#]]
    .assert_eq(&render(&planned));
}

#[test]
fn a_count_rule_that_is_not_used_up_keeps_the_oldest_image_too() {
    let times =
        ["2026-06-03T02:00Z", "2026-06-02T14:00Z", "2026-06-02T02:00Z", "2026-06-01T14:00Z", "2026-06-01T02:00Z"];
    check(
        &times,
        "daily=4",
        "UTC",
        &expect![[r#"
        #0 2026-06-03T02:00:00Z keep: daily 1/4, 2026-06-03
        #1 2026-06-02T14:00:00Z keep: daily 2/4, 2026-06-02
        #2 2026-06-02T02:00:00Z delete: no rule keeps it
        #3 2026-06-01T14:00:00Z keep: daily 3/4, 2026-06-01
        #4 2026-06-01T02:00:00Z keep: daily 4/4, 2026-06-01, oldest
    "#]],
    );
    check(
        &times,
        "daily=3",
        "UTC",
        &expect![[r#"
        #0 2026-06-03T02:00:00Z keep: daily 1/3, 2026-06-03
        #1 2026-06-02T14:00:00Z keep: daily 2/3, 2026-06-02
        #2 2026-06-02T02:00:00Z delete: no rule keeps it
        #3 2026-06-01T14:00:00Z keep: daily 3/3, 2026-06-01
        #4 2026-06-01T02:00:00Z delete: no rule keeps it
    "#]],
    );
}

#[test]
fn the_oldest_image_is_listed_once_where_it_is_the_newest_of_its_bucket() {
    check(
        &["2026-06-02T02:00Z", "2026-06-01T02:00Z"],
        "daily=4",
        "UTC",
        &expect![[r#"
        #0 2026-06-02T02:00:00Z keep: daily 1/4, 2026-06-02
        #1 2026-06-01T02:00:00Z keep: daily 2/4, 2026-06-01
    "#]],
    );
}

#[test]
fn a_count_without_an_end_keeps_every_bucket_and_the_oldest_image() {
    check(
        &["2026-06-02T14:00Z", "2026-06-02T02:00Z", "2026-06-01T14:00Z", "2026-06-01T02:00Z"],
        "daily=-1",
        "UTC",
        &expect![[r#"
            #0 2026-06-02T14:00:00Z keep: daily 1, 2026-06-02
            #1 2026-06-02T02:00:00Z delete: no rule keeps it
            #2 2026-06-01T14:00:00Z keep: daily 2, 2026-06-01
            #3 2026-06-01T02:00:00Z keep: daily 3, 2026-06-01, oldest
        "#]],
    );
    check(
        &["2026-06-02T14:00Z", "2026-06-02T02:00Z"],
        "last=-1",
        "UTC",
        &expect![[r#"
        #0 2026-06-02T14:00:00Z keep: last 1
        #1 2026-06-02T02:00:00Z keep: last 2
    "#]],
    );
}

#[test]
fn a_bucket_without_an_image_uses_up_no_count() {
    check(
        &["2026-06-30T02:00Z", "2026-03-31T02:00Z", "2025-11-30T02:00Z"],
        "monthly=2",
        "UTC",
        &expect![[r#"
        #0 2026-06-30T02:00:00Z keep: monthly 1/2, 2026-06
        #1 2026-03-31T02:00:00Z keep: monthly 2/2, 2026-03
        #2 2025-11-30T02:00:00Z delete: no rule keeps it
    "#]],
    );
}

#[test]
fn within_includes_its_edge() {
    check(
        &["2026-06-08T02:00:00Z", "2026-06-01T02:00:00Z", "2026-06-01T01:59:59.999999999Z"],
        "within=7d",
        "UTC",
        &expect![[r#"
            #0 2026-06-08T02:00:00Z keep: within 1
            #1 2026-06-01T02:00:00Z keep: within 2
            #2 2026-06-01T01:59:59.999999999Z delete: no rule keeps it
        "#]],
    );
}

#[test]
fn within_counts_from_the_newest_image_and_not_from_now() {
    // Backups stopped in 2020; ten years later the same images are kept.
    check(
        &["2020-06-08T02:00Z", "2020-06-07T02:00Z", "2020-05-01T02:00Z"],
        "within=2d",
        "UTC",
        &expect![[r#"
        #0 2020-06-08T02:00:00Z keep: within 1
        #1 2020-06-07T02:00:00Z keep: within 2
        #2 2020-05-01T02:00:00Z delete: no rule keeps it
    "#]],
    );
}

#[test]
fn within_daily_keeps_the_newest_of_each_day_inside_the_span() {
    // The span begins at noon of 6 June, of which the newest image is inside; 5 June has no part in it.
    check(
        &["2026-06-08T12:00Z", "2026-06-08T06:00Z", "2026-06-06T18:00Z", "2026-06-06T12:00Z", "2026-06-05T18:00Z"],
        "within_daily=48h",
        "UTC",
        &expect![[r#"
            #0 2026-06-08T12:00:00Z keep: within_daily 1, 2026-06-08
            #1 2026-06-08T06:00:00Z delete: no rule keeps it
            #2 2026-06-06T18:00:00Z keep: within_daily 2, 2026-06-06
            #3 2026-06-06T12:00:00Z delete: no rule keeps it
            #4 2026-06-05T18:00:00Z delete: no rule keeps it
        "#]],
    );
}

#[test]
fn an_image_from_the_future_is_held_counts_nowhere_and_stops_deletion() {
    let times = ["2026-06-03T03:00:00.001Z", "2026-06-03T02:00Z", "2026-06-02T02:00Z", "2026-06-01T02:00Z"];
    let keep = "last=1,within=24h".parse().unwrap();
    let planned = plan_series(&series(&times), &keep, &TimeZone::UTC, at("2026-06-03T02:00Z"));
    expect![[r#"
        #0 2026-06-03T03:00:00.001Z held: from-the-future
        #1 2026-06-03T02:00:00Z keep: last 1/1 + within 1
        #2 2026-06-02T02:00:00Z keep: within 2
        #3 2026-06-01T02:00:00Z held: future-in-series (0)
    "#]]
    .assert_eq(&render(&planned));
}

#[test]
fn an_image_one_hour_ahead_is_not_from_the_future() {
    let times = ["2026-06-03T03:00Z", "2026-06-02T02:00Z"];
    let planned = plan_series(&series(&times), &"last=1".parse().unwrap(), &TimeZone::UTC, at("2026-06-03T02:00Z"));
    expect![[r#"
        #0 2026-06-03T03:00:00Z keep: last 1/1
        #1 2026-06-02T02:00:00Z delete: no rule keeps it
    "#]]
    .assert_eq(&render(&planned));
}

#[test]
fn a_series_without_images_plans_nothing() {
    let keep: Keep = "daily=7,within=1d".parse().unwrap();
    assert_eq!(plan_series::<usize>(&[], &keep, &TimeZone::UTC, at(LONG_AFTER)), []);
    assert_eq!(reach::<usize>(&[], &keep), []);
}

#[test]
fn the_ends_of_time_are_planned_like_any_other() {
    let times = [Timestamp::MAX, Timestamp::MIN];
    let images: Vec<_> = times.iter().enumerate().map(|(id, at)| Candidate { id, captured_at: *at }).collect();
    let keep = "hourly=1,yearly=5,within=1d".parse().unwrap();
    let planned = plan_series(&images, &keep, &zone("Pacific/Kiritimati"), Timestamp::MAX);
    assert!(planned.iter().all(|image| image.verdict.as_str() == "keep"), "{planned:?}");
    let planned = plan_series(&images, &keep, &zone("Pacific/Kiritimati"), Timestamp::MIN);
    assert!(planned.iter().any(|image| image.verdict.held_by() == [Guard::FromTheFuture]), "{planned:?}");
}

#[test]
fn the_reach_names_the_current_bucket_first() {
    let times =
        ["2026-06-09T02:00Z", "2026-06-08T02:00Z", "2026-05-31T02:00Z", "2026-04-30T02:00Z", "2026-04-02T02:00Z"];
    let keep = "last=2,daily=-1,monthly=2,yearly=3,within=9d".parse().unwrap();
    let planned = plan_series(&series(&times), &keep, &TimeZone::UTC, at(LONG_AFTER));
    let reached = lines(reach(&planned, &keep).iter().map(ToString::to_string));
    expect![[r#"
        last=2 keeps 2, back to 2026-06-08T02:00:00Z
        daily=-1 keeps 5, 2026-06-09 to 2026-04-02, back to 2026-04-02T02:00:00Z
        monthly=2 keeps 2, 2026-06 to 2026-05, back to 2026-05-31T02:00:00Z
        yearly=3 keeps 2, 2026 to 2026, back to 2026-04-02T02:00:00Z
        within=9d keeps 3, back to 2026-05-31T02:00:00Z
    "#]]
    .assert_eq(&reached);
}

#[test]
fn keep_is_written_as_it_is_read() {
    for text in ["last=3", "last=-1,within=90s", "hourly=24,daily=7,weekly=4,monthly=12,yearly=-1", "within_hourly=36h"]
    {
        assert_eq!(text.parse::<Keep>().unwrap().to_string(), text);
    }
    let all = Rule::ALL
        .map(|rule| if rule.as_str().starts_with("within") { format!("{rule}=7d") } else { format!("{rule}=4") });
    assert_eq!(all.join(",").parse::<Keep>().unwrap().to_string(), all.join(","));
    assert_eq!(" daily = 7 , within=168h ".parse::<Keep>().unwrap().to_string(), "daily=7,within=7d");
}

#[test]
fn a_wrong_keep_says_what_is_wrong_and_what_is_allowed() {
    let texts = [
        "",
        "daily",
        "dayly=7",
        "daily=7,,",
        "daily=7,daily=8",
        "last=0",
        "last=-2",
        "last=many",
        "last=4294967296",
        "last=7d",
        "within=7",
        "within=0d",
        "within=-1d",
        "within=+1d",
        "within=1w",
        "within=d",
        "within=1.5h",
        "within=99999999999999999999d",
        "within=9223372036854775807d",
        "within=7 d",
        "within=é",
    ];
    let describe = |text: &&str| {
        let error: &dyn std::error::Error = &text.parse::<Keep>().unwrap_err();
        let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
        format!("{text:?}: {error}{source}")
    };
    expect![[r#"
        "": keep has no rule: give at least one, or last = -1 to keep everything
        "daily": `daily` is not a rule and its value, such as daily=7 or within=30d
        "dayly=7": `dayly` is not a rule of keep: last, hourly, daily, weekly, monthly, yearly, within, within_hourly, within_daily, within_weekly, within_monthly, within_yearly
        "daily=7,,": `` is not a rule and its value, such as daily=7 or within=30d
        "daily=7,daily=8": daily is given twice
        "last=0": last takes a count: `0` is not a count: 1 or more, or -1 for all (leave the rule out to switch it off)
        "last=-2": last takes a count: `-2` is not a count: 1 or more, or -1 for all (leave the rule out to switch it off)
        "last=many": last takes a count: `many` is not a count: 1 or more, or -1 for all (leave the rule out to switch it off)
        "last=4294967296": last takes a count: `4294967296` is not a count: 1 or more, or -1 for all (leave the rule out to switch it off)
        "last=7d": last takes a count: `7d` is not a count: 1 or more, or -1 for all (leave the rule out to switch it off)
        "within=7": within takes a duration: `7` is not a duration: a whole number above zero and one of s, m, h, d, such as 90s, 15m, 6h or 7d
        "within=0d": within takes a duration: `0d` is not a duration: a whole number above zero and one of s, m, h, d, such as 90s, 15m, 6h or 7d
        "within=-1d": within takes a duration: `-1d` is not a duration: a whole number above zero and one of s, m, h, d, such as 90s, 15m, 6h or 7d
        "within=+1d": within takes a duration: `+1d` is not a duration: a whole number above zero and one of s, m, h, d, such as 90s, 15m, 6h or 7d
        "within=1w": within takes a duration: `1w` is not a duration: a whole number above zero and one of s, m, h, d, such as 90s, 15m, 6h or 7d
        "within=d": within takes a duration: `d` is not a duration: a whole number above zero and one of s, m, h, d, such as 90s, 15m, 6h or 7d
        "within=1.5h": within takes a duration: `1.5h` is not a duration: a whole number above zero and one of s, m, h, d, such as 90s, 15m, 6h or 7d
        "within=99999999999999999999d": within takes a duration: `99999999999999999999d` is not a duration: a whole number above zero and one of s, m, h, d, such as 90s, 15m, 6h or 7d
        "within=9223372036854775807d": within takes a duration: `9223372036854775807d` is not a duration: a whole number above zero and one of s, m, h, d, such as 90s, 15m, 6h or 7d
        "within=7 d": within takes a duration: `7 d` is not a duration: a whole number above zero and one of s, m, h, d, such as 90s, 15m, 6h or 7d
        "within=é": within takes a duration: `é` is not a duration: a whole number above zero and one of s, m, h, d, such as 90s, 15m, 6h or 7d
    "#]].assert_eq(&lines(texts.iter().map(describe)));
}

#[test]
fn an_empty_keep_cannot_be_made() {
    assert_eq!(Keep::new(KeepRules::default()), Err(EmptyKeep));
}

#[test]
fn counts_and_reaches_are_valid_by_construction() {
    assert_eq!(Count::new(-1), Ok(Count::All));
    assert_eq!(Count::new(i64::from(u32::MAX)).unwrap().limit(), Some(u32::MAX));
    assert!([0, -2, i64::MIN, i64::from(u32::MAX) + 1].into_iter().all(|number| Count::new(number).is_err()));
    assert!(Within::new(SignedDuration::from_secs(1)).is_ok());
    for bad in [SignedDuration::ZERO, SignedDuration::from_secs(-1), SignedDuration::from_millis(1500)] {
        assert!(Within::new(bad).is_err(), "{bad}");
    }
}
