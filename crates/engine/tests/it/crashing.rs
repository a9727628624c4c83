//! A cloud that lets the process die around its calls.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::atomic::{AtomicU32, Ordering};

use amikeep_cloud::{
    Action, Cloud, CloudError, Identity, ImageQuery, ImageRequest, InstanceQuery, ProbeOutcome, ResourceId, SeenImage,
    SeenSnapshot,
};
use amikeep_domain::id::{ImageId, InstanceId, SnapshotId};
use amikeep_domain::instance::Instance;
use amikeep_ec2_sim::SimCloud;

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
}

impl CrashingCloud {
    pub(crate) fn new(inner: SimCloud, nth: u32, side: Side) -> Self {
        Self { inner, nth, side, calls: AtomicU32::new(0) }
    }

    async fn around<T>(&self, call: impl Future<Output = T>) -> T {
        let count = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if self.nth < count || (self.nth == count && self.side == Side::Before) {
            return pending().await;
        }
        let answer = call.await;
        if self.nth == count {
            return pending().await;
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

    async fn observe_snapshots(&self, ids: Vec<SnapshotId>) -> Result<Vec<SeenSnapshot>, CloudError> {
        self.around(self.inner.observe_snapshots(ids)).await
    }

    async fn request_image(&self, request: ImageRequest) -> Result<ImageId, CloudError> {
        self.around(self.inner.request_image(request)).await
    }

    async fn request_tags(&self, resources: Vec<ResourceId>, tags: BTreeMap<String, String>) -> Result<(), CloudError> {
        self.around(self.inner.request_tags(resources, tags)).await
    }

    async fn probe(&self, action: Action, instance: Option<InstanceId>) -> Result<ProbeOutcome, CloudError> {
        self.around(self.inner.probe(action, instance)).await
    }
}
