//! `amikeep daemon`: the service, in the foreground.
//!
//! Owns the life of the process: the lock, signals, reloads, and what systemd is told. What is done, and when, is the
//! engine's alone; this module must never start, delay or stop a job.

mod limits;
mod memory;
mod reload;
mod signals;
mod web;

use std::sync::Arc;
use std::time::Duration;

use amikeep_config::{Config, Daemon, Loaded};
use amikeep_domain::plan::Scope;
use amikeep_engine::{Beat, Control, Doorbell, Engine, EngineError, Handle};
use amikeep_ledger::{EngineLock, LastStop, Ledger, LockError};
use amikeep_web::Board;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::ask::Socket;
use crate::ask::server::{Answerer, Serving};
use crate::cli::DaemonArgs;
use crate::commands::daemon::reload::{Reloads, Status};
use crate::commands::daemon::signals::{Signal, Signals};
use crate::commands::daemon::web::Web;
use crate::ctx::Ctx;
use crate::exit::{Exit, Told};
use crate::logging::{self, Purpose};
use crate::progress::Bars;
use crate::systemd::Systemd;
use crate::wiring::{self, Aws, Clouds, Connection, DAEMON_COMMAND};

/// How often a lock that a command holds is tried again.
const LOCK_RETRY_EVERY: Duration = Duration::from_millis(500);
/// How often systemd is told that the ledger is being opened.
const OPENING_TOLD_EVERY: Duration = Duration::from_secs(5);
/// How much more time for the start systemd is asked for each time; several times may be late.
const START_EXTENSION: Duration = Duration::from_secs(30);

/// How the engine's task ended.
type Ended = Option<Result<Result<(), EngineError>, JoinError>>;

/// Runs until it is told to stop.
pub(crate) async fn run(_args: &DaemonArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    logging::start(Purpose::Service, ctx, &Bars::hidden());
    let mut signals = Signals::new()?;
    let config = load_config(ctx)?;
    let systemd = Arc::new(Systemd::new());
    let Some(lock) = wait_for_lock(ctx, &config, &systemd, &mut signals).await? else { return Ok(Exit::Done) };
    let tell = || systemd.waiting("opening the ledger: checking, copying or migrating it", START_EXTENSION);
    let opening = Ledger::open_for_engine(&config.daemon.database, &lock);
    let Some(opened) = unless_stopped(opening, OPENING_TOLD_EVERY, tell, signals.stop()).await else {
        return Ok(Exit::Done);
    };
    let ledger = opened?;
    log_start(&config, ledger.record_start(ctx.now()).await?);
    for pause in ledger.pauses_in_force(ctx.now()).await? {
        warn!("{pause}");
    }
    let ended = match Box::pin(serve(ctx, config, &ledger, &systemd, &mut signals)).await {
        Err(error) if is_final(&error) => {
            leave_as_it_is(ledger, &error);
            return Err(error);
        }
        ended => ended?,
    };
    if ended == Exit::Done {
        ledger.record_stop(ctx.now()).await?;
        info!("stopped");
    }
    ledger.close().await;
    drop(lock);
    Ok(ended)
}

fn is_final(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(EngineError::is_final)
}

/// The last connection to close a ledger writes its log into the file and deletes what is at the log's path. Of a damaged
/// ledger both are evidence, and beside a replaced one is the log of another, so none is closed: the process ends with them
/// open.
fn leave_as_it_is(ledger: Ledger, error: &anyhow::Error) {
    error!("amikeep ends, and leaves the ledger as it is: {error:#}");
    std::mem::forget(ledger);
}

/// Reads the configuration. Errors are for whoever starts the service by hand or looks at its status, in full; warnings
/// are lines of the log like any other.
fn load_config(ctx: &Ctx) -> anyhow::Result<Config> {
    match amikeep_config::load(&ctx.config_path) {
        Ok(Loaded { config, warnings }) => {
            reload::log_warnings(&warnings);
            Ok(config)
        }
        Err(refused) => {
            ctx.tell(&refused.report().render(ctx.stderr_color));
            Err(Told(Exit::Usage).into())
        }
    }
}

/// Takes the lock. A command that backs something up without a daemon holds it for some minutes and is waited for;
/// another daemon is an error. `None`: told to stop while waiting.
async fn wait_for_lock(
    ctx: &Ctx,
    config: &Config,
    systemd: &Systemd,
    signals: &mut Signals,
) -> anyhow::Result<Option<EngineLock>> {
    let mut is_told = false;
    loop {
        match wiring::lock(&config.daemon.database, DAEMON_COMMAND, ctx.now()) {
            Ok(lock) => return Ok(Some(lock)),
            Err(LockError::Held { holder, .. }) if !wiring::is_daemon(&holder) => {
                if !is_told {
                    warn!("waiting for {holder}, which works on the ledger");
                    is_told = true;
                }
                systemd.waiting(&format!("waiting for {holder}"), START_EXTENSION);
            }
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            signal = signals.next() => if signal == Signal::Stop { return Ok(None) },
            () = tokio::time::sleep(LOCK_RETRY_EVERY) => {}
        }
    }
}

/// What `work` comes to, with something told every so often meanwhile; `None` if `stop` comes first.
///
/// Reading a large ledger as a whole after an unclean stop, copying and migrating it each take minutes. systemd must not
/// take that for a start that hangs: it would kill it, and the next one begins from the beginning, for ever. What is cut
/// off here is done again by the next start.
async fn unless_stopped<T>(
    work: impl Future<Output = T>,
    every: Duration,
    mut tell: impl FnMut(),
    stop: impl Future<Output = ()>,
) -> Option<T> {
    tokio::pin!(work, stop);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return Some(done),
            () = &mut stop => return None,
            () = tokio::time::sleep(every) => tell(),
        }
    }
}

fn log_start(config: &Config, last_stop: LastStop) {
    let (policies, accounts) = (config.policy_set.policies.len(), config.accounts.len());
    let owner = &config.daemon.owner;
    info!(
        owner = %owner, policies, accounts, version = env!("CARGO_PKG_VERSION"),
        "amikeep {} started for {owner}; policies: {policies}, accounts: {accounts}", env!("CARGO_PKG_VERSION")
    );
    if let LastStop::Unclean { started_at } = last_stop {
        warn!("the run that began at {started_at:.0} did not stop in order; what it left is settled first");
    }
}

/// Runs the engine beside the signals.
async fn serve(
    ctx: &Ctx,
    config: Config,
    ledger: &Ledger,
    systemd: &Arc<Systemd>,
    signals: &mut Signals,
) -> anyhow::Result<Exit> {
    let pacers = wiring::pacers();
    let aws = Arc::new(Aws::new(Arc::clone(&pacers)));
    let clouds = aws.connect(&config).await;
    let engine = wiring::start_engine(&config, ledger.clone(), clouds.clone(), Scope::Everything).await?;
    wiring::recall_requests(&pacers, &engine, ctx.now());
    let engine = engine.keeping_ledger_backups(config.daemon.ledger_backups);
    let mut web = web(&config, &engine, &aws, clouds.clone());
    let engine = engine.watched_by(web.witness());
    web.listen(config.daemon.listen).await;
    let (control, receiver) = mpsc::channel(1);
    let (shutdown, status) = (CancellationToken::new(), Arc::new(Status::new(&config, web.silence())));
    let serving = answer_others(ctx, &config).await;
    let handle = Handle {
        doorbell: Doorbell::new(),
        control: receiver,
        shutdown: shutdown.clone(),
        grace: config.daemon.shutdown_grace.unsigned_abs(),
        beat: beat(Arc::clone(systemd), Arc::clone(&status), web.board()),
    };
    let mut engine_task = JoinSet::new();
    engine_task.spawn(engine.run(handle));
    let mut memory = JoinSet::new();
    memory.spawn(memory::keep_giving_back());
    let mut reloads = Reloads::new(ctx.config_path.clone(), config, Arc::clone(&status), aws);
    let mut limits = read_limits(clouds);
    loop {
        tokio::select! {
            ended = engine_task.join_next() => return ended_early(ended),
            signal = signals.next() => match signal {
                Signal::Reload => {
                    if let Some(clouds) = reload(&mut reloads, &control, systemd, &status, &mut web).await {
                        limits = read_limits(clouds);
                    }
                }
                Signal::Stop => break,
            },
        }
    }
    drop((limits, memory));
    // Calls under way end, and those that still wait for their turn are not sent.
    pacers.close();
    let ended = stop(&mut engine_task, &shutdown, systemd, signals).await;
    if let Some(serving) = serving {
        serving.end().await;
    }
    web.stop().await;
    ended
}

fn web(config: &Config, engine: &Engine<Connection>, aws: &Arc<Aws>, clouds: Clouds) -> Web {
    let Daemon { owner, database, .. } = &config.daemon;
    Web::new(owner.clone(), Arc::clone(engine.policy_set()), Arc::clone(aws), clouds, database)
}

/// Beside the engine, which waits for it in nothing. It ends when the set is dropped.
fn read_limits(clouds: Clouds) -> JoinSet<()> {
    let mut chores = JoinSet::new();
    chores.spawn(limits::keep_reading(clouds));
    chores
}

/// Begins to answer users who may not read the ledger. Without a socket there are backups all the same.
async fn answer_others(ctx: &Ctx, config: &Config) -> Option<Serving> {
    let path = config.daemon.socket.as_ref()?;
    let socket = match Socket::bind(path).await {
        Ok(socket) => socket,
        Err(error) => {
            tell_no_answers(&error);
            return None;
        }
    };
    match Ledger::open_read_only(&config.daemon.database).await {
        Ok(ledger) => {
            info!("commands of users who may not read the ledger are answered at {}", socket.path().display());
            Some(Answerer::new(ledger, ctx.config_path.clone()).start(socket))
        }
        Err(error) => {
            tell_no_answers(&error);
            None
        }
    }
}

fn tell_no_answers(error: &dyn std::error::Error) {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    warn!("commands need the right to read the ledger, since there is no socket for them: {error}{cause}");
}

fn beat(systemd: Arc<Systemd>, status: Arc<Status>, board: Arc<Board>) -> Box<dyn Fn(Beat) + Send + Sync> {
    Box::new(move |beat| {
        board.beat(web::stand(&beat));
        systemd.beat(&status.text(&beat));
    })
}

/// The engine ends by itself only when something is broken.
fn ended_early(ended: Ended) -> anyhow::Result<Exit> {
    match ended {
        Some(Ok(Err(error))) => Err(error.into()),
        Some(Err(panicked)) => Err(panicked.into()),
        Some(Ok(Ok(()))) | None => Err(anyhow::anyhow!("the engine ended though nobody told it to")),
    }
}

/// The connections of the new configuration, if it is in force now.
async fn reload(
    reloads: &mut Reloads,
    control: &mpsc::Sender<Control<Connection>>,
    systemd: &Systemd,
    status: &Status,
    web: &mut Web,
) -> Option<Clouds> {
    Systemd::reloading();
    let replaced = reloads.read().await;
    let clouds = replaced.as_ref().map(|Control::Replace { clouds, .. }| clouds.clone());
    match &replaced {
        Some(Control::Replace { policy_set, clouds }) => {
            web.reloaded(Arc::clone(policy_set), clouds.clone(), reloads.listen()).await;
        }
        None => web.reload_failed(),
    }
    if let Some(replace) = replaced {
        // The engine takes it in at its next turn; if it has ended, the next turn of this loop sees that.
        drop(control.send(replace).await);
    }
    systemd.reloaded(&status.last_text());
    clouds
}

/// Ends the engine in order. Whoever asks a second time means at once: what is cut off is settled by the next start.
async fn stop(
    engine_task: &mut JoinSet<Result<(), EngineError>>,
    shutdown: &CancellationToken,
    systemd: &Systemd,
    signals: &mut Signals,
) -> anyhow::Result<Exit> {
    systemd.stopping("stopping: waiting for calls under way");
    shutdown.cancel();
    loop {
        tokio::select! {
            ended = engine_task.join_next() => return match ended {
                Some(Ok(Ok(()))) => Ok(Exit::Done),
                ended => ended_early(ended),
            },
            signal = signals.next() => if signal == Signal::Stop {
                error!("told to stop a second time, so nothing is waited for");
                return Err(Told(Exit::Failed).into());
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const OFTEN: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn a_start_that_takes_its_time_is_told_of_again_and_again() {
        let (told, mut heard) = mpsc::unbounded_channel();
        let work = async {
            for _ in 0..3 {
                heard.recv().await.unwrap();
            }
            "done"
        };
        let done = unless_stopped(work, OFTEN, || told.send(()).unwrap(), pending()).await;
        assert_eq!(done, Some("done"));
    }

    #[tokio::test]
    async fn a_start_can_be_stopped_before_it_is_done() {
        assert_eq!(unless_stopped(pending::<()>(), OFTEN, || {}, async {}).await, None);
    }
}
