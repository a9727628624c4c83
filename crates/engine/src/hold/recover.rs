//! Undoing what a process left behind that died in a hold: `ExecStopPost`, and every start.
//!
//! It must only be called by whoever holds the engine's lock, or by anybody at all if the ledger cannot be written: as long
//! as a daemon lives, its holds are its own.

use std::sync::Arc;
use std::time::Duration;

use amikeep_cloud::Cloud;
use amikeep_domain::freeze::{HoldRecord, LeftFrozen, Via};
use amikeep_domain::id::JobId;
use amikeep_domain::job::{HoldStep, Job, JobEvent, JobState};
use amikeep_hold::command::{run_thaw, wait_for_guard};
use amikeep_hold::{
    DeviceNumber, FrozenRecord, Hook, HookOutcome, Leftover, LeftoverOutcome, ProcessStamp, boot_id, run_hook,
    thaw_leftovers,
};
use amikeep_ledger::{Ledger, LedgerError};
use jiff::Timestamp;
use tracing::{error, warn};

use crate::clock::Clock;
use crate::context::Context;
use crate::hold::app::start_replica;
use crate::hold::told::{left_by_command, left_mount};
use crate::host::Host;

/// What came of one hold that was left behind.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// The job that it was for.
    pub job: JobId,
    /// What was found and done, in words.
    pub done: Vec<String>,
    /// What may still be frozen, and what undoes it.
    pub left: Vec<LeftFrozen>,
    /// A command after the hold failed.
    pub hook_failed: Option<String>,
}

impl Recovered {
    /// What may still be frozen, for people.
    pub(crate) fn told(&self) -> impl Iterator<Item = String> {
        self.left.iter().map(|it| format!("job {}: {it}", self.job))
    }
}

/// Thaws what was left frozen, and runs the commands that were to be run. What is settled is forgotten, where the ledger can
/// be written; where it cannot, all of it is tried again by the next start, which finds nothing frozen.
pub async fn recover_holds(
    ledger: &Ledger,
    clock: &dyn Clock,
    host: &Arc<dyn Host>,
) -> Result<Vec<Recovered>, LedgerError> {
    let mut recovered = Vec::new();
    for (job, record) in ledger.open_holds().await? {
        recovered.extend(recover_hold(ledger, clock, host, job, record).await);
    }
    Ok(recovered)
}

/// One hold. `None`: this very try panicked, and the record stays as it is.
async fn recover_hold(
    ledger: &Ledger,
    clock: &dyn Clock,
    host: &Arc<dyn Host>,
    job: JobId,
    record: HoldRecord,
) -> Option<Recovered> {
    let (host, kept) = (Arc::clone(host), record.clone());
    let undone = tokio::task::spawn_blocking(move || undo(job, &record, &*host)).await.ok()?;
    if let Err(error) = settle(ledger, &undone, &kept, clock.now()).await {
        warn!(job_id = %job, "what was done about the hold of job {job} could not be written down: {error}");
    }
    tell(&undone, &kept);
    Some(undone)
}

/// Tries again to thaw what an earlier hold of this job left, whose turn it is with its instance. Says what is left still.
pub(crate) async fn thaw_left_by<C: Cloud>(ctx: &Context<C>, job: JobId) -> Result<Option<LeftFrozen>, LedgerError> {
    let holds = ctx.ledger.open_holds().await?;
    let Some((_, record)) = holds.into_iter().find(|(of, record)| *of == job && !record.left.is_empty()) else {
        return Ok(None);
    };
    let undone = recover_hold(&ctx.ledger, &*ctx.clock, &ctx.host, job, record.clone()).await;
    Ok(undone.map_or(record.left, |undone| undone.left).into_iter().next())
}

/// Tries again to thaw what holds left that are over, and settles those of which this process could not write down that they
/// were; but for instances that are held still at this moment. Says what is left, for people.
pub(crate) async fn thaw_left<C: Cloud>(ctx: &Context<C>) -> Result<Vec<String>, LedgerError> {
    let mut left = Vec::new();
    for (job, before) in ctx.ledger.open_holds().await? {
        let as_before = |record: HoldRecord| Recovered { job, done: Vec::new(), left: record.left, hook_failed: None };
        let instance = ctx.ledger.job(job).await?.map(|job| job.key.instance);
        let turn = instance.as_ref().map(|instance| ctx.turns.try_take(instance));
        if let Some(None) = turn {
            // Its own hold may be under way, or that of another job.
            if before.left.is_empty() {
                ctx.turns.note_unsettled();
            }
            left.extend(as_before(before).told());
            continue;
        }
        // Once more: its hold may have been the one whose turn it was.
        let Some((_, record)) = ctx.ledger.open_holds().await?.into_iter().find(|(of, _)| *of == job) else { continue };
        if record.left.is_empty() {
            // The commands after it are run again, so not unless that it is over can be written down.
            ctx.ledger.record_hold(job, &record, ctx.now()).await?;
        }
        let undone = recover_hold(&ctx.ledger, &*ctx.clock, &ctx.host, job, record.clone()).await;
        left.extend(undone.unwrap_or_else(|| as_before(record)).told());
    }
    Ok(left)
}

fn undo(job: JobId, record: &HoldRecord, host: &dyn Host) -> Recovered {
    let mut undone = Recovered { job, done: Vec::new(), left: Vec::new(), hook_failed: None };
    let boot_id = boot_id().unwrap_or_default();
    for leftover in thaw_leftovers(&frozen_records(record), &boot_id) {
        tell_leftover(&leftover, &mut undone);
    }
    if record.facts.contains(&("AMIKEEP_VIA".to_owned(), Via::Ssm.as_str().to_owned())) {
        undone
            .done
            .push("the guard on the instance thaws what is frozen there, at the budget at the latest".to_owned());
    }
    if let Some(thaw) = &record.thaw {
        // A guard that is still at work may be waiting for a command that freezes. What it thaws is thawed once more.
        let guard = record.guard.filter(|_| record.boot_id == boot_id);
        if let Some(guard) = guard {
            let stamp = ProcessStamp { pid: guard.pid, started: guard.started };
            wait_for_guard(stamp, record.command_limit.unsigned_abs());
        }
        // It may find nothing frozen, since a guard has thawed it; only the command itself can tell.
        let outcome = run_thaw(&hook(thaw, record), &record.facts);
        if outcome.may_be_frozen() {
            undone.left.push(left_by_command(thaw, &outcome));
        } else {
            undone.done.push(format!("`{}` {outcome}", thaw.join(" ")));
        }
    }
    match record.stopped_replica.as_ref().map(|connection| start_replica(host, connection)) {
        None => {}
        Some(Ok(done)) => undone.done.push(done),
        Some(Err(what)) => undone.left.push(LeftFrozen { what, run: "START REPLICA".to_owned() }),
    }
    for post in record.post.iter().rev() {
        let run = run_hook(&hook(post, record), &record.facts);
        if run.outcome != HookOutcome::Succeeded {
            undone.hook_failed.get_or_insert_with(|| run.to_string());
        }
        undone.done.push(run.to_string());
    }
    undone
}

fn hook(argv: &[String], record: &HoldRecord) -> Hook {
    Hook { argv: argv.to_vec(), limit: record.command_limit.unsigned_abs().max(Duration::from_secs(1)) }
}

fn frozen_records(record: &HoldRecord) -> Vec<FrozenRecord> {
    let nobody = ProcessStamp { pid: 0, started: 0 };
    let guard = record.guard.map_or(nobody, |it| ProcessStamp { pid: it.pid, started: it.started });
    let of_mount = |mount: &amikeep_domain::freeze::RecordedMount| FrozenRecord {
        mount: mount.path.clone(),
        device: DeviceNumber { major: mount.major, minor: mount.minor },
        boot_id: record.boot_id.clone(),
        guard,
    };
    record.mounts.iter().map(of_mount).collect()
}

fn tell_leftover(leftover: &Leftover, undone: &mut Recovered) {
    let mount = leftover.record.mount.display();
    let left = |why: String| {
        let left = left_mount(&leftover.record.mount);
        LeftFrozen { what: format!("{}: {why}", left.what), ..left }
    };
    match leftover.outcome {
        LeftoverOutcome::Thawed => undone.done.push(format!("{mount} was frozen, and is thawed")),
        LeftoverOutcome::WasNotFrozen => undone.done.push(format!("{mount} was not frozen")),
        LeftoverOutcome::OtherBoot => undone.done.push(format!("{mount}: the machine was started anew since")),
        LeftoverOutcome::NotMounted => undone.done.push(format!("{mount} is not mounted")),
        LeftoverOutcome::GuardAtWork => undone.left.push(left("its guard hangs in the kernel".to_owned())),
        LeftoverOutcome::Failed(errno) => undone.left.push(left(format!("thawing it failed: {errno}"))),
    }
}

async fn settle(ledger: &Ledger, undone: &Recovered, record: &HoldRecord, at: Timestamp) -> Result<(), LedgerError> {
    // A job that has gone on takes no more lines, and its hold is over all the same.
    if let Some(job) = ledger.job(undone.job).await?.filter(|job| job.state == JobState::Holding || may_have_asked(job))
    {
        let mut told: Vec<(JobEvent, Timestamp)> = Vec::new();
        for detail in undone.done.iter().cloned().chain(undone.left.iter().map(ToString::to_string)) {
            told.push((JobEvent::HoldStep { step: HoldStep::Recovered, detail }, at));
        }
        // Whatever EC2 was asked for in the hold, it is not proved any more.
        if let Some(reason) = undone.hook_failed.clone().filter(|_| may_have_asked(&job)) {
            told.push((JobEvent::HookFailed { reason }, at));
        }
        ledger.record_told(&job, &told).await?;
    }
    if undone.left.is_empty() {
        return ledger.settle_hold(undone.job).await;
    }
    ledger.record_hold(undone.job, &record.clone().left_behind(undone.left.clone()), at).await
}

fn may_have_asked(job: &Job) -> bool {
    matches!(job.state, JobState::Capturing(_) | JobState::Taken(_) | JobState::Pending(_))
}

fn tell(undone: &Recovered, record: &HoldRecord) {
    let (job, done) = (undone.job, undone.done.join("; "));
    match (record.left.is_empty(), undone.left.is_empty()) {
        (true, _) => {
            warn!(job_id = %job, "the hold of job {job} was over and not known to be: {done}");
        }
        (false, true) => warn!(job_id = %job, "what the hold of job {job} had left frozen is thawed: {done}"),
        (false, false) => {}
    }
    for left in &undone.left {
        tell_left(job, left);
    }
}

/// Loud, since users wait for writes; and with the command that ends it.
pub(crate) fn tell_left(job: JobId, left: &LeftFrozen) {
    error!(
        job_id = %job,
        "{}, and writes may hang: run `{}`; amikeep tries again until it succeeds, or until `amikeep thaw --settled {job}`",
        left.what, left.run
    );
}
