//! The life of a deletion: written down with its reason, then carried out until nothing is left.
//!
//! Deregistering an image and deleting a snapshot can be asked for twice without harm, so an unknown outcome needs no
//! state of its own: the next step looks first, and what is gone is gone. What cannot be repeated is the decision. So an image
//! that such a look finds there a while after the decision is left (`withdrawn`), and the next prune decides anew. Nothing is
//! withdrawn without a look: what was sent before a crash may have done it.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::decision::JobError;
use crate::id::{AccountId, AccountName, DeletionId, ImageId, InstanceId, JobId, PolicyName, Region, SnapshotId};

/// A decision to delete is acted upon within this time or taken again: pins, uses and rules may have changed since.
pub const DELETION_FRESH_FOR: SignedDuration = SignedDuration::from_mins(30);

/// One image that goes, with its snapshots; or snapshots alone, of which no image was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
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
    /// Every snapshot of it that is known, so that none is forgotten once the image is gone.
    pub snapshots: Vec<SnapshotId>,
    /// Why it goes, in words.
    pub reason: String,
    /// When that was decided.
    pub planned_at: Timestamp,
    /// How many steps it has taken, the failed ones included.
    pub attempts: u32,
    /// Where it is.
    pub state: DeletionState,
}

/// Where a deletion is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeletionState {
    /// Written down. The image is there, or nobody has looked.
    Planned {
        /// Nothing is asked before this.
        retry_at: Option<Timestamp>,
    },
    /// The image is gone, and some snapshots were not seen to be.
    SnapshotsLeft {
        /// Those, with what went wrong.
        left: Vec<LeftSnapshot>,
        /// Nothing is asked before this.
        retry_at: Timestamp,
    },
    /// Image and snapshots are gone.
    Done {
        /// When the last of them was seen to be.
        finished_at: Timestamp,
    },
    /// EC2 refused, and the image is still there.
    Refused {
        /// Why.
        error: JobError,
        /// When.
        finished_at: Timestamp,
    },
    /// It was not carried out after all, and the image is still there.
    Withdrawn {
        /// Why.
        reason: String,
        /// When.
        finished_at: Timestamp,
    },
}

/// The names of the states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeletionStateName {
    /// [`DeletionState::Planned`].
    Planned,
    /// [`DeletionState::SnapshotsLeft`].
    SnapshotsLeft,
    /// [`DeletionState::Done`].
    Done,
    /// [`DeletionState::Refused`].
    Refused,
    /// [`DeletionState::Withdrawn`].
    Withdrawn,
}

impl DeletionStateName {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Planned, Self::SnapshotsLeft, Self::Done, Self::Refused, Self::Withdrawn];

    /// The word in the ledger and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::SnapshotsLeft => "snapshots-left",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Whether nothing follows.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Done | Self::Refused | Self::Withdrawn)
    }
}

impl fmt::Display for DeletionStateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl DeletionState {
    /// Its name.
    pub fn name(&self) -> DeletionStateName {
        match self {
            Self::Planned { .. } => DeletionStateName::Planned,
            Self::SnapshotsLeft { .. } => DeletionStateName::SnapshotsLeft,
            Self::Done { .. } => DeletionStateName::Done,
            Self::Refused { .. } => DeletionStateName::Refused,
            Self::Withdrawn { .. } => DeletionStateName::Withdrawn,
        }
    }
}

/// A snapshot that is not known to be gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftSnapshot {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Why it is still there, as far as EC2 said; `None` if it only has to be looked at once more.
    pub error: Option<JobError>,
}

impl LeftSnapshot {
    /// The snapshot and the code. EC2 words the same refusal differently each time: it holds an id or an encoded message.
    fn what(&self) -> (SnapshotId, Option<String>) {
        (self.snapshot.clone(), self.error.as_ref().map(|error| error.code.clone()))
    }
}

/// What happens to a deletion. Each is a row in the history of the job that made the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeletionEvent {
    /// Nothing was done, or nobody knows; it is tried again.
    Deferred {
        /// When.
        retry_at: Timestamp,
        /// Why, in words.
        reason: String,
    },
    /// The image is gone.
    Deregistered {
        /// The snapshots that have to be seen to be gone: all of them.
        left: Vec<LeftSnapshot>,
        /// When to look.
        retry_at: Timestamp,
    },
    /// Snapshots were looked at, and those that were there were asked to go. Without an image it is the first step too.
    SnapshotsChecked {
        /// Those that are not known to be gone; empty ends the deletion.
        left: Vec<LeftSnapshot>,
        /// When to look again.
        retry_at: Timestamp,
    },
    /// EC2 refuses to deregister the image.
    Refused(JobError),
    /// It is not carried out.
    Withdrawn {
        /// Why, in words.
        reason: String,
    },
}

impl DeletionEvent {
    /// The word that history shows.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Deferred { .. } => "deletion-deferred",
            Self::Deregistered { .. } => "deregistered",
            Self::SnapshotsChecked { left, .. } if left.is_empty() => "deleted",
            Self::SnapshotsChecked { .. } => "snapshots-left",
            Self::Refused(_) => "deletion-refused",
            Self::Withdrawn { .. } => "deletion-withdrawn",
        }
    }

    /// What it says beyond its word, for a person.
    pub fn detail(&self) -> String {
        match self {
            Self::Deferred { retry_at, reason } => format!("{reason}; again at {retry_at}"),
            Self::Deregistered { left, .. } if left.is_empty() => "it had no snapshot left".to_owned(),
            Self::SnapshotsChecked { left, .. } if left.is_empty() => "nothing of it is left".to_owned(),
            Self::Deregistered { left, .. } | Self::SnapshotsChecked { left, .. } => describe(left),
            Self::Refused(error) => format!("{}: {}", error.code, error.message),
            Self::Withdrawn { reason } => reason.clone(),
        }
    }

    /// Whether it is worth a row of history. A look that only has to be repeated is not.
    pub fn is_notable(&self, before: &DeletionState) -> bool {
        match (self, before) {
            (Self::SnapshotsChecked { left, .. }, DeletionState::SnapshotsLeft { left: known, .. }) => {
                let what = |left: &[LeftSnapshot]| -> Vec<_> { left.iter().map(LeftSnapshot::what).collect() };
                left.is_empty() || what(left) != what(known)
            }
            _ => true,
        }
    }
}

fn describe(left: &[LeftSnapshot]) -> String {
    let one = |it: &LeftSnapshot| match &it.error {
        Some(error) => format!("{}: {}: {}", it.snapshot, error.code, error.message),
        None => format!("{} is to be seen gone", it.snapshot),
    };
    left.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// An event that cannot follow a state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{event}` cannot follow `{from}`")]
pub struct IllegalDeletion {
    /// The state.
    pub from: DeletionStateName,
    /// The event.
    pub event: &'static str,
}

impl Deletion {
    /// The one way from a state to the next.
    pub fn apply(self, event: &DeletionEvent, at: Timestamp) -> Result<Self, IllegalDeletion> {
        use DeletionState as State;
        let state = match (&self.state, event) {
            (State::Planned { .. }, DeletionEvent::Deferred { retry_at, .. }) => {
                State::Planned { retry_at: Some(*retry_at) }
            }
            (State::SnapshotsLeft { left, .. }, DeletionEvent::Deferred { retry_at, .. }) => {
                State::SnapshotsLeft { left: left.clone(), retry_at: *retry_at }
            }
            // Snapshots that never had an image go without one, and are worth something as long as they are there. What is
            // left of an image that is gone is not.
            (State::Planned { .. }, DeletionEvent::SnapshotsChecked { .. })
            | (State::SnapshotsLeft { .. }, DeletionEvent::Withdrawn { .. })
                if self.image.is_some() =>
            {
                return Err(IllegalDeletion { from: self.state.name(), event: event.as_str() });
            }
            (State::Planned { .. }, DeletionEvent::Deregistered { left, retry_at })
            | (
                State::Planned { .. } | State::SnapshotsLeft { .. },
                DeletionEvent::SnapshotsChecked { left, retry_at },
            ) => {
                if left.is_empty() {
                    State::Done { finished_at: at }
                } else {
                    State::SnapshotsLeft { left: left.clone(), retry_at: *retry_at }
                }
            }
            (State::Planned { .. }, DeletionEvent::Refused(error)) => {
                State::Refused { error: error.clone(), finished_at: at }
            }
            (State::Planned { .. } | State::SnapshotsLeft { .. }, DeletionEvent::Withdrawn { reason }) => {
                State::Withdrawn { reason: reason.clone(), finished_at: at }
            }
            (from, event) => return Err(IllegalDeletion { from: from.name(), event: event.as_str() }),
        };
        Ok(Self { state, attempts: self.attempts.saturating_add(1), ..self })
    }

    /// What goes, for people.
    pub fn what(&self) -> String {
        match &self.image {
            Some(image) => image.to_string(),
            None => self.snapshots.iter().map(SnapshotId::as_str).collect::<Vec<_>>().join(", "),
        }
    }

    /// When it is next worked on; `None` if it has ended.
    pub fn due_at(&self) -> Option<Timestamp> {
        match &self.state {
            DeletionState::Planned { retry_at } => Some(retry_at.unwrap_or(self.planned_at)),
            DeletionState::SnapshotsLeft { retry_at, .. } => Some(*retry_at),
            DeletionState::Done { .. } | DeletionState::Refused { .. } | DeletionState::Withdrawn { .. } => None,
        }
    }
}
