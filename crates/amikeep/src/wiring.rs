//! From the configuration to the parts that run: connections to AWS, the engine's lock, the ledger.
//!
//! Owns how the parts are put together and nothing of what they do. It must never send anything: connections are made
//! ready, and what is wrong with credentials or the network shows at their first call, so that a daemon starts while
//! the network is still down and goes on by itself when it is up.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amikeep_cloud::{Action, Paced, Pacers};
use amikeep_cloud_aws::{AwsAccount, AwsCloud, Calls};
use amikeep_config::{Account, Config};
use amikeep_domain::id::{AccountId, AccountName, Owner, Region};
use amikeep_domain::plan::Scope;
use amikeep_engine::{Engine, EngineError, OsRandom, SteadyTimer, SystemClock};
use amikeep_ledger::{EngineLock, Holder, Ledger, LockError};
use jiff::{SignedDuration, Timestamp};
use tracing::error;

use crate::ctx::NOT_FOR_ALL;
use crate::host::LocalHost;

/// What the daemon calls itself in the lock.
pub(crate) const DAEMON_COMMAND: &str = "amikeep daemon";

/// The connection of one account: AWS, behind the pacer of its account and region.
pub(crate) type Connection = Paced<AwsCloud, SteadyTimer>;

/// Connections by account name.
pub(crate) type Clouds = BTreeMap<AccountName, Arc<Connection>>;

/// What is known of EC2's request limits, for the life of this process.
pub(crate) fn pacers() -> Arc<Pacers<SteadyTimer>> {
    Pacers::new(SteadyTimer::start())
}

/// What a process knows of AWS for as long as it lives, whatever connections it makes.
#[derive(Debug)]
pub(crate) struct Aws {
    /// EC2's request limits.
    pub(crate) pacers: Arc<Pacers<SteadyTimer>>,
    /// The requests that were sent, by the name of the account.
    calls: Mutex<BTreeMap<AccountName, Calls>>,
}

impl Aws {
    /// Nothing yet but what the pacers know.
    pub(crate) fn new(pacers: Arc<Pacers<SteadyTimer>>) -> Self {
        Self { pacers, calls: Mutex::default() }
    }

    /// The requests that were sent, by the name of the account.
    pub(crate) fn calls(&self) -> BTreeMap<AccountName, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn calls_of(&self, account: &AccountName) -> Calls {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).entry(account.clone()).or_default().clone()
    }

    /// Makes the connections of every account ready. An account that cannot be used as it is written is logged and left
    /// out; the others must not wait for somebody to mend it.
    pub(crate) async fn connect(&self, config: &Config) -> Clouds {
        let mut clouds = Clouds::new();
        for account in config.accounts.values() {
            let calls = self.calls_of(&account.name);
            let connecting = AwsCloud::connect_counted(aws_account(account, &config.daemon.owner), calls);
            match Box::pin(connecting).await {
                Ok(cloud) => {
                    clouds.insert(account.name.clone(), Arc::new(self.pacers.pace(cloud, account.region.clone())));
                }
                Err(error) => error!(account = %account.name, "account {} cannot be used: {error}", account.name),
            }
        }
        clouds
    }
}

/// The connections of a command, which makes them once.
pub(crate) async fn connect(config: &Config, pacers: &Arc<Pacers<SteadyTimer>>) -> Clouds {
    Aws::new(Arc::clone(pacers)).connect(config).await
}

/// What the adapter needs to know of an account.
pub(crate) fn aws_account(account: &Account, owner: &Owner) -> AwsAccount {
    AwsAccount {
        region: account.region.clone(),
        owner: owner.clone(),
        session_name: format!("amikeep-{owner}"),
        profile: account.profile.clone(),
        role_arn: account.role.as_ref().map(|role| role.arn.clone()),
        external_id: account.role.as_ref().and_then(|role| role.external_id.clone()),
        endpoint_url: account.endpoint_url.clone(),
        expected_account: account.account_id.clone(),
    }
}

/// Takes the engine's lock in the name of `command`, such as `amikeep daemon`.
pub(crate) fn lock(database: &Path, command: &str, now: Timestamp) -> Result<EngineLock, LockError> {
    EngineLock::acquire(database, &Holder { pid: std::process::id(), command: command.to_owned(), started_at: now })
}

/// What is told of a lock that a command cannot have. Whoever may only ask must not go looking for a broken directory.
pub(crate) fn no_lock(error: LockError) -> anyhow::Error {
    let is_denied = matches!(&error, LockError::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied);
    let error = anyhow::Error::new(error);
    if is_denied { error.context(NOT_FOR_ALL) } else { error }
}

/// Whether what a holder of the lock says of itself names a daemon, which executes whatever is asked for. A command
/// executes its own requests alone. Whoever is only just starting has a name a moment later.
pub(crate) fn is_daemon(holder: &str) -> bool {
    holder.contains(DAEMON_COMMAND)
}

/// An engine over the real clock and AWS.
pub(crate) async fn start_engine(
    config: &Config,
    ledger: Ledger,
    clouds: Clouds,
    scope: Scope,
) -> Result<Engine<Connection>, EngineError> {
    let host = Arc::new(LocalHost::new(&config.daemon.database));
    let options = amikeep_engine::Options { jobs_max: config.daemon.max_concurrent_jobs, scope, host };
    let policy_set = Arc::clone(&config.policy_set);
    Engine::start(ledger, policy_set, clouds, Arc::new(SystemClock), Arc::new(OsRandom::default()), options).await
}

/// Tells the pacers which images a run before this one has asked for, as the ledger knows it: a restart in the middle of a
/// wave must not begin with another burst.
pub(crate) fn recall_requests(pacers: &Pacers<SteadyTimer>, engine: &Engine<Connection>, now: Timestamp) {
    let mut ages: BTreeMap<(&AccountId, &Region), Vec<Duration>> = BTreeMap::new();
    for job in engine.open_jobs() {
        let Some(intent) = &job.intent else { continue };
        let age = now.duration_since(intent.recorded_at).max(SignedDuration::ZERO).unsigned_abs();
        ages.entry((&job.key.account, &job.key.region)).or_default().push(age);
    }
    for ((account, region), ages) in ages {
        pacers.of(account, region).recall(Action::CreateImage, ages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        [daemon]
        owner = "test"
        database = "/nowhere/amikeep.db"

        [accounts.plain]
        region = "eu-central-1"

        [accounts.other]
        region = "us-east-1"
        role_arn = "arn:aws:iam::111122223333:role/amikeep"
        external_id = "one"
        account_id = "111122223333"
        endpoint_url = "http://127.0.0.1:9"
    "#;

    #[tokio::test]
    async fn every_account_is_connected_though_nothing_answers() {
        let config = amikeep_config::parse(FILE, "test.toml").unwrap().config;
        let clouds = connect(&config, &pacers()).await;
        assert_eq!(clouds.keys().map(AccountName::as_str).collect::<Vec<_>>(), ["other", "plain"]);
    }

    #[test]
    fn a_holder_is_a_daemon_only_if_it_says_so() {
        assert!(is_daemon("`amikeep daemon`, process 4242, since 2026-11-22T01:00:00Z"));
        assert!(!is_daemon("`amikeep backup`, process 4242, since 2026-11-22T01:00:00Z"));
        assert!(!is_daemon("a process that is just starting or ending"));
    }

    #[test]
    fn an_account_is_handed_on_as_it_is_written() {
        let config = amikeep_config::parse(FILE, "test.toml").unwrap().config;
        let account = aws_account(&config.accounts[&"other".parse().unwrap()], &config.daemon.owner);
        assert_eq!(account.role_arn.as_deref(), Some("arn:aws:iam::111122223333:role/amikeep"));
        assert_eq!(account.external_id.as_deref(), Some("one"));
        assert_eq!(account.session_name, "amikeep-test");
        assert_eq!(account.expected_account.unwrap().as_str(), "111122223333");
    }
}
