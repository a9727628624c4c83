//! When retention is applied, and the next step of every deletion.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::fire::CLOCK_STEP_BACK_MAX;
use crate::id::{AccountName, DeletionId};
use crate::plan::observe::{Needs, is_past, may_read};
use crate::plan::{Action, Plan, PlanInputs, PruneAction, RETIRE_BATCH_MAX, Reading};
use crate::prune::{Deletion, DeletionState, Released};

/// The longest wait between two tries at a deletion. A wait that would be longer was computed by a clock that has been set
/// back since.
pub const DELETION_RETRY_MAX: SignedDuration = SignedDuration::from_hours(24);

/// One prune covers every account that is due, so that a limit which a policy has for all its accounts is seen as a whole.
/// An account whose credentials do not work is left out and becomes due again by its own backoff.
pub(super) fn plan_prunes(inputs: &PlanInputs<'_>, needs: &mut Needs, plan: &mut Plan) {
    if inputs.pruning {
        return wake_for_next(inputs, plan);
    }
    let mut due = BTreeMap::new();
    let mut waits = false;
    for account in inputs.policy_set.accounts.keys() {
        let Some(pruned_to) = due_to(inputs, account, plan) else { continue };
        let Some(view) = inputs.accounts.get(account) else { continue };
        if view.id.is_none() {
            needs.identity(account);
            waits |= view.last_error.is_none();
        } else if is_past(view.prune_retry_at, inputs, plan) && may_read(inputs, account, Reading::Retiring, plan) {
            due.insert(account.clone(), Some(pruned_to));
        }
    }
    if !due.is_empty() && !waits {
        let (request, policy, released) = (None, None, Released::default());
        plan.actions.push(Action::Prune(PruneAction { accounts: due, request, policy, released }));
    }
}

/// Up to which nominal time an account is to be pruned now. A cursor far ahead was left by a clock that was wrong.
fn due_to(inputs: &PlanInputs<'_>, account: &AccountName, plan: &mut Plan) -> Option<Timestamp> {
    let (schedule, now) = (&inputs.policy_set.prune_schedule, inputs.now);
    let cursor = inputs.prune_cursors.get(account).copied().unwrap_or(inputs.started_at);
    let is_ahead = CLOCK_STEP_BACK_MAX < cursor.duration_since(now);
    // In nearly every tick this one search is all.
    let next = schedule.next_after(if is_ahead { now } else { cursor })?;
    if now < next {
        plan.wake_no_later_than(next);
        return is_ahead.then_some(now);
    }
    wake_for_next(inputs, plan);
    schedule.latest_between(cursor, now)
}

fn wake_for_next(inputs: &PlanInputs<'_>, plan: &mut Plan) {
    if let Some(next) = inputs.policy_set.prune_schedule.next_after(inputs.now) {
        plan.wake_no_later_than(next);
    }
}

/// Deletions go on until nothing is left, whoever asked for them.
pub(super) fn plan_deletions(inputs: &PlanInputs<'_>, needs: &mut Needs, plan: &mut Plan) {
    let mut retire: BTreeMap<&AccountName, Vec<DeletionId>> = BTreeMap::new();
    let mut snapshots: BTreeMap<&AccountName, Vec<DeletionId>> = BTreeMap::new();
    for deletion in inputs.deletions.values().filter(|it| !inputs.busy_deletions.contains(&it.id)) {
        let Some(due_at) = deletion.due_at() else { continue };
        if inputs.now < due_at && due_at.duration_since(inputs.now) <= DELETION_RETRY_MAX {
            plan.wake_no_later_than(due_at);
        } else if let Some(account) = usable_account(inputs, deletion, needs, plan) {
            // Snapshots without an image need no deregistration.
            let has_image = matches!(deletion.state, DeletionState::Planned { .. }) && deletion.image.is_some();
            let due = if has_image { &mut retire } else { &mut snapshots };
            due.entry(account).or_default().push(deletion.id);
        }
    }
    for (account, deletions) in retire {
        if may_read(inputs, account, Reading::Retiring, plan) {
            let deletions = deletions.into_iter().take(RETIRE_BATCH_MAX).collect();
            plan.actions.push(Action::RetireImages { account: account.clone(), deletions });
        }
    }
    for (account, deletions) in snapshots {
        if may_read(inputs, account, Reading::Snapshots, plan) {
            let deletions = deletions.into_iter().take(RETIRE_BATCH_MAX).collect();
            plan.actions.push(Action::DeleteSnapshots { account: account.clone(), deletions });
        }
    }
}

/// The account of a deletion, by whatever name it is configured now: a deletion outlives a name. However old the decision is,
/// it is not given up here: the call may have been sent by a process that died before it wrote that down, and only a look
/// tells whether the image is still there.
fn usable_account<'a>(
    inputs: &PlanInputs<'a>,
    deletion: &Deletion,
    needs: &mut Needs,
    plan: &mut Plan,
) -> Option<&'a AccountName> {
    let mut silent = Vec::new();
    let accounts = &inputs.policy_set.accounts;
    // By the name that it was planned with, if that still stands for the same.
    let names = accounts.get_key_value(&deletion.account_name).into_iter().chain(accounts);
    for (name, _) in names.filter(|(_, rules)| rules.region == deletion.region) {
        match inputs.accounts.get(name).map(|view| view.id.as_ref()) {
            Some(Some(id)) if *id == deletion.account => return Some(name),
            Some(None) => silent.push(name),
            _ => {}
        }
    }
    for name in &silent {
        needs.identity(name);
    }
    let problem = match silent.as_slice() {
        [] => format!("no account of the configuration is {} in {}", deletion.account, deletion.region),
        [name, ..] => format!("account {name} does not answer"),
    };
    plan.notes.push(format!("the deletion of {} waits: {problem}", deletion.what()));
    None
}
