//! Holding a machine still by commands of the operator's own: one freezes, another thaws.
//!
//! It owns that the command that thaws is run whatever dies, by the same means as for mounts: a guard, a small process of
//! the same program, is started and heard before the command that freezes is run. The guard runs the command that thaws
//! when it is told to, when the budget is used up, and when its parent is gone; and when the guard is gone, its parent does.
//!
//! A command that freezes can outlive whoever ran it, so a thaw that was begun before its end is done once more after it: by
//! the guard, or by the parent of a guard that is gone.
//!
//! What the commands do on the other side is theirs. Exit code 0 of the first says that everything is frozen, and of the
//! second that everything was frozen until then; there is no other proof. A command that thaws and fails is run again a few
//! times; what it leaves is told as perhaps frozen, and whoever holds must try it again until it says that it is not.
//!
//! ```text
//! to the guard    arm BUDGET_MS LIMIT_MS | freezing PID START | frozen | thaw
//! from the guard  ready | thawing CAUSE | thawed CAUSE ok|not-frozen|failed WORDS
//! ```

mod guard;
mod thaw;
mod watch;

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::command::watch::Watch;
use crate::error::HoldError;
use crate::hooks::{Hook, HookOutcome, HookRun, run_hook_telling};
use crate::moment::{Anchor, Moment};
use crate::parent::GuardProgram;
use crate::process::ProcessStamp;
use crate::wire::Cause;

pub use crate::command::guard::guard_main;
pub use crate::command::thaw::{NOT_FROZEN, ThawOutcome, run_thaw};

/// A guard that starts says so in a small part of this.
const READY_WAIT_MAX: Duration = Duration::from_secs(10);

/// What a guard may add to the limit of the command that it runs before its parent stops believing in it.
const GRACE: Duration = Duration::from_secs(2);

/// A guard that is started. Nothing is frozen.
#[derive(Debug)]
pub struct CommandGuard {
    watch: Arc<Watch>,
    orders: ChildStdin,
    thaw: Hook,
}

impl CommandGuard {
    /// Starts a guard for this command, and waits until it has said that it is ready. `facts` are environment variables
    /// of the command; they are seen in the list of processes and hold no secrets.
    pub fn start(program: &GuardProgram, thaw: Hook, facts: &[(String, String)]) -> Result<Self, HoldError> {
        let failed = |source| HoldError::Start { program: program.program.clone(), source };
        let mut command = Command::new(&program.program);
        command.args(&program.args).arg(thaw.limit.as_millis().to_string());
        command.args(thaw.argv.iter().map(OsString::from)).env_clear().envs(facts.iter().cloned()).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn().map_err(failed)?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(HoldError::Silent { limit: Duration::ZERO });
        };
        let watch = Watch::start(child, answers, thaw.clone(), facts.to_vec()).map_err(failed)?;
        if watch.wait(READY_WAIT_MAX, |state| state.is_ready) {
            return Ok(Self { watch, orders, thaw });
        }
        if watch.is_over() {
            return Err(HoldError::Ended { cause: Cause::GuardDied });
        }
        // Nobody would ever speak to it again.
        watch.force(Duration::ZERO);
        Err(HoldError::Silent { limit: READY_WAIT_MAX })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.watch.pid()
    }

    /// The same, for whoever comes after this process: a guard outlives it, and has to be waited for.
    pub fn stamp(&self) -> Option<ProcessStamp> {
        ProcessStamp::of(self.pid()).ok()
    }

    /// Waits until it is known that the guard has ended.
    #[doc(hidden)]
    pub fn wait_until_gone(&self) {
        self.watch.wait(READY_WAIT_MAX, Watch::is_gone);
    }

    /// Runs the command that freezes. Whatever happens, the one that thaws is run when `budget` has passed from now on.
    ///
    /// `now` is the time at this moment by the caller's clock, by which the report tells the times of the hold.
    pub fn freeze(
        mut self,
        freeze: &Hook,
        facts: &[(String, String)],
        budget: Duration,
        now: Timestamp,
    ) -> Result<CommandHold, Box<CommandReport>> {
        let anchor = Anchor::at(now);
        let began = Moment::now();
        let freeze = Hook { limit: freeze.limit.min(budget), ..freeze.clone() };
        // A guard that is gone is noticed by whoever listens to it.
        let _ = writeln!(self.orders, "arm {} {}", budget.as_millis(), freeze.limit.as_millis());
        let is_armed = self.watch.arm();
        let freeze = if is_armed {
            let tell = &mut |stamp: ProcessStamp| {
                let _ = writeln!(self.orders, "freezing {} {}", stamp.pid, stamp.started);
            };
            run_hook_telling(&freeze, facts, tell)
        } else {
            not_started(&freeze)
        };
        let frozen = Moment::now();
        let is_over = self.watch.ended().is_some();
        let _ = writeln!(self.orders, "frozen");
        let is_frozen = freeze.outcome == HookOutcome::Succeeded && !is_over;
        let Self { watch, orders, thaw } = self;
        // A guard that began before the command that freezes had ended thaws a second time after it.
        let wait = thaw.limit * if is_over { 2 } else { 1 } + GRACE;
        let hold = CommandHold { watch, orders: Some(orders), thaw, wait, anchor, began, frozen, freeze };
        if is_frozen {
            return Ok(hold);
        }
        let thaw = hold.thaw.clone();
        let mut report = hold.thaw();
        // Nobody else does for a guard that died meanwhile.
        if is_armed && is_over && report.cause == Cause::GuardDied {
            report.thaw = run_thaw(&thaw, facts);
        }
        Err(Box::new(report))
    }
}

fn not_started(freeze: &Hook) -> HookRun {
    HookRun {
        argv: freeze.argv.clone(),
        outcome: HookOutcome::NotStarted("the guard that thaws is gone".to_owned()),
        output: String::new(),
        is_cut: false,
        took: Duration::ZERO,
    }
}

/// Everything is frozen as far as the command said, until this is thawed, the budget ends, or anybody dies.
#[derive(Debug)]
#[must_use = "a hold that is dropped is thawed"]
pub struct CommandHold {
    watch: Arc<Watch>,
    orders: Option<ChildStdin>,
    thaw: Hook,
    /// How long the guard may take to thaw.
    wait: Duration,
    anchor: Anchor,
    began: Moment,
    frozen: Moment,
    freeze: HookRun,
}

/// What such a hold was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandReport {
    /// Why it ended.
    pub cause: Cause,
    /// What became of the command that freezes.
    pub freeze: HookRun,
    /// What became of the command that thaws.
    pub thaw: ThawOutcome,
    /// That command.
    pub thaw_argv: Vec<String>,
    /// When the command that freezes had ended.
    pub held_from: Timestamp,
    /// When the command that thaws was begun.
    pub held_until: Timestamp,
    /// When it had ended.
    pub thawed_at: Timestamp,
    /// From the start of the one to the end of the other.
    pub stall: Duration,
}

impl CommandReport {
    /// It was frozen, and thawed because we said so and for no other reason, and the command that thaws found it frozen.
    pub fn proves_hold(&self) -> bool {
        self.cause == Cause::Told && self.freeze.outcome == HookOutcome::Succeeded && self.thaw == ThawOutcome::Thawed
    }

    /// Something may still be frozen: the command that freezes was begun, and the one that thaws did not say that nothing
    /// is. Whoever gets this must tell a human, and have the command that thaws run again until it does.
    pub fn may_be_frozen(&self) -> bool {
        self.thaw.may_be_frozen() && !matches!(self.freeze.outcome, HookOutcome::NotStarted(_))
    }
}

impl CommandHold {
    /// Why the hold is over, if it is. It never waits.
    pub fn ended(&self) -> Option<Cause> {
        self.watch.ended()
    }

    /// When the command that freezes had ended.
    pub fn held_from(&self) -> Timestamp {
        self.anchor.wall(self.frozen)
    }

    /// Has the command run that thaws, and tells what the hold was.
    pub fn thaw(mut self) -> CommandReport {
        self.end();
        let (cause, begun, done, thaw) = self.watch.outcome();
        CommandReport {
            cause,
            freeze: self.freeze.clone(),
            thaw,
            thaw_argv: self.thaw.argv.clone(),
            held_from: self.anchor.wall(self.frozen),
            held_until: self.anchor.wall(begun),
            thawed_at: self.anchor.wall(done),
            stall: done.since(self.began),
        }
    }

    fn end(&mut self) {
        let Some(mut orders) = self.orders.take() else { return };
        let _ = writeln!(orders, "thaw");
        if !self.watch.wait(self.wait, |state| state.outcome.is_some()) {
            self.watch.force(self.thaw.limit + GRACE);
        }
        // Only now: its end would be an order to thaw for another reason.
        drop(orders);
    }
}

impl Drop for CommandHold {
    /// The last resort, for a panic or a forgotten return. It blocks until the command that thaws has ended.
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits for the guard of a process that died: it thaws, waits for a command that freezes, and thaws again, and each takes
/// `limit` at the most. One that does not end is killed.
pub fn wait_for_guard(guard: ProcessStamp, limit: Duration) {
    if !guard.wait(limit * 3 + GRACE) {
        guard.kill();
    }
}

/// The whole life of a guard's process: `LIMIT_MS PROGRAM ARGUMENTS…` say what it runs to thaw.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter().map(|word| word.to_string_lossy().into_owned());
    let limit = args.next().and_then(|word| word.parse().ok()).map(Duration::from_millis);
    match limit {
        Some(limit) => guard_main(&Hook { argv: args.collect(), limit }),
        None => ExitCode::FAILURE,
    }
}
