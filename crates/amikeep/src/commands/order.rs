//! What an operator orders besides images: a request in the ledger, carried out by the daemon or, where none runs, by the
//! command itself.
//!
//! Owns the way of such a request and nothing of what it means: the engine decides that.

use std::collections::BTreeSet;
use std::time::Duration;

use amikeep_config::Config;
use amikeep_domain::decision::JobError;
use amikeep_domain::id::RequestId;
use amikeep_domain::plan::Scope;
use amikeep_domain::prune::{Deletion, DeletionState};
use amikeep_engine::{OsRandom, Random};
use amikeep_ledger::{EngineLock, Ledger, LedgerError, LockError, Request, RequestKind};

use crate::ctx::Ctx;
use crate::exit::Exit;
use crate::wiring::{self, Clouds};

/// How often the ledger is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// How long a daemon that has gone may take to be back. systemd starts it again after five seconds.
const DAEMON_BACK_WITHIN: Duration = Duration::from_secs(15);
/// The engine is asked again after this, while it waits for EC2.
const ENGINE_SLEEP_MAX: Duration = Duration::from_secs(2);

/// How it ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It was carried out.
    Done,
    /// It was refused, and why.
    Refused(JobError),
    /// Nobody waits for it any more; whoever has the lock next goes on.
    Left,
}

/// Records what is ordered and waits until it is carried out.
pub(crate) async fn carry_out(
    ctx: &Ctx,
    config: &Config,
    clouds: &Clouds,
    command: &'static str,
    kind: RequestKind,
) -> anyhow::Result<(RequestId, Ended)> {
    let now = ctx.now();
    let request = Request { id: RequestId::new(now, OsRandom::default().bytes()), kind, requested_at: now };
    let database = &config.daemon.database;
    let mut is_recorded = false;
    loop {
        match wiring::lock(database, command, ctx.now()) {
            Ok(lock) => {
                let ledger = Ledger::open_for_engine(database, &lock).await?;
                if !is_recorded {
                    ledger.record_request(&request).await?;
                }
                let ended = execute(ctx, config, clouds, &ledger, request.id).await;
                ledger.close().await;
                return Ok((request.id, ended?));
            }
            Err(LockError::Held { holder, .. }) if wiring::is_daemon(&holder) => {
                let ledger = Ledger::open_for_requests(database).await?;
                if !is_recorded {
                    ledger.record_request(&request).await?;
                    is_recorded = true;
                }
                let ended = follow(&ledger, request.id).await?;
                ledger.close().await;
                if let Some(ended) = ended {
                    return Ok((request.id, ended));
                }
                ctx.tell("the daemon has gone, so this command goes on in its place");
            }
            // Another command has the lock and executes its own requests alone.
            Err(LockError::Held { .. }) => tokio::time::sleep(LOOK_EVERY).await,
            Err(error) => return Err(wiring::no_lock(error)),
        }
    }
}

async fn execute(
    ctx: &Ctx,
    config: &Config,
    clouds: &Clouds,
    ledger: &Ledger,
    request: RequestId,
) -> anyhow::Result<Ended> {
    ledger.record_start(ctx.now()).await?;
    let scope = Scope::Requests(BTreeSet::from([request]));
    let mut engine = wiring::start_engine(config, ledger.clone(), clouds.clone(), scope).await?;
    let drive = async {
        loop {
            engine.settle().await?;
            if let Some(ended) = look(ledger, request).await? {
                return anyhow::Ok(ended);
            }
            tokio::time::sleep(ENGINE_SLEEP_MAX).await;
        }
    };
    let ended = tokio::select! {
        ended = drive => ended?,
        _ = tokio::signal::ctrl_c() => Ended::Left,
    };
    ledger.record_stop(ctx.now()).await?;
    Ok(ended)
}

/// Waits while the daemon executes it; `None` if the daemon has gone.
async fn follow(ledger: &Ledger, request: RequestId) -> anyhow::Result<Option<Ended>> {
    let mut alone_for = Duration::ZERO;
    loop {
        if let Some(ended) = look(ledger, request).await? {
            return Ok(Some(ended));
        }
        alone_for = match EngineLock::holder(ledger.path()) {
            Some(_) => Duration::ZERO,
            None if DAEMON_BACK_WITHIN <= alone_for => return Ok(None),
            None => alone_for + LOOK_EVERY,
        };
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = tokio::signal::ctrl_c() => return Ok(Some(Ended::Left)),
        }
    }
}

/// A prune is over when each of its deletions has ended, or needs somebody to do something about it.
async fn look(ledger: &Ledger, request: RequestId) -> Result<Option<Ended>, LedgerError> {
    let Some(status) = ledger.request(request).await? else { return Ok(None) };
    if let Some(error) = status.refused {
        return Ok(Some(Ended::Refused(error)));
    }
    if status.done {
        return Ok(Some(Ended::Done));
    }
    if status.prune.is_none() {
        return Ok(None);
    }
    let deletions = ledger.deletions_of_request(request).await?;
    Ok(deletions.iter().all(is_over).then_some(Ended::Done))
}

fn is_over(deletion: &Deletion) -> bool {
    match &deletion.state {
        DeletionState::SnapshotsLeft { left, .. } => left.iter().any(|it| it.error.is_some()) && 1 < deletion.attempts,
        state => state.name().is_terminal(),
    }
}

/// Tells why nothing was done, or that somebody else goes on.
pub(crate) fn tell(ctx: &Ctx, ended: &Ended) -> Exit {
    match ended {
        Ended::Done => Exit::Done,
        Ended::Refused(error) => {
            ctx.tell(&format!("error: {}: {}\nnext step: {}", error.code, error.message, error.next_step));
            Exit::Failed
        }
        Ended::Left => {
            ctx.tell("not waited for any more; the daemon goes on with it, or the next one that is started");
            Exit::Failed
        }
    }
}
