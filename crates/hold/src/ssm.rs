//! Holding a machine still that is reached through a shell somewhere else: AWS Systems Manager's Run Command.
//!
//! It owns the guard that runs there, a script for POSIX shells (`ssm/guard.sh`), and what its answers mean. It sends
//! nothing itself: whoever holds gives it a [`Shell`]. Three commands make a hold: one that looks and freezes nothing, by
//! which the way there is measured as well; one that freezes; one that thaws.
//!
//! What may go wrong on the way is part of the protocol. A command tells nothing before it has ended, so the one that
//! freezes ends and leaves a watchdog behind. One that is delivered late refuses, by an absolute time and since the thaw
//! has been there before it. Of one without an answer nobody knows whether it ran, so the thaw is sent whatever is
//! known, and does no harm. And whether everything was frozen until the thaw is told by the thaw itself: it finds it
//! frozen, or it does not.

mod answer;
mod plan;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::apps::owner::Owner;
use crate::apps::{DataHeld, DataPlace, Link, Outside};
use crate::moment::{Anchor, Moment};
use crate::wire::Cause;

pub use crate::ssm::answer::{RemoteMount, Stalled};
pub use crate::ssm::plan::{BudgetFrom, MOUNTS_MAX, RemotePlan, UnfitPlan};

use crate::ssm::answer::{Answer, Found, Verdict};
use crate::ssm::plan::Order;

/// What EC2 needs in the middle of a hold at the least, beside the two commands.
const CAPTURE_MIN: Duration = Duration::from_secs(2);
/// How long a thaw may take there, before nobody waits for its answer any more.
const THAW_WAIT_MAX: Duration = Duration::from_mins(1);
/// A clock there that differs more than this from ours makes every promise about time worthless.
const SKEW_MAX: SignedDuration = SignedDuration::from_mins(5);

/// Runs scripts on the other machine.
pub trait Shell: Send + Sync + fmt::Debug {
    /// Runs `script` there as root and waits for its end, at the longest `wait_max`. It is sent once.
    fn run(&self, script: &str, wait_max: Duration) -> Result<ShellOutput, ShellError>;
}

/// What a script came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellOutput {
    /// Its exit code.
    pub exit_code: i32,
    /// What it said.
    pub stdout: String,
}

/// Why nobody knows what a script came to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShellError {
    /// It was refused, and for certain it does not run.
    #[error("the command was refused: {why}")]
    Refused {
        /// In words.
        why: String,
    },
    /// It may have run, may run now, and may run later.
    #[error("what became of the command is not known: {why}")]
    Unknown {
        /// In words.
        why: String,
    },
}

/// Why a machine cannot be held still.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// What is configured cannot be sent there.
    #[error(transparent)]
    Plan(#[from] UnfitPlan),
    /// It was not to be asked.
    #[error("the instance cannot be asked whether it may be frozen")]
    Shell(#[from] ShellError),
    /// The guard says no.
    #[error("the instance refuses: {why}")]
    Refused {
        /// Its words.
        why: String,
    },
    /// It said something that no guard says.
    #[error("the instance gave exit code {exit_code} and no answer of the guard")]
    Babble {
        /// What the script ended with.
        exit_code: i32,
    },
    /// Its clock is off.
    #[error("the clock of the instance differs by {skew:#} from the one here")]
    Clock {
        /// By how much: positive if it is ahead.
        skew: SignedDuration,
    },
    /// The way there takes too long.
    #[error(
        "a command takes {} ms there and back, so two of them and the image cannot be had in the budget of {} ms: make \
         `budget` at least {} s",
        round_trip.as_millis(), budget.as_millis(), needed.as_secs() + 1
    )]
    TooSlow {
        /// What one command took.
        round_trip: Duration,
        /// The budget.
        budget: Duration,
        /// What it would have to be.
        needed: Duration,
    },
}

/// A machine that was looked at. Nothing is frozen.
#[derive(Debug)]
pub struct RemoteHolder {
    shell: Arc<dyn Shell>,
    plan: RemotePlan,
    mounts: Vec<RemoteMount>,
    data: DataHeld,
    round_trip: Duration,
    /// How far its clock is ahead of ours.
    skew: SignedDuration,
}

impl RemoteHolder {
    /// Looks at the machine: whether its mounts may be frozen, how long a command takes, and what time it is there.
    /// `now` is the time at this moment.
    pub fn prepare(shell: Arc<dyn Shell>, plan: RemotePlan, now: Timestamp) -> Result<Self, RemoteError> {
        let script = plan.script(Order::Check, now)?;
        let began = Moment::now();
        // A look that takes longer than the whole hold may says enough.
        let output = shell.run(&script, plan.budget)?;
        let round_trip = Moment::now().since(began);
        let answer = Answer::read(&output).ok_or(RemoteError::Babble { exit_code: output.exit_code })?;
        if answer.verdict != Verdict::Done {
            return Err(RemoteError::Refused { why: answer.why });
        }
        let skew = skew(&answer, now, round_trip).ok_or(RemoteError::Babble { exit_code: output.exit_code })?;
        if SKEW_MAX < skew.abs() {
            return Err(RemoteError::Clock { skew });
        }
        check_budget(round_trip, plan.budget)?;
        let data = data_held(&plan, &answer);
        let mounts = answer.mounts.into_iter().filter_map(|it| {
            let path = plan.mounts.get(it.number.checked_sub(1)?)?.clone();
            Some(RemoteMount { path, ..it })
        });
        Ok(Self { mounts: mounts.collect(), data, shell, plan, round_trip, skew })
    }

    /// What will be frozen, in that order.
    pub fn mounts(&self) -> &[RemoteMount] {
        &self.mounts
    }

    /// Whether the data of a database is on what will be frozen.
    pub fn data(&self) -> &DataHeld {
        &self.data
    }

    /// What a command takes there and back.
    pub fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// Freezes. Whatever happens, all is thawed when `budget`, at most that of the plan, has passed on the machine since its
    /// freeze, which begins within the budget from now on or not at all; with [`BudgetFrom::Order`] it has passed since now,
    /// to a second, and one that is too short by now is not begun. If it could not be frozen, or nobody knows, it is told to
    /// thaw.
    pub fn freeze(self, budget: Duration, now: Timestamp) -> Result<RemoteHold, Box<RemoteReport>> {
        let Self { shell, mut plan, mounts, skew, round_trip, .. } = self;
        plan.budget = plan.budget.min(budget);
        let (anchor, began, budget) = (Anchor::at(now), Moment::now(), plan.budget);
        let not_after = now.saturating_add(skew).ok().and_then(|at| at.saturating_add(budget).ok());
        let script = plan.script(Order::Freeze, not_after.unwrap_or(Timestamp::MAX));
        let script = check_budget(round_trip, budget).and_then(|()| script.map_err(RemoteError::from));
        // Nothing that was not sent has to be thawed.
        let sent = match script {
            Ok(script) => shell.run(&script, budget.saturating_add(plan.hooks_max())),
            Err(error) => Err(ShellError::Refused { why: error.to_string() }),
        };
        let answer = sent.as_ref().ok().and_then(Answer::read);
        let before = answer.as_ref().and_then(|answer| answer.before_freeze).unwrap_or_default();
        let before = if plan.budget_from == BudgetFrom::Order { Duration::ZERO } else { before };
        let frozen = Moment::now();
        let mut hold = RemoteHold { shell, plan, mounts, anchor, began: began + before, frozen, is_told: false };
        let (why, is_over) = match (sent, answer) {
            (Ok(_), Some(answer)) if answer.verdict == Verdict::Done => return Ok(hold),
            (Ok(_), Some(answer)) => (answer.why, answer.verdict.is_over()),
            (Ok(output), None) => (format!("exit code {} and no answer of the guard", output.exit_code), false),
            (Err(error), _) => (error.to_string(), matches!(error, ShellError::Refused { .. })),
        };
        hold.is_told = is_over;
        if is_over {
            return Err(Box::new(hold.report_of_nothing(why)));
        }
        let report = hold.thaw();
        Err(Box::new(RemoteReport { doubt: Some(why), ..report }))
    }
}

/// Two commands and what EC2 needs between them.
fn check_budget(round_trip: Duration, budget: Duration) -> Result<(), RemoteError> {
    let needed = round_trip.saturating_mul(2).saturating_add(CAPTURE_MIN);
    if budget < needed { Err(RemoteError::TooSlow { round_trip, budget, needed }) } else { Ok(()) }
}

fn data_held(plan: &RemotePlan, answer: &Answer) -> DataHeld {
    let (mut outside, mut unknown) = (Vec::new(), None);
    for (number, place) in plan.data.iter().enumerate() {
        let (what, path) = (place.what, place.path.clone());
        match answer.data.get(&(number + 1)) {
            Some(Found::Held) => {}
            Some(Found::Outside(mount)) => outside.push(Outside { what, path, mount: mount.clone() }),
            None => {
                let why =
                    format!("{what} is said to be in `{}`, where the instance has no such directory", path.display());
                unknown.get_or_insert(why);
            }
        }
    }
    match (unknown, &plan.link) {
        _ if !outside.is_empty() => DataHeld::No(outside),
        (Some(why), _) => DataHeld::Unknown(why),
        (None, None) => DataHeld::Yes,
        (None, Some(link)) => held_by_owner(&plan.data, link, answer),
    }
}

fn held_by_owner(data: &[DataPlace], link: &Link, answer: &Answer) -> DataHeld {
    let owner = match (link, answer.owner.clone()) {
        (Link::Untold(why), _) => Owner::Unknown(why.clone()),
        // Where nobody told how it sees us, not to be found says nothing.
        (Link::Tcp { is_told: false, .. }, Some(Owner::Another)) => {
            Owner::Unknown("how the server sees this host is not known".to_owned())
        }
        (_, Some(owner)) => owner,
        (_, None) => Owner::Unknown("the instance did not say".to_owned()),
    };
    owner.holds(data)
}

/// The clock there less ours, taking the middle of the way for the moment at which it was read; its seconds have no
/// fractions.
fn skew(answer: &Answer, now: Timestamp, round_trip: Duration) -> Option<SignedDuration> {
    let theirs = Timestamp::from_second(answer.clock?).ok()?;
    let half = SignedDuration::try_from(round_trip / 2).ok()?;
    Some(theirs.duration_since(now.saturating_add(half).ok()?))
}

/// Everything is frozen as far as the machine said, until this is thawed or the budget ends there.
#[derive(Debug)]
#[must_use = "a hold that is dropped is thawed"]
pub struct RemoteHold {
    shell: Arc<dyn Shell>,
    plan: RemotePlan,
    mounts: Vec<RemoteMount>,
    anchor: Anchor,
    /// When the budget began, at the latest: when the freeze was sent, and unless that counts too, what there took the command
    /// before it froze.
    began: Moment,
    /// When it was known here that everything was frozen.
    frozen: Moment,
    is_told: bool,
}

/// What a hold was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteReport {
    /// Why it ended.
    pub cause: Cause,
    /// Why it proves nothing, if so.
    pub doubt: Option<String>,
    /// The mounts, in the order of freezing.
    pub mounts: Vec<RemoteMount>,
    /// How long writes stood still there at the most; none if nothing was frozen, or nobody knows.
    pub stall: Option<Duration>,
    /// From here on all stood still together, by the caller's clock.
    pub held_from: Option<Timestamp>,
    /// Until here.
    pub held_until: Option<Timestamp>,
    /// Whether something may still be frozen.
    pub is_left_frozen: bool,
}

impl RemoteHold {
    /// Why the hold is over, if it must be taken to be. It never waits: the machine itself tells only at the thaw.
    pub fn ended(&self) -> Option<Cause> {
        (self.plan.budget <= Moment::now().since(self.began)).then_some(Cause::Budget)
    }

    /// Thaws, and tells what it was.
    pub fn thaw(mut self) -> RemoteReport {
        let until = Moment::now();
        self.is_told = true;
        let answer = self.plan.script(Order::Thaw, Timestamp::MIN).map_err(|error| error.to_string());
        let answer = answer.and_then(|script| {
            // The one command that is worth a second try: it does no harm twice, and the machine thaws by itself if both
            // are lost.
            let run = |shell: &Arc<dyn Shell>| shell.run(&script, THAW_WAIT_MAX);
            run(&self.shell).or_else(|_| run(&self.shell)).map_err(|error| error.to_string())
        });
        let read = answer.as_ref().ok().and_then(Answer::read);
        let stalled = read.as_ref().and_then(|answer| answer.stalled);
        let doubt = match (&answer, &read) {
            (Err(why), _) => Some(format!("the thaw got no answer: {why}")),
            (Ok(output), None) => Some(format!("the thaw gave exit code {} and no answer", output.exit_code)),
            (Ok(_), Some(read)) if read.verdict == Verdict::Done => None,
            (Ok(_), Some(read)) => Some(format!("it was not frozen until the thaw: {}", read.why)),
        };
        let verdict = read.as_ref().map(|answer| answer.verdict);
        let whole = doubt.is_none();
        RemoteReport {
            cause: match verdict {
                Some(Verdict::Done) => Cause::Told,
                Some(Verdict::ThawedBefore) => Cause::Budget,
                _ => Cause::GuardSilent,
            },
            doubt,
            mounts: self.mounts.clone(),
            stall: stalled.and_then(|it: Stalled| it.stall()),
            held_from: whole.then(|| self.anchor.wall(self.frozen)),
            held_until: whole.then(|| self.anchor.wall(until)),
            is_left_frozen: !verdict.is_some_and(Verdict::is_over),
        }
    }

    fn report_of_nothing(self, why: String) -> RemoteReport {
        RemoteReport {
            cause: Cause::FreezeFailed,
            doubt: Some(why),
            mounts: self.mounts.clone(),
            stall: None,
            held_from: None,
            held_until: None,
            is_left_frozen: false,
        }
    }
}

impl Drop for RemoteHold {
    /// On a thread of its own, since whoever drops it may not wait; the machine thaws by itself if nobody lives to send it.
    fn drop(&mut self) {
        if self.is_told {
            return;
        }
        let Ok(script) = self.plan.script(Order::Thaw, Timestamp::MIN) else { return };
        let shell = Arc::clone(&self.shell);
        let _ = std::thread::Builder::new().spawn(move || shell.run(&script, THAW_WAIT_MAX));
    }
}

/// Tells a machine to thaw what a process left frozen that is gone. Gives the guard's words if it could not be.
pub fn thaw_left(shell: &Arc<dyn Shell>, plan: &RemotePlan) -> Result<(), String> {
    let script = plan.script(Order::Thaw, Timestamp::MIN).map_err(|error| error.to_string())?;
    let output = shell.run(&script, THAW_WAIT_MAX).map_err(|error| error.to_string())?;
    match Answer::read(&output) {
        Some(answer) if answer.verdict.is_over() => Ok(()),
        Some(answer) => Err(answer.why),
        None => Err(format!("exit code {} and no answer of the guard", output.exit_code)),
    }
}

#[cfg(test)]
mod tests;
