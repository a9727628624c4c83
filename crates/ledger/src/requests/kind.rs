//! The kinds of requests, and their JSON. As everywhere in the ledger, what is read goes through the domain's constructors.

use amikeep_domain::class::Consistency;
use amikeep_domain::id::{AccountName, ImageId, InstanceId, JobId, PolicyName};
use amikeep_domain::pause::PauseScope;
use amikeep_domain::prune::Released;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::field::{Unreadable, word};
use crate::stored;

/// What an operator can ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestKind {
    /// `amikeep backup`: one image of one instance, now.
    Backup {
        /// The instance.
        instance: InstanceId,
        /// The policy to which the image belongs.
        policy: PolicyName,
        /// The account, where the operator named one.
        account: Option<AccountName>,
        /// The consistency, where the operator asked for one.
        consistency: Option<Consistency>,
    },
    /// `amikeep prune`: retention, now.
    Prune {
        /// This policy alone.
        policy: Option<PolicyName>,
        /// What may go beyond `max_deletes`: what the operator saw and released.
        released: Released,
    },
    /// `amikeep pause`.
    Pause {
        /// What is paused.
        scope: PauseScope,
        /// Until when, if not until it is resumed.
        until: Option<Timestamp>,
        /// Why, in the operator's words.
        reason: Option<String>,
    },
    /// `amikeep resume`.
    Resume {
        /// What is resumed.
        scope: PauseScope,
    },
    /// `amikeep cancel`.
    Cancel {
        /// The job that is not to go on.
        job: JobId,
    },
    /// `amikeep pin`: the image is kept until it is unpinned.
    Pin {
        /// The image.
        image: ImageId,
        /// The account, where the operator named one.
        account: Option<AccountName>,
    },
    /// `amikeep unpin`.
    Unpin {
        /// The image.
        image: ImageId,
        /// The account, where the operator named one.
        account: Option<AccountName>,
    },
}

/// The words of the column `kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Backup,
    Prune,
    Pause,
    Resume,
    Cancel,
    Pin,
    Unpin,
}

impl Word {
    pub(crate) const ALL: [Self; 7] =
        [Self::Backup, Self::Prune, Self::Pause, Self::Resume, Self::Cancel, Self::Pin, Self::Unpin];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Prune => "prune",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::Pin => "pin",
            Self::Unpin => "unpin",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredBackup {
    instance: String,
    policy: String,
    account: Option<String>,
    consistency: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPrune {
    policy: Option<String>,
    /// Images.
    released: Vec<String>,
    /// Jobs, of whose snapshots no image was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    released_sets: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPause {
    scope: String,
    name: Option<String>,
    until: Option<String>,
    reason: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredResume {
    scope: String,
    name: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredCancel {
    job: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPin {
    image: String,
    account: Option<String>,
}

/// The columns `kind` and `data`.
pub(crate) fn encode(kind: &RequestKind) -> (&'static str, String) {
    let (word, json) = match kind {
        RequestKind::Backup { instance, policy, account, consistency } => {
            let stored = StoredBackup {
                instance: instance.to_string(),
                policy: policy.to_string(),
                account: account.as_ref().map(ToString::to_string),
                consistency: consistency.map(|it| it.to_string()),
            };
            (Word::Backup, stored::to_json(&stored))
        }
        RequestKind::Prune { policy, released } => {
            let policy = policy.as_ref().map(ToString::to_string);
            let released_sets = released.sets.iter().map(ToString::to_string).collect();
            let released = released.images.iter().map(ToString::to_string).collect();
            (Word::Prune, stored::to_json(&StoredPrune { policy, released, released_sets }))
        }
        RequestKind::Pause { scope, until, reason } => {
            let until = until.as_ref().map(stored::text);
            let (scope, name) = encode_scope(scope);
            (Word::Pause, stored::to_json(&StoredPause { scope, name, until, reason: reason.clone() }))
        }
        RequestKind::Resume { scope } => {
            let (scope, name) = encode_scope(scope);
            (Word::Resume, stored::to_json(&StoredResume { scope, name }))
        }
        RequestKind::Cancel { job } => (Word::Cancel, stored::to_json(&StoredCancel { job: job.to_string() })),
        RequestKind::Pin { image, account } => (Word::Pin, encode_pin(image, account.as_ref())),
        RequestKind::Unpin { image, account } => (Word::Unpin, encode_pin(image, account.as_ref())),
    };
    (word.as_str(), json)
}

fn encode_scope(scope: &PauseScope) -> (String, Option<String>) {
    let (scope, name) = scope_words(scope);
    (scope.to_owned(), name.map(str::to_owned))
}

fn encode_pin(image: &ImageId, account: Option<&AccountName>) -> String {
    stored::to_json(&StoredPin { image: image.to_string(), account: account.map(ToString::to_string) })
}

pub(crate) fn decode(word: Word, json: &str) -> Result<RequestKind, Unreadable> {
    Ok(match word {
        Word::Backup => decode_backup(json)?,
        Word::Prune => {
            let stored: StoredPrune = serde_json::from_str(json)?;
            let released = Released {
                images: stored.released.iter().map(|it| it.parse()).collect::<Result<_, _>>()?,
                sets: stored.released_sets.iter().map(|it| it.parse()).collect::<Result<_, _>>()?,
            };
            RequestKind::Prune { policy: stored.policy.map(|it| it.parse()).transpose()?, released }
        }
        Word::Pause => {
            let stored: StoredPause = serde_json::from_str(json)?;
            let scope = scope_from_words(&stored.scope, stored.name.as_deref())?;
            let until = stored.until.as_deref().map(stored::time).transpose()?;
            RequestKind::Pause { scope, until, reason: stored.reason }
        }
        Word::Resume => {
            let stored: StoredResume = serde_json::from_str(json)?;
            RequestKind::Resume { scope: scope_from_words(&stored.scope, stored.name.as_deref())? }
        }
        Word::Cancel => {
            let stored: StoredCancel = serde_json::from_str(json)?;
            RequestKind::Cancel { job: stored.job.parse()? }
        }
        Word::Pin => decode_pin(json).map(|(image, account)| RequestKind::Pin { image, account })?,
        Word::Unpin => decode_pin(json).map(|(image, account)| RequestKind::Unpin { image, account })?,
    })
}

fn decode_backup(json: &str) -> Result<RequestKind, Unreadable> {
    let stored: StoredBackup = serde_json::from_str(json)?;
    let consistency = stored.consistency.map(|it| word(&it, &Consistency::ALL, Consistency::as_str));
    Ok(RequestKind::Backup {
        instance: stored.instance.parse()?,
        policy: stored.policy.parse()?,
        account: stored.account.map(|it| it.parse()).transpose()?,
        consistency: consistency.transpose()?,
    })
}

fn decode_pin(json: &str) -> Result<(ImageId, Option<AccountName>), Unreadable> {
    let stored: StoredPin = serde_json::from_str(json)?;
    Ok((stored.image.parse()?, stored.account.map(|it| it.parse()).transpose()?))
}

/// How a scope is stored: a word, and the name of what it means.
pub(crate) fn scope_words(scope: &PauseScope) -> (&'static str, Option<&str>) {
    match scope {
        PauseScope::All => ("all", None),
        PauseScope::Policy(policy) => ("policy", Some(policy.as_str())),
        PauseScope::Instance(instance) => ("instance", Some(instance.as_str())),
    }
}

pub(crate) fn scope_from_words(scope: &str, name: Option<&str>) -> Result<PauseScope, Unreadable> {
    match (scope, name) {
        ("all", None) => Ok(PauseScope::All),
        ("policy", Some(name)) => Ok(PauseScope::Policy(name.parse()?)),
        ("instance", Some(name)) => Ok(PauseScope::Instance(name.parse()?)),
        _ => Err(Unreadable),
    }
}
