//! Months of nights with everything going wrong at once, drawn from a seed: what must hold holds after every life of the
//! daemon, and what is left at the end is what the rules say and what guards hold.
//!
//! `AMIKEEP_SIM_SEEDS` says how many seeds are tried, beginning with `AMIKEEP_SIM_SEED`, and `AMIKEEP_SIM_NIGHTS` how many
//! nights each of them has trouble; the failing one is in the message of
//! the failure. Seeds that failed once are tried always. Tasks and the database's thread run beside each other, so a seed
//! fixes what people and EC2 do and not every order of events: a failure may need some runs to come back.

use std::collections::{BTreeMap, BTreeSet};

use amikeep_domain::id::{ImageId, PolicyName};
use amikeep_domain::pause::PauseScope;
use amikeep_domain::policy::Policy;
use amikeep_domain::retention::{Candidate, Verdict, plan_series};
use amikeep_domain::schedule::Schedule;
use amikeep_domain::tags;
use amikeep_ec2_sim::{Action, Fault, FaultOutcome, ImageDuration, InstanceSpec, Mishaps, Place, Resource, World};
use amikeep_ledger::{ImageRow, ImageRowState, RequestKind};
use jiff::{SignedDuration, Timestamp};

use crate::audit::audit_but;
use crate::crashing::{CrashingCloud, Side};
use crate::house::{ACCOUNT, House, REGION, at, instance_id, policy, spec, world};
use crate::pruning::preview;

/// Seeds that found something once.
const REGRESSIONS: [u64; 0] = [];
/// The seeds of an ordinary run of the tests.
const SEEDS: u64 = 2;
/// Permissions that come and go.
const PERMISSIONS: [Action; 3] = [Action::DeleteSnapshot, Action::DeregisterImage, Action::DescribeImageReferences];
/// How long each of them lives.
const NIGHTS: u64 = 8;

/// Small and reproducible; chance of quality is not needed here.
struct Dice(u64);

impl Dice {
    fn draw(&mut self, below: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.draw(n) == 0
    }
}

fn policies() -> Vec<Policy> {
    let mut nightly = policy("nightly", "stateless");
    nightly.keep = "last=2,daily=4,weekly=2".parse().unwrap();
    nightly.schedule = Schedule::parse("15 2 * * *", "Europe/Berlin").unwrap();
    nightly.jitter = SignedDuration::from_mins(20);
    let mut database = policy("database", "production-database");
    database.keep = "within=3d,weekly=3".parse().unwrap();
    database.schedule = Schedule::parse("30 4 * * *", "America/New_York").unwrap();
    // What is deregistered by others here says nothing about the rules, but much about snapshots.
    let mut victim = policy("victim", "development");
    victim.keep = "last=3".parse().unwrap();
    victim.schedule = Schedule::parse("0 */12 * * *", "UTC").unwrap();
    let mut all = vec![nightly, database, victim];
    for policy in &mut all {
        policy.max_deletes = Some(1_000);
        policy.start_within = SignedDuration::from_hours(10);
    }
    all
}

/// One seed's life.
struct Run {
    seed: u64,
    dice: Dice,
    house: House,
    /// What somebody else did, which is not to be held against amikeep.
    deregistered: BTreeSet<ImageId>,
    in_use: BTreeSet<ImageId>,
    pinned: BTreeSet<ImageId>,
    foreign: BTreeSet<ImageId>,
    lives: u32,
    deaths: u32,
}

impl Run {
    fn new(seed: u64) -> Self {
        let fleet = (1..=3).fold(world(), |fleet, n| fleet.instance(spec(n)));
        let mishaps = Mishaps {
            failing_per_mille: 40,
            slow_per_mille: 30,
            slow_takes: SignedDuration::from_hours(3),
            vanishing_per_mille: 0,
        };
        let fleet = fleet.seed(seed).image_duration(ImageDuration::Drawn).mishaps(mishaps);
        let fleet = fleet.clock(amikeep_ec2_sim::SimClock::manual(at("2026-10-10T00:00:00Z")));
        let house = House::new(fleet, policies());
        let dice = Dice(seed);
        let none = BTreeSet::new;
        Self {
            seed,
            dice,
            house,
            deregistered: none(),
            in_use: none(),
            pinned: none(),
            foreign: none(),
            lives: 0,
            deaths: 0,
        }
    }

    fn world(&self) -> &World {
        &self.house.world
    }

    fn plan_faults(&self) {
        let strike =
            |action, outcome, per_mille| self.world().plan_fault(Fault::on(action, outcome).per_mille(per_mille));
        for action in [
            Action::DescribeImages,
            Action::DescribeSnapshots,
            Action::DescribeInstances,
            Action::DescribeImageReferences,
            Action::GetCallerIdentity,
        ] {
            strike(action, FaultOutcome::Throttle, 15);
            strike(action, FaultOutcome::CutInBody, 10);
            strike(action, FaultOutcome::Hang, 5);
            strike(action, FaultOutcome::internal_error(), 10);
        }
        for action in [Action::CreateImage, Action::DeregisterImage, Action::DeleteSnapshot, Action::CreateTags] {
            strike(action, FaultOutcome::Throttle, 30);
            strike(action, FaultOutcome::LostReplyAfterEffect, 40);
            strike(action, FaultOutcome::LostBeforeEffect, 40);
            strike(action, FaultOutcome::internal_error_after_effect(), 20);
            strike(action, FaultOutcome::service_unavailable(), 20);
            strike(action, FaultOutcome::Garbage, 10);
        }
    }

    /// One life of the daemon, which ends in the middle of a call if `dies_at` says so.
    async fn live(&mut self, until: Timestamp, dies_at: Option<(u32, Side)>) {
        self.lives += 1;
        let (nth, side) = dies_at.unwrap_or((u32::MAX, Side::After));
        let cloud = CrashingCloud::new(self.house.cloud(), nth, side);
        let died = cloud.died();
        let mut engine = self.house.engine_over(cloud).await;
        while self.house.now() < until {
            let settled = tokio::select! {
                biased;
                () = died.notified() => {
                    self.deaths += 1;
                    break;
                }
                settled = engine.settle() => settled.unwrap(),
            };
            let host_now = self.house.now() + self.house.clock_ahead;
            let wake_at = settled.wake_at.unwrap_or(Timestamp::MAX);
            let wait =
                wake_at.duration_since(host_now).clamp(SignedDuration::from_secs(1), SignedDuration::from_mins(30));
            self.house.world.clock().set((self.house.now() + wait).min(until));
        }
    }

    /// A few hours with whatever the dice say, and then the audit.
    async fn next_hours(&mut self) {
        let hours = 1 + i64::try_from(self.dice.draw(10)).unwrap();
        let until = self.house.now() + SignedDuration::from_hours(hours);
        self.house.clock_ahead = match self.dice.draw(40) {
            0 => SignedDuration::from_hours(400 * 24),
            1 => SignedDuration::from_hours(-30 * 24),
            2 => SignedDuration::from_hours(2),
            3 => SignedDuration::from_hours(-2),
            _ => SignedDuration::ZERO,
        };
        let side = if self.dice.one_in(2) { Side::Before } else { Side::After };
        let dies_at = (!self.dice.one_in(3)).then(|| (1 + u32::try_from(self.dice.draw(60)).unwrap(), side));
        // People have no bad luck here, only amikeep does.
        self.world().clear_faults();
        self.disturb().await;
        self.plan_faults();
        self.live(until, dies_at).await;
        self.house.clock_ahead = SignedDuration::ZERO;
        self.check().await;
    }

    fn allow_all(&self) {
        for action in PERMISSIONS {
            self.world().allow(&ACCOUNT.parse().unwrap(), action);
        }
    }

    /// What people do meanwhile.
    async fn disturb(&mut self) {
        self.allow_all();
        let rows: Vec<ImageRow> = self.house.images().await;
        let available: Vec<&ImageRow> = rows.iter().filter(|row| row.state == ImageRowState::Available).collect();
        if !available.is_empty() {
            let row = available[usize::try_from(self.dice.draw(available.len() as u64)).unwrap()];
            self.disturb_image(row);
        }
        if self.dice.one_in(10) {
            let n = u32::try_from(self.foreign.len()).unwrap();
            let tags = [(tags::OWNER, "test"), (tags::JOB, "0193509f-6e00-7c3a-9b1e-5d2f8a4c6e10")];
            // It may be refused while another image of the volume is begun.
            self.house.take_image(3, &format!("somebody-elses-{n}"), if n % 2 == 0 { &tags } else { &[] });
            let made = self.world().images().into_iter().find(|it| it.name == format!("somebody-elses-{n}"));
            self.foreign.extend(made.map(|it| it.id));
        }
        let n = u8::try_from(self.lives % 200).unwrap();
        match self.dice.draw(12) {
            0 => drop(self.house.ask(n, RequestKind::Prune { policy: None, released: Vec::new() }).await),
            1 => {
                let until = Some(self.house.now() + SignedDuration::from_hours(3));
                let scope = PauseScope::Instance(instance_id(2));
                self.house.ask(n, RequestKind::Pause { scope, until, reason: None }).await;
            }
            _ => {}
        }
        if self.dice.one_in(6) {
            let action = PERMISSIONS[usize::try_from(self.dice.draw(3)).unwrap()];
            self.world().deny(&ACCOUNT.parse().unwrap(), action);
        }
    }

    fn disturb_image(&mut self, row: &ImageRow) {
        let image = row.image.clone();
        let is_there = self.world().images().iter().any(|it| it.id == image && it.deregistered_at.is_none());
        if !is_there {
            return;
        }
        if row.policy.as_str() == "victim" {
            if self.dice.one_in(6) {
                self.house.deregister(&image);
                self.deregistered.insert(image);
            }
        } else if self.dice.one_in(12) {
            let place = Place { account: ACCOUNT.parse().unwrap(), region: REGION.parse().unwrap() };
            let id = format!("i-{:017x}", 0xbeef_0000 + self.in_use.len());
            let spec = InstanceSpec::new(id).volume("/dev/xvda", 8).image(image.as_str());
            if self.world().launch(&place, spec).is_ok() {
                self.in_use.insert(image);
            }
        } else if self.dice.one_in(11) {
            let resources = vec![image.to_string()];
            let tag = amikeep_ec2_sim::NewTag { key: tags::PIN.to_owned(), value: "by hand".to_owned() };
            self.house.call(amikeep_ec2_sim::Request::CreateTags { resources, tags: vec![tag] });
            self.pinned.insert(image);
        }
    }

    /// What must hold at any time.
    async fn check(&mut self) {
        let seed = self.seed;
        let rows: BTreeMap<ImageId, ImageRow> =
            self.house.images().await.into_iter().map(|row| (row.image.clone(), row)).collect();
        for deletion in self.world().deletions() {
            let Resource::Image(image) = &deletion.resource else {
                assert_eq!(
                    deletion.tags.get(tags::OWNER).map(String::as_str),
                    Some("test"),
                    "seed {seed}: {deletion:?}"
                );
                continue;
            };
            assert!(!self.foreign.contains(image), "seed {seed}: {image} is somebody else's");
            assert!(!self.in_use.contains(image), "seed {seed}: {image} was in use");
            assert!(!self.pinned.contains(image), "seed {seed}: {image} was pinned");
            if self.deregistered.contains(image) {
                continue;
            }
            let row = rows.get(image).unwrap_or_else(|| panic!("seed {seed}: {image} went without a row"));
            assert!(
                matches!(row.state, ImageRowState::Deleting | ImageRowState::SnapshotsLeft | ImageRowState::Deleted),
                "seed {seed}: {image} went, and its row says {:?}",
                row.state
            );
        }
        audit_but(&mut self.house, &self.foreign).await;
    }

    /// The images that should be there: by the rules alone, over everything that ever succeeded, and what is held.
    fn expected(&self, rows: &[ImageRow]) -> BTreeSet<ImageId> {
        let mut series: BTreeMap<(&PolicyName, &str), Vec<&ImageRow>> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.counts && row.policy.as_str() != "victim") {
            series.entry((&row.policy, row.instance.as_str())).or_default().push(row);
        }
        let mut expected = BTreeSet::new();
        for ((policy, _), rows) in series {
            let policy = &self.house.policy_set.policies[policy];
            let candidates: Vec<Candidate<ImageId>> = rows
                .iter()
                .map(|row| Candidate { id: row.image.clone(), captured_at: row.captured_at.unwrap() })
                .collect();
            let planned = plan_series(&candidates, &policy.keep, policy.schedule.timezone(), self.house.now());
            expected.extend(planned.into_iter().filter(|it| matches!(it.verdict, Verdict::Keep(_))).map(|it| it.id));
        }
        expected.extend(self.in_use.iter().chain(&self.pinned).cloned());
        expected
    }

    /// A week without trouble, after which everything is where it belongs.
    async fn end(&mut self) {
        let seed = self.seed;
        self.world().clear_faults();
        self.world().set_mishaps(Mishaps::default());
        self.allow_all();
        // Until a quarter of an hour after a prune, at an hour at which no image is in the making.
        let day = SignedDuration::from_hours(24).as_millis();
        let midnight = self.house.now().as_millisecond() / i64::try_from(day).unwrap() * i64::try_from(day).unwrap();
        let end = Timestamp::from_millisecond(midnight).unwrap() + SignedDuration::from_mins((9 * 24 + 22) * 60 + 45);
        self.live(end, None).await;
        self.check().await;
        let rows = self.house.images().await;
        let images = self.world().images();
        let left: BTreeSet<ImageId> = images
            .iter()
            .filter(|it| {
                it.deregistered_at.is_none() && it.name.starts_with("amikeep-test-") && !it.name.contains("victim")
            })
            .map(|it| it.id.clone())
            .collect();
        let expected = self.expected(&rows);
        if let Some(image) = left.symmetric_difference(&expected).next() {
            let row = rows.iter().find(|row| row.image == *image);
            let is_left = left.contains(image);
            let calls = self.world().calls().len();
            let verdict = preview(&mut self.house).await.into_iter().find(|(id, _)| id == image);
            panic!("seed {seed}: {image} is left: {is_left}, {verdict:?}, its row: {row:#?}, after {calls} calls");
        }
        for image in images.iter().filter(|it| it.deregistered_at.is_some()) {
            for snapshot in &image.snapshots {
                let row = rows.iter().find(|row| row.image == image.id);
                assert!(
                    snapshot.deleted_at.is_some(),
                    "seed {seed}: {} of {} is left over: {row:#?} {:#?}",
                    snapshot.id,
                    image.id,
                    self.house.reader().await.deletions_of_image(&image.id).await
                );
            }
        }
        // What was planned by a clock that was a year ahead waits for that year.
        let (jobs, now) = (self.house.jobs().await, self.house.now());
        let open = jobs.into_iter().filter(|job| !job.state.name().is_terminal() && job.window.start_at <= now);
        let open: Vec<_> = open.collect();
        assert!(open.is_empty(), "seed {seed}: {open:?}");
    }
}

async fn simulate(seed: u64) -> (u32, u32) {
    let mut run = Run::new(seed);
    // A first quiet hour, so that there is a ledger.
    run.live(run.house.now() + SignedDuration::from_hours(1), None).await;
    let nights = i64::try_from(number("AMIKEEP_SIM_NIGHTS").unwrap_or(NIGHTS)).unwrap();
    let end = run.house.now() + SignedDuration::from_hours(nights * 24);
    while run.house.now() < end {
        run.next_hours().await;
    }
    run.end().await;
    eprintln!("seed {seed}: {} lives, {} deaths, {} calls", run.lives, run.deaths, run.world().calls().len());
    (run.lives, run.deaths)
}

#[expect(clippy::disallowed_methods, reason = "a longer run is asked for by the environment")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[tokio::test]
async fn what_is_left_after_months_of_bad_nights_is_what_the_rules_say() {
    let first = number("AMIKEEP_SIM_SEED").unwrap_or(1);
    let seeds = number("AMIKEEP_SIM_SEEDS").unwrap_or(SEEDS);
    for seed in REGRESSIONS.into_iter().chain(first..first + seeds) {
        let (lives, deaths) = simulate(seed).await;
        assert!(20 < lives && 5 < deaths, "seed {seed} had {lives} lives and {deaths} deaths");
    }
}
