//! What must be read from EC2 before more can be planned, gathered into as few calls as filters allow.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::id::{AccountName, InstanceId};
use crate::plan::{Action, BATCH_MAX, Plan, PlanInputs, READ_RETRY_MAX, Reading};

/// What fires and jobs wait for.
#[derive(Debug, Default)]
pub(super) struct Needs {
    identities: BTreeSet<AccountName>,
    inventories: BTreeSet<AccountName>,
    /// In the order of the jobs that need them.
    instances: BTreeMap<AccountName, Vec<InstanceId>>,
}

impl Needs {
    pub(super) fn identity(&mut self, account: &AccountName) {
        self.identities.insert(account.clone());
    }

    pub(super) fn inventory(&mut self, account: &AccountName) {
        self.inventories.insert(account.clone());
    }

    pub(super) fn instance(&mut self, account: &AccountName, instance: &InstanceId) {
        let wanted = self.instances.entry(account.clone()).or_default();
        if wanted.len() < BATCH_MAX && !wanted.contains(instance) {
            wanted.push(instance.clone());
        }
    }
}

/// One read of each kind and account at a time, and none before `retry_at`: whoever answers with errors is not asked
/// more often for it.
pub(super) fn plan_observations(inputs: &PlanInputs<'_>, needs: Needs, plan: &mut Plan) {
    for account in needs.identities {
        if may_read(inputs, &account, Reading::Identity, plan) {
            plan.actions.push(Action::ObserveIdentity { account });
        }
    }
    for account in needs.inventories {
        if may_read(inputs, &account, Reading::Inventory, plan) {
            plan.actions.push(Action::ObserveInventory { account });
        }
    }
    for (account, instances) in needs.instances {
        if may_read(inputs, &account, Reading::Instances, plan) {
            plan.actions.push(Action::ObserveInstances { account, instances });
        }
    }
}

/// Whether this may be read now; if it must wait, the plan asks to be woken then.
pub(super) fn may_read(inputs: &PlanInputs<'_>, account: &AccountName, reading: Reading, plan: &mut Plan) -> bool {
    let Some(view) = inputs.accounts.get(account) else { return false };
    if view.reading.contains(&reading) {
        return false;
    }
    is_past(view.retry_at, inputs, plan)
}

/// Whether this need not be waited for any more; if it must, the plan asks to be woken then.
pub(super) fn is_past(retry_at: Option<Timestamp>, inputs: &PlanInputs<'_>, plan: &mut Plan) -> bool {
    match retry_at {
        Some(retry_at) if inputs.now < retry_at && retry_at.duration_since(inputs.now) <= READ_RETRY_MAX => {
            plan.wake_no_later_than(retry_at);
            false
        }
        _ => true,
    }
}
