//! Child processes and the stopwatch: how every chore starts a program and learns how long it took.
//!
//! Owns the two rules that all children share (no standard input, none of our own package's variables). It must never
//! hide a child's output: the test counts of `ci` are read by people.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// A program to be run in `directory`, without standard input.
///
/// `cargo run` hands its package's `CARGO_PKG_*` and `CARGO_MANIFEST_*` variables to this process. The build script
/// of `ring` watches them, so a child cargo that inherited them would build the TLS stack again on every run.
pub(crate) fn command(program: impl AsRef<OsStr>, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).stdin(Stdio::null());
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&key);
        }
    }
    command
}

/// `cargo` with these arguments.
pub(crate) fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut cargo = command("cargo", root);
    cargo.args(arguments);
    cargo
}

/// Prints the command line, runs it to its end with its output shown, and fails unless it succeeded.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let line = spell(command);
    println!("$ {line}");
    let status = command.status().with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

/// What the command writes to its standard output, or `None` if it cannot be started or fails.
pub(crate) fn answer(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The value of `work`, and how long it took.
#[expect(clippy::disallowed_methods, reason = "chores measure real time; no decision depends on it")]
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let value = work();
    (value, started.elapsed())
}

fn spell(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_never_sees_this_packages_own_variables() {
        let printed = answer(&mut command("env", Path::new("/"))).expect("env runs");
        let leaked: Vec<&str> = printed.lines().filter(|line| line.starts_with("CARGO_PKG_")).collect();
        assert!(std::env::vars_os().any(|(key, _)| key.to_string_lossy().starts_with("CARGO_PKG_")));
        assert_eq!(leaked, Vec::<&str>::new());
    }

    #[test]
    fn a_failing_command_is_an_error_that_names_it() {
        let error = run(&mut command("false", Path::new("/"))).expect_err("false fails");
        assert!(error.to_string().contains("`false` ended with exit status: 1"), "{error}");
    }
}
