//! Unknown outcomes, and from snapshots to an image: what is looked up, which copies are looked at, and which images are
//! registered now.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::id::{AccountName, JobId};
use crate::job::{Job, JobState, Taken, TakenStep};
use crate::plan::jobs::{Gathered, POLL_TOGETHER_WITHIN, plan_stalled, poll_every};
use crate::plan::observe::may_read;
use crate::plan::{AccountView, Action, BATCH_MAX, Plan, PlanInputs, READ_RETRY_MAX, Reading, SETS_MAX};
use crate::policy::saturating_add;

/// How often an unknown outcome is looked up. EC2 shows most images within seconds.
const LOOK_UP_EVERY: SignedDuration = SignedDuration::from_secs(5);

/// When the outcome of a request is next looked up, and by what.
pub(super) fn gather_look_up<'a>(
    inputs: &PlanInputs<'_>,
    job: &'a Job,
    view: &AccountView,
    gathered: &mut Gathered<'a>,
    plan: &mut Plan,
) {
    let last_look = view.looked_at.get(&job.id).filter(|at| **at <= inputs.now);
    let due_at = last_look.map_or(inputs.now, |at| saturating_add(*at, LOOK_UP_EVERY));
    // What `CreateSnapshots` made has no name, and is found by the tag of its job.
    let is_set = matches!(job.state, JobState::Capturing(_))
        && job.intent.as_ref().is_some_and(|intent| intent.registration.is_some());
    if inputs.now < due_at {
        plan.wake_no_later_than(due_at);
    } else {
        let by_account = if is_set { &mut gathered.sets } else { &mut gathered.look_ups };
        by_account.entry(&job.account_name).or_default().push(job.id);
    }
}

/// The next step from snapshots to an image.
pub(super) fn gather_taken<'a>(
    inputs: &PlanInputs<'_>,
    job: &'a Job,
    taken: &Taken,
    view: &AccountView,
    gathered: &mut Gathered<'a>,
    plan: &mut Plan,
) {
    if plan_stalled(inputs, job, (taken.taken_at, taken.stalled), plan) {
        return;
    }
    match &taken.step {
        TakenStep::Copying => {
            let last_look = view.looked_at.get(&job.id).copied().unwrap_or(taken.taken_at);
            let wait = poll_every((taken.taken_at, taken.stalled), last_look);
            let due_at = if last_look <= inputs.now { saturating_add(last_look, wait) } else { inputs.now };
            gathered.copies.entry(&job.account_name).or_default().push((due_at, job.id));
        }
        TakenStep::Complete { retry_at } => match retry_at.filter(|at| is_ahead(*at, inputs.now)) {
            Some(retry_at) => plan.wake_no_later_than(retry_at),
            None => {
                plan.actions.push(Action::RegisterImage { account: job.account_name.clone(), job: job.id });
            }
        },
        TakenStep::Registering { .. } => gather_look_up(inputs, job, view, gathered, plan),
    }
}

/// Whether a wait is still to be waited. One that would be longer than any was computed by a clock that was set back since.
fn is_ahead(at: Timestamp, now: Timestamp) -> bool {
    now < at && at.duration_since(now) <= READ_RETRY_MAX
}

/// One question for all copies that are due.
pub(super) fn plan_copies(
    inputs: &PlanInputs<'_>,
    copies_by_account: BTreeMap<&AccountName, Vec<(Timestamp, JobId)>>,
    plan: &mut Plan,
) {
    for (account, copies) in copies_by_account {
        if let Some(first_due_at) = copies.iter().map(|(due_at, _)| *due_at).min().filter(|at| inputs.now < *at) {
            plan.wake_no_later_than(first_due_at);
        } else if may_read(inputs, account, Reading::Copies, plan) {
            let until = saturating_add(inputs.now, POLL_TOGETHER_WITHIN);
            let due = copies.into_iter().filter(|(due_at, _)| *due_at <= until).take(BATCH_MAX);
            let jobs = due.map(|(_, job)| job).collect();
            plan.actions.push(Action::PollSnapshots { account: account.clone(), jobs });
        }
    }
}

/// Some jobs in an action, since each is a question of its own.
pub(super) fn plan_sets(inputs: &PlanInputs<'_>, sets: BTreeMap<&AccountName, Vec<JobId>>, plan: &mut Plan) {
    for (account, jobs) in sets {
        if may_read(inputs, account, Reading::Sets, plan) {
            let jobs = jobs.into_iter().take(SETS_MAX).collect();
            plan.actions.push(Action::LookUpSets { account: account.clone(), jobs });
        }
    }
}
