//! What tasks found, and how the state takes it in.

use std::collections::BTreeMap;

use amikeep_cloud::{CloudError, Identity};
use amikeep_domain::fire::Planned;
use amikeep_domain::id::{AccountName, DeletionId, InstanceId, JobId, PolicyName, RequestId};
use amikeep_domain::instance::Instance;
use amikeep_domain::job::Job;
use amikeep_domain::plan::{Inventory, Reading, SeenFacts};
use amikeep_domain::prune::Deletion;
use amikeep_ledger::{Backup, LedgerError};
use jiff::Timestamp;
use tracing::{error, info, warn};

use crate::outcome::log_outcome;
use crate::state::State;

/// What one task found.
#[derive(Debug)]
pub(crate) enum Report {
    Identity {
        account: AccountName,
        result: Result<Identity, String>,
    },
    Inventory {
        account: AccountName,
        at: Timestamp,
        answered_at: Timestamp,
        result: Result<Vec<Instance>, CloudError>,
    },
    Instances {
        account: AccountName,
        at: Timestamp,
        asked: Vec<InstanceId>,
        result: Result<Vec<Instance>, CloudError>,
    },
    /// Jobs moved on.
    Jobs(Vec<Job>),
    /// Events were written down, but for some.
    Recorded {
        asked: Vec<JobId>,
        recorded: Recorded,
    },
    /// EC2 was asked about images: which jobs were looked at, which images were absent, which jobs moved on.
    Looked(Looked),
    /// Cursors were moved that no fire moves.
    Cursors(Vec<Planned>),
    Fired {
        policy: PolicyName,
        account: AccountName,
        cursor: Option<Planned>,
        jobs: Vec<Job>,
    },
    /// Retention was applied, or could not be.
    Pruned {
        accounts: Vec<AccountName>,
        pruned: Result<Pruned, LedgerError>,
    },
    /// Deletions moved on.
    Retired {
        account: AccountName,
        reading: Reading,
        asked: Vec<DeletionId>,
        retired: Retired,
    },
    /// A request of an operator was carried out.
    Requested {
        request: RequestId,
        result: Result<(), LedgerError>,
    },
    /// A backup of the ledger was made, or could not be.
    LedgerBackedUp(Result<Backup, LedgerError>),
    /// What holds could not thaw was tried again; this is left.
    ThawedLeft(Result<Vec<String>, LedgerError>),
    /// Something could not be written down.
    LedgerFailed {
        jobs: Vec<JobId>,
        recording: Vec<(PolicyName, AccountName)>,
        error: LedgerError,
    },
}

/// What a prune came to.
#[derive(Debug, Default)]
pub(crate) struct Pruned {
    /// The accounts without a complete listing, and why.
    pub(crate) failed: BTreeMap<AccountName, String>,
    pub(crate) deletions: Vec<Deletion>,
    pub(crate) pruned_to: BTreeMap<AccountName, Timestamp>,
}

/// What carrying out deletions came to.
#[derive(Debug, Default)]
pub(crate) struct Retired {
    pub(crate) moved: Vec<Deletion>,
    /// EC2 could not be asked.
    pub(crate) error: Option<CloudError>,
    /// The ledger failed.
    pub(crate) failed: Option<LedgerError>,
}

#[derive(Debug)]
pub(crate) struct Looked {
    pub(crate) account: AccountName,
    pub(crate) reading: Reading,
    pub(crate) at: Timestamp,
    pub(crate) asked: Vec<JobId>,
    pub(crate) absent: Vec<JobId>,
    pub(crate) seen: Vec<JobId>,
    pub(crate) recorded: Recorded,
    pub(crate) error: Option<CloudError>,
}

/// Jobs as the ledger has them now, and why some could not be written down.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) moved: Vec<Job>,
    pub(crate) failed: Option<LedgerError>,
}

impl State {
    /// Takes in what still holds of a report from before a reload: what was written down. What was read may be of another
    /// account.
    pub(crate) fn take_old_report(&mut self, report: Report, now: Timestamp) -> Result<(), LedgerError> {
        match report {
            Report::Identity { .. } | Report::Inventory { .. } | Report::Instances { .. } => Ok(()),
            Report::Retired { asked, retired, .. } => self.take_retired(&asked, retired),
            Report::Pruned { pruned, .. } => {
                let accounts = Vec::new();
                self.take_pruned(&accounts, pruned, now)
            }
            Report::Looked(looked) => {
                self.free(&looked.asked);
                self.take_recorded(looked.recorded)
            }
            Report::Fired { policy, account, jobs, .. } => {
                self.take_report(Report::Fired { policy, account, cursor: None, jobs }, now)
            }
            report => self.take_report(report, now),
        }
    }

    /// Takes a report in. An error of the ledger is handed back: it stops the tick.
    pub(crate) fn take_report(&mut self, report: Report, now: Timestamp) -> Result<(), LedgerError> {
        match report {
            Report::Identity { account, result } => self.take_identity(&account, result, now),
            Report::Inventory { account, at, answered_at, result } => {
                self.view(&account).reading.remove(&Reading::Inventory);
                if let Some(instances) = self.take_read(&account, result, now) {
                    let instances: BTreeMap<_, _> = instances.into_iter().map(|it| (it.id.clone(), it)).collect();
                    self.view(&account).inventory = Some(Inventory { at, answered_at, instances });
                }
            }
            Report::Instances { account, at, asked, result } => {
                self.view(&account).reading.remove(&Reading::Instances);
                if let Some(instances) = self.take_read(&account, result, now) {
                    let mut seen: BTreeMap<_, _> = instances.into_iter().map(|it| (it.id.clone(), it)).collect();
                    let facts = &mut self.view(&account).facts;
                    facts.extend(asked.into_iter().map(|id| {
                        let instance = seen.remove(&id);
                        (id, SeenFacts { at, instance })
                    }));
                }
            }
            Report::Jobs(jobs) => self.take_jobs(jobs),
            Report::Recorded { asked, recorded } => {
                self.free(&asked);
                return self.take_recorded(recorded);
            }
            Report::Looked(looked) => return self.take_looked(looked, now),
            Report::Cursors(moved) => {
                for planned in moved {
                    let cursor = planned.cursor();
                    self.recording.remove(&(cursor.policy.clone(), cursor.account.clone()));
                    self.cursors.insert(planned);
                }
            }
            Report::Fired { policy, account, cursor, jobs } => {
                self.recording.remove(&(policy, account));
                match cursor {
                    Some(planned) => self.cursors.insert(planned),
                    None => self.reload = true,
                }
                self.take_jobs(jobs);
            }
            Report::Pruned { accounts, pruned } => return self.take_pruned(&accounts, pruned, now),
            Report::Retired { account, reading, asked, retired } => {
                self.view(&account).reading.remove(&reading);
                match &retired.error {
                    Some(error) => self.take_read_error(&account, error, now),
                    None => self.read_succeeded(&account),
                }
                return self.take_retired(&asked, retired);
            }
            Report::Requested { request, result } => {
                self.busy_requests.remove(&request);
                return result;
            }
            Report::LedgerBackedUp(result) => return self.ledger_backups.take(result, now),
            Report::ThawedLeft(result) => {
                // What was undone is written down with the jobs, past what is known of them here.
                self.reload = true;
                return self.left_holds.take(result, now);
            }
            Report::LedgerFailed { jobs, recording, error } => {
                self.free(&jobs);
                for key in recording {
                    self.recording.remove(&key);
                }
                self.reload = true;
                return Err(error);
            }
        }
        Ok(())
    }

    fn take_pruned(
        &mut self,
        accounts: &[AccountName],
        pruned: Result<Pruned, LedgerError>,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        self.pruning = false;
        let pruned = match pruned {
            Ok(pruned) => pruned,
            Err(error) => {
                self.reload = true;
                return Err(error);
            }
        };
        for account in accounts {
            match pruned.failed.get(account) {
                Some(why) if self.prune_failed(account, now) => {
                    warn!(account = %account, "account {account} could not be pruned, it is tried again: {why}");
                }
                Some(_) => {}
                None => self.prune_succeeded(account),
            }
        }
        self.prune_cursors.extend(pruned.pruned_to);
        self.deletions.extend(pruned.deletions.into_iter().map(|deletion| (deletion.id, deletion)));
        Ok(())
    }

    fn take_retired(&mut self, asked: &[DeletionId], retired: Retired) -> Result<(), LedgerError> {
        self.busy_deletions.retain(|deletion| !asked.contains(deletion));
        for deletion in retired.moved {
            if deletion.state.name().is_terminal() {
                self.deletions.remove(&deletion.id);
            } else {
                self.deletions.insert(deletion.id, deletion);
            }
        }
        match retired.failed {
            None => Ok(()),
            Some(error) => {
                self.reload = true;
                Err(error)
            }
        }
    }

    fn take_identity(&mut self, account: &AccountName, result: Result<Identity, String>, now: Timestamp) {
        self.view(account).reading.remove(&Reading::Identity);
        match result {
            Ok(identity) => {
                info!(account = %account, account_id = %identity.account, "account {account} is {}", identity.account);
                self.read_succeeded(account);
                self.view(account).id = Some(identity.account);
            }
            Err(message) => {
                if self.read_failed(account, message.clone(), now) {
                    error!(account = %account, "the credentials of account {account} do not work: {message}");
                }
            }
        }
    }

    fn take_read<T>(&mut self, account: &AccountName, result: Result<T, CloudError>, now: Timestamp) -> Option<T> {
        match result {
            Ok(value) => {
                self.read_succeeded(account);
                Some(value)
            }
            Err(error) => {
                self.take_read_error(account, &error, now);
                None
            }
        }
    }

    fn take_read_error(&mut self, account: &AccountName, error: &CloudError, now: Timestamp) {
        if self.read_failed(account, error.to_string(), now) {
            warn!(account = %account, code = %error.code, "reading from EC2 failed, it is tried again: {error}");
        }
    }

    fn take_jobs(&mut self, jobs: Vec<Job>) {
        for job in jobs {
            log_outcome(&job);
            self.take(job);
        }
    }

    fn take_recorded(&mut self, recorded: Recorded) -> Result<(), LedgerError> {
        self.take_jobs(recorded.moved);
        match recorded.failed {
            None => Ok(()),
            Some(error) => {
                self.reload = true;
                Err(error)
            }
        }
    }

    fn take_looked(&mut self, looked: Looked, now: Timestamp) -> Result<(), LedgerError> {
        let view = self.view(&looked.account);
        view.reading.remove(&looked.reading);
        view.looked_at.extend(looked.asked.iter().map(|job| (*job, looked.at)));
        self.free(&looked.asked);
        for job in looked.absent {
            self.missing_since.entry(job).or_insert(looked.at);
        }
        for job in &looked.seen {
            self.missing_since.remove(job);
        }
        match looked.error {
            Some(error) => self.take_read_error(&looked.account, &error, now),
            None => self.read_succeeded(&looked.account),
        }
        self.take_recorded(looked.recorded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_could_not_be_written_down_blocks_no_further_look() {
        let job = JobId::new(Timestamp::UNIX_EPOCH, [1; 10]);
        let account: AccountName = "default".parse().unwrap();
        let mut state = State::default();
        state.view(&account).reading.insert(Reading::Images);
        state.busy.insert(job);
        let failed = Some(LedgerError::UnknownJob { job });
        let looked = Looked {
            account: account.clone(),
            reading: Reading::Images,
            at: Timestamp::UNIX_EPOCH,
            asked: vec![job],
            absent: Vec::new(),
            seen: vec![job],
            recorded: Recorded { failed, ..Recorded::default() },
            error: None,
        };
        assert!(state.take_report(Report::Looked(looked), Timestamp::UNIX_EPOCH).is_err());
        assert!(state.view(&account).reading.is_empty() && state.busy.is_empty() && state.reload);
    }

    #[test]
    fn a_prune_that_fails_again_and_again_holds_up_no_other_read_and_is_tried_less_and_less_often() {
        let account: AccountName = "default".parse().unwrap();
        let (mut state, now) = (State::default(), Timestamp::UNIX_EPOCH);
        let mut waits = Vec::new();
        for _ in 0..9 {
            let failed = [(account.clone(), "DescribeSnapshots is denied".to_owned())].into();
            let pruned = Ok(Pruned { failed, ..Pruned::default() });
            state.take_report(Report::Pruned { accounts: vec![account.clone()], pruned }, now).unwrap();
            let view = state.view(&account);
            assert_eq!(view.retry_at, None);
            waits.push(view.prune_retry_at.unwrap().duration_since(now).as_secs());
            // Something else is read meanwhile.
            state.read_succeeded(&account);
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        let pruned = Ok(Pruned::default());
        state.take_report(Report::Pruned { accounts: vec![account.clone()], pruned }, now).unwrap();
        assert_eq!(state.view(&account).prune_retry_at, None);
    }
}
