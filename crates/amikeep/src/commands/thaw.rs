//! `amikeep thaw`: undoes what an amikeep left behind that died in a hold.

use std::sync::Arc;

use amikeep_engine::{Host, Recovered, SystemClock, recover_holds};
use amikeep_ledger::{Ledger, LedgerError, LockError};
use serde::Serialize;

use crate::cli::{Format, ThawArgs};
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

pub(crate) async fn run(_args: &ThawArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    logging::start(Purpose::Command, ctx, &Bars::hidden());
    let database = ctx.load_records()?.database;
    let lock = match wiring::lock(&database, COMMAND, ctx.now()) {
        Ok(lock) => Some(lock),
        Err(LockError::Held { holder, .. }) => {
            ctx.tell(&format!("{holder} runs, and sees to its holds itself"));
            return Ok(Exit::Done);
        }
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
    let host: Arc<dyn Host> = Arc::new(LocalHost::new(&database));
    let recovered = recover_holds(&ledger, &SystemClock, &host).await?;
    ledger.close().await;
    drop(lock);
    tell(&recovered, ctx)?;
    Ok(if recovered.iter().all(|it| it.left.is_empty()) { Exit::Done } else { Exit::Failed })
}

fn tell(recovered: &[Recovered], ctx: &Ctx) -> anyhow::Result<()> {
    if ctx.format == Format::Json {
        let hold = |it: &Recovered| Hold { job: it.job.to_string(), done: it.done.clone(), left: it.left.clone() };
        return Ok(ctx.output.json(&Answer { holds: recovered.iter().map(hold).collect() })?);
    }
    if recovered.is_empty() {
        ctx.output.line("Nothing was left frozen.")?;
    }
    for hold in recovered {
        for line in hold.done.iter().chain(&hold.left) {
            ctx.output.line(&format!("job {}: {line}", hold.job))?;
        }
    }
    Ok(())
}
