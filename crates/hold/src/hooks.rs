//! Commands of the operator before and after a hold.
//!
//! It owns that every `post` runs on every path out, in reverse, whatever failed before. It must never pass a line to a
//! shell, wait for a command beyond its limit, or keep more of its output than [`OUTPUT_BYTES_MAX`].
//!
//! A command runs in a process group of its own, with its input closed, with a minimal environment and the facts it is
//! given, in `/`. At its limit the whole group is killed. A command that ended well may leave something running behind;
//! its output is not waited for.

mod run;

use std::fmt;
use std::time::Duration;

use crate::hooks::run::run;
use crate::process::ProcessStamp;

/// What is kept of a command's output, both streams together, from its beginning.
pub(crate) const OUTPUT_BYTES_MAX: usize = 16 * 1024;

/// A command and its limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// How long it may take.
    pub limit: Duration,
}

/// All commands of a hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hooks {
    /// Run before anything is locked, in this order; the first that fails ends it.
    pub pre: Vec<Hook>,
    /// Run at the end, in reverse order, all of them.
    pub post: Vec<Hook>,
    /// What the commands are told, as environment variables.
    pub facts: Vec<(String, String)>,
}

/// What became of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookRun {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// How it ended.
    pub outcome: HookOutcome,
    /// The beginning of what it wrote, to either stream; what is not text is replaced.
    pub output: String,
    /// It wrote more than is kept.
    pub is_cut: bool,
    /// How long it ran.
    pub took: Duration,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookOutcome {
    /// Exit code 0.
    Succeeded,
    /// Another exit code.
    Exited(i32),
    /// Killed by a signal that was not ours.
    Killed(i32),
    /// Killed by us at its limit.
    TimedOut,
    /// It could not be started.
    NotStarted(String),
}

impl fmt::Display for HookOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Succeeded => f.write_str("succeeded"),
            Self::Exited(code) => write!(f, "ended with exit code {code}"),
            Self::Killed(signal) => write!(f, "was killed by signal {signal}"),
            Self::TimedOut => f.write_str("did not end in time and was killed"),
            Self::NotStarted(why) => write!(f, "could not be started: {why}"),
        }
    }
}

impl fmt::Display for HookRun {
    /// The program, how it ended, and the first line of what it wrote.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.argv.join(" "), self.outcome)?;
        match self.output.lines().map(str::trim).find(|line| !line.is_empty()) {
            Some(line) if self.outcome != HookOutcome::Succeeded => write!(f, ": {line}"),
            _ => Ok(()),
        }
    }
}

/// Runs one command by itself, to its end or its limit.
pub fn run_hook(hook: &Hook, facts: &[(String, String)]) -> HookRun {
    run(hook, facts, &mut |_| {})
}

/// The same, and `started` is told its process, which leads a process group of its own.
pub(crate) fn run_hook_telling(
    hook: &Hook,
    facts: &[(String, String)],
    started: &mut dyn FnMut(ProcessStamp),
) -> HookRun {
    run(hook, facts, started)
}

/// A `pre` command failed. The `post` commands have run.
#[derive(Debug, thiserror::Error)]
#[error("{failed}, before the freeze")]
pub struct HookError {
    /// The one that failed.
    pub failed: HookRun,
    /// The `pre` commands before it.
    pub pre: Vec<HookRun>,
    /// The `post` commands.
    pub post: Vec<HookRun>,
}

impl Hooks {
    /// Runs the `pre` commands. From here on the `post` commands will run, whatever happens.
    pub fn enter(self) -> Result<Entered, Box<HookError>> {
        let mut entered = Entered { hooks: self, pre: Vec::new(), has_left: false };
        for index in 0..entered.hooks.pre.len() {
            let Some(hook) = entered.hooks.pre.get(index) else { break };
            let ran = run_hook(hook, &entered.hooks.facts);
            if ran.outcome == HookOutcome::Succeeded {
                entered.pre.push(ran);
            } else {
                let pre = std::mem::take(&mut entered.pre);
                return Err(Box::new(HookError { failed: ran, pre, post: entered.leave() }));
            }
        }
        Ok(entered)
    }
}

/// The `pre` commands have run. Dropped, it runs the `post` commands all the same.
#[derive(Debug)]
#[must_use = "the commands after the hold run when this is dropped, which should not be at once"]
pub struct Entered {
    hooks: Hooks,
    pre: Vec<HookRun>,
    has_left: bool,
}

impl Entered {
    /// What became of the `pre` commands.
    pub fn pre(&self) -> &[HookRun] {
        &self.pre
    }

    /// Runs the `post` commands in reverse, all of them, and tells what became of each.
    pub fn leave(mut self) -> Vec<HookRun> {
        self.run_post()
    }

    fn run_post(&mut self) -> Vec<HookRun> {
        if std::mem::replace(&mut self.has_left, true) {
            return Vec::new();
        }
        self.hooks.post.iter().rev().map(|hook| run_hook(hook, &self.hooks.facts)).collect()
    }
}

impl Drop for Entered {
    /// For a panic or an early return between. It blocks for as long as the commands may take, which the operator chose:
    /// a queue that stays drained because nobody said so would be worse.
    fn drop(&mut self) {
        self.run_post();
    }
}

#[cfg(test)]
mod tests;
