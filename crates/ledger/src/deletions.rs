//! Deletions: each is a row before it is a call, and each of its events is written with the image and the history of its
//! job in one transaction. Nothing here decides that an image goes.

mod row;

use std::collections::BTreeMap;

use amikeep_domain::id::{DeletionId, ImageId, PolicyName, RequestId};
use amikeep_domain::prune::{DayCounts, Deletion, DeletionEvent, DeletionState};
use jiff::Timestamp;

use crate::deletions::row::DeletionRow;
use crate::error::{Failure, LedgerError};
use crate::field::{Place, millis};
use crate::images::ImageRowState;
use crate::ledger::{Access, Ledger, Tx};
use crate::prunes::PruneId;
use crate::{images, jobs, sql};

impl Ledger {
    /// The deletions that have not ended, oldest first.
    pub async fn open_deletions(&self) -> Result<Vec<Deletion>, LedgerError> {
        let result = async { into_deletions(sqlx::query_as(sql::OPEN_DELETIONS).fetch_all(self.readers()).await?) };
        self.explain_read(result.await, "the open deletions")
    }

    /// One deletion.
    pub async fn deletion(&self, id: DeletionId) -> Result<Option<Deletion>, LedgerError> {
        let result = async {
            let query = sqlx::query_as(sql::DELETION).bind(id.to_string());
            let row: Option<DeletionRow> = query.fetch_optional(self.readers()).await?;
            Ok(row.map(Deletion::try_from).transpose()?)
        };
        self.explain_read(result.await, format!("deletion {id}"))
    }

    /// What a prune decided to delete.
    pub async fn deletions_of_prune(&self, prune: PruneId) -> Result<Vec<Deletion>, LedgerError> {
        let result = async {
            let query = sqlx::query_as(sql::DELETIONS_OF_PRUNE).bind(prune.to_row());
            into_deletions(query.fetch_all(self.readers()).await?)
        };
        self.explain_read(result.await, format!("the deletions of prune {prune}"))
    }

    /// What the prune that an operator asked for decided to delete.
    pub async fn deletions_of_request(&self, request: RequestId) -> Result<Vec<Deletion>, LedgerError> {
        let result = async {
            let query = sqlx::query_as(sql::DELETIONS_OF_REQUEST).bind(request.to_string());
            into_deletions(query.fetch_all(self.readers()).await?)
        };
        self.explain_read(result.await, format!("the deletions of request {request}"))
    }

    /// Every time that an image was to be deleted, oldest first.
    pub async fn deletions_of_image(&self, image: &ImageId) -> Result<Vec<Deletion>, LedgerError> {
        let result = async {
            let query = sqlx::query_as(sql::DELETIONS_OF_IMAGE).bind(image.as_str());
            into_deletions(query.fetch_all(self.readers()).await?)
        };
        self.explain_read(result.await, format!("the deletions of image {image}"))
    }

    /// Records what happened to a deletion, and returns it as it is stored after that. `deletion` must be the stored one;
    /// if somebody changed it in between, nothing is recorded.
    pub async fn record_deletion_event(
        &self,
        deletion: &Deletion,
        event: &DeletionEvent,
        at: Timestamp,
    ) -> Result<Deletion, LedgerError> {
        let result = async {
            let mut tx = self.begin(Access::Engine).await?;
            let next = apply(&mut tx, deletion, event, at).await?;
            tx.commit().await?;
            Ok(next)
        };
        let (deletion, event) = (deletion.id, event.as_str());
        self.explain(result.await, |source| LedgerError::RecordDeletion { deletion, event, source })
    }

    /// How many deletions were decided after this moment and not given up, and how many images succeeded after it. What
    /// lies in the future counts as well: the clock may have been ahead, and a limit must not forget.
    pub async fn day_counts(&self, since: Timestamp) -> Result<BTreeMap<PolicyName, DayCounts>, LedgerError> {
        let result = async {
            let mut counts: BTreeMap<PolicyName, DayCounts> = BTreeMap::new();
            for (policy, count) in self.counts(sql::DELETED_SINCE, "deletions", since).await? {
                counts.entry(policy).or_default().deleted = count;
            }
            for (policy, count) in self.counts(sql::SUCCEEDED_SINCE, "jobs", since).await? {
                counts.entry(policy).or_default().succeeded = count;
            }
            Ok(counts)
        };
        self.explain_read(result.await, "what was deleted and what succeeded")
    }

    async fn counts(
        &self,
        statement: &'static str,
        table: &'static str,
        since: Timestamp,
    ) -> Result<Vec<(PolicyName, u32)>, Failure> {
        let query = sqlx::query_as(statement).bind(millis(since));
        let rows: Vec<(String, i64)> = query.fetch_all(self.readers()).await?;
        let count = |(policy, count): (String, i64)| -> Result<(PolicyName, u32), LedgerError> {
            let policy = Place::new(table, &policy).parse("policy", &policy)?;
            Ok((policy, u32::try_from(count).unwrap_or(u32::MAX)))
        };
        Ok(rows.into_iter().map(count).collect::<Result<_, _>>()?)
    }
}

fn into_deletions(rows: Vec<DeletionRow>) -> Result<Vec<Deletion>, Failure> {
    let mut deletions: Vec<Deletion> = rows.into_iter().map(Deletion::try_from).collect::<Result<_, _>>()?;
    deletions.sort_unstable_by_key(|deletion| (deletion.planned_at, deletion.id));
    Ok(deletions)
}

/// Writes a new deletion down and returns it as it is stored. The caller has made sure that the image may go, and says
/// what it was; or that the snapshots may go, which have no image.
pub(crate) async fn insert(
    tx: &mut Tx,
    prune: Option<PruneId>,
    deletion: &Deletion,
    was: Option<ImageRowState>,
) -> Result<Deletion, Failure> {
    let row = DeletionRow::from(deletion);
    let stored = Deletion::try_from(row.clone())?;
    let query = sqlx::query(sql::INSERT_DELETION)
        .bind(&row.id)
        .bind(prune.map(PruneId::to_row))
        .bind(&row.image)
        .bind(&row.job)
        .bind(row.policy)
        .bind(&row.account)
        .bind(row.account_name)
        .bind(&row.region)
        .bind(row.instance)
        .bind(row.snapshots)
        .bind(row.reason)
        .bind(was.map(ImageRowState::as_str))
        .bind(row.planned_at)
        .bind(row.attempts)
        .bind(row.state)
        .bind(row.data)
        .bind(row.finished_at);
    query.execute(&mut **tx).await?;
    if let Some(image) = &deletion.image {
        let query = sqlx::query(sql::IMAGE_DELETING).bind(row.account).bind(row.region).bind(row.image);
        images::one_row(query.execute(&mut **tx).await?.rows_affected(), image)?;
    }
    jobs::insert_event(tx, &row.job, deletion.planned_at, "deletion-planned", &deletion.reason).await?;
    Ok(stored)
}

/// Applies one event. As for jobs, the whole stored deletion is compared with the caller's, and the row is read back
/// before it is written.
async fn apply(tx: &mut Tx, deletion: &Deletion, event: &DeletionEvent, at: Timestamp) -> Result<Deletion, Failure> {
    let query = sqlx::query_as(sql::DELETION).bind(deletion.id.to_string());
    let stored: Option<DeletionRow> = query.fetch_optional(&mut **tx).await?;
    let stored = Deletion::try_from(stored.ok_or(LedgerError::UnknownDeletion { deletion: deletion.id })?)?;
    if stored != *deletion {
        return Err(LedgerError::DeletionConflict { deletion: deletion.id, event: event.as_str() }.into());
    }
    let row = DeletionRow::from(&stored.apply(event, at).map_err(LedgerError::from)?);
    let next = Deletion::try_from(row.clone())?;
    let query = sqlx::query(sql::UPDATE_DELETION).bind(&row.id).bind(row.attempts).bind(row.state).bind(row.data);
    query.bind(row.finished_at).execute(&mut **tx).await?;
    update_image(tx, &next).await?;
    if event.is_notable(&deletion.state) {
        jobs::insert_event(tx, &row.job, at, event.as_str(), &event.detail()).await?;
    }
    if next.state.name().is_terminal() {
        sqlx::query(sql::REQUEST_OF_DELETION_DONE).bind(&row.id).execute(&mut **tx).await?;
    }
    Ok(next)
}

/// The image follows its deletion; when it stays after all it is again what it was before.
async fn update_image(tx: &mut Tx, deletion: &Deletion) -> Result<(), Failure> {
    let Some(image) = &deletion.image else { return Ok(()) };
    let state = match &deletion.state {
        DeletionState::Planned { .. } => Some(ImageRowState::Deleting),
        DeletionState::SnapshotsLeft { .. } => Some(ImageRowState::SnapshotsLeft),
        DeletionState::Done { .. } => Some(ImageRowState::Deleted),
        DeletionState::Refused { .. } | DeletionState::Withdrawn { .. } => None,
    };
    let query = sqlx::query(sql::IMAGE_FOLLOWS_DELETION)
        .bind(deletion.account.as_str())
        .bind(deletion.region.as_str())
        .bind(image.as_str())
        .bind(state.map(ImageRowState::as_str))
        .bind(deletion.id.to_string());
    images::one_row(query.execute(&mut **tx).await?.rows_affected(), image)
}

#[cfg(test)]
mod tests;
