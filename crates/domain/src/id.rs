//! Identifiers. Each is parsed once, at the edge; inside the core no bare `String` is an id.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

/// Why a text is not the identifier it should be. The message fits after "expected".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {kind}: {allowed}")]
pub struct InvalidId {
    /// What was expected, with its article: "an instance id".
    pub kind: &'static str,
    /// The text that was given.
    pub text: String,
    /// What would be allowed.
    pub allowed: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $allowed:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidId { kind: $kind, text: text.to_owned(), allowed: $allowed })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

/// EC2 resource ids are a prefix and 8 or 17 hexadecimal digits; longer ones are let through since EC2 has changed
/// the length before (from 8 to 17 in 2016).
fn is_resource_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|digits| {
        (8..=32).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

fn is_label(text: &str, len_max: usize) -> bool {
    (1..=len_max).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

text_id!(
    /// Whose images these are: one per installation. Part of every image name and tag.
    Owner, "an owner", "1 to 12 of a-z, 0-9 and -", |text| is_label(text, 12)
);
text_id!(
    /// The name of a policy, the key under `[policies.…]`.
    PolicyName, "a policy name", "1 to 64 of a-z, 0-9 and -", |text| is_label(text, 64)
);
text_id!(
    /// The name of a workload class, built in or from `[classes.…]`.
    ClassName, "a class name", "1 to 64 of a-z, 0-9 and -", |text| is_label(text, 64)
);
text_id!(
    /// The name of a freeze recipe, the key under `[freezes.…]`.
    FreezeName, "a freeze name", "1 to 64 of a-z, 0-9 and -", |text| is_label(text, 64)
);
text_id!(
    /// The name under `[accounts.…]`: one set of credentials in one region.
    AccountName, "an account name", "1 to 64 of a-z, A-Z, 0-9, _ and -",
    |text| (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
);
text_id!(
    /// The 12 digits by which AWS knows an account.
    AccountId, "an account id", "12 digits",
    |text| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
);
text_id!(
    /// An AWS region such as `eu-central-1`.
    Region, "a region", "a name such as eu-central-1",
    |text| is_label(text, 32) && text.contains('-') && text.ends_with(|c: char| c.is_ascii_digit())
);
text_id!(
    /// An EC2 instance, `i-…`.
    InstanceId, "an instance id", "i- and 8 or 17 hexadecimal digits", |text| is_resource_id(text, "i-")
);
text_id!(
    /// An Amazon Machine Image, `ami-…`.
    ImageId, "an image id", "ami- and 8 or 17 hexadecimal digits", |text| is_resource_id(text, "ami-")
);
text_id!(
    /// An EBS snapshot, `snap-…`.
    SnapshotId, "a snapshot id", "snap- and 8 or 17 hexadecimal digits", |text| is_resource_id(text, "snap-")
);
text_id!(
    /// An EBS volume, `vol-…`.
    VolumeId, "a volume id", "vol- and 8 or 17 hexadecimal digits", |text| is_resource_id(text, "vol-")
);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        // As a number, whose order is that of the bytes: maps of tens of thousands are searched in every tick.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// Version 7, so ids sort by the time they were made. Time and randomness come from the caller.
            pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
                let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).as_uuid().as_u128())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                uuid::Uuid::try_parse(text)
                    .map(|uuid| Self(uuid.as_u128()))
                    .map_err(|_| InvalidId { kind: $kind, text: text.to_owned(), allowed: "a UUID" })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                uuid::Uuid::from_u128(self.0).hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&uuid::Uuid::from_u128(self.0)).finish()
            }
        }
    };
}

uuid_id!(
    /// One job: one instance, one fire.
    JobId, "a job id"
);
uuid_id!(
    /// One request of an operator, such as `amikeep backup`.
    RequestId, "a request id"
);
uuid_id!(
    /// One deletion of an image and its snapshots.
    DeletionId, "a deletion id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_refuse_what_ec2_would_never_send() {
        assert!("i-0123456789abcdef0".parse::<InstanceId>().is_ok());
        assert!("i-12345678".parse::<InstanceId>().is_ok());
        for bad in ["", "i-", "i-1234567", "i-0123456789ABCDEF0", "ami-0123456789abcdef0", " i-12345678"] {
            assert!(bad.parse::<InstanceId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn job_ids_sort_by_time() {
        let early = JobId::new(Timestamp::from_second(1_700_000_000).unwrap(), [255; 10]);
        let late = JobId::new(Timestamp::from_second(1_700_000_001).unwrap(), [0; 10]);
        assert!(early < late && early.to_string() < late.to_string());
        assert_eq!(early.to_string().parse::<JobId>().unwrap(), early);
    }

    #[test]
    fn a_malformed_id_says_what_is_allowed() {
        let error = "Prod FRA".parse::<Owner>().unwrap_err();
        assert_eq!(error.to_string(), "`Prod FRA` is not an owner: 1 to 12 of a-z, 0-9 and -");
    }
}
