//! Holds by commands: the command that thaws is run whatever dies, and its exit code is the proof.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use amikeep_hold::command::{CommandGuard, ThawOutcome};
use amikeep_hold::{Cause, GuardProgram, HoldError, Hook, HookOutcome, Moment};
use jiff::Timestamp;

use crate::bench::PATIENCE;

/// Commands that write into this directory what they were told.
struct Scene {
    dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn shell(&self, script: &str) -> Hook {
        let script = script.replace("DIR", self.dir.path().to_str().unwrap());
        Hook { argv: vec!["/bin/sh".into(), "-c".into(), script], limit: Duration::from_secs(20) }
    }

    fn guard(&self, thaw: &str) -> CommandGuard {
        let program = env!("CARGO_BIN_EXE_hold-fixture").into();
        let program = GuardProgram { program, args: vec!["command-guard".into()] };
        let facts = [("AMIKEEP_JOB".to_owned(), "one".to_owned())];
        CommandGuard::start(&program, self.shell(thaw), &facts).unwrap()
    }
}

const THAW: &str = "echo $AMIKEEP_JOB >> DIR/thawed";

fn now() -> Timestamp {
    "2026-11-01T00:00:00Z".parse().unwrap()
}

/// Waits for a level, and long enough for a machine that is busy.
fn wait_for(file: &Path) {
    let give_up = Moment::now() + PATIENCE;
    while !file.exists() {
        assert!(Moment::now() < give_up, "{} does not come", file.display());
        std::thread::yield_now();
    }
}

fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).stdout(Stdio::null()).status().unwrap().success());
}

#[test]
fn told_to_thaw_it_thaws_and_proves_the_hold() {
    let scene = Scene::new();
    let hold = scene.guard(THAW).freeze(&scene.shell("true"), &[], Duration::from_mins(1), now()).unwrap();
    assert_eq!(hold.ended(), None);
    assert!(!scene.file("thawed").exists());
    let report = hold.thaw();
    assert!(report.proves_hold(), "{report:?}");
    assert_eq!((report.cause, fs::read_to_string(scene.file("thawed")).unwrap().as_str()), (Cause::Told, "one\n"));
    assert!(report.held_from <= report.held_until && report.held_until <= report.thawed_at);
}

#[test]
fn the_budget_ends_a_hold_that_nobody_ends() {
    let scene = Scene::new();
    let hold = scene.guard(THAW).freeze(&scene.shell("true"), &[], Duration::from_millis(50), now()).unwrap();
    wait_for(&scene.file("thawed"));
    let report = hold.thaw();
    assert_eq!((report.cause, report.proves_hold()), (Cause::Budget, false));
    assert_eq!(fs::read_to_string(scene.file("thawed")).unwrap(), "one\n", "once");
}

#[test]
fn a_thaw_that_found_nothing_frozen_proves_nothing() {
    let scene = Scene::new();
    let hold = scene.guard("exit 1").freeze(&scene.shell("true"), &[], Duration::from_mins(1), now()).unwrap();
    let report = hold.thaw();
    assert_eq!((report.cause, report.proves_hold()), (Cause::Told, false));
    assert_eq!(report.thaw, ThawOutcome::Failed("ended with exit code 1".to_owned()));
    assert!(report.may_be_frozen(), "nobody knows: {report:?}");
}

#[test]
fn a_thaw_that_says_that_nothing_was_frozen_leaves_nothing_and_proves_nothing() {
    let scene = Scene::new();
    let thaw = "echo >> DIR/thawed; exit 46";
    let report = scene.guard(thaw).freeze(&scene.shell("true"), &[], Duration::from_mins(1), now()).unwrap().thaw();
    assert_eq!(
        (report.thaw.clone(), report.proves_hold(), report.may_be_frozen()),
        (ThawOutcome::WasNotFrozen, false, false)
    );
    assert_eq!(fs::read_to_string(scene.file("thawed")).unwrap(), "\n", "it is not tried again");
}

#[test]
fn a_thaw_that_fails_is_tried_again_and_its_success_counts() {
    let scene = Scene::new();
    // Twice the connection breaks.
    let thaw = "echo >> DIR/tries; test $(wc -l < DIR/tries) -ge 3";
    let report = scene.guard(thaw).freeze(&scene.shell("true"), &[], Duration::from_mins(1), now()).unwrap().thaw();
    assert!(report.proves_hold() && !report.may_be_frozen(), "{report:?}");
    assert_eq!(fs::read_to_string(scene.file("tries")).unwrap().lines().count(), 3);
}

#[test]
fn a_freeze_that_was_never_begun_leaves_nothing_frozen_whatever_the_thaw_says() {
    let scene = Scene::new();
    let freeze = Hook { argv: vec!["/nonexistent/freeze".into()], limit: Duration::from_secs(20) };
    let report = scene.guard("exit 1").freeze(&freeze, &[], Duration::from_mins(1), now()).unwrap_err();
    assert!(matches!(report.freeze.outcome, HookOutcome::NotStarted(_)) && !report.may_be_frozen(), "{report:?}");
}

#[test]
fn a_freeze_that_fails_or_hangs_is_thawed_at_once() {
    for (freeze, want) in [("exit 3", HookOutcome::Exited(3)), ("exec sleep 600", HookOutcome::TimedOut)] {
        let scene = Scene::new();
        let guard = scene.guard(THAW);
        let report = guard.freeze(&scene.shell(freeze), &[], Duration::from_millis(500), now()).unwrap_err();
        assert_eq!(report.freeze.outcome, want);
        assert!(!report.proves_hold() && scene.file("thawed").exists(), "{report:?}");
    }
}

#[test]
fn whoever_is_left_thaws_when_the_guard_dies() {
    let scene = Scene::new();
    let guard = scene.guard(THAW);
    let pid = guard.pid();
    let hold = guard.freeze(&scene.shell("true"), &[], Duration::from_mins(1), now()).unwrap();
    kill(pid);
    wait_for(&scene.file("thawed"));
    let report = hold.thaw();
    assert_eq!((report.cause, report.proves_hold()), (Cause::GuardDied, false));
}

#[test]
fn a_guard_whose_parent_dies_thaws() {
    let scene = Scene::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hold-fixture"));
    command.args(["command-guard", "20000"]).args(scene.shell(THAW).argv);
    let mut guard = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut orders = guard.stdin.take().unwrap();
    std::io::Write::write_all(&mut orders, b"arm 60000 20000\nfrozen\n").unwrap();
    drop(orders);
    assert!(guard.wait().unwrap().success());
    assert!(scene.file("thawed").exists());
}

/// A daemon of its own that holds by commands, and its process.
fn holder(scene: &Scene, freeze: &str, thaw: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hold-fixture"));
    let script = |script: &str| scene.shell(script).argv[2].clone();
    command.args(["hold-by-commands", &script(freeze), &script(thaw)]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

/// The first thaw finds nothing frozen. Only when it has run does the freeze end, as it can with `ssh`.
const SLOW_FREEZE: &str = "touch DIR/begun; while ! test -e DIR/thawed; do sleep 0.05; done; touch DIR/frozen";
const THAW_IF_FROZEN: &str = "echo >> DIR/thawed; test -e DIR/frozen || exit 46; rm DIR/frozen; touch DIR/done";

#[test]
fn a_freeze_that_outlives_whoever_ran_it_is_thawed_after_its_end() {
    let scene = Scene::new();
    let mut daemon = holder(&scene, SLOW_FREEZE, THAW_IF_FROZEN);
    wait_for(&scene.file("begun"));
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    wait_for(&scene.file("done"));
    assert!(!scene.file("frozen").exists());
    assert_eq!(fs::read_to_string(scene.file("thawed")).unwrap().lines().count(), 2, "at once, and after the freeze");
}

#[test]
fn a_freeze_that_outlives_whoever_ran_it_and_hangs_is_killed_at_its_limit() {
    let scene = Scene::new();
    let freeze = "echo $$ > DIR/pid.new; mv DIR/pid.new DIR/pid; exec sleep 600";
    let mut daemon = holder(&scene, freeze, "echo >> DIR/thawed; test $(wc -l < DIR/thawed) -lt 2 || touch DIR/done");
    wait_for(&scene.file("pid"));
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    wait_for(&scene.file("done"));
    let pid = fs::read_to_string(scene.file("pid")).unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
}

#[test]
fn a_guard_that_dies_in_a_slow_freeze_is_thawed_for_after_it() {
    let scene = Scene::new();
    let guard = scene.guard(THAW_IF_FROZEN);
    let slow = format!("kill -9 {}; {SLOW_FREEZE}", guard.pid());
    let report = guard.freeze(&scene.shell(&slow), &[], Duration::from_mins(1), now()).unwrap_err();
    assert_eq!((report.cause, report.may_be_frozen()), (Cause::GuardDied, false), "{report:?}");
    assert!(scene.file("done").exists() && !scene.file("frozen").exists());
}

#[test]
fn nothing_is_frozen_with_a_guard_that_is_dead_by_then() {
    let scene = Scene::new();
    let guard = scene.guard(THAW);
    kill(guard.pid());
    guard.wait_until_gone();
    let report = guard.freeze(&scene.shell("touch DIR/frozen"), &[], Duration::from_mins(1), now()).unwrap_err();
    assert!(matches!(report.freeze.outcome, HookOutcome::NotStarted(_)), "{report:?}");
    assert_eq!((report.cause, report.may_be_frozen()), (Cause::GuardDied, false));
    assert!(!scene.file("frozen").exists(), "nobody would ever have thawed it");
}

#[test]
fn a_guard_that_was_never_armed_thaws_nothing() {
    let scene = Scene::new();
    let guard = scene.guard(THAW);
    let pid = guard.pid();
    drop(guard);
    while Path::new(&format!("/proc/{pid}")).exists() {
        std::thread::yield_now();
    }
    assert!(!scene.file("thawed").exists());
}

#[test]
fn a_guard_that_dies_before_it_is_ready_is_not_waited_for_and_thaws_nothing() {
    let scene = Scene::new();
    let program = GuardProgram { program: "/bin/false".into(), args: Vec::new() };
    let started = CommandGuard::start(&program, scene.shell(THAW), &[]);
    assert!(matches!(started, Err(HoldError::Ended { cause: Cause::GuardDied })), "{started:?}");
    assert!(!scene.file("thawed").exists());
}
