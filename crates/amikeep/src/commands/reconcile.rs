//! `amikeep reconcile`: takes images into the ledger that carry the owner's tags and have no row, after a backup of the
//! ledger was restored or the ledger was lost.
//!
//! It is never done by the daemon: a row is the one proof of ownership that tags cannot give. It works on the ledger by
//! itself, under the engine's lock, so that it comes before whatever the daemon would plan.

use std::io::{BufRead, IsTerminal};
use std::sync::Arc;

use amikeep_config::Config;
use amikeep_domain::id::ImageId;
use amikeep_domain::prune::LostImage;
use amikeep_engine::{OsRandom, PrunePreview, PruneScope, SystemClock, preview_prune};
use amikeep_ledger::Ledger;
use serde::Serialize;

use crate::cli::{Format, ReconcileArgs};
use crate::ctx::Ctx;
use crate::exit::{Exit, UsageError};
use crate::logging::{self, Purpose};
use crate::progress::Bars;
use crate::wiring;

const COMMAND: &str = "amikeep reconcile";

/// The answer.
#[derive(Serialize)]
struct Reconciled {
    images: Vec<Found>,
}

/// An image that the ledger does not know.
#[derive(Serialize)]
struct Found {
    image_id: String,
    job_id: Option<String>,
    policy: Option<String>,
    instance_id: Option<String>,
    scheduled_at: Option<String>,
    grade: Option<String>,
    taken_in: bool,
    /// Why it is left alone.
    reason: Option<String>,
}

pub(crate) async fn run(args: &ReconcileArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    logging::start(Purpose::Command, ctx, &Bars::new());
    let config = ctx.load_config()?.config;
    if !args.dry_run && !args.yes && !std::io::stdin().is_terminal() {
        let text = "nobody can be asked here: --yes takes the images in, --dry-run only shows them";
        return Err(UsageError(text.to_owned()).into());
    }
    let database = &config.daemon.database;
    let lock = wiring::lock(database, COMMAND, ctx.now()).map_err(wiring::no_lock)?;
    let ledger = Ledger::open_for_engine(database, &lock).await?;
    let preview = look(&config, &ledger).await?;
    let (lost, left) = read_all(&preview, &config);
    let mut found: Vec<Found> = lost.iter().map(Found::readable).chain(left).collect();
    if ctx.format == Format::Table {
        print_found(ctx, &found)?;
    }
    let wanted = !lost.is_empty() && !args.dry_run && (args.yes || confirm(ctx, lost.len())?);
    let taken = if wanted { ledger.record_lost(&lost, ctx.now()).await? } else { Vec::new() };
    ledger.close().await;
    for one in &mut found {
        one.taken_in = taken.iter().any(|image| image.as_str() == one.image_id);
    }
    match ctx.format {
        Format::Json => ctx.output.json(&Reconciled { images: found })?,
        Format::Table => ctx.output.line(&format!("{} image(s) were taken in", taken.len()))?,
    }
    for snapshot in &preview.plan.unknown_snapshots {
        ctx.tell(&format!(
            "{snapshot} carries the owner's tag, no image has it, and the ledger does not know its job; it is left alone, and \
             nothing but you deletes it"
        ));
    }
    for (account, why) in &preview.failed {
        ctx.tell(&format!("account {account} is left out: {why}"));
    }
    Ok(if preview.failed.is_empty() { Exit::Done } else { Exit::Failed })
}

/// Everything that EC2 shows of every account, and what of it has no row.
async fn look(config: &Config, ledger: &Ledger) -> anyhow::Result<PrunePreview> {
    let clouds = wiring::connect(config, &wiring::pacers()).await;
    let set = Arc::clone(&config.policy_set);
    let scope = PruneScope { accounts: set.accounts.keys().cloned().collect(), ..PruneScope::default() };
    let (clock, random) = (Arc::new(SystemClock), Arc::new(OsRandom::default()));
    Ok(preview_prune(ledger.clone(), set, clouds, clock, random, &scope).await?)
}

/// The images that can be taken in, and those that are left alone.
fn read_all(preview: &PrunePreview, config: &Config) -> (Vec<LostImage>, Vec<Found>) {
    let (mut lost, mut left) = (Vec::new(), Vec::new());
    for image in &preview.plan.unknown {
        let Some(listing) = preview.listings.iter().find(|listing| listing.images.contains_key(image)) else {
            continue;
        };
        match LostImage::read(image, listing, &config.daemon.owner) {
            Ok(one) => lost.push(one),
            Err(why) => left.push(Found::unreadable(image, why.to_string())),
        }
    }
    (lost, left)
}

impl Found {
    fn readable(lost: &LostImage) -> Self {
        Self {
            image_id: lost.image.to_string(),
            job_id: Some(lost.job.to_string()),
            policy: Some(lost.key.policy.to_string()),
            instance_id: Some(lost.key.instance.to_string()),
            scheduled_at: Some(lost.key.scheduled_at.to_string()),
            grade: lost.finished.as_ref().map(|finished| finished.grade.to_string()),
            taken_in: false,
            reason: None,
        }
    }

    fn unreadable(image: &ImageId, reason: String) -> Self {
        Self {
            image_id: image.to_string(),
            job_id: None,
            policy: None,
            instance_id: None,
            scheduled_at: None,
            grade: None,
            taken_in: false,
            reason: Some(reason),
        }
    }
}

fn print_found(ctx: &Ctx, found: &[Found]) -> anyhow::Result<()> {
    for one in found {
        let line = match (&one.reason, &one.policy, &one.instance_id, &one.scheduled_at) {
            (None, Some(policy), Some(instance), Some(at)) => {
                format!("{}: {policy} of {instance} at {at}", one.image_id)
            }
            (reason, ..) => format!("{} is left alone: {}", one.image_id, reason.as_deref().unwrap_or_default()),
        };
        ctx.output.line(&line)?;
    }
    Ok(())
}

fn confirm(ctx: &Ctx, count: usize) -> anyhow::Result<bool> {
    ctx.tell(&format!("Take {count} image(s) into the ledger? From then on retention decides about them. Type yes:"));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim() == "yes")
}
