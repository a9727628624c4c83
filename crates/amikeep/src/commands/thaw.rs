//! `amikeep thaw`: undoes what an amikeep left behind that died in a hold.

use std::path::Path;
use std::sync::Arc;

use amikeep_domain::freeze::{HoldRecord, LeftFrozen};
use amikeep_domain::id::JobId;
use amikeep_engine::{Host, Recovered, SystemClock, recover_holds};
use amikeep_ledger::{Ledger, LedgerError, LockError};
use serde::Serialize;

use crate::cli::{Format, ThawArgs};
use crate::commands::show::{find, not_one};
use crate::ctx::Ctx;
use crate::exit::Exit;
use crate::host::LocalHost;
use crate::logging::{self, Purpose};
use crate::progress::Bars;
use crate::wiring;

/// What it calls itself in the lock.
const COMMAND: &str = "amikeep thaw";

#[derive(Debug, Serialize)]
struct Answer {
    holds: Vec<Hold>,
}

#[derive(Debug, Serialize)]
struct Hold {
    job: String,
    done: Vec<String>,
    left: Vec<String>,
}

pub(crate) async fn run(args: &ThawArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    logging::start(Purpose::Command, ctx, &Bars::hidden());
    let database = ctx.load_records()?.database;
    let lock = match wiring::lock(&database, COMMAND, ctx.now()) {
        Ok(lock) => Some(lock),
        Err(LockError::Held { holder, .. }) => return tell_under_way(args, ctx, &database, &holder).await,
        // A disk that is full or read-only must not keep another one frozen: what is done is written down later.
        Err(error) => {
            ctx.tell(&format!("warning: {error}"));
            None
        }
    };
    let opened = match &lock {
        Some(lock) => Ledger::open_for_engine(&database, lock).await,
        None => Ledger::open_read_only(&database).await,
    };
    let ledger = match opened {
        Ok(ledger) => ledger,
        Err(LedgerError::Missing { .. }) => return Ok(Exit::Done),
        Err(error) => {
            ctx.tell(&format!("warning: {error}"));
            Ledger::open_read_only(&database).await?
        }
    };
    let exit = if let Some(part) = &args.settled {
        settle(part, &ledger, ctx).await?
    } else {
        let host: Arc<dyn Host> = Arc::new(LocalHost::new(&database));
        let recovered = recover_holds(&ledger, &SystemClock, &host).await?;
        tell(&recovered, ctx)?;
        if recovered.iter().all(|it| it.left.is_empty()) { Exit::Done } else { Exit::Failed }
    };
    ledger.close().await;
    drop(lock);
    Ok(exit)
}

/// Whoever has the lock sees to its holds, and to those that could not be thawed.
async fn tell_under_way(args: &ThawArgs, ctx: &Ctx, database: &Path, holder: &str) -> anyhow::Result<Exit> {
    if args.settled.is_some() {
        ctx.tell(&format!(
            "error: {holder} runs, and would not hear of it: stop it, give the word, and start it again"
        ));
        return Ok(Exit::Failed);
    }
    ctx.tell(&format!("{holder} runs, and sees to its holds itself"));
    let left = left_of(&Ledger::open_read_only(database).await?).await?;
    let of_hold = |(job, record): &(JobId, HoldRecord)| Recovered {
        job: *job,
        done: Vec::new(),
        left: record.left.clone(),
        hook_failed: None,
    };
    tell(&left.iter().map(of_hold).collect::<Vec<_>>(), ctx)?;
    Ok(if left.is_empty() { Exit::Done } else { Exit::Failed })
}

/// Holds that are over and left something.
async fn left_of(ledger: &Ledger) -> anyhow::Result<Vec<(JobId, HoldRecord)>> {
    let holds = ledger.open_holds().await?;
    Ok(holds.into_iter().filter(|(_, record)| !record.left.is_empty()).collect())
}

/// An operator has looked, and nothing is frozen.
async fn settle(part: &str, ledger: &Ledger, ctx: &Ctx) -> anyhow::Result<Exit> {
    let jobs = find(ledger, part).await?;
    let [job] = jobs.as_slice() else {
        ctx.tell(&not_one(part, &jobs));
        return Ok(Exit::Failed);
    };
    if !left_of(ledger).await?.iter().any(|(left, _)| *left == job.id) {
        ctx.tell(&format!("error: job {} left nothing frozen that amikeep knows of", job.id));
        return Ok(Exit::Failed);
    }
    ledger.settle_hold(job.id).await?;
    ctx.tell(&format!("job {} counts as thawed from now on", job.id));
    Ok(Exit::Done)
}

fn tell(recovered: &[Recovered], ctx: &Ctx) -> anyhow::Result<()> {
    if ctx.format == Format::Json {
        let hold = |it: &Recovered| Hold { job: it.job.to_string(), done: it.done.clone(), left: lines(&it.left) };
        return Ok(ctx.output.json(&Answer { holds: recovered.iter().map(hold).collect() })?);
    }
    if recovered.is_empty() {
        ctx.output.line("Nothing was left frozen.")?;
    }
    for hold in recovered {
        for line in hold.done.iter().chain(&lines(&hold.left)) {
            ctx.output.line(&format!("job {}: {line}", hold.job))?;
        }
    }
    Ok(())
}

fn lines(left: &[LeftFrozen]) -> Vec<String> {
    left.iter().map(ToString::to_string).collect()
}
