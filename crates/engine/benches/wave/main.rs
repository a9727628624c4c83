//! A wave: every instance of an account is due at once, and EC2's documented request limits stand in its way.
//!
//! `cargo xtask bench wave` runs it. Engine, ledger and pacer are those of the daemon; EC2 is simulated, and so is time,
//! which moves only when everything waits for it. What is measured is therefore exact, whatever machine this runs on: the
//! time to the last `CreateImage` over the least that the limits allow, what was throttled, and all calls to EC2 until
//! the last image is available and has its grade.

#[path = "../../../../benches/figure.rs"]
mod figure;
mod timer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use amikeep_cloud::{Paced, Pacers};
use amikeep_domain::class::built_in;
use amikeep_domain::id::AccountName;
use amikeep_domain::job::StateName;
use amikeep_domain::pattern::Pattern;
use amikeep_domain::plan::{Plan, Scope};
use amikeep_domain::policy::{AccountRules, Enabled, Policy, PolicySet, Selector, TagMatch};
use amikeep_domain::schedule::Schedule;
use amikeep_ec2_sim::{
    Action, Call, CallOutcome, InstanceSpec, Place, Request, RequestLimits, SimClock, SimCloud, World,
};
use amikeep_engine::{Clock, Engine, Options, SeededRandom};
use amikeep_ledger::{EngineLock, HistoryFilter, Holder, Ledger};
use jiff::{SignedDuration, Timestamp};

use crate::figure::Samples;
use crate::timer::WaveTimer;

const WAVES: [u32; 3] = [100, 1_000, 10_000];
/// The least time allows for `CreateImage`: this many at once, and this many a second.
const BURST: f64 = 50.0;
const REFILL_PER_S: f64 = 5.0;
/// The default of `max_concurrent_jobs`.
const JOBS_MAX: usize = 64;
const DUE_AT: &str = "2026-11-22T02:00:00Z";

struct WorldClock(SimClock);

impl Clock for WorldClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

type WaveEngine = Engine<Paced<SimCloud, WaveTimer>>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let only: Option<String> = std::env::args().find_map(|it| it.strip_prefix("--only=").map(str::to_owned));
    let is_wanted = |name: &str| only.as_ref().is_none_or(|only| only == name);
    for n in WAVES.into_iter().filter(|n| is_wanted(&n.to_string())) {
        let world = world(1, n);
        let ticks = run(&world, 1).await;
        tell_wave(&world, n);
        figure::print(&format!("{n} instances: one tick, p50"), ticks.percentile_ms(50), "ms");
        figure::print(&format!("{n} instances: one tick, p99"), ticks.percentile_ms(99), "ms");
    }
    if is_wanted("two-accounts") {
        tell_two_waves().await;
    }
}

/// What one wave took.
fn tell_wave(world: &World, n: u32) {
    let calls: Vec<Call> = world.calls().into_iter().filter(|call| call.action().is_ec2()).collect();
    let least = (f64::from(n) - BURST) / REFILL_PER_S;
    let created = created_at(&calls);
    let took = created.last().expect("an image").duration_since(parsed(DUE_AT)).as_secs_f64();
    let throttled = calls.iter().filter(|call| is_throttled(call)).count();
    let of_calls = |count: usize| 100.0 * as_f64(count) / as_f64(calls.len());
    let limit = if n == 1_000 { Some(1.2) } else { None };
    figure::print(&format!("{n} instances: to the last CreateImage"), took, "s");
    figure::print_goal(&format!("{n} instances: over the least that EC2 allows"), took / least, "", 1.05);
    figure::print_goal(&format!("{n} instances: throttled calls"), of_calls(throttled), "%", 1.0);
    let per_backup = as_f64(calls.len()) / f64::from(n);
    let name = format!("{n} instances: EC2 calls per backup");
    limit.map_or_else(|| figure::print(&name, per_backup, ""), |goal| figure::print_goal(&name, per_backup, "", goal));
    let mut by_action: BTreeMap<Action, usize> = BTreeMap::new();
    for call in &calls {
        *by_action.entry(call.action()).or_default() += 1;
    }
    figure::tell(&format!("{n} instances: {by_action:?}"));
    audit(world, n);
}

/// Two accounts at once take as long as one, although `max_concurrent_jobs` is for both.
async fn tell_two_waves() {
    const EACH: u32 = 1_000;
    let world = world(2, EACH);
    run(&world, 2).await;
    let created = created_at(&world.calls());
    let took = created.last().expect("an image").duration_since(parsed(DUE_AT)).as_secs_f64();
    let least = (f64::from(EACH) - BURST) / REFILL_PER_S;
    figure::print_goal("two accounts with 1000 each: over the least for one", took / least, "", 1.05);
    audit(&world, 2 * EACH);
}

fn created_at(calls: &[Call]) -> Vec<Timestamp> {
    let created = |call: &&Call| call.action() == Action::CreateImage && call.outcome == CallOutcome::Answered;
    calls.iter().filter(created).map(|call| call.at).collect()
}

fn is_throttled(call: &Call) -> bool {
    matches!(&call.outcome, CallOutcome::Refused(code) if code == "RequestLimitExceeded")
}

/// Every instance has one image, and was asked for once.
fn audit(world: &World, n: u32) {
    let calls = world.calls();
    let mut asked = BTreeSet::new();
    for call in calls.iter().filter(|call| call.outcome == CallOutcome::Answered) {
        if let Request::CreateImage(image) = &call.request {
            assert!(asked.insert((call.account.clone(), image.instance_id.clone())), "an image was made twice");
        }
    }
    assert_eq!(asked.len(), n as usize, "an image was lost");
}

/// A night until everything is done, and how long each tick of it took, in real time.
async fn run(world: &World, accounts: u32) -> Samples {
    let directory = tempfile::tempdir().expect("a directory for the ledger");
    let path = directory.path().join("amikeep.db");
    let holder = Holder { pid: std::process::id(), command: "bench".to_owned(), started_at: world.clock().now() };
    let lock = EngineLock::acquire(&path, &holder).expect("the lock of the ledger");
    let ledger = Ledger::open_for_engine(&path, &lock).await.expect("the ledger");
    let timer = WaveTimer::new(world.clock().clone());
    let pacers = Pacers::new(timer.clone());
    let cloud = |n: u32| {
        let place = Place { account: parsed(&account_id(n)), region: parsed("eu-central-1") };
        let region = place.region.clone();
        (account_name(n), Arc::new(pacers.pace(SimCloud::new(world.clone(), place), region)))
    };
    let clouds = (0..accounts).map(cloud).collect();
    let clock = Arc::new(WorldClock(world.clock().clone()));
    let options = Options::new(JOBS_MAX, Scope::Everything);
    let random = Arc::new(SeededRandom::new(1));
    let policy_set = Arc::new(policy_set(accounts));
    let engine = Engine::start(ledger.clone(), policy_set, clouds, clock, random, options).await;
    let mut ticks = Samples::default();
    let engine = drive(engine.expect("an engine"), world, &timer, &mut ticks).await;
    drop(engine);
    let filter = HistoryFilter { state: Some(StateName::Succeeded), ..HistoryFilter::default() };
    assert!(!ledger.history(&filter, 1, None).await.expect("a page").rows.is_empty(), "no backup succeeded");
    ledger.close().await;
    drop(lock);
    ticks
}

/// Ticks whenever something has ended, and moves time on when everything that is under way waits for it.
async fn drive(mut engine: WaveEngine, world: &World, timer: &WaveTimer, ticks: &mut Samples) -> WaveEngine {
    let until = parsed::<Timestamp>(DUE_AT) + SignedDuration::from_hours(6);
    let mut began = false;
    let mut plan = tick(&mut engine, ticks).await;
    loop {
        if timer.waiting() < engine.under_way() {
            tokio::select! {
                ended = engine.take_ended_effects() => {
                    ended.expect("a ledger that works");
                    plan = tick(&mut engine, ticks).await;
                }
                () = timer.changed() => {}
            }
            continue;
        }
        began |= engine.open_jobs().next().is_some();
        if began && engine.open_jobs().next().is_none() {
            return engine;
        }
        let next = plan.wake_at.into_iter().chain(timer.next()).min().expect("something to wait for");
        assert!(next < until, "the wave does not end");
        timer.move_to(next.max(world.clock().now()));
        if plan.wake_at.is_some_and(|at| at <= next) {
            plan = tick(&mut engine, ticks).await;
        }
    }
}

async fn tick(engine: &mut WaveEngine, ticks: &mut Samples) -> Plan {
    let (plan, took) = figure::time(engine.tick()).await;
    ticks.push(took);
    plan.expect("a ledger that works")
}

fn world(accounts: u32, n: u32) -> World {
    let world = World::builder()
        .clock(SimClock::manual(parsed("2026-11-22T01:59:00Z")))
        .seed(7)
        .request_limits(RequestLimits::Documented);
    let world = (0..accounts).fold(world, |world, account| {
        let world = world.account(&account_id(account)).region("eu-central-1");
        let spec = |n: u32| {
            let id = format!("i-{:017x}", account * 1_000_000 + n);
            InstanceSpec::new(id).tag("Env", "prod").volume("/dev/xvda", 8)
        };
        (0..n).fold(world, |world, n| world.instance(spec(n)))
    });
    world.build().expect("a world")
}

fn policy_set(accounts: u32) -> PolicySet {
    let names: Vec<AccountName> = (0..accounts).map(account_name).collect();
    let policy = Policy {
        name: parsed("nightly"),
        accounts: names.clone(),
        class: parsed("development"),
        schedule: Schedule::parse("0 2 * * *", "UTC").expect("a schedule"),
        jitter: SignedDuration::ZERO,
        start_within: SignedDuration::from_hours(6),
        enabled: Enabled::Yes,
        select: Selector {
            tags: vec![TagMatch { key: "Env".to_owned(), values: vec![Pattern::new("prod")] }],
            ..Selector::default()
        },
        class_tag_allows: [].into(),
        copy_tags: Vec::new(),
        keep: parsed("last=3"),
        tags: BTreeMap::new(),
        deadline: SignedDuration::from_hours(24),
        max_deletes: None,
    };
    let visibility_lag = SignedDuration::from_mins(5);
    let rules = AccountRules { region: parsed("eu-central-1"), expected_id: None, visibility_lag };
    PolicySet {
        owner: parsed("bench"),
        policies: BTreeMap::from([(policy.name.clone(), policy)]),
        classes: built_in(),
        freezes: BTreeMap::new(),
        accounts: names.into_iter().map(|name| (name, rules.clone())).collect(),
        prune_schedule: Schedule::parse("30 0 1 1 *", "UTC").expect("a schedule"),
        history_keep: SignedDuration::from_hours(400 * 24),
    }
}

fn account_name(n: u32) -> AccountName {
    parsed(&format!("account-{n}"))
}

fn account_id(n: u32) -> String {
    format!("{:012}", 111_122_223_333_u64 + u64::from(n))
}

/// Counts of calls are far below where this loses anything.
fn as_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).expect("a number of calls"))
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a text of this benchmark")
}
