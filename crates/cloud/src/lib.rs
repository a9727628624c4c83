//! The port to EC2: a few verbs on instances and images, and the classes of errors.
//!
//! No type of the SDK is named here, so that the engine can be tested against the simulator in process and runs
//! unchanged over the real thing. A listing is complete or an error: there is no partial answer, since the half that
//! deletes must never work from one.

mod capture;
mod command;
mod error;
mod pacer;
mod port;

pub use amikeep_domain::image_attributes::{
    Billing, ImageAttributes, InstanceStoreDevice, PLAIN_LINUX, VolumeAttributes,
};
pub use capture::{Registration, SnapshotsRequest};
pub use command::{
    CommandId, CommandOutput, CommandRequest, CommandState, DELIVERY_FOR_MIN, REBOOT_EXIT_CODE, SeenAgent,
};
pub use error::{CloudError, CloudErrorKind, classify, is_mutation};
pub use pacer::{Limit, Limits, Paced, Pacer, Pacers, Timer, WAIT_MAX};
pub use port::{
    Action, Cloud, Identity, ImageQuery, ImageRequest, ImageState, InstanceQuery, MappedDevice, ProbeOutcome, Reboot,
    RemovedSnapshot, ResourceId, SeenImage, SeenSnapshot, SnapshotQuery, SnapshotRemoval, SnapshotState,
    VALUES_PER_FILTER_MAX,
};
