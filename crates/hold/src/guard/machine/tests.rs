//! The machine in a world of lists: every order of events, and what must hold in all of them.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

#[derive(Default)]
struct World {
    now: Moment,
    work: VecDeque<Work>,
    frozen: Vec<u8>,
    thawed: Vec<u8>,
    told: Vec<Event>,
}

impl Effects for World {
    fn now(&mut self) -> Moment {
        self.now
    }

    fn start(&mut self, work: Work) {
        assert!(self.work.is_empty(), "the second thread has one thing to do at a time");
        self.work.push_back(work);
    }

    fn thaw(&mut self, mount: u8) -> Result<(), Errno> {
        let at = self.frozen.iter().position(|frozen| *frozen == mount).expect("only what is frozen is thawed");
        self.frozen.remove(at);
        self.thawed.push(mount);
        Ok(())
    }

    fn tell(&mut self, event: Event) {
        self.told.push(event);
    }
}

fn moment(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

impl World {
    /// The second thread ends what it was given.
    fn finish_work(&mut self, machine: &mut Machine, result: Result<(), Errno>) {
        let Some(work) = self.work.pop_front() else { return };
        let (began, done) = (self.now, self.now);
        let answer = match (work, result) {
            (Work::Prepare(mount), result) => Event::Prepared { mount, result },
            (Work::Freeze(mount), Ok(())) => {
                self.frozen.push(mount);
                Event::Frozen { mount, began, done }
            }
            (Work::Freeze(mount), Err(errno)) => Event::FreezeFailed { mount, errno, at: done },
        };
        machine.worked(Some(answer), self);
    }

    fn story(&self) -> String {
        let mut story = String::new();
        for event in &self.told {
            let line = match event {
                Event::Freezing { mount, .. } => format!("freezing {mount}"),
                Event::Frozen { mount, .. } => format!("frozen {mount}"),
                Event::FreezeFailed { mount, errno, .. } => format!("not frozen {mount}: {errno:?}"),
                Event::Thawed { mount, .. } => format!("thawed {mount}"),
                Event::Prepared { mount, result } => format!("prepared {mount} {result:?}"),
                Event::Ended { cause, .. } => format!("ended: {}", cause.as_str()),
                other => format!("{other:?}"),
            };
            writeln!(story, "{line}").unwrap();
        }
        story
    }
}

const FREEZE: Option<Request> = Some(Request::Freeze { thaw_by: Moment::from_nanos(1_000_000_000) });

fn check(mounts: u8, script: impl FnOnce(&mut Machine, &mut World), expected: &Expect) {
    let (mut machine, mut world) = (Machine::new(mounts), World::default());
    script(&mut machine, &mut world);
    expected.assert_eq(&world.story());
    assert_eq!(world.frozen, Vec::<u8>::new());
    assert!(machine.is_done());
}

#[test]
fn mounts_freeze_in_their_order_and_thaw_in_reverse() {
    check(
        3,
        |machine, world| {
            machine.asked(FREEZE, world);
            for _ in 0..3 {
                world.finish_work(machine, Ok(()));
            }
            machine.asked(Some(Request::Thaw), world);
        },
        &expect![[r#"
            freezing 0
            frozen 0
            freezing 1
            frozen 1
            freezing 2
            frozen 2
            thawed 2
            thawed 1
            thawed 0
            ended: told to thaw
        "#]],
    );
}

#[test]
fn a_mount_that_cannot_be_frozen_thaws_those_before_it_and_is_not_thawed_itself() {
    check(
        3,
        |machine, world| {
            machine.asked(FREEZE, world);
            world.finish_work(machine, Ok(()));
            world.finish_work(machine, Ok(()));
            world.finish_work(machine, Err(Errno::BUSY));
        },
        &expect![[r#"
            freezing 0
            frozen 0
            freezing 1
            frozen 1
            freezing 2
            not frozen 2: Os { code: 16, kind: ResourceBusy, message: "Device or resource busy" }
            thawed 1
            thawed 0
            ended: a mount could not be frozen
        "#]],
    );
}

#[test]
fn the_budget_thaws_the_first_mount_while_the_second_is_still_being_frozen() {
    check(
        2,
        |machine, world| {
            machine.asked(FREEZE, world);
            world.finish_work(machine, Ok(()));
            world.now = moment(1_000);
            machine.clock(world);
            assert_eq!(world.thawed, [0], "the first does not wait for the second");
            world.finish_work(machine, Ok(()));
        },
        &expect![[r#"
            freezing 0
            frozen 0
            freezing 1
            thawed 0
            frozen 1
            thawed 1
            ended: the budget was used up
        "#]],
    );
}

#[test]
fn a_freeze_that_lasts_longer_than_the_budget_is_thawed_as_soon_as_it_is_there() {
    check(
        2,
        |machine, world| {
            machine.asked(FREEZE, world);
            world.now = moment(1_500);
            world.finish_work(machine, Ok(()));
        },
        &expect![[r#"
            freezing 0
            frozen 0
            thawed 0
            ended: the budget was used up
        "#]],
    );
}

#[test]
fn nothing_is_frozen_by_an_order_that_comes_too_late() {
    let too_late = |machine: &mut Machine, world: &mut World| {
        world.now = moment(1_000);
        machine.asked(FREEZE, world);
    };
    check(1, too_late, &expect![["ended: the order to freeze came too late\n"]]);
}

#[test]
fn a_parent_that_dies_in_a_freeze_leaves_nothing_frozen() {
    check(
        2,
        |machine, world| {
            machine.asked(FREEZE, world);
            machine.end(Cause::ParentGone, world);
            world.finish_work(machine, Ok(()));
        },
        &expect![[r#"
            freezing 0
            frozen 0
            thawed 0
            ended: the daemon was gone
        "#]],
    );
}

#[test]
fn an_order_that_makes_no_sense_thaws() {
    check(
        1,
        |machine, world| {
            machine.asked(FREEZE, world);
            world.finish_work(machine, Ok(()));
            machine.asked(FREEZE, world);
        },
        &expect![[r#"
            freezing 0
            frozen 0
            thawed 0
            ended: the guard was told what makes no sense
        "#]],
    );
}

#[test]
fn a_preparation_stops_at_the_first_mount_that_takes_no_writes_and_can_be_repeated() {
    check(
        2,
        |machine, world| {
            machine.asked(Some(Request::Prepare), world);
            world.finish_work(machine, Err(Errno::IO));
            machine.asked(Some(Request::Prepare), world);
            world.finish_work(machine, Ok(()));
            world.finish_work(machine, Ok(()));
            machine.asked(Some(Request::Thaw), world);
        },
        &expect![[r#"
            prepared 0 Err(Os { code: 5, kind: Uncategorized, message: "Input/output error" })
            prepared 0 Ok(())
            prepared 1 Ok(())
            ended: told to thaw
        "#]],
    );
}

#[derive(Debug, Clone)]
enum Happening {
    Asked(Option<Request>),
    Worked(Result<(), Errno>),
    Passed(u64),
    Ended(Cause),
}

fn happenings() -> impl Strategy<Value = Happening> {
    let result = prop_oneof![4 => Just(Ok(())), 1 => Just(Err(Errno::BUSY))];
    prop_oneof![
        3 => Just(Happening::Asked(FREEZE)),
        1 => Just(Happening::Asked(Some(Request::Prepare))),
        1 => Just(Happening::Asked(Some(Request::Thaw))),
        1 => Just(Happening::Asked(None)),
        8 => result.prop_map(Happening::Worked),
        3 => (0..600_u64).prop_map(Happening::Passed),
        1 => Just(Happening::Ended(Cause::ParentGone)),
        1 => Just(Happening::Ended(Cause::Signal)),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_all_that_was_frozen_is_thawed_and_nothing_else(
        mounts in 1..5_u8, happenings in proptest::collection::vec(happenings(), 0..40)
    ) {
        let (mut machine, mut world) = (Machine::new(mounts), World::default());
        for happening in happenings {
            match happening {
                Happening::Asked(request) => machine.asked(request, &mut world),
                Happening::Worked(result) => world.finish_work(&mut machine, result),
                Happening::Passed(millis) => {
                    world.now = world.now + Duration::from_millis(millis);
                    machine.clock(&mut world);
                }
                Happening::Ended(cause) => machine.end(cause, &mut world),
            }
            let over = machine.alarm().is_some_and(|alarm| alarm <= world.now);
            prop_assert!(!over, "nothing is held past its time");
            let frozen = world.told.iter().filter(|event| matches!(event, Event::Frozen { .. })).count();
            prop_assert_eq!(frozen, world.thawed.len() + world.frozen.len());
        }
        machine.end(Cause::ParentGone, &mut world);
        let pending_freeze = matches!(world.work.front(), Some(Work::Freeze(_)));
        prop_assert!(world.frozen.is_empty(), "what is frozen at the end is thawed at the end");
        world.finish_work(&mut machine, Ok(()));
        prop_assert!(machine.is_done());
        prop_assert!(world.frozen.is_empty(), "a freeze under way {pending_freeze}");
        let ends = world.told.iter().filter(|event| matches!(event, Event::Ended { .. })).count();
        prop_assert_eq!(ends, 1);
        let ends_last = matches!(world.told.last(), Some(Event::Ended { .. }));
        prop_assert!(ends_last);
    }
}
