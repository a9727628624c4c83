//! The states of a job, and what each of them owns.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::decision::{JobError, SkipReason};
use crate::id::{ImageId, SnapshotId, VolumeId};
use crate::job::Finished;

/// Where a job is. Each state owns what only it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// Waiting for its time, for room, or for `retry_at`. Nothing is outstanding at EC2.
    Queued {
        /// Not before this.
        retry_at: Option<Timestamp>,
        /// Why it waits, in words.
        waiting_for: Option<String>,
    },
    /// Facts are fresh and the decision is being taken.
    Preparing,
    /// All that a hold needs is being made ready; nothing is frozen, and nothing was sent.
    Holding,
    /// The intent is committed; the outcome is unknown until EC2 tells.
    Capturing(Capturing),
    /// EC2 has taken the snapshots of an image that is not registered yet. By name it is `pending` too: EC2 is at work, and
    /// nothing stands still for it any more.
    Taken(Taken),
    /// EC2 makes the image.
    Pending(Pending),
    /// The image is available; its grade is being written on it.
    Finishing(Finished),
    /// Done.
    Succeeded {
        /// What was made.
        image: Finished,
        /// When.
        finished_at: Timestamp,
    },
    /// It ran and did not work.
    Failed {
        /// Why.
        error: JobError,
        /// The image that was left, if one was.
        image: Option<ImageId>,
        /// When.
        finished_at: Timestamp,
    },
    /// There was nothing to do.
    Skipped {
        /// Why.
        reason: SkipReason,
        /// When.
        finished_at: Timestamp,
    },
}

/// An outcome that is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capturing {
    /// Since when it is known to be unknown: a timeout, a cut connection, a 5xx. `None`: no answer was recorded at all.
    pub unknown_since: Option<Timestamp>,
    /// EC2 said that the name is in use.
    pub name_in_use: bool,
}

/// Snapshots that were taken for an image that is not registered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The snapshot of each volume.
    pub snapshots: BTreeMap<VolumeId, SnapshotId>,
    /// When EC2 answered with them, or when they were found.
    pub taken_at: Timestamp,
    /// Whether the image was reported as overdue.
    pub stalled: bool,
    /// How often `RegisterImage` was about to be called.
    pub tries: u32,
    /// How far they are.
    pub step: TakenStep,
}

/// How far snapshots are on their way to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TakenStep {
    /// EC2 copies their data.
    Copying,
    /// All of them are completed, and nothing is outstanding.
    Complete {
        /// The image is not registered before this.
        retry_at: Option<Timestamp>,
    },
    /// The intent to register the image is committed; the outcome is unknown until EC2 tells.
    Registering {
        /// When it was committed.
        recorded_at: Timestamp,
        /// What is known of the outcome.
        outcome: Capturing,
    },
}

/// An image that EC2 is making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The image.
    pub image: ImageId,
    /// When EC2 accepted it, or when it was found.
    pub accepted_at: Timestamp,
    /// Whether it was reported as overdue.
    pub stalled: bool,
    /// For an instance that was stopped: whether it was still stopped when the snapshots were seen.
    pub offline: OfflineProof,
}

/// Whether a stopped instance was seen to stay stopped until its snapshots appeared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfflineProof {
    /// It was not stopped to begin with.
    NotApplicable,
    /// Not seen yet.
    Awaited,
    /// Snapshots were there and the instance was stopped, not started since the intent.
    Proved,
    /// The instance had been started by the time the snapshots were seen.
    Refuted,
}

impl OfflineProof {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::NotApplicable, Self::Awaited, Self::Proved, Self::Refuted];

    /// The word the ledger stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotApplicable => "not-applicable",
            Self::Awaited => "awaited",
            Self::Proved => "proved",
            Self::Refuted => "refuted",
        }
    }
}

/// The name of a state, without its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateName {
    /// See [`JobState::Queued`].
    Queued,
    /// See [`JobState::Preparing`].
    Preparing,
    /// See [`JobState::Holding`].
    Holding,
    /// See [`JobState::Capturing`].
    Capturing,
    /// See [`JobState::Taken`] and [`JobState::Pending`].
    Pending,
    /// See [`JobState::Finishing`].
    Finishing,
    /// See [`JobState::Succeeded`].
    Succeeded,
    /// See [`JobState::Failed`].
    Failed,
    /// See [`JobState::Skipped`].
    Skipped,
}

impl StateName {
    /// Every state, in the order a job goes through them.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Preparing,
        Self::Holding,
        Self::Capturing,
        Self::Pending,
        Self::Finishing,
        Self::Succeeded,
        Self::Failed,
        Self::Skipped,
    ];

    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Preparing => "preparing",
            Self::Holding => "holding",
            Self::Capturing => "capturing",
            Self::Pending => "pending",
            Self::Finishing => "finishing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// Whether nothing follows this state.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Skipped)
    }
}

/// There is no state of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no state `{0}`")]
pub struct UnknownState(String);

impl FromStr for StateName {
    type Err = UnknownState;

    fn from_str(word: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|state| state.as_str() == word).ok_or_else(|| UnknownState(word.to_owned()))
    }
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl JobState {
    /// Its name.
    pub fn name(&self) -> StateName {
        match self {
            Self::Queued { .. } => StateName::Queued,
            Self::Preparing => StateName::Preparing,
            Self::Holding => StateName::Holding,
            Self::Capturing(_) => StateName::Capturing,
            Self::Taken(_) | Self::Pending(_) => StateName::Pending,
            Self::Finishing(_) => StateName::Finishing,
            Self::Succeeded { .. } => StateName::Succeeded,
            Self::Failed { .. } => StateName::Failed,
            Self::Skipped { .. } => StateName::Skipped,
        }
    }
}
