//! The effects. Each task does what one action says, writes down what came of it, and reports.

mod back_up;
mod grade;
mod hold;
mod look_up;
pub(crate) mod observe;
mod pin;
mod poll;
mod prune;
mod record;
mod request;
mod retire;
mod sets;

use std::collections::BTreeMap;
use std::sync::Arc;

use amikeep_cloud::Cloud;
use amikeep_domain::fire::{Cursor, StartReason};
use amikeep_domain::id::{AccountName, DeletionId, JobId, PolicyName, RequestId};
use amikeep_domain::job::{Job, JobEvent};
use amikeep_domain::plan::{Action, Reading};
use amikeep_domain::prune::Deletion;
use jiff::Timestamp;

use crate::context::Context;
use crate::hold::recover::thaw_left;
use crate::report::Report;

pub(crate) use crate::task::pin::Pin;

/// Work, and the jobs it is about as the planner saw them.
pub(crate) struct Task {
    pub(crate) work: Work,
    pub(crate) jobs: Vec<Job>,
    /// The deletions it is about.
    pub(crate) deletions: Vec<Deletion>,
    /// Since when the images of these jobs have been absent from complete answers.
    pub(crate) missing_since: BTreeMap<JobId, Timestamp>,
}

/// What a task does.
pub(crate) enum Work {
    /// One action.
    Action(Box<Action>),
    /// The events of a plan that need no call, together.
    Events(BTreeMap<JobId, JobEvent>),
    /// The cursors of a plan that are not moved by a fire, together: a new configuration has one for each policy.
    Cursors(Vec<(Cursor, Option<StartReason>)>),
    /// A backup of the ledger, of which so many are kept.
    BackUpLedger { kept: usize },
    /// Another try at what holds could not thaw.
    ThawLeft,
    /// An operator's wish to keep an image, or no longer.
    Pin(Box<Pin>),
}

/// What a task occupies while it runs, so that it can be given back even if the task panics.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claim {
    pub(crate) jobs: Vec<JobId>,
    pub(crate) recording: Vec<(PolicyName, AccountName)>,
    pub(crate) reading: Option<(AccountName, Reading)>,
    pub(crate) deletions: Vec<DeletionId>,
    /// The accounts that are being pruned.
    pub(crate) pruning: Vec<AccountName>,
    pub(crate) request: Option<RequestId>,
    /// The ledger is being backed up.
    pub(crate) backs_up: bool,
    /// What holds left is being thawed.
    pub(crate) thaws: bool,
    /// Under which configuration it was started.
    pub(crate) epoch: u64,
}

impl Task {
    pub(crate) async fn run<C: Cloud>(self, ctx: Arc<Context<C>>) -> Report {
        let action = match self.work {
            Work::Action(action) => *action,
            Work::Events(mut events) => {
                let changes = self.jobs.into_iter().filter_map(|job| events.remove(&job.id).map(|event| (job, event)));
                return record::events(&ctx, changes.collect()).await;
            }
            Work::Cursors(cursors) => return record::cursors(&ctx, cursors).await,
            Work::BackUpLedger { kept } => return back_up::ledger(&ctx, kept).await,
            Work::ThawLeft => return Report::ThawedLeft(thaw_left(&ctx).await),
            Work::Pin(pin) => return pin::pin(&ctx, *pin).await,
        };
        match action {
            Action::ObserveIdentity { account } => observe::identity(&ctx, account).await,
            Action::ObserveInventory { account } => observe::inventory(&ctx, account).await,
            Action::ObserveInstances { account, instances } => observe::instances(&ctx, account, instances).await,
            Action::RecordCursor { cursor, reason } => record::cursors(&ctx, vec![(cursor, reason)]).await,
            Action::RecordFire(action) => record::fire(&ctx, action).await,
            Action::Prune(action) => prune::prune(&ctx, action).await,
            Action::RetireImages { account, .. } => retire::retire_images(&ctx, account, self.deletions).await,
            Action::DeleteSnapshots { account, .. } => retire::delete_snapshots(&ctx, account, self.deletions).await,
            Action::Record { event, .. } => {
                record::events(&ctx, self.jobs.into_iter().map(|job| (job, event.clone())).collect()).await
            }
            Action::RequestImage(action) => request::request_image(&ctx, self.jobs, *action).await,
            Action::LookUpNames { account, .. } => look_up::look_up_names(&ctx, account, self.jobs).await,
            Action::LookUpSets { account, .. } => sets::look_up_sets(&ctx, account, self.jobs).await,
            Action::PollSnapshots { account, .. } => {
                sets::poll_snapshots(&ctx, account, self.jobs, &self.missing_since).await
            }
            Action::RegisterImage { account, .. } => sets::register_image(&ctx, account, self.jobs).await,
            Action::PollImages { account, .. } => {
                poll::poll_images(&ctx, account, self.jobs, &self.missing_since).await
            }
            Action::WriteGrades { account, grade, .. } => grade::write_grades(&ctx, account, grade, self.jobs).await,
        }
    }
}
