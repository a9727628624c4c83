//! A rehearsal: everything that a hold does, but the image.

use std::sync::Arc;

use amikeep_domain::freeze::{Application, Freeze, HeldMount};
use amikeep_domain::job::{HoldStep, JobEvent};
use amikeep_domain::policy::saturating_add;
use amikeep_hold::Moment;
use amikeep_hold::apps::Prepared;
use amikeep_hold::ssm::Shell;
use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;
use crate::hold::app::{lock, ping, position, release};
use crate::hold::facts::{Purpose, Remote};
use crate::hold::holder::Holder;
use crate::hold::ready::{check_mounts, make_ready};
use crate::hold::told::signed;
use crate::host::Host;

/// What a rehearsal was.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    /// What happened, in order: when, what, and in words.
    pub steps: Vec<(Timestamp, &'static str, String)>,
    /// Every mount.
    pub mounts: Vec<HeldMount>,
    /// For how long writes stood still.
    pub stall: Option<SignedDuration>,
    /// For how long the application was locked.
    pub locked: Option<SignedDuration>,
    /// Where the application stood.
    pub position: Vec<(String, String)>,
    /// Why it did not work.
    pub problem: Option<String>,
}

impl Rehearsal {
    /// One that nothing was done for.
    pub fn failed(problem: String) -> Self {
        let (steps, mounts) = (Vec::new(), Vec::new());
        Self { steps, mounts, stall: None, locked: None, position: Vec::new(), problem: Some(problem) }
    }

    fn step(&mut self, at: Timestamp, step: HoldStep, detail: impl Into<String>) {
        self.steps.push((at, step.as_str(), detail.into()));
    }
}

/// Locks, freezes, thaws, and takes no image. It blocks. `shell` is the way to the instance, if that is another machine.
///
/// Nothing of it is in any ledger: should this process and its guard both be killed while it freezes this machine, only
/// `fsfreeze --unfreeze` helps.
pub fn rehearse(host: &dyn Host, freeze: &Freeze, clock: &Arc<dyn Clock>, shell: Option<Arc<dyn Shell>>) -> Rehearsal {
    let mounts = match check_mounts(host, freeze) {
        Ok(mounts) => mounts,
        Err(not_ready) => return Rehearsal::failed(not_ready.why),
    };
    let not_after = saturating_add(clock.now(), freeze.lock_wait + freeze.budget + freeze.command_limit);
    let purpose =
        Purpose { remote: shell.map(|shell| Remote { shell, clock: Arc::clone(clock) }), ..Purpose::default() };
    let ready = match make_ready(host, freeze, &purpose, &mounts, not_after, None) {
        Ok(ready) => ready,
        Err(not_ready) => {
            let mut failed = Rehearsal::failed(not_ready.why);
            for (step, detail) in not_ready.ran {
                failed.step(clock.now(), step, detail);
            }
            return failed;
        }
    };
    let mut told = Rehearsal { problem: None, ..Rehearsal::failed(String::new()) };
    for run in ready.entered.pre() {
        told.step(clock.now(), HoldStep::Pre, run.to_string());
    }
    if let Some(doubt) = &ready.worth.doubt {
        told.step(clock.now(), HoldStep::Doubted, doubt);
    }
    hold_and_let_go(freeze, clock, ready.app, ready.holder, &mut told);
    for run in ready.entered.leave() {
        if run.outcome != amikeep_hold::HookOutcome::Succeeded {
            told.problem.get_or_insert_with(|| run.to_string());
        }
        told.step(clock.now(), HoldStep::Post, run.to_string());
    }
    told
}

fn hold_and_let_go(freeze: &Freeze, clock: &Arc<dyn Clock>, app: Prepared, holder: Holder, told: &mut Rehearsal) {
    let (began, budget) = (Moment::now(), freeze.budget.unsigned_abs());
    let app = match lock(app, freeze) {
        Ok(app) => app,
        Err(why) => return told.problem = Some(why),
    };
    told.position = position(&app);
    let is_locked = freeze.application != Application::None;
    if is_locked {
        told.step(clock.now(), HoldStep::Locked, format!("after {} ms", app.waited().as_millis()));
    }
    let end = match holder.freeze(budget.saturating_sub(Moment::now().since(began)), clock) {
        Ok(frozen) => {
            told.problem = ping(&app).err();
            frozen.thaw()
        }
        Err(end) => *end,
    };
    let released = release(app);
    told.locked = is_locked.then(|| signed(Moment::now().since(began)));
    // What may still be frozen comes first, with the command that ends it: nobody else knows of a rehearsal.
    let left = end.left_frozen.first().map(ToString::to_string);
    told.problem = left.or(told.problem.take()).or(end.doubt).or(released.err());
    (told.mounts, told.stall) = (end.mounts, end.stall);
    for (event, at) in end.steps {
        if let JobEvent::HoldStep { step, detail } = event {
            told.step(at, step, detail);
        }
    }
}
