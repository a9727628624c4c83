//! A row of the table `deletions`, and how it becomes a deletion again.

use amikeep_domain::id::SnapshotId;
use amikeep_domain::prune::{Deletion, DeletionState, DeletionStateName, LeftSnapshot};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::LedgerError;
use crate::field::{Place, Unreadable, millis};
use crate::stored::{self, StoredError};

/// The columns of a deletion that its holder sees.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct DeletionRow {
    pub(crate) id: String,
    pub(crate) image: Option<String>,
    pub(crate) job: String,
    pub(crate) policy: String,
    pub(crate) account: String,
    pub(crate) account_name: String,
    pub(crate) region: String,
    pub(crate) instance: String,
    pub(crate) snapshots: String,
    pub(crate) reason: String,
    pub(crate) planned_at: i64,
    pub(crate) attempts: i64,
    pub(crate) state: String,
    pub(crate) data: String,
    pub(crate) finished_at: Option<i64>,
}

impl From<&Deletion> for DeletionRow {
    fn from(deletion: &Deletion) -> Self {
        let snapshots: Vec<_> = deletion.snapshots.iter().map(SnapshotId::as_str).collect();
        Self {
            id: deletion.id.to_string(),
            image: deletion.image.as_ref().map(ToString::to_string),
            job: deletion.job.to_string(),
            policy: deletion.policy.to_string(),
            account: deletion.account.to_string(),
            account_name: deletion.account_name.to_string(),
            region: deletion.region.to_string(),
            instance: deletion.instance.to_string(),
            snapshots: stored::to_json(&snapshots),
            reason: deletion.reason.clone(),
            planned_at: millis(deletion.planned_at),
            attempts: i64::from(deletion.attempts),
            state: deletion.state.name().as_str().to_owned(),
            data: encode_state(&deletion.state),
            finished_at: finished_at(&deletion.state).map(millis),
        }
    }
}

impl TryFrom<DeletionRow> for Deletion {
    type Error = LedgerError;

    fn try_from(row: DeletionRow) -> Result<Self, LedgerError> {
        let at = Place::new("deletions", &row.id);
        let name = at.word("state", &row.state, &DeletionStateName::ALL, DeletionStateName::as_str)?;
        let finished_at = at.time_some("finished_at", row.finished_at)?;
        Ok(Self {
            id: at.parse("id", &row.id)?,
            image: at.parse_some("image", row.image.as_deref())?,
            job: at.parse("job", &row.job)?,
            policy: at.parse("policy", &row.policy)?,
            account: at.parse("account", &row.account)?,
            account_name: at.parse("account_name", &row.account_name)?,
            region: at.parse("region", &row.region)?,
            instance: at.parse("instance", &row.instance)?,
            snapshots: at.read("snapshots", decode_snapshots(&row.snapshots))?,
            planned_at: at.time("planned_at", row.planned_at)?,
            attempts: at.number("attempts", row.attempts)?,
            state: at.read("data", decode_state(name, &row.data, finished_at))?,
            reason: row.reason,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPlanned {
    retry_at: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSnapshotsLeft {
    left: Vec<StoredLeft>,
    retry_at: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredLeft {
    snapshot: String,
    error: Option<StoredError>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredDone {}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredRefused {
    error: StoredError,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredWithdrawn {
    reason: String,
}

fn finished_at(state: &DeletionState) -> Option<Timestamp> {
    match state {
        DeletionState::Planned { .. } | DeletionState::SnapshotsLeft { .. } => None,
        DeletionState::Done { finished_at }
        | DeletionState::Refused { finished_at, .. }
        | DeletionState::Withdrawn { finished_at, .. } => Some(*finished_at),
    }
}

/// The column `data`: what a state has of its own.
fn encode_state(state: &DeletionState) -> String {
    match state {
        DeletionState::Planned { retry_at } => {
            stored::to_json(&StoredPlanned { retry_at: retry_at.as_ref().map(stored::text) })
        }
        DeletionState::SnapshotsLeft { left, retry_at } => stored::to_json(&StoredSnapshotsLeft {
            left: left.iter().map(store_left).collect(),
            retry_at: stored::text(retry_at),
        }),
        DeletionState::Done { .. } => stored::to_json(&StoredDone {}),
        DeletionState::Refused { error, .. } => stored::to_json(&StoredRefused { error: stored::store_error(error) }),
        DeletionState::Withdrawn { reason, .. } => stored::to_json(&StoredWithdrawn { reason: reason.clone() }),
    }
}

fn store_left(left: &LeftSnapshot) -> StoredLeft {
    StoredLeft { snapshot: left.snapshot.to_string(), error: left.error.as_ref().map(stored::store_error) }
}

fn restore_left(stored: StoredLeft) -> Result<LeftSnapshot, Unreadable> {
    Ok(LeftSnapshot { snapshot: stored.snapshot.parse()?, error: stored.error.map(stored::restore_error) })
}

fn decode_snapshots(json: &str) -> Result<Vec<SnapshotId>, Unreadable> {
    let stored: Vec<String> = serde_json::from_str(json)?;
    stored.iter().map(|it| Ok(it.parse()?)).collect()
}

/// The state from its name, its data, and the time at which it ended.
fn decode_state(
    name: DeletionStateName,
    data: &str,
    finished_at: Option<Timestamp>,
) -> Result<DeletionState, Unreadable> {
    let ended = || finished_at.ok_or(Unreadable);
    Ok(match name {
        DeletionStateName::Planned => {
            let stored: StoredPlanned = serde_json::from_str(data)?;
            DeletionState::Planned { retry_at: stored.retry_at.as_deref().map(stored::time).transpose()? }
        }
        DeletionStateName::SnapshotsLeft => {
            let stored: StoredSnapshotsLeft = serde_json::from_str(data)?;
            DeletionState::SnapshotsLeft {
                left: stored.left.into_iter().map(restore_left).collect::<Result<_, _>>()?,
                retry_at: stored::time(&stored.retry_at)?,
            }
        }
        DeletionStateName::Done => {
            let StoredDone {} = serde_json::from_str(data)?;
            DeletionState::Done { finished_at: ended()? }
        }
        DeletionStateName::Refused => {
            let stored: StoredRefused = serde_json::from_str(data)?;
            DeletionState::Refused { error: stored::restore_error(stored.error), finished_at: ended()? }
        }
        DeletionStateName::Withdrawn => {
            let stored: StoredWithdrawn = serde_json::from_str(data)?;
            DeletionState::Withdrawn { reason: stored.reason, finished_at: ended()? }
        }
    })
}
