//! Whether a policy that is asked about was ever heard of: a typo must not look like a policy without a backup.

use std::collections::BTreeMap;

use amikeep_domain::id::PolicyName;
use amikeep_domain::policy::Policy;
use amikeep_ledger::{FireFilter, HistoryFilter, Ledger};

use crate::exit::UsageError;

/// Refuses a name that neither the configuration nor the ledger knows. A policy that is gone from the configuration still
/// has its rows.
pub(super) async fn check_policy(
    ledger: &Ledger,
    policy: Option<&PolicyName>,
    configured: &BTreeMap<PolicyName, Policy>,
) -> anyhow::Result<()> {
    let Some(policy) = policy.filter(|policy| !configured.contains_key(*policy)) else { return Ok(()) };
    let jobs = HistoryFilter { policy: Some(policy.clone()), ..HistoryFilter::default() };
    let fires = FireFilter { policy: Some(policy.clone()), ..FireFilter::default() };
    let has_rows =
        !ledger.history(&jobs, 1, None).await?.rows.is_empty() || !ledger.fires(&fires, 1, None).await?.rows.is_empty();
    if has_rows {
        return Ok(());
    }
    let known: Vec<&str> = configured.keys().map(PolicyName::as_str).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Err(UsageError(format!("there is no policy {policy} in the configuration, nor in the ledger; there are: {known}"))
        .into())
}
