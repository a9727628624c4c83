//! Two disks, writers, a ledger on a small disk of its own, a simulated EC2 and a daemon, through all accidents.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use amikeep_domain::id::JobId;
use amikeep_domain::job::{Job, JobState, StateName};
use amikeep_ec2_sim::{ImageDuration, RequestLimits, World};
use amikeep_ledger::Ledger;
use jiff::SignedDuration;
use tokio::task::{JoinHandle, block_in_place};

use crate::accidents::BUDGET;
use crate::accidents::accident::{Accident, Capture, Plan, Successor};
use crate::accidents::copies::{Copies, DISKS, Writers};
use crate::disk::volume::Volume;
use crate::disks::{Disks, sh};
use crate::site::{Daemon, NEVER_NOW, PATIENCE, Site, instance_id, policy, spec, world};

/// Instances take turns: while the image of one is being made, the next one is held. All of them are this host.
const INSTANCES: u32 = 4;
/// What a command before or after a hold may take. The one before waits until the request has been taken up.
const COMMAND_LIMIT: Duration = Duration::from_secs(6);
/// From one snapshot of an image to the next.
const NEXT_SNAPSHOT: SignedDuration = SignedDuration::from_millis(60);

pub(super) struct Stage {
    // Dropped first, so that nobody writes to what is put away.
    pub(super) writers: Arc<Writers>,
    pub(super) copies: Copies,
    daemon: Option<Daemon>,
    ledger: Ledger,
    pub(super) site: Site,
    /// By job, until it is judged.
    pub(super) open: BTreeMap<JobId, Plan>,
    pub(super) judged: usize,
    /// The snapshots of their images.
    pub(super) of_images: BTreeSet<String>,
    clock: JoinHandle<()>,
    volume: Volume,
    pub(super) disks: Disks,
}

/// What came of an accident.
pub(super) struct Struck {
    /// The longest time without a write.
    pub(super) gap: Duration,
    /// Whether a hold was on record just after it.
    pub(super) was_held: bool,
}

/// For each instance one policy by `CreateImage` and one by `CreateSnapshots`. The command before a hold says that everything is
/// ready, and waits until it may go on.
fn config(disks: &Disks, switches: &str) -> String {
    let mounts: Vec<String> = DISKS.iter().map(|(name, ..)| format!("\"{}\"", disks.path(name).display())).collect();
    let devices: Vec<String> = DISKS.iter().map(|(_, device, _)| format!("\"{device}\"")).collect();
    let mut text = String::new();
    for n in 1..=INSTANCES {
        for capture in [Capture::Image, Capture::Snapshots] {
            let (name, id) = (format!("{}-{n}", capture.name()), instance_id(n));
            let one = policy(&name, &name, NEVER_NOW, "")
                .replace("{ tags = { Env = \"prod\" } }", &format!("{{ instances = [\"{id}\"] }}"))
                .replace("last = 3", "last = -1");
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "{one}\n[classes.{name}]\nconsistency = \"freeze\"\nif_blocked = \"no-reboot\"\nfreeze = \"{name}\"\n\
                 [freezes.{name}]\nvia = \"local\"\nmounts = [{}]\ndevices = [{}]\ninstance = \"{id}\"\n\
                 capture = \"{}\"\nbudget = \"{}s\"\nlock_wait = \"1s\"\ncommand_limit = \"{}s\"\n\
                 pre = [[\"/bin/sh\", \"-c\", \"touch {switches}/entered; until test -e {switches}/go; do sleep 0.01; done; \
                 test ! -e {switches}/pre-hangs || exec sleep 600\"]]\n\
                 post = [[\"/bin/sh\", \"-c\", \"test ! -e {switches}/post-hangs || exec sleep 600\"]]\n\n",
                mounts.join(", "),
                devices.join(", "),
                capture.name(),
                BUDGET.as_secs(),
                COMMAND_LIMIT.as_secs(),
            );
        }
    }
    text
}

/// Snapshots get their contents when they begin, whether or not somebody asks EC2 for something at that moment.
#[expect(clippy::disallowed_methods, reason = "a clock of the test, and no task of the engine")]
fn keep_time(world: World) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let world = world.clone();
            tokio::task::spawn_blocking(move || world.fix_points()).await.unwrap();
        }
    })
}

impl Stage {
    pub(super) async fn new() -> Option<Self> {
        let disks = tokio::task::spawn_blocking(Disks::new).await.unwrap()?;
        let volume = block_in_place(|| Volume::beside(&disks));
        let quick = world()
            .request_limits(RequestLimits::Off)
            .image_duration(ImageDuration::Fixed(SignedDuration::from_millis(500)))
            .snapshot_lag(SignedDuration::ZERO, NEXT_SNAPSHOT);
        let fleet = (1..=INSTANCES).fold(quick, |world, n| world.instance(spec(n).volume(DISKS[1].1, 20)));
        let site = Site::with_ledger(fleet, "", volume.database()).await;
        let switches = site.dir().join("switches");
        fs::create_dir(&switches).unwrap();
        site.configure(&config(&disks, switches.to_str().unwrap()));
        let writers = Arc::new(block_in_place(|| Writers::on(&disks)));
        let copies = Copies::default();
        copies.watch(&site.world, &disks, Arc::clone(&writers)).await;
        let daemon = Some(site.daemon().await);
        let ledger = Ledger::open_read_only(site.database()).await.unwrap();
        let clock = keep_time(site.world.clone());
        let (open, judged, of_images) = (BTreeMap::new(), 0, BTreeSet::new());
        Some(Self { writers, copies, daemon, ledger, site, open, judged, of_images, clock, volume, disks })
    }

    fn switch(&self, name: &str) -> PathBuf {
        self.site.dir().join("switches").join(name)
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().unwrap()
    }

    /// One hold with its accident, until everything that may freeze is over.
    pub(super) async fn run(&mut self, plan: &Plan) -> Struck {
        let id = instance_id(u32::try_from(plan.number % u64::from(INSTANCES)).unwrap() + 1);
        self.wait_until_settled("its instance is free", |job| !is_open(job) || job.key.instance.as_str() != id).await;
        self.arm(plan);
        self.request(plan, &id).await;
        let guard = self.guard();
        for writer in self.writers.all() {
            writer.take_longest_gap();
        }
        fs::write(self.switch("go"), "").unwrap();
        tokio::time::sleep(plan.moment).await;
        let was_held = self.strike(plan, guard).await;
        block_in_place(|| self.writers.all().iter().for_each(|writer| writer.wait_for_flow()));
        self.mend(plan).await;
        // A job whose request got lost is held once more.
        self.wait_until_settled("no hold is left", |job| !may_freeze(job)).await;
        block_in_place(|| self.writers.all().iter().for_each(|writer| writer.wait_for_flow()));
        let gap = self.writers.all().iter().map(|writer| writer.take_longest_gap()).max().unwrap();
        Struck { gap, was_held }
    }

    fn arm(&self, plan: &Plan) {
        for name in ["entered", "go", "pre-hangs", "post-hangs"] {
            let _ = fs::remove_file(self.switch(name));
        }
        match plan.accident {
            Accident::PreHangs => fs::write(self.switch("pre-hangs"), "").unwrap(),
            Accident::PostHangs => fs::write(self.switch("post-hangs"), "").unwrap(),
            _ => {}
        }
        self.site.world.clear_faults();
        if let Some(fault) = plan.accident.fault(plan.capture.call()) {
            self.site.world.plan_fault(fault);
        }
        self.site.world.set_snapshot_lag(plan.lag.try_into().unwrap());
    }

    /// Asks the daemon for an image, and returns when everything is ready to be frozen.
    async fn request(&mut self, plan: &Plan, id: &str) {
        let n = plan.number % u64::from(INSTANCES) + 1;
        let policy = format!("{}-{n}", plan.capture.name());
        let asked = self.site.run(&["backup", id, "--policy", &policy, "--no-wait"]).await;
        assert_eq!(asked.code, 0, "{asked:?}");
        let entered = self.switch("entered");
        self.site.wait_until("everything is ready", || entered.exists()).await;
        // The only one of its instance: those before it have ended.
        let jobs = self.ledger.open_jobs().await.unwrap();
        let job = jobs.iter().find(|job| job.key.instance.as_str() == id).unwrap_or_else(|| panic!("{jobs:#?}"));
        self.open.insert(job.id, plan.clone());
    }

    /// The guard of the hold that is about to begin.
    fn guard(&self) -> Option<u32> {
        sh(&format!("pgrep --parent {} --full __guard || true", self.daemon().pid())).lines().next()?.parse().ok()
    }

    /// Whether a hold was on record just after it.
    async fn strike(&mut self, plan: &Plan, guard: Option<u32>) -> bool {
        match plan.accident {
            Accident::DaemonKilled => self.kill_daemon(),
            Accident::GuardKilled => kill_guard(guard),
            Accident::GuardThenDaemonKilled => {
                kill_guard(guard);
                self.kill_daemon();
            }
            Accident::DaemonThenGuardKilled => {
                self.kill_daemon();
                kill_guard(guard);
            }
            Accident::DaemonStopped => self.daemon().signal("STOP"),
            Accident::LedgerFull => block_in_place(|| self.volume.fill()),
            _ => {}
        }
        let was_held = !self.ledger.open_holds().await.unwrap().is_empty();
        if self.daemon.is_none() && plan.successor == Successor::Thaw {
            let thawed = self.site.run(&["thaw", "--format", "json"]).await;
            assert_eq!(thawed.code, 0, "{thawed:?}");
        }
        if self.daemon.is_none() {
            self.daemon = Some(self.site.daemon().await);
        }
        was_held
    }

    fn kill_daemon(&mut self) {
        self.daemon.take().unwrap().kill();
    }

    /// Puts right what only an operator can.
    async fn mend(&self, plan: &Plan) {
        match plan.accident {
            Accident::DaemonStopped => {
                // Only now is it certain that nobody but the guard has thawed.
                tokio::time::sleep(BUDGET.saturating_sub(plan.moment)).await;
                block_in_place(|| self.writers.all().iter().for_each(|writer| writer.wait_for_flow()));
                self.daemon().signal("CONT");
            }
            Accident::LedgerFull => {
                tokio::time::sleep(BUDGET.saturating_sub(plan.moment)).await;
                block_in_place(|| self.writers.all().iter().for_each(|writer| writer.wait_for_flow()));
                block_in_place(|| self.volume.free());
            }
            _ => {}
        }
    }

    /// Waits until `holds` of every job, and no hold is on record.
    async fn wait_until_settled(&self, what: &str, holds: impl Fn(&Job) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let jobs = self.ledger.open_jobs().await.unwrap();
            let left = self.ledger.open_holds().await.unwrap();
            if jobs.iter().all(&holds) && left.is_empty() {
                return;
            }
            let log = || self.daemon().log();
            assert!(
                tokio::time::Instant::now() < deadline,
                "not within {PATIENCE:?}: {what}; {left:#?} {jobs:#?} {}",
                log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Jobs that have ended and were not judged yet.
    pub(super) async fn ended(&mut self) -> Vec<(JobId, Plan)> {
        let open: Vec<JobId> = self.ledger.open_jobs().await.unwrap().iter().map(|job| job.id).collect();
        let ended: Vec<JobId> = self.open.keys().filter(|id| !open.contains(id)).copied().collect();
        ended.into_iter().map(|id| (id, self.open.remove(&id).unwrap())).collect()
    }

    /// Waits until every job has ended.
    pub(super) async fn wait_for_the_rest(&self) {
        self.wait_until_settled("every job ends", |job| !is_open(job)).await;
    }

    /// Ends the daemon in order.
    pub(super) async fn close(&mut self) {
        let daemon = self.daemon.take().unwrap();
        daemon.signal("TERM");
        let (status, log) = daemon.ended().await;
        assert!(status.success(), "{log}");
        self.clock.abort();
    }
}

fn is_open(job: &Job) -> bool {
    !job.state.name().is_terminal()
}

/// Whether something of it is frozen, or may be yet.
fn may_freeze(job: &Job) -> bool {
    match &job.state {
        JobState::Taken(_) => false,
        state => !matches!(state.name(), StateName::Pending | StateName::Finishing) && is_open(job),
    }
}

/// `kill -9`, if it is still the guard that has this number.
fn kill_guard(guard: Option<u32>) {
    let Some(pid) = guard else { return };
    let is_guard = fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| line.split(|byte| *byte == 0).any(|word| word == b"__guard"));
    if is_guard {
        sh(&format!("kill -9 {pid} || true"));
    }
}
