//! A clock that only moves when everybody waits, tasks that run on it, and an endpoint with EC2's buckets.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use amikeep_domain::id::{ImageId, InstanceId, SnapshotId};
use amikeep_domain::image_attributes::ImageAttributes;
use amikeep_domain::instance::Instance;
use amikeep_domain::retention::Usage;
use jiff::Timestamp;

use crate::capture::{Registration, SnapshotsRequest};
use crate::command::{CommandId, CommandRequest, CommandState, SeenAgent};
use crate::error::CloudError;
use crate::pacer::{Limit, Limits, Timer};
use crate::port::{
    Action, Cloud, Identity, ImageQuery, ImageRequest, ImageState, InstanceQuery, ProbeOutcome, Reboot,
    RemovedSnapshot, ResourceId, SeenImage, SeenSnapshot, SnapshotQuery,
};

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) fn s(s: u64) -> Duration {
    Duration::from_secs(s)
}

#[derive(Default)]
struct Clockwork {
    now: Duration,
    sleepers: BTreeMap<(Duration, u64), Waker>,
    slept: u64,
    /// How often somebody has set it.
    set: u64,
}

/// Moves to the next moment that somebody waits for.
#[derive(Clone, Default)]
pub(super) struct ManualTimer(Arc<Mutex<Clockwork>>);

impl ManualTimer {
    /// Sets the clock, as nobody should. All waits end, since they are for a time and not for what a clock shows.
    pub(super) fn set(&self, now: Duration) {
        let mut clockwork = self.0.lock().unwrap();
        clockwork.now = now;
        clockwork.set += 1;
        std::mem::take(&mut clockwork.sleepers).into_values().for_each(Waker::wake);
    }

    fn advance(&self) {
        let mut clockwork = self.0.lock().unwrap();
        let ((at, _), waker) = clockwork.sleepers.pop_first().expect("somebody waits for a moment");
        clockwork.now = clockwork.now.max(at);
        waker.wake();
    }
}

struct Sleep {
    timer: ManualTimer,
    until: Duration,
    set: u64,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut clockwork = self.timer.0.lock().unwrap();
        if self.until <= clockwork.now || self.set < clockwork.set {
            return Poll::Ready(());
        }
        clockwork.slept += 1;
        let key = (self.until, clockwork.slept);
        clockwork.sleepers.insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl Timer for ManualTimer {
    fn now(&self) -> Duration {
        self.0.lock().unwrap().now
    }

    async fn sleep_until(&self, moment: Duration) {
        let set = self.0.lock().unwrap().set;
        Sleep { timer: self.clone(), until: moment, set }.await;
    }
}

struct Wakeup {
    index: usize,
    ready: Arc<Mutex<VecDeque<usize>>>,
}

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.ready.lock().unwrap().push_back(self.index);
    }
}

/// Futures that run side by side, in the order in which they wake.
#[derive(Default)]
pub(super) struct Tasks<'a> {
    futures: Vec<Option<Pin<Box<dyn Future<Output = ()> + 'a>>>>,
    ready: Arc<Mutex<VecDeque<usize>>>,
    awaited: Vec<usize>,
}

impl<'a> Tasks<'a> {
    /// One that is waited for.
    pub(super) fn spawn(&mut self, future: impl Future<Output = ()> + 'a) -> usize {
        let index = self.spawn_beside(future);
        self.awaited.push(index);
        index
    }

    /// One that is not.
    pub(super) fn spawn_beside(&mut self, future: impl Future<Output = ()> + 'a) -> usize {
        let index = self.futures.len();
        self.futures.push(Some(Box::pin(future)));
        self.ready.lock().unwrap().push_back(index);
        index
    }

    /// Runs until nobody can go on without time passing.
    pub(super) fn settle(&mut self) {
        loop {
            let Some(index) = self.ready.lock().unwrap().pop_front() else { return };
            let waker = Waker::from(Arc::new(Wakeup { index, ready: Arc::clone(&self.ready) }));
            let Some(future) = self.futures[index].as_mut() else { continue };
            if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                self.futures[index] = None;
            }
        }
    }

    pub(super) fn drop_task(&mut self, index: usize) {
        self.futures[index] = None;
    }

    pub(super) fn is_done(&self, index: usize) -> bool {
        self.futures[index].is_none()
    }

    /// Runs until all that are waited for have ended.
    pub(super) fn run(&mut self, timer: &ManualTimer) {
        self.run_until(timer, |tasks| tasks.awaited.iter().all(|index| tasks.is_done(*index)));
    }

    /// Runs until `done`.
    pub(super) fn run_until(&mut self, timer: &ManualTimer, done: impl Fn(&Self) -> bool) {
        self.settle();
        while !done(self) {
            timer.advance();
            self.settle();
        }
    }
}

/// One of EC2's buckets: full at the first call, refilled evenly, and nothing refilled by a clock that was set back.
#[derive(Debug)]
pub(in crate::pacer) struct ServerBucket {
    limit: Limit,
    tokens: f64,
    at: Duration,
    refill: Refill,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Refill {
    Even,
    /// Once a second, for the first time somewhat after the beginning.
    EverySecond,
}

impl Refill {
    fn seconds(self, from: Duration, until: Duration) -> f64 {
        let tick = |at: Duration| (at + ms(370)).as_secs();
        match self {
            Self::Even => until.saturating_sub(from).as_secs_f64(),
            Self::EverySecond => s(tick(until).saturating_sub(tick(from))).as_secs_f64(),
        }
    }
}

impl ServerBucket {
    pub(in crate::pacer) fn new(capacity: f64, refill_per_s: f64) -> Self {
        Self { limit: Limit { capacity, refill_per_s }, tokens: capacity, at: Duration::ZERO, refill: Refill::Even }
    }

    pub(in crate::pacer) fn take(&mut self, now: Duration) -> bool {
        let passed = self.refill.seconds(self.at, now);
        let tokens = (self.tokens + passed * self.limit.refill_per_s).min(self.limit.capacity);
        let granted = 1.0 <= tokens;
        (self.tokens, self.at) = (if granted { tokens - 1.0 } else { tokens }, now);
        granted
    }
}

/// The buckets of one account and region.
#[derive(Clone)]
pub(super) struct Server(Arc<Mutex<BTreeMap<Action, ServerBucket>>>);

impl Server {
    /// With the documented sizes times `scale`.
    pub(super) fn new(scale: f64) -> Self {
        let limits = Limits::documented();
        let buckets = limits
            .iter()
            .map(|(action, limit)| (action, ServerBucket::new(limit.capacity * scale, limit.refill_per_s * scale)));
        Self(Arc::new(Mutex::new(buckets.collect())))
    }

    pub(super) fn refilled(self, refill: Refill) -> Self {
        self.0.lock().unwrap().values_mut().for_each(|bucket| bucket.refill = refill);
        self
    }

    pub(super) fn take(&self, action: Action, now: Duration) -> bool {
        self.0.lock().unwrap().get_mut(&action).is_none_or(|bucket| bucket.take(now))
    }
}

/// What one caller of a server met.
#[derive(Default)]
pub(super) struct Met {
    pub(super) accepted_at: Mutex<Vec<(Action, Duration)>>,
    pub(super) throttled: AtomicU32,
}

impl Met {
    pub(super) fn accepted(&self) -> usize {
        self.accepted_at.lock().unwrap().len()
    }

    pub(super) fn accepted_within(&self, from: Duration, until: Duration) -> usize {
        let accepted_at = self.accepted_at.lock().unwrap();
        accepted_at.iter().filter(|(_, at)| (from..until).contains(at)).count()
    }

    pub(super) fn throttled(&self) -> u32 {
        self.throttled.load(Ordering::SeqCst)
    }
}

/// The port on a server, some milliseconds away from it; calls may overtake each other.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) timer: ManualTimer,
    pub(super) server: Server,
    pub(super) met: Arc<Met>,
    /// How many entries every listing has.
    pub(super) entries: usize,
    /// What Service Quotas tells.
    pub(super) limits: Limits,
    calls: Arc<AtomicU32>,
}

impl Endpoint {
    pub(super) fn new(timer: &ManualTimer, server: &Server) -> Self {
        Self {
            timer: timer.clone(),
            server: server.clone(),
            met: Arc::default(),
            entries: 0,
            limits: Limits::documented(),
            calls: Arc::default(),
        }
    }

    async fn travel(&self) {
        let spread = u64::from(self.calls.fetch_add(1, Ordering::SeqCst) * 37 % 51);
        self.timer.sleep_until(self.timer.now() + ms(10 + spread)).await;
    }

    async fn call(&self, action: Action) -> Result<(), CloudError> {
        self.travel().await;
        let now = self.timer.now();
        let granted = self.server.take(action, now);
        if granted {
            self.met.accepted_at.lock().unwrap().push((action, now));
        } else {
            self.met.throttled.fetch_add(1, Ordering::SeqCst);
        }
        self.travel().await;
        let refusal = || CloudError::from_answer(action, 503, "RequestLimitExceeded", "Request limit exceeded.");
        granted.then_some(()).ok_or_else(refusal)
    }

    async fn pages(&self, action: Action) -> Result<(), CloudError> {
        for _ in 0..self.entries.div_ceil(1_000).max(1) {
            self.call(action).await?;
        }
        Ok(())
    }
}

pub(super) fn image_request() -> ImageRequest {
    ImageRequest {
        name: "amikeep-test".parse().unwrap(),
        instance: "i-0123456789abcdef0".parse().unwrap(),
        reboot: Reboot::No,
        tags: BTreeMap::new(),
        description: String::new(),
    }
}

pub(super) fn image_id() -> ImageId {
    "ami-0123456789abcdef0".parse().unwrap()
}

fn seen_image() -> SeenImage {
    SeenImage {
        id: image_id(),
        name: String::new(),
        state: ImageState::Available,
        created_at: None,
        source_instance: None,
        devices: Vec::new(),
        platform_details: None,
        tags: BTreeMap::new(),
    }
}

pub(super) fn command_id() -> CommandId {
    CommandId::new("0831e1a8-a1ac-4257-a1fd-c831b48fa1c0").unwrap()
}

impl Cloud for Endpoint {
    async fn observe_identity(&self) -> Result<Identity, CloudError> {
        self.call(Action::GetCallerIdentity).await?;
        Ok(Identity { account: "111122223333".parse().unwrap(), arn: "arn:aws:iam::111122223333:user/test".into() })
    }

    async fn observe_instances(&self, _: InstanceQuery) -> Result<Vec<Instance>, CloudError> {
        self.pages(Action::DescribeInstances).await?;
        Ok(Vec::new())
    }

    async fn observe_images(&self, _: ImageQuery) -> Result<Vec<SeenImage>, CloudError> {
        self.pages(Action::DescribeImages).await?;
        Ok(vec![seen_image(); self.entries])
    }

    async fn observe_snapshots(&self, _: SnapshotQuery) -> Result<Vec<SeenSnapshot>, CloudError> {
        self.pages(Action::DescribeSnapshots).await?;
        Ok(Vec::new())
    }

    async fn observe_usage(&self, images: Vec<ImageId>) -> Result<BTreeMap<ImageId, Usage>, CloudError> {
        for _ in images.chunks(10) {
            self.call(Action::DescribeImageReferences).await?;
        }
        Ok(BTreeMap::new())
    }

    async fn observe_limits(&self) -> Result<Limits, CloudError> {
        self.call(Action::ListServiceQuotas).await?;
        Ok(self.limits.clone())
    }

    fn answered_at(&self) -> Option<Timestamp> {
        Some(Timestamp::UNIX_EPOCH)
    }

    async fn request_image(&self, _: ImageRequest) -> Result<ImageId, CloudError> {
        self.call(Action::CreateImage).await?;
        Ok(image_id())
    }

    async fn request_snapshots(&self, _: SnapshotsRequest) -> Result<Vec<SeenSnapshot>, CloudError> {
        self.call(Action::CreateSnapshots).await?;
        Ok(Vec::new())
    }

    async fn observe_attributes(&self, _: InstanceId) -> Result<Option<ImageAttributes>, CloudError> {
        self.call(Action::DescribeInstances).await?;
        Ok(None)
    }

    async fn register_image(&self, _: Registration) -> Result<ImageId, CloudError> {
        self.call(Action::RegisterImage).await?;
        Ok(image_id())
    }

    async fn observe_agent(&self, _: InstanceId) -> Result<Option<SeenAgent>, CloudError> {
        self.call(Action::DescribeInstanceInformation).await?;
        Ok(None)
    }

    async fn run_command(&self, _: CommandRequest) -> Result<CommandId, CloudError> {
        self.call(Action::SendCommand).await?;
        Ok(command_id())
    }

    async fn observe_command(&self, _: CommandId, _: InstanceId) -> Result<Option<CommandState>, CloudError> {
        self.call(Action::GetCommandInvocation).await?;
        Ok(None)
    }

    async fn cancel_command(&self, _: CommandId, _: InstanceId) -> Result<(), CloudError> {
        self.call(Action::CancelCommand).await
    }

    async fn request_tags(&self, _: Vec<ResourceId>, _: BTreeMap<String, String>) -> Result<(), CloudError> {
        self.call(Action::CreateTags).await
    }

    async fn remove_tags(&self, _: Vec<ResourceId>, _: Vec<String>) -> Result<(), CloudError> {
        self.call(Action::DeleteTags).await
    }

    async fn retire_image(&self, _: ImageId) -> Result<Vec<RemovedSnapshot>, CloudError> {
        self.call(Action::DeregisterImage).await?;
        Ok(Vec::new())
    }

    async fn delete_snapshot(&self, _: SnapshotId) -> Result<(), CloudError> {
        self.call(Action::DeleteSnapshot).await
    }

    async fn probe(&self, action: Action, _: Option<InstanceId>) -> Result<ProbeOutcome, CloudError> {
        self.call(action).await?;
        Ok(ProbeOutcome::Allowed)
    }
}

/// The jobs of a wave: when each may be tried.
pub(super) struct Queue(RefCell<VecDeque<Duration>>);

impl Queue {
    pub(super) fn new(jobs: usize) -> Self {
        Self(RefCell::new(vec![Duration::ZERO; jobs].into()))
    }

    /// What the engine does with one of its places: takes the next job that is ready, asks for its image, and defers a
    /// job that was refused for some seconds.
    pub(super) async fn work<C: Cloud>(&self, timer: &ManualTimer, cloud: &C, refused: &AtomicU32) {
        loop {
            let next = self.0.borrow_mut().pop_front();
            let Some(ready_at) = next else { return };
            timer.sleep_until(ready_at).await;
            if let Err(error) = cloud.request_image(image_request()).await {
                if error.code == "paced" {
                    refused.fetch_add(1, Ordering::SeqCst);
                }
                self.0.borrow_mut().push_back(timer.now() + s(5));
            }
        }
    }
}
