//! A held capture: one action, from what is made ready to the commands after it.
//!
//! It owns the order in which a hold and the ledger take turns. What may be frozen and the intent are committed before
//! anything is locked. Between the first lock and the thaw nothing touches the ledger or the log: what happens then is kept
//! with its times, and written down after the thaw. The one inner loop, looking for the snapshots, is bounded by the budget.
//!
//! It must never send a second request, and never call a hold proved of which it did not see everything. Every way out of
//! the middle leads through the thaw: what is frozen is thawed when it is dropped, also by a panic or a shutdown.

mod capture;
mod look;
mod prepare;

use amikeep_cloud::{Action, Cloud};
use amikeep_domain::class::Consistency;
use amikeep_domain::decision::{HoldOrder, NotHeld, decide_not_held, decide_unfit};
use amikeep_domain::freeze::{CaptureBy, HoldOutcome, HoldRecord, HoldSeen, LeftFrozen};
use amikeep_domain::grade::Grade;
use amikeep_domain::job::{HoldStep, Job, JobEvent, JobState};
use amikeep_domain::plan::{FACTS_FRESH_FOR, RequestAction};
use amikeep_domain::policy::saturating_add;
use amikeep_domain::tags;
use amikeep_hold::{Entered, HookOutcome, HookRun};
use amikeep_ledger::LedgerError;
use jiff::SignedDuration;
use tracing::warn;

use crate::context::Context;
use crate::hold::recover::{tell_left, thaw_left_by};
use crate::hold::told::{Told, step};
use crate::judge::{judge_request, judge_request_of_snapshots};
use crate::task::hold::capture::{Answer, Captured, Earlier, Parts, capture};
use crate::task::hold::prepare::{Prepared, Unprepared, prepare};
use crate::task::request::{admit, request_admitted};

/// Holds the instance of a job still, asks for its image meanwhile, and writes down what came of both.
pub(crate) async fn request_held<C: Cloud>(
    ctx: &Context<C>,
    job: Job,
    action: RequestAction,
    order: HoldOrder,
) -> Result<Job, LedgerError> {
    let under_way = ctx.turns.under_way();
    let job = hold(ctx, job, action, order).await?;
    under_way.settled();
    Ok(job)
}

async fn hold<C: Cloud>(
    ctx: &Context<C>,
    job: Job,
    mut action: RequestAction,
    order: HoldOrder,
) -> Result<Job, LedgerError> {
    let call = match order.freeze.capture {
        CaptureBy::Image => Action::CreateImage,
        CaptureBy::Snapshots => Action::CreateSnapshots,
    };
    if let Some(event) = admit(ctx, &job, &action, call).await {
        return ctx.ledger.record_event(&job, &event, ctx.now()).await;
    }
    let job = record_holding(ctx, job, &order).await?;
    // Not while what an earlier hold of it left is being thawed.
    let _turn = ctx.turns.wait(&job.key.instance).await;
    if let Some(left) = thaw_left_by(ctx, job.id).await? {
        // Its record must stay, and the next hold of this job would replace it.
        let why = format!("an earlier hold of this job could not be thawed: {left}");
        let decision = decide_not_held(&order, &action.class, job.window, &why, ctx.now());
        let broken = Broken { why, told: Vec::new(), after: After::AsBefore, seen: unseen(&order, None) };
        return not_held(ctx, job, action, decision, broken).await;
    }
    let prepared = match prepare(ctx, &job, &action, &order).await? {
        Ok(prepared) => prepared,
        Err(Unprepared::Anew(reason)) => return decide_anew(ctx, &job, reason).await,
        Err(Unprepared::Unfit(why)) => {
            let decision = decide_unfit(&order, &action.class, &why);
            let broken = Broken { why, told: Vec::new(), after: After::NothingFrozen, seen: unseen(&order, None) };
            return not_held(ctx, job, action, decision, broken).await;
        }
        Err(Unprepared::NotReady(not_ready)) => {
            let told = not_ready.told(ctx.now());
            let seen = unseen(&order, None);
            let broken = Broken { why: not_ready.why, told, after: After::NothingFrozen, seen };
            let decision = decide_not_held(&order, &action.class, job.window, &broken.why, ctx.now());
            return not_held(ctx, job, action, decision, broken).await;
        }
    };
    let Prepared { ready, record, volumes, known, registration } = prepared;
    action.intent.registration = registration;
    let entered = ready.entered;
    let earlier = if job.intent.is_some() { Earlier::MayArrive } else { Earlier::Nothing };
    let job = match record_intent(ctx, &job, &action, &record, entered.pre()).await {
        Ok(job) => job,
        Err(error) => {
            // Nothing is frozen, and what the commands stopped has to go on.
            leave(entered).await;
            return Err(error);
        }
    };
    let parts = Parts { earlier, app: ready.app, worth: ready.worth, holder: ready.holder, volumes, known };
    match capture(ctx, job.id, &action, &order.freeze, parts).await {
        Ok(captured) => finish(ctx, job, record, captured, entered).await,
        Err(failed) => {
            let mut told = failed.steps;
            told.extend(post_steps(ctx, &leave(entered).await));
            let after = after(&job, record, failed.left_frozen);
            let decision = decide_not_held(&order, &action.class, job.window, &failed.why, ctx.now());
            let broken = Broken { why: failed.why, told, after, seen: unseen(&order, failed.stall) };
            not_held(ctx, job, action, decision, broken).await
        }
    }
}

/// A hold that did not come about. Nothing was sent.
struct Broken {
    why: String,
    told: Vec<Told>,
    after: After,
    seen: HoldSeen,
}

/// What there is to be seen of a hold that did not come about.
fn unseen(order: &HoldOrder, stall: Option<SignedDuration>) -> HoldSeen {
    let (freeze, application) = (order.freeze.name.clone(), order.freeze.application);
    HoldSeen { freeze, application, outcome: HoldOutcome::NotHeld, stall, locked: None }
}

/// How things stand when a hold is over.
enum After {
    /// An earlier hold left something, and nothing was done since.
    AsBefore,
    /// Nothing was frozen.
    NothingFrozen,
    /// All of this is thawed.
    Thawed(HoldRecord),
    /// Some of it could not be: the record by which that is tried again.
    Left(HoldRecord),
}

async fn record_holding<C: Cloud>(ctx: &Context<C>, job: Job, order: &HoldOrder) -> Result<Job, LedgerError> {
    let job = match job.state {
        JobState::Queued { .. } => ctx.ledger.record_event(&job, &JobEvent::Started, ctx.now()).await?,
        _ => job,
    };
    let holding = JobEvent::Holding { freeze: order.freeze.name.clone() };
    match job.state {
        JobState::Preparing => ctx.ledger.record_event(&job, &holding, ctx.now()).await,
        _ => Ok(job),
    }
}

/// From here on everything may be frozen and the request may be sent, whatever happens to this process.
async fn record_intent<C: Cloud>(
    ctx: &Context<C>,
    job: &Job,
    action: &RequestAction,
    record: &HoldRecord,
    pre: &[HookRun],
) -> Result<Job, LedgerError> {
    let now = ctx.now();
    ctx.ledger.record_hold(job.id, record, now).await?;
    let mut intent = action.intent.clone();
    intent.recorded_at = now;
    let mut told: Vec<Told> = pre.iter().map(|run| step(HoldStep::Pre, run.to_string(), now)).collect();
    told.push((JobEvent::Intended { class: action.class.clone(), intent }, now));
    ctx.ledger.record_told(job, &told).await
}

/// The decision is taken again once facts are certainly read again: on those that are known it would be the same.
async fn decide_anew<C: Cloud>(ctx: &Context<C>, job: &Job, reason: String) -> Result<Job, LedgerError> {
    ctx.ledger.settle_hold(job.id).await?;
    let wait = FACTS_FRESH_FOR + SignedDuration::from_secs(1);
    // Never past the end of the window: there the decision says what was waited for in vain.
    let retry_at =
        saturating_add(ctx.now(), wait).min(saturating_add(job.window.start_by, SignedDuration::from_nanos(1)));
    let event = JobEvent::Deferred { retry_at, reason };
    ctx.ledger.record_event(job, &event, ctx.now()).await
}

/// What the class says of an instance that cannot be held still.
async fn not_held<C: Cloud>(
    ctx: &Context<C>,
    job: Job,
    mut action: RequestAction,
    decision: NotHeld,
    broken: Broken,
) -> Result<Job, LedgerError> {
    let now = ctx.now();
    ctx.witness.held(&broken.seen);
    let mut told = broken.told;
    told.push((JobEvent::NotHeld { reason: broken.why }, now));
    match &decision {
        NotHeld::FallBack(_) => {}
        NotHeld::Wait { retry_at, reason } => {
            told.push((JobEvent::Deferred { retry_at: *retry_at, reason: reason.to_string() }, now));
        }
        NotHeld::Fail(error) => told.push((JobEvent::Failed(error.clone()), now)),
    }
    let job = ctx.ledger.record_told(&job, &told).await?;
    settle(ctx, &job, broken.after).await?;
    let NotHeld::FallBack(reason) = decision else { return Ok(job) };
    let intent = &mut action.intent;
    (intent.mode, intent.expected, intent.grade_min) = (Consistency::NoReboot, Grade::Crash, None);
    (intent.reason, intent.hold, intent.registration) = (reason.to_string(), None, None);
    action.tags.insert(tags::MODE.to_owned(), Consistency::NoReboot.to_string());
    request_admitted(ctx, job, action).await
}

/// What was done in the hold is written down first, since nobody else knows it; then the commands after it are run. Of a
/// request that EC2 refused nothing is lost with this process, and a job that has ended takes no more lines.
async fn finish<C: Cloud>(
    ctx: &Context<C>,
    job: Job,
    record: HoldRecord,
    captured: Captured,
    entered: Entered,
) -> Result<Job, LedgerError> {
    ctx.witness.held(&captured.seen);
    let after = after(&job, record, captured.left_frozen);
    let event = match captured.answer {
        Answer::Image(answer) => judge_request(&job, answer, ctx.now()),
        Answer::Snapshots(answer) => judge_request_of_snapshots(&job, answer, ctx.now()),
    };
    let mut told = captured.steps;
    told.push((JobEvent::Held(Box::new(captured.held)), ctx.now()));
    let may_exist = matches!(
        event,
        JobEvent::Accepted { .. }
            | JobEvent::SnapshotsTaken { .. }
            | JobEvent::OutcomeUnknown { .. }
            | JobEvent::NameInUse
    );
    let job = if may_exist {
        told.push((event, ctx.now()));
        let recorded = ctx.ledger.record_told(&job, &told).await;
        let runs = leave(entered).await;
        let job = recorded?;
        let mut after = post_steps(ctx, &runs);
        if let Some(failed) = runs.iter().find(|run| run.outcome != HookOutcome::Succeeded) {
            after.push((JobEvent::HookFailed { reason: failed.to_string() }, ctx.now()));
        }
        if after.is_empty() { job } else { ctx.ledger.record_told(&job, &after).await? }
    } else {
        told.extend(post_steps(ctx, &leave(entered).await));
        told.push((event, ctx.now()));
        ctx.ledger.record_told(&job, &told).await?
    };
    settle(ctx, &job, after).await?;
    Ok(job)
}

/// The hold is over and its commands after it have run. What may still be frozen stays on record.
async fn settle<C: Cloud>(ctx: &Context<C>, job: &Job, after: After) -> Result<(), LedgerError> {
    match after {
        After::AsBefore => Ok(()),
        After::NothingFrozen => ctx.ledger.settle_hold(job.id).await,
        After::Thawed(record) => {
            settle_older(ctx, job, &record).await?;
            ctx.ledger.settle_hold(job.id).await
        }
        After::Left(record) => {
            ctx.turns.note_left(record.left.iter().map(|left| format!("job {}: {left}", job.id)));
            ctx.ledger.record_hold(job.id, &record, ctx.now()).await
        }
    }
}

/// A command that thawed an instance has thawed whatever it could not thaw before.
async fn settle_older<C: Cloud>(ctx: &Context<C>, job: &Job, thawed: &HoldRecord) -> Result<(), LedgerError> {
    if thawed.thaw.is_none() {
        return Ok(());
    }
    for (older, record) in ctx.ledger.open_holds().await? {
        let is_same = record.thaw == thawed.thaw && record.freeze == thawed.freeze;
        // One command can be for many instances, which only the facts tell apart.
        let instance = ctx.ledger.job(older).await?.map(|older| older.key.instance);
        if !record.left.is_empty() && is_same && instance.as_ref() == Some(&job.key.instance) {
            ctx.ledger.settle_hold(older).await?;
        }
    }
    Ok(())
}

/// Runs the commands after a hold, on a thread that may wait for them.
async fn leave(entered: Entered) -> Vec<HookRun> {
    tokio::task::spawn_blocking(move || entered.leave()).await.unwrap_or_default()
}

fn post_steps<C: Cloud>(ctx: &Context<C>, runs: &[HookRun]) -> Vec<Told> {
    for run in runs.iter().filter(|run| run.outcome != HookOutcome::Succeeded) {
        warn!("after a hold: {run}");
    }
    runs.iter().map(|run| step(HoldStep::Post, run.to_string(), ctx.now())).collect()
}

fn after(job: &Job, record: HoldRecord, left: Vec<LeftFrozen>) -> After {
    for left in &left {
        tell_left(job.id, left);
    }
    if left.is_empty() { After::Thawed(record) } else { After::Left(record.left_behind(left)) }
}
