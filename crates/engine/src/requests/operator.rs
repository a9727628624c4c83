//! What operators ask for besides images: to prune now, to pause and to resume, to cancel a job, to pin an image.

use std::collections::{BTreeMap, BTreeSet};

use amikeep_cloud::Cloud;
use amikeep_domain::decision::{JobError, SkipReason};
use amikeep_domain::id::{AccountName, ImageId, JobId, PolicyName, RequestId};
use amikeep_domain::job::{JobEvent, JobState};
use amikeep_domain::pause::{Pause, PauseScope};
use amikeep_domain::plan::{Action, PruneAction};
use amikeep_domain::prune::Released;
use amikeep_ledger::{ImageRow, ImageRowState, Request};
use jiff::Timestamp;
use tracing::info;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::outcome::log_outcome;
use crate::task::{Pin, Work};

impl<C: Cloud> Engine<C> {
    async fn refuse(&mut self, request: RequestId, error: &JobError) -> Result<(), EngineError> {
        Ok(self.ctx.ledger.record_request_refused(request, error, self.ctx.now()).await?)
    }

    pub(super) async fn take_prune(
        &mut self,
        request: RequestId,
        policy: Option<&PolicyName>,
        released: Released,
    ) -> Result<(), EngineError> {
        let policy_set = self.ctx.policy_set();
        let accounts: BTreeSet<AccountName> = match policy {
            None => policy_set.accounts.keys().cloned().collect(),
            Some(name) => {
                let Some(policy) = policy_set.policies.get(name) else {
                    let error = JobError::new(
                        "policy_gone",
                        format!("policy {name} is not in the configuration in force, and its images are held"),
                        "put the policy back to have its images pruned, or deregister them by hand",
                    );
                    return self.refuse(request, &error).await;
                };
                policy.accounts.iter().cloned().collect()
            }
        };
        // While another prune is planned this one waits: the request stays open, and the next tick finds it.
        self.spawn(Action::Prune(PruneAction {
            accounts: accounts.into_iter().map(|account| (account, None)).collect::<BTreeMap<_, _>>(),
            request: Some(request),
            policy: policy.cloned(),
            released,
        }));
        Ok(())
    }

    pub(super) async fn take_pause(
        &mut self,
        request: &Request,
        scope: PauseScope,
        until: Option<Timestamp>,
        reason: Option<String>,
    ) -> Result<(), EngineError> {
        let now = self.ctx.now();
        if until.is_some_and(|until| until <= now) {
            let error = JobError::new("already_over", "the pause would have ended already", "give a later time");
            return self.refuse(request.id, &error).await;
        }
        // It counts from when it was asked for, also if the daemon was down then.
        let since = request.requested_at.min(now);
        let pause = Pause { id: request.id, scope, since, until, reason, ended_at: None };
        self.ctx.ledger.record_pause(&pause, now).await?;
        info!("{pause}");
        self.reload_pauses().await
    }

    pub(super) async fn take_resume(&mut self, request: RequestId, scope: &PauseScope) -> Result<(), EngineError> {
        let nothing_paused = JobError::new(
            "not_paused",
            format!("there is no pause of {scope}"),
            "`amikeep pause` without options lists the pauses",
        );
        let ended = self.ctx.ledger.record_resume(request, scope, &nothing_paused, self.ctx.now()).await?;
        for pause in &ended {
            info!("resumed: {pause}");
        }
        self.reload_pauses().await
    }

    /// A job can be cancelled as long as nothing was asked of EC2. One that a task works on is looked at again when the
    /// task has ended.
    pub(super) async fn take_cancel(&mut self, request: RequestId, id: JobId) -> Result<(), EngineError> {
        if self.state.busy.contains(&id) {
            return Ok(());
        }
        let now = self.ctx.now();
        let job = match self.state.jobs.get(id).cloned() {
            Some(job) => Some(job),
            None => self.ctx.ledger.job(id).await?,
        };
        let refused = match job {
            None => JobError::new("unknown_job", format!("there is no job {id}"), "see `amikeep history`"),
            Some(job) => match &job.state {
                JobState::Queued { .. } | JobState::Preparing | JobState::Holding => {
                    let event = JobEvent::Skipped(SkipReason::Cancelled);
                    let job = self.ctx.ledger.record_event(&job, &event, now).await?;
                    log_outcome(&job);
                    self.state.take(job);
                    return Ok(self.ctx.ledger.record_request_done(request, now).await?);
                }
                JobState::Skipped { reason: SkipReason::Cancelled, .. } => {
                    return Ok(self.ctx.ledger.record_request_done(request, now).await?);
                }
                JobState::Capturing(_) | JobState::Taken(_) | JobState::Pending(_) | JobState::Finishing(_) => {
                    JobError::new(
                        "too_late",
                        format!("the image of job {id} has been asked for, and EC2 takes no such request back"),
                        "let it end; retention removes the image, or deregister it by hand",
                    )
                }
                JobState::Succeeded { .. } | JobState::Failed { .. } | JobState::Skipped { .. } => {
                    let state = job.state.name();
                    JobError::new("ended", format!("job {id} has ended already: {state}"), "nothing")
                }
            },
        };
        self.refuse(request, &refused).await
    }

    /// The tag on the image is what counts, so EC2 is asked first, and the ledger follows.
    pub(super) async fn take_pin(
        &mut self,
        request: &Request,
        image: &ImageId,
        account: Option<&AccountName>,
        pinned: bool,
    ) -> Result<(), EngineError> {
        let rows = self.ctx.ledger.images_by_id(image).await?;
        let mut rows: Vec<ImageRow> =
            rows.into_iter().filter(|row| account.is_none_or(|account| *account == row.account_name)).collect();
        let row = match (rows.pop(), rows.is_empty()) {
            (Some(row), true) => row,
            (None, _) => {
                let error = JobError::new(
                    "unknown_image",
                    format!("the ledger knows no image {image}"),
                    "`amikeep images` lists those that it knows",
                );
                return self.refuse(request.id, &error).await;
            }
            (Some(_), false) => {
                let error = JobError::new("ambiguous", format!("{image} is in several accounts"), "name the account");
                return self.refuse(request.id, &error).await;
            }
        };
        if !matches!(row.state, ImageRowState::Available | ImageRowState::Pending) {
            let state = row.state.as_str();
            let error = JobError::new("not_available", format!("{image} is {state}"), "see `amikeep images`");
            return self.refuse(request.id, &error).await;
        }
        let pin = Pin { request: request.clone(), row, pinned };
        self.spawn_request(request.id, Work::Pin(Box::new(pin)));
        Ok(())
    }
}
