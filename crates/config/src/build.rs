//! From what a file says to what it means: everything that can be wrong between values.
//!
//! Each function returns `None` only after something was reported, here or by the reader. It must look at all of its
//! keys before it returns: an early return would hide errors that the author could mend in the same go.

mod accounts;
mod classes;
mod freezes;
mod policies;
mod references;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use amikeep_domain::policy::PolicySet;
use amikeep_domain::schedule::Schedule;

use crate::build::policies::Others;
use crate::build::references::Known;
use crate::config::{Config, Daemon, Listen};
use crate::findings::{At, Findings};
use crate::keys::{DaemonKeys, RootKeys};
use crate::value::Located;
use crate::value::place::SocketPath;
use crate::value::time::{Cron, UTC};

/// Where the ledger of the service is, which is the default.
const SERVICE_DATABASE: &str = "/var/lib/amikeep/amikeep.db";
/// In the directory that systemd makes for the service (`RuntimeDirectory=` of the unit).
const SERVICE_SOCKET: &str = "/run/amikeep/amikeep.sock";

/// The configuration, if everything that it is made of is there.
pub(crate) fn build(root: &RootKeys, findings: &mut Findings<'_>) -> Option<Config> {
    let known = Known::of(root);
    let daemon = root.daemon.get().and_then(|keys| build_daemon(keys, findings));
    let accounts = accounts::build(root.accounts.get(), findings);
    let freezes = freezes::build(root.freezes.get(), findings);
    let classes = classes::build(root.classes.get(), &known, findings);
    let others = Others { known: &known, accounts: &accounts, classes: &classes };
    let policies = policies::build(root.policies.get(), &others, &mut Schedules::default(), findings);
    // A name that points nowhere is reported already; that nobody points to the right one follows from it.
    if !findings.has_errors() {
        references::warn_unused(root, findings);
    }

    let daemon = daemon?;
    let rules = accounts.iter().map(|(name, account)| (name.clone(), accounts::rules(account))).collect();
    let keys = root.daemon.get()?;
    let policy_set = PolicySet {
        owner: daemon.owner.clone(),
        policies,
        classes,
        freezes,
        accounts: rules,
        prune_schedule: schedule(keys.prune_schedule.located()?, UTC, findings)?,
        history_keep: keys.history_keep.get()?.0,
    };
    Some(Config { daemon, accounts, policy_set: Arc::new(policy_set) })
}

fn build_daemon(keys: &DaemonKeys, findings: &mut Findings<'_>) -> Option<Daemon> {
    if let Some(Located { value: Listen::On(address), at }) = keys.listen.given()
        && !address.ip().is_loopback()
    {
        findings
            .warn(at, "nobody is asked who they are: whoever reaches this address reads names of policies and accounts")
            .suggest("let a firewall allow who may, or listen at 127.0.0.1");
    }
    Some(Daemon {
        owner: keys.owner.get()?.clone(),
        database: keys.database.get()?.0.clone(),
        listen: *keys.listen.get()?,
        socket: socket(keys)?.0,
        max_concurrent_jobs: usize::try_from(keys.max_concurrent_jobs.get()?.0).ok()?,
        shutdown_grace: keys.shutdown_grace.get()?.0,
        ledger_backups: usize::try_from(keys.ledger_backups.get()?.0).ok()?,
    })
}

/// The socket of the daemon. It follows from the file alone, so that the daemon and every command agree about it: a
/// ledger at its usual place is the service's, which has a directory under /run that others may enter; any other has
/// its socket beside it.
pub(crate) fn socket(keys: &DaemonKeys) -> Option<SocketPath> {
    if let Some(given) = keys.socket.given() {
        return Some(given.value.clone());
    }
    let database = &keys.database.get()?.0;
    if database.as_path() == Path::new(SERVICE_DATABASE) {
        return Some(SocketPath(Some(SERVICE_SOCKET.into())));
    }
    let mut beside = database.clone().into_os_string();
    beside.push(".sock");
    Some(SocketPath(Some(beside.into())))
}

/// The schedules of all policies so far, by expression and zone. Thousands of policies share a few.
#[derive(Default)]
struct Schedules(BTreeMap<(String, String), Schedule>);

impl Schedules {
    /// The schedule, parsed once.
    fn get(&mut self, cron: &Located<Cron>, zone: &str, findings: &mut Findings<'_>) -> Option<Schedule> {
        let key = (cron.value.0.clone(), zone.to_owned());
        if let Some(schedule) = self.0.get(&key) {
            return Some(schedule.clone());
        }
        let schedule = schedule(cron, zone, findings)?;
        self.0.insert(key, schedule.clone());
        Some(schedule)
    }
}

/// The schedule of an expression that was accepted, in a zone that was accepted.
fn schedule(cron: &Located<Cron>, zone: &str, findings: &mut Findings<'_>) -> Option<Schedule> {
    // Both were checked when they were read, so this reports nothing; it must not be silent if that ever changes.
    let parsed = Schedule::parse(&cron.value.0, zone);
    if let Err(error) = &parsed {
        findings.error(&cron.at, error.to_string());
    }
    parsed.ok()
}

/// A key inside a table, shown at the table's name: for what is missing there, or wrong between its keys.
fn inside(table: &At, key: &str) -> At {
    table.child(key, table.span.clone())
}
