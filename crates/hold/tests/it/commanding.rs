//! Holds by commands: the command that thaws is run whatever dies, and its exit code is the proof.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use amikeep_hold::command::{CommandGuard, ThawOutcome};
use amikeep_hold::{Cause, GuardProgram, Hook, HookOutcome};
use jiff::Timestamp;

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

/// Waits for a level, however long the machine takes.
fn wait_for(file: &Path) {
    while !file.exists() {
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
    std::io::Write::write_all(&mut orders, b"arm 60000\n").unwrap();
    drop(orders);
    assert!(guard.wait().unwrap().success());
    assert!(scene.file("thawed").exists());
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
