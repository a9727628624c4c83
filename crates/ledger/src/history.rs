//! The history of jobs, newest first, in pages.

use amikeep_domain::id::{InstanceId, PolicyName, RequestId};
use amikeep_domain::job::{Job, StateName};
use jiff::Timestamp;

use crate::error::LedgerError;
use crate::field::millis;
use crate::ledger::Ledger;
use crate::page::{JobCursor, Page, limit_rows};
use crate::row::JobRow;
use crate::sql;

/// Which jobs. Nothing set means all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistoryFilter {
    /// Of this policy.
    pub policy: Option<PolicyName>,
    /// Of this instance.
    pub instance: Option<InstanceId>,
    /// In this state.
    pub state: Option<StateName>,
    /// With a nominal time of this or later.
    pub since: Option<Timestamp>,
    /// With a nominal time before this.
    pub until: Option<Timestamp>,
    /// Of this request of an operator.
    pub request: Option<RequestId>,
}

impl HistoryFilter {
    /// The statement whose index leaves the fewest rows to look at. States other than `succeeded` are few among very many;
    /// of those that succeeded a policy's are fewer than all.
    fn statement(&self) -> &'static str {
        match self {
            Self { request: Some(_), .. } => sql::HISTORY_OF_REQUEST,
            Self { instance: Some(_), .. } => sql::HISTORY_OF_INSTANCE,
            Self { state: Some(state), .. } if *state != StateName::Succeeded => sql::HISTORY_OF_STATE,
            Self { policy: Some(_), .. } => sql::HISTORY_OF_POLICY,
            _ => sql::HISTORY,
        }
    }
}

impl Ledger {
    /// Jobs by nominal time and id, newest first, from after a cursor.
    pub async fn history(
        &self,
        filter: &HistoryFilter,
        limit: u32,
        after: Option<&JobCursor>,
    ) -> Result<Page<Job>, LedgerError> {
        let result = async {
            let before = JobCursor::bound(after, filter.until);
            let rows: Vec<JobRow> = sqlx::query_as(filter.statement())
                .bind(filter.request.as_ref().map(ToString::to_string))
                .bind(filter.instance.as_ref().map(InstanceId::as_str))
                .bind(filter.policy.as_ref().map(PolicyName::as_str))
                .bind(filter.state.map(StateName::as_str))
                .bind(filter.since.map_or(i64::MIN, millis))
                .bind(before.scheduled_at)
                .bind(before.id)
                .bind(limit_rows(limit) + 1)
                .fetch_all(self.readers())
                .await?;
            let cursor = |row: &JobRow| JobCursor { scheduled_at: row.scheduled_at, id: row.id.clone() };
            Ok(Page::from_rows(rows, limit, cursor)?)
        };
        self.explain_read(result.await, "the history")
    }
}

#[cfg(test)]
mod tests;
