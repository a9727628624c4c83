//! Hooks as real processes. What they leave behind is told by files.

use std::fs;
use std::path::Path;

use super::*;
use crate::moment::Moment;

const LONG: Duration = Duration::from_mins(1);

fn hook(script: &str) -> Hook {
    Hook { argv: ["/bin/sh", "-c", script].map(String::from).to_vec(), limit: LONG }
}

fn outcome(hook: &Hook) -> HookOutcome {
    run_hook(hook, &[]).outcome
}

#[test]
fn an_end_is_told_as_it_was() {
    assert_eq!(outcome(&hook("exit 0")), HookOutcome::Succeeded);
    assert_eq!(outcome(&hook("exit 3")), HookOutcome::Exited(3));
    assert_eq!(outcome(&hook("kill -9 $$")), HookOutcome::Killed(9));
    let nothing = Hook { argv: vec!["/nowhere/to/be/found".into()], limit: LONG };
    assert!(matches!(outcome(&nothing), HookOutcome::NotStarted(why) if why.contains("No such file")));
    assert!(matches!(outcome(&Hook { argv: Vec::new(), limit: LONG }), HookOutcome::NotStarted(_)));
}

#[test]
fn arguments_are_passed_as_they_are_and_never_read_by_a_shell() {
    let printf = Hook { argv: ["printf", "%s", "$HOME; `id` * \"x\""].map(String::from).to_vec(), limit: LONG };
    assert_eq!(run_hook(&printf, &[]).output, "$HOME; `id` * \"x\"");
}

#[test]
fn a_command_sees_a_minimal_environment_and_its_facts() {
    let env = Hook { argv: vec!["env".into()], limit: LONG };
    let output = run_hook(&env, &[("AMIKEEP_INSTANCE".into(), "i-1 2".into())]).output;
    let mut lines: Vec<&str> = output.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["AMIKEEP_INSTANCE=i-1 2", "LANG=C", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    );
    let with_input = run_hook(&hook("pwd; cat; echo to stderr >&2"), &[]);
    assert_eq!((with_input.outcome, with_input.output.as_str()), (HookOutcome::Succeeded, "/\nto stderr\n"));
}

#[test]
fn output_without_end_is_cut_and_does_not_stop_the_command_from_ending() {
    let ran = run_hook(&hook("head -c 1000000 /dev/zero"), &[]);
    assert_eq!((ran.outcome, ran.output.len(), ran.is_cut), (HookOutcome::Succeeded, OUTPUT_BYTES_MAX, true));
}

#[test]
fn a_command_that_hangs_is_killed_with_everything_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("pid");
    // The inner one closes nothing and ignores the polite signal; only the group's death ends it.
    let script = format!("(trap '' TERM; echo $BASHPID > {0}; sleep 1000) & echo begun; wait", pid_file.display());
    let hanging = Hook { argv: ["/bin/bash", "-c", &script].map(String::from).to_vec(), limit: Duration::from_secs(2) };
    let ran = run_hook(&hanging, &[]);
    assert_eq!((ran.outcome, ran.output.as_str()), (HookOutcome::TimedOut, "begun\n"));
    let pid = fs::read_to_string(&pid_file).unwrap();
    // An orphan that was killed is gone soon, or waits as a zombie for whoever adopted it.
    let is_gone = || {
        let stat = fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    };
    let give_up = Moment::now() + LONG;
    while !is_gone() && Moment::now() < give_up {
        std::thread::yield_now();
    }
    assert!(is_gone());
}

#[test]
fn something_left_running_behind_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let ran =
        run_hook(&hook(&format!("while [ -e {} ]; do sleep 0.1; done & echo done", directory.path().display())), &[]);
    assert_eq!((ran.outcome, ran.output.as_str()), (HookOutcome::Succeeded, "done\n"));
}

/// Hooks that write their names into one file.
fn hooks(at: &Path, pre: &[(&str, i32)], post: &[(&str, i32)]) -> Hooks {
    let all = |list: &[(&str, i32)]| {
        list.iter().map(|(name, code)| hook(&format!("echo {name} >> {}; exit {code}", at.display()))).collect()
    };
    Hooks { pre: all(pre), post: all(post), facts: Vec::new() }
}

fn written(at: &Path) -> String {
    fs::read_to_string(at).unwrap_or_default().replace('\n', " ")
}

#[test]
fn post_commands_run_in_reverse_and_all_of_them_also_when_one_fails() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let entered = hooks(&log, &[("a", 0), ("b", 0)], &[("x", 0), ("y", 1), ("z", 0)]).enter().unwrap();
    assert_eq!(written(&log), "a b ");
    assert_eq!(entered.pre().len(), 2);
    let outcomes: Vec<HookOutcome> = entered.leave().into_iter().map(|ran| ran.outcome).collect();
    assert_eq!(outcomes, [HookOutcome::Succeeded, HookOutcome::Exited(1), HookOutcome::Succeeded]);
    assert_eq!(written(&log), "a b z y x ");
}

#[test]
fn a_pre_command_that_fails_ends_it_and_the_post_commands_run() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let error = hooks(&log, &[("a", 0), ("b", 4), ("c", 0)], &[("x", 0), ("y", 0)]).enter().unwrap_err();
    assert_eq!(error.failed.outcome, HookOutcome::Exited(4));
    assert_eq!((error.pre.len(), error.post.len()), (1, 2));
    assert_eq!(written(&log), "a b y x ");
}

#[test]
fn post_commands_run_when_it_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    drop(hooks(&log, &[("a", 0)], &[("x", 0)]).enter().unwrap());
    assert_eq!(written(&log), "a x ");
}
