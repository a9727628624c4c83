//! Reading the configuration again on SIGHUP, and the line that tells how that went.
//!
//! A file with a mistake leaves everything as it is. The keys of `[daemon]` are the ones that a running process cannot
//! change, all but `listen`, so a change of them is told and waits for a restart; it must never be half in force.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use amikeep_config::{Config, Daemon, Listen, Loaded, Report};
use amikeep_engine::{Beat, Control};
use tracing::{error, info, warn};

use crate::commands::daemon::web::Silence;
use crate::wiring::{Aws, Connection};

/// What the daemon says of itself in one line.
#[derive(Debug)]
pub(super) struct Status {
    policies: AtomicUsize,
    failed_reloads: AtomicUsize,
    silence: Arc<Silence>,
    last: Mutex<String>,
}

impl Status {
    /// Of a daemon that starts with this configuration, and shows figures if there is no reason for silence.
    pub(super) fn new(config: &Config, silence: Arc<Silence>) -> Self {
        let policies = AtomicUsize::new(config.policy_set.policies.len());
        Self { policies, failed_reloads: AtomicUsize::new(0), silence, last: Mutex::new("starting".to_owned()) }
    }

    /// The line. What is as it should be is left out; what keeps everything from being done comes first.
    pub(super) fn text(&self, beat: &Beat) -> String {
        let policies = self.policies.load(Ordering::SeqCst);
        let mut parts = vec![format!("policies in force: {policies}, open jobs: {}", beat.open_jobs)];
        let odd = [("paused", beat.paused), ("failed reloads", self.failed_reloads.load(Ordering::SeqCst))];
        let odd = odd.into_iter().filter(|(_, count)| 0 < *count);
        parts.extend(odd.map(|(what, count)| format!("{what}: {count}")));
        let mut text = parts.join(", ");
        if let Some(why) = self.silence.why() {
            text = format!("{text}; THERE ARE NO METRICS: {why}");
        }
        if let Some(trouble) = &beat.trouble {
            text = format!("NOTHING IS BACKED UP: {trouble}; {text}");
        }
        if let Some(why) = &beat.ledger_backup {
            text = format!("{text}; THE LEDGER IS NOT BACKED UP: {why}");
        }
        if let Some(first) = beat.left_frozen.first() {
            let more = match beat.left_frozen.len() - 1 {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            text = format!("WRITES MAY HANG: {first}{more}; {text}");
        }
        text.clone_into(&mut self.last.lock().unwrap_or_else(PoisonError::into_inner));
        text
    }

    /// The line as it was last.
    pub(super) fn last_text(&self) -> String {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads the file again and again.
pub(super) struct Reloads {
    path: PathBuf,
    running: Config,
    status: Arc<Status>,
    /// It outlives every configuration: what was sent under the last one was taken from the same limits.
    aws: Arc<Aws>,
}

impl Reloads {
    /// For a daemon that started with `running`.
    pub(super) fn new(path: PathBuf, running: Config, status: Arc<Status>, aws: Arc<Aws>) -> Self {
        Self { path, running, status, aws }
    }

    /// Where figures are to be shown.
    pub(super) fn listen(&self) -> Listen {
        self.running.daemon.listen
    }

    /// Reads the file. `None` if it is wrong; that is logged and counted, and nothing changes.
    pub(super) async fn read(&mut self) -> Option<Control<Connection>> {
        let loaded = match amikeep_config::load(&self.path) {
            Ok(loaded) => loaded,
            Err(refused) => {
                let failed_reloads = self.status.failed_reloads.fetch_add(1, Ordering::SeqCst) + 1;
                for diagnostic in refused.report().errors() {
                    error!(failed_reloads, "{diagnostic}");
                }
                error!(failed_reloads, "the configuration was not reloaded, and what was in force stays in force");
                return None;
            }
        };
        let Loaded { config, warnings } = loaded;
        log_warnings(&warnings);
        for key in needs_restart(&self.running.daemon, &config.daemon) {
            warn!(key, "{key} of [daemon] was changed, which takes a restart; the old value stays in force until then");
        }
        self.running = keep_daemon(config, &self.running.daemon);
        let policies = self.running.policy_set.policies.len();
        self.status.policies.store(policies, Ordering::SeqCst);
        info!(policies, "the configuration was reloaded, policies in force: {policies}");
        let clouds = self.aws.connect(&self.running).await;
        Some(Control::Replace { policy_set: Arc::clone(&self.running.policy_set), clouds })
    }
}

/// What is accepted and doubtful, a line each.
pub(super) fn log_warnings(report: &Report) {
    for warning in report.warnings() {
        warn!("{warning}");
    }
}

/// The keys whose new values wait for a restart.
fn needs_restart(running: &Daemon, new: &Daemon) -> Vec<&'static str> {
    let changed = [
        ("owner", running.owner != new.owner),
        ("database", running.database != new.database),
        ("socket", running.socket != new.socket),
        ("max_concurrent_jobs", running.max_concurrent_jobs != new.max_concurrent_jobs),
        ("shutdown_grace", running.shutdown_grace != new.shutdown_grace),
        ("ledger_backups", running.ledger_backups != new.ledger_backups),
    ];
    changed.into_iter().filter_map(|(key, is_changed)| is_changed.then_some(key)).collect()
}

/// The new configuration with the `[daemon]` that runs, but for the address that it listens at. The owner is part of the
/// names by which images are found again, so it must not change under jobs that are under way.
fn keep_daemon(mut config: Config, running: &Daemon) -> Config {
    Arc::make_mut(&mut config.policy_set).owner = running.owner.clone();
    config.daemon = Daemon { listen: config.daemon.listen, ..running.clone() };
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wiring;

    fn file(owner: &str, policy: &str) -> String {
        format!(
            r#"
            [daemon]
            owner = "{owner}"
            database = "/nowhere/amikeep.db"

            [accounts.default]
            region = "eu-central-1"

            [policies.{policy}]
            account = "default"
            class = "stateless"
            schedule = "@daily"
            select = {{ instances = ["i-0123456789abcdef0"] }}
            keep = {{ last = 3 }}
            "#
        )
    }

    fn config(owner: &str, policy: &str) -> Config {
        amikeep_config::parse(&file(owner, policy), "test.toml").unwrap().config
    }

    fn reloads(dir: &tempfile::TempDir) -> Reloads {
        let running = config("first", "one");
        let status = Arc::new(Status::new(&running, Arc::default()));
        Reloads::new(dir.path().join("amikeep.toml"), running, status, Arc::new(Aws::new(wiring::pacers())))
    }

    #[tokio::test]
    async fn a_broken_file_changes_nothing_and_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let mut reloads = reloads(&dir);
        assert!(reloads.read().await.is_none(), "there is no file");
        std::fs::write(&reloads.path, file("first", "two").replace("stateless", "stateles")).unwrap();
        assert!(reloads.read().await.is_none(), "the class has a typo");
        assert_eq!(reloads.running, config("first", "one"));
        assert_eq!(
            reloads.status.text(&Beat { open_jobs: 3, paused: 1, ..Beat::default() }),
            "policies in force: 1, open jobs: 3, paused: 1, failed reloads: 2"
        );
    }

    #[tokio::test]
    async fn new_policies_come_into_force_and_the_owner_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut reloads = reloads(&dir);
        std::fs::write(&reloads.path, file("second", "two")).unwrap();
        let Some(Control::Replace { policy_set, clouds }) = reloads.read().await else { panic!("it was refused") };
        assert_eq!(policy_set.owner.as_str(), "first");
        assert!(policy_set.policies.contains_key(&"two".parse().unwrap()));
        assert_eq!(clouds.len(), 1);
        assert_eq!(reloads.status.text(&Beat::default()), "policies in force: 1, open jobs: 0");
    }

    #[test]
    fn a_ledger_that_fails_comes_first_in_the_line() {
        let status = Status::new(&config("first", "one"), Arc::default());
        let trouble = Some("the disk that holds the ledger is full: free some space".to_owned());
        let ledger_backup = Some("it is full".to_owned());
        assert_eq!(
            status.text(&Beat { open_jobs: 2, trouble, ledger_backup, ..Beat::default() }),
            "NOTHING IS BACKED UP: the disk that holds the ledger is full: free some space; policies in force: 1, \
             open jobs: 2; THE LEDGER IS NOT BACKED UP: it is full"
        );
    }

    #[test]
    fn what_may_be_frozen_comes_first_in_the_line() {
        let status = Status::new(&config("first", "one"), Arc::default());
        let left = ["job 1: a may still be frozen: run `x`", "job 2: b"].map(str::to_owned);
        let text = |left: &[String]| status.text(&Beat { left_frozen: left.to_vec(), ..Beat::default() });
        assert_eq!(
            text(&left),
            "WRITES MAY HANG: job 1: a may still be frozen: run `x`, and 1 more; policies in force: 1, open jobs: 0"
        );
        assert_eq!(text(&left[1..]), "WRITES MAY HANG: job 2: b; policies in force: 1, open jobs: 0");
    }

    #[test]
    fn a_change_that_takes_a_restart_is_named() {
        let (running, mut new) = (config("first", "one").daemon, config("second", "one").daemon);
        assert_eq!(needs_restart(&running, &new), ["owner"]);
        new.database = "/elsewhere/amikeep.db".into();
        assert_eq!(needs_restart(&running, &new), ["owner", "database"]);
        new.socket = None;
        assert_eq!(needs_restart(&running, &new), ["owner", "database", "socket"]);
        assert!(needs_restart(&running, &running).is_empty());
    }
}
