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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{at, instance, job, job_id, policy};

    /// Of an instance with these tags, by a policy that copies these keys.
    fn tags(instance_tags: &[(&str, &str)], copied: &[&str], set: &[(&str, &str)]) -> BTreeMap<String, String> {
        let instance = Instance { tags: instance_tags.iter().copied().collect(), ..instance(1) };
        let mut policy = policy("db-nightly");
        policy.copy_tags = copied.iter().map(|&key| key.to_owned()).collect();
        policy.tags = set.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let identity = Identity {
            owner: &"prod".parse().unwrap(),
            instance: &instance.id,
            job: job_id(1),
            scheduled_at: at("2026-11-22T02:00:00Z"),
            class: &policy.class,
            mode: Consistency::Reboot,
        };
        for_image(&identity, &policy, &instance)
    }

    #[test]
    fn an_image_says_whose_it_is_and_how_it_was_made() {
        let tags = tags(&[("Name", "db-1")], &[], &[]);
        let tags: Vec<_> = tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(
            tags,
            [
                ("Name", "db-1 2026-11-22T02:00:00Z"),
                ("amikeep:class", "production-database"),
                ("amikeep:instance", "i-00000000000000001"),
                ("amikeep:job", job_id(1).to_string().as_str()),
                ("amikeep:mode", "reboot"),
                ("amikeep:owner", "prod"),
                ("amikeep:policy", "db-nightly"),
                ("amikeep:scheduled-at", "2026-11-22T02:00:00Z"),
            ]
        );
    }

    #[test]
    fn tags_are_copied_but_for_those_of_aws_and_of_amikeep() {
        let instance_tags =
            [("Cost", "7"), ("Other", "x"), ("aws:stack", "s"), ("amikeep:class", "y"), ("amikeep:z", "z")];
        let tags = tags(&instance_tags, &["Cost", "Absent", "aws:stack", "amikeep:class", "amikeep:z"], &[]);
        assert_eq!(tags.get("Cost").map(String::as_str), Some("7"));
        assert_eq!(tags[CLASS], "production-database");
        for key in ["Other", "Absent", "aws:stack", "amikeep:z"] {
            assert!(!tags.contains_key(key), "{key}");
        }
    }

    #[test]
    fn tags_of_the_policy_win_over_copied_ones_and_those_of_amikeep_over_both() {
        let tags = tags(&[("Cost", "7")], &["Cost"], &[("Cost", "8"), (JOB, "forged")]);
        assert_eq!((tags["Cost"].as_str(), tags[JOB].as_str()), ("8", job_id(1).to_string().as_str()));
    }

    #[test]
    fn a_name_that_is_too_long_for_a_tag_is_cut_between_characters() {
        let name = "é".repeat(VALUE_LEN_MAX);
        assert_eq!(tags(&[("Name", &name)], &[], &[])[NAME], name);
    }

    #[test]
    fn a_snapshot_says_in_its_description_what_it_is_for() {
        assert_eq!(
            snapshot_description(&job(1, &policy("db-nightly")).key),
            "amikeep: db-nightly of i-00000000000000001 at 2026-11-22T02:00:00Z, for an image"
        );
    }
}
