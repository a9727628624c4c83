//! Due and missed fires.

use expect_test::expect;

use super::*;
use crate::fixture::{at, policy};
use crate::schedule::Schedule;

fn cursor(policy: &Policy, planned_to: &str) -> Cursor {
    Cursor {
        policy: policy.name.clone(),
        account: "default".parse().unwrap(),
        fingerprint: policy.schedule.fingerprint().to_owned(),
        planned_to: at(planned_to),
        enabled: Enabled::Yes,
    }
}

/// What is due of a policy at 02:00 UTC with `start_within` 6 h, planned up to 03:00 on 20 November.
fn line(now: &str) -> String {
    let policy = policy("nightly");
    describe(&due_fires(&policy, Some(&cursor(&policy, "2026-11-20T03:00:00Z")), at(now)))
}

fn describe(step: &CursorStep) -> String {
    let due = match step {
        CursorStep::StartFromNow(reason) => return format!("start from now: {reason:?}"),
        CursorStep::Rest => return "rest".to_owned(),
        CursorStep::Plan(due) => due,
    };
    let run = due.run.map_or("none".to_owned(), |it| format!("{} ({})", it.scheduled_at, it.trigger.as_str()));
    let missed = due.missed.map_or("none".to_owned(), |it| format!("{} from {} to {}", it.count, it.from, it.to));
    format!("run {run}; missed {missed}; planned to {}", due.planned_to)
}

#[test]
fn a_fire_is_due_at_its_time_and_not_before() {
    assert_eq!(line("2026-11-21T01:59:59.999Z"), "rest");
    assert_eq!(
        line("2026-11-21T02:00:00Z"),
        "run 2026-11-21T02:00:00Z (schedule); missed none; planned to 2026-11-21T02:00:00Z"
    );
}

#[test]
fn a_late_fire_is_a_catch_up_while_it_may_still_start() {
    assert!(line("2026-11-21T02:02:00Z").starts_with("run 2026-11-21T02:00:00Z (schedule)"));
    assert!(line("2026-11-21T02:02:00.001Z").starts_with("run 2026-11-21T02:00:00Z (catch-up)"));
    assert!(line("2026-11-21T08:00:00Z").starts_with("run 2026-11-21T02:00:00Z (catch-up)"));
    assert_eq!(
        line("2026-11-21T08:00:01Z"),
        "run none; missed 1 from 2026-11-21T02:00:00Z to 2026-11-21T02:00:00Z; planned to 2026-11-21T02:00:00Z"
    );
}

#[test]
fn of_several_missed_fires_only_the_latest_runs() {
    assert_eq!(
        line("2026-11-25T05:00:00Z"),
        "run 2026-11-25T02:00:00Z (catch-up); missed 4 from 2026-11-21T02:00:00Z to 2026-11-24T02:00:00Z; \
         planned to 2026-11-25T02:00:00Z"
    );
    assert_eq!(
        line("2026-11-25T12:00:00Z"),
        "run none; missed 5 from 2026-11-21T02:00:00Z to 2026-11-25T02:00:00Z; planned to 2026-11-25T02:00:00Z"
    );
}

#[test]
fn jitter_keeps_a_fire_alive_for_those_that_start_last() {
    let mut policy = policy("nightly");
    policy.jitter = SignedDuration::from_mins(30);
    let step = due_fires(&policy, Some(&cursor(&policy, "2026-11-20T03:00:00Z")), at("2026-11-21T08:30:00Z"));
    assert!(describe(&step).starts_with("run 2026-11-21T02:00:00Z"));
}

#[test]
fn a_policy_starts_from_now_when_it_is_new_enabled_again_or_changed() {
    let policy = policy("nightly");
    let now = at("2026-11-22T10:00:00Z");
    let known = cursor(&policy, "2026-11-20T03:00:00Z");
    assert_eq!(describe(&due_fires(&policy, None, now)), "start from now: New");
    let off = Cursor { enabled: Enabled::No, ..known.clone() };
    assert_eq!(describe(&due_fires(&policy, Some(&off), now)), "start from now: Enabled");
    let mut changed = policy.clone();
    changed.schedule = Schedule::parse("0 2 * * *", "Europe/Berlin").unwrap();
    assert_eq!(describe(&due_fires(&changed, Some(&known), now)), "start from now: Changed");
}

#[test]
fn a_clock_that_jumps_back_fires_nothing_twice() {
    let policy = policy("nightly");
    let planned = cursor(&policy, "2026-11-22T02:00:00Z");
    for now in ["2026-11-22T02:00:00Z", "2026-11-22T01:59:00Z", "2026-11-22T01:00:00Z"] {
        assert_eq!(describe(&due_fires(&policy, Some(&planned), at(now))), "rest", "{now}");
    }
}

#[test]
fn a_cursor_from_a_clock_that_was_a_year_ahead_does_not_silence_the_policy() {
    let policy = policy("nightly");
    let planned = cursor(&policy, "2027-11-22T02:00:00Z");
    let step = due_fires(&policy, Some(&planned), at("2026-11-22T02:00:00Z"));
    assert_eq!(describe(&step), "start from now: ClockStepBack");
}

#[test]
fn planning_again_after_the_cursor_moved_finds_nothing() {
    let policy = policy("nightly");
    let now = at("2026-11-25T05:00:00Z");
    let CursorStep::Plan(due) = due_fires(&policy, Some(&cursor(&policy, "2026-11-20T03:00:00Z")), now) else {
        panic!("fires are due");
    };
    let moved = Cursor { planned_to: due.planned_to, ..cursor(&policy, "2026-11-20T03:00:00Z") };
    assert_eq!(due_fires(&policy, Some(&moved), now), CursorStep::Rest);
}

/// What is left of the fires due at `now` if the hours from `since` to `until` of these days are paused.
fn line_paused(now: &str, pauses: &[(&str, &str)]) -> String {
    let policy = policy("nightly");
    let CursorStep::Plan(due) = due_fires(&policy, Some(&cursor(&policy, "2026-11-20T03:00:00Z")), at(now)) else {
        panic!("fires are due");
    };
    let due = due.without_paused(|time| pauses.iter().any(|(since, until)| at(since) <= time && time < at(until)));
    let skipped = due.skipped.map_or("none".to_owned(), |it| format!("{} from {} to {}", it.count, it.from, it.to));
    format!("{}; skipped {skipped}", describe(&CursorStep::Plan(due)))
}

#[test]
fn fires_that_fall_into_a_pause_are_skipped_and_the_cursor_goes_on() {
    let now = "2026-11-23T05:00:00Z";
    let rows = [
        ("nothing", vec![]),
        ("everything", vec![("2026-11-20T00:00:00Z", "2026-11-24T00:00:00Z")]),
        ("the missed ones", vec![("2026-11-20T00:00:00Z", "2026-11-23T00:00:00Z")]),
        ("the one that runs", vec![("2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z")]),
        ("one of the missed", vec![("2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z")]),
        ("one of the missed, and the one that runs", vec![("2026-11-22T00:00:00Z", "2026-11-24T00:00:00Z")]),
    ];
    let lines = rows.iter().map(|(what, pauses)| format!("{what}: {}\n", line_paused(now, pauses)));
    expect![[r#"
        nothing: run 2026-11-23T02:00:00Z (catch-up); missed 2 from 2026-11-21T02:00:00Z to 2026-11-22T02:00:00Z; planned to 2026-11-23T02:00:00Z; skipped none
        everything: run none; missed none; planned to 2026-11-23T02:00:00Z; skipped 3 from 2026-11-21T02:00:00Z to 2026-11-23T02:00:00Z
        the missed ones: run 2026-11-23T02:00:00Z (catch-up); missed none; planned to 2026-11-23T02:00:00Z; skipped 2 from 2026-11-21T02:00:00Z to 2026-11-22T02:00:00Z
        the one that runs: run none; missed 2 from 2026-11-21T02:00:00Z to 2026-11-22T02:00:00Z; planned to 2026-11-23T02:00:00Z; skipped 1 from 2026-11-23T02:00:00Z to 2026-11-23T02:00:00Z
        one of the missed: run 2026-11-23T02:00:00Z (catch-up); missed 2 from 2026-11-21T02:00:00Z to 2026-11-22T02:00:00Z; planned to 2026-11-23T02:00:00Z; skipped none
        one of the missed, and the one that runs: run none; missed 2 from 2026-11-21T02:00:00Z to 2026-11-22T02:00:00Z; planned to 2026-11-23T02:00:00Z; skipped 1 from 2026-11-23T02:00:00Z to 2026-11-23T02:00:00Z
    "#]]
    .assert_eq(&lines.collect::<String>());
    let late = line_paused("2026-11-23T12:00:00Z", &[("2026-11-20T00:00:00Z", "2026-11-24T00:00:00Z")]);
    assert!(late.starts_with("run none; missed none") && late.contains("skipped 3 from"), "{late}");
}
