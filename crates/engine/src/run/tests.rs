//! The loop by itself, in real time: nothing rings, and everything is done.

use std::collections::BTreeMap;

use amikeep_domain::class::built_in;
use amikeep_domain::pattern::Pattern;
use amikeep_domain::plan::Scope;
use amikeep_domain::policy::{AccountRules, Policy, Selector, TagMatch};
use amikeep_domain::schedule::Schedule;
use amikeep_ec2_sim::{Action, ImageDuration, InstanceSpec, Place, SimClock, SimCloud, World};
use amikeep_ledger::{EngineLock, FileError, Holder, Ledger, LedgerError};

use super::*;
use crate::clock::{OsRandom, SystemClock};
use crate::engine::Options;

const ACCOUNT: &str = "111122223333";
const REGION: &str = "eu-central-1";

fn world() -> World {
    let spec = InstanceSpec::new(format!("i-{:017x}", 1)).tag("Env", "prod").volume("/dev/xvda", 8);
    let world = World::builder().clock(SimClock::wall(1.0)).account(ACCOUNT).region(REGION).instance(spec);
    world.image_duration(ImageDuration::Fixed(SignedDuration::from_millis(100))).build().unwrap()
}

/// One instance, every second.
fn policy_set() -> PolicySet {
    let policy = Policy {
        name: "often".parse().unwrap(),
        accounts: vec!["default".parse().unwrap()],
        class: "stateless".parse().unwrap(),
        schedule: Schedule::parse("* * * * * *", "UTC").unwrap(),
        jitter: SignedDuration::ZERO,
        start_within: SignedDuration::from_hours(6),
        enabled: Enabled::Yes,
        select: Selector {
            tags: vec![TagMatch { key: "Env".to_owned(), values: vec![Pattern::new("prod")] }],
            ..Selector::default()
        },
        class_tag_allows: BTreeSet::new(),
        copy_tags: Vec::new(),
        keep: "last=-1".parse().unwrap(),
        tags: BTreeMap::new(),
        deadline: SignedDuration::from_hours(24),
        max_deletes: None,
    };
    let visibility_lag = SignedDuration::from_secs(2);
    let rules = AccountRules { region: REGION.parse().unwrap(), expected_id: None, visibility_lag };
    PolicySet {
        owner: "test".parse().unwrap(),
        policies: BTreeMap::from([(policy.name.clone(), policy)]),
        classes: built_in(),
        freezes: BTreeMap::new(),
        accounts: BTreeMap::from([("default".parse().unwrap(), rules)]),
        prune_schedule: Schedule::parse("30 * * * *", "UTC").unwrap(),
        history_keep: SignedDuration::from_hours(400 * 24),
    }
}

async fn engine(dir: &tempfile::TempDir, world: &World) -> (EngineLock, Engine<SimCloud>) {
    let path = dir.path().join("amikeep.db");
    let holder = Holder { pid: std::process::id(), command: "test".to_owned(), started_at: Timestamp::UNIX_EPOCH };
    let lock = EngineLock::acquire(&path, &holder).unwrap();
    let ledger = Ledger::open_for_engine(&path, &lock).await.unwrap();
    let place = Place { account: ACCOUNT.parse().unwrap(), region: REGION.parse().unwrap() };
    let cloud = SimCloud::new(world.clone(), place);
    let clouds = BTreeMap::from([("default".parse().unwrap(), Arc::new(cloud))]);
    let (clock, random) = (Arc::new(SystemClock), Arc::new(OsRandom::default()));
    let options = Options::new(64, Scope::Everything);
    (lock, Engine::start(ledger, Arc::new(policy_set()), clouds, clock, random, options).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loop_fires_without_a_scheduler() {
    let (dir, world) = (tempfile::tempdir().unwrap(), world());
    let (_lock, engine) = engine(&dir, &world).await;
    let (_control, receiver) = mpsc::channel(1);
    let shutdown = CancellationToken::new();
    let handle = Handle {
        doorbell: Doorbell::new(),
        control: receiver,
        shutdown: shutdown.clone(),
        grace: Duration::from_secs(10),
        beat: Box::new(|_| {}),
    };
    let fires = async {
        while world.count(Action::CreateImage) < 3 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        shutdown.cancel();
    };
    // It looks every half minute at least, so this is reached however slow the machine is.
    let fires = tokio::time::timeout(Duration::from_mins(3), fires);
    let (ran, fired) = tokio::join!(engine.run_with(handle, None), fires);
    ran.unwrap();
    fired.expect("three fires");
}

#[tokio::test]
async fn a_disk_that_fails_for_a_minute_ends_the_loop_and_a_full_one_is_waited_for() {
    let (dir, world) = (tempfile::tempdir().unwrap(), world());
    let (_lock, mut engine) = engine(&dir, &world).await;
    let path = dir.path().join("amikeep.db");
    let failed = || FileError::Disk { path: path.clone(), detail: "disk I/O error".to_owned() };
    let full = || FileError::DiskFull { path: path.clone() };
    let begin = Instant::now();
    let mut is_over = |error: FileError, secs: u64| {
        let error = EngineError::Ledger(LedgerError::File(error));
        engine.is_disk_given_up(&error, begin + Duration::from_secs(secs))
    };
    assert!(!is_over(full(), 0));
    assert!(!is_over(full(), 3_600), "somebody makes room some day");
    assert!(!is_over(failed(), 3_700));
    assert!(!is_over(failed(), 3_759));
    assert!(!is_over(full(), 3_770), "it answers again");
    assert!(!is_over(failed(), 3_800));
    assert!(!is_over(failed(), 3_859));
    assert!(is_over(failed(), 3_860), "a minute is over");
}
