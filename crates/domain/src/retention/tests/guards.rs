//! What guards hold, and that they touch nothing else.

use expect_test::expect;
use jiff::tz::TimeZone;

use super::{LONG_AFTER, at, render, series};
use crate::grade::Grade;
use crate::retention::{
    DeleteLimit, Guard, ImageFacts, Pin, Planned, Usage, Verdict, apply_guards, apply_image_guards, hold_all,
    hold_over_limit, plan_failed, plan_series,
};

const NIGHTS: [&str; 4] = ["2026-06-04T02:00Z", "2026-06-03T02:00Z", "2026-06-02T02:00Z", "2026-06-01T02:00Z"];

fn plan(keep: &str) -> Vec<Planned<usize>> {
    plan_series(&series(&NIGHTS), &keep.parse().unwrap(), &TimeZone::UTC, at(LONG_AFTER))
}

/// An image that nothing holds.
fn free() -> ImageFacts {
    ImageFacts { pin: Pin::Unpinned, usage: Usage::Unused, grade: Some(Grade::Clean), grade_asked: Grade::Clean }
}

#[test]
fn a_guard_holds_what_would_go_and_leaves_the_rest_as_the_rules_said() {
    let mut planned = plan("last=1");
    apply_guards(&mut planned, |id| match id {
        0 | 1 => ImageFacts { pin: Pin::Pinned, ..free() },
        2 => ImageFacts { usage: Usage::InUse { by: vec!["i-0a".to_owned(), "lt-0b".to_owned()] }, ..free() },
        _ => free(),
    });
    expect![[r#"
        #0 2026-06-04T02:00:00Z keep: last 1/1
        #1 2026-06-03T02:00:00Z held: pinned
        #2 2026-06-02T02:00:00Z held: in-use (i-0a, lt-0b)
        #3 2026-06-01T02:00:00Z delete: no rule keeps it
    "#]]
    .assert_eq(&render(&planned));
}

#[test]
fn every_guard_that_holds_an_image_is_listed() {
    let mut planned = plan("last=1");
    apply_guards(&mut planned, |id| match id {
        3 => ImageFacts { pin: Pin::Pinned, usage: Usage::Unknown { why: "denied".to_owned() }, ..free() },
        _ => ImageFacts { grade: Some(Grade::Crash), ..free() },
    });
    expect![[r#"
        #0 2026-06-04T02:00:00Z keep: last 1/1
        #1 2026-06-03T02:00:00Z delete: no rule keeps it
        #2 2026-06-02T02:00:00Z delete: no rule keeps it
        #3 2026-06-01T02:00:00Z held: newest-of-grade + pinned + in-use-unknown (denied)
    "#]]
    .assert_eq(&render(&planned));
}

#[test]
fn the_newest_image_that_is_as_good_as_its_class_asks_is_held() {
    let grades = [None, Some(Grade::Crash), Some(Grade::Offline), Some(Grade::Clean)];
    let mut planned = plan("last=1");
    apply_guards(&mut planned, |id| ImageFacts { grade: grades[*id], ..free() });
    expect![[r#"
        #0 2026-06-04T02:00:00Z keep: last 1/1
        #1 2026-06-03T02:00:00Z delete: no rule keeps it
        #2 2026-06-02T02:00:00Z held: newest-of-grade
        #3 2026-06-01T02:00:00Z delete: no rule keeps it
    "#]]
    .assert_eq(&render(&planned));
}

#[test]
fn an_image_from_the_future_is_neither_the_newest_nor_the_newest_of_its_grade() {
    let now = at("2026-06-03T02:00Z");
    let mut planned = plan_series(&series(&NIGHTS), &"last=1".parse().unwrap(), &TimeZone::UTC, now);
    apply_guards(&mut planned, |id| ImageFacts { grade: (id % 2 == 0).then_some(Grade::Clean), ..free() });
    expect![[r#"
        #0 2026-06-04T02:00:00Z held: from-the-future
        #1 2026-06-03T02:00:00Z keep: last 1/1
        #2 2026-06-02T02:00:00Z held: future-in-series (0) + newest-of-grade
        #3 2026-06-01T02:00:00Z held: future-in-series (0)
    "#]]
    .assert_eq(&render(&planned));
}

#[test]
fn the_newest_is_held_even_if_no_rule_kept_it() {
    let mut planned = plan("last=1");
    planned.remove(0);
    apply_guards(&mut planned, |_| ImageFacts { grade: None, ..free() });
    assert_eq!(planned[0].verdict.held_by(), [Guard::NewestOfSeries]);
    assert_eq!(planned[1].verdict.as_str(), "delete");
}

fn verdicts(planned: &mut [Planned<usize>]) -> impl Iterator<Item = &mut Verdict> {
    planned.iter_mut().map(|image| &mut image.verdict)
}

#[test]
fn more_deletions_than_allowed_delete_nothing() {
    let mut planned = plan("last=1");
    let limit = DeleteLimit { max_deletes: 4, deleted: 2 };
    let over = hold_over_limit(verdicts(&mut planned), limit).unwrap_err();
    assert_eq!(over.to_string(), "3 would be deleted after 2 in the last 24 hours, and max_deletes is 4");
    expect![[r#"
        #0 2026-06-04T02:00:00Z keep: last 1/1
        #1 2026-06-03T02:00:00Z held: max-deletes
        #2 2026-06-02T02:00:00Z held: max-deletes
        #3 2026-06-01T02:00:00Z held: max-deletes
    "#]]
    .assert_eq(&render(&planned));
}

#[test]
fn as_many_deletions_as_allowed_go() {
    let mut planned = plan("last=1");
    assert_eq!(hold_over_limit(verdicts(&mut planned), DeleteLimit { max_deletes: 5, deleted: 2 }), Ok(()));
    assert_eq!(planned.iter().filter(|image| image.verdict.as_str() == "delete").count(), 3);
}

#[test]
fn what_another_guard_holds_does_not_count_towards_max_deletes() {
    let mut planned = plan("last=1");
    apply_guards(&mut planned, |id| ImageFacts { pin: if *id == 1 { Pin::Pinned } else { Pin::Unpinned }, ..free() });
    assert_eq!(hold_over_limit(verdicts(&mut planned), DeleteLimit { max_deletes: 2, deleted: 0 }), Ok(()));
    assert_eq!(planned[1].verdict.held_by(), [Guard::Pinned]);
}

#[test]
fn a_limit_that_was_lowered_below_what_went_already_lets_nothing_go_and_an_empty_plan_is_within_it() {
    let limit = DeleteLimit { max_deletes: 1, deleted: 9 };
    assert!(hold_over_limit(verdicts(&mut plan("last=1")), limit).is_err());
    assert_eq!(hold_over_limit(verdicts(&mut plan("last=-1")), limit), Ok(()));
}

#[test]
fn the_default_limit_is_twenty_and_twice_the_images_of_a_day() {
    assert_eq!(DeleteLimit::default_max(0), 20);
    assert_eq!(DeleteLimit::default_max(500), 1020);
    assert_eq!(DeleteLimit::default_max(u32::MAX), u32::MAX);
}

#[test]
fn everything_of_a_policy_that_is_gone_is_held() {
    expect![[r#"
        #0 2026-06-04T02:00:00Z held: policy-gone
        #1 2026-06-03T02:00:00Z held: policy-gone
        #2 2026-06-02T02:00:00Z held: policy-gone
        #3 2026-06-01T02:00:00Z held: policy-gone
    "#]]
    .assert_eq(&render(&hold_all(&series(&NIGHTS), &Guard::PolicyGone)));
}

#[test]
fn a_failed_image_goes_once_a_newer_one_has_succeeded() {
    let failed = series(&["2026-06-05T02:00Z", "2026-06-04T02:00Z", "2026-06-03T12:00Z"]);
    expect![[r#"
        #0 2026-06-05T02:00:00Z held: no-newer-success
        #1 2026-06-04T02:00:00Z held: no-newer-success
        #2 2026-06-03T12:00:00Z delete: it failed, and 0 is newer and succeeded
    "#]]
    .assert_eq(&render(&plan_failed(&failed, &plan("last=1"))));
    expect![[r#"
        #0 2026-06-05T02:00:00Z held: no-newer-success
        #1 2026-06-04T02:00:00Z held: no-newer-success
        #2 2026-06-03T12:00:00Z held: no-newer-success
    "#]]
    .assert_eq(&render(&plan_failed(&failed, &[])));
}

#[test]
fn a_failed_image_is_held_by_pin_and_use_and_while_its_series_has_an_image_from_the_future() {
    let failed = series(&["2026-06-02T12:00Z", "2026-06-01T12:00Z"]);
    let mut planned = plan_failed(&failed, &plan("last=1"));
    apply_image_guards(&mut planned, |id| ImageFacts {
        pin: if *id == 1 { Pin::Pinned } else { Pin::Unpinned },
        ..free()
    });
    expect![[r#"
        #0 2026-06-02T12:00:00Z delete: it failed, and 0 is newer and succeeded
        #1 2026-06-01T12:00:00Z held: pinned
    "#]]
    .assert_eq(&render(&planned));

    let now = at("2026-06-03T02:00Z");
    let series_now = plan_series(&series(&NIGHTS), &"last=1".parse().unwrap(), &TimeZone::UTC, now);
    expect![[r#"
        #0 2026-06-02T12:00:00Z held: future-in-series (0)
        #1 2026-06-01T12:00:00Z held: future-in-series (0)
    "#]]
    .assert_eq(&render(&plan_failed(&failed, &series_now)));
}
