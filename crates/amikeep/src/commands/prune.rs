//! `amikeep prune`: what retention lets go, shown first, and then done if that is wanted.
//!
//! The looking is done here by the engine's own function, and changes nothing; the deleting is a request in the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, IsTerminal};
use std::sync::Arc;

use amikeep_config::Config;
use amikeep_domain::id::AccountName;
use amikeep_domain::prune::{PrunePlan, Released};
use amikeep_domain::retention::Guard;
use amikeep_engine::{OsRandom, PrunePreview, PruneScope, SystemClock, preview_prune};
use amikeep_ledger::RequestKind;
use amikeep_view as view;

use crate::cli::{Format, PruneArgs};
use crate::commands::order::{self, Ended};
use crate::ctx::{Ctx, open_ledger};
use crate::exit::{Exit, UsageError};
use crate::logging::{self, Purpose};
use crate::output::heading;
use crate::progress::Bars;
use crate::wiring::{self, Clouds};

const COMMAND: &str = "amikeep prune";

pub(crate) async fn run(args: &PruneArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    logging::start(Purpose::Command, ctx, &Bars::new());
    let config = ctx.load_config()?.config;
    if let Some(policy) = args.policy.as_ref().filter(|name| !config.policy_set.policies.contains_key(*name)) {
        let text = format!("there is no policy {policy} in the configuration, so its images are held");
        return Err(UsageError(text).into());
    }
    if !args.dry_run && !args.yes && !std::io::stdin().is_terminal() {
        let text = "nobody can be asked here: --yes deletes, --dry-run only shows";
        return Err(UsageError(text.to_owned()).into());
    }
    let clouds = wiring::connect(&config, &wiring::pacers()).await;
    let preview = look(args, ctx, &config, &clouds).await?;
    let ledger = open_ledger(&config.daemon.database).await?;
    let rows = ledger.images(args.policy.as_ref(), None).await?;
    ledger.close().await;
    let images = view::prune::images(&rows, &preview.plan);
    let notes = notes(&preview);
    let seen = if preview.failed.is_empty() { Exit::Done } else { Exit::Failed };
    if args.dry_run {
        let answer = view::prune::Pruned { images, deleted: Vec::new(), failed: Vec::new(), notes };
        print_plan(ctx, &answer)?;
        return Ok(seen);
    }
    let released = released(args, &preview.plan);
    if ctx.format == Format::Table {
        let answer =
            view::prune::Pruned { images: images.clone(), deleted: vec![], failed: vec![], notes: notes.clone() };
        print_plan(ctx, &answer)?;
    }
    let going = preview.plan.targets().count() + preview.plan.sets_to_delete().count() + released.len();
    if 0 < going && !args.yes && !confirm(ctx, going, released.len())? {
        ctx.tell("nothing was deleted");
        return Ok(Exit::Done);
    }
    let kind = RequestKind::Prune { policy: args.policy.clone(), released };
    let (request, ended) = order::carry_out(ctx, &config, &clouds, COMMAND, kind).await?;
    if !matches!(ended, Ended::Done) {
        return Ok(order::tell(ctx, &ended));
    }
    let ledger = open_ledger(&config.daemon.database).await?;
    let deletions = ledger.deletions_of_request(request).await?;
    let (deleted, failed) = view::prune::split(&deletions);
    let exit = if failed.is_empty() { seen } else { Exit::Failed };
    let answer = view::prune::Pruned { images, deleted, failed, notes };
    match ctx.format {
        Format::Json => ctx.output.json(&answer)?,
        Format::Table => print_outcome(ctx, &answer)?,
    }
    Ok(exit)
}

async fn look(args: &PruneArgs, ctx: &Ctx, config: &Config, clouds: &Clouds) -> anyhow::Result<PrunePreview> {
    let set = &config.policy_set;
    let accounts: BTreeSet<AccountName> = match &args.policy {
        Some(name) => set.policies.get(name).map(|it| it.accounts.iter().cloned().collect()).unwrap_or_default(),
        None => set.accounts.keys().cloned().collect(),
    };
    let scope = PruneScope { accounts, policy: args.policy.clone(), ..PruneScope::default() };
    let ledger = open_ledger(&config.daemon.database).await?;
    let (clock, random) = (Arc::new(SystemClock), Arc::new(OsRandom::default()));
    let clouds: BTreeMap<_, _> = clouds.clone();
    if clouds.is_empty() {
        ctx.tell("no account can be used");
    }
    Ok(preview_prune(ledger, Arc::clone(set), clouds, clock, random, &scope).await?)
}

/// What only the limit of deletions holds, of the one policy that was named: naming it and saying yes releases it.
fn released(args: &PruneArgs, plan: &PrunePlan) -> Released {
    let Some(policy) = &args.policy else { return Released::default() };
    let is_held = |guards: &[Guard]| matches!(guards, [Guard::MaxDeletes]);
    let images = plan.images.iter().filter(|it| it.known.policy == *policy && is_held(it.verdict.held_by()));
    let sets = plan.sets.iter().filter(|it| it.policy == *policy && is_held(it.verdict.held_by()));
    Released { images: images.map(|it| it.known.image.clone()).collect(), sets: sets.map(|it| it.job).collect() }
}

fn notes(preview: &PrunePreview) -> Vec<String> {
    let failed = preview.failed.iter().map(|(account, why)| format!("account {account} is left out: {why}"));
    let over = preview.plan.over_limit.iter().map(|(policy, over)| {
        format!("policy {policy}: {over}, so nothing of it goes; `amikeep prune --policy {policy} --yes` releases it")
    });
    let clock = match &preview.clock {
        amikeep_domain::prune::Clock::Sound => None,
        amikeep_domain::prune::Clock::Unsound { why } => {
            Some(format!("nothing goes by a clock that makes no sense: {why}"))
        }
    };
    let unknown = preview.plan.unknown.iter();
    let unknown =
        unknown.map(|image| format!("{image} carries the owner's tag and is not in the ledger; it is left alone"));
    let loose = preview.plan.unknown_snapshots.iter();
    let loose = loose.map(|snapshot| {
        format!("{snapshot} carries the owner's tag, no image has it, and the ledger does not know its job; it is left alone")
    });
    let sets = preview.plan.sets.iter().map(told_set);
    failed.chain(over).chain(clock).chain(unknown).chain(loose).chain(sets).collect()
}

fn told_set(set: &amikeep_domain::prune::PrunedSet) -> String {
    let ids = set.snapshots.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let guards = set.verdict.held_by();
    let what = if guards.is_empty() {
        "to delete, since a newer image succeeded".to_owned()
    } else {
        format!("held: {}", guards.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    };
    format!("no image was made of {ids} of {} (job {}): {what}", set.instance, set.job)
}

fn print_plan(ctx: &Ctx, answer: &view::prune::Pruned) -> anyhow::Result<()> {
    if ctx.format == Format::Json {
        return Ok(ctx.output.json(answer)?);
    }
    for (n, series) in view::image::by_series(&answer.images).iter().enumerate() {
        let gap = if n == 0 { "" } else { "\n" };
        ctx.output.line(&format!("{gap}{}", heading(&series.title, ctx.color)))?;
        ctx.output.table(ctx, &series.table)?;
    }
    for note in &answer.notes {
        ctx.tell(note);
    }
    let count = |verdict| answer.images.iter().filter(|it| it.verdict == Some(verdict)).count();
    let (keep, delete, held) = (count("keep"), count("delete"), count("held"));
    let gap = if answer.images.is_empty() { "" } else { "\n" };
    Ok(ctx.output.line(&format!("{gap}{keep} kept, {delete} to delete, {held} held"))?)
}

fn print_outcome(ctx: &Ctx, answer: &view::prune::Pruned) -> anyhow::Result<()> {
    for gone in &answer.deleted {
        ctx.output.line(&format!("deleted {} of {}: {}", gone.what(), gone.instance_id, gone.reason))?;
    }
    for failed in &answer.failed {
        ctx.output.line(&failed.to_string())?;
    }
    if answer.deleted.is_empty() && answer.failed.is_empty() {
        ctx.output.line("nothing was deleted")?;
    }
    Ok(())
}

fn confirm(ctx: &Ctx, going: usize, released: usize) -> anyhow::Result<bool> {
    let beyond = if released == 0 { String::new() } else { format!(", {released} of them beyond max_deletes") };
    ctx.tell(&format!("Delete {going} image(s) with their snapshots{beyond}? Type yes:"));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim() == "yes")
}
