//! The decision table.

use super::*;
use crate::class::{RebootWindow, built_in};
use crate::fixture::{at, freeze, instance, policy};
use crate::instance::AUTO_SCALING_TAG;
use jiff::civil::{Time, Weekday};

/// One row: an instance of policy `nightly`, planned for 02:00, asked about at `now`.
struct Row {
    policy: Policy,
    classes: BTreeMap<ClassName, Class>,
    freezes: BTreeMap<FreezeName, Freeze>,
    instance: Instance,
    asked: Option<Consistency>,
    now: Timestamp,
}

impl Row {
    fn new(class: &str) -> Self {
        let mut policy = policy("nightly");
        policy.class = class.parse().unwrap();
        let now = at("2026-11-22T02:00:00Z");
        let freezes = BTreeMap::from([("db".parse().unwrap(), freeze("db"))]);
        Self { policy, classes: built_in(), freezes, instance: instance(1), asked: None, now }
    }

    fn state(mut self, state: InstanceState) -> Self {
        self.instance.state = state;
        self
    }

    fn tag(mut self, key: &str, value: &str) -> Self {
        self.instance.tags.insert(key.to_owned(), value.to_owned());
        self
    }

    fn at(mut self, time: &str) -> Self {
        self.now = at(time);
        self
    }

    fn asked(mut self, asked: Consistency) -> Self {
        self.asked = Some(asked);
        self
    }

    fn class(mut self, change: impl FnOnce(&mut Class)) -> Self {
        change(self.classes.get_mut(&self.policy.class).unwrap());
        self
    }

    fn decide(&self) -> Decision {
        let scheduled_at = at("2026-11-22T02:00:00Z");
        decide(&Question {
            policy: &self.policy,
            classes: &self.classes,
            freezes: &self.freezes,
            facts: Facts::Seen(&self.instance),
            window: self.policy.start_window(&self.instance.id, scheduled_at),
            asked: self.asked,
            now: self.now,
        })
    }

    /// `mode, expected grade, reason`, or what else it came to, in one line.
    fn line(&self) -> String {
        match self.decide() {
            Decision::Capture(it) => format!("{} {}: {}", it.mode, it.expected, it.reason),
            Decision::Wait { until: Some(until), reason } => format!("wait until {until}: {reason}"),
            Decision::Wait { until: None, reason } => format!("wait: {reason}"),
            Decision::Skip(reason) => format!("skip: {}", reason.as_str()),
            Decision::Fail(error) => format!("fail: {}", error.code),
        }
    }
}

fn sunday_window() -> RebootWindow {
    let (from, to) = (Time::constant(1, 0, 0, 0), Time::constant(5, 0, 0, 0));
    RebootWindow { days: vec![Weekday::Sunday], from, to }
}

#[test]
fn every_built_in_class_gets_the_mode_of_the_contract() {
    for (class, want) in [
        ("production-database", "reboot clean: class production-database"),
        ("stateful", "reboot clean: class stateful"),
        ("golden-image", "reboot clean: class golden-image"),
        ("production-migration", "reboot clean: class production-migration"),
        ("regulated", "reboot clean: class regulated"),
        ("critical", "fail: freeze_missing"),
        ("development", "no-reboot crash: class development"),
        ("stateless", "no-reboot crash: class stateless"),
        ("always-on", "no-reboot crash: class always-on"),
        ("config-test", "no-reboot crash: class config-test"),
        ("temporary", "no-reboot crash: class temporary"),
    ] {
        assert_eq!(Row::new(class).line(), want, "{class}");
    }
}

#[test]
fn states_are_judged_before_modes() {
    let stopped = "no-reboot offline: the instance is stopped, so nothing needs a reboot";
    for (state, want) in [
        (InstanceState::Pending, "wait: the instance is pending"),
        (InstanceState::Running, "reboot clean: class regulated"),
        (InstanceState::Stopping, "wait: the instance is stopping"),
        (InstanceState::Stopped, stopped),
        (InstanceState::ShuttingDown, "skip: terminated"),
        (InstanceState::Terminated, "skip: terminated"),
    ] {
        assert_eq!(Row::new("regulated").state(state).line(), want, "{state}");
    }
}

#[test]
fn an_instance_that_is_gone_is_skipped() {
    let row = Row::new("stateful");
    let window = row.policy.start_window(&row.instance.id, row.now);
    let (policy, classes) = (&row.policy, &row.classes);
    let freezes = &row.freezes;
    let decision =
        decide(&Question { policy, classes, freezes, facts: Facts::Gone, window, asked: None, now: row.now });
    assert_eq!(decision, Decision::Skip(SkipReason::Vanished));
}

#[test]
fn an_instance_store_root_fails_even_when_stopped() {
    let mut row = Row::new("stateless").state(InstanceState::Stopped);
    row.instance.root_device = RootDevice::InstanceStore;
    assert_eq!(row.line(), "fail: instance_store_root");
}

#[test]
fn a_hibernated_instance_is_graded_crash() {
    let mut row = Row::new("production-database").state(InstanceState::Stopped);
    row.instance.hibernation = Hibernation::Hibernated;
    assert!(row.line().starts_with("no-reboot crash: the instance is hibernated"), "{}", row.line());
}

#[test]
fn a_stopped_instance_needs_no_window() {
    let row =
        Row::new("regulated").state(InstanceState::Stopped).class(|class| class.reboot_window = Some(sunday_window()));
    assert!(row.at("2026-11-22T06:00:00Z").line().starts_with("no-reboot offline"));
}

#[test]
fn a_strict_class_asks_that_a_stopped_instance_stays_stopped() {
    for (class, want) in [("regulated", Some(Grade::Clean)), ("development", None)] {
        let Decision::Capture(capture) = Row::new(class).state(InstanceState::Stopped).decide() else {
            panic!("{class}")
        };
        assert_eq!(capture.grade_min, want, "{class}");
    }
}

#[test]
fn class_tags_are_obeyed_only_where_the_policy_allows_them() {
    for (tag, want) in [
        ("stateless", "no-reboot crash: class stateless"),
        ("production-database", "reboot clean: class production-database"),
        ("development", "fail: class_tag_not_allowed"),
        ("no-such-class", "fail: class_tag_unknown"),
        ("", "fail: class_tag_unknown"),
        ("Stateless", "fail: class_tag_unknown"),
    ] {
        assert_eq!(Row::new("production-database").tag(CLASS_TAG, tag).line(), want, "{tag}");
    }
}

#[test]
fn a_reboot_without_a_window_is_blocked_an_hour_after_its_time() {
    for (now, want) in
        [("2026-11-22T03:00:00Z", "reboot clean: class stateful"), ("2026-11-22T03:00:00.001Z", "fail: reboot_blocked")]
    {
        assert_eq!(Row::new("stateful").at(now).line(), want, "{now}");
    }
}

#[test]
fn the_hour_counts_from_the_start_of_this_instance() {
    let mut row = Row::new("stateful").at("2026-11-22T03:00:01Z");
    row.policy.jitter = SignedDuration::from_mins(59);
    let delay = row.policy.start_window(&row.instance.id, at("2026-11-22T02:00:00Z")).start_at;
    assert!(at("2026-11-22T02:00:01Z") < delay, "the fixture needs an instance with a delay");
    assert_eq!(row.line(), "reboot clean: class stateful");
}

#[test]
fn a_window_replaces_the_one_hour_rule() {
    // 22 November 2026 is a Sunday.
    let row = || Row::new("stateful").class(|class| class.reboot_window = Some(sunday_window()));
    assert_eq!(row().at("2026-11-22T04:59:00Z").line(), "reboot clean: class stateful");
    assert_eq!(row().at("2026-11-22T05:00:00Z").line(), "fail: reboot_blocked");
}

#[test]
fn a_blocked_mode_does_what_the_class_says() {
    let late = "a reboot would be 120 min late, and at most 60 is allowed";
    for (if_blocked, want) in [
        (IfBlocked::Fail, "fail: reboot_blocked".to_owned()),
        (IfBlocked::NoReboot, format!("no-reboot crash: {late}, and the class falls back to no-reboot")),
        (IfBlocked::Wait, format!("wait: {late}")),
    ] {
        let row = Row::new("stateful").class(|class| class.if_blocked = if_blocked).at("2026-11-22T04:00:00Z");
        assert_eq!(row.line(), want);
    }
}

#[test]
fn a_blocked_reboot_says_what_to_do_about_it() {
    let row = || Row::new("stateful").at("2026-11-22T05:00:00Z");
    for (row, want) in [
        (row(), "give class stateful a reboot_window"),
        (row().class(|class| class.reboot_window = Some(sunday_window())), "widen reboot_window of class stateful"),
        (row().tag(AUTO_SCALING_TAG, "web"), "set reboot_in_asg = true in class stateful"),
    ] {
        let Decision::Fail(error) = row.decide() else { panic!("it is blocked") };
        assert!(error.next_step.contains(want), "{}", error.next_step);
    }
}

#[test]
fn regulated_never_falls_back_even_if_its_class_says_so() {
    let row = Row::new("regulated").class(|class| class.if_blocked = IfBlocked::NoReboot);
    assert_eq!(row.at("2026-11-22T04:00:00Z").line(), "fail: reboot_blocked");
    assert_eq!(Row::new("regulated").asked(Consistency::NoReboot).line(), "fail: consistency_not_allowed");
}

#[test]
fn waiting_for_a_window_says_when_it_opens() {
    let row = Row::new("stateful").class(|class| {
        class.if_blocked = IfBlocked::Wait;
        class.reboot_window = Some(sunday_window());
        class.reboot_window.as_mut().unwrap().from = Time::constant(4, 0, 0, 0);
    });
    assert_eq!(row.line(), "wait until 2026-11-22T04:00:00Z: a reboot is allowed only within Sun 04:00-05:00");
}

#[test]
fn a_member_of_an_auto_scaling_group_is_not_rebooted_unless_its_class_says_so() {
    let row = || Row::new("stateful").tag(AUTO_SCALING_TAG, "web");
    assert_eq!(row().line(), "fail: reboot_blocked");
    assert_eq!(row().class(|class| class.reboot_in_asg = AsgReboot::Allowed).line(), "reboot clean: class stateful");
    assert_eq!(Row::new("stateless").tag(AUTO_SCALING_TAG, "web").line(), "no-reboot crash: class stateless");
}

#[test]
fn no_capture_begins_after_start_within() {
    for state in [InstanceState::Running, InstanceState::Stopped, InstanceState::Pending] {
        let row = |now| Row::new("stateless").state(state).at(now);
        assert!(!row("2026-11-22T08:00:00Z").line().starts_with("fail"), "{state}");
        assert_eq!(row("2026-11-22T08:00:00.001Z").line(), "fail: start_within_passed", "{state}");
    }
}

#[test]
fn what_a_late_job_waited_for_is_named() {
    let row = Row::new("stateless").state(InstanceState::Stopping).at("2026-11-22T09:00:00Z");
    let Decision::Fail(error) = row.decide() else { panic!("it is late") };
    assert!(error.message.ends_with("the instance is stopping"), "{}", error.message);
    // What is in the way of a reboot is in nobody's way who is imaged without one.
    let (late, none) =
        ("08:00:00Z: a reboot would be 420 min late, and at most 60 is allowed", "after 2026-11-22T08:00:00Z");
    for (class, asked, want) in [
        ("stateful", None, late),
        ("stateful", Some(Consistency::NoReboot), none),
        ("stateless", None, none),
        ("stateless", Some(Consistency::Reboot), late),
    ] {
        let row = Row { asked, ..Row::new(class).at("2026-11-22T09:00:00Z") };
        let Decision::Fail(error) = row.decide() else { panic!("it is late") };
        assert!(error.message.ends_with(want), "{class} {asked:?}: {}", error.message);
    }
}

#[test]
fn an_operator_may_ask_for_another_mode() {
    let row = Row::new("production-database").asked(Consistency::NoReboot);
    assert_eq!(row.line(), "no-reboot crash: asked for by the operator");
    let row = Row::new("development").asked(Consistency::Reboot);
    assert_eq!(row.line(), "reboot clean: asked for by the operator");
}

fn frozen(if_blocked: IfBlocked) -> impl FnOnce(&mut Class) {
    move |class| {
        class.freeze = Some("db".parse().unwrap());
        class.consistency = Consistency::Freeze;
        class.if_blocked = if_blocked;
    }
}

#[test]
fn a_class_with_a_freeze_is_held_still_and_accepts_less_only_if_it_says_so() {
    for (class, if_blocked, want) in [
        ("critical", IfBlocked::Fail, Some(Grade::Filesystem)),
        ("critical", IfBlocked::Wait, Some(Grade::Filesystem)),
        ("critical", IfBlocked::NoReboot, None),
        ("regulated", IfBlocked::NoReboot, Some(Grade::Filesystem)),
    ] {
        let Decision::Capture(capture) = Row::new(class).class(frozen(if_blocked)).decide() else { panic!("{class}") };
        assert_eq!((capture.mode, capture.expected), (Consistency::Freeze, Grade::Filesystem), "{class}");
        assert_eq!(capture.grade_min, want, "{class} {if_blocked:?}");
        let order = capture.hold.unwrap();
        assert_eq!(order.if_blocked == IfBlocked::NoReboot, want.is_none(), "{class} {if_blocked:?}");
    }
}

#[test]
fn a_stopped_instance_needs_no_freeze() {
    let row = Row::new("critical").class(frozen(IfBlocked::Fail)).state(InstanceState::Stopped);
    let Decision::Capture(capture) = row.decide() else { panic!() };
    assert_eq!((capture.mode, capture.expected, capture.hold), (Consistency::NoReboot, Grade::Offline, None));
}

#[test]
fn an_instance_that_cannot_be_held_still_is_blocked_like_any_other() {
    let window = StartWindow { start_at: at("2026-11-22T02:00:00Z"), start_by: at("2026-11-22T02:30:00Z") };
    let class: ClassName = "critical".parse().unwrap();
    let now = at("2026-11-22T02:15:00Z");
    let ask = |if_blocked, now| {
        let order = HoldOrder { freeze: freeze("db"), if_blocked };
        decide_not_held(&order, &class, window, "`/data` is not there", now)
    };
    let NotHeld::FallBack(reason) = ask(IfBlocked::NoReboot, now) else { panic!() };
    assert!(reason.to_string().starts_with("the instance could not be held still: `/data` is not there"), "{reason}");
    let NotHeld::Wait { retry_at, .. } = ask(IfBlocked::Wait, now) else { panic!() };
    assert_eq!(retry_at, at("2026-11-22T02:25:00Z"));
    // The window would have closed by then.
    for (if_blocked, now) in [(IfBlocked::Wait, at("2026-11-22T02:25:00Z")), (IfBlocked::Fail, now)] {
        let NotHeld::Fail(error) = ask(if_blocked, now) else { panic!() };
        assert_eq!(error.code, "freeze_failed");
    }
}
