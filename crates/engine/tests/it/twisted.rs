//! A cloud with habits of its own: slow listings, a refused action, an identity that takes its time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use amikeep_cloud::{
    Action, Cloud, CloudError, CommandId, CommandRequest, CommandState, Identity, ImageAttributes, ImageQuery,
    ImageRequest, InstanceQuery, ProbeOutcome, Registration, RemovedSnapshot, ResourceId, SeenAgent, SeenImage,
    SeenSnapshot, SnapshotQuery, SnapshotsRequest,
};
use amikeep_domain::id::{ImageId, InstanceId, SnapshotId};
use amikeep_domain::instance::Instance;
use amikeep_domain::retention::Usage;
use amikeep_ec2_sim::{SimCloud, World};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

/// Like the simulated EC2, except for what is set.
pub(crate) struct Twisted {
    pub(crate) inner: SimCloud,
    /// Describing single instances is refused.
    pub(crate) refuses_instances: bool,
    /// The answer of the identity waits for this.
    pub(crate) identity_after: Option<Arc<Notify>>,
    /// Describing instances takes this long on the world's clock.
    pub(crate) instances_take: SignedDuration,
    /// What somebody does while an image is deregistered.
    pub(crate) while_retiring: Option<Meanwhile>,
    /// Where it panics, once, and whether it has.
    pub(crate) panics_at: Option<(PanicAt, AtomicBool)>,
}

/// Something that happens.
pub(crate) type Meanwhile = Box<dyn Fn(&World) + Send + Sync>;

/// Where a cloud can panic, and so the task that asked it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PanicAt {
    /// Before the intent of a request.
    Ready,
    /// After the intent, before EC2 has the request.
    BeforeRequest,
    /// After EC2 has carried it out.
    AfterRequest,
    /// While instances are listed.
    Listing,
    /// While snapshots are listed for a prune.
    Prune,
}

impl Twisted {
    pub(crate) fn new(inner: SimCloud) -> Self {
        Self {
            inner,
            refuses_instances: false,
            identity_after: None,
            instances_take: SignedDuration::ZERO,
            while_retiring: None,
            panics_at: None,
        }
    }
}

impl Twisted {
    fn pass(&self, here: PanicAt) {
        if let Some((at, done)) = &self.panics_at {
            assert!(*at != here || done.swap(true, Ordering::SeqCst), "a panic by a test, at {here:?}");
        }
    }
}

impl Cloud for Twisted {
    async fn ready(&self, action: Action) -> Result<(), CloudError> {
        self.pass(PanicAt::Ready);
        self.inner.ready(action).await
    }

    async fn observe_identity(&self) -> Result<Identity, CloudError> {
        let answer = self.inner.observe_identity().await;
        if let Some(gate) = &self.identity_after {
            gate.notified().await;
        }
        answer
    }

    async fn observe_instances(&self, query: InstanceQuery) -> Result<Vec<Instance>, CloudError> {
        if self.refuses_instances && matches!(query, InstanceQuery::Ids(_)) {
            return Err(CloudError::from_answer(Action::DescribeInstances, 403, "UnauthorizedOperation", "no"));
        }
        self.pass(PanicAt::Listing);
        let answer = self.inner.observe_instances(query).await;
        self.inner.world().clock().advance(self.instances_take);
        answer
    }

    async fn observe_images(&self, query: ImageQuery) -> Result<Vec<SeenImage>, CloudError> {
        self.inner.observe_images(query).await
    }

    async fn observe_snapshots(&self, query: SnapshotQuery) -> Result<Vec<SeenSnapshot>, CloudError> {
        if matches!(query, SnapshotQuery::Owner(_)) {
            self.pass(PanicAt::Prune);
        }
        self.inner.observe_snapshots(query).await
    }

    async fn request_image(&self, request: ImageRequest) -> Result<ImageId, CloudError> {
        self.pass(PanicAt::BeforeRequest);
        let answer = self.inner.request_image(request).await;
        self.pass(PanicAt::AfterRequest);
        answer
    }

    async fn request_snapshots(&self, request: SnapshotsRequest) -> Result<Vec<SeenSnapshot>, CloudError> {
        self.inner.request_snapshots(request).await
    }

    async fn observe_attributes(&self, instance: InstanceId) -> Result<Option<ImageAttributes>, CloudError> {
        self.inner.observe_attributes(instance).await
    }

    async fn register_image(&self, registration: Registration) -> Result<ImageId, CloudError> {
        self.inner.register_image(registration).await
    }

    async fn observe_agent(&self, instance: InstanceId) -> Result<Option<SeenAgent>, CloudError> {
        self.inner.observe_agent(instance).await
    }

    async fn run_command(&self, request: CommandRequest) -> Result<CommandId, CloudError> {
        self.inner.run_command(request).await
    }

    async fn observe_command(
        &self,
        command: CommandId,
        instance: InstanceId,
    ) -> Result<Option<CommandState>, CloudError> {
        self.inner.observe_command(command, instance).await
    }

    async fn cancel_command(&self, command: CommandId, instance: InstanceId) -> Result<(), CloudError> {
        self.inner.cancel_command(command, instance).await
    }

    async fn request_tags(&self, resources: Vec<ResourceId>, tags: BTreeMap<String, String>) -> Result<(), CloudError> {
        self.inner.request_tags(resources, tags).await
    }

    async fn observe_usage(&self, images: Vec<ImageId>) -> Result<BTreeMap<ImageId, Usage>, CloudError> {
        self.inner.observe_usage(images).await
    }

    fn answered_at(&self) -> Option<Timestamp> {
        self.inner.answered_at()
    }

    async fn remove_tags(&self, resources: Vec<ResourceId>, keys: Vec<String>) -> Result<(), CloudError> {
        self.inner.remove_tags(resources, keys).await
    }

    async fn retire_image(&self, image: ImageId) -> Result<Vec<RemovedSnapshot>, CloudError> {
        let answer = self.inner.retire_image(image).await;
        if let Some(happens) = &self.while_retiring {
            happens(self.inner.world());
        }
        answer
    }

    async fn delete_snapshot(&self, snapshot: SnapshotId) -> Result<(), CloudError> {
        self.inner.delete_snapshot(snapshot).await
    }

    async fn probe(&self, action: Action, instance: Option<InstanceId>) -> Result<ProbeOutcome, CloudError> {
        self.inner.probe(action, instance).await
    }
}
