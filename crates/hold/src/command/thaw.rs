//! Running the command that thaws: several times if it fails, and never longer than its limit in all.
//!
//! It owns what the exit codes of that command mean. It must never take a failure for a thaw: what failed may be frozen.

use std::fmt;
use std::time::Duration;

use rustix::event::poll;

use crate::hooks::{Hook, HookOutcome, run_hook};
use crate::moment::{Moment, to_timespec};

/// The exit code by which a command that thaws says that nothing was frozen any more. The guard of other machines says the
/// same by the same code (`docs/freeze-ssm.md`).
pub const NOT_FROZEN: i32 = 46;

/// The pauses before a command that failed is run again: what breaks a connection for a moment is over by then as a rule.
const TRY_AGAIN_AFTER: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// What the command that thaws came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ThawOutcome {
    /// Exit code 0: everything was frozen until then, and is thawed.
    Thawed,
    /// [`NOT_FROZEN`]: nothing is frozen, and nobody knows since when.
    WasNotFrozen,
    /// Anything else: something may be frozen. In words of what the command did.
    Failed(String),
}

impl ThawOutcome {
    /// Something may be frozen still.
    pub fn may_be_frozen(&self) -> bool {
        matches!(self, Self::Failed(_))
    }

    fn of(outcome: &HookOutcome) -> Self {
        match outcome {
            HookOutcome::Succeeded => Self::Thawed,
            HookOutcome::Exited(NOT_FROZEN) => Self::WasNotFrozen,
            other => Self::Failed(other.to_string()),
        }
    }
}

impl fmt::Display for ThawOutcome {
    /// In words that follow "the command that thaws".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thawed => f.write_str("succeeded"),
            Self::WasNotFrozen => f.write_str("found nothing frozen"),
            Self::Failed(words) => f.write_str(words),
        }
    }
}

/// Runs the command that thaws until it says that nothing is frozen: three times at most, and as long as its limit allows.
pub fn run_thaw(thaw: &Hook, facts: &[(String, String)]) -> ThawOutcome {
    let end = Moment::now() + thaw.limit;
    let mut pauses = TRY_AGAIN_AFTER.iter();
    loop {
        let limit = end.since(Moment::now());
        let outcome = ThawOutcome::of(&run_hook(&Hook { limit, ..thaw.clone() }, facts).outcome);
        let left = end.since(Moment::now());
        match pauses.next() {
            Some(pause) if outcome.may_be_frozen() && *pause < left => {
                let _ = poll(&mut [], Some(&to_timespec(*pause)));
            }
            _ => return outcome,
        }
    }
}
