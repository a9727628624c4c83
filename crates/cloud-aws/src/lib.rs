//! The port's real side: EC2, STS, Systems Manager and Service Quotas through the AWS SDK.
//!
//! Owns the SDK: building its clients, paging, and turning its answers and errors into the types of the port. It is the
//! only crate that names the SDK, and no type of the SDK leaves it. It must never decide anything about a backup, never
//! repeat a call that changes something, and never hand out a listing that it did not read to its end.

mod account;
mod call;
mod calls;
mod capture;
mod client;
mod command;
mod convert;
mod endpoint_time;
mod errors;
mod instance_types;
mod metadata;
mod page;
mod probe;
mod quotas;
mod read;
mod replay;
#[cfg(test)]
mod tests;
mod usage;
mod write;

use std::collections::BTreeMap;

use amikeep_cloud::{
    Action, Cloud, CloudError, CommandId, CommandRequest, CommandState, Identity, ImageAttributes, ImageQuery,
    ImageRequest, InstanceQuery, Limits, ProbeOutcome, Registration, RemovedSnapshot, ResourceId, SeenAgent, SeenImage,
    SeenSnapshot, SnapshotQuery, SnapshotsRequest,
};
use amikeep_domain::id::{ImageId, InstanceId, SnapshotId};
use amikeep_domain::instance::Instance;
use amikeep_domain::retention::Usage;
use jiff::Timestamp;

pub use crate::account::{AwsAccount, ConnectError};
pub use crate::calls::{CallEnd, Calls};
pub use crate::client::AwsCloud;
pub use crate::metadata::instance_of_metadata;
pub use crate::replay::{Answer, Replay};

/// Where the SDK logs an error that replaces another one, which it does whenever an answer is refused that it could not read
/// either. The error that counts comes back from the call.
pub const REPLACED_ERRORS_TARGET: &str = "aws_smithy_runtime_api::client::interceptors::context";

impl Cloud for AwsCloud {
    async fn observe_identity(&self) -> Result<Identity, CloudError> {
        self.identity().await
    }

    async fn observe_instances(&self, query: InstanceQuery) -> Result<Vec<Instance>, CloudError> {
        self.instances(&query).await
    }

    async fn observe_images(&self, query: ImageQuery) -> Result<Vec<SeenImage>, CloudError> {
        self.images(&query).await
    }

    async fn observe_snapshots(&self, query: SnapshotQuery) -> Result<Vec<SeenSnapshot>, CloudError> {
        self.snapshots(&query).await
    }

    async fn observe_usage(&self, images: Vec<ImageId>) -> Result<BTreeMap<ImageId, Usage>, CloudError> {
        self.usage(&images).await
    }

    async fn observe_limits(&self) -> Result<Limits, CloudError> {
        self.limits().await
    }

    fn answered_at(&self) -> Option<Timestamp> {
        self.endpoint_time.last()
    }

    async fn request_image(&self, request: ImageRequest) -> Result<ImageId, CloudError> {
        self.create_image(&request).await
    }

    async fn request_snapshots(&self, request: SnapshotsRequest) -> Result<Vec<SeenSnapshot>, CloudError> {
        self.create_snapshots(&request).await
    }

    async fn observe_attributes(&self, instance: InstanceId) -> Result<Option<ImageAttributes>, CloudError> {
        self.attributes(&instance).await
    }

    async fn register_image(&self, registration: Registration) -> Result<ImageId, CloudError> {
        self.register(&registration).await
    }

    async fn observe_agent(&self, instance: InstanceId) -> Result<Option<SeenAgent>, CloudError> {
        self.agent(&instance).await
    }

    async fn run_command(&self, request: CommandRequest) -> Result<CommandId, CloudError> {
        self.send_command(&request).await
    }

    async fn observe_command(
        &self,
        command: CommandId,
        instance: InstanceId,
    ) -> Result<Option<CommandState>, CloudError> {
        self.command_invocation(&command, &instance).await
    }

    async fn cancel_command(&self, command: CommandId, instance: InstanceId) -> Result<(), CloudError> {
        self.stop_command(&command, &instance).await
    }

    async fn request_tags(&self, resources: Vec<ResourceId>, tags: BTreeMap<String, String>) -> Result<(), CloudError> {
        self.create_tags(&resources, &tags).await
    }

    async fn remove_tags(&self, resources: Vec<ResourceId>, keys: Vec<String>) -> Result<(), CloudError> {
        self.delete_tags(&resources, &keys).await
    }

    async fn retire_image(&self, image: ImageId) -> Result<Vec<RemovedSnapshot>, CloudError> {
        self.deregister_image(&image).await
    }

    async fn delete_snapshot(&self, snapshot: SnapshotId) -> Result<(), CloudError> {
        self.remove_snapshot(&snapshot).await
    }

    async fn probe(&self, action: Action, instance: Option<InstanceId>) -> Result<ProbeOutcome, CloudError> {
        self.ask(action, instance).await
    }
}
