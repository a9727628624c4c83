//! Writing down what needs no call.

use amikeep_cloud::Cloud;
use amikeep_domain::fire::{Cursor, Planned, StartReason};
use amikeep_domain::job::{Job, JobEvent, JobKey};
use amikeep_domain::plan::{FireAction, Matched};
use amikeep_domain::policy::Enabled;
use amikeep_ledger::{FirePlan, FireRun, NewJob};
use tracing::{info, warn};

use crate::context::Context;
use crate::report::{Recorded, Report};

/// The most lines of the log about cursors that are moved together.
const CURSOR_LINES_MAX: usize = 10;

/// Cursors that no fire moves, in one transaction of the ledger.
pub(crate) async fn cursors<C: Cloud>(ctx: &Context<C>, changes: Vec<(Cursor, Option<StartReason>)>) -> Report {
    let (cursors, reasons): (Vec<Cursor>, Vec<Option<StartReason>>) = changes.into_iter().unzip();
    if let Err(error) = ctx.ledger.record_cursors(&cursors).await {
        let recording = cursors.into_iter().map(|cursor| (cursor.policy, cursor.account)).collect();
        return Report::LedgerFailed { jobs: Vec::new(), recording, error };
    }
    for (cursor, reason) in cursors.iter().zip(reasons).take(CURSOR_LINES_MAX) {
        log_cursor(cursor, reason);
    }
    if CURSOR_LINES_MAX < cursors.len() {
        info!("and {} more policies start from now or are switched off", cursors.len() - CURSOR_LINES_MAX);
    }
    Report::Cursors(cursors.into_iter().map(|cursor| Planned::new(cursor, ctx.policy_set())).collect())
}

fn log_cursor(cursor: &Cursor, reason: Option<StartReason>) {
    let (policy, account) = (&cursor.policy, &cursor.account);
    match reason {
        Some(StartReason::New) => info!(%policy, %account, "policy {policy} is new and starts from now"),
        Some(StartReason::Enabled) => info!(%policy, %account, "policy {policy} is enabled again and starts from now"),
        Some(StartReason::Changed) => {
            info!(%policy, %account, "policy {policy} has another schedule or zone and starts from now");
        }
        Some(StartReason::ClockStepBack) => {
            warn!(%policy, %account, "the clock was far ahead when policy {policy} was last planned; it starts from now");
        }
        None => info!(%policy, %account, "policy {policy} is switched off and plans nothing more"),
    }
}

/// Fires, their jobs and the cursor, in one transaction of the ledger.
pub(crate) async fn fire<C: Cloud>(ctx: &Context<C>, action: FireAction) -> Report {
    let key = (action.policy.clone(), action.account.clone());
    let Some(plan) = fire_plan(ctx, &action) else {
        return Report::Fired { policy: action.policy, account: action.account, cursor: None, jobs: Vec::new() };
    };
    log_fire(&action);
    match ctx.ledger.record_fire(&plan).await {
        Ok(recorded) => {
            // Without a cursor they are all read again.
            let policy = ctx.policy_set().policies.get(&action.policy).filter(|_| !recorded.is_stale);
            let cursor = policy.map(|policy| Cursor {
                policy: action.policy.clone(),
                account: action.account.clone(),
                fingerprint: policy.schedule.fingerprint().to_owned(),
                planned_to: plan.planned_to,
                enabled: Enabled::Yes,
            });
            let cursor = cursor.map(|cursor| Planned::new(cursor, ctx.policy_set()));
            Report::Fired { policy: action.policy, account: action.account, cursor, jobs: recorded.jobs }
        }
        Err(error) => Report::LedgerFailed { jobs: Vec::new(), recording: vec![key], error },
    }
}

fn log_fire(action: &FireAction) {
    let (policy, account) = (&action.policy, &action.account);
    if let Some(missed) = &action.due.missed {
        let why = action.note.as_deref().unwrap_or("amikeep was not running");
        warn!(
            %policy, %account, missed = missed.count, missed_from = %missed.from,
            "policy {policy} missed {} fire(s) since {}: {why}", missed.count, missed.from
        );
    }
    if let (Some(skipped), Some(pause)) = (&action.due.skipped, &action.pause) {
        info!(
            %policy, %account, skipped = skipped.count, skipped_from = %skipped.from,
            "policy {policy} skipped {} fire(s) since {}: {pause}", skipped.count, skipped.from
        );
    }
    if action.due.run.is_some() && action.matched.is_empty() {
        warn!(%policy, %account, "policy {policy} fired and matches no instance in account {account}");
    }
}

/// None if the policy or the account is gone from the configuration meanwhile.
fn fire_plan<C: Cloud>(ctx: &Context<C>, action: &FireAction) -> Option<FirePlan> {
    let run = match action.due.run {
        None => None,
        Some(run) => {
            let jobs: Option<Vec<NewJob>> =
                action.matched.iter().map(|matched| new_job(ctx, action, run, matched)).collect();
            let matched = u32::try_from(action.matched.len()).unwrap_or(u32::MAX);
            Some(FireRun { scheduled_at: run.scheduled_at, trigger: run.trigger, matched, jobs: jobs? })
        }
    };
    Some(FirePlan {
        policy: action.policy.clone(),
        account: action.account.clone(),
        planned_from: action.planned_from,
        planned_to: action.due.planned_to,
        missed: action.due.missed,
        missed_note: action.note.clone(),
        skipped: action.due.skipped,
        skipped_note: action.pause.clone(),
        run,
        at: ctx.now(),
    })
}

fn new_job<C: Cloud>(
    ctx: &Context<C>,
    action: &FireAction,
    run: amikeep_domain::fire::RunFire,
    matched: &Matched,
) -> Option<NewJob> {
    let policy = ctx.policy_set().policies.get(&action.policy)?;
    let rules = ctx.policy_set().accounts.get(&action.account)?;
    Some(NewJob {
        id: ctx.new_job_id(),
        key: JobKey {
            policy: action.policy.clone(),
            account: action.account_id.clone()?,
            region: rules.region.clone(),
            instance: matched.instance.clone(),
            scheduled_at: run.scheduled_at,
        },
        account_name: action.account.clone(),
        trigger: run.trigger,
        request: None,
        asked: None,
        class: matched.class.clone(),
        window: policy.start_window(&matched.instance, run.scheduled_at),
        created_at: ctx.now(),
    })
}

/// The most events in one transaction: a wave of them is written in some commits, and none holds the ledger for long.
const EVENTS_PER_COMMIT_MAX: usize = 500;

/// Events that need no call to EC2: all that a plan has of them.
pub(crate) async fn events<C: Cloud>(ctx: &Context<C>, changes: Vec<(Job, JobEvent)>) -> Report {
    let recorded = record_changes(ctx, &changes).await;
    Report::Recorded { asked: changes.into_iter().map(|(job, _)| job.id).collect(), recorded }
}

/// Writes events down in few commits. One job that cannot be written must not hold up the others, so a commit that fails
/// is taken apart.
pub(crate) async fn record_changes<C: Cloud>(ctx: &Context<C>, changes: &[(Job, JobEvent)]) -> Recorded {
    let mut recorded = Recorded::default();
    for chunk in changes.chunks(EVENTS_PER_COMMIT_MAX) {
        match ctx.ledger.record_events(chunk, ctx.now()).await {
            Ok(jobs) => recorded.moved.extend(jobs),
            Err(_) if 1 < chunk.len() => {
                for (job, event) in chunk {
                    match ctx.ledger.record_event(job, event, ctx.now()).await {
                        Ok(job) => recorded.moved.push(job),
                        Err(error) => recorded.failed = Some(error),
                    }
                }
            }
            Err(error) => recorded.failed = Some(error),
        }
    }
    recorded
}
