//! Reading accounts and instances.

use amikeep_cloud::{Action, Cloud, Identity, InstanceQuery};
use amikeep_domain::id::{AccountName, InstanceId};

use crate::context::Context;
use crate::error::Told;
use crate::report::Report;

/// Whose credentials these are, and whether they are those that the configuration expects.
pub(crate) async fn identity<C: Cloud>(ctx: &Context<C>, account: AccountName) -> Report {
    let ask = |cloud: std::sync::Arc<C>| async move { cloud.observe_identity().await };
    let answer = ctx.call(&account, Action::GetCallerIdentity, ask).await;
    let result = match answer {
        Ok(identity) => check_expected(ctx, &account, identity),
        Err(error) => Err(format!("{error}; {}", crate::advice::next_step(&error))),
    };
    let now = ctx.now();
    let recorded = match &result {
        Ok(identity) => match ctx.policy_set().accounts.get(&account) {
            Some(rules) => ctx.ledger.record_account(&account, &identity.account, &rules.region, now).await,
            None => Ok(()),
        },
        Err(message) => ctx.ledger.record_account_error(&account, message, now).await,
    };
    log_unrecorded(&account, recorded);
    Report::Identity { account, result }
}

pub(crate) fn check_expected<C: Cloud>(
    ctx: &Context<C>,
    account: &AccountName,
    identity: Identity,
) -> Result<Identity, String> {
    let expected = ctx.policy_set().accounts.get(account).and_then(|rules| rules.expected_id.clone());
    match expected {
        Some(expected) if expected != identity.account => Err(format!(
            "wrong account: the credentials belong to {} ({}), and account_id of account {account} says {expected}; \
             give the account the right profile or role_arn",
            identity.account, identity.arn
        )),
        _ => Ok(identity),
    }
}

/// Every instance. The listing is also written down, so that "is host X backed up?" can name the hosts that no policy
/// covers.
pub(crate) async fn inventory<C: Cloud>(ctx: &Context<C>, account: AccountName) -> Report {
    let at = ctx.now();
    let ask = |cloud: std::sync::Arc<C>| async move { cloud.observe_instances(InstanceQuery::All).await };
    let result = ctx.call(&account, Action::DescribeInstances, ask).await;
    let recorded = match &result {
        Ok(instances) => ctx.ledger.record_inventory(&account, at, instances).await,
        Err(error) => ctx.ledger.record_account_error(&account, &error.to_string(), at).await,
    };
    log_unrecorded(&account, recorded);
    Report::Inventory { account, at, answered_at: ctx.now(), result }
}

/// Some instances, right before decisions about them.
pub(crate) async fn instances<C: Cloud>(ctx: &Context<C>, account: AccountName, asked: Vec<InstanceId>) -> Report {
    let query = InstanceQuery::Ids(asked.clone());
    let ask = |cloud: std::sync::Arc<C>| async move { cloud.observe_instances(query).await };
    let result = ctx.call(&account, Action::DescribeInstances, ask).await;
    Report::Instances { account, at: ctx.now(), asked, result }
}

/// What is read is worth writing down, and no backup depends on it: if the ledger is in trouble, whatever must be
/// written down next will say so.
fn log_unrecorded(account: &AccountName, recorded: Result<(), amikeep_ledger::LedgerError>) {
    if let Err(error) = recorded {
        let told = Told(&error);
        tracing::warn!(account = %account, "what was read from account {account} was not written down: {told}");
    }
}
