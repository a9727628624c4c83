//! What is owed after a death, told from every point at which a guard can die.

use super::*;

fn at(nanos: u64) -> Moment {
    Moment::from_nanos(nanos)
}

fn after(events: &[Event]) -> Tally {
    let mut tally = Tally::new(2);
    for event in events {
        tally.hear(*event);
    }
    tally
}

const FREEZING: [Event; 4] = [
    Event::Freezing { mount: 0, at: Moment::from_nanos(1) },
    Event::Frozen { mount: 0, began: Moment::from_nanos(1), done: Moment::from_nanos(2) },
    Event::Freezing { mount: 1, at: Moment::from_nanos(2) },
    Event::Frozen { mount: 1, began: Moment::from_nanos(2), done: Moment::from_nanos(3) },
];

fn thawed(mount: u8, result: Result<(), Errno>) -> Event {
    Event::Thawed { mount, result, began: at(8), done: at(9) }
}

#[test]
fn a_guard_that_died_owes_what_it_froze_in_reverse_and_what_it_was_freezing() {
    assert_eq!(after(&[]).owed(), Vec::<u8>::new());
    assert_eq!(after(&FREEZING[..1]).owed(), [0]);
    assert_eq!(after(&FREEZING[..2]).owed(), [0]);
    assert_eq!(after(&FREEZING[..3]).owed(), [1, 0]);
    assert_eq!(after(&FREEZING).owed(), [1, 0]);
}

#[test]
fn a_mount_that_is_still_being_frozen_is_not_thawed_while_the_guard_may_live() {
    assert_eq!(after(&FREEZING[..3]).owed_and_complete(), [0]);
}

#[test]
fn a_mount_that_could_not_be_frozen_is_not_owed() {
    let busy = Event::FreezeFailed { mount: 1, errno: Errno::BUSY, at: at(3) };
    assert_eq!(after(&[FREEZING[0], FREEZING[1], FREEZING[2], busy]).owed(), [0]);
}

#[test]
fn a_thaw_that_failed_is_still_owed_and_one_of_what_was_not_frozen_is_not() {
    let mut tally = after(&FREEZING);
    tally.hear(thawed(1, Err(Errno::IO)));
    tally.hear(thawed(0, Err(Errno::INVAL)));
    assert_eq!(tally.owed(), [1]);
    tally.hear(thawed(1, Ok(())));
    assert_eq!(tally.owed(), Vec::<u8>::new());
}

#[test]
fn it_is_held_only_while_every_mount_is_frozen_and_none_was_thawed() {
    assert!(!after(&FREEZING[..3]).is_held());
    let mut tally = after(&FREEZING);
    assert!(tally.is_held());
    tally.hear(thawed(1, Ok(())));
    assert!(!tally.is_held());
}

#[test]
fn the_first_cause_stands() {
    let mut tally = after(&[Event::Ended { cause: Cause::Budget, at: at(9) }]);
    tally.hear(Event::Ended { cause: Cause::GuardDied, at: at(10) });
    assert_eq!(tally.ended, Some(Cause::Budget));
}

#[test]
fn a_preparation_is_complete_with_the_last_mount_or_the_first_failure() {
    let prepared = |mount, result| Event::Prepared { mount, result };
    assert_eq!(after(&[prepared(0, Ok(()))]).preparation(), None);
    assert_eq!(after(&[prepared(0, Err(Errno::IO))]).preparation(), Some(Err((0, Errno::IO))));
    assert_eq!(after(&[prepared(0, Ok(())), prepared(1, Ok(()))]).preparation(), Some(Ok(())));
}

#[test]
fn a_message_about_a_mount_that_there_is_not_changes_nothing() {
    assert_eq!(after(&[Event::Freezing { mount: 7, at: at(1) }]), Tally::new(2));
}
