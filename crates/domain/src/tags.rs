//! The tags that amikeep puts on images and snapshots. With them the ledger can be rebuilt.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::class::Consistency;
use crate::id::{ClassName, InstanceId, JobId, Owner};
use crate::instance::Instance;
use crate::job::JobKey;
use crate::policy::Policy;

/// Whose image it is.
pub const OWNER: &str = "amikeep:owner";
/// The policy that asked for it.
pub const POLICY: &str = "amikeep:policy";
/// The instance it was taken of.
pub const INSTANCE: &str = "amikeep:instance";
/// The job that made it.
pub const JOB: &str = "amikeep:job";
/// The nominal time of its fire, RFC 3339 in UTC.
pub const SCHEDULED_AT: &str = "amikeep:scheduled-at";
/// The workload class.
pub const CLASS: &str = "amikeep:class";
/// The mode that was used.
pub const MODE: &str = "amikeep:mode";
/// How consistent it is; added when it is known.
pub const GRADE: &str = "amikeep:grade";
/// Where the application stood that was held still for it.
pub const POSITION: &str = "amikeep:position";
/// An image that an operator wants kept.
pub const PIN: &str = "amikeep:pin";
/// All tags of amikeep start with this.
pub const PREFIX: &str = "amikeep:";
/// The console's name column.
pub const NAME: &str = "Name";

/// The most tags a resource may carry (`CreateTags` in the EC2 API Reference).
pub const PER_RESOURCE_MAX: usize = 50;
/// The longest tag value, in characters.
pub const VALUE_LEN_MAX: usize = 256;

/// What identifies an image, as its tags say.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    /// Whose image it is.
    pub owner: &'a Owner,
    /// The instance it is taken of.
    pub instance: &'a InstanceId,
    /// The job.
    pub job: JobId,
    /// The nominal time.
    pub scheduled_at: Timestamp,
    /// The class.
    pub class: &'a ClassName,
    /// The mode.
    pub mode: Consistency,
}

/// The tags for an image and its snapshots. The policy's `tags` win over `copy_tags`, and amikeep's own win over both,
/// so that no copied tag can give an image a wrong identity. Tags of AWS (`aws:…`) cannot be set and are not copied.
pub fn for_image(identity: &Identity<'_>, policy: &Policy, instance: &Instance) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    let display_name = instance.name().unwrap_or(instance.id.as_str());
    tags.insert(NAME.to_owned(), clip(&format!("{display_name} {}", identity.scheduled_at)));
    for key in policy.copy_tags.iter().filter(|key| !key.starts_with("aws:") && !key.starts_with(PREFIX)) {
        if let Some(value) = instance.tags.get(key) {
            tags.insert(key.clone(), value.to_owned());
        }
    }
    tags.extend(policy.tags.iter().map(|(key, value)| (key.clone(), value.clone())));
    let own = [
        (OWNER, identity.owner.to_string()),
        (POLICY, policy.name.to_string()),
        (INSTANCE, identity.instance.to_string()),
        (JOB, identity.job.to_string()),
        (SCHEDULED_AT, identity.scheduled_at.to_string()),
        (CLASS, identity.class.to_string()),
        (MODE, identity.mode.to_string()),
    ];
    tags.extend(own.into_iter().map(|(key, value)| (key.to_owned(), value)));
    tags
}

/// The description of each snapshot that amikeep asks for by itself: what ties it to its job beside the tags, since a copy has
/// the tags and another description.
pub fn snapshot_description(key: &JobKey) -> String {
    format!("amikeep: {} of {} at {}, for an image", key.policy, key.instance, key.scheduled_at)
}

fn clip(value: &str) -> String {
    value.chars().take(VALUE_LEN_MAX).collect()
}
