//! What `plan` and `explain` want to know of what happened: pauses, and the last backup of an instance.

use std::collections::BTreeMap;

use amikeep_domain::id::{AccountName, InstanceId, PolicyName, RequestId};
use amikeep_domain::job::StateName;
use amikeep_domain::pause::{Pause, PauseScope};
use amikeep_ledger::HistoryFilter;
use amikeep_view::explain::LastSuccess;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ask::Source;
use crate::ask::question::{text, text_option};
use crate::exit::UsageError;

/// Enough to find the last one under each name of its account.
const LAST_JOBS_MAX: u32 = 20;
/// Policies that may match one instance. Whoever has more asks for more than a page shows.
const POLICIES_MAX: usize = 1_000;

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KnownQuestion {
    /// The pauses that are in force or ended after this.
    #[serde(with = "text")]
    pub(crate) pauses_since: Timestamp,
    /// The instance and the policies whose last backup of it is wanted.
    pub(crate) last_success: Option<LastOf>,
}

/// An instance, and the policies that back it up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LastOf {
    #[serde(with = "text")]
    instance: InstanceId,
    /// Their names.
    policies: Vec<String>,
}

impl LastOf {
    /// Of this instance, by these policies.
    pub(crate) fn new<'a>(instance: InstanceId, policies: impl Iterator<Item = &'a PolicyName>) -> Self {
        Self { instance, policies: policies.map(ToString::to_string).collect() }
    }
}

/// What is known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Known {
    pauses: Vec<KnownPause>,
    last_success: Vec<KnownSuccess>,
}

/// A pause as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownPause {
    #[serde(with = "text")]
    id: RequestId,
    /// Neither of the two: everything.
    #[serde(with = "text_option")]
    policy: Option<PolicyName>,
    #[serde(with = "text_option")]
    instance: Option<InstanceId>,
    #[serde(with = "text")]
    since: Timestamp,
    #[serde(with = "text_option")]
    until: Option<Timestamp>,
    reason: Option<String>,
    #[serde(with = "text_option")]
    ended_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownSuccess {
    #[serde(with = "text")]
    policy: PolicyName,
    #[serde(with = "text")]
    account_name: AccountName,
    job: LastSuccess,
}

impl Known {
    /// The pauses, oldest first.
    pub(crate) fn pauses(&self) -> Vec<Pause> {
        self.pauses.iter().cloned().map(Pause::from).collect()
    }

    /// The last job of each policy and account that succeeded.
    pub(crate) fn last_success(self) -> BTreeMap<(PolicyName, AccountName), LastSuccess> {
        self.last_success.into_iter().map(|it| ((it.policy, it.account_name), it.job)).collect()
    }
}

impl From<Pause> for KnownPause {
    fn from(pause: Pause) -> Self {
        let Pause { id, scope, since, until, reason, ended_at } = pause;
        let (policy, instance) = match scope {
            PauseScope::All => (None, None),
            PauseScope::Policy(policy) => (Some(policy), None),
            PauseScope::Instance(instance) => (None, Some(instance)),
        };
        Self { id, policy, instance, since, until, reason, ended_at }
    }
}

impl From<KnownPause> for Pause {
    fn from(pause: KnownPause) -> Self {
        let KnownPause { id, policy, instance, since, until, reason, ended_at } = pause;
        let policy = policy.map(PauseScope::Policy);
        let scope = policy.or(instance.map(PauseScope::Instance)).unwrap_or(PauseScope::All);
        Self { id, scope, since, until, reason, ended_at }
    }
}

/// Answers it.
pub(super) async fn answer(question: &KnownQuestion, source: &Source<'_>) -> anyhow::Result<Known> {
    let pauses = source.ledger.pauses_since(question.pauses_since).await?;
    let mut known = Known { pauses: pauses.into_iter().map(KnownPause::from).collect(), last_success: Vec::new() };
    let Some(LastOf { instance, policies }) = &question.last_success else { return Ok(known) };
    if POLICIES_MAX < policies.len() {
        return Err(UsageError(format!("more than {POLICIES_MAX} policies are asked about")).into());
    }
    for name in policies {
        let filter = HistoryFilter {
            policy: Some(name.parse()?),
            instance: Some(instance.clone()),
            state: Some(StateName::Succeeded),
            ..HistoryFilter::default()
        };
        // Newest first, so the first of each account is the last that succeeded.
        for job in source.ledger.history(&filter, LAST_JOBS_MAX, None).await?.rows {
            let is_there = |it: &KnownSuccess| it.policy == job.key.policy && it.account_name == job.account_name;
            if !known.last_success.iter().any(is_there) {
                let (policy, account_name) = (job.key.policy.clone(), job.account_name.clone());
                known.last_success.push(KnownSuccess { policy, account_name, job: LastSuccess::from(&job) });
            }
        }
    }
    Ok(known)
}
