//! Summaries: what is left of jobs and fires that are older than `history_keep`. Counts and durations stay for reports.
//!
//! A job goes with its events, its deletions and its deleted images, in the transaction that adds it to its summary, so
//! that it is counted once whatever happens. The job of an image that still exists never goes: it is the proof that the
//! image is ours. Nor does one whose deletion or end is younger than the limit, since the limit of deletions in a day
//! counts those rows.

use std::collections::BTreeMap;

use amikeep_domain::class::Consistency;
use amikeep_domain::fire::FireOutcome;
use amikeep_domain::grade::Grade;
use amikeep_domain::id::{AccountId, AccountName, ClassName, InstanceId, PolicyName, Region};
use amikeep_domain::job::{Job, JobState, StateName, Trigger};
use jiff::Timestamp;

use crate::error::{Failure, LedgerError};
use crate::field::{Place, millis};
use crate::jobs::into_jobs;
use crate::ledger::{Access, Ledger, Tx};
use crate::row::JobRow;
use crate::{sql, stored};

/// How much [`Ledger::summarise`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summarised {
    /// How many jobs are no longer kept one by one.
    pub jobs: usize,
    /// How many rows of fires.
    pub fires: usize,
}

impl Summarised {
    /// Whether there is nothing left to summarise.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// What is left of jobs that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryRow {
    /// The month of their nominal times in UTC, as in `2026-11`.
    pub month: String,
    /// Their policy.
    pub policy: PolicyName,
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// Their instance.
    pub instance: InstanceId,
    /// What set them off.
    pub trigger: Trigger,
    /// The class that applied.
    pub class: ClassName,
    /// How the images were taken, if EC2 may have been asked for any.
    pub mode: Option<Consistency>,
    /// The grade of the images, if they succeeded.
    pub grade: Option<Grade>,
    /// How they ended.
    pub state: StateName,
    /// How many they are.
    pub jobs: u64,
    /// How many of them have a duration: from when they were taken up to their end.
    pub timed: u64,
    /// All those durations together, in milliseconds.
    pub total_ms: u64,
    /// The shortest of them.
    pub min_ms: Option<u64>,
    /// The longest of them.
    pub max_ms: Option<u64>,
    /// The first nominal time.
    pub first_at: Timestamp,
    /// The last nominal time.
    pub last_at: Timestamp,
}

/// What is left of fires that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FireSummaryRow {
    /// The month of their nominal times in UTC; of several that were one row, that of the last.
    pub month: String,
    /// Their policy.
    pub policy: PolicyName,
    /// The configured name of the account.
    pub account_name: AccountName,
    /// What became of them.
    pub outcome: FireOutcome,
    /// How many they are, each nominal time counted.
    pub fires: u64,
    /// How many instances they matched in sum.
    pub matched: u64,
}

/// What jobs of one row have in common, in the order of the columns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    month: String,
    policy: String,
    account: String,
    region: String,
    instance: String,
    trigger: &'static str,
    class: String,
    mode: &'static str,
    grade: &'static str,
    state: &'static str,
}

/// The text of a column for what is not there.
const NONE: &str = "";

impl Group {
    fn of(job: &Job) -> Self {
        Self {
            // UTC, and exact: a month of a nominal time does not depend on a zone.
            month: job.key.scheduled_at.strftime("%Y-%m").to_string(),
            policy: job.key.policy.to_string(),
            account: job.key.account.to_string(),
            region: job.key.region.to_string(),
            instance: job.key.instance.to_string(),
            trigger: job.trigger.as_str(),
            class: job.class.to_string(),
            mode: mode(job).map_or(NONE, Consistency::as_str),
            grade: grade(job).map_or(NONE, Grade::as_str),
            state: job.state.name().as_str(),
        }
    }
}

/// The last intent stays with a job whatever came of it. What it says was done only if there was an image.
fn mode(job: &Job) -> Option<Consistency> {
    job.image().and(job.intent.as_ref()).map(|intent| intent.mode)
}

fn grade(job: &Job) -> Option<Grade> {
    match &job.state {
        JobState::Succeeded { image, .. } => Some(image.grade),
        _ => None,
    }
}

/// The numbers of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sums {
    jobs: i64,
    timed: i64,
    total_ms: i64,
    min_ms: Option<i64>,
    max_ms: Option<i64>,
    first_at: i64,
    last_at: i64,
}

impl Sums {
    fn of(job: &Job) -> Self {
        let scheduled_at = millis(job.key.scheduled_at);
        let took_ms = took_ms(job);
        Self {
            jobs: 1,
            timed: i64::from(took_ms.is_some()),
            total_ms: took_ms.unwrap_or(0),
            min_ms: took_ms,
            max_ms: took_ms,
            first_at: scheduled_at,
            last_at: scheduled_at,
        }
    }

    fn plus(self, other: Self) -> Self {
        let either = |choose: fn(i64, i64) -> i64, one: Option<i64>, two: Option<i64>| match (one, two) {
            (Some(one), Some(two)) => Some(choose(one, two)),
            (one, two) => one.or(two),
        };
        Self {
            jobs: self.jobs + other.jobs,
            timed: self.timed + other.timed,
            total_ms: self.total_ms.saturating_add(other.total_ms),
            min_ms: either(i64::min, self.min_ms, other.min_ms),
            max_ms: either(i64::max, self.max_ms, other.max_ms),
            first_at: self.first_at.min(other.first_at),
            last_at: self.last_at.max(other.last_at),
        }
    }
}

/// A job that ended before it began, by a clock that went back, has no duration.
fn took_ms(job: &Job) -> Option<i64> {
    let took_ms = millis(job.finished_at()?) - millis(job.started_at?);
    (0 <= took_ms).then_some(took_ms)
}

impl Ledger {
    /// Adds the oldest jobs and fires from before a moment to the summaries and removes them, at most so many of each.
    /// Requests, pauses and prunes of that age which nothing refers to any more go as well.
    pub async fn summarise(&self, before: Timestamp, batch: usize) -> Result<Summarised, LedgerError> {
        let result = self.try_summarise(millis(before), i64::try_from(batch).unwrap_or(i64::MAX)).await;
        self.explain(result, |source| LedgerError::Summarise { source })
    }

    async fn try_summarise(&self, before: i64, batch: i64) -> Result<Summarised, Failure> {
        let mut tx = self.begin(Access::Engine).await?;
        let jobs = summarise_jobs(&mut tx, before, batch).await?;
        let fires = summarise_fires(&mut tx, before, batch).await?;
        // Each of these may be what the next one is referred to by.
        for statement in [sql::DELETE_PAUSES, sql::DELETE_PRUNES, sql::DELETE_REQUESTS] {
            sqlx::query(statement).bind(before).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(Summarised { jobs, fires })
    }

    /// What is left of old jobs, by policy, instance and month.
    pub async fn summaries(
        &self,
        policy: Option<&PolicyName>,
        instance: Option<&InstanceId>,
    ) -> Result<Vec<SummaryRow>, LedgerError> {
        let result = async {
            let statement = match (policy, instance) {
                (_, Some(_)) => sql::SUMMARIES_OF_INSTANCE,
                (Some(_), None) => sql::SUMMARIES_OF_POLICY,
                (None, None) => sql::SUMMARIES,
            };
            let query = sqlx::query_as(statement);
            let query = query.bind(policy.map(PolicyName::as_str)).bind(instance.map(InstanceId::as_str));
            let rows: Vec<StoredSummary> = query.fetch_all(self.readers()).await?;
            Ok(rows.into_iter().map(SummaryRow::try_from).collect::<Result<_, _>>()?)
        };
        self.explain_read(result.await, "the summaries")
    }

    /// What is left of old fires, by policy, account and month.
    pub async fn fire_summaries(&self, policy: Option<&PolicyName>) -> Result<Vec<FireSummaryRow>, LedgerError> {
        let result = async {
            let query = sqlx::query_as(sql::FIRE_SUMMARIES).bind(policy.map(PolicyName::as_str));
            let rows: Vec<StoredFireSummary> = query.fetch_all(self.readers()).await?;
            Ok(rows.into_iter().map(FireSummaryRow::try_from).collect::<Result<_, _>>()?)
        };
        self.explain_read(result.await, "the summaries of fires")
    }
}

async fn summarise_jobs(tx: &mut Tx, before: i64, batch: i64) -> Result<usize, Failure> {
    let rows: Vec<JobRow> = sqlx::query_as(sql::OLD_JOBS).bind(before).bind(batch).fetch_all(&mut **tx).await?;
    let jobs = into_jobs(rows)?;
    if jobs.is_empty() {
        return Ok(0);
    }
    let mut groups: BTreeMap<Group, Sums> = BTreeMap::new();
    for job in &jobs {
        let sums = Sums::of(job);
        groups.entry(Group::of(job)).and_modify(|known| *known = known.plus(sums)).or_insert(sums);
    }
    for (group, sums) in groups {
        add(tx, group, sums).await?;
    }
    let ids = stored::to_json(&jobs.iter().map(|job| job.id.to_string()).collect::<Vec<_>>());
    for statement in
        [sql::BEGIN_SUMMARISING, sql::DELETE_EVENTS, sql::DELETE_DELETIONS, sql::DELETE_IMAGES, sql::DELETE_JOBS]
    {
        sqlx::query(statement).bind(&ids).execute(&mut **tx).await?;
    }
    sqlx::query(sql::END_SUMMARISING).execute(&mut **tx).await?;
    Ok(jobs.len())
}

async fn add(tx: &mut Tx, group: Group, sums: Sums) -> Result<(), Failure> {
    let query = sqlx::query(sql::UPSERT_SUMMARY)
        .bind(group.month)
        .bind(group.policy)
        .bind(group.account)
        .bind(group.region)
        .bind(group.instance)
        .bind(group.trigger)
        .bind(group.class)
        .bind(group.mode)
        .bind(group.grade)
        .bind(group.state)
        .bind(sums.jobs)
        .bind(sums.timed)
        .bind(sums.total_ms)
        .bind(sums.min_ms)
        .bind(sums.max_ms)
        .bind(sums.first_at)
        .bind(sums.last_at);
    query.execute(&mut **tx).await?;
    Ok(())
}

async fn summarise_fires(tx: &mut Tx, before: i64, batch: i64) -> Result<usize, Failure> {
    let ids: Vec<i64> = sqlx::query_scalar(sql::OLD_FIRES).bind(before).bind(batch).fetch_all(&mut **tx).await?;
    let json = stored::to_json(&ids);
    for statement in [sql::SUMMARISE_FIRES, sql::DELETE_FIRES] {
        sqlx::query(statement).bind(&json).execute(&mut **tx).await?;
    }
    Ok(ids.len())
}

#[derive(sqlx::FromRow)]
struct StoredSummary {
    month: String,
    policy: String,
    account: String,
    region: String,
    instance: String,
    trigger: String,
    class: String,
    mode: String,
    grade: String,
    state: String,
    jobs: i64,
    timed: i64,
    total_ms: i64,
    min_ms: Option<i64>,
    max_ms: Option<i64>,
    first_at: i64,
    last_at: i64,
}

impl TryFrom<StoredSummary> for SummaryRow {
    type Error = LedgerError;

    fn try_from(row: StoredSummary) -> Result<Self, LedgerError> {
        let key = format!("{} {} {}", row.policy, row.instance, row.month);
        let at = Place::new("summaries", &key);
        let some = |text: &str| (text != NONE).then(|| text.to_owned());
        let mode = some(&row.mode).map(|it| at.word("mode", &it, &Consistency::ALL, Consistency::as_str));
        Ok(Self {
            policy: at.parse("policy", &row.policy)?,
            account: at.parse("account", &row.account)?,
            region: at.parse("region", &row.region)?,
            instance: at.parse("instance", &row.instance)?,
            trigger: at.word("trigger", &row.trigger, &Trigger::ALL, Trigger::as_str)?,
            class: at.parse("class", &row.class)?,
            mode: mode.transpose()?,
            grade: at.parse_some("grade", some(&row.grade).as_deref())?,
            state: at.word("state", &row.state, &StateName::ALL, StateName::as_str)?,
            jobs: at.number("jobs", row.jobs)?,
            timed: at.number("timed", row.timed)?,
            total_ms: at.number("total_ms", row.total_ms)?,
            min_ms: row.min_ms.map(|it| at.number("min_ms", it)).transpose()?,
            max_ms: row.max_ms.map(|it| at.number("max_ms", it)).transpose()?,
            first_at: at.time("first_at", row.first_at)?,
            last_at: at.time("last_at", row.last_at)?,
            month: row.month,
        })
    }
}

#[derive(sqlx::FromRow)]
struct StoredFireSummary {
    month: String,
    policy: String,
    account_name: String,
    outcome: String,
    fires: i64,
    matched: i64,
}

impl TryFrom<StoredFireSummary> for FireSummaryRow {
    type Error = LedgerError;

    fn try_from(row: StoredFireSummary) -> Result<Self, LedgerError> {
        let key = format!("{} {}", row.policy, row.month);
        let at = Place::new("fire_summaries", &key);
        Ok(Self {
            policy: at.parse("policy", &row.policy)?,
            account_name: at.parse("account_name", &row.account_name)?,
            outcome: at.word("outcome", &row.outcome, &FireOutcome::ALL, FireOutcome::as_str)?,
            fires: at.number("fires", row.fires)?,
            matched: at.number("matched", row.matched)?,
            month: row.month,
        })
    }
}

#[cfg(test)]
mod tests;
