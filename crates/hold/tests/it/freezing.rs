//! Holds that end well, and holds in which somebody dies: writes stop, and flow again.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use amikeep_hold::{Cause, Guard, GuardProgram, Hold, HoldError, Moment, MountEnd, Step};
use rustix::process::{Signal, kill_process};

use crate::bench::{BOTH, Bench, FIXTURE, Fs, PATIENCE, fsfreeze, is_thawed, program, some_time};
use crate::dying::Daemon;
use crate::server::pid;
use crate::writer::Writer;

/// Beyond every test: what ends a hold in these tests is something else.
const NO_END: Duration = Duration::from_mins(1);

fn signal_guard(hold: &Hold, signal: Signal) {
    kill_process(pid(hold.guard_pid().unwrap()), signal).unwrap();
}

fn writers(bench: &Bench) -> Vec<Writer> {
    bench.mounts.iter().map(|mount| Writer::on(mount)).collect()
}

fn assert_still(writers: &[Writer]) {
    let since = Moment::now();
    assert!(
        writers.iter().all(|writer| writer.is_still(since)),
        "a write was acknowledged while its file system was frozen"
    );
}

fn assert_flowing(writers: &[Writer], bench: &Bench) {
    assert!(writers.iter().all(Writer::flows_again), "writes do not flow again");
    assert!(bench.mounts.iter().all(|mount| is_thawed(mount)));
}

#[test]
fn writes_to_two_file_systems_stop_together_and_flow_again_when_told() {
    let Some(bench) = Bench::with(&BOTH) else { return };
    let writers = writers(&bench);
    let hold = bench.guard().freeze(NO_END, some_time()).unwrap();
    assert_still(&writers);
    assert!(hold.is_held());
    let report = hold.thaw();
    assert_flowing(&writers, &bench);
    assert!(report.proves_hold(), "{report:?}");
    assert_eq!(report.mounts.iter().map(|mount| mount.fs_type.as_str()).collect::<Vec<_>>(), ["xfs", "ext4"]);
    let (first, second) = (&report.mounts[0], &report.mounts[1]);
    assert!(first.frozen_at <= second.frozen_at && second.thawed_at <= first.thawed_at, "reverse order: {report:?}");
    assert_eq!(report.held_from, second.frozen_at);
    assert!(report.stall >= first.stall && report.stall >= Some(Duration::from_millis(300)));
}

#[test]
fn writes_flow_again_at_the_budget_though_nobody_says_so() {
    let Some(bench) = Bench::with(&BOTH) else { return };
    let writers = writers(&bench);
    let budget = Duration::from_secs(4);
    let hold = bench.guard().freeze(budget, some_time()).unwrap();
    assert_still(&writers);
    assert_eq!(hold.wait_for_end(PATIENCE), Some(Cause::Budget));
    assert_flowing(&writers, &bench);
    assert!(!hold.is_held());
    let report = hold.thaw();
    assert_eq!(report.cause, Cause::Budget);
    assert!(report.is_unbroken() && !report.proves_hold());
    let held = report.held_until.unwrap().duration_since(some_time());
    assert!(held.as_millis() >= 3990, "thawed before the budget: {report:?}");
}

#[test]
fn the_daemon_thaws_at_once_when_its_guard_is_killed() {
    let Some(bench) = Bench::with(&BOTH) else { return };
    let writers = writers(&bench);
    let hold = bench.guard().freeze(NO_END, some_time()).unwrap();
    assert_still(&writers);
    signal_guard(&hold, Signal::KILL);
    assert_flowing(&writers, &bench);
    assert_eq!(hold.wait_for_end(PATIENCE), Some(Cause::GuardDied));
    let report = hold.thaw();
    assert_eq!(report.cause, Cause::GuardDied);
    assert!(report.is_unbroken() && !report.proves_hold());
}

#[test]
fn a_guard_that_is_asked_to_stop_thaws_first() {
    let Some(bench) = Bench::with(&[Fs::Ext4]) else { return };
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let writers = writers(&bench);
        let hold = bench.guard().freeze(NO_END, some_time()).unwrap();
        assert_still(&writers);
        signal_guard(&hold, signal);
        assert_flowing(&writers, &bench);
        assert_eq!(hold.thaw().cause, Cause::Signal);
    }
}

#[test]
fn a_guard_that_is_stopped_is_killed_and_its_parent_thaws() {
    let Some(bench) = Bench::with(&BOTH) else { return };
    let writers = writers(&bench);
    // Long enough for the freeze and for the signal to arrive, on a machine that is busy.
    let hold = bench.guard().freeze(Duration::from_secs(4), some_time()).unwrap();
    signal_guard(&hold, Signal::STOP);
    assert_eq!(hold.wait_for_end(PATIENCE), Some(Cause::GuardSilent));
    assert_flowing(&writers, &bench);
    assert_eq!(hold.thaw().left_frozen(), Vec::<&Path>::new());
}

#[test]
fn a_guard_that_does_not_answer_a_thaw_is_killed_and_its_parent_thaws() {
    let Some(bench) = Bench::with(&[Fs::Xfs]) else { return };
    let hold = bench.guard().freeze(NO_END, some_time()).unwrap();
    signal_guard(&hold, Signal::STOP);
    let report = hold.thaw();
    assert_eq!((report.cause, report.mounts[0].end), (Cause::GuardSilent, MountEnd::Thawed));
    assert!(is_thawed(bench.mount(0)));
}

#[test]
fn a_hold_that_is_dropped_is_thawed() {
    let Some(bench) = Bench::with(&[Fs::Xfs]) else { return };
    let hold = bench.guard().freeze(NO_END, some_time()).unwrap();
    assert!(!is_thawed(bench.mount(0)));
    drop(hold);
    assert!(is_thawed(bench.mount(0)));
}

#[test]
fn a_mount_that_somebody_else_froze_is_never_thawed_by_us_and_those_before_it_are() {
    let Some(bench) = Bench::with(&BOTH) else { return };
    let writer = Writer::on(bench.mount(0));
    let guard = bench.guard();
    assert!(fsfreeze("--freeze", bench.mount(1)));
    let report = guard.freeze(NO_END, some_time()).unwrap_err().report;
    assert!(writer.flows_again());
    assert!(!is_thawed(bench.mount(1)), "their freeze is still there");
    assert_eq!(report.cause, Cause::FreezeFailed);
    assert_eq!(report.mounts[0].end, MountEnd::Thawed);
    assert!(matches!(report.mounts[1].end, MountEnd::NotFrozen(errno) if errno == rustix::io::Errno::BUSY));
    assert!(!report.is_unbroken());
    assert!(fsfreeze("--unfreeze", bench.mount(1)));
}

#[test]
fn a_hold_that_somebody_else_thawed_is_told_as_broken() {
    let Some(bench) = Bench::with(&BOTH) else { return };
    let writers = writers(&bench);
    let hold = bench.guard().freeze(NO_END, some_time()).unwrap();
    assert!(fsfreeze("--unfreeze", bench.mount(1)));
    let report = hold.thaw();
    assert_flowing(&writers, &bench);
    assert_eq!(report.cause, Cause::Told);
    assert_eq!([report.mounts[0].end, report.mounts[1].end], [MountEnd::Thawed, MountEnd::ThawedByOthers]);
    assert!(!report.is_unbroken() && !report.proves_hold());
}

#[test]
fn twenty_holds_one_after_another_all_stop_and_all_end() {
    let Some(bench) = Bench::with(&BOTH) else { return };
    let writers = writers(&bench);
    for _ in 0..20 {
        let report = bench.guard().freeze(NO_END, some_time()).unwrap().thaw();
        assert!(report.proves_hold(), "{report:?}");
    }
    assert_flowing(&writers, &bench);
}

#[test]
fn a_guard_that_allocates_while_it_holds_would_not_survive_these_tests() {
    let status = Command::new(FIXTURE).arg("allocating-guard").stderr(Stdio::null()).status().unwrap();
    assert!(!status.success());
}

#[test]
fn a_guard_that_never_gets_ready_freezes_nothing() {
    let Some(bench) = Bench::with(&[Fs::Ext4]) else { return };
    let error = Guard::start(&program("no-such-role"), bench.open()).unwrap_err();
    assert!(matches!(error, HoldError::Ended { cause: Cause::GuardDied }), "{error}");
    let nothing = GuardProgram { program: "/no/such/program".into(), args: Vec::new() };
    assert!(matches!(Guard::start(&nothing, bench.open()).unwrap_err(), HoldError::Start { .. }));
    assert!(is_thawed(bench.mount(0)));
}

#[test]
fn the_guard_thaws_at_once_when_the_daemon_is_killed() {
    let Some(bench) = Bench::with(&BOTH) else { return };
    let writers = writers(&bench);
    let mut daemon = Daemon::holding(&bench, NO_END);
    assert_still(&writers);
    daemon.kill();
    assert_flowing(&writers, &bench);
}

#[test]
fn the_guard_thaws_at_the_budget_also_when_the_daemon_is_stopped() {
    let Some(bench) = Bench::with(&BOTH) else { return };
    let writers = writers(&bench);
    let mut daemon = Daemon::holding(&bench, Duration::from_secs(4));
    daemon.stop();
    assert_still(&writers);
    assert_flowing(&writers, &bench);
    daemon.kill();
}

#[test]
fn a_daemon_in_a_process_of_its_own_holds_and_thaws() {
    let Some(bench) = Bench::with(&BOTH) else { return };
    let daemon = Daemon::holding(&bench, NO_END);
    assert!(!is_thawed(bench.mount(0)));
    assert_eq!(daemon.thaw(), "told to thaw true");
    assert!(is_thawed(bench.mount(0)) && is_thawed(bench.mount(1)));
}

#[test]
fn a_guard_that_died_before_the_freeze_leaves_everything_as_it_was() {
    let Some(bench) = Bench::with(&BOTH) else { return };
    let guard = bench.guard();
    kill_process(pid(guard.pid().unwrap()), Signal::KILL).unwrap();
    let report = guard.freeze(NO_END, some_time()).unwrap_err().report;
    assert_eq!(report.cause, Cause::GuardDied);
    assert!(report.mounts.iter().all(|mount| mount.end == MountEnd::Untouched) && report.stall.is_none());
    assert!(bench.mounts.iter().all(|mount| is_thawed(mount)));
}

#[test]
fn a_freeze_that_takes_longer_than_its_budget_is_no_hold_and_leaves_nothing_frozen() {
    let Some(bench) = Bench::with(&BOTH) else { return };
    for _ in 0..5 {
        // Freezing two file systems takes tens of milliseconds, and may once be done in this one.
        let report = match bench.guard().freeze(Duration::from_millis(1), some_time()) {
            Ok(hold) => {
                assert_eq!(hold.wait_for_end(PATIENCE), Some(Cause::Budget));
                hold.thaw()
            }
            Err(error) => error.report,
        };
        assert!(matches!(report.cause, Cause::Budget | Cause::TooLate), "{report:?}");
        assert_eq!(report.left_frozen(), Vec::<&Path>::new());
        assert!(bench.mounts.iter().all(|mount| is_thawed(mount)));
    }
}

#[test]
fn a_guard_that_is_dropped_before_a_freeze_is_gone() {
    let Some(bench) = Bench::with(&[Fs::Ext4]) else { return };
    let guard = bench.guard();
    let stamp = guard.records("this boot")[0].guard;
    assert!(stamp.is_at_work());
    drop(guard);
    while stamp.is_at_work() {
        thread::yield_now();
    }
}

#[test]
fn a_guard_has_its_memory_locked() {
    let Some(bench) = Bench::with(&[Fs::Ext4]) else { return };
    let guard = bench.guard();
    let status = fs::read_to_string(format!("/proc/{}/status", guard.pid().unwrap())).unwrap();
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    assert_ne!(locked.trim(), "0 kB");
}

/// The fixture's guard, started through another program that takes something away from it.
fn guard_under(words: &str) -> GuardProgram {
    let mut words = words.split(' ');
    let program = words.next().unwrap().into();
    GuardProgram { program, args: words.chain([FIXTURE, "guard"]).map(Into::into).collect() }
}

#[test]
fn a_guard_that_may_not_freeze_says_so_before_anything_is_locked() {
    let Some(bench) = Bench::with(&[Fs::Ext4]) else { return };
    let error = Guard::start(&guard_under("/usr/bin/setpriv --bounding-set -sys_admin"), bench.open()).unwrap_err();
    assert!(matches!(error, HoldError::Refused { step: Step::Permission, .. }), "{error}");
}

#[test]
fn a_guard_that_cannot_lock_its_memory_is_not_used() {
    let Some(bench) = Bench::with(&[Fs::Ext4]) else { return };
    let poor = "/usr/bin/prlimit --memlock=65536:65536 /usr/bin/setpriv --bounding-set -ipc_lock";
    let error = Guard::start(&guard_under(poor), bench.open()).unwrap_err();
    assert!(matches!(error, HoldError::MemoryNotLocked(_)), "{error}");
}
