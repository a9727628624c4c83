//! What operators asked for: commands write it, and whoever holds the engine's lock executes it.

mod kind;

use amikeep_domain::decision::JobError;
use amikeep_domain::id::{JobId, RequestId};
use amikeep_domain::job::Job;
use amikeep_domain::policy::saturating_add;
use jiff::{SignedDuration, Timestamp};

use crate::error::{Failure, LedgerError};
use crate::field::{Place, millis};
use crate::jobs::{self, NewJob};
use crate::ledger::{Access, Ledger, Tx};
use crate::prunes::PruneId;
pub use crate::requests::kind::RequestKind;
pub(crate) use crate::requests::kind::{scope_from_words, scope_words};
use crate::{sql, stored};

/// How far the nominal time of a manual job is moved on at most, in seconds. It moves by one for each job of the same
/// policy and instance that was asked for in that second.
const MOVES_MAX: u32 = 600;

/// What an operator asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its id.
    pub id: RequestId,
    /// What it is.
    pub kind: RequestKind,
    /// When it was asked for.
    pub requested_at: Timestamp,
}

/// How a request is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled<'a> {
    /// Something is under way for it: a job, or deletions.
    Planned,
    /// It was carried out.
    Done,
    /// It will not be.
    Refused(&'a JobError),
}

impl Settled<'_> {
    fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Done => DONE,
            Self::Refused(_) => "refused",
        }
    }
}

const DONE: &str = "done";

/// A request and what became of it. If nothing did, nobody took it up yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestStatus {
    /// The request.
    pub request: Request,
    /// The job of a backup.
    pub job: Option<JobId>,
    /// The run of retention that a prune led to; its deletions may be under way.
    pub prune: Option<PruneId>,
    /// Why nothing will be done.
    pub refused: Option<JobError>,
    /// Whether everything was done that there was to do. A backup is never done: its job tells.
    pub done: bool,
}

#[derive(Clone, sqlx::FromRow)]
struct RequestRow {
    id: String,
    kind: String,
    data: String,
    requested_at: i64,
    state: String,
    error: Option<String>,
    job: Option<String>,
    prune: Option<i64>,
}

impl TryFrom<RequestRow> for RequestStatus {
    type Error = LedgerError;

    fn try_from(row: RequestRow) -> Result<Self, LedgerError> {
        let at = Place::new("requests", &row.id);
        let word = at.word("kind", &row.kind, &kind::Word::ALL, kind::Word::as_str)?;
        let kind = at.read("data", kind::decode(word, &row.data))?;
        let request =
            Request { id: at.parse("id", &row.id)?, kind, requested_at: at.time("requested_at", row.requested_at)? };
        let refused = row.error.as_deref().map(|it| at.read("error", stored::decode_error(it))).transpose()?;
        let job = at.parse_some("job", row.job.as_deref())?;
        Ok(Self { request, job, prune: row.prune.map(PruneId::from_row), refused, done: row.state == DONE })
    }
}

impl Ledger {
    /// Records what an operator asks for. This is the one thing that a command may write beside a running engine.
    pub async fn record_request(&self, request: &Request) -> Result<(), LedgerError> {
        let result = async {
            let (kind, data) = kind::encode(&request.kind);
            let mut tx = self.begin(Access::Requests).await?;
            let query = sqlx::query(sql::INSERT_REQUEST).bind(request.id.to_string()).bind(kind).bind(data);
            query.bind(millis(request.requested_at)).execute(&mut *tx).await?;
            Ok(tx.commit().await?)
        };
        self.explain(result.await, |source| LedgerError::RecordRequest { request: request.id, source })
    }

    /// The requests that nobody took up yet, oldest first; those that cannot be read are left out.
    pub async fn open_requests(&self) -> Result<Vec<Request>, LedgerError> {
        let result = async {
            // Whoever does the work asks every second, so this is where it is noticed when there is nothing to write.
            self.check_places()?;
            let rows = self.open_request_rows().await?;
            Ok(rows.into_iter().filter_map(|row| Some(RequestStatus::try_from(row).ok()?.request)).collect())
        };
        self.explain_read(result.await, "the open requests")
    }

    /// Refuses the open requests that cannot be read: a command of another release wrote them, and nothing else may wait for
    /// that. Says how many they are.
    pub async fn refuse_unreadable_requests(&self, error: &JobError, at: Timestamp) -> Result<usize, LedgerError> {
        let result = async {
            let mut rows = self.open_request_rows().await?;
            rows.retain(|row| RequestStatus::try_from(row.clone()).is_err());
            if rows.is_empty() {
                return Ok(0);
            }
            let (settled, error) = (Settled::Refused(error).as_str(), stored::encode_error(error));
            let mut tx = self.begin(Access::Engine).await?;
            for row in &rows {
                let query = sqlx::query(sql::SETTLE_REQUEST).bind(&row.id).bind(settled).bind(millis(at)).bind(&error);
                query.execute(&mut *tx).await?;
            }
            tx.commit().await?;
            Ok(rows.len())
        };
        self.explain_read(result.await, "the open requests")
    }

    async fn open_request_rows(&self) -> Result<Vec<RequestRow>, Failure> {
        Ok(sqlx::query_as(sql::OPEN_REQUESTS).fetch_all(self.readers()).await?)
    }

    /// Records the job of a request, and with it that the request is settled. Nominal times are whole seconds; while a
    /// second is taken by another job of the same instance and policy, job and window move on by one.
    pub async fn record_request_planned(
        &self,
        request: RequestId,
        job: NewJob,
        at: Timestamp,
    ) -> Result<Job, LedgerError> {
        let result = async {
            let mut tx = self.begin(Access::Engine).await?;
            let job = NewJob { request: Some(request), ..job };
            let job = insert_in_free_second(&mut tx, request, job).await?;
            settle(&mut tx, request, Settled::Planned, at).await?;
            tx.commit().await?;
            Ok(job)
        };
        self.explain(result.await, |source| LedgerError::RecordRequest { request, source })
    }

    /// Records that a request was carried out.
    pub async fn record_request_done(&self, request: RequestId, at: Timestamp) -> Result<(), LedgerError> {
        let result = async {
            let mut tx = self.begin(Access::Engine).await?;
            settle(&mut tx, request, Settled::Done, at).await?;
            Ok(tx.commit().await?)
        };
        self.explain(result.await, |source| LedgerError::RecordRequest { request, source })
    }

    /// Records that a request will not be carried out, and why.
    pub async fn record_request_refused(
        &self,
        request: RequestId,
        error: &JobError,
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        let result = async {
            let mut tx = self.begin(Access::Engine).await?;
            settle(&mut tx, request, Settled::Refused(error), at).await?;
            Ok(tx.commit().await?)
        };
        self.explain(result.await, |source| LedgerError::RecordRequest { request, source })
    }

    /// What became of a request.
    pub async fn request(&self, id: RequestId) -> Result<Option<RequestStatus>, LedgerError> {
        let result = async {
            let query = sqlx::query_as(sql::REQUEST).bind(id.to_string());
            let row: Option<RequestRow> = query.fetch_optional(self.readers()).await?;
            Ok(row.map(RequestStatus::try_from).transpose()?)
        };
        self.explain_read(result.await, format!("request {id}"))
    }
}

async fn insert_in_free_second(tx: &mut Tx, request: RequestId, mut job: NewJob) -> Result<Job, Failure> {
    const SECOND: SignedDuration = SignedDuration::from_secs(1);
    let whole_seconds = Timestamp::from_second(job.key.scheduled_at.as_second());
    job.key.scheduled_at = whole_seconds.unwrap_or(job.key.scheduled_at);
    for _ in 0..=MOVES_MAX {
        if let Some(job) = jobs::insert(tx, job.clone()).await? {
            return Ok(job);
        }
        job.key.scheduled_at = saturating_add(job.key.scheduled_at, SECOND);
        job.window.start_at = saturating_add(job.window.start_at, SECOND);
        job.window.start_by = saturating_add(job.window.start_by, SECOND);
    }
    Err(LedgerError::NoFreeTime { request }.into())
}

/// Settles an open request, once.
pub(crate) async fn settle(
    tx: &mut Tx,
    request: RequestId,
    settled: Settled<'_>,
    at: Timestamp,
) -> Result<(), Failure> {
    let id = request.to_string();
    let error = match settled {
        Settled::Refused(error) => Some(stored::encode_error(error)),
        Settled::Planned | Settled::Done => None,
    };
    let query = sqlx::query(sql::SETTLE_REQUEST).bind(&id).bind(settled.as_str()).bind(millis(at)).bind(error);
    if query.execute(&mut **tx).await?.rows_affected() == 1 {
        return Ok(());
    }
    let row: Option<RequestRow> = sqlx::query_as(sql::REQUEST).bind(&id).fetch_optional(&mut **tx).await?;
    Err(row.map_or(LedgerError::UnknownRequest { request }, |_| LedgerError::RequestSettled { request }).into())
}

#[cfg(test)]
mod tests;
