//! Undoing what a process left behind that died in a hold: `ExecStopPost`, and every start.
//!
//! It must only be called by whoever holds the engine's lock, or by nobody at all if the ledger cannot be written: as long
//! as a daemon lives, its holds are its own.

use std::sync::Arc;
use std::time::Duration;

use amikeep_domain::freeze::{HoldRecord, Via};
use amikeep_domain::id::JobId;
use amikeep_domain::job::{HoldStep, Job, JobEvent};
use amikeep_hold::{
    DeviceNumber, FrozenRecord, Hook, HookOutcome, Leftover, LeftoverOutcome, ProcessStamp, boot_id, run_hook,
    thaw_leftovers,
};
use amikeep_ledger::{Ledger, LedgerError};
use jiff::Timestamp;
use tracing::{error, warn};

use crate::clock::Clock;
use crate::hold::app::start_replica;
use crate::host::Host;

/// What came of one hold that was left behind.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// The job that it was for.
    pub job: JobId,
    /// What was found and done, in words.
    pub done: Vec<String>,
    /// What may still be frozen, and why.
    pub left: Vec<String>,
    /// A command after the hold failed.
    pub hook_failed: Option<String>,
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
        let host = Arc::clone(host);
        let undone = tokio::task::spawn_blocking(move || undo(job, &record, &*host)).await;
        let Ok(undone) = undone else { continue };
        if let Err(error) = settle(ledger, &undone, clock.now()).await {
            warn!(job_id = %job, "what was done about the hold of job {job} could not be written down: {error}");
        }
        tell(&undone);
        recovered.push(undone);
    }
    Ok(recovered)
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
        let run = run_hook(&hook(thaw, record), &record.facts);
        // It may find nothing frozen, since a guard has thawed it; nobody here can tell.
        undone.done.push(run.to_string());
    }
    match record.stopped_replica.as_ref().map(|connection| start_replica(host, connection)) {
        None => {}
        Some(Ok(done)) => undone.done.push(done),
        Some(Err(left)) => undone.left.push(left),
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
    match leftover.outcome {
        LeftoverOutcome::Thawed => undone.done.push(format!("{mount} was frozen, and is thawed")),
        LeftoverOutcome::WasNotFrozen => undone.done.push(format!("{mount} was not frozen")),
        LeftoverOutcome::OtherBoot => undone.done.push(format!("{mount}: the machine was started anew since")),
        LeftoverOutcome::NotMounted => undone.done.push(format!("{mount} is not mounted")),
        LeftoverOutcome::GuardAtWork => undone.left.push(format!("{mount}: its guard hangs in the kernel")),
        LeftoverOutcome::Failed(errno) => undone.left.push(format!("{mount} could not be thawed: {errno}")),
    }
}

async fn settle(ledger: &Ledger, undone: &Recovered, at: Timestamp) -> Result<(), LedgerError> {
    if let Some(job) = ledger.job(undone.job).await?.filter(is_open) {
        let mut told: Vec<(JobEvent, Timestamp)> = Vec::new();
        for detail in undone.done.iter().chain(&undone.left) {
            told.push((JobEvent::HoldStep { step: HoldStep::Recovered, detail: detail.clone() }, at));
        }
        if let Some(reason) = undone.hook_failed.clone().filter(|_| job.image().is_some()) {
            told.push((JobEvent::HookFailed { reason }, at));
        }
        ledger.record_told(&job, &told).await?;
    }
    if undone.left.is_empty() { ledger.settle_hold(undone.job).await } else { Ok(()) }
}

fn is_open(job: &Job) -> bool {
    !job.state.name().is_terminal()
}

fn tell(undone: &Recovered) {
    let job = undone.job;
    warn!(job_id = %job, "a process died while it held an instance still for job {job}: {}", undone.done.join("; "));
    for left in &undone.left {
        error!(
            job_id = %job,
            "{left}; writes may hang: run `fsfreeze --unfreeze` on what is frozen, and see the kernel's log if that fails"
        );
    }
}
