//! What the engine remembers between ticks. All of it can be lost: jobs and cursors are read from the ledger at the
//! start, and what EC2 said is asked again.

use std::collections::{BTreeMap, BTreeSet};

use amikeep_domain::fire::Cursors;
use amikeep_domain::id::{AccountName, DeletionId, JobId, PolicyName, RequestId};
use amikeep_domain::job::{Job, JobState};
use amikeep_domain::pause::Pause;
use amikeep_domain::plan::{AccountView, FACTS_FRESH_FOR, OpenJobs, READ_RETRY_MAX};
use amikeep_domain::policy::{PolicySet, saturating_add};
use amikeep_domain::prune::Deletion;
use jiff::{SignedDuration, Timestamp};

use crate::hold::left::LeftHolds;
use crate::ledger_backups::LedgerBackups;

/// The wait after a failed read, doubled from here up to [`READ_RETRY_MAX`].
const READ_RETRY_MIN: SignedDuration = SignedDuration::from_secs(5);

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) jobs: OpenJobs,
    pub(crate) cursors: Cursors,
    pub(crate) accounts: BTreeMap<AccountName, AccountView>,
    pub(crate) busy: BTreeSet<JobId>,
    /// Fires and cursors that are being written down.
    pub(crate) recording: BTreeSet<(PolicyName, AccountName)>,
    /// Since when the image of a job has been absent from complete answers.
    pub(crate) missing_since: BTreeMap<JobId, Timestamp>,
    pub(crate) failed_reads: BTreeMap<AccountName, u32>,
    pub(crate) failed_prunes: BTreeMap<AccountName, u32>,
    /// Deletions that have not ended.
    pub(crate) deletions: BTreeMap<DeletionId, Deletion>,
    pub(crate) busy_deletions: BTreeSet<DeletionId>,
    /// Up to which nominal time each account was pruned.
    pub(crate) prune_cursors: BTreeMap<AccountName, Timestamp>,
    /// A prune is being planned.
    pub(crate) pruning: bool,
    /// Requests that a task is working on.
    pub(crate) busy_requests: BTreeSet<RequestId>,
    /// Pauses that are in force, or were not long ago.
    pub(crate) pauses: Vec<Pause>,
    pub(crate) ledger_backups: LedgerBackups,
    /// What holds could not thaw.
    pub(crate) left_holds: LeftHolds,
    /// Jobs and cursors must be read from the ledger again: an effect could not be written down.
    pub(crate) reload: bool,
}

impl State {
    /// Begins anew with what is known of accounts: another configuration may mean other credentials by the same name.
    /// When EC2 was last asked about a job still counts.
    pub(crate) fn set_accounts(&mut self, policy_set: &PolicySet) {
        let mut known = std::mem::take(&mut self.accounts);
        self.failed_reads.clear();
        self.failed_prunes.clear();
        self.missing_since.clear();
        for name in policy_set.accounts.keys() {
            let looked_at = known.remove(name).map(|view| view.looked_at).unwrap_or_default();
            self.accounts.insert(name.clone(), AccountView { looked_at, ..AccountView::default() });
        }
    }

    pub(crate) fn view(&mut self, account: &AccountName) -> &mut AccountView {
        self.accounts.entry(account.clone()).or_default()
    }

    /// No action works on these jobs any more.
    pub(crate) fn free(&mut self, jobs: &[JobId]) {
        for job in jobs {
            self.busy.remove(job);
        }
    }

    /// Takes over a job as the ledger has it now.
    pub(crate) fn take(&mut self, job: Job) {
        self.busy.remove(&job.id);
        if !matches!(job.state, JobState::Taken(_) | JobState::Pending(_)) {
            self.missing_since.remove(&job.id);
        }
        if job.state.name().is_terminal() {
            self.view(&job.account_name).looked_at.remove(&job.id);
            self.jobs.remove(job.id);
        } else {
            self.jobs.insert(job);
        }
    }

    pub(crate) fn read_succeeded(&mut self, account: &AccountName) {
        self.failed_reads.remove(account);
        let view = self.view(account);
        view.retry_at = None;
        view.last_error = None;
    }

    /// Notes a failed read; true if it is the first in a row, which is the one worth a line in the log.
    pub(crate) fn read_failed(&mut self, account: &AccountName, error: String, now: Timestamp) -> bool {
        let (retry_at, is_first) = count_failure(&mut self.failed_reads, account, now);
        let view = self.view(account);
        view.retry_at = Some(retry_at);
        view.last_error = Some(error);
        is_first
    }

    pub(crate) fn prune_succeeded(&mut self, account: &AccountName) {
        self.failed_prunes.remove(account);
        self.view(account).prune_retry_at = None;
    }

    /// The same of a prune, which holds up no other read: what it lacks, a permission or time, nothing else may need.
    pub(crate) fn prune_failed(&mut self, account: &AccountName, now: Timestamp) -> bool {
        let (retry_at, is_first) = count_failure(&mut self.failed_prunes, account, now);
        self.view(account).prune_retry_at = Some(retry_at);
        is_first
    }

    /// Forgets facts that nobody may act upon any more: ten thousand instances need not stay in memory for a day.
    pub(crate) fn forget_stale(&mut self, now: Timestamp) {
        let stale = |at: Timestamp| FACTS_FRESH_FOR * 4 < now.duration_since(at).abs();
        for view in self.accounts.values_mut() {
            view.facts.retain(|_, seen| !stale(seen.at));
            if view.inventory.as_ref().is_some_and(|inventory| stale(inventory.answered_at)) {
                view.inventory = None;
            }
        }
    }
}

/// When it is tried again, and whether this was the first failure in a row.
fn count_failure(failed: &mut BTreeMap<AccountName, u32>, account: &AccountName, now: Timestamp) -> (Timestamp, bool) {
    let failures = failed.entry(account.clone()).or_default();
    *failures += 1;
    let doubled = READ_RETRY_MIN * (1 << (*failures - 1).min(6));
    (saturating_add(now, doubled.min(READ_RETRY_MAX)), *failures == 1)
}
