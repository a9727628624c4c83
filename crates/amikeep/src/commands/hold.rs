//! `amikeep hold`: a rehearsal of a freeze, on the spot.

use std::sync::Arc;

use amikeep_domain::id::FreezeName;
use amikeep_engine::{Clock, Rehearsal, SystemClock, rehearse};
use serde::Serialize;

use crate::cli::{Format, HoldArgs};
use crate::ctx::Ctx;
use crate::exit::{Exit, UsageError};
use crate::host::LocalHost;
use crate::logging::{self, Purpose};
use crate::output::heading;
use crate::progress::Bars;

/// What a rehearsal was, as JSON.
#[derive(Debug, Serialize)]
struct Answer {
    freeze: String,
    held: bool,
    problem: Option<String>,
    stall_ms: Option<u64>,
    locked_ms: Option<u64>,
    mounts: Vec<Mount>,
    position: serde_json::Map<String, serde_json::Value>,
    steps: Vec<Step>,
}

#[derive(Debug, Serialize)]
struct Mount {
    path: String,
    fs_type: String,
    options: String,
    stall_ms: Option<u64>,
    end: String,
}

#[derive(Debug, Serialize)]
struct Step {
    at: String,
    step: &'static str,
    detail: String,
}

pub(crate) async fn run(args: &HoldArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    logging::start(Purpose::Command, ctx, &Bars::hidden());
    let config = ctx.load_config()?.config;
    let freezes = &config.policy_set.freezes;
    let Some(freeze) = freezes.get(&args.freeze).cloned() else {
        let known: Vec<&str> = freezes.keys().map(FreezeName::as_str).collect();
        let known =
            if known.is_empty() { "there is none".to_owned() } else { format!("there are {}", known.join(", ")) };
        return Err(UsageError(format!("there is no [freezes.{}] in the configuration: {known}", args.freeze)).into());
    };
    let host = LocalHost::new(&config.daemon.database);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let rehearsal = tokio::task::spawn_blocking(move || rehearse(&host, &freeze, &clock)).await?;
    let exit = if rehearsal.problem.is_none() { Exit::Done } else { Exit::Failed };
    match ctx.format {
        Format::Json => ctx.output.json(&answer(args, &rehearsal))?,
        Format::Table => tell(args, &rehearsal, ctx)?,
    }
    Ok(exit)
}

fn tell(args: &HoldArgs, rehearsal: &Rehearsal, ctx: &Ctx) -> anyhow::Result<()> {
    ctx.output.line(&heading(&format!("Rehearsal of the freeze {}", args.freeze), ctx.color))?;
    for (at, step, detail) in &rehearsal.steps {
        ctx.output.line(&format!("  {at:.3}  {step:<9} {detail}"))?;
    }
    if let Some(locked) = rehearsal.locked {
        ctx.output.line(&format!("The application was locked for {} ms.", locked.as_millis()))?;
    }
    if let Some(stall) = rehearsal.stall {
        ctx.output.line(&format!(
            "Writes stood still for {} ms; an image adds the time that EC2 takes.",
            stall.as_millis()
        ))?;
    }
    match &rehearsal.problem {
        None => ctx.output.line("It works: everything was held still and let go.")?,
        Some(problem) => ctx.tell(&format!("error: it does not work: {problem}")),
    }
    Ok(())
}

fn answer(args: &HoldArgs, rehearsal: &Rehearsal) -> Answer {
    let millis = |it: jiff::SignedDuration| u64::try_from(it.as_millis()).ok();
    let mount = |it: &amikeep_domain::freeze::HeldMount| Mount {
        path: it.path.display().to_string(),
        fs_type: it.fs_type.clone(),
        options: it.options.clone(),
        stall_ms: it.stall.and_then(millis),
        end: it.end.clone(),
    };
    let step = |(at, step, detail): &(jiff::Timestamp, &'static str, String)| Step {
        at: at.to_string(),
        step,
        detail: detail.clone(),
    };
    Answer {
        freeze: args.freeze.to_string(),
        held: rehearsal.problem.is_none(),
        problem: rehearsal.problem.clone(),
        stall_ms: rehearsal.stall.and_then(millis),
        locked_ms: rehearsal.locked.and_then(millis),
        mounts: rehearsal.mounts.iter().map(mount).collect(),
        position: rehearsal.position.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect(),
        steps: rehearsal.steps.iter().map(step).collect(),
    }
}
