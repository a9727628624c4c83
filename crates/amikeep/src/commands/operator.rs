//! `pause`, `resume`, `cancel`, `pin` and `unpin`: what operators stop, take back, or want kept.

use amikeep_domain::id::{ImageId, JobId};
use amikeep_domain::pause::PauseScope;
use amikeep_ledger::RequestKind;
use amikeep_view as view;
use serde::Serialize;

use crate::ask::{self, Answer, Block, Question, Source};
use crate::cli::{CancelArgs, Format, PauseArgs, PinArgs, ResumeArgs, ScopeArgs};
use crate::commands::{known, order, show};
use crate::ctx::{Ctx, open_ledger};
use crate::exit::{Exit, UsageError};
use crate::logging::{self, Purpose};
use crate::progress::Bars;
use crate::wiring;

fn scope(args: &ScopeArgs) -> Option<PauseScope> {
    let policy = args.policy.clone().map(PauseScope::Policy);
    let instance = args.instance.clone().map(PauseScope::Instance);
    policy.or(instance).or_else(|| args.all.then_some(PauseScope::All))
}

/// Without a scope it lists what is paused.
pub(crate) async fn pause(args: &PauseArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    let Some(scope) = scope(&args.scope) else {
        if args.until.is_some() || args.reason.is_some() {
            let text = "say what is to be paused: --policy P, --instance I or --all";
            return Err(UsageError(text.to_owned()).into());
        }
        return ask::print(ctx, &ctx.load_records()?, Question::Pauses).await;
    };
    check_scope(&scope, ctx).await?;
    let until = args.until.map(|until| until.ahead(ctx.now()));
    ordered(ctx, "amikeep pause", RequestKind::Pause { scope, until, reason: args.reason.clone() }, Shown::Pauses).await
}

pub(crate) async fn resume(args: &ResumeArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    let Some(scope) = scope(&args.scope) else {
        let text = "say what is to be resumed: --policy P, --instance I or --all; `amikeep pause` lists what is paused";
        return Err(UsageError(text.to_owned()).into());
    };
    ordered(ctx, "amikeep resume", RequestKind::Resume { scope }, Shown::Pauses).await
}

pub(crate) async fn cancel(args: &CancelArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    let ledger = open_ledger(&ctx.load_records()?.database).await?;
    let found = show::find(&ledger, &args.job).await?;
    ledger.close().await;
    let [job] = found.as_slice() else {
        ctx.tell(&show::not_one(&args.job, &found));
        return Ok(Exit::Failed);
    };
    ordered(ctx, "amikeep cancel", RequestKind::Cancel { job: job.id }, Shown::Job(job.id)).await
}

pub(crate) async fn pin(args: &PinArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    let (image, account) = (args.image.clone(), args.account.clone());
    let shown = Shown::Image { image: image.clone(), pinned: true };
    ordered(ctx, "amikeep pin", RequestKind::Pin { image, account }, shown).await
}

pub(crate) async fn unpin(args: &PinArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    let (image, account) = (args.image.clone(), args.account.clone());
    let shown = Shown::Image { image: image.clone(), pinned: false };
    ordered(ctx, "amikeep unpin", RequestKind::Unpin { image, account }, shown).await
}

/// What is shown when it is done.
enum Shown {
    Pauses,
    Job(JobId),
    Image { image: ImageId, pinned: bool },
}

/// The answer of `pin` and `unpin`.
#[derive(Serialize)]
struct Pinned {
    image_id: String,
    pinned: bool,
}

async fn ordered(ctx: &Ctx, command: &'static str, kind: RequestKind, shown: Shown) -> anyhow::Result<Exit> {
    logging::start(Purpose::Command, ctx, &Bars::new());
    let config = ctx.load_config()?.config;
    let clouds = wiring::connect(&config, &wiring::pacers()).await;
    let (_, ended) = order::carry_out(ctx, &config, &clouds, command, kind).await?;
    let exit = order::tell(ctx, &ended);
    if exit != Exit::Done {
        return Ok(exit);
    }
    let ledger = open_ledger(&config.daemon.database).await?;
    match shown {
        Shown::Pauses => {
            let source = Source { ledger: &ledger, config: Some(&config), format: ctx.format, now: ctx.now() };
            list(&source).await?.print(ctx)?;
        }
        Shown::Job(id) => {
            let Some(job) = ledger.job(id).await? else { return Ok(Exit::Failed) };
            let state = job.state.name();
            match ctx.format {
                Format::Json => ctx.output.json(&serde_json::json!({ "job": view::job::Job::from(&job) }))?,
                Format::Table => ctx.output.line(&format!("job {id} is {state}: cancelled"))?,
            }
        }
        Shown::Image { image, pinned } => match ctx.format {
            Format::Json => ctx.output.json(&Pinned { image_id: image.to_string(), pinned })?,
            Format::Table if pinned => {
                ctx.output.line(&format!("{image} is pinned: it is kept until it is unpinned"))?;
            }
            Format::Table => {
                ctx.output.line(&format!("{image} is no longer pinned: the rules decide about it again"))?;
            }
        },
    }
    Ok(Exit::Done)
}

/// What is paused.
pub(crate) async fn list(source: &Source<'_>) -> anyhow::Result<Answer> {
    let pauses = source.ledger.pauses_in_force(source.now).await?;
    let pauses = view::pause::Pauses::from(pauses.as_slice());
    let mut answer = Answer::new(source.format, &pauses, || vec![Block::Table(view::pause::table(&pauses))])?;
    if pauses.pauses.is_empty() && source.format == Format::Table {
        answer.notes.push("nothing is paused".to_owned());
    }
    Ok(answer)
}

/// A typo must not look like a pause.
async fn check_scope(scope: &PauseScope, ctx: &Ctx) -> anyhow::Result<()> {
    let PauseScope::Policy(policy) = scope else { return Ok(()) };
    let config = ctx.load_config()?.config;
    let configured = &config.policy_set.policies;
    if configured.contains_key(policy) {
        // There may be no ledger yet: a pause is also a way to begin quietly.
        return Ok(());
    }
    let ledger = open_ledger(&config.daemon.database).await?;
    known::check_policy(&ledger, Some(policy), configured).await
}
