//! Asking by `DryRun` what the credentials allow, without doing it.
//!
//! A question is put the way the real call is made, with the same client, tags and parameters, since a permission may
//! depend on any of them.

use std::collections::BTreeMap;

use amikeep_cloud::{
    Action, CloudError, CloudErrorKind, ImageQuery, ImageRequest, ProbeOutcome, Reboot, ResourceId, SeenImage,
};
use amikeep_domain::id::InstanceId;
use amikeep_domain::tags;

use crate::client::AwsCloud;
use crate::write::tag_list;

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

    /// Tags are only ever added to our own images and snapshots, and permission may hang on that, so one of our own is
    /// needed to ask about. The tag is the one that is added to them.
    async fn ask_to_create_tags(&self) -> Result<ProbeOutcome, CloudError> {
        let images = self.images(&ImageQuery::Owner(self.account.owner.clone())).await?;
        let Some(SeenImage { id, tags: present, .. }) = images.into_iter().next() else {
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
}

/// What the answer to a `DryRun` means. A call that went through although it was a `DryRun` is allowed as well.
fn understood(answer: Result<(), CloudError>) -> Result<ProbeOutcome, CloudError> {
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
        Kind::Busy | Kind::NotFound | Kind::NameInUse | Kind::WrongState | Kind::Invalid => {
            Ok(not_checked(&format!("{}: {}", error.code, error.message)))
        }
    }
}

fn not_checked(reason: &str) -> ProbeOutcome {
    ProbeOutcome::NotChecked(reason.to_owned())
}
