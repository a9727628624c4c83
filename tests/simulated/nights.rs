//! Months of nights with everything going wrong at once, drawn from a seed: calls fail, the daemon dies and is started
//! again, its configuration is edited, the host's clock jumps, clocks change, and people do what people do.
//!
//! What must hold is asked after every step that changed EC2 of what it changed, once a night of everything, and at the
//! end what is left is compared with what the rules say of all that ever succeeded, and with what guards hold. Tasks and the
//! database's thread run beside each other, so a seed fixes what people and EC2 do and not every order of events: a failure
//! may need some runs to come back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use amikeep_cloud::Cloud;
use amikeep_domain::id::{ImageId, JobId, SnapshotId};
use amikeep_domain::job::Job;
use amikeep_domain::pattern::Pattern;
use amikeep_domain::policy::{Enabled, Policy, PolicySet};
use amikeep_domain::schedule::Schedule;
use amikeep_domain::tags;
use amikeep_ec2_sim::{ImageDuration, Mishaps, Resource, SimClock, World, WorldBuilder};
use amikeep_engine::Engine;
use jiff::{SignedDuration, Timestamp};

use crate::simulated::audit::{audit_but, audit_deletions, audit_jobs, audit_new_deletions};
use crate::simulated::counts::Counts;
use crate::simulated::crashing::{CrashingCloud, Fate, Side};
use crate::simulated::dice::Dice;
use crate::simulated::fires;
use crate::simulated::held::{BY_IMAGE, BY_SNAPSHOTS, HostOf, Machine, Power};
use crate::simulated::holds::{UnderWay, audit_holds, audit_rest, check_end, check_registered};
use crate::simulated::house::{House, VISIBILITY_LAG, account, policy, spec, world};
use crate::simulated::people::{People, allow_all};
use crate::simulated::rules::{self, Series};
use crate::simulated::steps::Steps;

/// The policies whose images nobody deregisters, with what they keep.
const KEEPS: [(&str, &str); 3] =
    [("nightly", "last=2,daily=4,weekly=2"), ("database", "within=3d,weekly=3"), ("frozen", "last=2,daily=3")];
/// How many images of the policy `snapped` are kept, which are registered from snapshots.
const SNAPPED: usize = 3;
/// Nights without trouble at the end, after which everything is where it belongs. What others deregistered keeps its
/// snapshots for a week.
const QUIET_NIGHTS: i64 = 9;
/// The instance that is held still.
const HELD: u32 = 4;

fn policies() -> Vec<Policy> {
    let keep = |name: &str| KEEPS.iter().find(|(it, _)| *it == name).unwrap().1.parse().unwrap();
    // Its time comes twice in the night in which clocks go back, and never in the one in which they go forward.
    let mut nightly = policy("nightly", "stateless");
    nightly.keep = keep("nightly");
    nightly.schedule = Schedule::parse("15 2 * * *", "Europe/Berlin").unwrap();
    nightly.jitter = SignedDuration::from_mins(20);
    let mut database = policy("database", "production-database");
    database.keep = keep("database");
    database.schedule = Schedule::parse("30 1 * * *", "America/New_York").unwrap();
    // What is deregistered by others here says nothing about the rules, but much about snapshots.
    let mut victim = policy("victim", "development");
    victim.keep = "last=3".parse().unwrap();
    victim.schedule = Schedule::parse("0 */12 * * *", "UTC").unwrap();
    // One instance is held still, at noon for an image and at four for snapshots, far from the hours at which clocks change.
    let mut frozen = policy("frozen", BY_IMAGE);
    frozen.keep = keep("frozen");
    frozen.schedule = Schedule::parse("0 12 * * *", "UTC").unwrap();
    let mut snapped = policy("snapped", BY_SNAPSHOTS);
    snapped.keep = format!("last={SNAPPED}").parse().unwrap();
    snapped.schedule = Schedule::parse("0 16 * * *", "UTC").unwrap();
    for policy in [&mut frozen, &mut snapped] {
        policy.select.tags[0].values = vec![Pattern::new("held")];
    }
    let mut all = vec![nightly, database, victim, frozen, snapped];
    for policy in &mut all {
        policy.max_deletes = Some(1_000);
        policy.start_within = SignedDuration::from_hours(10);
    }
    all
}

/// Three instances whose images fail and linger now and then, and one more that is held still.
pub(crate) fn fleet(seed: u64, begins_at: Timestamp) -> WorldBuilder {
    let mishaps = Mishaps {
        failing_per_mille: 40,
        slow_per_mille: 30,
        slow_takes: SignedDuration::from_mins(45),
        vanishing_per_mille: 0,
        lingering_per_mille: 60,
    };
    let fleet = (1..=3).fold(world(), |fleet, n| fleet.instance(spec(n))).instance(spec(HELD).tag("Env", "held"));
    fleet.seed(seed).image_duration(ImageDuration::Drawn).mishaps(mishaps).clock(SimClock::manual(begins_at))
}

/// An installation with the policies of these nights, and the machine that is held still.
pub(crate) fn house(fleet: WorldBuilder) -> (House, Arc<Machine>) {
    let mut house = House::new(fleet, policies());
    let machine = Machine::new(&house.world);
    machine.configure(&mut house.policy_set);
    house.host = Arc::new(HostOf(Arc::clone(&machine)));
    (house, machine)
}

/// Plans what goes wrong with calls in the next hours.
pub(crate) type PlanFaults = fn(&World, &mut Dice);

/// One seed's life.
pub(crate) struct Nights<C> {
    seed: u64,
    dice: Dice,
    pub(crate) house: House,
    machine: Arc<Machine>,
    cloud: Arc<C>,
    plan_faults: PlanFaults,
    people: People,
    /// The configuration as it is at the end.
    base: PolicySet,
    begins_at: Timestamp,
    steps: Steps,
    /// When everything was audited last.
    checked_at: Timestamp,
    pub(crate) counts: Counts,
}

/// Says which seed it was, however a run ends.
struct SeedIfItFails(u64);

impl Drop for SeedIfItFails {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was seed {}: AMIKEEP_SIM_SEED={0} AMIKEEP_SIM_SEEDS=1 runs it alone", self.0);
        }
    }
}

impl<C: Cloud> Nights<C> {
    pub(crate) fn new(
        seed: u64,
        (house, machine): (House, Arc<Machine>),
        cloud: Arc<C>,
        plan_faults: PlanFaults,
    ) -> Self {
        let (base, begins_at) = (house.policy_set.clone(), house.now());
        Self {
            seed,
            dice: Dice::new(seed),
            house,
            machine,
            cloud,
            plan_faults,
            people: People::default(),
            base,
            begins_at,
            steps: Steps::default(),
            checked_at: begins_at,
            counts: Counts::default(),
        }
    }

    /// Lets so many nights have trouble, and then some quiet ones; what is kept then must be what `kept` says of each
    /// series, and what guards hold.
    pub(crate) async fn run(&mut self, nights: i64, kept: impl Fn(&Series) -> BTreeSet<ImageId>) {
        let _seed = SeedIfItFails(self.seed);
        // A first quiet hour, so that there is a ledger.
        self.live(self.house.now() + SignedDuration::from_hours(1), Fate::lives()).await;
        let end = self.house.now() + SignedDuration::from_hours(nights * 24);
        self.machine.trouble(Some(Dice::new(self.seed)));
        while self.house.now() < end {
            self.next_hours().await;
        }
        self.end(kept).await;
        self.counts.add("nights", u64::try_from(nights + QUIET_NIGHTS).unwrap());
        self.counts.add("acts of people", self.people.acts);
        self.counts.add_calls(&self.house.world);
        let deletions = self.house.world.deletions();
        let images = deletions.iter().filter(|it| matches!(it.resource, Resource::Image(_))).count();
        self.counts.add("images deleted", u64::try_from(images).unwrap());
        self.counts.add("snapshots deleted", u64::try_from(deletions.len() - images).unwrap());
        self.counts.add("images made", u64::try_from(self.house.world.images().len()).unwrap());
        eprint!("seed {}\n{}", self.seed, self.counts);
    }

    /// A few hours with whatever the dice say, and then the audit.
    async fn next_hours(&mut self) {
        let hours = 1 + i64::try_from(self.dice.draw(10)).unwrap();
        let until = self.house.now() + SignedDuration::from_hours(hours);
        self.jump_clock();
        let side = if self.dice.one_in(2) { Side::Before } else { Side::After };
        let dies = !self.dice.one_in(3);
        let nth = 1 + u32::try_from(self.dice.draw(120)).unwrap();
        let fate = match dies {
            // Few of all effects are in a hold.
            true if self.dice.one_in(3) => self.dies_in_a_hold(side),
            true => Fate::dies_at(nth, side),
            false => Fate::lives(),
        };
        // People have no bad luck here, only amikeep does.
        self.house.world.clear_faults();
        self.lag(SignedDuration::ZERO);
        self.people.act(&mut self.house, &mut self.dice).await;
        // A pin or a use that answers do not show yet can be told by nobody; amikeep is promised them after this time.
        self.house.world.clock().advance(VISIBILITY_LAG);
        let lag = if self.dice.one_in(3) { self.dice.draw(40) } else { 0 };
        self.lag(SignedDuration::from_secs(i64::try_from(lag).unwrap()));
        (self.plan_faults)(&self.house.world, &mut self.dice);
        if self.dice.one_in(5) {
            self.house.policy_set = self.edited();
        }
        self.live(until, fate).await;
        self.house.clock_ahead.set(SignedDuration::ZERO);
        if SignedDuration::from_hours(24) <= self.house.now().duration_since(self.checked_at) {
            self.check().await;
        }
    }

    fn dies_in_a_hold(&self, side: Side) -> Arc<Fate> {
        let machine = Arc::clone(&self.machine);
        Fate::dies_when(move || machine.frozen_by().is_some(), side)
    }

    /// How far answers are behind: less than `visibility_lag` in any case.
    fn lag(&self, lag: SignedDuration) {
        self.house.world.set_describe_lag(lag);
        self.house.world.set_newcomer_lag(lag, lag * 2, lag * 3);
    }

    /// The host's clock is wrong for some hours.
    fn jump_clock(&mut self) {
        let ahead = match self.dice.draw(40) {
            0 => SignedDuration::from_hours(400 * 24),
            1 => SignedDuration::from_hours(-30 * 24),
            2 => SignedDuration::from_hours(2),
            3 => SignedDuration::from_hours(-2),
            4 => SignedDuration::from_mins(20),
            _ => SignedDuration::ZERO,
        };
        self.house.clock_ahead.set(ahead);
        self.counts.add("clock jumps", u64::from(!ahead.is_zero()));
    }

    /// Another configuration, which asks for nothing to go that the real one keeps.
    fn edited(&mut self) -> PolicySet {
        let mut edited = self.base.clone();
        let name = |text: &str| text.parse().unwrap();
        let dice = &mut self.dice;
        if dice.one_in(2) {
            edited.policies.get_mut(&name("nightly")).unwrap().keep = "last=-1".parse().unwrap();
        }
        if dice.one_in(2) {
            edited.policies.get_mut(&name("nightly")).unwrap().jitter = SignedDuration::ZERO;
        }
        let victim = edited.policies.get_mut(&name("victim")).unwrap();
        match dice.draw(4) {
            0 => victim.enabled = Enabled::No,
            1 => victim.schedule = Schedule::parse("20 */8 * * *", "Asia/Kathmandu").unwrap(),
            2 => victim.max_deletes = Some(1),
            _ => {}
        }
        if dice.one_in(4) {
            edited.policies.remove(&name("victim"));
        }
        if dice.one_in(3) {
            edited.prune_schedule = Schedule::parse("10 */3 * * *", "UTC").unwrap();
        }
        self.counts.add("configurations", 1);
        edited
    }

    /// One life of the daemon, which ends in the middle of an effect if its fate says so.
    async fn live(&mut self, until: Timestamp, fate: Arc<Fate>) {
        self.counts.add("lives", 1);
        // It may die while it undoes what the one before it left.
        let started = tokio::select! {
            biased;
            () = fate.died() => None,
            engine = self.house.doomed_engine(&self.cloud, &fate) => Some(engine),
        };
        let Some(mut engine) = started else {
            self.die();
            self.machine.switch(Power::On);
            return;
        };
        let mut under_way = UnderWay::new();
        while self.house.now() < until {
            let settled = tokio::select! {
                biased;
                () = fate.died() => {
                    self.die();
                    break;
                }
                settled = engine.settle() => settled.unwrap(),
            };
            self.check_step().await;
            audit_rest(&self.house, &self.machine, &mut under_way).await;
            self.disturb(&mut engine, &fate);
            let host_now = self.house.now() + self.house.clock_ahead.get();
            let wake_at = settled.wake_at.unwrap_or(Timestamp::MAX);
            let wait =
                wake_at.duration_since(host_now).clamp(SignedDuration::from_secs(1), SignedDuration::from_mins(30));
            self.house.world.clock().set((self.house.now() + wait).min(until));
        }
        drop(engine);
        // What it did is dropped by the runtime, which may be in the middle of it.
        tokio::task::yield_now().await;
        self.machine.switch(Power::On);
        self.check_step().await;
    }

    /// The daemon dies, and every other time the machine that it runs on with it.
    fn die(&mut self) {
        self.counts.add("deaths", 1);
        if self.dice.one_in(2) {
            self.machine.switch(Power::Off);
        }
        self.counts.add("holds: deaths in one", u64::from(self.machine.frozen_by().is_some()));
    }

    /// What happens while the daemon lives: a configuration that is edited, a clock that is set.
    fn disturb(&mut self, engine: &mut Engine<CrashingCloud<C>>, fate: &Arc<Fate>) {
        if self.dice.one_in(150) {
            self.house.policy_set = if self.dice.one_in(2) { self.base.clone() } else { self.edited() };
            let cloud = CrashingCloud::new(Arc::clone(&self.cloud), Arc::clone(fate), self.house.sent.clone());
            let clouds = BTreeMap::from([(account(), Arc::new(cloud))]);
            engine.replace(Arc::new(self.house.policy_set.clone()), clouds);
            self.counts.add("reloads", 1);
        }
        if self.dice.one_in(400) {
            self.jump_clock();
        }
    }

    /// What must hold after a step, if it changed anything at EC2.
    async fn check_step(&mut self) {
        let Some(step) = self.steps.next(&self.house.world) else { return };
        for deletion in &step.deletions {
            let Resource::Image(image) = &deletion.resource else { continue };
            assert!(!self.people.foreign.contains(image), "{image} is somebody else's");
            assert!(!self.people.in_use.contains(image), "{image} was in use");
            assert!(!self.people.pinned.contains(image), "{image} was pinned");
        }
        audit_new_deletions(&self.house, &self.people.deregistered, &step.deletions).await;
        audit_jobs(&self.house, &self.people.foreign, &step.jobs).await;
        self.counts.add("audits of a step", 1);
    }

    /// What must hold at any time.
    async fn check(&mut self) {
        self.checked_at = self.house.now();
        audit_deletions(&self.house, &self.people.deregistered).await;
        audit_but(&self.house, &self.people.foreign).await;
        audit_holds(&self.house, &self.machine, &self.steps.in_holds).await;
        self.counts.add("audits of everything", 1);
    }

    /// Some nights without trouble, after which everything is where it belongs.
    async fn end(&mut self, kept: impl Fn(&Series) -> BTreeSet<ImageId>) {
        self.house.world.clear_faults();
        self.house.world.set_mishaps(Mishaps::default());
        self.machine.trouble(None);
        self.lag(SignedDuration::ZERO);
        allow_all(&self.house);
        self.house.policy_set = self.base.clone();
        // Until a quarter of an hour after a prune, at an hour at which no image is in the making.
        let day = i64::try_from(SignedDuration::from_hours(24).as_millis()).unwrap();
        let midnight = Timestamp::from_millisecond(self.house.now().as_millisecond() / day * day).unwrap();
        self.quietly(midnight + SignedDuration::from_mins((QUIET_NIGHTS * 24 + 22) * 60 + 45)).await;
        self.check().await;
        self.check_left(kept).await;
        let registered = check_registered(&self.house, SNAPPED).await;
        self.check_snapshots(&registered).await;
        self.check_foreign();
        let proved = check_end(&self.house, &self.machine).await;
        self.counts.add("holds: proved", proved);
        for (mishap, n) in self.machine.mishaps() {
            self.counts.add(mishap, n);
        }
        fires::check(&self.house, &["nightly", "database", "frozen", "snapped"], self.begins_at).await;
        // What was planned by a clock that was a year ahead waits for that year.
        let (jobs, now) = (self.house.jobs().await, self.house.now());
        let open = jobs.into_iter().filter(|job| !job.state.name().is_terminal() && job.window.start_at <= now);
        let open: Vec<_> = open.collect();
        assert!(open.is_empty(), "{open:?}");
    }

    async fn quietly(&mut self, until: Timestamp) {
        self.counts.add("lives", 1);
        let fate = Fate::lives();
        let mut engine = self.house.doomed_engine(&self.cloud, &fate).await;
        while self.house.now() < until {
            let settled = engine.settle().await.unwrap();
            self.check_step().await;
            let wake_at = settled.wake_at.unwrap_or(until);
            assert!(self.house.now() < wake_at, "a settled engine wants to be woken in the past: {wake_at}");
            self.house.world.clock().set(wake_at.min(until));
        }
        engine.settle().await.unwrap();
    }

    /// What is left is what the rules say and what is held, and nothing else of ours.
    async fn check_left(&self, kept: impl Fn(&Series) -> BTreeSet<ImageId>) {
        let images = self.house.world.images().into_iter();
        let is_left = |name: &str| name.starts_with("amikeep-test-") && !name.contains("victim");
        let left: BTreeSet<ImageId> =
            images.filter(|it| it.deregistered_at.is_none() && is_left(&it.name)).map(|it| it.id).collect();
        let mut expected: BTreeSet<ImageId> = BTreeSet::new();
        for series in rules::series(&self.house, &KEEPS).await {
            expected.extend(kept(&series));
        }
        expected.extend(self.people.in_use.iter().chain(&self.people.pinned).cloned());
        let (jobs, rows) = (self.house.jobs().await, self.house.images().await);
        let waiting: BTreeSet<JobId> = jobs.iter().filter(|job| self.waits(job)).map(|job| job.id).collect();
        let may_stay = rows.into_iter().filter(|row| waiting.contains(&row.job) && left.contains(&row.image));
        expected.extend(may_stay.map(|row| row.image));
        if let Some(image) = left.symmetric_difference(&expected).next() {
            let is_left = left.contains(image);
            let row = self.house.images().await.into_iter().find(|row| row.image == *image);
            let deletions = self.house.reader().await.deletions_of_image(image).await;
            let job = row.as_ref().and_then(|row| jobs.iter().find(|job| job.id == row.job));
            panic!("{image} is left: {is_left}; its row: {row:#?}; its job: {job:#?}; its deletions: {deletions:#?}");
        }
    }

    /// What a clock planned that was a year ahead waits for that year, and keeps what was made for it: an image that failed
    /// before the clock was put back, too, since its job may still make another.
    fn waits(&self, job: &Job) -> bool {
        !job.state.name().is_terminal() && self.house.now() < job.window.start_at
    }

    /// Every snapshot of ours belongs to an image that is there; those of registered images are given.
    async fn check_snapshots(&self, registered: &BTreeSet<SnapshotId>) {
        let images = self.house.world.images();
        let there = images.iter().filter(|image| image.deregistered_at.is_none());
        let created = there.flat_map(|image| &image.snapshots).map(|snapshot| snapshot.id.as_str());
        let mapped: BTreeSet<&str> = created.chain(registered.iter().map(SnapshotId::as_str)).collect();
        for record in self.house.world.resources() {
            let Resource::Snapshot(id) = &record.resource else { continue };
            let Some(job) = record.tags.get(tags::JOB).filter(|_| record.removed_at.is_none()) else { continue };
            if !mapped.contains(id.as_str()) {
                let (ledger, job) = (self.house.reader().await, job.parse().unwrap());
                let (events, job) = (ledger.events(job).await.unwrap(), ledger.job(job).await.unwrap());
                let is_left_over = !job.as_ref().is_some_and(|job| self.waits(job));
                assert!(!is_left_over, "{id} is left over: {record:?} of {job:#?}: {events:#?}");
            }
        }
    }

    /// Nobody touched what is not ours: it is there, with the tags it had.
    fn check_foreign(&self) {
        for image in self.house.world.images().iter().filter(|it| self.people.foreign.contains(&it.id)) {
            assert_eq!(image.deregistered_at, None, "{image:?}");
            assert!(image.snapshots.iter().all(|snapshot| snapshot.deleted_at.is_none()), "{image:?}");
            assert!(!image.tags.contains_key(tags::GRADE), "{image:?}");
        }
        for record in self.house.world.resources() {
            let is_theirs =
                matches!(record.resource, Resource::Instance(_) | Resource::Volume(_) | Resource::LaunchTemplate(_));
            assert!(!is_theirs || record.removed_at.is_none(), "{record:?}");
            assert!(!is_theirs || !record.tags.keys().any(|key| key.starts_with("amikeep:")), "{record:?}");
        }
    }
}
