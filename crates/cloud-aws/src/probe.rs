//! Asking by `DryRun` what the credentials allow, without doing it.
//!
//! A question is put the way the real call is made, with the same client, tags and parameters, since a permission may
//! depend on any of them.
//!
//! The one thing that differs is what the question about a deletion names: something that does not exist. Were it a
//! backup, `DryRun` alone would stand between the question and its deletion, and which endpoint answers is decided by
//! more than the configuration that is seen here. What cannot be told that way is not checked.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use amikeep_cloud::{
    Action, CloudError, CloudErrorKind, ImageQuery, ImageRequest, ProbeOutcome, Reboot, ResourceId, SeenImage,
    SnapshotsRequest,
};
use amikeep_domain::id::InstanceId;
use amikeep_domain::tags;
use aws_sdk_ec2::types::{ArchitectureValues, BlockDeviceMapping, EbsBlockDevice, ResourceType, TagSpecification};

use crate::client::AwsCloud;
use crate::usage::is_unknown_action;
use crate::write::tag_list;

/// An image that does not exist.
const NO_IMAGE: &str = "ami-00000000000000000";
/// A snapshot that does not exist.
const NO_SNAPSHOT: &str = "snap-00000000000000000";

/// Sends a read with `DryRun` and reads the answer.
macro_rules! ask_to_read {
    ($cloud:expr, $action:expr, $request:expr) => {{
        let call = $cloud.call($action);
        let answer = $request.dry_run(true).customize().interceptor(call.watch()).send().await;
        understood(answer.map(|_| ()).map_err(|error| call.failed(&error)))
    }};
}

impl AwsCloud {
    pub(crate) async fn ask(&self, action: Action, instance: Option<InstanceId>) -> Result<ProbeOutcome, CloudError> {
        match action {
            Action::GetCallerIdentity => understood(self.identity().await.map(|_| ())),
            Action::AssumeRole => self.ask_to_assume_role().await,
            Action::DescribeInstances => ask_to_read!(self, action, self.reads.describe_instances()),
            Action::DescribeInstanceTypes => ask_to_read!(self, action, self.reads.describe_instance_types()),
            Action::DescribeImages => ask_to_read!(self, action, self.reads.describe_images().owners("self")),
            Action::DescribeSnapshots => ask_to_read!(self, action, self.reads.describe_snapshots().owner_ids("self")),
            Action::CreateImage => self.ask_to_create_image(instance).await,
            Action::CreateTags => self.ask_to_create_tags().await,
            Action::DeleteTags => self.ask_to_delete_tags().await,
            Action::DeregisterImage => self.ask_to_deregister_image().await,
            Action::DeleteSnapshot => self.ask_to_delete_snapshot().await,
            Action::DescribeImageReferences => self.ask_to_describe_image_references().await,
            Action::ListServiceQuotas => self.ask_to_list_quotas().await,
            Action::DescribeLaunchTemplates => ask_to_read!(self, action, self.reads.describe_launch_templates()),
            Action::DescribeLaunchTemplateVersions => {
                ask_to_read!(self, action, self.reads.describe_launch_template_versions().versions("$Latest"))
            }
            Action::DescribeVolumes => ask_to_read!(self, action, self.reads.describe_volumes()),
            Action::GetInstanceUefiData => match instance {
                Some(instance) => {
                    ask_to_read!(self, action, self.reads.get_instance_uefi_data().instance_id(instance.as_str()))
                }
                None => Ok(not_checked("there is no instance to ask about")),
            },
            Action::CreateSnapshots => self.ask_to_create_snapshots(instance).await,
            Action::RegisterImage => self.ask_to_register_image().await,
            Action::DescribeInstanceInformation => match instance {
                // It has no DryRun, and changes nothing.
                Some(instance) => understood(self.agent(&instance).await.map(|_| ())),
                None => Ok(not_checked("there is no instance to ask about")),
            },
            Action::SendCommand | Action::GetCommandInvocation | Action::CancelCommand => {
                Ok(not_checked("Systems Manager has no DryRun; `amikeep hold --test` uses it for real"))
            }
        }
    }

    /// Every call needs the role, so a call that is always allowed tells whether it can be assumed.
    async fn ask_to_assume_role(&self) -> Result<ProbeOutcome, CloudError> {
        match self.account.role_arn {
            Some(_) => understood(self.identity().await.map(|_| ())),
            None => Ok(not_checked("the account has no role_arn")),
        }
    }

    async fn ask_to_create_image(&self, instance: Option<InstanceId>) -> Result<ProbeOutcome, CloudError> {
        let Some(instance) = instance else { return Ok(not_checked("there is no instance to ask about")) };
        let owner = &self.account.owner;
        let Ok(name) = format!("amikeep-{owner}-dry-run").parse() else {
            return Ok(not_checked("there is no image name to ask with"));
        };
        let request = ImageRequest {
            name,
            instance,
            // In case an endpoint takes the question for an order.
            reboot: Reboot::No,
            tags: BTreeMap::from([(tags::OWNER.to_owned(), owner.to_string())]),
            description: "amikeep asks whether it may make this image".to_owned(),
        };
        let call = self.call(Action::CreateImage);
        let request = self.image_request(&request).dry_run(true);
        match request.customize().interceptor(call.watch()).send().await {
            Ok(answer) => {
                let image = answer.image_id().unwrap_or("without an id");
                Ok(not_checked(&format!(
                    "the endpoint ignored DryRun and made the image {image}, which can be deleted"
                )))
            }
            Err(error) => understood(Err(call.failed(&error))),
        }
    }

    async fn ask_to_create_snapshots(&self, instance: Option<InstanceId>) -> Result<ProbeOutcome, CloudError> {
        let Some(instance) = instance else { return Ok(not_checked("there is no instance to ask about")) };
        let tags = BTreeMap::from([(tags::OWNER.to_owned(), self.account.owner.to_string())]);
        let description = "amikeep asks whether it may make these snapshots".to_owned();
        let call = self.call(Action::CreateSnapshots);
        let request = self.snapshots_request(&SnapshotsRequest { instance, tags, description }).dry_run(true);
        match request.customize().interceptor(call.watch()).send().await {
            Ok(_) => Ok(not_checked("the endpoint ignored DryRun and made snapshots, which can be deleted")),
            Err(error) => understood(Err(call.failed(&error))),
        }
    }

    /// Asked about a snapshot that does not exist, so that nothing can come of it.
    async fn ask_to_register_image(&self) -> Result<ProbeOutcome, CloudError> {
        let owner = &self.account.owner;
        let tags = BTreeMap::from([(tags::OWNER.to_owned(), owner.to_string())]);
        let specification = TagSpecification::builder().resource_type(ResourceType::Image);
        let root = EbsBlockDevice::builder().snapshot_id(NO_SNAPSHOT).build();
        let request = self
            .writes
            .register_image()
            .name(format!("amikeep-{owner}-dry-run"))
            .architecture(ArchitectureValues::X8664)
            .virtualization_type("hvm")
            .root_device_name("/dev/xvda")
            .block_device_mappings(BlockDeviceMapping::builder().device_name("/dev/xvda").ebs(root).build())
            .tag_specifications(specification.set_tags(Some(tag_list(&tags))).build())
            .dry_run(true);
        let call = self.call(Action::RegisterImage);
        let answer = request.customize().interceptor(call.watch()).send().await;
        about_nothing(answer.map(|_| ()).map_err(|error| call.failed(&error)), NO_SNAPSHOT)
    }

    /// Tags are only ever added to our own images and snapshots, and permission may hang on that, so one of our own is
    /// needed to ask about. The tag is the one that is added to them.
    async fn ask_to_create_tags(&self) -> Result<ProbeOutcome, CloudError> {
        let Some(SeenImage { id, tags: present, .. }) = self.own_images().await?.into_iter().next() else {
            return Ok(not_checked("there is no image of amikeep yet to ask about"));
        };
        let grade = present.get(tags::GRADE).map_or("crash", String::as_str);
        let added = BTreeMap::from([(tags::GRADE.to_owned(), grade.to_owned())]);
        let call = self.call(Action::CreateTags);
        let resource = ResourceId::Image(id);
        let request = self.writes.create_tags().resources(resource.as_str()).set_tags(Some(tag_list(&added)));
        let answer = request.dry_run(true).customize().interceptor(call.watch()).send().await;
        understood(answer.map(|_| ()).map_err(|error| call.failed(&error)))
    }

    /// The only tag that is ever removed is the pin, and permission may hang on that and on the image being our own. One
    /// without a pin is asked about, in case an endpoint takes the question for an order.
    async fn ask_to_delete_tags(&self) -> Result<ProbeOutcome, CloudError> {
        let images = self.own_images().await?;
        let Some(image) = images.into_iter().find(|image| !image.tags.contains_key(tags::PIN)) else {
            return Ok(not_checked("there is no image of amikeep yet, other than pinned ones, to ask about"));
        };
        let call = self.call(Action::DeleteTags);
        let request = self.tag_removal(&[ResourceId::Image(image.id)], &[tags::PIN.to_owned()]);
        let answer = request.dry_run(true).customize().interceptor(call.watch()).send().await;
        understood(answer.map(|_| ()).map_err(|error| call.failed(&error)))
    }

    async fn ask_to_deregister_image(&self) -> Result<ProbeOutcome, CloudError> {
        let call = self.call(Action::DeregisterImage);
        let delete_snapshots = !self.lacks_associated_snapshots.load(Ordering::Relaxed);
        let request = self.writes.deregister_image().image_id(NO_IMAGE);
        let request = request.set_delete_associated_snapshots(delete_snapshots.then_some(true)).dry_run(true);
        let answer = request.customize().interceptor(call.watch()).send().await;
        about_nothing(answer.map(|_| ()).map_err(|error| call.failed(&error)), NO_IMAGE)
    }

    async fn ask_to_delete_snapshot(&self) -> Result<ProbeOutcome, CloudError> {
        let call = self.call(Action::DeleteSnapshot);
        let request = self.writes.delete_snapshot().snapshot_id(NO_SNAPSHOT).dry_run(true);
        let answer = request.customize().interceptor(call.watch()).send().await;
        about_nothing(answer.map(|_| ()).map_err(|error| call.failed(&error)), NO_SNAPSHOT)
    }

    async fn ask_to_describe_image_references(&self) -> Result<ProbeOutcome, CloudError> {
        let images = self.own_images().await?;
        let image = images.first().map_or(NO_IMAGE, |image| image.id.as_str()).to_owned();
        let call = self.call(Action::DescribeImageReferences);
        let request = self.references_request(&[image]).dry_run(true);
        match request.customize().interceptor(call.watch()).send().await {
            Err(error) if is_unknown_action(&error) => {
                Ok(not_checked("the endpoint does not know it; instances and launch templates are looked through"))
            }
            answer => understood(answer.map(|_| ()).map_err(|error| call.failed(&error))),
        }
    }

    async fn own_images(&self) -> Result<Vec<SeenImage>, CloudError> {
        self.images(&ImageQuery::Owner(self.account.owner.clone())).await
    }
}

/// What the answer means to a question about `nothing`, which does not exist. A permission that is tied
/// to a tag refuses it as well as none at all, so that a refusal tells nothing.
fn about_nothing(answer: Result<(), CloudError>, nothing: &str) -> Result<ProbeOutcome, CloudError> {
    let outcome = match answer {
        Ok(()) => return Ok(not_checked("the endpoint ignored DryRun")),
        answer => understood(answer)?,
    };
    match outcome {
        ProbeOutcome::Denied(message) => Ok(not_checked(&format!(
            "{message} (asked about {nothing}, which does not exist: a permission that is tied to a tag says no to it)"
        ))),
        outcome => Ok(outcome),
    }
}

/// What the answer to a `DryRun` means. A call that went through although it was a `DryRun` is allowed as well.
pub(crate) fn understood(answer: Result<(), CloudError>) -> Result<ProbeOutcome, CloudError> {
    use CloudErrorKind as Kind;
    let Err(mut error) = answer else { return Ok(ProbeOutcome::Allowed) };
    match error.kind {
        Kind::DryRunSucceeded => Ok(ProbeOutcome::Allowed),
        Kind::Denied => Ok(ProbeOutcome::Denied(error.message)),
        Kind::Credentials | Kind::Unavailable | Kind::Throttled => Err(error),
        // Nothing was asked to be done, so nothing can have been.
        Kind::OutcomeUnknown => {
            error.kind = Kind::Unavailable;
            Err(error)
        }
        Kind::Busy | Kind::NotFound | Kind::NameInUse | Kind::InUse | Kind::WrongState | Kind::Invalid => {
            Ok(not_checked(&format!("{}: {}", error.code, error.message)))
        }
    }
}

fn not_checked(reason: &str) -> ProbeOutcome {
    ProbeOutcome::NotChecked(reason.to_owned())
}
