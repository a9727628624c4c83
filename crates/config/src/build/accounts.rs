//! `[accounts.NAME]`.

use std::collections::BTreeMap;

use amikeep_domain::id::AccountName;
use amikeep_domain::policy::AccountRules;

use crate::config::{Account, Role};
use crate::findings::Findings;
use crate::keys::AccountKeys;
use crate::value::table::{Entry, Named};

pub(crate) fn build(
    entries: Option<&Named<AccountName, AccountKeys>>,
    findings: &mut Findings<'_>,
) -> BTreeMap<AccountName, Account> {
    let entries = entries.map_or(&[][..], |named| &named.0);
    let built = entries.iter().filter_map(|entry| build_account(entry, findings));
    built.map(|account| (account.name.clone(), account)).collect()
}

/// What the rules need to know of an account.
pub(crate) fn rules(account: &Account) -> AccountRules {
    AccountRules {
        region: account.region.clone(),
        expected_id: account.account_id.clone(),
        visibility_lag: account.visibility_lag,
    }
}

fn build_account(entry: &Entry<AccountName, AccountKeys>, findings: &mut Findings<'_>) -> Option<Account> {
    let keys = entry.value.as_ref()?;
    let role = keys.role_arn.get();
    if let Some(external_id) = keys.external_id.given().filter(|_| keys.role_arn.is_absent()) {
        findings
            .error(&external_id.at, "an external id without a role to assume")
            .suggest("add `role_arn`, or leave `external_id` out");
    }
    if let (Some(role), Some(expected)) = (role, keys.account_id.given())
        && role.account != expected.value
    {
        let message = format!("the role is in account {}, so this account would always be refused", role.account);
        findings.error(&expected.at, message);
    }
    Some(Account {
        name: entry.name.value.clone(),
        region: keys.region.get()?.clone(),
        profile: keys.profile.get().map(|profile| profile.0.clone()),
        role: role.map(|role| Role {
            arn: role.arn.clone(),
            external_id: keys.external_id.get().map(|external_id| external_id.0.clone()),
        }),
        endpoint_url: keys.endpoint_url.get().map(|url| url.0.clone()),
        account_id: keys.account_id.get().cloned(),
        visibility_lag: keys.visibility_lag.get()?.0,
    })
}
