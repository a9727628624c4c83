//! Prunes: what a run of retention saw and decided, in one transaction, before EC2 is asked for anything.
//!
//! The listings come first, so that each deletion meets the rows as the listings left them. What changed since it was
//! decided is skipped alone; the next prune decides about it anew. A deletion in a place of which the record has no
//! complete listing is skipped as well: an incomplete listing deletes nothing.

use std::collections::BTreeMap;
use std::fmt;

use amikeep_domain::id::{
    AccountId, AccountName, ClassName, DeletionId, ImageId, InstanceId, JobId, PolicyName, Region, RequestId,
    SnapshotId,
};
use amikeep_domain::image_name::ImageName;
use amikeep_domain::prune::{Deletion, DeletionState};
use jiff::Timestamp;

use crate::error::{Failure, LedgerError};
use crate::field::{Place, Unreadable, millis, word};
use crate::images::{self, ImageRowState, ListingSeen};
use crate::ledger::{Access, Ledger, Tx};
use crate::page::limit_rows;
use crate::requests::{self, Settled};
use crate::{deletions, sets, sql, stored};

/// How many prunes that deleted nothing are kept: retention runs every hour, and on most of them there is nothing to say.
const EMPTY_PRUNES_MAX: i64 = 1_000;

/// The number of a prune.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PruneId(i64);

impl PruneId {
    pub(crate) fn from_row(id: i64) -> Self {
        Self(id)
    }

    pub(crate) fn to_row(self) -> i64 {
        self.0
    }
}

impl fmt::Display for PruneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is to be recorded of one run of retention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruneRecord {
    /// The request by which it was asked for. It is done at once if nothing is deleted, else when nothing is open.
    pub request: Option<RequestId>,
    /// The policy, when only one was asked for.
    pub policy: Option<PolicyName>,
    /// Now.
    pub planned_at: Timestamp,
    /// The complete listings that it was decided on.
    pub listings: Vec<ListingRecord>,
    /// How many images are kept.
    pub kept: u64,
    /// How many are held back.
    pub held: u64,
    /// What a person should know of it, such as a limit that was reached.
    pub notes: Vec<String>,
    /// What goes.
    pub deletions: Vec<NewDeletion>,
}

/// A complete listing of the images of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingRecord {
    /// The configured name of the account.
    pub account_name: AccountName,
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// The images, and whether each is pinned.
    pub seen: Vec<(ImageId, bool)>,
    /// When it was begun.
    pub listed_at: Timestamp,
    /// That, less the time by which EC2's answers may lag: only what was seen before can be missing.
    pub missing_before: Timestamp,
    /// Up to which nominal time the account is pruned with this; `None` leaves that as it is.
    pub pruned_to: Option<Timestamp>,
}

/// A deletion that is to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDeletion {
    /// Its id.
    pub id: DeletionId,
    /// The image; none where snapshots go of which no image was made.
    pub image: Option<ImageId>,
    /// The job that made it.
    pub job: JobId,
    /// The policy it belongs to.
    pub policy: PolicyName,
    /// The account it is in.
    pub account: AccountId,
    /// The configured name of that account.
    pub account_name: AccountName,
    /// The region it is in.
    pub region: Region,
    /// The instance it was taken of.
    pub instance: InstanceId,
    /// Every snapshot of it that is known.
    pub snapshots: Vec<SnapshotId>,
    /// Why it goes, in words.
    pub reason: String,
    /// What is known of an image that the ledger has no row for: EC2 made it for a job that had given up.
    pub stray: Option<StrayImage>,
}

/// An image that the ledger did not know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrayImage {
    /// Its name.
    pub name: ImageName,
    /// The class of its job.
    pub class: ClassName,
    /// What there is of it.
    pub state: StrayState,
    /// When it was made, as far as that is known.
    pub first_seen_at: Timestamp,
    /// When it was last seen.
    pub last_seen_at: Timestamp,
}

/// What there is of an image that the ledger did not know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrayState {
    /// The image; its job had ended before it was available.
    Failed,
    /// Snapshots of it alone.
    Missing,
}

/// What [`Ledger::record_prune`] wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedPrune {
    /// The number of the prune.
    pub id: PruneId,
    /// The deletions, as they are stored.
    pub deletions: Vec<Deletion>,
    /// Those that are not to be carried out: what they were decided on has changed.
    pub skipped: Vec<NewDeletion>,
}

/// A prune, as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruneRow {
    /// Its number.
    pub id: PruneId,
    /// The request by which it was asked for.
    pub request: Option<RequestId>,
    /// The policy, when only one was asked for.
    pub policy: Option<PolicyName>,
    /// When it was decided.
    pub planned_at: Timestamp,
    /// How many images were kept.
    pub kept: u64,
    /// How many deletions were written down.
    pub deleted: u64,
    /// How many images were held back.
    pub held: u64,
    /// What a person should know of it.
    pub notes: Vec<String>,
}

#[derive(sqlx::FromRow)]
struct StoredPrune {
    id: i64,
    request: Option<String>,
    policy: Option<String>,
    planned_at: i64,
    kept: i64,
    deleted: i64,
    held: i64,
    notes: String,
}

impl TryFrom<StoredPrune> for PruneRow {
    type Error = LedgerError;

    fn try_from(row: StoredPrune) -> Result<Self, LedgerError> {
        let id = row.id.to_string();
        let at = Place::new("prunes", &id);
        Ok(Self {
            id: PruneId(row.id),
            request: at.parse_some("request", row.request.as_deref())?,
            policy: at.parse_some("policy", row.policy.as_deref())?,
            planned_at: at.time("planned_at", row.planned_at)?,
            kept: at.number("kept", row.kept)?,
            deleted: at.number("deleted", row.deleted)?,
            held: at.number("held", row.held)?,
            notes: at.read("notes", serde_json::from_str(&row.notes).map_err(Unreadable::from))?,
        })
    }
}

impl Ledger {
    /// Records a run of retention: what it saw, up to when the accounts are pruned, and each deletion with its reason,
    /// before any of them is carried out. All or nothing, but for deletions whose image has changed meanwhile.
    pub async fn record_prune(&self, record: &PruneRecord) -> Result<RecordedPrune, LedgerError> {
        let result = self.try_record_prune(record).await;
        self.explain(result, |source| LedgerError::RecordPrune { deletions: record.deletions.len(), source })
    }

    async fn try_record_prune(&self, record: &PruneRecord) -> Result<RecordedPrune, Failure> {
        let mut tx = self.begin(Access::Engine).await?;
        for listing in &record.listings {
            insert_listing(&mut tx, listing).await?;
        }
        let mut recorded =
            RecordedPrune { id: insert(&mut tx, record).await?, deletions: Vec::new(), skipped: Vec::new() };
        for new in &record.deletions {
            match insert_deletion(&mut tx, recorded.id, record, new).await? {
                Some(deletion) => recorded.deletions.push(deletion),
                None => recorded.skipped.push(new.clone()),
            }
        }
        let deleted = count(recorded.deletions.len());
        sqlx::query(sql::PRUNE_DELETED).bind(recorded.id.0).bind(deleted).execute(&mut *tx).await?;
        sqlx::query(sql::TRIM_PRUNES).bind(EMPTY_PRUNES_MAX).execute(&mut *tx).await?;
        if let Some(request) = record.request {
            let settled = if recorded.deletions.is_empty() { Settled::Done } else { Settled::Planned };
            requests::settle(&mut tx, request, settled, record.planned_at).await?;
        }
        tx.commit().await?;
        Ok(recorded)
    }

    /// Up to which nominal time each account is pruned.
    pub async fn prune_cursors(&self) -> Result<BTreeMap<AccountName, Timestamp>, LedgerError> {
        let result = async {
            let rows: Vec<(String, i64)> = sqlx::query_as(sql::PRUNE_CURSORS).fetch_all(self.readers()).await?;
            let cursor = |(name, pruned_to): (String, i64)| -> Result<(AccountName, Timestamp), LedgerError> {
                let at = Place::new("prune_cursors", &name);
                Ok((at.parse("account_name", &name)?, at.time("pruned_to", pruned_to)?))
            };
            Ok(rows.into_iter().map(cursor).collect::<Result<_, _>>()?)
        };
        self.explain_read(result.await, "up to when accounts are pruned")
    }

    /// The last prunes, newest first.
    pub async fn prunes(&self, limit: u32) -> Result<Vec<PruneRow>, LedgerError> {
        let result = async {
            let query = sqlx::query_as(sql::PRUNES).bind(limit_rows(limit));
            let rows: Vec<StoredPrune> = query.fetch_all(self.readers()).await?;
            Ok(rows.into_iter().map(PruneRow::try_from).collect::<Result<_, _>>()?)
        };
        self.explain_read(result.await, "the prunes")
    }

    /// One prune; those that deleted nothing are not kept for ever.
    pub async fn prune(&self, id: PruneId) -> Result<Option<PruneRow>, LedgerError> {
        let result = async {
            let row: Option<StoredPrune> = sqlx::query_as(sql::PRUNE).bind(id.0).fetch_optional(self.readers()).await?;
            Ok(row.map(PruneRow::try_from).transpose()?)
        };
        self.explain_read(result.await, format!("prune {id}"))
    }
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

async fn insert_listing(tx: &mut Tx, listing: &ListingRecord) -> Result<(), Failure> {
    let ListingRecord { account_name, account, region, seen, listed_at, missing_before, pruned_to } = listing;
    let seen = ListingSeen { account, region, seen, listed_at: *listed_at, missing_before: *missing_before };
    images::insert_listing(tx, &seen).await?;
    if let Some(pruned_to) = pruned_to {
        let query = sqlx::query(sql::UPSERT_PRUNE_CURSOR).bind(account_name.as_str()).bind(millis(*pruned_to));
        query.execute(&mut **tx).await?;
    }
    Ok(())
}

async fn insert(tx: &mut Tx, record: &PruneRecord) -> Result<PruneId, Failure> {
    let query = sqlx::query(sql::INSERT_PRUNE)
        .bind(record.request.as_ref().map(ToString::to_string))
        .bind(record.policy.as_ref().map(PolicyName::as_str))
        .bind(millis(record.planned_at))
        .bind(i64::try_from(record.kept).unwrap_or(i64::MAX))
        .bind(i64::try_from(record.held).unwrap_or(i64::MAX))
        .bind(stored::to_json(&record.notes));
    Ok(PruneId(query.execute(&mut **tx).await?.last_insert_rowid()))
}

/// `None` when the image is no longer what the deletion was decided on.
async fn insert_deletion(
    tx: &mut Tx,
    prune: PruneId,
    record: &PruneRecord,
    new: &NewDeletion,
) -> Result<Option<Deletion>, Failure> {
    let is_there = |listing: &&ListingRecord| listing.account == new.account && listing.region == new.region;
    let Some(listing) = record.listings.iter().find(is_there) else { return Ok(None) };
    let deletion = planned(new, record.planned_at);
    let Some(image) = &new.image else {
        let query = sqlx::query_scalar(sql::JOB_HAS_ENDED).bind(new.job.to_string());
        let has_ended: Option<bool> = query.fetch_optional(&mut **tx).await?;
        return if has_ended == Some(true) { sets::insert(tx, Some(prune), &deletion).await } else { Ok(None) };
    };
    if let Some(stray) = &new.stray {
        insert_stray(tx, image, new, stray).await?;
    }
    let query = sqlx::query_scalar(sql::STATE_TO_DELETE)
        .bind(new.account.as_str())
        .bind(new.region.as_str())
        .bind(image.as_str())
        .bind(new.job.to_string())
        .bind(millis(listing.missing_before));
    let was: Option<String> = query.fetch_optional(&mut **tx).await?;
    let Some(was) = was else { return Ok(None) };
    let place = Place::new("images", image.as_str());
    let was = place.read("state", word(&was, &ImageRowState::ALL, ImageRowState::as_str))?;
    deletions::insert(tx, Some(prune), &deletion, Some(was)).await.map(Some)
}

fn planned(new: &NewDeletion, planned_at: Timestamp) -> Deletion {
    Deletion {
        id: new.id,
        image: new.image.clone(),
        job: new.job,
        policy: new.policy.clone(),
        account: new.account.clone(),
        account_name: new.account_name.clone(),
        region: new.region.clone(),
        instance: new.instance.clone(),
        snapshots: new.snapshots.clone(),
        reason: new.reason.clone(),
        planned_at,
        attempts: 0,
        state: DeletionState::Planned { retry_at: None },
    }
}

/// A row for an image that never had one, so that its deletion has something to refer to. If it has one after all, or its
/// job is not known, nothing is written.
async fn insert_stray(tx: &mut Tx, image: &ImageId, new: &NewDeletion, stray: &StrayImage) -> Result<(), Failure> {
    let state = match stray.state {
        StrayState::Failed => ImageRowState::Failed,
        StrayState::Missing => ImageRowState::Missing,
    };
    let query = sqlx::query(sql::INSERT_STRAY_IMAGE)
        .bind(image.as_str())
        .bind(new.account.as_str())
        .bind(new.region.as_str())
        .bind(stray.name.as_str())
        .bind(new.job.to_string())
        .bind(new.policy.as_str())
        .bind(new.account_name.as_str())
        .bind(new.instance.as_str())
        .bind(stray.class.as_str())
        .bind(state.as_str())
        .bind(millis(stray.first_seen_at))
        .bind(millis(stray.last_seen_at));
    query.execute(&mut **tx).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
