//! Fires: which of a policy's nominal times are due, which one runs, and which were missed.
//!
//! A fire is a row of the ledger, never the fact that a timer went off. So planning may be done too often, too late or
//! after a crash: it reads the cursor, computes what lies between it and now, and moves the cursor in one transaction.

mod cursors;

use jiff::{SignedDuration, Timestamp};

pub use crate::fire::cursors::{Cursors, Planned};
use crate::id::{AccountName, PolicyName};
use crate::job::Trigger;
use crate::policy::{Enabled, Policy, saturating_add};

/// A fire that is planned later than this is a catch-up.
pub const ON_TIME_WITHIN: SignedDuration = SignedDuration::from_mins(2);

/// A cursor further ahead of the clock than this was moved there by a clock that was wrong. It is put back, which is
/// safe since a fire's row is unique. Smaller steps back just wait until time has caught up.
pub const CLOCK_STEP_BACK_MAX: SignedDuration = SignedDuration::from_hours(1);

/// How far a policy has been planned in one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The policy.
    pub policy: PolicyName,
    /// The account.
    pub account: AccountName,
    /// The fingerprint of the schedule that was planned.
    pub fingerprint: String,
    /// Everything up to and including this instant is planned.
    pub planned_to: Timestamp,
    /// Whether the policy was enabled and configured when it was last looked at.
    pub enabled: Enabled,
}

/// What to do with the cursor of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CursorStep {
    /// The policy is new, was re-enabled, or has another schedule or zone: it starts from now.
    StartFromNow(StartReason),
    /// Nothing is due.
    Rest,
    /// These are due.
    Plan(DueFires),
}

/// Why a policy starts from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartReason {
    /// No cursor yet.
    New,
    /// It was disabled or not configured before.
    Enabled,
    /// Its schedule or zone changed.
    Changed,
    /// The cursor lies in the future: the clock was wrong then.
    ClockStepBack,
}

/// Fires that are due. At least one of the three is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueFires {
    /// The one that runs: the latest, if it may still start.
    pub run: Option<RunFire>,
    /// Those that do not run, as one row.
    pub missed: Option<Missed>,
    /// Those that fall into a pause, as one row.
    pub skipped: Option<Missed>,
    /// The last nominal time of them all: where the cursor goes.
    pub planned_to: Timestamp,
}

/// A fire that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunFire {
    /// Its nominal time.
    pub scheduled_at: Timestamp,
    /// Whether it is on time.
    pub trigger: Trigger,
}

/// Consecutive fires that did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// The first.
    pub from: Timestamp,
    /// The last.
    pub to: Timestamp,
    /// How many.
    pub count: u64,
}

/// What became of a fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FireOutcome {
    /// It gave jobs.
    Ran,
    /// It matched no instance: the commonest way to have no backup, so it is shown.
    NoMatch,
    /// It, or several in a row, did not run.
    Missed,
    /// It, or several in a row, fell into a pause.
    Skipped,
}

impl FireOutcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Ran, Self::NoMatch, Self::Missed, Self::Skipped];

    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ran => "ran",
            Self::NoMatch => "no-match",
            Self::Missed => "missed",
            Self::Skipped => "skipped",
        }
    }
}

/// What is due of an enabled policy. Of several missed fires only the latest runs, and that only if an instance with
/// the longest delay could still start.
pub fn due_fires(policy: &Policy, cursor: Option<&Cursor>, now: Timestamp) -> CursorStep {
    let Some(cursor) = cursor else { return CursorStep::StartFromNow(StartReason::New) };
    if cursor.enabled == Enabled::No {
        return CursorStep::StartFromNow(StartReason::Enabled);
    }
    if cursor.fingerprint != policy.schedule.fingerprint() {
        return CursorStep::StartFromNow(StartReason::Changed);
    }
    if CLOCK_STEP_BACK_MAX < cursor.planned_to.duration_since(now) {
        return CursorStep::StartFromNow(StartReason::ClockStepBack);
    }
    let Some(due) = policy.schedule.summary(cursor.planned_to, now) else { return CursorStep::Rest };
    let start_by = saturating_add(saturating_add(due.latest, policy.jitter), policy.start_within);
    let planned_to = due.latest;
    if start_by < now {
        let missed = Some(Missed { from: due.first, to: due.latest, count: due.count });
        return CursorStep::Plan(DueFires { run: None, missed, skipped: None, planned_to });
    }
    let trigger = if now.duration_since(due.latest) <= ON_TIME_WITHIN { Trigger::Schedule } else { Trigger::CatchUp };
    let run = Some(RunFire { scheduled_at: due.latest, trigger });
    let before_latest = saturating_add(due.latest, -SignedDuration::from_nanos(1));
    // As a rule it is the only one.
    let missed = if due.count == 1 { None } else { policy.schedule.summary(cursor.planned_to, before_latest) };
    let missed = missed.map(|it| Missed { from: it.first, to: it.latest, count: it.count });
    CursorStep::Plan(DueFires { run, missed, skipped: None, planned_to })
}

impl DueFires {
    /// Skips what falls into a pause: the fire that would run, and fires missed before it that fell into the pause as a
    /// whole.
    #[must_use]
    pub fn without_paused(self, is_paused: impl Fn(Timestamp) -> bool) -> Self {
        let paused_misses = self.missed.filter(|missed| is_paused(missed.from) && is_paused(missed.to));
        let paused_run = self.run.filter(|run| is_paused(run.scheduled_at)).map(|run| run.scheduled_at);
        let skipped = match (paused_misses, paused_run) {
            (Some(missed), Some(run)) => Some(Missed { from: missed.from, to: run, count: missed.count + 1 }),
            (None, Some(run)) => Some(Missed { from: run, to: run, count: 1 }),
            (misses, None) => misses,
        };
        Self {
            run: self.run.filter(|_| paused_run.is_none()),
            missed: self.missed.filter(|_| paused_misses.is_none()),
            skipped,
            planned_to: self.planned_to,
        }
    }
}

#[cfg(test)]
mod tests;
