//! Fires and cursors: planning is one transaction, so a fire is planned once however often it is tried.

use amikeep_domain::fire::{Cursor, FireOutcome, Missed};
use amikeep_domain::id::{AccountName, PolicyName};
use amikeep_domain::job::{Job, Trigger};
use amikeep_domain::policy::Enabled;
use jiff::Timestamp;

use crate::error::{Failure, LedgerError};
use crate::field::{Place, millis};
use crate::jobs::{self, NewJob};
use crate::ledger::{Access, Ledger, Tx};
use crate::page::{FireCursor, Page, limit_rows};
use crate::sql;

/// What is to be recorded of one policy in one account: misses, fires that fell into a pause, at most one fire that runs,
/// and where the cursor goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirePlan {
    /// The policy.
    pub policy: PolicyName,
    /// The account.
    pub account: AccountName,
    /// Where the cursor was when this was planned.
    pub planned_from: Timestamp,
    /// Where it goes.
    pub planned_to: Timestamp,
    /// Fires that do not run.
    pub missed: Option<Missed>,
    /// Why they do not.
    pub missed_note: Option<String>,
    /// Fires that fell into a pause.
    pub skipped: Option<Missed>,
    /// What the pause is. Needed with `skipped`.
    pub skipped_note: Option<String>,
    /// The fire that runs.
    pub run: Option<FireRun>,
    /// Now.
    pub at: Timestamp,
}

/// A fire that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FireRun {
    /// Its nominal time.
    pub scheduled_at: Timestamp,
    /// Whether it is on time.
    pub trigger: Trigger,
    /// How many instances its selector matched.
    pub matched: u32,
    /// A job for each of them.
    pub jobs: Vec<NewJob>,
}

/// What [`Ledger::record_fire`] wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordedFire {
    /// The jobs that were not there before.
    pub jobs: Vec<Job>,
    /// Nothing was written, since the cursor was not where it was planned from: whoever planned knows another one.
    pub is_stale: bool,
}

/// A fire, or several consecutive ones that were missed or skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FireRow {
    /// The policy.
    pub policy: PolicyName,
    /// The configured name of the account.
    pub account_name: AccountName,
    /// Its nominal time; of several ones that of the last.
    pub scheduled_at: Timestamp,
    /// What became of it.
    pub outcome: FireOutcome,
    /// How many instances its selector matched.
    pub matched: u32,
    /// Of missed and skipped ones the first.
    pub missed_from: Option<Timestamp>,
    /// Of missed and skipped ones how many.
    pub missed_count: Option<u64>,
    /// Why, in words.
    pub note: Option<String>,
    /// When this was written down.
    pub recorded_at: Timestamp,
}

/// Which fires. Nothing set means all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FireFilter {
    /// Of this policy.
    pub policy: Option<PolicyName>,
    /// With a nominal time of this or later.
    pub since: Option<Timestamp>,
    /// With a nominal time before this.
    pub until: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct StoredFire {
    id: i64,
    policy: String,
    account_name: String,
    scheduled_at: i64,
    outcome: String,
    matched: i64,
    missed_from: Option<i64>,
    missed_count: Option<i64>,
    note: Option<String>,
    recorded_at: i64,
}

impl TryFrom<StoredFire> for FireRow {
    type Error = LedgerError;

    fn try_from(row: StoredFire) -> Result<Self, LedgerError> {
        let id = row.id.to_string();
        let at = Place::new("fires", &id);
        Ok(Self {
            policy: at.parse("policy", &row.policy)?,
            account_name: at.parse("account_name", &row.account_name)?,
            scheduled_at: at.time("scheduled_at", row.scheduled_at)?,
            outcome: at.word("outcome", &row.outcome, &FireOutcome::ALL, FireOutcome::as_str)?,
            matched: at.number("matched", row.matched)?,
            missed_from: at.time_some("missed_from", row.missed_from)?,
            missed_count: row.missed_count.map(|it| at.number("missed_count", it)).transpose()?,
            note: row.note,
            recorded_at: at.time("recorded_at", row.recorded_at)?,
        })
    }
}

#[derive(sqlx::FromRow)]
struct StoredCursor {
    policy: String,
    account_name: String,
    fingerprint: String,
    planned_to: i64,
    enabled: bool,
}

impl TryFrom<StoredCursor> for Cursor {
    type Error = LedgerError;

    fn try_from(row: StoredCursor) -> Result<Self, LedgerError> {
        let at = Place::new("cursors", &row.policy);
        Ok(Self {
            policy: at.parse("policy", &row.policy)?,
            account: at.parse("account_name", &row.account_name)?,
            planned_to: at.time("planned_to", row.planned_to)?,
            enabled: if row.enabled { Enabled::Yes } else { Enabled::No },
            fingerprint: row.fingerprint,
        })
    }
}

impl Ledger {
    /// How far every policy is planned in each of its accounts.
    pub async fn cursors(&self) -> Result<Vec<Cursor>, LedgerError> {
        let result = async {
            let rows: Vec<StoredCursor> = sqlx::query_as(sql::CURSORS).fetch_all(self.readers()).await?;
            Ok(rows.into_iter().map(Cursor::try_from).collect::<Result<_, _>>()?)
        };
        self.explain_read(result.await, "the cursors")
    }

    /// Puts a cursor somewhere, forward or backward: a policy starts from now, or is disabled.
    pub async fn record_cursor(&self, cursor: &Cursor) -> Result<(), LedgerError> {
        let (policy, account) = (cursor.policy.clone(), cursor.account.clone());
        let result = self.try_record_cursors([cursor]).await;
        self.explain(result, |source| LedgerError::RecordCursor { policy, account, source })
    }

    /// The same for many, all or none: a new configuration may have ten thousand.
    pub async fn record_cursors(&self, cursors: &[Cursor]) -> Result<(), LedgerError> {
        let result = self.try_record_cursors(cursors).await;
        self.explain(result, |source| LedgerError::RecordCursors { count: cursors.len(), source })
    }

    async fn try_record_cursors(&self, cursors: impl IntoIterator<Item = &Cursor>) -> Result<(), Failure> {
        let mut tx = self.begin(Access::Engine).await?;
        for cursor in cursors {
            let query = sqlx::query(sql::UPSERT_CURSOR)
                .bind(cursor.policy.as_str())
                .bind(cursor.account.as_str())
                .bind(&cursor.fingerprint)
                .bind(millis(cursor.planned_to))
                .bind(cursor.enabled == Enabled::Yes);
            query.execute(&mut *tx).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Records a planned fire: the misses, what was skipped, the fire, its jobs, and the cursor forward, all or nothing. When the cursor is
    /// no longer where it was planned from, or the fire has a row already, somebody else planned it, and no job is new.
    pub async fn record_fire(&self, plan: &FirePlan) -> Result<RecordedFire, LedgerError> {
        let result = self.try_record_fire(plan).await;
        let (policy, account) = (plan.policy.clone(), plan.account.clone());
        self.explain(result, |source| LedgerError::RecordFire { policy, account, source })
    }

    async fn try_record_fire(&self, plan: &FirePlan) -> Result<RecordedFire, Failure> {
        let mut tx = self.begin(Access::Engine).await?;
        let query = sqlx::query_scalar(sql::PLANNED_TO).bind(plan.policy.as_str()).bind(plan.account.as_str());
        let planned_to: Option<i64> = query.fetch_optional(&mut *tx).await?;
        if planned_to != Some(millis(plan.planned_from)) {
            return Ok(RecordedFire { is_stale: true, ..RecordedFire::default() });
        }
        for row in unrun(plan) {
            insert_unrun(&mut tx, plan, &row).await?;
        }
        let jobs = match &plan.run {
            Some(run) => insert_run(&mut tx, plan, run).await?,
            None => Vec::new(),
        };
        let query = sqlx::query(sql::CURSOR_FORWARD).bind(plan.policy.as_str()).bind(plan.account.as_str());
        query.bind(millis(plan.planned_to)).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(RecordedFire { jobs, is_stale: false })
    }

    /// Fires, newest first, from after a cursor.
    pub async fn fires(
        &self,
        filter: &FireFilter,
        limit: u32,
        after: Option<&FireCursor>,
    ) -> Result<Page<FireRow, FireCursor>, LedgerError> {
        let result = async {
            let statement = if filter.policy.is_some() { sql::FIRES_OF_POLICY } else { sql::FIRES };
            let before = FireCursor::bound(after, filter.until);
            let rows: Vec<StoredFire> = sqlx::query_as(statement)
                .bind(filter.policy.as_ref().map(PolicyName::as_str))
                .bind(filter.since.map_or(i64::MIN, millis))
                .bind(before.scheduled_at)
                .bind(before.id)
                .bind(limit_rows(limit) + 1)
                .fetch_all(self.readers())
                .await?;
            let cursor = |row: &StoredFire| FireCursor { scheduled_at: row.scheduled_at, id: row.id };
            Ok(Page::from_rows(rows, limit, cursor)?)
        };
        self.explain_read(result.await, "the fires")
    }
}

/// Consecutive fires that did not run, for one reason.
struct Unrun<'a> {
    outcome: FireOutcome,
    fires: &'a Missed,
    note: Option<&'a str>,
}

/// In their order, so that each finds those before it.
fn unrun(plan: &FirePlan) -> Vec<Unrun<'_>> {
    let row = |outcome, fires, note| Unrun { outcome, fires, note };
    let missed = plan.missed.as_ref().map(|it| row(FireOutcome::Missed, it, plan.missed_note.as_deref()));
    let skipped = plan.skipped.as_ref().map(|it| row(FireOutcome::Skipped, it, plan.skipped_note.as_deref()));
    let mut rows: Vec<_> = missed.into_iter().chain(skipped).collect();
    rows.sort_by_key(|row| row.fires.to);
    rows
}

/// Consecutive misses are one row: when the newest fire is a miss, and these come after it, it is made longer. The same
/// goes for fires that one pause skipped; another pause is another row.
async fn insert_unrun(tx: &mut Tx, plan: &FirePlan, row: &Unrun<'_>) -> Result<(), Failure> {
    let (from, to) = (millis(row.fires.from), millis(row.fires.to));
    let count = i64::try_from(row.fires.count).unwrap_or(i64::MAX);
    let query = sqlx::query_as(sql::NEWEST_FIRE).bind(plan.policy.as_str()).bind(plan.account.as_str());
    let newest: Option<(i64, i64, String, Option<String>)> = query.fetch_optional(&mut **tx).await?;
    if let Some((id, scheduled_at, outcome, note)) = newest
        && outcome == row.outcome.as_str()
        && (row.outcome == FireOutcome::Missed || note.as_deref() == row.note)
        && scheduled_at < from
    {
        let query = sqlx::query(sql::EXTEND_FIRE).bind(id).bind(to).bind(count).bind(row.note);
        query.bind(millis(plan.at)).execute(&mut **tx).await?;
        return Ok(());
    }
    let fire =
        NewFire { outcome: row.outcome, scheduled_at: to, matched: 0, unrun: Some((from, count)), note: row.note };
    insert_fire(tx, plan, &fire).await?;
    Ok(())
}

/// The fire and its jobs; no job if the fire has a row already.
async fn insert_run(tx: &mut Tx, plan: &FirePlan, run: &FireRun) -> Result<Vec<Job>, Failure> {
    let outcome = if run.matched == 0 { FireOutcome::NoMatch } else { FireOutcome::Ran };
    let scheduled_at = millis(run.scheduled_at);
    let row = NewFire { outcome, scheduled_at, matched: i64::from(run.matched), unrun: None, note: None };
    let mut jobs = Vec::with_capacity(run.jobs.len());
    if insert_fire(tx, plan, &row).await? {
        for job in &run.jobs {
            jobs.extend(jobs::insert(tx, job.clone()).await?);
        }
    }
    Ok(jobs)
}

struct NewFire<'a> {
    outcome: FireOutcome,
    scheduled_at: i64,
    matched: i64,
    /// From when, and how many.
    unrun: Option<(i64, i64)>,
    note: Option<&'a str>,
}

/// Whether there was no row of this fire.
async fn insert_fire(tx: &mut Tx, plan: &FirePlan, fire: &NewFire<'_>) -> Result<bool, Failure> {
    let query = sqlx::query(sql::INSERT_FIRE)
        .bind(plan.policy.as_str())
        .bind(plan.account.as_str())
        .bind(fire.scheduled_at)
        .bind(fire.outcome.as_str())
        .bind(fire.matched)
        .bind(fire.unrun.map(|(from, _)| from))
        .bind(fire.unrun.map(|(_, count)| count))
        .bind(fire.note)
        .bind(millis(plan.at));
    Ok(query.execute(&mut **tx).await?.rows_affected() == 1)
}

#[cfg(test)]
mod tests;
