//! The port behind a pacer: every verb takes its turn, is passed on as it is, and its answer is learned from.
//!
//! It must never change a request or an answer.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use amikeep_domain::id::{AccountId, ImageId, InstanceId, SnapshotId};
use amikeep_domain::image_attributes::ImageAttributes;
use amikeep_domain::instance::Instance;
use amikeep_domain::retention::Usage;
use jiff::Timestamp;

use crate::capture::{Registration, SnapshotsRequest};
use crate::command::{CommandId, CommandRequest, CommandState, SeenAgent};
use crate::error::CloudError;
use crate::pacer::{Limits, Pacer, Taken, Timer};
use crate::port::{
    Action, Cloud, Identity, ImageQuery, ImageRequest, InstanceQuery, ProbeOutcome, RemovedSnapshot, ResourceId,
    SeenImage, SeenSnapshot, SnapshotQuery,
};

/// The most entries that EC2 puts on a page, which is what adapters ask for.
const ENTRIES_PER_PAGE: usize = 1_000;
/// The most images in one `DescribeImageReferences`.
const IMAGES_PER_REFERENCE_QUERY: usize = 10;

/// A [`Cloud`] whose calls wait for room in the account's request limits.
///
/// A call whose turn is more than [`WAIT_MAX`](crate::WAIT_MAX) away is refused with
/// [`CloudErrorKind::Throttled`](crate::CloudErrorKind::Throttled) and the code `paced`: nothing was sent.
pub struct Paced<C, T> {
    cloud: C,
    pacer: Mutex<Arc<Pacer<T>>>,
    /// Where the pacer of an account is to be had, once it is known whose account this is.
    shared: Option<Shared<T>>,
    /// Turns that were taken by [`Cloud::ready`], and for which no call was made yet. A turn whose call is never made stays
    /// for the next call of its action: it is spent already, so nothing is lost but its wait.
    taken: Mutex<BTreeMap<Action, VecDeque<Taken>>>,
}

/// Finds the pacer of an account.
pub(crate) type Shared<T> = Box<dyn Fn(&AccountId) -> Arc<Pacer<T>> + Send + Sync>;

impl<C: fmt::Debug, T> fmt::Debug for Paced<C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paced").field("cloud", &self.cloud).finish_non_exhaustive()
    }
}

impl<C: Cloud, T: Timer> Paced<C, T> {
    /// Puts `pacer` before `cloud`. The pacer must be the one of the account and region that `cloud` calls.
    pub fn new(cloud: C, pacer: Arc<Pacer<T>>) -> Self {
        Self { cloud, pacer: Mutex::new(pacer), shared: None, taken: Mutex::default() }
    }

    /// From the first answer of STS on, the pacer is the one that `shared` has for its account.
    pub(crate) fn with_shared(self, shared: Shared<T>) -> Self {
        Self { shared: Some(shared), ..self }
    }

    pub(super) fn pacer(&self) -> Arc<Pacer<T>> {
        Arc::clone(&self.pacer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Goes over to the pacer of the account that the credentials belong to. Turns that were taken elsewhere count no
    /// more.
    fn join(&self, account: &AccountId) {
        let Some(shared) = &self.shared else { return };
        let theirs = shared(account);
        let ours = &mut *self.pacer.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(ours, &theirs) {
            let taken = std::mem::take(&mut *self.taken.lock().unwrap_or_else(PoisonError::into_inner));
            for (action, turns) in taken {
                for turn in turns {
                    ours.give_up(action, turn);
                }
            }
            *ours = theirs;
        }
    }

    /// What is behind the pacer.
    pub fn inner(&self) -> &C {
        &self.cloud
    }

    /// One verb of `calls` calls. A future that is dropped while it waits gives its turn back; one that is dropped later
    /// has spent it, since the request may be on its way.
    async fn ask<V, F>(&self, action: Action, calls: u32, verb: impl FnOnce() -> F + Send) -> Result<V, CloudError>
    where
        F: Future<Output = Result<V, CloudError>> + Send,
    {
        let pacer = self.pacer();
        let taken = if calls == 1 { self.use_taken(action) } else { None };
        let turn = match taken {
            Some(taken) => taken,
            None => pacer.turn(action, calls).await?,
        };
        pacer.sent(action, turn);
        let answer = verb().await;
        pacer.learn(action, turn, &answer);
        answer
    }

    /// The oldest turn that no call has used yet.
    pub(super) fn use_taken(&self, action: Action) -> Option<Taken> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.get_mut(&action)?.pop_front()
    }

    /// One listing, of as many calls as its entries fill pages.
    async fn list<V, F>(&self, action: Action, verb: impl FnOnce() -> F + Send) -> Result<Vec<V>, CloudError>
    where
        V: Send,
        F: Future<Output = Result<Vec<V>, CloudError>> + Send,
    {
        let entries = self.ask(action, 1, verb).await?;
        self.pacer().charge(action, calls_for(entries.len(), ENTRIES_PER_PAGE) - 1);
        Ok(entries)
    }
}

/// How many calls it takes: one at least.
fn calls_for(entries: usize, per_call: usize) -> u32 {
    u32::try_from(entries.div_ceil(per_call)).unwrap_or(u32::MAX).max(1)
}

impl<C: Cloud, T: Timer> Cloud for Paced<C, T> {
    async fn observe_identity(&self) -> Result<Identity, CloudError> {
        let identity = self.ask(Action::GetCallerIdentity, 1, || self.cloud.observe_identity()).await?;
        self.join(&identity.account);
        Ok(identity)
    }

    async fn observe_instances(&self, query: InstanceQuery) -> Result<Vec<Instance>, CloudError> {
        self.list(Action::DescribeInstances, || self.cloud.observe_instances(query)).await
    }

    async fn observe_images(&self, query: ImageQuery) -> Result<Vec<SeenImage>, CloudError> {
        self.list(Action::DescribeImages, || self.cloud.observe_images(query)).await
    }

    async fn observe_snapshots(&self, query: SnapshotQuery) -> Result<Vec<SeenSnapshot>, CloudError> {
        self.list(Action::DescribeSnapshots, || self.cloud.observe_snapshots(query)).await
    }

    /// The number of calls is known beforehand, so all of them wait. An endpoint without `DescribeImageReferences` is asked
    /// in another way, of which only throttled calls are seen here.
    async fn observe_usage(&self, images: Vec<ImageId>) -> Result<BTreeMap<ImageId, Usage>, CloudError> {
        let calls = calls_for(images.len(), IMAGES_PER_REFERENCE_QUERY);
        self.ask(Action::DescribeImageReferences, calls, || self.cloud.observe_usage(images)).await
    }

    /// The limits are in force from then on, for everything that calls this account and region. So that it is certain
    /// whose they are, the credentials are asked first.
    async fn observe_limits(&self) -> Result<Limits, CloudError> {
        self.observe_identity().await?;
        let limits = self.ask(Action::ListServiceQuotas, 1, || self.cloud.observe_limits()).await?;
        self.pacer().set_limits(&limits);
        Ok(limits)
    }

    fn answered_at(&self) -> Option<Timestamp> {
        self.cloud.answered_at()
    }

    async fn ready(&self, action: Action) -> Result<(), CloudError> {
        let turn = self.pacer().turn(action, 1).await?;
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).entry(action).or_default().push_back(turn);
        Ok(())
    }

    async fn request_image(&self, request: ImageRequest) -> Result<ImageId, CloudError> {
        self.ask(Action::CreateImage, 1, || self.cloud.request_image(request)).await
    }

    async fn request_snapshots(&self, request: SnapshotsRequest) -> Result<Vec<SeenSnapshot>, CloudError> {
        self.ask(Action::CreateSnapshots, 1, || self.cloud.request_snapshots(request)).await
    }

    /// Several calls of as many actions, once before a freeze: the first of them stands for all.
    async fn observe_attributes(&self, instance: InstanceId) -> Result<Option<ImageAttributes>, CloudError> {
        self.ask(Action::DescribeInstances, 1, || self.cloud.observe_attributes(instance)).await
    }

    async fn register_image(&self, registration: Registration) -> Result<ImageId, CloudError> {
        self.ask(Action::RegisterImage, 1, || self.cloud.register_image(registration)).await
    }

    async fn observe_agent(&self, instance: InstanceId) -> Result<Option<SeenAgent>, CloudError> {
        self.ask(Action::DescribeInstanceInformation, 1, || self.cloud.observe_agent(instance)).await
    }

    async fn run_command(&self, request: CommandRequest) -> Result<CommandId, CloudError> {
        self.ask(Action::SendCommand, 1, || self.cloud.run_command(request)).await
    }

    async fn observe_command(
        &self,
        command: CommandId,
        instance: InstanceId,
    ) -> Result<Option<CommandState>, CloudError> {
        self.ask(Action::GetCommandInvocation, 1, || self.cloud.observe_command(command, instance)).await
    }

    async fn cancel_command(&self, command: CommandId, instance: InstanceId) -> Result<(), CloudError> {
        self.ask(Action::CancelCommand, 1, || self.cloud.cancel_command(command, instance)).await
    }

    async fn request_tags(&self, resources: Vec<ResourceId>, tags: BTreeMap<String, String>) -> Result<(), CloudError> {
        self.ask(Action::CreateTags, 1, || self.cloud.request_tags(resources, tags)).await
    }

    async fn remove_tags(&self, resources: Vec<ResourceId>, keys: Vec<String>) -> Result<(), CloudError> {
        self.ask(Action::DeleteTags, 1, || self.cloud.remove_tags(resources, keys)).await
    }

    async fn retire_image(&self, image: ImageId) -> Result<Vec<RemovedSnapshot>, CloudError> {
        self.ask(Action::DeregisterImage, 1, || self.cloud.retire_image(image)).await
    }

    async fn delete_snapshot(&self, snapshot: SnapshotId) -> Result<(), CloudError> {
        self.ask(Action::DeleteSnapshot, 1, || self.cloud.delete_snapshot(snapshot)).await
    }

    /// A `DryRun` counts as the call that it asks about.
    async fn probe(&self, action: Action, instance: Option<InstanceId>) -> Result<ProbeOutcome, CloudError> {
        self.ask(action, 1, || self.cloud.probe(action, instance)).await
    }
}
