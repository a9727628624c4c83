//! What operators asked for: commands write it, and whoever holds the engine's lock executes it.

use amikeep_domain::class::Consistency;
use amikeep_domain::decision::JobError;
use amikeep_domain::id::{AccountName, InstanceId, JobId, PolicyName, RequestId};
use amikeep_domain::job::Job;
use amikeep_domain::policy::saturating_add;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::{Failure, LedgerError};
use crate::field::{Place, Unreadable, millis, word};
use crate::jobs::{self, NewJob};
use crate::ledger::{Access, Ledger, Tx};
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

/// The kinds of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestKind {
    /// `amikeep backup`: one image of one instance, now.
    Backup {
        /// The instance.
        instance: InstanceId,
        /// The policy to which the image belongs.
        policy: PolicyName,
        /// The account, where the operator named one.
        account: Option<AccountName>,
        /// The consistency, where the operator asked for one.
        consistency: Option<Consistency>,
    },
}

/// A request and what became of it. Neither a job nor a refusal: nobody took it up yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestStatus {
    /// The request.
    pub request: Request,
    /// Its job.
    pub job: Option<JobId>,
    /// Why there will be none.
    pub refused: Option<JobError>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredBackup {
    instance: String,
    policy: String,
    account: Option<String>,
    consistency: Option<String>,
}

#[derive(sqlx::FromRow)]
struct RequestRow {
    id: String,
    kind: String,
    data: String,
    requested_at: i64,
    error: Option<String>,
    job: Option<String>,
}

impl TryFrom<RequestRow> for RequestStatus {
    type Error = LedgerError;

    fn try_from(row: RequestRow) -> Result<Self, LedgerError> {
        let at = Place::new("requests", &row.id);
        let kind = match row.kind.as_str() {
            "backup" => at.read("data", decode_backup(&row.data))?,
            _ => return Err(at.inconsistent("kind")),
        };
        let request =
            Request { id: at.parse("id", &row.id)?, kind, requested_at: at.time("requested_at", row.requested_at)? };
        let refused = row.error.as_deref().map(|it| at.read("error", stored::decode_error(it))).transpose()?;
        Ok(Self { request, job: at.parse_some("job", row.job.as_deref())?, refused })
    }
}

fn encode(kind: &RequestKind) -> (&'static str, String) {
    match kind {
        RequestKind::Backup { instance, policy, account, consistency } => {
            let stored = StoredBackup {
                instance: instance.to_string(),
                policy: policy.to_string(),
                account: account.as_ref().map(ToString::to_string),
                consistency: consistency.map(|it| it.to_string()),
            };
            ("backup", stored::to_json(&stored))
        }
    }
}

fn decode_backup(json: &str) -> Result<RequestKind, Unreadable> {
    let stored: StoredBackup = serde_json::from_str(json)?;
    let consistency = stored.consistency.map(|it| word(&it, &Consistency::ALL, Consistency::as_str));
    Ok(RequestKind::Backup {
        instance: stored.instance.parse()?,
        policy: stored.policy.parse()?,
        account: stored.account.map(|it| it.parse()).transpose()?,
        consistency: consistency.transpose()?,
    })
}

impl Ledger {
    /// Records what an operator asks for. This is the one thing that a command may write beside a running engine.
    pub async fn record_request(&self, request: &Request) -> Result<(), LedgerError> {
        let result = async {
            let (kind, data) = encode(&request.kind);
            let mut tx = self.begin(Access::Requests).await?;
            let query = sqlx::query(sql::INSERT_REQUEST).bind(request.id.to_string()).bind(kind).bind(data);
            query.bind(millis(request.requested_at)).execute(&mut *tx).await?;
            Ok(tx.commit().await?)
        };
        self.explain(result.await, |source| LedgerError::RecordRequest { request: request.id, source })
    }

    /// The requests that nobody took up yet, oldest first.
    pub async fn open_requests(&self) -> Result<Vec<Request>, LedgerError> {
        let result = async {
            let rows: Vec<RequestRow> = sqlx::query_as(sql::OPEN_REQUESTS).fetch_all(self.readers()).await?;
            let request = |row| RequestStatus::try_from(row).map(|it| it.request);
            Ok(rows.into_iter().map(request).collect::<Result<_, _>>()?)
        };
        self.explain_read(result.await, "the open requests")
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
            settle(&mut tx, request, "planned", None, at).await?;
            tx.commit().await?;
            Ok(job)
        };
        self.explain(result.await, |source| LedgerError::RecordRequest { request, source })
    }

    /// Records that a request will have no job, and why.
    pub async fn record_request_refused(
        &self,
        request: RequestId,
        error: &JobError,
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        let result = async {
            let mut tx = self.begin(Access::Engine).await?;
            settle(&mut tx, request, "refused", Some(stored::encode_error(error)), at).await?;
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

async fn settle(
    tx: &mut Tx,
    request: RequestId,
    state: &'static str,
    error: Option<String>,
    at: Timestamp,
) -> Result<(), Failure> {
    let id = request.to_string();
    let query = sqlx::query(sql::SETTLE_REQUEST).bind(&id).bind(state).bind(millis(at)).bind(error);
    if query.execute(&mut **tx).await?.rows_affected() == 1 {
        return Ok(());
    }
    let row: Option<RequestRow> = sqlx::query_as(sql::REQUEST).bind(&id).fetch_optional(&mut **tx).await?;
    Err(row.map_or(LedgerError::UnknownRequest { request }, |_| LedgerError::RequestSettled { request }).into())
}

#[cfg(test)]
mod tests;
