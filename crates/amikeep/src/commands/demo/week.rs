//! The week itself: a simulated EC2, the daemon's engine on a real ledger, and a clock that is moved to whenever the engine
//! wants to be asked again.
//!
//! What happens is told by the ledger and never by this module: it drives, and breaks things on the nights when
//! something is to break.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use amikeep_cloud::{Paced, Pacers, Timer};
use amikeep_cloud_aws::AwsCloud;
use amikeep_config::Config;
use amikeep_domain::job::{Job, JobState};
use amikeep_domain::plan::Scope;
use amikeep_ec2_sim::http::Server;
use amikeep_ec2_sim::{
    Action, Fault, FaultOutcome, ImageRecord, Invocation, Request, SimClock, World, access_key_id, default_identity,
};
use amikeep_engine::{Clock, Engine, Options, Random, SeededRandom};
use amikeep_ledger::{EngineLock, LastStop, Ledger};
use anyhow::Context;
use jiff::{SignedDuration, Timestamp};

use crate::commands::demo::calendar::Night;
use crate::commands::demo::fleet;
use crate::host::LocalHost;
use crate::wiring;

/// What the demo calls itself in the lock.
const COMMAND: &str = "amikeep demo";
/// The simulator checks no signature, so any secret does.
const SECRET: &str = "not-a-secret";
/// Where the ids of jobs come from.
const SEED: u64 = 7;
/// How far EC2's answers are behind on the night of the kill, so that the image is not found at the first look.
const LAG: SignedDuration = SignedDuration::from_secs(8);
/// The clock moves at least this far, whatever the engine says, so that every night ends.
const STEP_MIN: SignedDuration = SignedDuration::from_millis(100);

/// The simulator's time is the engine's.
#[derive(Debug)]
struct WorldClock(SimClock);

impl Clock for WorldClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

/// The pacer's time is the simulator's too. Whoever waits for its turn moves the clock there: nobody else would.
#[derive(Debug, Clone)]
struct WorldTimer {
    clock: SimClock,
    began_at: Timestamp,
}

impl Timer for WorldTimer {
    fn now(&self) -> Duration {
        self.clock.now().duration_since(self.began_at).max(SignedDuration::ZERO).unsigned_abs()
    }

    async fn sleep_until(&self, moment: Duration) {
        let wait = moment.saturating_sub(self.now());
        self.clock.advance(SignedDuration::try_from(wait).unwrap_or(SignedDuration::ZERO));
    }
}

/// The adapter of the daemon, behind its pacer, in simulated time.
type SimConnection = Paced<AwsCloud, WorldTimer>;

/// How a step ended.
pub(super) enum Step {
    /// The clock has moved on.
    Moved,
    /// The answer to a request for an image was lost, on a night when it was to be.
    ReplyLost(Box<Job>),
    /// The time that was asked for is reached, and there is nothing left to do at it.
    Reached,
}

/// A week that is under way.
pub(super) struct Week {
    pub(super) world: World,
    pub(super) config: Config,
    // It serves the world for as long as it lives.
    server: Server,
    cloud: Arc<SimConnection>,
    random: Arc<SeededRandom>,
    running: Running,
    trap: Trap,
}

/// What a running daemon holds.
struct Running {
    engine: Engine<SimConnection>,
    ledger: Ledger,
    lock: EngineLock,
}

/// Whether a lost answer ends the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trap {
    Open,
    Set,
}

impl Week {
    /// Begins at `now`, with its files in `dir`.
    pub(super) async fn begin(dir: &Path, now: Timestamp) -> anyhow::Result<Self> {
        let world = fleet::world(SimClock::manual(now))?;
        let server = Server::start(world.clone()).await?;
        let text = fleet::config_text(&dir.join("amikeep.db"), &server.url());
        std::fs::write(config_path(dir), &text)?;
        let config = amikeep_config::parse(&text, "demo.toml")?.config;
        let cloud = Arc::new(connect(&config, &world).await?);
        let random = Arc::new(SeededRandom::new(SEED));
        let (running, _) = start(&config, &world, &cloud, &random).await?;
        Ok(Self { world, config, server, cloud, random, running, trap: Trap::Open })
    }

    /// The simulated time.
    pub(super) fn now(&self) -> Timestamp {
        self.world.clock().now()
    }

    /// What is written down.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.running.ledger
    }

    /// Does what there is to do now, and then moves the clock to when the engine wants to be asked again, but not beyond
    /// `until`.
    pub(super) async fn step(&mut self, until: Timestamp) -> anyhow::Result<Step> {
        let settled = self.running.engine.settle().await?;
        if self.trap == Trap::Set
            && let Some(job) = self.running.engine.open_jobs().find(|job| matches!(job.state, JobState::Capturing(_)))
        {
            self.trap = Trap::Open;
            return Ok(Step::ReplyLost(Box::new(job.clone())));
        }
        let now = self.now();
        if until <= now {
            return Ok(Step::Reached);
        }
        let at_least = now.saturating_add(STEP_MIN).unwrap_or(until);
        self.world.clock().set(settled.wake_at.unwrap_or(until).max(at_least).min(until));
        Ok(Step::Moved)
    }

    /// The answer to the next request for an image of `instance` will be lost, and EC2's answers lag behind.
    pub(super) fn lose_next_reply(&mut self, instance: &str) {
        let fault = Fault::on(Action::CreateImage, FaultOutcome::LostReplyAfterEffect).touching(instance);
        self.world.plan_fault(fault);
        self.world.set_describe_lag(LAG);
        self.trap = Trap::Set;
    }

    /// EC2's answers show its writes at once again.
    pub(super) fn answer_promptly(&self) {
        self.world.set_describe_lag(SignedDuration::ZERO);
    }

    /// Somebody takes a tag off an instance, in the console for instance.
    pub(super) fn remove_tag(&self, instance: &str, key: &str) -> anyhow::Result<()> {
        let request = Request::DeleteTags { resources: vec![instance.to_owned()], tags: vec![(key.to_owned(), None)] };
        let caller = default_identity(&fleet::ACCOUNT.parse()?);
        self.world.call(&Invocation { caller, region: fleet::REGION.parse()?, request, dry_run: false });
        Ok(())
    }

    /// How often EC2 was asked for an image of `instance` in a night, and how many images it made, by its own account.
    pub(super) fn asked_and_made(&self, instance: &str, night: &Night) -> (usize, usize) {
        let is_then = |at: Timestamp| night.begins_at <= at && at < night.ends_at;
        let is_asked =
            |request: &Request| matches!(request, Request::CreateImage(call) if call.instance_id == instance);
        let asked = self.world.calls().iter().filter(|call| is_then(call.at) && is_asked(&call.request)).count();
        let is_made = |image: &&ImageRecord| is_then(image.created_at) && image.instance_id.as_str() == instance;
        (asked, self.world.images().iter().filter(is_made).count())
    }

    /// The daemon dies, and another one is started on its ledger. Says what that one found.
    pub(super) async fn kill_and_restart(self) -> anyhow::Result<(Self, LastStop)> {
        let Running { engine, ledger, lock } = self.running;
        drop(engine);
        ledger.close().await;
        drop(lock);
        let (running, last_stop) = start(&self.config, &self.world, &self.cloud, &self.random).await?;
        Ok((Self { running, ..self }, last_stop))
    }

    /// The daemon stops in order, and the simulator with it.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        let Running { engine, ledger, lock } = self.running;
        drop(engine);
        ledger.record_stop(self.world.clock().now()).await?;
        ledger.close().await;
        drop(lock);
        self.server.stop().await;
        Ok(())
    }
}

/// Where the configuration file of the demo is.
pub(super) fn config_path(dir: &Path) -> PathBuf {
    dir.join("amikeep.toml")
}

/// The adapter of the daemon, with the access key of the simulated account.
async fn connect(config: &Config, world: &World) -> anyhow::Result<SimConnection> {
    let account = config.accounts.values().next().context("the demo has no account")?;
    let key_id = access_key_id(&fleet::ACCOUNT.parse()?);
    let described = wiring::aws_account(account, &config.daemon.owner);
    let cloud = AwsCloud::connect_with_keys(described, &key_id, SECRET).await?;
    let pacers = Pacers::new(WorldTimer { clock: world.clock().clone(), began_at: world.clock().now() });
    Ok(pacers.pace(cloud, account.region.clone()))
}

async fn start(
    config: &Config,
    world: &World,
    cloud: &Arc<SimConnection>,
    random: &Arc<SeededRandom>,
) -> anyhow::Result<(Running, LastStop)> {
    let now = world.clock().now();
    let lock = wiring::lock(&config.daemon.database, COMMAND, now)?;
    let ledger = Ledger::open_for_engine(&config.daemon.database, &lock).await?;
    let last_stop = ledger.record_start(now).await?;
    let clouds: BTreeMap<_, _> = config.accounts.keys().map(|name| (name.clone(), Arc::clone(cloud))).collect();
    let host = Arc::new(LocalHost::new(&config.daemon.database));
    let options = Options { host, ..Options::new(config.daemon.max_concurrent_jobs, Scope::Everything) };
    let clock = Arc::new(WorldClock(world.clock().clone()));
    let policy_set = Arc::clone(&config.policy_set);
    let random: Arc<dyn Random> = Arc::<SeededRandom>::clone(random);
    let engine = Engine::start(ledger.clone(), policy_set, clouds, clock, random, options).await?;
    Ok((Running { engine, ledger, lock }, last_stop))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::demo::calendar;
    use crate::commands::demo::scratch::{Files, Scratch};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_lost_reply_and_a_killed_daemon_make_one_image() {
        let scratch = Scratch::new(Files::Remove).unwrap();
        let mut week = Week::begin(scratch.path(), calendar::begins_at().unwrap()).await.unwrap();
        let night = calendar::nights().unwrap().remove(0);
        week.lose_next_reply(fleet::KILLED_AT);
        let mut kills = 0;
        loop {
            match week.step(night.ends_at).await.unwrap() {
                Step::Moved => {}
                Step::Reached => break,
                Step::ReplyLost(job) => {
                    assert_eq!(job.key.instance.as_str(), fleet::KILLED_AT);
                    let (restarted, last_stop) = week.kill_and_restart().await.unwrap();
                    assert!(matches!(last_stop, LastStop::Unclean { .. }));
                    week = restarted;
                    kills += 1;
                }
            }
        }
        assert_eq!(kills, 1);
        assert_eq!(week.asked_and_made(fleet::KILLED_AT, &night), (1, 1));
        assert!(week.ledger().open_jobs().await.unwrap().is_empty());
        week.end().await.unwrap();
    }
}
