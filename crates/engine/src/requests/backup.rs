//! `amikeep backup`: a request becomes a job.

use std::sync::Arc;

use amikeep_cloud::Cloud;
use amikeep_domain::class::Consistency;
use amikeep_domain::decision::{JobError, start_within_passed};
use amikeep_domain::id::{AccountName, InstanceId, PolicyName};
use amikeep_domain::job::{JobKey, Trigger};
use amikeep_domain::plan::Action;
use amikeep_domain::policy::{StartWindow, saturating_add};
use amikeep_ledger::{NewJob, Request};
use jiff::Timestamp;
use tracing::info;

use crate::engine::Engine;
use crate::error::EngineError;

/// What was asked for.
pub(super) struct Backup<'a> {
    pub(super) instance: &'a InstanceId,
    pub(super) policy: &'a PolicyName,
    pub(super) account: Option<&'a AccountName>,
    pub(super) consistency: Option<Consistency>,
}

/// What becomes of a request now.
enum Judged {
    /// This job.
    Job(Box<NewJob>),
    /// The account has not answered yet.
    NotYet(AccountName),
    /// It cannot be done.
    Refused(JobError),
}

impl<C: Cloud> Engine<C> {
    /// A manual job has no jitter, and its time is that of the request: one that waited for a daemon or for credentials
    /// until its window was over is refused and not carried out a day late.
    pub(super) async fn take_backup(&mut self, request: &Request, backup: &Backup<'_>) -> Result<(), EngineError> {
        let now = self.ctx.now();
        match self.judge_backup(request, backup, now) {
            Judged::NotYet(account) => {
                if self.state.view(&account).retry_at.is_none_or(|at| at <= now) {
                    self.spawn(Action::ObserveIdentity { account });
                }
            }
            Judged::Refused(error) => self.ctx.ledger.record_request_refused(request.id, &error, now).await?,
            Judged::Job(new_job) => {
                let job = self.ctx.ledger.record_request_planned(request.id, *new_job, now).await?;
                let instance = &job.key.instance;
                info!(job_id = %job.id, instance_id = %instance, "an operator asked for a backup of {instance}");
                self.state.take(job);
            }
        }
        Ok(())
    }

    fn judge_backup(&mut self, request: &Request, backup: &Backup<'_>, now: Timestamp) -> Judged {
        let Backup { instance, policy: policy_name, account, consistency } = *backup;
        let policy_set = Arc::clone(self.ctx.policy_set());
        let policy = policy_set.policies.get(policy_name);
        let account_name = account.or_else(|| policy.and_then(|policy| policy.accounts.first()));
        let rules = account_name.and_then(|name| policy_set.accounts.get(name));
        let (Some(policy), Some(account_name), Some(rules)) = (policy, account_name, rules) else {
            return Judged::Refused(JobError::new(
                "policy_gone",
                format!("policy {policy_name} or its account is not in the configuration in force"),
                "reload the daemon if the configuration was changed, and ask again",
            ));
        };
        let start_at = Timestamp::from_second(request.requested_at.as_second()).unwrap_or(request.requested_at);
        let window = StartWindow { start_at, start_by: saturating_add(start_at, policy.start_within) };
        if window.start_by < now {
            return Judged::Refused(start_within_passed(window, ""));
        }
        let is_manual = self.is_manual();
        let view = self.state.view(account_name);
        let Some(account) = view.id.clone() else {
            return match view.last_error.clone().filter(|_| is_manual) {
                Some(error) => {
                    Judged::Refused(JobError::new("account_unavailable", error, "see `amikeep check --online`"))
                }
                None => Judged::NotYet(account_name.clone()),
            };
        };
        Judged::Job(Box::new(NewJob {
            id: self.ctx.new_job_id(),
            key: JobKey {
                policy: policy_name.clone(),
                account,
                region: rules.region.clone(),
                instance: instance.clone(),
                scheduled_at: start_at,
            },
            account_name: account_name.clone(),
            trigger: Trigger::Manual,
            request: Some(request.id),
            asked: consistency,
            class: policy.class.clone(),
            window,
            created_at: now,
        }))
    }
}
