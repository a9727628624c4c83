//! The face in process: amikeep's port, answered by the same world through the same calls, filters and pages as over
//! HTTP. Errors are classified by the same table, by EC2's code.
//!
//! It must not be kinder than the wire: a lost or late answer is reported as what the real adapter makes of it, except
//! that nothing is waited for and no read is repeated.

mod capture;
mod command;
mod convert;
mod probe;
mod usage;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use amikeep_cloud::{
    Action, Cloud, CloudError, CloudErrorKind, CommandId, CommandRequest, CommandState, Identity, ImageAttributes,
    ImageQuery, ImageRequest, InstanceQuery, Limits, ProbeOutcome, Registration, RemovedSnapshot, ResourceId,
    SeenAgent, SeenImage, SeenSnapshot, SnapshotQuery, SnapshotsRequest, VALUES_PER_FILTER_MAX, is_mutation,
};
use amikeep_domain::id::{ImageId, InstanceId, SnapshotId};
use amikeep_domain::instance::Instance;
use amikeep_domain::retention::Usage;
use amikeep_domain::tags;
use jiff::Timestamp;

use crate::reply::{InstanceView, Page, Reply};
use crate::request::{CreateImage, DescribeImages, Filter, NewTag, Query, Request, TagSpecification};
use crate::world::identity::default_identity;
use crate::world::{Delivery, Invocation, Place, World};

/// The page sizes that are asked for: the largest that EC2 allows.
const PAGE_SIZE: i64 = 1000;
const TYPE_PAGE_SIZE: i64 = 100;
const TEMPLATE_PAGE_SIZE: i64 = 200;
const QUOTA_PAGE_SIZE: i64 = 100;

/// One account in one region of a world, as amikeep's port. Clones share what they know of instance types, and when
/// they were last answered.
#[derive(Debug, Clone)]
pub struct SimCloud {
    world: World,
    place: Place,
    /// Instance-store disks by type; none for a type that the world did not tell of.
    disks: Arc<Mutex<BTreeMap<String, Option<u32>>>>,
    answered_at: Arc<Mutex<Option<Timestamp>>>,
}

impl SimCloud {
    /// The port on `world` for `place`, with the account's own credentials.
    pub fn new(world: World, place: Place) -> Self {
        Self { world, place, disks: Arc::default(), answered_at: Arc::default() }
    }

    /// The world behind it.
    pub fn world(&self) -> &World {
        &self.world
    }

    fn send(&self, action: Action, request: Request, dry_run: bool) -> Result<Reply, CloudError> {
        let caller = default_identity(&self.place.account);
        let invocation = Invocation { caller, region: self.place.region.clone(), request, dry_run };
        let delivery = self.world.call(&invocation);
        if !matches!(delivery, Delivery::Cut | Delivery::Hang) {
            // A `Date` header has whole seconds.
            let date = self.world.clock().now().as_second();
            let answered_at = &mut *self.answered_at.lock().unwrap_or_else(PoisonError::into_inner);
            *answered_at = Timestamp::from_second(date).ok();
        }
        match delivery {
            Delivery::Answer(reply) => Ok(reply),
            Delivery::Refusal(error) => Err(CloudError::from_answer(action, error.status, &error.code, &error.message)),
            Delivery::CutInBody(_) => {
                Err(lost(action, "connection", "the connection was closed in the middle of the answer"))
            }
            Delivery::Cut => Err(lost(action, "connection", "the connection was closed before the answer")),
            Delivery::Hang => Err(lost(action, "timeout", "there was no answer in time")),
            Delivery::Garbage => Err(lost(action, "bad-answer", "the answer cannot be used")),
        }
    }

    /// Every page of a listing.
    fn list<T>(
        &self,
        action: Action,
        filters: &[Filter],
        request: impl Fn(Query) -> Request,
        page_of: impl Fn(Reply) -> Option<Page<T>>,
    ) -> Result<Vec<T>, CloudError> {
        let page_size = match action {
            Action::DescribeInstanceTypes => TYPE_PAGE_SIZE,
            Action::DescribeLaunchTemplates | Action::DescribeLaunchTemplateVersions => TEMPLATE_PAGE_SIZE,
            _ => PAGE_SIZE,
        };
        let mut query = Query { filters: filters.to_vec(), max_results: Some(page_size), next_token: None };
        let mut items = Vec::new();
        loop {
            let reply = self.send(action, request(query.clone()), false)?;
            let page = page_of(reply).ok_or_else(|| lost(action, "bad-answer", "the answer cannot be used"))?;
            items.extend(page.items);
            match page.next_token {
                Some(token) => query.next_token = Some(token),
                None => return Ok(items),
            }
        }
    }

    fn instances(&self, query: &InstanceQuery) -> Result<Vec<Instance>, CloudError> {
        let filters = match query {
            InstanceQuery::All => vec![Vec::new()],
            InstanceQuery::Ids(ids) => one_filter_each("instance-id", ids.iter().map(ToString::to_string)),
        };
        let mut views = Vec::new();
        for filters in filters {
            let request = |query| Request::DescribeInstances { ids: Vec::new(), query };
            views.extend(self.list(Action::DescribeInstances, &filters, request, |reply| match reply {
                Reply::Instances(page) => Some(page),
                _ => None,
            })?);
        }
        self.learn_types(&views);
        let disks = self.disks.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(views
            .into_iter()
            .map(|view| convert::instance(disks.get(&view.facts.instance_type).copied().flatten(), view))
            .collect())
    }

    /// Asks for types that are not known yet. Whatever goes wrong leaves them unknown.
    fn learn_types(&self, views: &[InstanceView]) {
        let mut known = self.disks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unknown: Vec<String> = views.iter().map(|view| view.facts.instance_type.clone()).collect();
        unknown.sort();
        unknown.dedup();
        unknown.retain(|name| !known.contains_key(name));
        for filters in one_filter_each("instance-type", unknown.iter().cloned()) {
            let request = |query| Request::DescribeInstanceTypes { names: Vec::new(), query };
            let described = self.list(Action::DescribeInstanceTypes, &filters, request, |reply| match reply {
                Reply::InstanceTypes(page) => Some(page),
                _ => None,
            });
            if let Ok(described) = described {
                known.extend(unknown.iter().map(|name| (name.clone(), None)));
                known.extend(described.into_iter().map(|described| (described.name, Some(described.disks))));
            }
        }
    }

    fn images(&self, filters: &[Filter]) -> Result<Vec<SeenImage>, CloudError> {
        let request = |query| {
            let owners = vec!["self".to_owned()];
            Request::DescribeImages(DescribeImages { ids: Vec::new(), owners, include_disabled: true, query })
        };
        let views = self.list(Action::DescribeImages, filters, request, |reply| match reply {
            Reply::Images(page) => Some(page),
            _ => None,
        })?;
        Ok(views.into_iter().map(convert::seen_image).collect())
    }

    fn snapshots(&self, filters: &[Filter]) -> Result<Vec<SeenSnapshot>, CloudError> {
        let request = |query| Request::DescribeSnapshots { ids: Vec::new(), owners: vec!["self".to_owned()], query };
        let views = self.list(Action::DescribeSnapshots, filters, request, |reply| match reply {
            Reply::Snapshots(page) => Some(page),
            _ => None,
        })?;
        Ok(views.into_iter().map(convert::seen_snapshot).collect())
    }
}

/// The question for one page of the quotas of EC2.
fn quotas_page(next_token: Option<String>) -> Request {
    Request::ListServiceQuotas { service_code: "ec2".to_owned(), max_results: Some(QUOTA_PAGE_SIZE), next_token }
}

impl Cloud for SimCloud {
    async fn observe_identity(&self) -> Result<Identity, CloudError> {
        match self.send(Action::GetCallerIdentity, Request::GetCallerIdentity, false)? {
            Reply::CallerIdentity(identity) => Ok(Identity { account: identity.account, arn: identity.arn }),
            _ => Err(lost(Action::GetCallerIdentity, "bad-answer", "the answer cannot be used")),
        }
    }

    async fn observe_instances(&self, query: InstanceQuery) -> Result<Vec<Instance>, CloudError> {
        self.instances(&query)
    }

    async fn observe_images(&self, query: ImageQuery) -> Result<Vec<SeenImage>, CloudError> {
        let filters = match query {
            ImageQuery::Ids(ids) => one_filter_each("image-id", ids.iter().map(ToString::to_string)),
            ImageQuery::Names(names) => one_filter_each("name", names.iter().map(ToString::to_string)),
            ImageQuery::Owner(owner) => vec![vec![owner_filter(owner.as_str())]],
        };
        let mut images = Vec::new();
        for filters in filters {
            images.extend(self.images(&filters)?);
        }
        Ok(images)
    }

    async fn observe_snapshots(&self, query: SnapshotQuery) -> Result<Vec<SeenSnapshot>, CloudError> {
        let filters = match query {
            SnapshotQuery::Ids(ids) => one_filter_each("snapshot-id", ids.iter().map(ToString::to_string)),
            SnapshotQuery::Owner(owner) => vec![vec![owner_filter(owner.as_str())]],
            SnapshotQuery::Job(job) => vec![vec![Filter::new(format!("tag:{}", tags::JOB), [job.to_string()])]],
        };
        let mut snapshots = Vec::new();
        for filters in filters {
            snapshots.extend(self.snapshots(&filters)?);
        }
        Ok(snapshots)
    }

    async fn observe_usage(&self, images: Vec<ImageId>) -> Result<BTreeMap<ImageId, Usage>, CloudError> {
        self.usage(&images)
    }

    async fn observe_limits(&self) -> Result<Limits, CloudError> {
        let action = Action::ListServiceQuotas;
        let (mut quotas, mut next) = (Vec::new(), None);
        loop {
            let Reply::ServiceQuotas(page) = self.send(action, quotas_page(next), false)? else {
                return Err(lost(action, "bad-answer", "the answer cannot be used"));
            };
            quotas.extend(page.items);
            next = page.next_token;
            if next.is_none() {
                return Ok(Limits::from_quotas(quotas.iter().map(|quota| (quota.name.as_str(), quota.value))));
            }
        }
    }

    fn answered_at(&self) -> Option<Timestamp> {
        *self.answered_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn request_image(&self, request: ImageRequest) -> Result<ImageId, CloudError> {
        let tags = new_tags(&request.tags);
        let specification =
            |resource_type: &str| TagSpecification { resource_type: resource_type.to_owned(), tags: tags.clone() };
        let tag_specifications =
            if tags.is_empty() { Vec::new() } else { ["image", "snapshot"].map(specification).into() };
        let call = CreateImage {
            instance_id: request.instance.to_string(),
            name: request.name.to_string(),
            description: Some(request.description),
            reboot: request.reboot,
            mappings: Vec::new(),
            tag_specifications,
        };
        match self.send(Action::CreateImage, Request::CreateImage(call), false)? {
            Reply::ImageCreated(id) => Ok(id),
            _ => Err(lost(Action::CreateImage, "bad-answer", "the answer cannot be used")),
        }
    }

    async fn request_snapshots(&self, request: SnapshotsRequest) -> Result<Vec<SeenSnapshot>, CloudError> {
        self.start_snapshots(&request)
    }

    async fn observe_attributes(&self, instance: InstanceId) -> Result<Option<ImageAttributes>, CloudError> {
        self.attributes(&instance)
    }

    async fn register_image(&self, registration: Registration) -> Result<ImageId, CloudError> {
        self.register(registration)
    }

    async fn observe_agent(&self, instance: InstanceId) -> Result<Option<SeenAgent>, CloudError> {
        self.agent(&instance)
    }

    async fn run_command(&self, request: CommandRequest) -> Result<CommandId, CloudError> {
        self.send_command(&request)
    }

    async fn observe_command(
        &self,
        command: CommandId,
        instance: InstanceId,
    ) -> Result<Option<CommandState>, CloudError> {
        self.invocation(&command, &instance)
    }

    async fn cancel_command(&self, command: CommandId, instance: InstanceId) -> Result<(), CloudError> {
        self.stop_command(&command, &instance)
    }

    async fn request_tags(&self, resources: Vec<ResourceId>, tags: BTreeMap<String, String>) -> Result<(), CloudError> {
        if resources.is_empty() || tags.is_empty() {
            return Ok(());
        }
        let resources = resources.iter().map(|resource| resource.as_str().to_owned()).collect();
        self.send(Action::CreateTags, Request::CreateTags { resources, tags: new_tags(&tags) }, false).map(|_| ())
    }

    async fn remove_tags(&self, resources: Vec<ResourceId>, keys: Vec<String>) -> Result<(), CloudError> {
        // Without a key EC2 would take every tag away.
        if resources.is_empty() || keys.is_empty() {
            return Ok(());
        }
        let resources = resources.iter().map(|resource| resource.as_str().to_owned()).collect();
        let tags = keys.into_iter().map(|key| (key, None)).collect();
        self.send(Action::DeleteTags, Request::DeleteTags { resources, tags }, false).map(|_| ())
    }

    async fn retire_image(&self, image: ImageId) -> Result<Vec<RemovedSnapshot>, CloudError> {
        let request = Request::DeregisterImage { image_id: image.to_string(), delete_snapshots: true };
        match self.send(Action::DeregisterImage, request, false)? {
            Reply::ImageDeregistered(deletions) => Ok(deletions.into_iter().map(convert::removed_snapshot).collect()),
            _ => Err(lost(Action::DeregisterImage, "bad-answer", "the answer cannot be used")),
        }
    }

    async fn delete_snapshot(&self, snapshot: SnapshotId) -> Result<(), CloudError> {
        let request = Request::DeleteSnapshot { snapshot_id: snapshot.to_string() };
        self.send(Action::DeleteSnapshot, request, false).map(|_| ())
    }

    async fn probe(&self, action: Action, instance: Option<InstanceId>) -> Result<ProbeOutcome, CloudError> {
        self.ask(action, instance)
    }
}

/// An error without an answer: of a change nobody knows whether it was made.
fn lost(action: Action, code: &str, message: &str) -> CloudError {
    let kind = if is_mutation(action) { CloudErrorKind::OutcomeUnknown } else { CloudErrorKind::Unavailable };
    CloudError { action, kind, code: code.to_owned(), message: message.to_owned(), request_id: None }
}

/// Filters of at most as many values as EC2 takes, each for a listing of its own; none for no value, since EC2 takes an
/// empty list for no filter at all.
fn one_filter_each(name: &str, values: impl Iterator<Item = String>) -> Vec<Vec<Filter>> {
    let values: Vec<String> = values.collect();
    values.chunks(VALUES_PER_FILTER_MAX).map(|values| vec![Filter::new(name, values.iter().cloned())]).collect()
}

fn owner_filter(owner: &str) -> Filter {
    Filter::new(format!("tag:{}", tags::OWNER), [owner])
}

fn new_tags(tags: &BTreeMap<String, String>) -> Vec<NewTag> {
    tags.iter().map(|(key, value)| NewTag { key: key.clone(), value: value.clone() }).collect()
}
