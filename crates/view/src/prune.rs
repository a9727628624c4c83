//! What a prune would do, did, and could not do.

use std::collections::BTreeMap;
use std::fmt;

use amikeep_domain::id::ImageId;
use amikeep_domain::prune::{Deletion as DomainDeletion, DeletionState, PrunePlan, PrunedImage};
use amikeep_ledger::{ImageRow, ImageRowState};
use serde::Serialize;

use crate::image::{Image, of_row};
use crate::job::JobError;

/// The answer of `prune`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Every image with its verdict, before anything was deleted.
    pub images: Vec<Image>,
    /// What was deleted, with its snapshots.
    pub deleted: Vec<Deletion>,
    /// What was not, or not wholly.
    pub failed: Vec<Deletion>,
    /// What a person should know besides.
    pub notes: Vec<String>,
}

/// One deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deletion {
    /// The image; null where snapshots go of which no image was made.
    pub image_id: Option<String>,
    /// The snapshots that go, with the image or alone.
    pub snapshot_ids: Vec<String>,
    /// Its policy.
    pub policy: String,
    /// The instance it was taken of.
    pub instance_id: String,
    /// The job that made it.
    pub job_id: String,
    /// Why it goes.
    pub reason: String,
    /// `done`, `snapshots-left`, `refused`, `withdrawn` or `planned`.
    pub state: &'static str,
    /// The snapshots that are left, and why.
    pub snapshots_left: Vec<LeftSnapshot>,
    /// Why the image is still there.
    pub error: Option<JobError>,
}

/// A snapshot that is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftSnapshot {
    /// The snapshot.
    pub snapshot_id: String,
    /// Why.
    pub error: Option<JobError>,
}

impl Deletion {
    /// What goes: the image, or the snapshots that have none.
    pub fn what(&self) -> String {
        self.image_id.clone().unwrap_or_else(|| self.snapshot_ids.join(", "))
    }
}

impl From<&DomainDeletion> for Deletion {
    fn from(deletion: &DomainDeletion) -> Self {
        let left = match &deletion.state {
            DeletionState::SnapshotsLeft { left, .. } => left.as_slice(),
            _ => &[],
        };
        let left = left.iter().map(|it| LeftSnapshot {
            snapshot_id: it.snapshot.to_string(),
            error: it.error.as_ref().map(JobError::from),
        });
        let error = match &deletion.state {
            DeletionState::Refused { error, .. } => Some(JobError::from(error)),
            _ => None,
        };
        Self {
            image_id: deletion.image.as_ref().map(ToString::to_string),
            snapshot_ids: deletion.snapshots.iter().map(ToString::to_string).collect(),
            policy: deletion.policy.to_string(),
            instance_id: deletion.instance.to_string(),
            job_id: deletion.job.to_string(),
            reason: deletion.reason.clone(),
            state: deletion.state.name().as_str(),
            snapshots_left: left.collect(),
            error,
        }
    }
}

/// One line, with the next step.
impl fmt::Display for Deletion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}: {}", self.what(), self.instance_id, self.state)?;
        if let Some(error) = &self.error {
            write!(f, ": {}: {}; next step: {}", error.code, error.message, error.next_step)?;
        }
        for left in &self.snapshots_left {
            write!(f, "\n  {}", left.snapshot_id)?;
            if let Some(error) = &left.error {
                write!(f, ": {}: {}; next step: {}", error.code, error.message, error.next_step)?;
            }
        }
        Ok(())
    }
}

/// What is gone wholly, and what is not.
pub fn split(deletions: &[DomainDeletion]) -> (Vec<Deletion>, Vec<Deletion>) {
    let is_done = |it: &&DomainDeletion| matches!(it.state, DeletionState::Done { .. });
    let (done, rest): (Vec<_>, Vec<_>) = deletions.iter().partition(is_done);
    (done.into_iter().map(Deletion::from).collect(), rest.into_iter().map(Deletion::from).collect())
}

/// Every image of a plan, with what the ledger knows of it.
pub fn images(rows: &[ImageRow], plan: &PrunePlan) -> Vec<Image> {
    let rows: BTreeMap<&ImageId, &ImageRow> = rows.iter().map(|row| (&row.image, row)).collect();
    let image = |image: &PrunedImage| match rows.get(&image.known.image) {
        Some(row) => Some(of_row(row, Some(&image.verdict))),
        None => Some(of_row(&row_of(image)?, Some(&image.verdict))),
    };
    plan.images.iter().filter_map(image).collect()
}

/// A row for an image that the ledger has none of yet.
fn row_of(image: &PrunedImage) -> Option<ImageRow> {
    let known = &image.known;
    Some(ImageRow {
        image: known.image.clone(),
        name: known.name.parse().ok()?,
        job: known.job,
        policy: known.policy.clone(),
        account: known.account.clone(),
        account_name: known.account_name.clone(),
        region: known.region.clone(),
        instance: known.instance.clone(),
        class: known.class.clone(),
        captured_at: known.captured_at,
        grade: known.grade,
        volumes: Vec::new(),
        state: ImageRowState::Failed,
        counts: false,
        pinned: known.pinned,
        missing_since: known.missing_since,
        first_seen_at: known.first_seen_at,
        last_seen_at: known.last_seen_at,
    })
}
