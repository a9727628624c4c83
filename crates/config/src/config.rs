//! What a valid file says, in the types of the domain. A value of these types has passed every check.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use amikeep_domain::id::{AccountId, AccountName, Owner, Region};
use amikeep_domain::policy::PolicySet;
use jiff::SignedDuration;

/// A valid configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The daemon itself, `[daemon]`.
    pub daemon: Daemon,
    /// The accounts by name, with what their credentials need.
    pub accounts: BTreeMap<AccountName, Account>,
    /// The policies, the classes and freezes they may use, and what the rules need to know of the accounts. Shared, since
    /// ten thousand policies are megabytes and nobody changes what is in force.
    pub policy_set: Arc<PolicySet>,
}

/// The daemon itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Daemon {
    /// Whose images these are.
    pub owner: Owner,
    /// The file of the ledger, an absolute path.
    pub database: PathBuf,
    /// Where the status page answers.
    pub listen: Listen,
    /// The Unix socket at which the daemon answers users who may not read the ledger; `None` if there is none.
    pub socket: Option<PathBuf>,
    /// How many jobs may be preparing to capturing at once, at least one.
    pub max_concurrent_jobs: usize,
    /// How long a stop waits for what is under way.
    pub shutdown_grace: SignedDuration,
    /// How many daily backups of the ledger are kept; none are made for 0.
    pub ledger_backups: usize,
}

/// Where the status page answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// Nowhere.
    Off,
    /// At this address.
    On(SocketAddr),
}

/// Where what happened is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records {
    /// The file of the ledger.
    pub database: PathBuf,
    /// The Unix socket of the daemon, for users who may not read the file; `None` if there is none.
    pub socket: Option<PathBuf>,
}

/// One set of credentials in one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The name under `[accounts.…]`.
    pub name: AccountName,
    /// The region.
    pub region: Region,
    /// The profile to take credentials from; without one the SDK's default chain decides.
    pub profile: Option<String>,
    /// The role to assume with them.
    pub role: Option<Role>,
    /// What answers in place of AWS.
    pub endpoint_url: Option<String>,
    /// The only account id that is accepted.
    pub account_id: Option<AccountId>,
    /// How long EC2's answers may lag behind its writes.
    pub visibility_lag: SignedDuration,
}

/// A role to assume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// The external id that it asks for.
    pub external_id: Option<String>,
}
