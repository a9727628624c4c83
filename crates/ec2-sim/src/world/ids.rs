//! From the text on the wire to an id, with EC2's refusal of each kind when it is malformed.

use std::str::FromStr;

use amikeep_domain::id::{ImageId, InstanceId, SnapshotId, VolumeId};

use crate::error::ApiError;
use crate::reply::LaunchTemplateId;
use crate::rng::Rng;

/// An id that EC2 has its own "malformed" code for.
pub(crate) trait ResourceId: FromStr {
    /// The code and the prefix.
    const MALFORMED: (&'static str, &'static str);

    /// A new id.
    fn fresh(rng: &mut Rng) -> Self {
        loop {
            if let Ok(id) = rng.resource_id(Self::MALFORMED.1).parse() {
                return id;
            }
        }
    }
}

impl ResourceId for InstanceId {
    const MALFORMED: (&'static str, &'static str) = ("InvalidInstanceID.Malformed", "i-");
}

impl ResourceId for ImageId {
    const MALFORMED: (&'static str, &'static str) = ("InvalidAMIID.Malformed", "ami-");
}

impl ResourceId for SnapshotId {
    const MALFORMED: (&'static str, &'static str) = ("InvalidSnapshotID.Malformed", "snap-");
}

impl ResourceId for VolumeId {
    const MALFORMED: (&'static str, &'static str) = ("InvalidVolumeID.Malformed", "vol-");
}

impl ResourceId for LaunchTemplateId {
    const MALFORMED: (&'static str, &'static str) = ("InvalidLaunchTemplateId.Malformed", "lt-");
}

pub(crate) fn parse<I: ResourceId>(text: &str) -> Result<I, ApiError> {
    let (code, prefix) = I::MALFORMED;
    text.parse().map_err(|_| ApiError::client(code, format!("Invalid id: \"{text}\" (expecting \"{prefix}...\")")))
}

pub(crate) fn parse_all<I: ResourceId>(texts: &[String]) -> Result<Vec<I>, ApiError> {
    texts.iter().map(|text| parse(text)).collect()
}
