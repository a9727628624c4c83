//! What every test here lives in: a world, a ledger, policies, a clock, and the driver that moves time to the engine's
//! next wake.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use amikeep_cloud::Cloud;
use amikeep_domain::class::built_in;
use amikeep_domain::id::{AccountName, ImageId, InstanceId, RequestId};
use amikeep_domain::job::Job;
use amikeep_domain::pattern::Pattern;
use amikeep_domain::plan::Scope;
use amikeep_domain::policy::{AccountRules, Enabled, Policy, PolicySet, Selector, TagMatch};
use amikeep_domain::schedule::Schedule;
use amikeep_ec2_sim::{
    CreateImage, Delivery, ImageDuration, InstanceSpec, Invocation, NewTag, Place, Reboot, Request as Ec2Request,
    RequestLimits, SimClock, SimCloud, TagSpecification, World, WorldBuilder, default_identity,
};
use amikeep_engine::{Clock, Engine, Host, NoHost, Options, SeededRandom};
use amikeep_ledger::{EngineLock, HistoryFilter, Holder, ImageRow, Ledger, Request, RequestKind, RequestStatus};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;

use crate::simulated::crashing::{CrashingCloud, Fate};

pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const REGION: &str = "eu-central-1";
/// How long the answers of any world here may lag.
pub(crate) const VISIBILITY_LAG: SignedDuration = SignedDuration::from_mins(5);

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn instance_id(n: u32) -> InstanceId {
    format!("i-{n:017x}").parse().unwrap()
}

/// A running instance with two volumes that the policy `nightly` covers.
pub(crate) fn spec(n: u32) -> InstanceSpec {
    InstanceSpec::new(instance_id(n).to_string()).tag("Env", "prod").volume("/dev/xvda", 8).volume("/dev/sdf", 100)
}

/// A world at 01:00 on 22 November 2026 whose images take five minutes.
pub(crate) fn world() -> WorldBuilder {
    World::builder()
        .clock(SimClock::manual(at("2026-11-22T01:00:00Z")))
        .seed(7)
        .image_duration(ImageDuration::Fixed(SignedDuration::from_mins(5)))
        .request_limits(RequestLimits::Off)
        .account(ACCOUNT)
        .region(REGION)
}

/// Fires at 02:00 UTC and covers `Env = prod`.
pub(crate) fn policy(name: &str, class: &str) -> Policy {
    Policy {
        name: name.parse().unwrap(),
        accounts: vec![account()],
        class: class.parse().unwrap(),
        schedule: Schedule::parse("0 2 * * *", "UTC").unwrap(),
        jitter: SignedDuration::ZERO,
        start_within: SignedDuration::from_hours(6),
        enabled: Enabled::Yes,
        select: Selector {
            tags: vec![TagMatch { key: "Env".to_owned(), values: vec![Pattern::new("prod")] }],
            ..Selector::default()
        },
        class_tag_allows: ["stateless".parse().unwrap()].into(),
        copy_tags: Vec::new(),
        keep: "last=-1".parse().unwrap(),
        tags: BTreeMap::new(),
        deadline: SignedDuration::from_hours(24),
        max_deletes: None,
    }
}

pub(crate) fn account() -> AccountName {
    "default".parse().unwrap()
}

/// How far the host's clock is ahead of the world's. It can be set while an engine lives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ahead(Arc<AtomicI64>);

impl Ahead {
    pub(crate) fn set(&self, ahead: SignedDuration) {
        self.0.store(i64::try_from(ahead.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn get(&self) -> SignedDuration {
        SignedDuration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// The host's clock.
struct WorldClock(SimClock, Ahead);

impl Clock for WorldClock {
    fn now(&self) -> Timestamp {
        self.0.now() + self.1.get()
    }
}

pub(crate) struct House {
    pub(crate) world: World,
    pub(crate) policy_set: PolicySet,
    /// How far the host's clock is ahead.
    pub(crate) clock_ahead: Ahead,
    path: PathBuf,
    lock: Option<EngineLock>,
    /// The ledger that was opened last.
    open: Option<Ledger>,
    /// Reads beside whoever writes.
    reader: OnceCell<Ledger>,
    /// What was sent to EC2 and not yet answered.
    pub(crate) sent: TaskTracker,
    random: Arc<SeededRandom>,
    /// The machine that instances are held still from.
    pub(crate) host: Arc<dyn Host>,
    _dir: TempDir,
}

impl House {
    pub(crate) fn new(world: WorldBuilder, policies: Vec<Policy>) -> Self {
        let dir = TempDir::new().unwrap();
        let visibility_lag = VISIBILITY_LAG;
        let rules = AccountRules { region: REGION.parse().unwrap(), expected_id: None, visibility_lag };
        let policy_set = PolicySet {
            owner: "test".parse().unwrap(),
            policies: policies.into_iter().map(|policy| (policy.name.clone(), policy)).collect(),
            classes: built_in(),
            freezes: BTreeMap::new(),
            accounts: BTreeMap::from([(account(), rules)]),
            prune_schedule: Schedule::parse("30 * * * *", "UTC").unwrap(),
            history_keep: SignedDuration::from_hours(400 * 24),
        };
        let path = dir.path().join("amikeep.db");
        let random = Arc::new(SeededRandom::new(1));
        Self {
            world: world.build().unwrap(),
            policy_set,
            clock_ahead: Ahead::default(),
            path,
            lock: None,
            open: None,
            reader: OnceCell::new(),
            sent: TaskTracker::new(),
            random,
            host: Arc::new(NoHost),
            _dir: dir,
        }
    }

    pub(crate) fn cloud(&self) -> SimCloud {
        let place = Place { account: ACCOUNT.parse().unwrap(), region: REGION.parse().unwrap() };
        SimCloud::new(self.world.clone(), place)
    }

    /// What the engine takes for the time.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(WorldClock(self.world.clock().clone(), self.clock_ahead.clone()))
    }

    /// The ledger, for reading.
    pub(crate) async fn reader(&self) -> Ledger {
        let open = || async { Ledger::open_read_only(&self.path).await.unwrap() };
        self.reader.get_or_init(open).await.clone()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.world.clock().now()
    }

    /// Opens the ledger as an engine does; the lock is held until the next call.
    pub(crate) async fn ledger(&mut self) -> Ledger {
        // A process that is killed writes nothing more; an engine that is dropped here may be in the middle of a commit.
        self.sent.close();
        self.sent.wait().await;
        if let Some(ledger) = self.open.take() {
            ledger.close().await;
        }
        self.lock = None;
        let holder = Holder { pid: std::process::id(), command: "test".to_owned(), started_at: self.now() };
        let lock = EngineLock::acquire(&self.path, &holder).unwrap();
        let ledger = Ledger::open_for_engine(&self.path, &lock).await.unwrap();
        self.lock = Some(lock);
        self.open = Some(ledger.clone());
        ledger
    }

    pub(crate) async fn engine(&mut self) -> Engine<SimCloud> {
        let cloud = self.cloud();
        self.engine_over(cloud).await
    }

    pub(crate) async fn engine_over<C: Cloud>(&mut self, cloud: C) -> Engine<C> {
        let clouds = BTreeMap::from([(account(), Arc::new(cloud))]);
        self.engine_with(clouds, Options::new(64, Scope::Everything)).await
    }

    /// An engine that dies by its fate.
    pub(crate) async fn doomed_engine<C: Cloud>(
        &mut self,
        cloud: &Arc<C>,
        fate: &Arc<Fate>,
    ) -> Engine<CrashingCloud<C>> {
        let cloud = CrashingCloud::new(Arc::clone(cloud), Arc::clone(fate), self.sent.clone());
        let ledger = self.ledger().await.behind(Arc::<Fate>::clone(fate));
        let clouds = BTreeMap::from([(account(), Arc::new(cloud))]);
        self.begin(ledger, clouds, Options::new(64, Scope::Everything)).await
    }

    pub(crate) async fn engine_with<C: Cloud>(
        &mut self,
        clouds: BTreeMap<AccountName, Arc<C>>,
        options: Options,
    ) -> Engine<C> {
        let ledger = self.ledger().await;
        self.begin(ledger, clouds, options).await
    }

    async fn begin<C: Cloud>(
        &self,
        ledger: Ledger,
        clouds: BTreeMap<AccountName, Arc<C>>,
        options: Options,
    ) -> Engine<C> {
        let clock = self.clock();
        let random = Arc::clone(&self.random);
        let policy_set = Arc::new(self.policy_set.clone());
        let options = Options { host: Arc::clone(&self.host), ..options };
        Engine::start(ledger, policy_set, clouds, clock, random, options).await.unwrap()
    }

    /// Lets the engine work until `until`, moving the clock to each of its wakes.
    pub(crate) async fn run_until<C: Cloud>(&self, engine: &mut Engine<C>, until: &str) {
        let until = at(until);
        loop {
            let settled = engine.settle().await.unwrap();
            let wake_at = settled.wake_at.unwrap_or(until);
            assert!(self.now() < wake_at, "a settled engine wants to be woken in the past: {wake_at}");
            self.world.clock().set(wake_at.min(until));
            if until <= wake_at {
                engine.settle().await.unwrap();
                return;
            }
        }
    }

    /// Starts an engine, lets it work until `until`, and ends it.
    pub(crate) async fn live_until(&mut self, until: &str) {
        let mut engine = self.engine().await;
        self.run_until(&mut engine, until).await;
    }

    /// Asks for a backup of an instance by the policy `nightly`, as `amikeep backup` does.
    pub(crate) async fn request(&mut self, n: u8) -> RequestId {
        let kind = RequestKind::Backup {
            instance: instance_id(u32::from(n)),
            policy: "nightly".parse().unwrap(),
            account: None,
            consistency: None,
        };
        let request = Request { id: RequestId::new(self.now(), [n; 10]), kind, requested_at: self.now() };
        self.ledger().await.record_request(&request).await.unwrap();
        request.id
    }

    /// Every job, oldest first.
    pub(crate) async fn jobs(&self) -> Vec<Job> {
        self.jobs_since(None).await
    }

    /// Every job of a fire at `since` or later, oldest first.
    pub(crate) async fn jobs_since(&self, since: Option<Timestamp>) -> Vec<Job> {
        let ledger = self.reader().await;
        let filter = HistoryFilter { since, ..HistoryFilter::default() };
        let (mut jobs, mut cursor) = (Vec::new(), None);
        loop {
            let page = ledger.history(&filter, 1_000, cursor.as_ref()).await.unwrap();
            jobs.extend(page.rows);
            cursor = page.next;
            if cursor.is_none() {
                jobs.reverse();
                return jobs;
            }
        }
    }

    /// Every image that the ledger knows.
    pub(crate) async fn images(&self) -> Vec<ImageRow> {
        self.reader().await.images(None, None).await.unwrap()
    }

    /// Those of them that are not deleted.
    pub(crate) async fn images_left(&self) -> Vec<ImageRow> {
        let (account, region) = (ACCOUNT.parse().unwrap(), REGION.parse().unwrap());
        self.reader().await.images_to_prune(&account, &region).await.unwrap()
    }

    /// Records what an operator asks for.
    pub(crate) async fn ask(&mut self, n: u8, kind: RequestKind) -> RequestId {
        let request = Request { id: RequestId::new(self.now(), [n; 10]), kind, requested_at: self.now() };
        let ledger = Ledger::open_for_requests(&self.path).await.unwrap();
        ledger.record_request(&request).await.unwrap();
        ledger.close().await;
        request.id
    }

    /// What became of a request.
    pub(crate) async fn status(&self, request: RequestId) -> RequestStatus {
        self.reader().await.request(request).await.unwrap().unwrap()
    }

    /// Somebody calls EC2, and is answered.
    pub(crate) fn call(&self, request: Ec2Request) {
        let delivery = self.try_call(request);
        assert!(matches!(delivery, Delivery::Answer(_)), "{delivery:?}");
    }

    fn try_call(&self, request: Ec2Request) -> Delivery {
        let account = ACCOUNT.parse().unwrap();
        let invocation =
            Invocation { caller: default_identity(&account), region: REGION.parse().unwrap(), request, dry_run: false };
        self.world.call(&invocation)
    }

    /// Somebody else asks for an image of an instance. EC2 may refuse it while others of its volumes are begun.
    pub(crate) fn take_image(&self, n: u32, name: &str, tags: &[(&str, &str)]) {
        let tag = |(key, value): &(&str, &str)| NewTag { key: (*key).to_owned(), value: (*value).to_owned() };
        let specification =
            TagSpecification { resource_type: "image".to_owned(), tags: tags.iter().map(tag).collect() };
        self.try_call(Ec2Request::CreateImage(CreateImage {
            instance_id: instance_id(n).to_string(),
            name: name.to_owned(),
            description: None,
            reboot: Reboot::No,
            mappings: Vec::new(),
            tag_specifications: vec![specification],
        }));
    }

    /// Somebody terminates an instance.
    pub(crate) fn terminate(&self, n: u32) {
        self.call(Ec2Request::TerminateInstances { ids: vec![instance_id(n).to_string()] });
    }

    /// Somebody starts an instance.
    pub(crate) fn start(&self, n: u32) {
        self.call(Ec2Request::StartInstances { ids: vec![instance_id(n).to_string()] });
    }

    /// Somebody deregisters an image.
    pub(crate) fn deregister(&self, image: &ImageId) {
        self.call(Ec2Request::DeregisterImage { image_id: image.to_string(), delete_snapshots: false });
    }

    /// `instance state: mode grade`, or the error, one line per job, sorted.
    pub(crate) async fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.jobs().await.iter().map(line).collect();
        lines.sort();
        lines
    }
}

fn line(job: &Job) -> String {
    use amikeep_domain::job::JobState;
    let instance = job.key.instance.as_str().trim_start_matches("i-").trim_start_matches('0');
    let mode = job.intent.as_ref().map_or("undecided", |intent| intent.mode.as_str());
    let rest = match &job.state {
        JobState::Succeeded { image, .. } => format!("{mode} {}", image.grade),
        JobState::Failed { error, .. } => error.code.clone(),
        JobState::Skipped { reason, .. } => reason.as_str().to_owned(),
        JobState::Queued { waiting_for, .. } => waiting_for.clone().unwrap_or_default(),
        _ => mode.to_owned(),
    };
    format!("{instance} {}: {rest}", job.state.name())
}
