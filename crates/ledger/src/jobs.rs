//! Jobs and their events. Every change of a job is an event, written in one transaction with the row and with the images
//! that follow from it.

use amikeep_domain::class::Consistency;
use amikeep_domain::id::{AccountName, ClassName, JobId, RequestId};
use amikeep_domain::image_name::ImageNumber;
use amikeep_domain::job::{Job, JobEvent, JobKey, JobState, Trigger};
use amikeep_domain::policy::StartWindow;
use jiff::Timestamp;

use crate::error::{Failure, LedgerError};
use crate::field::{Place, millis};
use crate::images;
use crate::ledger::{Access, Ledger, Tx};
use crate::row::JobRow;
use crate::{sql, stored};

/// A shortened job id that fits more jobs than this helps nobody.
const FOUND_MAX: i64 = 10;

/// How many jobs are read at once: tens of thousands may be asked for, and rows with their JSON are not small.
const IDS_PER_QUESTION_MAX: usize = 500;

/// A job that is to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// What makes it unique.
    pub key: JobKey,
    /// The configured name of the account.
    pub account_name: AccountName,
    /// What sets it off.
    pub trigger: Trigger,
    /// The operator's request it belongs to.
    pub request: Option<RequestId>,
    /// The consistency the operator asked for.
    pub asked: Option<Consistency>,
    /// The policy's class.
    pub class: ClassName,
    /// When it may start.
    pub window: StartWindow,
    /// Now.
    pub created_at: Timestamp,
}

impl NewJob {
    fn queued(self) -> Job {
        Job {
            id: self.id,
            key: self.key,
            account_name: self.account_name,
            trigger: self.trigger,
            request: self.request,
            asked: self.asked,
            class: self.class,
            window: self.window,
            created_at: self.created_at,
            started_at: None,
            attempts: 0,
            number: ImageNumber::FIRST,
            intent: None,
            hold: None,
            state: JobState::Queued { retry_at: None, waiting_for: None },
        }
    }
}

/// One event of a job, as history shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// When.
    pub at: Timestamp,
    /// Its word.
    pub event: String,
    /// What it says beyond its word; may be empty.
    pub detail: String,
}

impl Ledger {
    /// Every job that has not ended, by nominal time.
    pub async fn open_jobs(&self) -> Result<Vec<Job>, LedgerError> {
        let result = async {
            let rows: Vec<JobRow> = sqlx::query_as(sql::OPEN_JOBS).fetch_all(self.readers()).await?;
            let mut jobs = into_jobs(rows)?;
            jobs.sort_unstable_by_key(|job| (job.key.scheduled_at, job.id));
            Ok(jobs)
        };
        self.explain_read(result.await, "the open jobs")
    }

    /// Records what happened to a job, and returns the job after it as it is stored. `job` must be the stored one; if
    /// somebody changed it in between, nothing is recorded.
    pub async fn record_event(&self, job: &Job, event: &JobEvent, at: Timestamp) -> Result<Job, LedgerError> {
        let result = async {
            let mut tx = self.begin(Access::Engine).await?;
            let next = apply(&mut tx, job, event, at).await?;
            tx.commit().await?;
            Ok(next)
        };
        self.explain(result.await, |source| LedgerError::RecordEvent { job: job.id, event: event.as_str(), source })
    }

    /// Records several events, all or none, in order. A job may occur more than once, each time as the event before left
    /// it.
    pub async fn record_events(&self, changes: &[(Job, JobEvent)], at: Timestamp) -> Result<Vec<Job>, LedgerError> {
        let result = async {
            let mut tx = self.begin(Access::Engine).await?;
            let mut jobs = Vec::with_capacity(changes.len());
            for (job, event) in changes {
                jobs.push(apply(&mut tx, job, event, at).await?);
            }
            tx.commit().await?;
            Ok(jobs)
        };
        self.explain(result.await, |source| LedgerError::RecordEvents { count: changes.len(), source })
    }

    /// Records what happened to one job while nothing could be written down, all or none, each event with its own time.
    pub async fn record_told(&self, job: &Job, events: &[(JobEvent, Timestamp)]) -> Result<Job, LedgerError> {
        let result = async {
            let mut tx = self.begin(Access::Engine).await?;
            let mut next = job.clone();
            for (event, at) in events {
                next = apply(&mut tx, &next, event, *at).await?;
            }
            tx.commit().await?;
            Ok(next)
        };
        self.explain(result.await, |source| LedgerError::RecordEvents { count: events.len(), source })
    }

    /// One job.
    pub async fn job(&self, id: JobId) -> Result<Option<Job>, LedgerError> {
        let result = async {
            let row: Option<JobRow> =
                sqlx::query_as(sql::JOB).bind(id.to_string()).fetch_optional(self.readers()).await?;
            Ok(row.map(Job::try_from).transpose()?)
        };
        self.explain_read(result.await, format!("job {id}"))
    }

    /// Those of these jobs that the ledger has, by id.
    pub async fn jobs_by_ids(&self, ids: &[JobId]) -> Result<Vec<Job>, LedgerError> {
        let result = async {
            let mut jobs = Vec::with_capacity(ids.len());
            for ids in ids.chunks(IDS_PER_QUESTION_MAX) {
                let json = stored::to_json(&ids.iter().map(ToString::to_string).collect::<Vec<_>>());
                let query = sqlx::query_as(sql::JOBS_BY_IDS).bind(json);
                jobs.extend(into_jobs(query.fetch_all(self.readers()).await?)?);
            }
            jobs.sort_unstable_by_key(|job| job.id);
            jobs.dedup_by_key(|job| job.id);
            Ok(jobs)
        };
        self.explain_read(result.await, "jobs by their ids")
    }

    /// The jobs whose id begins like this, ten at most.
    pub async fn find_jobs(&self, prefix: &str) -> Result<Vec<Job>, LedgerError> {
        let result = async {
            let from = prefix.to_ascii_lowercase();
            // Digits, letters and dashes all sort before it.
            let to = format!("{from}~");
            let query = sqlx::query_as(sql::JOBS_BY_PREFIX).bind(from).bind(to).bind(FOUND_MAX);
            Ok(into_jobs(query.fetch_all(self.readers()).await?)?)
        };
        self.explain_read(result.await, format!("the jobs whose id begins with {prefix}"))
    }

    /// What happened to a job, in order.
    pub async fn events(&self, id: JobId) -> Result<Vec<EventRow>, LedgerError> {
        let result = async {
            let query = sqlx::query_as(sql::EVENTS).bind(id.to_string());
            let rows: Vec<(i64, String, String)> = query.fetch_all(self.readers()).await?;
            let row = id.to_string();
            let event = |(at, event, detail)| -> Result<EventRow, LedgerError> {
                Ok(EventRow { at: Place::new("events", &row).time("at", at)?, event, detail })
            };
            Ok(rows.into_iter().map(event).collect::<Result<_, _>>()?)
        };
        self.explain_read(result.await, format!("the events of job {id}"))
    }
}

pub(crate) fn into_jobs(rows: Vec<JobRow>) -> Result<Vec<Job>, LedgerError> {
    rows.into_iter().map(Job::try_from).collect()
}

/// Inserts a job; `None` when its key is taken. What is returned was read back from what is stored.
pub(crate) async fn insert(tx: &mut Tx, job: NewJob) -> Result<Option<Job>, Failure> {
    let row = JobRow::from(&job.queued());
    let job = Job::try_from(row.clone())?;
    let detail = format!("{}; may start from {} to {}", row.trigger, job.window.start_at, job.window.start_by);
    let (id, created_at) = (row.id.clone(), job.created_at);
    let query = sqlx::query(sql::INSERT_JOB)
        .bind(row.id)
        .bind(row.policy)
        .bind(row.account)
        .bind(row.region)
        .bind(row.instance)
        .bind(row.scheduled_at)
        .bind(row.account_name)
        .bind(row.trigger)
        .bind(row.request)
        .bind(row.asked)
        .bind(row.class)
        .bind(row.start_at)
        .bind(row.start_by)
        .bind(row.created_at)
        .bind(row.started_at)
        .bind(row.finished_at)
        .bind(row.attempts)
        .bind(row.number)
        .bind(row.intent)
        .bind(row.hold)
        .bind(row.state)
        .bind(row.data);
    if query.execute(&mut **tx).await?.rows_affected() == 0 {
        return Ok(None);
    }
    insert_event(tx, &id, created_at, "queued", &detail).await?;
    Ok(Some(job))
}

/// A row in the history of a job.
pub(crate) async fn insert_event(
    tx: &mut Tx,
    job: &str,
    at: Timestamp,
    event: &str,
    detail: &str,
) -> Result<(), Failure> {
    let query = sqlx::query(sql::INSERT_EVENT).bind(job).bind(millis(at)).bind(event).bind(detail);
    query.execute(&mut **tx).await?;
    Ok(())
}

/// Applies one event. The whole stored job is compared with the caller's, which leaves no room for a change that a
/// version number would have missed. The row is read back before anything is written, so that no row is ever committed
/// that could not be read again.
pub(crate) async fn apply(tx: &mut Tx, job: &Job, event: &JobEvent, at: Timestamp) -> Result<Job, Failure> {
    let stored: Option<JobRow> = sqlx::query_as(sql::JOB).bind(job.id.to_string()).fetch_optional(&mut **tx).await?;
    let stored = Job::try_from(stored.ok_or(LedgerError::UnknownJob { job: job.id })?)?;
    if stored != *job {
        return Err(LedgerError::Conflict { job: job.id, event: event.as_str() }.into());
    }
    let row = JobRow::from(&stored.apply(event, at).map_err(LedgerError::from)?);
    let next = Job::try_from(row.clone())?;
    let query = sqlx::query(sql::UPDATE_JOB)
        .bind(&row.id)
        .bind(row.class)
        .bind(row.started_at)
        .bind(row.finished_at)
        .bind(row.attempts)
        .bind(row.number)
        .bind(row.intent)
        .bind(row.state)
        .bind(row.data)
        .bind(row.hold);
    query.execute(&mut **tx).await?;
    insert_event(tx, &row.id, at, event.as_str(), &event.detail()).await?;
    images::follow(tx, job, event, at).await?;
    Ok(next)
}

#[cfg(test)]
mod tests;
