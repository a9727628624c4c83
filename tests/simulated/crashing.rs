//! Lets the process die around any of its effects: calls of EC2 and commits of the ledger, counted together.

use std::collections::BTreeMap;
use std::fmt;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use amikeep_cloud::{
    Action, Cloud, CloudError, CommandId, CommandRequest, CommandState, Identity, ImageAttributes, ImageQuery,
    ImageRequest, InstanceQuery, ProbeOutcome, Registration, RemovedSnapshot, ResourceId, SeenAgent, SeenImage,
    SeenSnapshot, SnapshotQuery, SnapshotsRequest,
};
use amikeep_domain::id::{ImageId, InstanceId, SnapshotId};
use amikeep_domain::instance::Instance;
use amikeep_domain::retention::Usage;
use amikeep_ledger::WriteGate;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

/// On which side of an effect the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Before anything reaches EC2 or the ledger.
    Before,
    /// After it is done, before its answer is seen.
    After,
}

/// When the process dies. Effects from the `nth` on never return: to the engine that is a process that was killed there.
pub(crate) struct Fate {
    nth: u32,
    side: Side,
    effects: AtomicU32,
    died: Notify,
    /// It dies around the first effect at which this is true, too.
    moment: Option<Box<dyn Fn() -> bool + Send + Sync>>,
    /// Its last effect has begun.
    is_doomed: AtomicBool,
}

impl fmt::Debug for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fate").field("nth", &self.nth).field("side", &self.side).finish_non_exhaustive()
    }
}

impl Fate {
    /// It dies around its `nth` effect, counted from 1.
    pub(crate) fn dies_at(nth: u32, side: Side) -> Arc<Self> {
        Arc::new(Self {
            nth,
            side,
            effects: AtomicU32::new(0),
            died: Notify::new(),
            moment: None,
            is_doomed: AtomicBool::new(false),
        })
    }

    /// It dies around the first effect at which `moment` is true.
    pub(crate) fn dies_when(moment: impl Fn() -> bool + Send + Sync + 'static, side: Side) -> Arc<Self> {
        let (effects, died, is_doomed) = (AtomicU32::new(0), Notify::new(), AtomicBool::new(false));
        Arc::new(Self { nth: u32::MAX, side, effects, died, moment: Some(Box::new(moment)), is_doomed })
    }

    /// It lives.
    pub(crate) fn lives() -> Arc<Self> {
        Self::dies_at(u32::MAX, Side::After)
    }

    /// Ends when an effect will never return.
    pub(crate) async fn died(&self) {
        self.died.notified().await;
    }

    /// Counts an effect; returns if it takes place, and says whether it is the last one.
    async fn begin(&self) -> bool {
        let count = self.effects.fetch_add(1, Ordering::SeqCst) + 1;
        let is_doomed = self.is_doomed.load(Ordering::SeqCst);
        let is_moment = !is_doomed && self.moment.as_ref().is_some_and(|is_moment| is_moment());
        let is_last = self.nth == count || is_moment;
        if is_doomed || self.nth < count || (is_last && self.side == Side::Before) {
            self.die().await;
        }
        self.is_doomed.fetch_or(is_last, Ordering::SeqCst);
        is_last
    }

    async fn die(&self) -> ! {
        self.is_doomed.store(true, Ordering::SeqCst);
        self.died.notify_one();
        pending::<std::convert::Infallible>().await;
        unreachable!("it is never ready")
    }
}

/// What is committed is on the disk whether anybody learns of it or not, so dying after a commit is dying before whatever
/// comes next.
impl WriteGate for Fate {
    fn pass(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            self.begin().await;
        })
    }
}

/// A cloud on which the process dies by its fate.
pub(crate) struct CrashingCloud<C> {
    inner: Arc<C>,
    fate: Arc<Fate>,
    /// What was sent is carried out whoever waits for it, and before anything that happens later.
    sent: TaskTracker,
}

impl<C> fmt::Debug for CrashingCloud<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrashingCloud").field("fate", &self.fate).finish_non_exhaustive()
    }
}

impl<C: Cloud> CrashingCloud<C> {
    pub(crate) fn new(inner: Arc<C>, fate: Arc<Fate>, sent: TaskTracker) -> Self {
        Self { inner, fate, sent }
    }

    async fn around<T, F>(&self, call: impl FnOnce(Arc<C>) -> F + Send) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let is_last = self.fate.begin().await;
        let answer = self.sent.spawn(call(Arc::clone(&self.inner))).await.unwrap();
        if is_last {
            self.fate.die().await;
        }
        answer
    }
}

impl<C: Cloud> Cloud for CrashingCloud<C> {
    async fn observe_identity(&self) -> Result<Identity, CloudError> {
        self.around(|cloud| async move { cloud.observe_identity().await }).await
    }

    async fn observe_instances(&self, query: InstanceQuery) -> Result<Vec<Instance>, CloudError> {
        self.around(|cloud| async move { cloud.observe_instances(query).await }).await
    }

    async fn observe_images(&self, query: ImageQuery) -> Result<Vec<SeenImage>, CloudError> {
        self.around(|cloud| async move { cloud.observe_images(query).await }).await
    }

    async fn observe_snapshots(&self, query: SnapshotQuery) -> Result<Vec<SeenSnapshot>, CloudError> {
        self.around(|cloud| async move { cloud.observe_snapshots(query).await }).await
    }

    async fn observe_usage(&self, images: Vec<ImageId>) -> Result<BTreeMap<ImageId, Usage>, CloudError> {
        self.around(|cloud| async move { cloud.observe_usage(images).await }).await
    }

    fn answered_at(&self) -> Option<Timestamp> {
        self.inner.answered_at()
    }

    async fn ready(&self, action: Action) -> Result<(), CloudError> {
        self.inner.ready(action).await
    }

    async fn request_image(&self, request: ImageRequest) -> Result<ImageId, CloudError> {
        self.around(|cloud| async move { cloud.request_image(request).await }).await
    }

    async fn request_snapshots(&self, request: SnapshotsRequest) -> Result<Vec<SeenSnapshot>, CloudError> {
        self.around(|cloud| async move { cloud.request_snapshots(request).await }).await
    }

    async fn observe_attributes(&self, instance: InstanceId) -> Result<Option<ImageAttributes>, CloudError> {
        self.around(|cloud| async move { cloud.observe_attributes(instance).await }).await
    }

    async fn register_image(&self, registration: Registration) -> Result<ImageId, CloudError> {
        self.around(|cloud| async move { cloud.register_image(registration).await }).await
    }

    async fn observe_agent(&self, instance: InstanceId) -> Result<Option<SeenAgent>, CloudError> {
        self.around(|cloud| async move { cloud.observe_agent(instance).await }).await
    }

    async fn run_command(&self, request: CommandRequest) -> Result<CommandId, CloudError> {
        self.around(|cloud| async move { cloud.run_command(request).await }).await
    }

    async fn observe_command(
        &self,
        command: CommandId,
        instance: InstanceId,
    ) -> Result<Option<CommandState>, CloudError> {
        self.around(|cloud| async move { cloud.observe_command(command, instance).await }).await
    }

    async fn cancel_command(&self, command: CommandId, instance: InstanceId) -> Result<(), CloudError> {
        self.around(|cloud| async move { cloud.cancel_command(command, instance).await }).await
    }

    async fn request_tags(&self, resources: Vec<ResourceId>, tags: BTreeMap<String, String>) -> Result<(), CloudError> {
        self.around(|cloud| async move { cloud.request_tags(resources, tags).await }).await
    }

    async fn remove_tags(&self, resources: Vec<ResourceId>, keys: Vec<String>) -> Result<(), CloudError> {
        self.around(|cloud| async move { cloud.remove_tags(resources, keys).await }).await
    }

    async fn retire_image(&self, image: ImageId) -> Result<Vec<RemovedSnapshot>, CloudError> {
        self.around(|cloud| async move { cloud.retire_image(image).await }).await
    }

    async fn delete_snapshot(&self, snapshot: SnapshotId) -> Result<(), CloudError> {
        self.around(|cloud| async move { cloud.delete_snapshot(snapshot).await }).await
    }

    async fn probe(&self, action: Action, instance: Option<InstanceId>) -> Result<ProbeOutcome, CloudError> {
        self.around(|cloud| async move { cloud.probe(action, instance).await }).await
    }
}
