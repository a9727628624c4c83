//! The questions, in the types of the domain. Between two programs a value is its text, since the domain has no serde.

use amikeep_domain::id::{InstanceId, PolicyName};
use amikeep_domain::job::StateName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ask::known::KnownQuestion;

/// What can be asked. None of it can change anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Question {
    /// `amikeep history`.
    History(HistoryQuestion),
    /// `amikeep show`.
    Show(ShowQuestion),
    /// `amikeep images`.
    Images(ImagesQuestion),
    /// `amikeep pause` without a scope.
    Pauses,
    /// What `plan` and `explain` want to know.
    Known(KnownQuestion),
}

/// Which rows of what happened, and from where on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistoryQuestion {
    pub(crate) listed: Listed,
    #[serde(with = "text_option")]
    pub(crate) policy: Option<PolicyName>,
    #[serde(with = "text_option")]
    pub(crate) instance: Option<InstanceId>,
    #[serde(with = "text_option")]
    pub(crate) state: Option<StateName>,
    /// Not before this.
    #[serde(with = "text_option")]
    pub(crate) since: Option<Timestamp>,
    /// Before this.
    #[serde(with = "text_option")]
    pub(crate) until: Option<Timestamp>,
    /// At most so many rows.
    pub(crate) limit: u32,
    /// Where the last page ended.
    pub(crate) cursor: Option<String>,
}

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Listed {
    Jobs,
    Fires,
    Sums,
}

/// Which job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShowQuestion {
    /// Its id, or a part of it.
    pub(crate) job: String,
}

/// Which images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImagesQuestion {
    #[serde(with = "text_option")]
    pub(crate) policy: Option<PolicyName>,
    #[serde(with = "text_option")]
    pub(crate) instance: Option<InstanceId>,
}

/// A value as its text.
pub(super) mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The same of a value that may be missing.
pub(super) mod text_option {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde gives it so")]
    pub(crate) fn serialize<T: Display, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        value.as_ref().map(ToString::to_string).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        Option::<String>::deserialize(deserializer)?.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}
