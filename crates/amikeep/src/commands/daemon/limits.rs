//! The chore of asking Service Quotas for EC2's request limits, once a day for each account.
//!
//! Speed is all that hangs on it: until it has answered, and where it may not be asked, the documented limits are in
//! force. It must never stop, delay or fail a backup, and what goes wrong is told once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use amikeep_cloud::{Cloud, CloudError, Limits};
use amikeep_domain::id::AccountName;
use tracing::{debug, info};

/// Service Quotas may be a day behind EC2 itself, so there is nothing to gain by asking more often.
const ASK_EVERY: Duration = Duration::from_hours(24);
/// A start should be over before twenty pages of quotas are read; the first fire of a daemon is rarely that close.
const FIRST_ASK_AFTER: Duration = Duration::from_secs(2);

/// Asks for the limits of every account, for as long as it is polled. Whoever reloads drops it and begins another.
pub(super) async fn keep_reading<C: Cloud>(clouds: BTreeMap<AccountName, Arc<C>>) {
    let mut told = BTreeSet::new();
    tokio::time::sleep(FIRST_ASK_AFTER).await;
    loop {
        for (account, cloud) in &clouds {
            tell(account, &cloud.observe_limits().await, &mut told);
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// A line when there is something new to know of an account.
fn tell(account: &AccountName, answer: &Result<Limits, CloudError>, told: &mut BTreeSet<String>) {
    let news = match answer {
        Ok(limits) => {
            let special: Vec<String> = limits.special().map(|(action, limit)| format!("{action} {limit}")).collect();
            match special.as_slice() {
                [] => format!("EC2's request limits of account {account} are the documented ones"),
                special => format!("EC2's request limits of account {account}: {}", special.join(", ")),
            }
        }
        Err(error) => format!("EC2's request limits of account {account} are taken to be the documented ones: {error}"),
    };
    if told.insert(news.clone()) {
        info!(account = %account, "{news}");
    } else {
        debug!(account = %account, "{news}");
    }
}
