//! What the daemon tells as it goes: how its loop stands, what reloads came to, what holds and prunes came to.
//!
//! It is told often and asked seldom. Each is a moment under a lock that is never held for anything but a copy, since the
//! engine's loop tells it from its own task.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amikeep_domain::freeze::HoldSeen;
use amikeep_domain::id::{AccountId, AccountName, Owner, PolicyName, Region};
use amikeep_domain::policy::PolicySet;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::holds::Holds;

/// What does not change while the daemon runs.
#[derive(Debug, Clone)]
pub struct About {
    /// The version of amikeep.
    pub version: &'static str,
    /// Whose images these are.
    pub owner: Owner,
    /// When it was started.
    pub started_at: Timestamp,
}

/// How the engine's loop stood when it was last heard of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stand {
    /// Pauses that are in force.
    pub paused: usize,
    /// Why nothing is done: the ledger fails.
    pub trouble: Option<String>,
    /// Whether the last backup of the ledger failed.
    pub ledger_backup_failed: bool,
    /// What holds could not thaw and may still be frozen, each with the command that thaws it.
    pub left_frozen: Vec<String>,
    /// When it last looked whether anything is to be done.
    pub ticked_at: Option<Timestamp>,
}

/// Calls of one action with one outcome, since the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallFigure {
    /// The account that was called.
    pub account_name: AccountName,
    /// The action, as AWS calls it.
    pub action: String,
    /// How it ended, in a word.
    pub outcome: &'static str,
    /// How many.
    pub count: u64,
}

/// How long calls of one action have waited for room in a request limit, since the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitFigure {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// The action, as AWS calls it.
    pub action: String,
    /// All waits together.
    pub waited: Duration,
}

/// How far the host's clock is ahead of that of AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkewFigure {
    /// The account that answered.
    pub account_name: AccountName,
    /// Negative where the host's clock is behind.
    pub ahead: SignedDuration,
}

/// Where figures are asked for that others keep. Each must answer at once.
pub trait Sources: fmt::Debug + Send + Sync + 'static {
    /// The time.
    fn now(&self) -> Timestamp;

    /// Every call to AWS.
    fn calls(&self) -> Vec<CallFigure>;

    /// Every wait for a request limit.
    fn waits(&self) -> Vec<WaitFigure>;

    /// The clocks, as the last answers showed them.
    fn skews(&self) -> Vec<SkewFigure>;
}

/// What a prune could not or would not let go.
#[derive(Debug, Clone, Default)]
pub struct HeldBack {
    /// The accounts that were looked at.
    pub accounts: BTreeSet<AccountName>,
    /// The policies that have images there.
    pub policies: BTreeSet<PolicyName>,
    /// Images that a guard holds back, by account, policy and the guard's word.
    pub by_guard: BTreeMap<(AccountName, PolicyName, &'static str), u64>,
    /// Policies of which nothing is deleted, since more would go than they allow, and how many that would be.
    pub over_limit: BTreeMap<PolicyName, u64>,
}

/// What reloads of the configuration came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reloads {
    pub(crate) failed: u64,
    pub(crate) last_failed: bool,
    /// The start counts: what is in force was read then.
    pub(crate) last_success_at: Timestamp,
}

/// What is known of a running daemon beside its ledger.
#[derive(Debug)]
pub struct Board {
    pub(crate) about: About,
    pub(crate) sources: Box<dyn Sources>,
    pub(crate) holds: Holds,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Told {
    heard: Option<(Instant, Stand)>,
    policy_set: Arc<PolicySet>,
    reloads: Reloads,
    held_back: HeldBack,
}

impl Board {
    /// Of a daemon that starts with these policies in force.
    pub fn new(about: About, policy_set: Arc<PolicySet>, sources: Box<dyn Sources>) -> Self {
        let reloads = Reloads { failed: 0, last_failed: false, last_success_at: about.started_at };
        let holds = Holds::default();
        holds.expect(&policy_set);
        let told = Told { heard: None, policy_set, reloads, held_back: HeldBack::default() };
        Self { about, sources, holds, told: Mutex::new(told) }
    }

    /// The loop is alive, and stands like this.
    pub fn beat(&self, stand: Stand) {
        self.told().heard = Some((Instant::now(), stand));
    }

    /// Another configuration is in force.
    pub fn reloaded(&self, policy_set: Arc<PolicySet>) {
        self.holds.expect(&policy_set);
        let now = self.sources.now();
        let mut told = self.told();
        told.policy_set = policy_set;
        told.reloads = Reloads { last_failed: false, last_success_at: now, ..told.reloads };
    }

    /// A configuration was refused.
    pub fn reload_failed(&self) {
        let reloads = &mut self.told().reloads;
        (reloads.failed, reloads.last_failed) = (reloads.failed + 1, true);
    }

    /// An instance was held still, or could not be.
    pub fn held(&self, seen: &HoldSeen) {
        self.holds.add(seen);
    }

    /// Retention was applied to some accounts. What is known of others stays.
    pub fn pruned(&self, seen: HeldBack) {
        let known = &mut self.told().held_back;
        known.by_guard.retain(|(account, _, _), _| !seen.accounts.contains(account));
        known.by_guard.extend(seen.by_guard);
        known.over_limit.retain(|policy, _| !seen.policies.contains(policy));
        known.over_limit.extend(seen.over_limit);
    }

    /// How the loop stood, and how long ago that was; `None` before the first sign of life.
    pub(crate) fn heard(&self) -> Option<(Duration, Stand)> {
        self.told().heard.as_ref().map(|(at, stand)| (at.elapsed(), stand.clone()))
    }

    pub(crate) fn policy_set(&self) -> Arc<PolicySet> {
        Arc::clone(&self.told().policy_set)
    }

    pub(crate) fn reloads(&self) -> Reloads {
        self.told().reloads
    }

    pub(crate) fn held_back(&self) -> HeldBack {
        self.told().held_back.clone()
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // Each is told whole, so a panic elsewhere leaves nothing half said.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
