//! Image names: the idempotency key that `CreateImage` itself does not have.
//!
//! EC2 takes no client token for `CreateImage`, but an image name is unique per account and region. A name that
//! follows from the job alone lets a crashed daemon find the image it may have made, and makes EC2 refuse a second
//! one. The names keep to what both EC2's reference and its list of error codes allow: letters, digits and `- _ . / ( )`,
//! 3 to 127 characters.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::id::{InstanceId, InvalidId, Owner, PolicyName};

/// The name of an image that amikeep makes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageName(String);

impl ImageName {
    /// The most characters that both of EC2's statements allow.
    pub const LEN_MAX: usize = 127;

    /// The name for one fire and instance. `number` counts images of the same job from 1; a further one exists only
    /// after EC2 itself reported the one before as failed.
    pub fn for_backup(
        owner: &Owner,
        policy: &PolicyName,
        instance: &InstanceId,
        scheduled_at: Timestamp,
        number: ImageNumber,
    ) -> Self {
        let when = TimeZone::UTC.to_datetime(scheduled_at).strftime("%Y%m%dT%H%M%SZ").to_string();
        let base = format!("amikeep-{owner}-{policy}-{instance}-{when}");
        Self(if number == ImageNumber::FIRST { base } else { format!("{base}-a{}", number.0) })
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ImageName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_./()".contains(&b);
        if (3..=Self::LEN_MAX).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            let allowed = "3 to 127 letters, digits and - _ . / ( )";
            Err(InvalidId { kind: "an image name", text: text.to_owned(), allowed })
        }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Which image of a job this is, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageNumber(u32);

impl ImageNumber {
    /// The only one of nearly every job.
    pub const FIRST: Self = Self(1);

    /// The next, after EC2 reported this one as failed.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// As a number.
    pub fn get(self) -> u32 {
        self.0
    }

    /// From a stored number; zero is none.
    pub fn from_stored(number: u32) -> Option<Self> {
        (number >= 1).then_some(Self(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(owner: &str, policy: &str, number: ImageNumber) -> ImageName {
        let scheduled_at: Timestamp = "2026-11-22T01:00:00Z".parse().unwrap();
        let instance = "i-0123456789abcdef0".parse().unwrap();
        ImageName::for_backup(&owner.parse().unwrap(), &policy.parse().unwrap(), &instance, scheduled_at, number)
    }

    #[test]
    fn the_name_follows_from_the_job_alone() {
        assert_eq!(
            name("prod-fra", "db-nightly", ImageNumber::FIRST).as_str(),
            "amikeep-prod-fra-db-nightly-i-0123456789abcdef0-20261122T010000Z"
        );
        assert!(name("prod-fra", "db-nightly", ImageNumber::FIRST.next()).as_str().ends_with("T010000Z-a2"));
    }

    #[test]
    fn the_longest_name_is_one_that_ec2_accepts() {
        let longest = name("o23456789012", &"p".repeat(64), ImageNumber(99));
        assert!(longest.as_str().parse::<ImageName>().is_ok(), "{longest}");
    }

    #[test]
    fn text_that_no_backup_is_named_by_is_refused() {
        for refused in ["ab", "a b c", "amikeep-ü", &"x".repeat(ImageName::LEN_MAX + 1)] {
            assert!(refused.parse::<ImageName>().is_err(), "{refused}");
        }
        assert!("x".repeat(ImageName::LEN_MAX).parse::<ImageName>().is_ok());
    }

    #[test]
    fn images_of_a_job_are_counted_from_one() {
        assert_eq!(ImageNumber::from_stored(0), None);
        assert_eq!(ImageNumber::from_stored(1), Some(ImageNumber::FIRST));
        assert_eq!(ImageNumber::from_stored(2), Some(ImageNumber::FIRST.next()));
    }
}
