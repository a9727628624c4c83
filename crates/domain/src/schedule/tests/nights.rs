//! The nights of 2026 and 2027 on which clocks change, in the zones that change them differently.
//!
//! Each night is asked for the same schedules: a time inside the skipped or repeated span, a list around it, and an
//! interval. docs/scheduling.md tells the same nights to operators.

use super::fires;

/// Night after night, the fires between two instants, which the caller puts some hours around the change.
fn check(expression: &str, zone: &str, nights: &[(&str, &str)], expected: &[&[&str]]) {
    assert_eq!(nights.len(), expected.len());
    for ((after, until), expected) in nights.iter().zip(expected) {
        assert_eq!(fires(expression, zone, after, until), *expected, "`{expression}` {zone} {after}");
    }
}

mod berlin {
    use super::check;

    const ZONE: &str = "Europe/Berlin";
    /// 02:00 becomes 03:00 at 01:00 UTC.
    const SPRING: &[(&str, &str)] =
        &[("2026-03-29T00:15:00Z", "2026-03-29T02:15:00Z"), ("2027-03-28T00:15:00Z", "2027-03-28T02:15:00Z")];
    /// 03:00 becomes 02:00 at 01:00 UTC.
    const AUTUMN: &[(&str, &str)] =
        &[("2026-10-24T23:15:00Z", "2026-10-25T02:15:00Z"), ("2027-10-30T23:15:00Z", "2027-10-31T02:15:00Z")];

    #[test]
    fn a_skipped_time_fires_once_at_the_first_instant_after_the_gap() {
        check("30 2 * * *", ZONE, SPRING, &[&["03-29 03:00:00+02:00"], &["03-28 03:00:00+02:00"]]);
        check("0 2 * * *", ZONE, SPRING, &[&["03-29 03:00:00+02:00"], &["03-28 03:00:00+02:00"]]);
    }

    #[test]
    fn a_skipped_time_that_falls_on_another_fires_once() {
        let expected: &[&[&str]] = &[&["03-29 03:00:00+02:00"], &["03-28 03:00:00+02:00"]];
        check("0,20,40 2 * * *", ZONE, SPRING, expected);
        check("0 2,3 * * *", ZONE, SPRING, expected);
        check("*/10 30 2 * * *", ZONE, SPRING, expected);
    }

    #[test]
    fn the_other_times_of_a_list_keep_their_place() {
        check(
            "30 1,2,3 * * *",
            ZONE,
            SPRING,
            &[
                &["03-29 01:30:00+01:00", "03-29 03:00:00+02:00", "03-29 03:30:00+02:00"],
                &["03-28 01:30:00+01:00", "03-28 03:00:00+02:00", "03-28 03:30:00+02:00"],
            ],
        );
    }

    #[test]
    fn an_interval_leaves_skipped_times_out() {
        check(
            "*/30 * * * *",
            ZONE,
            SPRING,
            &[
                &["03-29 01:30:00+01:00", "03-29 03:00:00+02:00", "03-29 03:30:00+02:00", "03-29 04:00:00+02:00"],
                &["03-28 01:30:00+01:00", "03-28 03:00:00+02:00", "03-28 03:30:00+02:00", "03-28 04:00:00+02:00"],
            ],
        );
        check("*/30 2 * * *", ZONE, SPRING, &[&[], &[]]);
    }

    #[test]
    fn a_repeated_time_fires_once_on_the_first_pass() {
        check("30 2 * * *", ZONE, AUTUMN, &[&["10-25 02:30:00+02:00"], &["10-31 02:30:00+02:00"]]);
        check("0 2 * * *", ZONE, AUTUMN, &[&["10-25 02:00:00+02:00"], &["10-31 02:00:00+02:00"]]);
        check(
            "30 2,3 * * *",
            ZONE,
            &[("2026-10-24T23:15:00Z", "2026-10-25T02:45:00Z"), ("2027-10-30T23:15:00Z", "2027-10-31T02:45:00Z")],
            &[&["10-25 02:30:00+02:00", "10-25 03:30:00+01:00"], &["10-31 02:30:00+02:00", "10-31 03:30:00+01:00"]],
        );
    }

    #[test]
    fn an_interval_fires_on_both_passes() {
        check(
            "0 * * * *",
            ZONE,
            AUTUMN,
            &[
                &["10-25 02:00:00+02:00", "10-25 02:00:00+01:00", "10-25 03:00:00+01:00"],
                &["10-31 02:00:00+02:00", "10-31 02:00:00+01:00", "10-31 03:00:00+01:00"],
            ],
        );
        check(
            "*/30 2 * * *",
            ZONE,
            AUTUMN,
            &[
                &["10-25 02:00:00+02:00", "10-25 02:30:00+02:00", "10-25 02:00:00+01:00", "10-25 02:30:00+01:00"],
                &["10-31 02:00:00+02:00", "10-31 02:30:00+02:00", "10-31 02:00:00+01:00", "10-31 02:30:00+01:00"],
            ],
        );
    }

    #[test]
    fn a_nightly_schedule_fires_once_on_every_day_of_both_years() {
        for expression in ["0 1 * * *", "30 2 * * *", "0 3 * * *", "0 0 * * *"] {
            let fires = super::fires(expression, ZONE, "2025-12-31T22:30:00Z", "2027-12-31T22:30:00Z");
            let mut days: Vec<&str> = fires.iter().map(|fire| &fire[..5]).collect();
            assert_eq!(days.len(), 730, "{expression}");
            days.dedup();
            assert_eq!(days.len(), 730, "{expression}");
        }
    }
}

mod new_york {
    use super::check;

    const ZONE: &str = "America/New_York";
    /// 02:00 becomes 03:00 at 07:00 UTC.
    const SPRING: &[(&str, &str)] =
        &[("2026-03-08T06:15:00Z", "2026-03-08T08:15:00Z"), ("2027-03-14T06:15:00Z", "2027-03-14T08:15:00Z")];
    /// 02:00 becomes 01:00 at 06:00 UTC.
    const AUTUMN: &[(&str, &str)] =
        &[("2026-11-01T04:15:00Z", "2026-11-01T07:15:00Z"), ("2027-11-07T04:15:00Z", "2027-11-07T07:15:00Z")];

    #[test]
    fn a_skipped_time_fires_once_at_the_first_instant_after_the_gap() {
        check("30 2 * * *", ZONE, SPRING, &[&["03-08 03:00:00-04:00"], &["03-14 03:00:00-04:00"]]);
        check(
            "30 1-3 * * *",
            ZONE,
            SPRING,
            &[
                &["03-08 01:30:00-05:00", "03-08 03:00:00-04:00", "03-08 03:30:00-04:00"],
                &["03-14 01:30:00-05:00", "03-14 03:00:00-04:00", "03-14 03:30:00-04:00"],
            ],
        );
    }

    #[test]
    fn an_interval_leaves_skipped_times_out() {
        check(
            "0,30 * * * *",
            ZONE,
            SPRING,
            &[
                &["03-08 01:30:00-05:00", "03-08 03:00:00-04:00", "03-08 03:30:00-04:00", "03-08 04:00:00-04:00"],
                &["03-14 01:30:00-05:00", "03-14 03:00:00-04:00", "03-14 03:30:00-04:00", "03-14 04:00:00-04:00"],
            ],
        );
    }

    #[test]
    fn a_repeated_time_fires_once_on_the_first_pass() {
        check("30 1 * * *", ZONE, AUTUMN, &[&["11-01 01:30:00-04:00"], &["11-07 01:30:00-04:00"]]);
        check(
            "0 1,2 * * *",
            ZONE,
            AUTUMN,
            &[&["11-01 01:00:00-04:00", "11-01 02:00:00-05:00"], &["11-07 01:00:00-04:00", "11-07 02:00:00-05:00"]],
        );
    }

    #[test]
    fn an_interval_fires_on_both_passes() {
        check(
            "30 * * * *",
            ZONE,
            AUTUMN,
            &[
                &["11-01 00:30:00-04:00", "11-01 01:30:00-04:00", "11-01 01:30:00-05:00"],
                &["11-07 00:30:00-04:00", "11-07 01:30:00-04:00", "11-07 01:30:00-05:00"],
            ],
        );
    }
}

/// Half an hour, so half of an hour's minutes are skipped or repeated and half are not.
mod lord_howe {
    use super::check;

    const ZONE: &str = "Australia/Lord_Howe";
    /// 02:00 becomes 02:30 at 15:30 UTC the day before.
    const SPRING: &[(&str, &str)] =
        &[("2026-10-03T15:10:00Z", "2026-10-03T16:20:00Z"), ("2027-10-02T15:10:00Z", "2027-10-02T16:20:00Z")];
    /// 02:00 becomes 01:30 at 15:00 UTC the day before.
    const AUTUMN: &[(&str, &str)] =
        &[("2026-04-04T14:10:00Z", "2026-04-04T15:40:00Z"), ("2027-04-03T14:10:00Z", "2027-04-03T15:40:00Z")];

    #[test]
    fn a_skipped_time_fires_once_at_the_first_instant_after_the_gap() {
        check("15 2 * * *", ZONE, SPRING, &[&["10-04 02:30:00+11:00"], &["10-03 02:30:00+11:00"]]);
        check(
            "0,15,30,45 2 * * *",
            ZONE,
            SPRING,
            &[&["10-04 02:30:00+11:00", "10-04 02:45:00+11:00"], &["10-03 02:30:00+11:00", "10-03 02:45:00+11:00"]],
        );
    }

    #[test]
    fn an_interval_leaves_skipped_times_out() {
        check(
            "*/15 * * * *",
            ZONE,
            SPRING,
            &[
                &[
                    "10-04 01:45:00+10:30",
                    "10-04 02:30:00+11:00",
                    "10-04 02:45:00+11:00",
                    "10-04 03:00:00+11:00",
                    "10-04 03:15:00+11:00",
                ],
                &[
                    "10-03 01:45:00+10:30",
                    "10-03 02:30:00+11:00",
                    "10-03 02:45:00+11:00",
                    "10-03 03:00:00+11:00",
                    "10-03 03:15:00+11:00",
                ],
            ],
        );
        check("0 * * * *", ZONE, SPRING, &[&["10-04 03:00:00+11:00"], &["10-03 03:00:00+11:00"]]);
    }

    #[test]
    fn a_repeated_time_fires_once_on_the_first_pass() {
        check("45 1 * * *", ZONE, AUTUMN, &[&["04-05 01:45:00+11:00"], &["04-04 01:45:00+11:00"]]);
        check(
            "20,45 1 * * *",
            ZONE,
            AUTUMN,
            &[&["04-05 01:20:00+11:00", "04-05 01:45:00+11:00"], &["04-04 01:20:00+11:00", "04-04 01:45:00+11:00"]],
        );
    }

    #[test]
    fn an_interval_fires_on_both_passes() {
        check(
            "*/20 * * * *",
            ZONE,
            AUTUMN,
            &[
                &["04-05 01:20:00+11:00", "04-05 01:40:00+11:00", "04-05 01:40:00+10:30", "04-05 02:00:00+10:30"],
                &["04-04 01:20:00+11:00", "04-04 01:40:00+11:00", "04-04 01:40:00+10:30", "04-04 02:00:00+10:30"],
            ],
        );
    }
}

/// Offsets of 12:45 and 13:45, changed at a quarter to.
mod chatham {
    use super::check;

    const ZONE: &str = "Pacific/Chatham";
    /// 02:45 becomes 03:45 at 14:00 UTC the day before.
    const SPRING: &[(&str, &str)] =
        &[("2026-09-26T13:30:00Z", "2026-09-26T14:30:00Z"), ("2027-09-25T13:30:00Z", "2027-09-25T14:30:00Z")];
    /// 03:45 becomes 02:45 at 14:00 UTC the day before.
    const AUTUMN: &[(&str, &str)] =
        &[("2026-04-04T12:50:00Z", "2026-04-04T15:30:00Z"), ("2027-04-03T12:50:00Z", "2027-04-03T15:30:00Z")];

    #[test]
    fn a_skipped_time_fires_once_at_the_first_instant_after_the_gap() {
        check("0 3 * * *", ZONE, SPRING, &[&["09-27 03:45:00+13:45"], &["09-26 03:45:00+13:45"]]);
        check(
            "30,45,50 2,3 * * *",
            ZONE,
            SPRING,
            &[
                &["09-27 02:30:00+12:45", "09-27 03:45:00+13:45", "09-27 03:50:00+13:45"],
                &["09-26 02:30:00+12:45", "09-26 03:45:00+13:45", "09-26 03:50:00+13:45"],
            ]
            .map(|night| &night[..]),
        );
    }

    #[test]
    fn an_interval_leaves_skipped_times_out() {
        check(
            "*/15 * * * *",
            ZONE,
            SPRING,
            &[
                &["09-27 02:30:00+12:45", "09-27 03:45:00+13:45", "09-27 04:00:00+13:45", "09-27 04:15:00+13:45"],
                &["09-26 02:30:00+12:45", "09-26 03:45:00+13:45", "09-26 04:00:00+13:45", "09-26 04:15:00+13:45"],
            ],
        );
    }

    #[test]
    fn a_repeated_time_fires_once_on_the_first_pass() {
        check("0 3 * * *", ZONE, AUTUMN, &[&["04-05 03:00:00+13:45"], &["04-04 03:00:00+13:45"]]);
        check(
            "40,50 2,3 * * *",
            ZONE,
            AUTUMN,
            &[
                &["04-05 02:40:00+13:45", "04-05 02:50:00+13:45", "04-05 03:40:00+13:45", "04-05 03:50:00+12:45"],
                &["04-04 02:40:00+13:45", "04-04 02:50:00+13:45", "04-04 03:40:00+13:45", "04-04 03:50:00+12:45"],
            ],
        );
    }

    #[test]
    fn an_interval_fires_on_both_passes() {
        check(
            "0,30 * * * *",
            ZONE,
            AUTUMN,
            &[
                &[
                    "04-05 03:00:00+13:45",
                    "04-05 03:30:00+13:45",
                    "04-05 03:00:00+12:45",
                    "04-05 03:30:00+12:45",
                    "04-05 04:00:00+12:45",
                ],
                &[
                    "04-04 03:00:00+13:45",
                    "04-04 03:30:00+13:45",
                    "04-04 03:00:00+12:45",
                    "04-04 03:30:00+12:45",
                    "04-04 04:00:00+12:45",
                ],
            ],
        );
    }
}

#[test]
fn utc_skips_and_repeats_nothing() {
    let nights = [
        ("2026-03-29T00:15:00Z", "2026-03-29T03:15:00Z"),
        ("2026-10-25T00:15:00Z", "2026-10-25T03:15:00Z"),
        ("2027-03-28T00:15:00Z", "2027-03-28T03:15:00Z"),
        ("2027-10-31T00:15:00Z", "2027-10-31T03:15:00Z"),
    ];
    for (after, until) in nights {
        let day = &after[5..10];
        let hours = [1, 2, 3].map(|hour| format!("{day} 0{hour}:00:00+00:00"));
        assert_eq!(fires("0 * * * *", "UTC", after, until), hours);
        assert_eq!(fires("30 2 * * *", "UTC", after, until), [format!("{day} 02:30:00+00:00")]);
    }
}

#[test]
fn a_zone_that_loses_a_whole_day_moves_its_fire_to_the_next() {
    // Samoa went from the end of 29 December 2011 to the start of the 31st.
    let fires = fires("0 2 * * *", "Pacific/Apia", "2011-12-28T20:00:00Z", "2011-12-31T20:00:00Z");
    assert_eq!(fires, ["12-29 02:00:00-10:00", "12-31 00:00:00+14:00", "12-31 02:00:00+14:00", "01-01 02:00:00+14:00"]);
}
