//! The port to EC2: a few verbs on instances and images, and the classes of errors.
//!
//! No type of the SDK is named here, so that the engine can be tested against the simulator in process and runs
//! unchanged over the real thing. A listing is complete or an error: there is no partial answer, since the half that
//! deletes must never work from one.

mod error;
mod port;

pub use error::{CloudError, CloudErrorKind, classify, is_mutation};
pub use port::{
    Action, Cloud, Identity, ImageQuery, ImageRequest, ImageState, InstanceQuery, MappedDevice, ProbeOutcome, Reboot,
    ResourceId, SeenImage, SeenSnapshot, SnapshotState, VALUES_PER_FILTER_MAX,
};
