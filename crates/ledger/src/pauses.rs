//! Pauses: an operator's request writes one, and another one ends it. Rows are never removed before they are old.

use amikeep_domain::decision::JobError;
use amikeep_domain::id::RequestId;
use amikeep_domain::pause::{Pause, PauseScope};
use jiff::Timestamp;

use crate::error::{Failure, LedgerError};
use crate::field::{Place, millis};
use crate::ledger::{Access, Ledger, Tx};
use crate::requests::{self, Settled, scope_from_words, scope_words};
use crate::sql;

#[derive(sqlx::FromRow)]
struct PauseRow {
    id: String,
    scope: String,
    name: Option<String>,
    since: i64,
    until: Option<i64>,
    reason: Option<String>,
    ended_at: Option<i64>,
}

impl TryFrom<PauseRow> for Pause {
    type Error = LedgerError;

    fn try_from(row: PauseRow) -> Result<Self, LedgerError> {
        let at = Place::new("pauses", &row.id);
        Ok(Self {
            id: at.parse("id", &row.id)?,
            scope: at.read("scope", scope_from_words(&row.scope, row.name.as_deref()))?,
            since: at.time("since", row.since)?,
            until: at.time_some("until", row.until)?,
            reason: row.reason,
            ended_at: at.time_some("ended_at", row.ended_at)?,
        })
    }
}

impl Ledger {
    /// Records a pause, and with it that its request is done. An older one of the same scope that is still in force ends
    /// now: what was asked for last holds.
    pub async fn record_pause(&self, pause: &Pause, at: Timestamp) -> Result<(), LedgerError> {
        let result = async {
            let mut tx = self.begin(Access::Engine).await?;
            requests::settle(&mut tx, pause.id, Settled::Done, at).await?;
            end(&mut tx, &pause.scope, at).await?;
            let (scope, name) = scope_words(&pause.scope);
            let query = sqlx::query(sql::INSERT_PAUSE)
                .bind(pause.id.to_string())
                .bind(scope)
                .bind(name)
                .bind(millis(pause.since))
                .bind(pause.until.map(millis))
                .bind(pause.reason.as_deref())
                .bind(pause.ended_at.map(millis));
            query.execute(&mut *tx).await?;
            Ok(tx.commit().await?)
        };
        self.explain(result.await, |source| LedgerError::RecordRequest { request: pause.id, source })
    }

    /// Ends the pauses of exactly this scope and returns them; the request is done. If there is none, the request is
    /// refused with what the caller says of that.
    pub async fn record_resume(
        &self,
        request: RequestId,
        scope: &PauseScope,
        nothing_paused: &JobError,
        at: Timestamp,
    ) -> Result<Vec<Pause>, LedgerError> {
        let result = async {
            let mut tx = self.begin(Access::Engine).await?;
            let ended = end(&mut tx, scope, at).await?;
            let settled = if ended.is_empty() { Settled::Refused(nothing_paused) } else { Settled::Done };
            requests::settle(&mut tx, request, settled, at).await?;
            tx.commit().await?;
            Ok(ended)
        };
        self.explain(result.await, |source| LedgerError::RecordRequest { request, source })
    }

    /// The pauses into which this moment falls, oldest first.
    pub async fn pauses_in_force(&self, now: Timestamp) -> Result<Vec<Pause>, LedgerError> {
        let mut pauses = self.pauses_since(now).await?;
        pauses.retain(|pause| pause.contains(now));
        Ok(pauses)
    }

    /// The pauses that are in force, and those that ended after this moment, oldest first.
    pub async fn pauses_since(&self, at: Timestamp) -> Result<Vec<Pause>, LedgerError> {
        let result = async {
            let query = sqlx::query_as(sql::PAUSES_SINCE).bind(millis(at));
            Ok(into_pauses(query.fetch_all(self.readers()).await?)?)
        };
        self.explain_read(result.await, "the pauses")
    }
}

/// Also one whose beginning is still to come, by a clock that was wrong then.
async fn end(tx: &mut Tx, scope: &PauseScope, at: Timestamp) -> Result<Vec<Pause>, Failure> {
    let (scope, name) = scope_words(scope);
    let query = sqlx::query_as(sql::END_PAUSES).bind(scope).bind(name).bind(millis(at));
    Ok(into_pauses(query.fetch_all(&mut **tx).await?)?)
}

fn into_pauses(rows: Vec<PauseRow>) -> Result<Vec<Pause>, LedgerError> {
    let mut pauses: Vec<Pause> = rows.into_iter().map(Pause::try_from).collect::<Result<_, _>>()?;
    pauses.sort_unstable_by_key(|pause| (pause.since, pause.id));
    Ok(pauses)
}

#[cfg(test)]
mod tests;
