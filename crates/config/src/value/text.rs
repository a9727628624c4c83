//! Identifiers, words of a fixed set, and other short texts.

use std::str::FromStr;

use amikeep_domain::class::{Consistency, IfBlocked};
use amikeep_domain::freeze::{Application, CaptureBy, MysqlLock, Via};
use amikeep_domain::id::{
    AccountId, AccountName, ClassName, FreezeName, InstanceId, InvalidId, Owner, PolicyName, Region,
};
use amikeep_domain::pattern::Pattern;
use amikeep_domain::tags;
use serde_json::{Value as Json, json};

use crate::suggest;
use crate::value::{Refusal, Text};

impl From<InvalidId> for Refusal {
    fn from(invalid: InvalidId) -> Self {
        Self::new(format!("`{}` is not {}", invalid.text, invalid.kind)).allow(invalid.allowed)
    }
}

/// Identifiers of the domain, with the pattern by which an editor can check them.
macro_rules! identifiers {
    ($($type:ty, $expected:literal, $pattern:literal;)+) => {
        $(impl Text for $type {
            const EXPECTED: &'static str = $expected;

            fn constraints() -> Json {
                json!({ "pattern": $pattern })
            }

            fn parse(text: &str) -> Result<Self, Refusal> {
                Self::from_str(text).map_err(Refusal::from)
            }
        })+
    };
}

identifiers! {
    Owner, "an owner", "^[a-z0-9-]{1,12}$";
    PolicyName, "a policy name", "^[a-z0-9-]{1,64}$";
    ClassName, "a class name", "^[a-z0-9-]{1,64}$";
    FreezeName, "a freeze name", "^[a-z0-9-]{1,64}$";
    AccountName, "an account name", "^[A-Za-z0-9_-]{1,64}$";
    AccountId, "an account id in quotes", "^[0-9]{12}$";
    Region, "a region", "^[a-z0-9-]*-[a-z0-9-]*[0-9]$";
    InstanceId, "an instance id", "^i-[0-9a-f]{8,32}$";
}

/// Words of a fixed set.
macro_rules! words {
    ($($type:ty, $expected:literal;)+) => {
        $(impl Text for $type {
            const EXPECTED: &'static str = $expected;

            fn constraints() -> Json {
                json!({ "enum": Self::ALL.map(Self::as_str) })
            }

            fn parse(text: &str) -> Result<Self, Refusal> {
                let word = Self::ALL.into_iter().find(|word| word.as_str() == text);
                word.ok_or_else(|| not_a_word(text, $expected, &Self::ALL.map(Self::as_str)))
            }
        })+
    };
}

words! {
    Consistency, "a mode";
    IfBlocked, "an answer to a blocked mode";
    Via, "a way to reach the instance";
    Application, "an application";
    CaptureBy, "a way to take the image";
    MysqlLock, "a way to hold MySQL";
}

fn not_a_word(text: &str, expected: &str, words: &[&str]) -> Refusal {
    Refusal::new(format!("`{text}` is not {expected}"))
        .allow(words.join(", "))
        .suggest(suggest::did_you_mean(suggest::nearest(text, words)))
}

/// A text that may say anything but nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NonEmpty(pub(crate) String);

impl Text for NonEmpty {
    const EXPECTED: &'static str = "a text";

    fn constraints() -> Json {
        json!({ "minLength": 1 })
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        if text.trim().is_empty() {
            return Err(Refusal::new("is empty").suggest(Some("give it a value, or leave the key out".to_owned())));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The name of a device in an instance's block device mapping: `/dev/sdf`, `xvdb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceName(pub(crate) String);

impl Text for DeviceName {
    const EXPECTED: &'static str = "a device name in quotes";

    fn constraints() -> Json {
        json!({ "pattern": "^[A-Za-z0-9/_-]+$" })
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let is_known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-');
        if text.is_empty() || !text.bytes().all(is_known) {
            return Err(Refusal::new(format!("`{text}` is not a device name"))
                .allow("the name by which EC2 shows the volume as attached, such as /dev/sdf"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Text for Pattern {
    const EXPECTED: &'static str = "a value, * and ? being wildcards,";

    fn parse(text: &str) -> Result<Self, Refusal> {
        check_tag_value(text)?;
        Ok(Self::new(text))
    }
}

/// The longest tag key, in characters (`Tag` in the EC2 API Reference).
const TAG_KEY_LEN_MAX: usize = 127;

/// A tag key to look for. AWS's own (`aws:…`) and ours are as good as any.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SoughtTag(pub(crate) String);

/// A tag key to set. AWS refuses its own prefix, and a tag of ours with a foreign value would give an image a false
/// identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SetTag(pub(crate) String);

impl Text for SoughtTag {
    const EXPECTED: &'static str = "a tag key";

    fn constraints() -> Json {
        json!({ "minLength": 1, "maxLength": TAG_KEY_LEN_MAX })
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        check_tag_key(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl Text for SetTag {
    const EXPECTED: &'static str = "a tag key";

    fn constraints() -> Json {
        json!({ "minLength": 1, "maxLength": TAG_KEY_LEN_MAX, "not": { "pattern": "^([aA][wW][sS]:|amikeep:)" } })
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        check_tag_key(text)?;
        let lower = text.to_ascii_lowercase();
        if lower.starts_with("aws:") {
            return Err(Refusal::new(format!("`{text}`: tags that begin with `aws:` can only be set by AWS")));
        }
        if lower.starts_with(tags::PREFIX) {
            let message = format!("`{text}`: tags that begin with `{}` are set by amikeep alone", tags::PREFIX);
            return Err(Refusal::new(message));
        }
        Ok(Self(text.to_owned()))
    }
}

fn check_tag_key(text: &str) -> Result<(), Refusal> {
    match text.chars().count() {
        1..=TAG_KEY_LEN_MAX => Ok(()),
        0 => Err(Refusal::new("a tag key is empty").allow(format!("1 to {TAG_KEY_LEN_MAX} characters"))),
        len => {
            Err(Refusal::new(format!("a tag key of {len} characters"))
                .allow(format!("1 to {TAG_KEY_LEN_MAX} characters")))
        }
    }
}

/// A tag value to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TagValue(pub(crate) String);

impl Text for TagValue {
    const EXPECTED: &'static str = "a tag value in quotes";

    fn constraints() -> Json {
        json!({ "maxLength": tags::VALUE_LEN_MAX })
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        check_tag_value(text)?;
        Ok(Self(text.to_owned()))
    }
}

fn check_tag_value(text: &str) -> Result<(), Refusal> {
    match text.chars().count() {
        len if len <= tags::VALUE_LEN_MAX => Ok(()),
        len => Err(Refusal::new(format!("a tag value of {len} characters"))
            .allow(format!("at most {} characters", tags::VALUE_LEN_MAX))),
    }
}
