//! What is accepted, and the messages for what is not.

use expect_test::{Expect, expect};

use super::{at, fires, schedule};
use crate::schedule::{Schedule, ScheduleError};

/// What is said about each expression, one a line.
fn check_refused(expressions: &[&str], expected: &Expect) {
    let messages = expressions.iter().map(|expression| match Schedule::parse(expression, "UTC") {
        Err(ScheduleError::Cron { message, .. }) => format!("{expression}: {message}"),
        other => format!("{expression}: {other:?}"),
    });
    expected.assert_eq(&messages.collect::<Vec<_>>().join("\n"));
}

#[test]
fn nicknames_are_the_schedules_that_they_stand_for() {
    let pairs = [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * SUN"),
        ("@Monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        (" @annually ", "0 0 1 1 *"),
    ];
    let (after, until) = (at("2026-01-01T00:00:00Z"), at("2028-01-02T00:00:00Z"));
    for (nickname, spelt_out) in pairs {
        let (short, long) = (schedule(nickname, "Europe/Berlin"), schedule(spelt_out, "Europe/Berlin"));
        assert!(short.between(after, until).eq(long.between(after, until)), "{nickname}");
        assert_eq!(short.is_fixed(), long.is_fixed(), "{nickname}");
    }
}

#[test]
fn a_schedule_is_fixed_if_minute_and_hour_are_named() {
    for expression in ["0 2 * * *", "0,30 1-3 * * *", "0-59/10 2 * * *", "* 30 2 * * *", "@daily", "@yearly"] {
        assert!(schedule(expression, "UTC").is_fixed(), "{expression}");
    }
    for expression in
        ["* 2 * * *", "*/5 2 * * *", "0 * * * *", "0 */2 * * *", "0,*/20 1 * * *", "@hourly", "0 30 * * * *"]
    {
        assert!(!schedule(expression, "UTC").is_fixed(), "{expression}");
    }
}

#[test]
fn sunday_is_0_and_7_and_a_name_in_any_case() {
    let span = ("2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z");
    let sundays = fires("0 5 * * 0", "UTC", span.0, span.1);
    assert_eq!(sundays.first().map(String::as_str), Some("06-07 05:00:00+00:00"));
    for weekday in ["7", "SUN", "sun"] {
        assert_eq!(fires(&format!("0 5 * * {weekday}"), "UTC", span.0, span.1), sundays, "{weekday}");
    }
    let weekends = fires("0 5 * * 0,6", "UTC", span.0, span.1);
    for weekday in ["6-7", "SAT-SUN", "Sat,Sun"] {
        assert_eq!(fires(&format!("0 5 * * {weekday}"), "UTC", span.0, span.1), weekends, "{weekday}");
    }
}

#[test]
fn last_nearest_and_nth_days_are_understood() {
    let in_2026 = |expression: &str| -> Vec<String> {
        fires(expression, "UTC", "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z")
            .into_iter()
            .map(|fire| fire[..5].to_owned())
            .collect()
    };
    assert_eq!(in_2026("0 5 L * *"), ["01-31", "02-28", "03-31", "04-30", "05-31"]);
    assert_eq!(in_2026("0 5 LW * *"), ["01-30", "02-27", "03-31", "04-30", "05-29"]);
    assert_eq!(in_2026("0 5 15W * *"), ["01-15", "02-16", "03-16", "04-15", "05-15"]);
    assert_eq!(in_2026("0 5 * * SUN#2"), ["01-11", "02-08", "03-08", "04-12", "05-10"]);
    assert_eq!(in_2026("0 5 * * 5L"), ["01-30", "02-27", "03-27", "04-24", "05-29"]);
    assert_eq!(in_2026("0 5 ? 2 MON"), ["02-02", "02-09", "02-16", "02-23"]);
}

#[test]
fn a_date_that_no_year_has_is_refused() {
    for expression in ["0 0 31 2 *", "0 0 30 feb ?", "0 0 31 4,6,9,11 *", "0 0 31W 2 *", "* * * 31 2 *"] {
        let never = ScheduleError::NeverFires { expression: expression.to_owned() };
        assert_eq!(Schedule::parse(expression, "UTC"), Err(never));
    }
    // The weekday is an alternative, so these Mondays in February are enough.
    assert!(Schedule::parse("0 0 31 2 MON", "UTC").is_ok());
}

#[test]
fn a_refusal_quotes_the_expression_and_says_what_is_allowed() {
    let message = |expression: &str| Schedule::parse(expression, "UTC").unwrap_err().to_string();
    assert_eq!(message("0 24 * * *"), "`0 24 * * *` is not a schedule: hour: `24` is not a number from 0 to 23");
    assert_eq!(message("0 0 30 2 *"), "`0 0 30 2 *` never fires: no year has a day that it names");
}

#[test]
fn a_wrong_number_of_fields_is_refused_with_the_right_one() {
    check_refused(
        &["", "   ", "0", "0 2 * *", "0 0 2 * * * 2027", "@reboot", "@every 5m", "@daily UTC"],
        &expect![[r"
            : it has 0 fields; allowed are 5 (minute, hour, day of month, month, weekday), 6 with seconds in front, or a nickname such as @daily
               : it has 0 fields; allowed are 5 (minute, hour, day of month, month, weekday), 6 with seconds in front, or a nickname such as @daily
            0: it has 1 field; allowed are 5 (minute, hour, day of month, month, weekday), 6 with seconds in front, or a nickname such as @daily
            0 2 * *: it has 4 fields; allowed are 5 (minute, hour, day of month, month, weekday), 6 with seconds in front, or a nickname such as @daily
            0 0 2 * * * 2027: it has 7 fields; allowed are 5 (minute, hour, day of month, month, weekday), 6 with seconds in front, or a nickname such as @daily
            @reboot: the nicknames are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually
            @every 5m: the nicknames are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually
            @daily UTC: the nicknames are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually"]],
    );
}

#[test]
fn a_wrong_value_is_refused_with_its_field_and_what_is_allowed() {
    check_refused(
        &[
            "60 2 * * *",
            "0 24 * * *",
            "0 2 0 * *",
            "0 2 * 13 *",
            "0 2 * * 8",
            "-1 2 * * *",
            "+5 2 * * *",
            "0 2 * * +FRI",
            "0 2 * MON *",
            "0 2 * * JAN",
            "0 2 MON * *",
            "0 2 * * MONDAY",
            "60 0 2 * * *",
            "0 2 ? ? *",
            "999999999999 2 * * *",
            "ß 2 * * *",
        ],
        &expect![[r"
            60 2 * * *: minute: `60` is not a number from 0 to 59
            0 24 * * *: hour: `24` is not a number from 0 to 23
            0 2 0 * *: day of month: `0` is not a number from 1 to 31, `L`, `LW` or `15W`
            0 2 * 13 *: month: `13` is not a number from 1 to 12 or a name from JAN to DEC
            0 2 * * 8: weekday: `8` is not a number from 0 to 7, a name from SUN to SAT, `5L` or `5#2`
            -1 2 * * *: minute: a value is missing; it is a number from 0 to 59
            +5 2 * * *: minute: `+5` is not a number from 0 to 59
            0 2 * * +FRI: weekday: `+FRI` is not a number from 0 to 7, a name from SUN to SAT, `5L` or `5#2`
            0 2 * MON *: month: `MON` is not a number from 1 to 12 or a name from JAN to DEC
            0 2 * * JAN: weekday: `JAN` is not a number from 0 to 7, a name from SUN to SAT, `5L` or `5#2`
            0 2 MON * *: day of month: `MON` is not a number from 1 to 31, `L`, `LW` or `15W`
            0 2 * * MONDAY: weekday: `MONDAY` is not a number from 0 to 7, a name from SUN to SAT, `5L` or `5#2`
            60 0 2 * * *: second: `60` is not a number from 0 to 59
            0 2 ? ? *: month: `?` is not a number from 1 to 12 or a name from JAN to DEC
            999999999999 2 * * *: minute: `999999999999` is not a number from 0 to 59
            ß 2 * * *: minute: `ß` is not a number from 0 to 59"]],
    );
}

#[test]
fn a_list_range_or_step_that_would_do_something_else_is_refused() {
    check_refused(
        &[
            "0,,30 2 * * *",
            "0, 2 * * *",
            "*,30 2 * * *",
            "0 22-4 * * *",
            "0 2 * NOV-FEB *",
            "0 2 * * FRI-MON",
            "0 2 * * SUN-SUN",
            "0 2-2 * * *",
            "0 1-2-3 * * *",
            "0/15 * * * *",
            "/15 * * * *",
            "*/0 * * * *",
            "*/90 * * * *",
            "0 */24 * * *",
            "*/5/2 * * * *",
            "*/x * * * *",
            "0 10-12/3 * * *",
        ],
        &expect![[r"
            0,,30 2 * * *: minute: a value is missing; it is a number from 0 to 59
            0, 2 * * *: minute: a value is missing; it is a number from 0 to 59
            *,30 2 * * *: minute: `*` stands alone, not in a list
            0 22-4 * * *: hour: `22-4` does not run upwards; write it as a list
            0 2 * NOV-FEB *: month: `NOV-FEB` does not run upwards; write it as a list
            0 2 * * FRI-MON: weekday: `FRI-MON` does not run upwards; write it as a list
            0 2 * * SUN-SUN: weekday: `SUN-SUN` does not run upwards; write it as a list
            0 2-2 * * *: hour: `2-2` does not run upwards; write it as a list
            0 1-2-3 * * *: hour: `2-3` is not a number from 0 to 23
            0/15 * * * *: minute: `0/15` steps from a single value; write `*/n`, or a range such as `0-59/n`
            /15 * * * *: minute: a value is missing; it is a number from 0 to 59
            */0 * * * *: minute: `*/0` steps by `0`; a step here is 1 to 59
            */90 * * * *: minute: `*/90` steps by `90`; a step here is 1 to 59
            0 */24 * * *: hour: `*/24` steps by `24`; a step here is 1 to 23
            */5/2 * * * *: minute: `*/5/2` steps by `5/2`; a step here is 1 to 59
            */x * * * *: minute: `*/X` steps by `X`; a step here is 1 to 59
            0 10-12/3 * * *: hour: `10-12/3` steps by `3`; a step here is 1 to 2"]],
    );
}

#[test]
fn a_mark_in_the_wrong_place_is_refused() {
    check_refused(
        &[
            "L 2 * * *",
            "0 2 * * L",
            "0 2 L,LW * *",
            "0 2 5L * *",
            "0 2 15W3 * *",
            "0 2 W * *",
            "0 2 32W * *",
            "0 2 * * 5#6",
            "0 2 * * 1-5#2",
            "0 2 * * 5LL",
            "0 2 * * #2",
            "0 2 1#2 * *",
            "? 2 * * *",
        ],
        &expect![[r"
            L 2 * * *: minute: `L` is not a number from 0 to 59
            0 2 * * L: weekday: `L` is not a number from 0 to 7, a name from SUN to SAT, `5L` or `5#2`
            0 2 L,LW * *: day of month: `L` and `LW` cannot stand in one list
            0 2 5L * *: day of month: `5L` is not a number from 1 to 31, `L`, `LW` or `15W`
            0 2 15W3 * *: day of month: `15W3` is not a number from 1 to 31, `L`, `LW` or `15W`
            0 2 W * *: day of month: `W` is not a number from 1 to 31, `L`, `LW` or `15W`
            0 2 32W * *: day of month: `32W` is not a number from 1 to 31, `L`, `LW` or `15W`
            0 2 * * 5#6: weekday: `5#6` is not a number from 0 to 7, a name from SUN to SAT, `5L` or `5#2`
            0 2 * * 1-5#2: weekday: `5#2` is not a number from 0 to 7, a name from SUN to SAT, `5L` or `5#2`
            0 2 * * 5LL: weekday: `5LL` is not a number from 0 to 7, a name from SUN to SAT, `5L` or `5#2`
            0 2 * * #2: weekday: `#2` is not a number from 0 to 7, a name from SUN to SAT, `5L` or `5#2`
            0 2 1#2 * *: day of month: `1#2` is not a number from 1 to 31, `L`, `LW` or `15W`
            ? 2 * * *: minute: `?` is not a number from 0 to 59"]],
    );
}
