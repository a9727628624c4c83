//! A restart with 10,000 jobs in flight: how long until EC2 was asked about every one of them, and by how many calls.
//!
//! `cargo xtask bench restart` runs it. The jobs are there because a real wave asked for their images in the simulator;
//! the images stay pending, as images of large volumes do for hours, and then the engine is gone.

#[path = "../../../benches/figure.rs"]
mod figure;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use amikeep_domain::class::built_in;
use amikeep_domain::id::AccountName;
use amikeep_domain::job::StateName;
use amikeep_domain::pattern::Pattern;
use amikeep_domain::plan::Scope;
use amikeep_domain::policy::{AccountRules, Enabled, Policy, PolicySet, Selector, TagMatch};
use amikeep_domain::schedule::Schedule;
use amikeep_ec2_sim::{Action, ImageDuration, InstanceSpec, Place, RequestLimits, SimClock, SimCloud, World};
use amikeep_engine::{Clock, Engine, Options, SeededRandom};
use amikeep_ledger::{EngineLock, HistoryFilter, Holder, Ledger};
use jiff::{SignedDuration, Timestamp};

use crate::figure::Stopwatch;

const JOBS: u32 = 10_000;

/// One filter takes this many ids. A list of ids would take a thousand, but EC2 refuses all of it for one that is gone.
const IMAGES_PER_CALL: f64 = 200.0;

struct WorldClock(SimClock);

impl Clock for WorldClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let n_jobs: u32 = std::env::args().find_map(|it| it.strip_prefix("--jobs=")?.parse().ok()).unwrap_or(JOBS);
    let directory = tempfile::tempdir().expect("a directory for the ledger");
    let path = directory.path().join("amikeep.db");
    let world = world(n_jobs);
    let policy_set = Arc::new(policy_set());
    ask_for_images(&path, &world, &policy_set, n_jobs).await;

    world.clock().advance(SignedDuration::from_mins(10));
    let calls_before = world.calls().len();
    let stopwatch = Stopwatch::start();
    let (lock, ledger) = open(&path, &world).await;
    let mut engine = start(ledger.clone(), &world, &policy_set).await;
    engine.settle().await.expect("an engine at rest");
    let took = stopwatch.elapsed();
    let calls = world.calls();
    let asked = calls[calls_before..].iter().filter(|call| call.action() == Action::DescribeImages).count();
    let sent = calls[calls_before..].iter().filter(|call| call.action() == Action::CreateImage).count();
    assert_eq!(sent, 0, "a restart asked for an image again");
    assert_eq!(engine.open_jobs().count(), n_jobs as usize, "a job was lost");
    figure::print_goal(&format!("{n_jobs} jobs re-attached"), took.as_secs_f64(), "s", 5.0);
    let least = (f64::from(n_jobs) / IMAGES_PER_CALL).ceil();
    let asked = f64::from(u32::try_from(asked).expect("a number of calls"));
    figure::print("DescribeImages for that", asked, "");
    figure::print_goal("over the least possible", asked / least, "", 1.0);
    ledger.close().await;
    drop(lock);
}

/// A night up to the point where every image was asked for and none is available.
async fn ask_for_images(path: &Path, world: &World, policy_set: &Arc<PolicySet>, n_jobs: u32) {
    let (lock, ledger) = open(path, world).await;
    let mut engine = start(ledger.clone(), world, policy_set).await;
    let due = at("2026-11-22T02:00:00Z");
    while pending(&ledger).await < n_jobs as usize {
        let settled = engine.settle().await.expect("an engine at rest");
        assert!(world.clock().now() < due + SignedDuration::from_hours(6), "the wave does not end");
        world.clock().set(settled.wake_at.expect("a wake"));
        figure::tell(&format!("{} requests at {}", world.count(Action::CreateImage), world.clock().now()));
    }
    ledger.close().await;
    drop(lock);
}

async fn pending(ledger: &Ledger) -> usize {
    let filter = HistoryFilter { state: Some(StateName::Pending), ..HistoryFilter::default() };
    let (mut n, mut after) = (0, None);
    loop {
        let page = ledger.history(&filter, 1_000, after.as_ref()).await.expect("a page");
        n += page.rows.len();
        match page.next {
            Some(next) => after = Some(next),
            None => return n,
        }
    }
}

async fn open(path: &Path, world: &World) -> (EngineLock, Ledger) {
    let holder = Holder { pid: std::process::id(), command: "bench".to_owned(), started_at: world.clock().now() };
    let lock = EngineLock::acquire(path, &holder).expect("the lock of the ledger");
    let ledger = Ledger::open_for_engine(path, &lock).await.expect("the ledger");
    (lock, ledger)
}

async fn start(ledger: Ledger, world: &World, policy_set: &Arc<PolicySet>) -> Engine<SimCloud> {
    let place = Place { account: parsed("111122223333"), region: parsed("eu-central-1") };
    let clouds = BTreeMap::from([(account_name(), Arc::new(SimCloud::new(world.clone(), place)))]);
    let clock = Arc::new(WorldClock(world.clock().clone()));
    let random = Arc::new(SeededRandom::new(1));
    let options = Options::new(64, Scope::Everything);
    Engine::start(ledger, Arc::clone(policy_set), clouds, clock, random, options).await.expect("an engine")
}

fn world(n: u32) -> World {
    let fleet = World::builder()
        .clock(SimClock::manual(at("2026-11-22T01:59:00Z")))
        .seed(7)
        .image_duration(ImageDuration::Fixed(SignedDuration::from_hours(100)))
        .request_limits(RequestLimits::Off)
        .account("111122223333")
        .region("eu-central-1");
    let spec = |n: u32| InstanceSpec::new(format!("i-{n:017x}")).tag("Env", "prod").volume("/dev/xvda", 8);
    (0..n).fold(fleet, |fleet, n| fleet.instance(spec(n))).build().expect("a world")
}

fn policy_set() -> PolicySet {
    let policy = Policy {
        name: parsed("nightly"),
        accounts: vec![account_name()],
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
        deadline: SignedDuration::from_hours(200),
        max_deletes: None,
    };
    let visibility_lag = SignedDuration::from_mins(5);
    let rules = AccountRules { region: parsed("eu-central-1"), expected_id: None, visibility_lag };
    PolicySet {
        owner: parsed("bench"),
        policies: BTreeMap::from([(policy.name.clone(), policy)]),
        classes: built_in(),
        freezes: BTreeMap::new(),
        accounts: BTreeMap::from([(account_name(), rules)]),
        prune_schedule: Schedule::parse("30 0 1 1 *", "UTC").expect("a schedule"),
        history_keep: SignedDuration::from_hours(400 * 24),
    }
}

fn account_name() -> AccountName {
    parsed("default")
}

fn at(text: &str) -> Timestamp {
    parsed(text)
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a text of this benchmark")
}
