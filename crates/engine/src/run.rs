//! The daemon's loop around the engine: wait for anything to happen, then tick.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use amikeep_cloud::Cloud;
use amikeep_domain::id::AccountName;
use amikeep_domain::plan::Plan;
use amikeep_domain::policy::{Enabled, PolicySet};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::doorbell::{Doorbell, Ringer};
use crate::engine::Engine;
use crate::error::{EngineError, Told};

/// How often the ledger is asked for requests of operators, and the watchdog is told that the loop lives.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// The engine looks at least this often, whatever anybody's timer says: clocks are set, and hosts are suspended.
const LOOK_EVERY_MAX: Duration = Duration::from_secs(30);
/// A ledger that fails (a full disk) is tried again after this.
const LEDGER_RETRY_AFTER: Duration = Duration::from_secs(15);
/// A disk that fails for longer ends the engine. What the kernel took away from a process stays away, also when the disk is
/// back, and nobody can mount it again while somebody has files of it open.
const DISK_FAILS_MAX: Duration = Duration::from_mins(1);

/// What the daemon can tell a running engine.
pub enum Control<C> {
    /// Another configuration is in force.
    Replace {
        /// The policies.
        policy_set: Arc<PolicySet>,
        /// The connections, by account.
        clouds: BTreeMap<AccountName, Arc<C>>,
    },
}

/// How the loop is run.
pub struct Handle<C> {
    /// What wakes it.
    pub doorbell: Doorbell,
    /// What it is told.
    pub control: mpsc::Receiver<Control<C>>,
    /// Ends it.
    pub shutdown: CancellationToken,
    /// How long calls under way may take to end after that.
    pub grace: Duration,
    /// Called every second while the loop is alive.
    pub beat: Box<dyn Fn(Beat) + Send + Sync>,
}

/// How a loop that is alive stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beat {
    /// Jobs that have not ended.
    pub open_jobs: usize,
    /// Pauses that are in force.
    pub paused: usize,
    /// Why nothing is done: the ledger fails.
    pub trouble: Option<String>,
    /// When it last looked whether anything is to be done.
    pub ticked_at: Option<Timestamp>,
    /// Why the last backup of the ledger failed.
    pub ledger_backup: Option<String>,
    /// What holds could not thaw and may still be frozen, each with the command that thaws it.
    pub left_frozen: Vec<String>,
}

/// What can wake the loop from outside.
struct Inbox<C> {
    doorbell: Doorbell,
    control: mpsc::Receiver<Control<C>>,
    shutdown: CancellationToken,
}

/// Why the loop woke.
enum Woken<C> {
    Tick,
    /// Nothing happened for a while.
    Idle,
    Ended,
    /// The ledger failed a task.
    Failed(EngineError),
    Control(Control<C>),
    Shutdown,
}

/// Tells that the loop lives, once a second and no more often, however busy it is.
struct Pulse {
    beat: Box<dyn Fn(Beat) + Send + Sync>,
    last_at: Option<Instant>,
}

impl Pulse {
    fn beat(&mut self, beat: impl FnOnce() -> Beat) {
        let now = Instant::now();
        if self.last_at.is_none_or(|at| BEAT_EVERY <= now.duration_since(at)) {
            self.last_at = Some(now);
            (self.beat)(beat());
        }
    }
}

impl<C: Cloud> Engine<C> {
    /// Runs until `shutdown`, then waits for what is under way. What is cut off then is settled by the next start. A
    /// ledger that turns out to be damaged or moved is the one error that ends it at once: calls that are on their way then are
    /// found by their names once a backup is restored, and nothing more is written into what should be looked at.
    pub async fn run(self, handle: Handle<C>) -> Result<(), EngineError> {
        let ringer = self.start_ringer(&handle.doorbell).await;
        self.run_with(handle, ringer).await
    }

    /// The scheduler is a hint. Without it the loop's own timer finds whatever is due.
    async fn run_with(mut self, handle: Handle<C>, mut ringer: Option<Ringer>) -> Result<(), EngineError> {
        let mut wake_at = self.tick_or_rest().await?;
        let mut ticked_at = Instant::now();
        info!(open_jobs = self.state.jobs.len(), "ready, with {} open job(s)", self.state.jobs.len());
        let mut pulse = Pulse { beat: handle.beat, last_at: None };
        let mut inbox = Inbox { doorbell: handle.doorbell, control: handle.control, shutdown: handle.shutdown };
        loop {
            pulse.beat(|| self.stand());
            let woken = self.wait(&mut inbox, wake_at).await;
            if let Err(error) = self.take_finished().await {
                wake_at = self.rest_after(error)?;
            }
            match woken {
                Woken::Shutdown => break,
                Woken::Idle if ticked_at.elapsed() < LOOK_EVERY_MAX => match self.has_requests().await {
                    Ok(true) => {}
                    Ok(false) => continue,
                    // It rests already. What no waiting mends is another matter, whichever read it shows in.
                    Err(error) if self.rest_until.is_some() && !error.is_final() => continue,
                    Err(error) => wake_at = self.rest_after(error)?,
                },
                Woken::Control(Control::Replace { policy_set, clouds }) => {
                    self.replace(policy_set, clouds);
                    if let Some(ringer) = ringer.take() {
                        ringer.stop().await;
                    }
                    ringer = self.start_ringer(&inbox.doorbell).await;
                }
                Woken::Failed(error) => wake_at = self.rest_after(error)?,
                Woken::Tick | Woken::Idle | Woken::Ended => {}
            }
            if self.rest_until.take_if(|until| *until <= Instant::now()).is_some() || self.rest_until.is_none() {
                wake_at = self.tick_or_rest().await?;
                ticked_at = Instant::now();
            }
        }
        if let Some(ringer) = ringer {
            ringer.stop().await;
        }
        self.drain(handle.grace, &mut pulse).await;
        Ok(())
    }

    async fn start_ringer(&self, doorbell: &Doorbell) -> Option<Ringer> {
        let enabled = self.ctx.policy_set().policies.values().filter(|policy| policy.enabled == Enabled::Yes);
        let schedules: BTreeSet<String> = enabled.map(|it| it.schedule.expression().to_owned()).collect();
        let started = doorbell.start_ringer(&schedules).await;
        started.inspect_err(|error| warn!("{}; the engine's own timer wakes it", Told(error))).ok()
    }

    async fn wait(&mut self, inbox: &mut Inbox<C>, wake_at: Timestamp) -> Woken<C> {
        let sleep = wake_at.duration_since(self.ctx.now()).max(SignedDuration::ZERO).unsigned_abs();
        // Never shorter than this, so that a plan that wants to be asked again at once cannot take a whole core.
        let sleep = sleep.max(Duration::from_millis(5));
        let busy = self.is_busy();
        let ended = tokio::select! {
            biased;
            () = inbox.shutdown.cancelled() => return Woken::Shutdown,
            Some(control) = inbox.control.recv() => return Woken::Control(control),
            ended = self.tasks.join_next_with_id(), if busy => ended,
            () = inbox.doorbell.rung() => return Woken::Tick,
            () = tokio::time::sleep(sleep.min(BEAT_EVERY)) => {
                return if sleep <= BEAT_EVERY { Woken::Tick } else { Woken::Idle };
            }
        };
        match self.take_ended(ended).await {
            Ok(()) => Woken::Ended,
            Err(error) => Woken::Failed(error),
        }
    }

    /// Nothing can be written down: plan nothing for a while, and go on taking in what tasks report. Only a new trouble is
    /// worth a line; the old one stays in what is told every second.
    fn rest_after(&mut self, error: EngineError) -> Result<Timestamp, EngineError> {
        if error.is_final() {
            return Err(error);
        }
        let trouble = error.cause();
        if self.trouble.as_ref() != Some(&trouble) {
            error!("nothing can be written down, so nothing is done: {}", Told(&error));
            self.trouble = Some(trouble);
        }
        let now = Instant::now();
        if self.is_disk_given_up(&error, now) {
            error!("the disk of the ledger has failed for a minute, so amikeep ends: the next start opens it anew");
            return Err(error);
        }
        self.rest_until = Some(now + LEDGER_RETRY_AFTER);
        Ok(self.now_and(LEDGER_RETRY_AFTER))
    }

    fn is_disk_given_up(&mut self, error: &EngineError, now: Instant) -> bool {
        self.disk_fails_since = error.is_of_disk().then(|| self.disk_fails_since.unwrap_or(now));
        self.disk_fails_since.is_some_and(|since| DISK_FAILS_MAX <= now.duration_since(since))
    }

    fn now_and(&self, wait: Duration) -> Timestamp {
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
        amikeep_domain::policy::saturating_add(self.ctx.now(), wait)
    }

    /// The daemon outlives a ledger that fails: nothing is sent meanwhile, and what is missed is written down later. After
    /// a trouble the ledger must take a write before anything is planned again.
    async fn tick_or_rest(&mut self) -> Result<Timestamp, EngineError> {
        match self.try_tick().await {
            Ok(plan) => Ok(self.wake_at(&plan).unwrap_or_else(|| self.now_and(LOOK_EVERY_MAX))),
            Err(error) => self.rest_after(error),
        }
    }

    async fn try_tick(&mut self) -> Result<Plan, EngineError> {
        if self.trouble.is_some() {
            self.ctx.ledger.prove_writable(self.ctx.now()).await?;
            (self.trouble, self.disk_fails_since) = (None, None);
            info!("the ledger can be written again, and what was missed is caught up with");
        }
        let plan = self.tick().await?;
        self.last_tick_at = Some(self.ctx.now());
        Ok(plan)
    }

    async fn has_requests(&self) -> Result<bool, EngineError> {
        Ok(!self.ctx.ledger.open_requests().await?.is_empty())
    }

    fn stand(&self) -> Beat {
        let now = self.ctx.now();
        let paused = self.state.pauses.iter().filter(|pause| pause.contains(now)).count();
        Beat {
            open_jobs: self.state.jobs.len(),
            paused,
            trouble: self.trouble.clone(),
            ticked_at: self.last_tick_at,
            ledger_backup: self.state.ledger_backups.trouble().map(str::to_owned),
            left_frozen: self.state.left_holds.left().to_vec(),
        }
    }

    async fn drain(&mut self, grace: Duration, pulse: &mut Pulse) {
        info!(under_way = self.tasks.len(), "stopping: waiting for {} call(s) to end", self.tasks.len());
        let end = async {
            while !self.tasks.is_empty() {
                pulse.beat(|| self.stand());
                tokio::select! {
                    ended = self.tasks.join_next_with_id() => {
                        if let Err(error) = self.take_ended(ended).await {
                            let told = Told(&error);
                            error!("what a call came to was not written down, and is looked up at the next start: {told}");
                        }
                    }
                    () = tokio::time::sleep(BEAT_EVERY) => {}
                }
            }
        };
        if tokio::time::timeout(grace, end).await.is_ok() {
            return;
        }
        warn!(
            cut_off = self.tasks.len(),
            "{} call(s) did not end in time; what came of them is looked up at the next start",
            self.tasks.len()
        );
        self.tasks.shutdown().await;
    }
}

#[cfg(test)]
mod tests;
