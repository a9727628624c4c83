//! Which fires are due, and the instances they cover.

use jiff::Timestamp;

use crate::decision::resolve_class;
use crate::fire::{Cursor, CursorStep, DueFires, Planned, StartReason, due_fires};
use crate::id::AccountName;
use crate::instance::InstanceState;
use crate::pause::{Pause, pause_at};
use crate::plan::observe::Needs;
use crate::plan::{Action, FireAction, Inventory, Matched, Plan, PlanInputs};
use crate::policy::{Enabled, Policy};

pub(super) fn plan_fires(inputs: &PlanInputs<'_>, needs: &mut Needs, plan: &mut Plan) {
    for policy in inputs.policy_set.policies.values().filter(|policy| policy.enabled == Enabled::Yes) {
        for account in &policy.accounts {
            plan_policy(inputs, policy, account, needs, plan);
        }
    }
    plan_switched_off(inputs, plan);
}

fn plan_policy(inputs: &PlanInputs<'_>, policy: &Policy, account: &AccountName, needs: &mut Needs, plan: &mut Plan) {
    let planned = inputs.cursors.get(&policy.name, account);
    if let Some(next) = planned.and_then(|planned| planned.rests_until(policy, inputs.now)) {
        return plan.wake_no_later_than(next);
    }
    let cursor = planned.map(Planned::cursor);
    match (due_fires(policy, cursor, inputs.now), cursor) {
        (CursorStep::StartFromNow(reason), _) => {
            let cursor = start_from_now(inputs, policy, account);
            plan.actions.push(Action::RecordCursor { cursor, reason: Some(reason) });
        }
        (CursorStep::Rest, cursor) => {
            let after = cursor.map_or(inputs.now, |cursor| cursor.planned_to);
            if let Some(next) = policy.schedule.next_after(after) {
                plan.wake_no_later_than(next);
            }
        }
        (CursorStep::Plan(due), Some(cursor)) => plan_due(inputs, policy, cursor, due, needs, plan),
        (CursorStep::Plan(_), None) => {}
    }
}

fn start_from_now(inputs: &PlanInputs<'_>, policy: &Policy, account: &AccountName) -> Cursor {
    Cursor {
        policy: policy.name.clone(),
        account: account.clone(),
        fingerprint: policy.schedule.fingerprint().to_owned(),
        planned_to: inputs.now,
        enabled: Enabled::Yes,
    }
}

/// A fire that runs needs the id of its account and a complete listing that is no older than its nominal time.
fn plan_due(
    inputs: &PlanInputs<'_>,
    policy: &Policy,
    cursor: &Cursor,
    due: DueFires,
    needs: &mut Needs,
    plan: &mut Plan,
) {
    let view = inputs.accounts.get(&cursor.account);
    let due = due.without_paused(|at| pause_of(inputs, policy, at).is_some());
    let matched = match due.run {
        None => Vec::new(),
        Some(run) => {
            if view.is_none_or(|view| view.id.is_none()) {
                needs.identity(&cursor.account);
                return plan.notes.push(waiting(policy, &cursor.account, "the account's credentials to be accepted"));
            }
            let inventory = view.and_then(|view| view.inventory.as_ref());
            let Some(inventory) = inventory.filter(|it| run.scheduled_at <= it.at) else {
                // A schedule may be quicker than a listing: what was due when the listing was begun can be planned with it.
                if let Some(CursorStep::Plan(earlier)) = inventory.map(|it| due_fires(policy, Some(cursor), it.at)) {
                    return plan_due(inputs, policy, cursor, earlier, needs, plan);
                }
                needs.inventory(&cursor.account);
                return plan.notes.push(waiting(policy, &cursor.account, "a complete list of its instances"));
            };
            matched_instances(inputs, policy, inventory)
        }
    };
    plan.actions.push(Action::RecordFire(FireAction {
        policy: policy.name.clone(),
        account: cursor.account.clone(),
        account_id: view.and_then(|view| view.id.clone()),
        planned_from: cursor.planned_to,
        due,
        matched,
        note: view.and_then(|view| view.last_error.clone()),
        pause: due.skipped.and_then(|skipped| pause_of(inputs, policy, skipped.to)).map(ToString::to_string),
    }));
}

/// The pause that a fire falls into: by its nominal time, or because it would run only now, in a pause.
fn pause_of<'a>(inputs: &PlanInputs<'a>, policy: &Policy, scheduled_at: Timestamp) -> Option<&'a Pause> {
    let at = |at| pause_at(inputs.pauses, &policy.name, None, at);
    at(scheduled_at).or_else(|| at(inputs.now))
}

fn waiting(policy: &Policy, account: &AccountName, what: &str) -> String {
    format!("a fire of policy {} in account {account} waits for {what}", policy.name)
}

/// What the policy covers. Instances that were already terminated before the fire are no longer the policy's: EC2 goes on
/// describing them for an hour, and there is nothing to back up.
fn matched_instances(inputs: &PlanInputs<'_>, policy: &Policy, inventory: &Inventory) -> Vec<Matched> {
    let covered = inventory.instances.values();
    let covered = covered.filter(|it| it.state != InstanceState::Terminated && policy.select.matches(it));
    covered
        .map(|instance| {
            let class = resolve_class(policy, &inputs.policy_set.classes, instance);
            let class = class.map_or_else(|_| policy.class.clone(), |class| class.name.clone());
            Matched { instance: instance.id.clone(), class }
        })
        .collect()
}

/// A policy that was disabled, or is configured no longer, starts from now when it comes back.
fn plan_switched_off(inputs: &PlanInputs<'_>, plan: &mut Plan) {
    for cursor in inputs.cursors.iter().filter(|cursor| cursor.enabled == Enabled::Yes) {
        let policy = inputs.policy_set.policies.get(&cursor.policy);
        let fires = policy.is_some_and(|it| it.enabled == Enabled::Yes && it.accounts.contains(&cursor.account));
        if !fires {
            let cursor = Cursor { enabled: Enabled::No, ..cursor.clone() };
            plan.actions.push(Action::RecordCursor { cursor, reason: None::<StartReason> });
        }
    }
}
