//! What is said of a hold, for each way in which one can end.

use super::*;
use crate::tally::Thaw;

fn at(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

fn seen(freezing: u64, frozen: u64, thaw: Result<(), Errno>, began: u64, done: u64) -> Seen {
    Seen {
        prepared: None,
        freezing: Some(at(freezing)),
        frozen: Some(at(frozen)),
        failed: None,
        thaw: Some(Thaw { result: thaw, began: at(began), done: at(done) }),
    }
}

fn report(mounts: &[Seen], ended: Cause) -> HoldReport {
    let tally = Tally { mounts: mounts.to_vec(), ended: Some(ended), ..Tally::new(0) };
    let open: Vec<OpenMount> = mounts.iter().map(|_| OpenMount::of_nothing("/data")).collect();
    HoldReport::new(&tally, &open, &Anchor::at("2026-11-01T00:00:00Z".parse().unwrap()))
}

#[test]
fn the_stall_is_the_longest_of_any_mount_and_the_hold_what_all_have_in_common() {
    let report = report(&[seen(0, 30, Ok(()), 520, 525), seen(31, 60, Ok(()), 500, 519)], Cause::Told);
    assert_eq!(report.stall, Some(Duration::from_millis(525)));
    let held = report.held_until.unwrap().duration_since(report.held_from.unwrap());
    assert_eq!(held.as_millis(), 440);
    assert!(report.is_unbroken() && report.proves_hold());
}

#[test]
fn a_mount_that_somebody_else_thawed_breaks_the_hold() {
    let broken = report(&[seen(0, 1, Ok(()), 9, 9), seen(1, 2, Err(Errno::INVAL), 8, 8)], Cause::Told);
    assert_eq!(broken.mounts[1].end, MountEnd::ThawedByOthers);
    assert!(!broken.is_unbroken() && !broken.proves_hold());
    assert_eq!(broken.left_frozen(), Vec::<&Path>::new());
}

#[test]
fn a_hold_that_ran_into_its_budget_was_unbroken_but_proves_nothing() {
    let report = report(&[seen(0, 1, Ok(()), 9, 9)], Cause::Budget);
    assert!(report.is_unbroken() && !report.proves_hold());
}

#[test]
fn a_mount_that_cannot_be_thawed_is_named() {
    let report = report(&[seen(0, 1, Err(Errno::IO), 9, 9)], Cause::Told);
    assert_eq!(report.left_frozen(), [Path::new("/data")]);
    assert_eq!(report.mounts[0].thawed_at, None);
    assert_eq!(report.stall, None);
}

#[test]
fn a_freeze_that_failed_is_no_hold() {
    let failed = Seen { failed: Some(Errno::BUSY), thaw: None, frozen: None, ..seen(2, 3, Ok(()), 4, 4) };
    let report = report(&[seen(0, 1, Ok(()), 4, 5), failed], Cause::FreezeFailed);
    assert_eq!(report.mounts[1].end, MountEnd::NotFrozen(Errno::BUSY));
    assert_eq!((report.held_from, report.held_until), (None, None));
    assert!(!report.is_unbroken());
}

#[test]
fn mounts_that_were_never_frozen_at_the_same_time_have_no_common_hold() {
    let report = report(&[seen(0, 1, Ok(()), 10, 11), seen(1, 20, Ok(()), 21, 22)], Cause::Budget);
    assert_eq!((report.held_from, report.held_until), (None, None));
}

#[test]
fn a_guard_that_said_nothing_of_a_freeze_that_it_began_leaves_it_unproved() {
    let begun = Seen { frozen: None, ..seen(0, 0, Ok(()), 5, 6) };
    let report = report(&[begun], Cause::GuardDied);
    assert!(!report.is_unbroken());
}
