//! The questions: who we are, and which instances, images and snapshots there are.
//!
//! Changes nothing. Entries come sorted by id, each once, since EC2 promises no order and a listing that changes while
//! it is read can show an entry on two pages.

use std::sync::atomic::Ordering;

use amikeep_cloud::{Action, CloudError, Identity, ImageQuery, InstanceQuery, SeenImage, SeenSnapshot, SnapshotQuery};
use amikeep_domain::id::{ImageId, InstanceId, SnapshotId};
use amikeep_domain::image_name::ImageName;
use amikeep_domain::instance::Instance;
use amikeep_domain::tags;
use aws_sdk_ec2::operation::describe_instances::builders::DescribeInstancesFluentBuilder;
use aws_sdk_ec2::types;
use aws_sdk_ec2::types::Filter;

use crate::call::Call;
use crate::client::AwsCloud;
use crate::convert::{self, Unreadable};
use crate::errors::is_unknown_parameter;
use crate::page::{ENTRIES_PER_PAGE, Page, every_page, filters};

impl AwsCloud {
    pub(crate) async fn identity(&self) -> Result<Identity, CloudError> {
        let call = self.call(Action::GetCallerIdentity);
        let answer = self.sts.get_caller_identity().customize().interceptor(call.watch()).send().await;
        let seen = answer.map_err(|error| call.failed(&error))?;
        convert::identity(seen).map_err(|Unreadable(what)| call.unreadable(&what, None))
    }

    pub(crate) async fn instances(&self, query: &InstanceQuery) -> Result<Vec<Instance>, CloudError> {
        let listed = match query {
            InstanceQuery::All => self.list_instances(None).await?,
            InstanceQuery::Ids(ids) => {
                let mut listed = Vec::new();
                for filter in filters("instance-id", ids.iter().map(InstanceId::as_str)) {
                    listed.extend(self.list_instances(Some(filter)).await?);
                }
                listed
            }
        };
        Ok(each_once(listed, |instance| instance.id.clone()))
    }

    /// Each page is converted before the next one is asked for: an account can have ten thousand instances, and the SDK has
    /// a hundred fields for each.
    async fn list_instances(&self, filter: Option<Filter>) -> Result<Vec<Instance>, CloudError> {
        let call = self.call(Action::DescribeInstances);
        let request = self.instances_request(filter);
        let convert = |seen: types::Instance| {
            let disks = self.instance_types.disks(seen.instance_type());
            convert::instance(&seen, disks)
        };
        every_page(&call, async |token| {
            let Page { entries, next } = page_of_instances(&call, &request, token).await?;
            self.learn_types(&entries).await;
            let entries = readable(&call, entries, convert, |instance| instance.id.clone())?;
            Ok(Page { entries, next })
        })
        .await
    }

    pub(crate) async fn images(&self, query: &ImageQuery) -> Result<Vec<SeenImage>, CloudError> {
        let filters = match query {
            ImageQuery::Ids(ids) => filters("image-id", ids.iter().map(ImageId::as_str)),
            ImageQuery::Names(names) => filters("name", names.iter().map(ImageName::as_str)),
            ImageQuery::Owner(owner) => filters(&format!("tag:{}", tags::OWNER), [owner.as_str()]),
        };
        let mut seen = Vec::new();
        for filter in filters {
            seen.extend(self.describe_images(filter).await?);
        }
        readable(&self.call(Action::DescribeImages), seen, convert::image, |image| image.id.clone())
    }

    pub(crate) async fn snapshots(&self, query: &SnapshotQuery) -> Result<Vec<SeenSnapshot>, CloudError> {
        let filters = match query {
            SnapshotQuery::Ids(ids) => filters("snapshot-id", ids.iter().map(SnapshotId::as_str)),
            SnapshotQuery::Owner(owner) => filters(&format!("tag:{}", tags::OWNER), [owner.as_str()]),
            SnapshotQuery::Job(job) => filters(&format!("tag:{}", tags::JOB), [job.to_string().as_str()]),
        };
        let mut seen = Vec::new();
        for filter in filters {
            seen.extend(self.describe_snapshots(filter).await?);
        }
        let convert = |seen| convert::snapshot(&seen);
        readable(&self.call(Action::DescribeSnapshots), seen, convert, |snapshot| snapshot.id.clone())
    }

    pub(crate) async fn describe_instances(&self, filter: Option<Filter>) -> Result<Vec<types::Instance>, CloudError> {
        let call = self.call(Action::DescribeInstances);
        let request = self.instances_request(filter);
        every_page(&call, async |token| page_of_instances(&call, &request, token).await).await
    }

    fn instances_request(&self, filter: Option<Filter>) -> DescribeInstancesFluentBuilder {
        let filters = filter.map(|filter| vec![filter]);
        self.reads.describe_instances().set_filters(filters).max_results(ENTRIES_PER_PAGE)
    }

    async fn describe_snapshots(&self, filter: Filter) -> Result<Vec<types::Snapshot>, CloudError> {
        let call = self.call(Action::DescribeSnapshots);
        let request = self.reads.describe_snapshots().owner_ids("self").filters(filter).max_results(ENTRIES_PER_PAGE);
        every_page(&call, async |token| {
            let request = request.clone().set_next_token(token);
            let answer = request.customize().interceptor(call.watch()).send().await;
            let answer = answer.map_err(|error| call.failed(&error))?;
            Ok(Page { entries: answer.snapshots.unwrap_or_default(), next: answer.next_token })
        })
        .await
    }

    /// Disabled images are asked for always, since they hold their names and their snapshots.
    ///
    /// Clouds that speak EC2's language may know an older version of it. `IncludeDisabled` came to it together with
    /// `DisableImage`, so where the parameter is unknown there are no disabled images to miss, and the listing without
    /// it is complete. Any other refusal is an error.
    async fn describe_images(&self, filter: Filter) -> Result<Vec<types::Image>, CloudError> {
        if self.lacks_include_disabled.load(Ordering::Relaxed) {
            return self.describe_images_with(filter, None).await;
        }
        match self.describe_images_with(filter.clone(), Some(true)).await {
            Err(error) if is_unknown_parameter(&error, "IncludeDisabled") => {
                tracing::warn!(%error, "the endpoint knows no disabled images; they are not asked for any more");
                self.lacks_include_disabled.store(true, Ordering::Relaxed);
                self.describe_images_with(filter, None).await
            }
            result => result,
        }
    }

    async fn describe_images_with(
        &self,
        filter: Filter,
        include_disabled: Option<bool>,
    ) -> Result<Vec<types::Image>, CloudError> {
        let call = self.call(Action::DescribeImages);
        let request = self.reads.describe_images().owners("self").filters(filter);
        let request = request.set_include_disabled(include_disabled).max_results(ENTRIES_PER_PAGE);
        every_page(&call, async |token| {
            let request = request.clone().set_next_token(token);
            let answer = request.customize().interceptor(call.watch()).send().await;
            let answer = answer.map_err(|error| call.failed(&error))?;
            Ok(Page { entries: answer.images.unwrap_or_default(), next: answer.next_token })
        })
        .await
    }
}

async fn page_of_instances(
    call: &Call<'_>,
    request: &DescribeInstancesFluentBuilder,
    token: Option<String>,
) -> Result<Page<types::Instance>, CloudError> {
    let request = request.clone().set_next_token(token);
    let answer = request.customize().interceptor(call.watch()).send().await;
    let answer = answer.map_err(|error| call.failed(&error))?;
    let reservations = answer.reservations.unwrap_or_default();
    let entries = reservations.into_iter().flat_map(|group| group.instances.unwrap_or_default()).collect();
    Ok(Page { entries, next: answer.next_token })
}

/// Every entry in the types of the port, sorted by id, or the error of the first that cannot be read.
fn readable<S, T, K: Ord>(
    call: &Call<'_>,
    seen: Vec<S>,
    convert: impl Fn(S) -> Result<T, Unreadable>,
    id: impl Fn(&T) -> K,
) -> Result<Vec<T>, CloudError> {
    let entries: Result<Vec<T>, Unreadable> = seen.into_iter().map(convert).collect();
    let entries = entries.map_err(|Unreadable(what)| call.unreadable(&what, None))?;
    Ok(each_once(entries, id))
}

fn each_once<T, K: Ord>(mut entries: Vec<T>, id: impl Fn(&T) -> K) -> Vec<T> {
    entries.sort_by_key(&id);
    entries.dedup_by_key(|entry| id(entry));
    entries
}
