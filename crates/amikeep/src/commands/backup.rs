//! `amikeep backup`: images of instances, now, through the same engine as at night.
//!
//! Owns the way of a request: who is asked, who executes it, and what is told about it. The command writes its requests
//! into the ledger; the daemon that holds the engine's lock executes them, and without one the command does so itself.
//! It must never send anything to EC2 but through the engine, nor decide how an image is taken.

mod execute;
mod result;
mod target;
mod watch;

use std::time::Duration;

use amikeep_config::Config;
use amikeep_domain::id::RequestId;
use amikeep_engine::{OsRandom, Random};
use amikeep_ledger::{EngineLock, Ledger, LockError, Request, RequestKind};

use crate::cli::BackupArgs;
use crate::commands::backup::target::Target;
use crate::commands::backup::watch::{Goal, Watch};
use crate::ctx::Ctx;
use crate::exit::{Exit, Told};
use crate::logging::{self, Purpose};
use crate::progress::Bars;
use crate::wiring::{self, Clouds};

/// What the command calls itself in the lock.
const COMMAND: &str = "amikeep backup";
/// How often the ledger is asked how far the jobs are.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long `--no-wait` waits for the daemon to take the requests up, so that their jobs can be shown.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(5);
/// How long a daemon that has gone may take to be back. systemd starts it again after five seconds.
const DAEMON_BACK_WITHIN: Duration = Duration::from_secs(15);

/// How the waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The goal is reached.
    Reached,
    /// It took longer than it may.
    TimedOut,
    /// Nobody holds the engine's lock, and nobody came back in time.
    Orphaned,
    /// The operator does not want to wait any more.
    Interrupted,
}

/// Who carries the requests out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Daemon,
    Command,
}

/// Backs up.
pub(crate) async fn run(args: &BackupArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    let bars = Bars::new();
    logging::start(Purpose::Command, ctx, &bars);
    let config = ctx.load_config()?.config;
    let clouds = wiring::connect(&config, &wiring::pacers()).await;
    let targets = target::find(&config, &clouds, args).await?;
    let requests = requests(ctx, args, &targets);
    let goal = if args.no_wait { Goal::Requested } else { Goal::Ended };
    let mut watch = Watch::new(&requests, goal, &bars);
    let errand = Errand { ctx, config: &config, clouds: &clouds, requests: &requests };
    let (ended, by) = errand.run(&mut watch).await?;
    watch.clear();
    result::tell(ctx, watch.seen(), ended, by);
    result::print(ctx, watch.seen(), ended)
}

fn requests(ctx: &Ctx, args: &BackupArgs, targets: &[Target]) -> Vec<Request> {
    let (random, now) = (OsRandom::default(), ctx.now());
    let request = |target: &Target| Request {
        id: RequestId::new(now, random.bytes()),
        kind: RequestKind::Backup {
            instance: target.instance.clone(),
            policy: target.policy.clone(),
            account: Some(target.account.clone()),
            consistency: args.consistency,
        },
        requested_at: now,
    };
    targets.iter().map(request).collect()
}

/// What is to be done, and with what.
struct Errand<'a> {
    ctx: &'a Ctx,
    config: &'a Config,
    clouds: &'a Clouds,
    requests: &'a [Request],
}

impl Errand<'_> {
    /// Leaves the requests to the daemon, or takes the lock where there is none. Should the daemon die meanwhile, the
    /// command goes on in its place.
    async fn run(&self, watch: &mut Watch) -> anyhow::Result<(Ended, By)> {
        let mut recorded = IsRecorded::No;
        loop {
            let holder = match self.find_executor().await? {
                Executor::Nobody(lock) => return Ok((self.execute(lock, recorded, watch).await?, By::Command)),
                Executor::Daemon(holder) => holder,
                Executor::Unknown => {
                    self.ctx.tell("interrupted; nothing was queued");
                    return Err(Told(Exit::Failed).into());
                }
            };
            let ledger = Ledger::open_for_requests(&self.config.daemon.database).await?;
            if recorded == IsRecorded::No {
                self.record(&ledger).await?;
                recorded = IsRecorded::Yes;
            }
            self.ctx.tell(&format!("{holder} executes this; Ctrl-C ends the waiting, not the backup"));
            let ended = follow(&ledger, watch).await?;
            ledger.close().await;
            if ended != Ended::Orphaned {
                return Ok((ended, By::Daemon));
            }
            self.ctx
                .tell("the daemon has gone and nobody executes this any more, so this command goes on in its place");
        }
    }

    /// Takes the lock, unless a daemon has it. Another command that has it executes its own requests alone, so that one
    /// is waited for.
    async fn find_executor(&self) -> anyhow::Result<Executor> {
        let mut is_told = false;
        loop {
            let holder = match wiring::lock(&self.config.daemon.database, COMMAND, self.ctx.now()) {
                Ok(lock) => return Ok(Executor::Nobody(lock)),
                Err(LockError::Held { holder, .. }) if wiring::is_daemon(&holder) => {
                    return Ok(Executor::Daemon(holder));
                }
                Err(LockError::Held { holder, .. }) => holder,
                Err(error) => return Err(wiring::no_lock(error)),
            };
            if !is_told {
                self.ctx.tell(&format!("waiting for {holder}, which works on the ledger; nothing is queued yet"));
                is_told = true;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = tokio::signal::ctrl_c() => return Ok(Executor::Unknown),
            }
        }
    }

    async fn record(&self, ledger: &Ledger) -> anyhow::Result<()> {
        for request in self.requests {
            ledger.record_request(request).await?;
        }
        Ok(())
    }

    async fn execute(&self, lock: EngineLock, recorded: IsRecorded, watch: &mut Watch) -> anyhow::Result<Ended> {
        let ledger = Ledger::open_for_engine(&self.config.daemon.database, &lock).await?;
        if recorded == IsRecorded::No {
            self.record(&ledger).await?;
            self.ctx.tell(
                "no daemon runs, so this command does the work itself; Ctrl-C leaves the rest to the next daemon",
            );
        }
        ledger.record_start(self.ctx.now()).await?;
        let ended = execute::run(self.config, self.clouds, &ledger, watch).await?;
        ledger.record_stop(self.ctx.now()).await?;
        ledger.close().await;
        Ok(ended)
    }
}

/// Who can execute the requests.
enum Executor {
    /// Nobody yet: the lock is ours.
    Nobody(EngineLock),
    /// The daemon, as it names itself.
    Daemon(String),
    /// The operator did not want to wait until that was clear.
    Unknown,
}

/// Whether the requests are in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IsRecorded {
    Yes,
    No,
}

/// Watches the jobs through the ledger while somebody else executes them.
async fn follow(ledger: &Ledger, watch: &mut Watch) -> anyhow::Result<Ended> {
    let mut waited = Duration::ZERO;
    let mut alone_for = Duration::ZERO;
    loop {
        watch.look(ledger).await?;
        if watch.is_reached(By::Daemon) {
            return Ok(Ended::Reached);
        }
        if watch.goal() == Goal::Requested && TAKEN_UP_WITHIN <= waited {
            return Ok(Ended::TimedOut);
        }
        alone_for = match EngineLock::holder(ledger.path()) {
            Some(_) => Duration::ZERO,
            None if DAEMON_BACK_WITHIN <= alone_for => return Ok(Ended::Orphaned),
            None => alone_for + LOOK_EVERY,
        };
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => waited += LOOK_EVERY,
            _ = tokio::signal::ctrl_c() => return Ok(Ended::Interrupted),
        }
    }
}
