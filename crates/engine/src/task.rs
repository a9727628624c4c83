//! The effects. Each task does what one action says, writes down what came of it, and reports.

mod grade;
mod look_up;
mod observe;
mod poll;
mod record;
mod request;

use std::collections::BTreeMap;
use std::sync::Arc;

use amikeep_cloud::Cloud;
use amikeep_domain::id::{AccountName, JobId, PolicyName};
use amikeep_domain::job::{Job, JobEvent};
use amikeep_domain::plan::{Action, Reading};
use jiff::Timestamp;

use crate::context::Context;
use crate::report::Report;

/// Work, and the jobs it is about as the planner saw them.
pub(crate) struct Task {
    pub(crate) work: Work,
    pub(crate) jobs: Vec<Job>,
    /// Since when the images of these jobs have been absent from complete answers.
    pub(crate) missing_since: BTreeMap<JobId, Timestamp>,
}

/// What a task does.
pub(crate) enum Work {
    /// One action.
    Action(Action),
    /// The events of a plan that need no call, together.
    Events(BTreeMap<JobId, JobEvent>),
}

/// What a task occupies while it runs, so that it can be given back even if the task panics.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claim {
    pub(crate) jobs: Vec<JobId>,
    pub(crate) recording: Option<(PolicyName, AccountName)>,
    pub(crate) reading: Option<(AccountName, Reading)>,
    /// Under which configuration it was started.
    pub(crate) epoch: u64,
}

impl Task {
    pub(crate) async fn run<C: Cloud>(self, ctx: Arc<Context<C>>) -> Report {
        let action = match self.work {
            Work::Action(action) => action,
            Work::Events(mut events) => {
                let changes = self.jobs.into_iter().filter_map(|job| events.remove(&job.id).map(|event| (job, event)));
                return record::events(&ctx, changes.collect()).await;
            }
        };
        match action {
            Action::ObserveIdentity { account } => observe::identity(&ctx, account).await,
            Action::ObserveInventory { account } => observe::inventory(&ctx, account).await,
            Action::ObserveInstances { account, instances } => observe::instances(&ctx, account, instances).await,
            Action::RecordCursor { cursor, reason } => record::cursor(&ctx, cursor, reason).await,
            Action::RecordFire(action) => record::fire(&ctx, action).await,
            Action::Record { event, .. } => {
                record::events(&ctx, self.jobs.into_iter().map(|job| (job, event.clone())).collect()).await
            }
            Action::RequestImage(action) => request::request_image(&ctx, self.jobs, *action).await,
            Action::LookUpNames { account, .. } => look_up::look_up_names(&ctx, account, self.jobs).await,
            Action::PollImages { account, .. } => {
                poll::poll_images(&ctx, account, self.jobs, &self.missing_since).await
            }
            Action::WriteGrades { account, grade, .. } => grade::write_grades(&ctx, account, grade, self.jobs).await,
        }
    }
}
