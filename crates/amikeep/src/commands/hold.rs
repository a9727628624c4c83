//! `amikeep hold`: a rehearsal of a freeze, on the spot.

use std::sync::Arc;

use amikeep_cloud_aws::AwsCloud;
use amikeep_config::{Account, Config};
use amikeep_domain::freeze::{CaptureBy, Freeze, Via};
use amikeep_domain::id::{AccountName, FreezeName};
use amikeep_engine::{Clock, Host as _, Rehearsal, SystemClock, command_shell, rehearse};
use amikeep_hold::ssm::Shell;
use amikeep_view::capture::BySnapshots;
use serde::Serialize;

use crate::cli::{Format, HoldArgs};
use crate::commands::capture::by_snapshots;
use crate::ctx::Ctx;
use crate::exit::{Exit, UsageError};
use crate::host::LocalHost;
use crate::logging::{self, Purpose};
use crate::output::{facts, heading};
use crate::progress::Bars;
use crate::{stop, wiring};

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
    /// Null if the freeze does not ask for it.
    capture_by_snapshots: Option<BySnapshots>,
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
    let shell = match freeze.via {
        Via::Ssm => Some(shell(args, &config).await?),
        Via::Local | Via::Command => None,
    };
    let host = LocalHost::new(&config.daemon.database);
    let capture = match freeze.capture {
        CaptureBy::Image => None,
        CaptureBy::Snapshots => Some(capture(args, &config, &freeze, &host).await),
    };
    // As a job would: nothing is locked for an image that cannot be made.
    let rehearsal = if let Some(unfit) = capture.as_ref().filter(|capture| capture.fit == Some(false)) {
        Rehearsal::failed(unfit.why.clone().unwrap_or_default())
    } else {
        let (clock, stopped): (Arc<dyn Clock>, _) = (Arc::new(SystemClock), stop::asked()?);
        let mut rehearsing = tokio::task::spawn_blocking(move || rehearse(&host, &freeze, &clock, shell));
        tokio::select! {
            rehearsed = &mut rehearsing => rehearsed?,
            // Nobody else would run the commands after it.
            () = stopped => {
                ctx.tell("it ends by itself: what was stopped for it goes on first");
                rehearsing.await?
            }
        }
    };
    let exit = if rehearsal.problem.is_none() { Exit::Done } else { Exit::Failed };
    match ctx.format {
        Format::Json => ctx.output.json(&answer(args, &rehearsal, capture))?,
        Format::Table => tell(args, &rehearsal, capture.as_ref(), ctx)?,
    }
    Ok(exit)
}

/// Whether the instance can be imaged by its snapshots, if it is known which that is.
async fn capture(args: &HoldArgs, config: &Config, freeze: &Freeze, host: &LocalHost) -> BySnapshots {
    let stated = args.instance.clone().or_else(|| freeze.instance.clone());
    let instance = match (stated, freeze.via) {
        (Some(instance), _) => Ok(instance),
        (None, Via::Local) => host.instance().await,
        (None, Via::Ssm | Via::Command) => Err("which instance it is for was not said".to_owned()),
    };
    match (instance, account(args, config)) {
        (Ok(instance), Ok(account)) => by_snapshots(account, &config.daemon.owner, instance).await,
        (Err(why), _) => BySnapshots::unknown(format!("{why}; say it by --instance")),
        (_, Err(why)) => BySnapshots::unknown(why.to_string()),
    }
}

fn account<'a>(args: &HoldArgs, config: &'a Config) -> Result<&'a Account, UsageError> {
    let known: Vec<&str> = config.accounts.keys().map(AccountName::as_str).collect();
    let account = match &args.account {
        Some(name) => config.accounts.get(name),
        None if config.accounts.len() == 1 => config.accounts.values().next(),
        None => None,
    };
    let message = || format!("say by --account which of the accounts the instance is in: {}", known.join(", "));
    account.ok_or_else(|| UsageError(message()))
}

/// The way to the instance of the rehearsal.
async fn shell(args: &HoldArgs, config: &Config) -> anyhow::Result<Arc<dyn Shell>> {
    let Some(instance) = args.instance.clone() else {
        let message = "a freeze through Systems Manager needs an instance: say which by --instance";
        return Err(UsageError(message.to_owned()).into());
    };
    let account = account(args, config)?;
    let cloud = AwsCloud::connect(wiring::aws_account(account, &config.daemon.owner)).await?;
    let comment = format!("amikeep rehearses the freeze {}", args.freeze);
    Ok(command_shell(Arc::new(cloud), instance, comment))
}

fn tell(args: &HoldArgs, rehearsal: &Rehearsal, capture: Option<&BySnapshots>, ctx: &Ctx) -> anyhow::Result<()> {
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
    if let Some(capture) = capture {
        ctx.output.line(&format!("\n{}", heading("An image by CreateSnapshots and RegisterImage", ctx.color)))?;
        ctx.output.line(&facts(&amikeep_view::capture::facts(capture), ctx.width, ctx.color))?;
    }
    match &rehearsal.problem {
        None => ctx.output.line("It works: everything was held still and let go.")?,
        Some(problem) => ctx.tell(&format!("error: it does not work: {problem}")),
    }
    Ok(())
}

fn answer(args: &HoldArgs, rehearsal: &Rehearsal, capture_by_snapshots: Option<BySnapshots>) -> Answer {
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
        capture_by_snapshots,
    }
}
