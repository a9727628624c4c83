//! What a valid file says, in the types of the domain. A value of these types has passed every check.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use amikeep_domain::id::{AccountId, AccountName, FreezeName, Owner, Region};
use amikeep_domain::policy::PolicySet;
use jiff::SignedDuration;

/// A valid configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The daemon itself, `[daemon]`.
    pub daemon: Daemon,
    /// The accounts by name, with what their credentials need.
    pub accounts: BTreeMap<AccountName, Account>,
    /// The policies, the classes they may use, and what the rules need to know of the accounts.
    pub policy_set: PolicySet,
    /// The freeze recipes by name.
    pub freezes: BTreeMap<FreezeName, Freeze>,
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

/// How an instance is held still while it is imaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// The name under `[freezes.…]`.
    pub name: FreezeName,
    /// How the instance is reached.
    pub via: Via,
    /// The mount points to freeze; at least one unless own commands do it.
    pub mounts: Vec<PathBuf>,
    /// The application that writes everything down first.
    pub application: Application,
    /// Where its credentials are found.
    pub connection: Option<Connection>,
    /// What runs before freezing: a program and its arguments.
    pub pre: Option<Vec<String>>,
    /// What runs after thawing: a program and its arguments.
    pub post: Option<Vec<String>>,
    /// How long the hold may last before it is given up.
    pub budget: SignedDuration,
    /// How long to wait for the application's lock.
    pub lock_wait: SignedDuration,
}

/// How an instance is reached for a freeze.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// It is this host.
    Local,
    /// Through AWS Systems Manager.
    Ssm,
    /// Through commands of the operator's own.
    Command,
}

impl Via {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Local, Self::Ssm, Self::Command];

    /// The word of the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Ssm => "ssm",
            Self::Command => "command",
        }
    }
}

/// An application that amikeep knows how to quiesce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Application {
    /// None: the file systems alone are frozen.
    None,
    /// `MySQL` or `MariaDB`.
    Mysql,
    /// `PostgreSQL`.
    Postgresql,
    /// Redis.
    Redis,
}

impl Application {
    /// Every application.
    pub const ALL: [Self; 4] = [Self::None, Self::Mysql, Self::Postgresql, Self::Redis];

    /// The word of the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Mysql => "mysql",
            Self::Postgresql => "postgresql",
            Self::Redis => "redis",
        }
    }
}

/// Where an application's credentials are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// In a systemd credential of this name.
    Credential(String),
    /// In this file.
    File(PathBuf),
    /// In this environment variable.
    Env(String),
}
