//! Service Quotas, as far as it tells of request limits: for every action of EC2 the capacity and the refill of its
//! bucket, by the names that the console shows.
//!
//! Rules: `ListServiceQuotas` in the API Reference of Service Quotas, and "View your current API throttling limits" in
//! EC2's developer guide. What the simulator limits is what it tells.

use crate::error::ApiError;
use crate::reply::{Page, QuotaView, Reply};
use crate::request::Action;
use crate::world::limits::documented;
use crate::world::{Context, State};

/// The least and the most `MaxResults`, which is also the page size of whoever does not ask for one.
const RESULTS_MIN: i64 = 1;
const RESULTS_MAX: i64 = 100;

impl State {
    pub(crate) fn list_service_quotas(
        &self,
        context: &Context<'_>,
        service_code: &str,
        max_results: Option<i64>,
        next_token: Option<&str>,
    ) -> Result<Reply, ApiError> {
        if self.iam.is_denied(&context.caller.account, Action::ListServiceQuotas) {
            let arn = &context.caller.arn;
            let message = format!("User: {arn} is not authorized to perform: servicequotas:ListServiceQuotas");
            return Err(ApiError::client("AccessDeniedException", message));
        }
        let wanted = max_results.unwrap_or(RESULTS_MAX);
        if !(RESULTS_MIN..=RESULTS_MAX).contains(&wanted) {
            let message = format!("Value '{wanted}' at 'maxResults' failed to satisfy constraint");
            return Err(ApiError::client("IllegalArgumentException", message));
        }
        if service_code != "ec2" {
            let message = "The request failed because the specified service does not exist.";
            return Err(ApiError::client("NoSuchResourceException", message));
        }
        let invalid = || ApiError::client("InvalidPaginationTokenException", "The pagination token is not valid.");
        let from: usize = next_token.map_or(Ok(0), |token| token.parse().map_err(|_| invalid()))?;
        let quotas = self.quotas();
        if next_token.is_some() && quotas.len() <= from {
            return Err(invalid());
        }
        let size = usize::try_from(wanted).unwrap_or(1).min(self.settings.paging.items_max);
        let until = from.saturating_add(size);
        let next_token = (until < quotas.len()).then(|| until.to_string());
        let items = quotas.into_iter().skip(from).take(size).collect();
        Ok(Reply::ServiceQuotas(Page { items, next_token }))
    }

    fn quotas(&self) -> Vec<QuotaView> {
        let mut quotas = Vec::new();
        for action in Action::ALL {
            let Some((capacity, refill, _)) = documented(*action, false) else { continue };
            let (capacity, refill) = self.settings.special_limits.get(action).copied().unwrap_or((capacity, refill));
            quotas.extend(pair(action.as_str(), capacity, refill));
            if let Some((capacity, refill, true)) = documented(*action, true) {
                quotas.extend(pair(&format!("{action} unfiltered"), capacity, refill));
            }
        }
        quotas
    }
}

fn pair(what: &str, capacity: f64, refill: f64) -> [QuotaView; 2] {
    let quota = |name: String, value| QuotaView { code: code(&name), name, value };
    [
        quota(format!("{what} request bucket maximum capacity"), capacity),
        quota(format!("{what} request bucket refill rate"), refill),
    ]
}

/// Eight hexadecimal digits that are the same for the same name: FNV-1a.
fn code(name: &str) -> String {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("L-{hash:08X}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_limited_action_has_two_quotas_and_every_quota_a_code_of_its_own() {
        let names: Vec<QuotaView> = Action::ALL
            .iter()
            .filter_map(|action| Some((action, documented(*action, false)?)))
            .flat_map(|(action, (capacity, refill, _))| pair(action.as_str(), capacity, refill))
            .collect();
        assert_eq!(names[0].name, "DescribeInstances request bucket maximum capacity");
        assert_eq!(names.iter().map(|it| &it.code).collect::<BTreeSet<_>>().len(), names.len());
        assert!(names.iter().all(|it| !it.name.starts_with("GetCallerIdentity")));
    }
}
