//! How an instance is backed up, and why: what `explain` shows.
//!
//! Every decision is taken by the function that the daemon asks, with the facts of now at the time of a fire to come. So
//! it says what would happen if nothing changed until then.

mod answer;
mod near;
mod told;

use std::borrow::Cow;
use std::collections::BTreeMap;

use amikeep_domain::id::{AccountId, AccountName, PolicyName};
use amikeep_domain::instance;
use amikeep_domain::pause::Pause as DomainPause;
use amikeep_domain::policy::PolicySet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::capture::BySnapshots;
use crate::job::{JobError, Mode};
use crate::pause::Pause;
use crate::text::Time;

pub use crate::explain::told::{answer_facts, instance_facts, next_fires};

/// All that the explanation depends on.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// What is configured.
    pub policy_set: &'a PolicySet,
    /// Where the instance was found.
    pub found: &'a Found,
    /// The last job of each policy and account that succeeded for the instance.
    pub last_success: &'a BTreeMap<(PolicyName, AccountName), LastSuccess>,
    /// The pauses that are in force or may come to be.
    pub pauses: &'a [DomainPause],
    /// The present moment.
    pub now: Timestamp,
}

/// An instance, and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The configured names of the account; several may lead to the same one.
    pub account_names: Vec<AccountName>,
    /// The account.
    pub account: AccountId,
    /// The instance.
    pub instance: instance::Instance,
}

/// The answer of `explain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The instance.
    pub instance: Instance,
    /// The policies that match it.
    pub policies: Vec<Answer>,
    /// Policies that nearly match, and what is missing.
    pub near_misses: Vec<NearMiss>,
    /// Whether it can be imaged by its snapshots, which only EC2 can say; null if no freeze of these policies asks for that.
    pub capture_by_snapshots: Option<BySnapshots>,
}

/// The instance as EC2 describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Instance {
    /// Its id.
    pub instance_id: String,
    /// Its tag `Name`.
    pub name: Option<String>,
    /// The account, by its 12 digits.
    pub account: String,
    /// The configured name of the account.
    pub account_name: String,
    /// The region.
    pub region: String,
    /// Its state.
    pub state: &'static str,
    /// Its EBS volumes.
    pub volumes: Vec<AttachedVolume>,
    /// The disks of its type that no image captures; null when EC2 would not say.
    pub instance_store_disks: Option<u32>,
    /// The Auto Scaling group it belongs to.
    pub auto_scaling_group: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// An EBS volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttachedVolume {
    /// The device name.
    pub device: String,
    /// The volume.
    pub volume_id: String,
}

/// How one policy backs the instance up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The policy.
    pub policy: String,
    /// The configured name of the account it runs in.
    pub account_name: String,
    /// Whether it fires at all.
    pub enabled: bool,
    /// The class; null if the instance's own tag is refused.
    pub class: Option<String>,
    /// Where the class comes from: `policy`, or the `tag` of the instance.
    pub class_from: &'static str,
    /// Why the class calls for its mode.
    pub class_why: Option<String>,
    /// The pause that is in force for it now; null if there is none.
    pub paused: Option<Pause>,
    /// What the next fire would do, were nothing paused; of a policy without one, what a fire now would do.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The rules of retention.
    pub keep: String,
    /// The next fires, and what each would do.
    pub next_fires: Vec<NextFire>,
    /// The last job that succeeded.
    pub last_success: Option<LastSuccess>,
}

/// What a fire would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// `capture`, `wait`, `skip` or `fail`.
    pub decision: &'static str,
    /// The mode; what would be done is null where nothing would be.
    pub mode: Mode,
    /// The grade that the image should reach.
    pub expected_grade: Option<&'static str>,
    /// Why.
    pub reason: String,
    /// Until when it would wait, where that is known.
    pub wait_until: Option<Time>,
    /// The error it would fail with.
    pub error: Option<JobError>,
}

/// A fire to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NextFire {
    /// Its nominal time.
    pub scheduled_at: Time,
    /// When this instance starts: the nominal time and its share of the jitter.
    pub start_at: Time,
    /// The last moment at which it may start.
    pub start_by: Time,
    /// The pause that it falls into, by which it is skipped; null if there is none.
    pub paused: Option<Pause>,
    /// What it would do.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The last job that succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSuccess {
    /// The job.
    pub job_id: String,
    /// Its image.
    pub image_id: Option<String>,
    /// The time of the image.
    pub captured_at: Option<Time>,
    /// How good it is.
    pub grade: Option<Cow<'static, str>>,
}

/// A policy that nearly matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NearMiss {
    /// The policy.
    pub policy: String,
    /// What is missing, or in the way.
    pub missing: Vec<String>,
}

/// Explains.
pub fn explain(inputs: &Inputs<'_>) -> Explanation {
    Explanation {
        instance: describe(inputs),
        policies: answer::answers(inputs),
        near_misses: near::near_misses(inputs),
        capture_by_snapshots: None,
    }
}

fn describe(inputs: &Inputs<'_>) -> Instance {
    let Found { account_names, account, instance } = inputs.found;
    let account_name = account_names.first();
    let rules = account_name.and_then(|name| inputs.policy_set.accounts.get(name));
    let volume =
        |it: &instance::AttachedVolume| AttachedVolume { device: it.device.clone(), volume_id: it.volume.to_string() };
    Instance {
        instance_id: instance.id.to_string(),
        name: instance.name().map(str::to_owned),
        account: account.to_string(),
        account_name: account_name.map(ToString::to_string).unwrap_or_default(),
        region: rules.map(|it| it.region.to_string()).unwrap_or_default(),
        state: instance.state.as_str(),
        volumes: instance.volumes.iter().map(volume).collect(),
        instance_store_disks: instance.instance_store_disks,
        auto_scaling_group: instance.auto_scaling_group().map(str::to_owned),
        tags: instance.tags.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
    }
}

#[cfg(test)]
mod tests;
