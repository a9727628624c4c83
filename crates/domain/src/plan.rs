//! The planner: from what is known to what is to be done now. Total, synchronous and pure.
//!
//! An action leaves nothing to decide: name, mode and tags of an image are fixed here. A retry is no loop but a time in
//! the data (`retry_at`), and the planner says when it wants to be asked again. Once everything is done, a plan is
//! empty until that time; the tests call this "settled".

mod fires;
mod jobs;
mod observe;
mod open;
mod prunes;
mod room;
mod taken;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::decision::HoldOrder;
use crate::fire::{Cursor, Cursors, DueFires, StartReason};
use crate::grade::Grade;
use crate::id::{AccountId, AccountName, ClassName, DeletionId, InstanceId, JobId, PolicyName, RequestId};
use crate::instance::Instance;
use crate::job::{Intent, Job, JobEvent, JobKey};
use crate::pause::Pause;
use crate::policy::PolicySet;
use crate::prune::{Deletion, Released};

/// Facts older than this are read again before a decision is acted upon: the decision is taken right before the call.
pub const FACTS_FRESH_FOR: SignedDuration = SignedDuration::from_secs(30);

/// The most ids in one question to EC2: the values that one filter takes.
pub const BATCH_MAX: usize = 200;

/// The most jobs whose snapshots are looked up by tag in one action: a question for each of them.
pub const SETS_MAX: usize = 10;

/// The most images that are looked at together. A question takes [`BATCH_MAX`] of them; what becomes ready at about the
/// same time shares the questions about its snapshots and the call that writes its grade.
pub const POLL_BATCH_MAX: usize = 1_000;

/// The longest wait after a failed read. A wait that would be longer was computed by a clock that has been set back since.
pub const READ_RETRY_MAX: SignedDuration = SignedDuration::from_mins(5);

/// The most jobs whose grade is written in one call. `CreateTags` takes 1,000 resources, and an image with all its
/// snapshots is rarely more than ten.
pub const GRADE_BATCH_MAX: usize = 90;

/// The most deletions that one action works on. They are asked for one after the other, so this bounds how long it takes.
pub const RETIRE_BATCH_MAX: usize = 20;

pub use crate::plan::open::OpenJobs;
pub use crate::plan::prunes::DELETION_RETRY_MAX;

/// All that a plan depends on.
#[derive(Debug, Clone, Copy)]
pub struct PlanInputs<'a> {
    /// The present moment.
    pub now: Timestamp,
    /// What should happen.
    pub policy_set: &'a PolicySet,
    /// How far each policy has been planned in each account.
    pub cursors: &'a Cursors,
    /// Every job that has not ended.
    pub jobs: &'a OpenJobs,
    /// Jobs that an action is working on at this moment.
    pub busy: &'a BTreeSet<JobId>,
    /// What is known of each account.
    pub accounts: &'a BTreeMap<AccountName, AccountView>,
    /// What operators have paused, now or at a time that is being planned.
    pub pauses: &'a [Pause],
    /// Up to which nominal time each account has been pruned.
    pub prune_cursors: &'a BTreeMap<AccountName, Timestamp>,
    /// When this engine was started: an account that was never pruned is due at the first nominal time after it.
    pub started_at: Timestamp,
    /// Every deletion that has not ended, or those of this engine's own request.
    pub deletions: &'a BTreeMap<DeletionId, Deletion>,
    /// Deletions that an action is working on at this moment.
    pub busy_deletions: &'a BTreeSet<DeletionId>,
    /// Whether a prune is being planned at this moment: one at a time, so that limits hold for all of them.
    pub pruning: bool,
    /// The most jobs from `preparing` to `capturing` at a time.
    pub jobs_max: usize,
    /// What this engine is there for.
    pub scope: &'a Scope,
}

/// What an engine is there for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The daemon: everything.
    Everything,
    /// A command without a daemon: its own requests, and whatever image of the same instances must be finished first.
    Requests(BTreeSet<RequestId>),
}

impl Scope {
    fn covers(&self, job: &Job) -> bool {
        match self {
            Self::Everything => true,
            Self::Requests(requests) => job.request.is_some_and(|request| requests.contains(&request)),
        }
    }
}

/// What is known of an account, read from EC2 by the engine that holds it.
#[derive(Debug, Clone, Default)]
pub struct AccountView {
    /// Its id, once the credentials have been asked.
    pub id: Option<AccountId>,
    /// Nothing is read before this: the last read failed.
    pub retry_at: Option<Timestamp>,
    /// Why the last read failed.
    pub last_error: Option<String>,
    /// It is not pruned before this: the last prune failed. What else is read does not wait for that.
    pub prune_retry_at: Option<Timestamp>,
    /// The last complete listing of instances.
    pub inventory: Option<Inventory>,
    /// What was last seen of single instances.
    pub facts: BTreeMap<InstanceId, SeenFacts>,
    /// When EC2 was last asked about the image of a job.
    pub looked_at: BTreeMap<JobId, Timestamp>,
    /// Reads that are under way.
    pub reading: BTreeSet<Reading>,
}

/// A complete listing of instances.
#[derive(Debug, Clone)]
pub struct Inventory {
    /// When it was begun: it shows everything that was there by then.
    pub at: Timestamp,
    /// When it was answered: decisions may rest on it for a while from then on.
    pub answered_at: Timestamp,
    /// The instances.
    pub instances: BTreeMap<InstanceId, Instance>,
}

/// What was last seen of one instance.
#[derive(Debug, Clone)]
pub struct SeenFacts {
    /// When it was answered.
    pub at: Timestamp,
    /// The instance; `None` if a complete answer did not contain it.
    pub instance: Option<Instance>,
}

/// The kinds of reads, of which one each is under way per account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reading {
    /// Whose credentials these are.
    Identity,
    /// Every instance.
    Inventory,
    /// Some instances.
    Instances,
    /// Images by name.
    Names,
    /// Snapshots by the job that they carry.
    Sets,
    /// Snapshots that images are to be registered from.
    Copies,
    /// Images by id, with their snapshots.
    Images,
    /// Writing grades.
    Grades,
    /// Deregistering images.
    Retiring,
    /// Deleting snapshots.
    Snapshots,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Ask whose credentials these are.
    ObserveIdentity {
        /// The account.
        account: AccountName,
    },
    /// List every instance.
    ObserveInventory {
        /// The account.
        account: AccountName,
    },
    /// Describe these instances.
    ObserveInstances {
        /// The account.
        account: AccountName,
        /// At most [`BATCH_MAX`].
        instances: Vec<InstanceId>,
    },
    /// Let a policy start from now, or note that it is switched off.
    RecordCursor {
        /// The cursor to store.
        cursor: Cursor,
        /// Why it starts from now; `None` when it is switched off.
        reason: Option<StartReason>,
    },
    /// Write down fires and their jobs.
    RecordFire(FireAction),
    /// Commit the intent, then ask for the image.
    RequestImage(Box<RequestAction>),
    /// Look images up by name, to settle an unknown outcome.
    LookUpNames {
        /// The account.
        account: AccountName,
        /// At most [`BATCH_MAX`].
        jobs: Vec<JobId>,
    },
    /// Look snapshots up by the job that they carry, to settle an unknown outcome.
    LookUpSets {
        /// The account.
        account: AccountName,
        /// At most [`SETS_MAX`].
        jobs: Vec<JobId>,
    },
    /// See how far snapshots are that images are to be registered from.
    PollSnapshots {
        /// The account.
        account: AccountName,
        /// At most [`BATCH_MAX`].
        jobs: Vec<JobId>,
    },
    /// Commit the intent, then register the image.
    RegisterImage {
        /// The account.
        account: AccountName,
        /// The job.
        job: JobId,
    },
    /// See how far images are.
    PollImages {
        /// The account.
        account: AccountName,
        /// At most [`POLL_BATCH_MAX`].
        jobs: Vec<JobId>,
    },
    /// Write a grade on images and snapshots.
    WriteGrades {
        /// The account.
        account: AccountName,
        /// The grade they share.
        grade: Grade,
        /// At most [`GRADE_BATCH_MAX`].
        jobs: Vec<JobId>,
    },
    /// List images, ask for their uses, apply retention, and write down what goes.
    Prune(PruneAction),
    /// Deregister images, with their snapshots.
    RetireImages {
        /// The account.
        account: AccountName,
        /// At most [`RETIRE_BATCH_MAX`].
        deletions: Vec<DeletionId>,
    },
    /// See which snapshots of deregistered images are left, and delete those.
    DeleteSnapshots {
        /// The account.
        account: AccountName,
        /// At most [`RETIRE_BATCH_MAX`].
        deletions: Vec<DeletionId>,
    },
    /// Write down an event that needs no call.
    Record {
        /// The job.
        job: JobId,
        /// The event.
        event: JobEvent,
    },
}

/// A prune: what it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruneAction {
    /// The accounts, each with the nominal time up to which it is pruned then, if the schedule asked for it.
    pub accounts: BTreeMap<AccountName, Option<Timestamp>>,
    /// The operator's request it is for.
    pub request: Option<RequestId>,
    /// Only this policy.
    pub policy: Option<PolicyName>,
    /// What the operator let go beyond `max_deletes`.
    pub released: Released,
}

/// Fires of one policy in one account.
#[derive(Debug, Clone, PartialEq)]
pub struct FireAction {
    /// The policy.
    pub policy: PolicyName,
    /// The account.
    pub account: AccountName,
    /// Its id; known whenever a fire runs.
    pub account_id: Option<AccountId>,
    /// Where the cursor was.
    pub planned_from: Timestamp,
    /// What is due.
    pub due: DueFires,
    /// The instances of the fire that runs.
    pub matched: Vec<Matched>,
    /// Why fires were missed, where that is known.
    pub note: Option<String>,
    /// The pause that fires fell into.
    pub pause: Option<String>,
}

/// An instance that a fire covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// The instance.
    pub instance: InstanceId,
    /// The class it has, as far as that can be told now.
    pub class: ClassName,
}

/// An image to be asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestAction {
    /// The job.
    pub job: JobId,
    /// What makes it unique.
    pub key: JobKey,
    /// The account.
    pub account: AccountName,
    /// The class that applies.
    pub class: ClassName,
    /// The intent to commit.
    pub intent: Intent,
    /// The tags for the image and its snapshots.
    pub tags: BTreeMap<String, String>,
    /// How the instance is held still meanwhile, in mode freeze.
    pub hold: Option<Box<HoldOrder>>,
}

/// What to do now, what to know, and when to ask again.
#[derive(Debug, Clone, Default)]
#[must_use = "a plan that nobody executes does nothing"]
pub struct Plan {
    /// To be done now, in any order.
    pub actions: Vec<Action>,
    /// What the planner is waiting for, for people.
    pub notes: Vec<String>,
    /// When the answer will be another one though nothing else happens.
    pub wake_at: Option<Timestamp>,
}

impl Plan {
    fn wake_no_later_than(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }
}

/// Plans. See the module.
pub fn plan(inputs: &PlanInputs<'_>) -> Plan {
    let mut plan = Plan::default();
    let mut needs = observe::Needs::default();
    if *inputs.scope == Scope::Everything {
        fires::plan_fires(inputs, &mut needs, &mut plan);
        prunes::plan_prunes(inputs, &mut needs, &mut plan);
    }
    jobs::plan_jobs(inputs, &mut needs, &mut plan);
    prunes::plan_deletions(inputs, &mut needs, &mut plan);
    observe::plan_observations(inputs, needs, &mut plan);
    plan
}

#[cfg(test)]
mod tests;
