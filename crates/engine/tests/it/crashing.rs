//! A cloud that lets the process die around its calls.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use amikeep_cloud::{
    Action, Cloud, CloudError, Identity, ImageQuery, ImageRequest, InstanceQuery, ProbeOutcome, RemovedSnapshot,
    ResourceId, SeenImage, SeenSnapshot, SnapshotQuery,
};
use amikeep_domain::id::{ImageId, InstanceId, SnapshotId};
use amikeep_domain::instance::Instance;
use amikeep_domain::retention::Usage;
use amikeep_ec2_sim::SimCloud;
use jiff::Timestamp;
use tokio::sync::Notify;

/// On which side of a call the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Before anything reaches EC2.
    Before,
    /// After EC2 has done it, before the answer is seen.
    After,
}

/// Calls from the `nth` on never return: to the engine that is a process that was killed there.
pub(crate) struct CrashingCloud {
    inner: SimCloud,
    nth: u32,
    side: Side,
    calls: AtomicU32,
    died: Arc<Notify>,
}

impl CrashingCloud {
    pub(crate) fn new(inner: SimCloud, nth: u32, side: Side) -> Self {
        Self { inner, nth, side, calls: AtomicU32::new(0), died: Arc::default() }
    }

    /// Is notified when a call will never return.
    pub(crate) fn died(&self) -> Arc<Notify> {
        Arc::clone(&self.died)
    }

    async fn die<T>(&self) -> T {
        self.died.notify_one();
        pending().await
    }

    async fn around<T>(&self, call: impl Future<Output = T>) -> T {
        let count = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if self.nth < count || (self.nth == count && self.side == Side::Before) {
            return self.die().await;
        }
        let answer = call.await;
        if self.nth == count {
            return self.die().await;
        }
        answer
    }
}

impl Cloud for CrashingCloud {
    async fn observe_identity(&self) -> Result<Identity, CloudError> {
        self.around(self.inner.observe_identity()).await
    }

    async fn observe_instances(&self, query: InstanceQuery) -> Result<Vec<Instance>, CloudError> {
        self.around(self.inner.observe_instances(query)).await
    }

    async fn observe_images(&self, query: ImageQuery) -> Result<Vec<SeenImage>, CloudError> {
        self.around(self.inner.observe_images(query)).await
    }

    async fn observe_snapshots(&self, query: SnapshotQuery) -> Result<Vec<SeenSnapshot>, CloudError> {
        self.around(self.inner.observe_snapshots(query)).await
    }

    async fn request_image(&self, request: ImageRequest) -> Result<ImageId, CloudError> {
        self.around(self.inner.request_image(request)).await
    }

    async fn request_tags(&self, resources: Vec<ResourceId>, tags: BTreeMap<String, String>) -> Result<(), CloudError> {
        self.around(self.inner.request_tags(resources, tags)).await
    }

    async fn observe_usage(&self, images: Vec<ImageId>) -> Result<BTreeMap<ImageId, Usage>, CloudError> {
        self.around(self.inner.observe_usage(images)).await
    }

    fn answered_at(&self) -> Option<Timestamp> {
        self.inner.answered_at()
    }

    async fn remove_tags(&self, resources: Vec<ResourceId>, keys: Vec<String>) -> Result<(), CloudError> {
        self.around(self.inner.remove_tags(resources, keys)).await
    }

    async fn retire_image(&self, image: ImageId) -> Result<Vec<RemovedSnapshot>, CloudError> {
        self.around(self.inner.retire_image(image)).await
    }

    async fn delete_snapshot(&self, snapshot: SnapshotId) -> Result<(), CloudError> {
        self.around(self.inner.delete_snapshot(snapshot)).await
    }

    async fn probe(&self, action: Action, instance: Option<InstanceId>) -> Result<ProbeOutcome, CloudError> {
        self.around(self.inner.probe(action, instance)).await
    }
}
