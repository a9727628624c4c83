//! What happens to a job, and the one function that says what follows.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::decision::{JobError, SkipReason};
use crate::freeze::{Held, Proof};
use crate::grade::Grade;
use crate::id::{ClassName, FreezeName, ImageId, JobId, SnapshotId, VolumeId};
use crate::job::{Capturing, Finished, Intent, Job, JobState, OfflineProof, Pending, StateName, Taken, TakenStep};

/// What happens to a job. Each is a row of its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEvent {
    /// Taken up.
    Started,
    /// Not now: back to the queue until `retry_at`.
    Deferred {
        /// When to look again.
        retry_at: Timestamp,
        /// Why, in words.
        reason: String,
    },
    /// It could start, but for something else that must end first.
    Waiting {
        /// What for, in words.
        reason: String,
    },
    /// A hold is being made ready.
    Holding {
        /// The recipe.
        freeze: FreezeName,
    },
    /// The instance could not be held still, and nothing was sent.
    NotHeld {
        /// Why, in words.
        reason: String,
    },
    /// A step of a hold, written down after its end with the time at which it was done.
    HoldStep {
        /// Which.
        step: HoldStep,
        /// What came of it, in words.
        detail: String,
    },
    /// A hold is over.
    Held(Box<Held>),
    /// A command that had to run after a hold failed, so that the hold proves nothing.
    HookFailed {
        /// Which, and how.
        reason: String,
    },
    /// The intent is being committed.
    Intended {
        /// The class that applies.
        class: ClassName,
        /// The intent.
        intent: Intent,
    },
    /// The request may or may not have reached EC2.
    OutcomeUnknown {
        /// What was seen, in words.
        reason: String,
    },
    /// EC2 says that the name is in use; whose image it is is looked up next.
    NameInUse,
    /// EC2 answered with the image.
    Accepted {
        /// The image.
        image: ImageId,
    },
    /// The image of an unknown outcome was found by its name.
    Adopted {
        /// The image.
        image: ImageId,
    },
    /// EC2 answered with the snapshots that the image will be made of.
    SnapshotsTaken {
        /// One of each volume.
        snapshots: BTreeMap<VolumeId, SnapshotId>,
    },
    /// The snapshots of an unknown outcome were found by the tag of their job: all of them, taken in the hold.
    SnapshotsAdopted {
        /// One of each volume.
        snapshots: BTreeMap<VolumeId, SnapshotId>,
    },
    /// Every snapshot is completed.
    SnapshotsCompleted,
    /// The intent to register the image is being committed.
    Registering,
    /// The image was not registered, for certain; it is tried again.
    RegisterDeferred {
        /// When.
        retry_at: Timestamp,
        /// Why, in words.
        reason: String,
    },
    /// The image is overdue. It stays watched.
    Stalled,
    /// The snapshots of an image of a stopped instance were seen.
    OfflineChecked {
        /// Whether the instance was still stopped.
        still_stopped: bool,
    },
    /// The image is available.
    Available(Finished),
    /// EC2 reports the image as failed, and another one is made.
    ImageFailed {
        /// The image that failed.
        image: ImageId,
        /// When the next one may be requested.
        retry_at: Timestamp,
        /// EC2's reason.
        reason: String,
    },
    /// The grade is on the image, or could not be written there; the ledger has it in any case.
    Graded {
        /// Why it could not be written.
        problem: Option<String>,
    },
    /// It did not work.
    Failed(JobError),
    /// There was nothing to do.
    Skipped(SkipReason),
}

/// A step of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HoldStep {
    /// The commands before it.
    Pre,
    /// The image can be worth less than the recipe says.
    Doubted,
    /// The application stood still.
    Locked,
    /// A mount was frozen.
    Frozen,
    /// EC2 was asked for the image.
    Sent,
    /// EC2 answered.
    Answered,
    /// A snapshot of every volume was seen.
    Seen,
    /// A mount was thawed.
    Thawed,
    /// The application went on.
    Released,
    /// The commands after it.
    Post,
    /// Something froze is thawed after a crash.
    Recovered,
}

impl HoldStep {
    /// The word that history shows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pre => "pre",
            Self::Doubted => "doubted",
            Self::Locked => "locked",
            Self::Frozen => "frozen",
            Self::Sent => "sent",
            Self::Answered => "answered",
            Self::Seen => "snapshots-seen",
            Self::Thawed => "thawed",
            Self::Released => "released",
            Self::Post => "post",
            Self::Recovered => "recovered",
        }
    }
}

impl JobEvent {
    /// The word that history shows.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Deferred { .. } => "deferred",
            Self::Waiting { .. } => "waiting",
            Self::Holding { .. } => "holding",
            Self::NotHeld { .. } => "not-held",
            Self::HoldStep { step, .. } => step.as_str(),
            Self::Held(_) => "held",
            Self::HookFailed { .. } => "hook-failed",
            Self::Intended { .. } => "intended",
            Self::OutcomeUnknown { .. } => "outcome-unknown",
            Self::NameInUse => "name-in-use",
            Self::Accepted { .. } => "accepted",
            Self::Adopted { .. } => "adopted",
            Self::SnapshotsTaken { .. } => "snapshots-taken",
            Self::SnapshotsAdopted { .. } => "snapshots-adopted",
            Self::SnapshotsCompleted => "snapshots-completed",
            Self::Registering => "registering",
            Self::RegisterDeferred { .. } => "register-deferred",
            Self::Stalled => "stalled",
            Self::OfflineChecked { .. } => "offline-checked",
            Self::Available(_) => "available",
            Self::ImageFailed { .. } => "image-failed",
            Self::Graded { .. } => "graded",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
        }
    }

    /// What it says beyond its word, for a person.
    pub fn detail(&self) -> String {
        match self {
            Self::Started | Self::Stalled | Self::NameInUse | Self::SnapshotsCompleted | Self::Registering => {
                String::new()
            }
            Self::Graded { problem } => problem.clone().unwrap_or_default(),
            Self::Deferred { retry_at, reason } | Self::RegisterDeferred { retry_at, reason } => {
                format!("{reason}; again at {retry_at}")
            }
            Self::SnapshotsTaken { snapshots } | Self::SnapshotsAdopted { snapshots } => {
                snapshots.values().map(SnapshotId::as_str).collect::<Vec<_>>().join(", ")
            }
            Self::Intended { class, intent } => {
                format!("{} as {} ({class}: {})", intent.name, intent.mode, intent.reason)
            }
            Self::Waiting { reason }
            | Self::OutcomeUnknown { reason }
            | Self::NotHeld { reason }
            | Self::HookFailed { reason } => reason.clone(),
            Self::Holding { freeze } => freeze.to_string(),
            Self::HoldStep { detail, .. } => detail.clone(),
            Self::Held(held) => describe_held(held),
            Self::Accepted { image } | Self::Adopted { image } => image.to_string(),
            Self::OfflineChecked { still_stopped: true } => "the instance was still stopped".to_owned(),
            Self::OfflineChecked { still_stopped: false } => "the instance had been started".to_owned(),
            Self::Available(finished) => describe_finished(finished),
            Self::ImageFailed { image, retry_at, reason } => format!("{image}: {reason}; another one at {retry_at}"),
            Self::Failed(error) => format!("{}: {}", error.code, error.message),
            Self::Skipped(reason) => reason.as_str().to_owned(),
        }
    }
}

fn describe_finished(finished: &Finished) -> String {
    let (told, left_out) = (format!("{}, grade {}", finished.image, finished.grade), finished.left_out());
    if left_out.is_empty() { told } else { format!("{told}; it has no snapshot of {left_out}") }
}

fn describe_held(held: &Held) -> String {
    let stall =
        held.stall.map_or("nothing was frozen".to_owned(), |it| format!("writes stalled {} ms", it.as_millis()));
    match held.doubt() {
        None => format!("{stall}; proved"),
        Some(why) => format!("{stall}; not proved: {why}"),
    }
}

/// An event that its state does not know: a bug, or a row that was changed by hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("job {job}: the event `{event}` cannot follow the state `{from}`")]
pub struct IllegalTransition {
    /// The job.
    pub job: JobId,
    /// Where it was.
    pub from: StateName,
    /// What was to happen.
    pub event: &'static str,
}

impl Job {
    /// The one transition function: the ledger, recovery and the tests all go through it.
    pub fn apply(mut self, event: &JobEvent, at: Timestamp) -> Result<Self, IllegalTransition> {
        let illegal = IllegalTransition { job: self.id, from: self.state.name(), event: event.as_str() };
        self.state = next_state(self.state, event, at, self.intent.as_ref()).ok_or(illegal)?;
        match event {
            JobEvent::Started => self.started_at = self.started_at.or(Some(at)),
            JobEvent::Intended { class, intent } => {
                self.class = class.clone();
                self.intent = Some(intent.clone());
                self.hold = None;
                self.attempts += 1;
            }
            JobEvent::Held(held) => self.hold = Some(Held::clone(held)),
            JobEvent::HookFailed { reason } => {
                if let Some(held) = &mut self.hold {
                    held.proof = Proof::Unproved { why: reason.clone() };
                }
            }
            JobEvent::ImageFailed { .. } => self.number = self.number.next(),
            _ => {}
        }
        Ok(self)
    }
}

fn next_state(state: JobState, event: &JobEvent, at: Timestamp, intent: Option<&Intent>) -> Option<JobState> {
    use JobState as S;
    Some(match (state, event) {
        (S::Queued { .. }, JobEvent::Started) => S::Preparing,
        (S::Queued { retry_at, .. }, JobEvent::Waiting { reason }) => {
            S::Queued { retry_at, waiting_for: Some(reason.clone()) }
        }
        (S::Queued { .. } | S::Preparing | S::Holding | S::Capturing(_), JobEvent::Deferred { retry_at, reason }) => {
            S::Queued { retry_at: Some(*retry_at), waiting_for: Some(reason.clone()) }
        }
        // Whoever says that it was not held did it himself, and knows that nothing was sent.
        (S::Preparing, JobEvent::Holding { .. }) | (S::Holding | S::Capturing(_), JobEvent::NotHeld { .. }) => {
            S::Holding
        }
        (state @ (S::Holding | S::Capturing(_) | S::Taken(_) | S::Pending(_)), JobEvent::HoldStep { .. })
        | (state @ (S::Capturing(_) | S::Taken(_) | S::Pending(_)), JobEvent::HookFailed { .. })
        | (state @ S::Capturing(_), JobEvent::Held(_)) => state,
        (S::Preparing | S::Holding, JobEvent::Intended { .. }) => {
            S::Capturing(Capturing { unknown_since: None, name_in_use: false })
        }
        (S::Capturing(it), JobEvent::OutcomeUnknown { .. }) => {
            S::Capturing(Capturing { unknown_since: Some(at), ..it })
        }
        (S::Capturing(it), JobEvent::NameInUse) => {
            S::Capturing(Capturing { unknown_since: it.unknown_since.or(Some(at)), name_in_use: true })
        }
        (S::Capturing(_), JobEvent::Accepted { image } | JobEvent::Adopted { image }) => {
            let offline = match intent {
                Some(intent) if intent.expected == Grade::Offline => OfflineProof::Awaited,
                _ => OfflineProof::NotApplicable,
            };
            S::Pending(Pending { image: image.clone(), accepted_at: at, stalled: false, offline })
        }
        (S::Capturing(_), JobEvent::SnapshotsTaken { snapshots } | JobEvent::SnapshotsAdopted { snapshots }) => {
            let snapshots = snapshots.clone();
            S::Taken(Taken { snapshots, taken_at: at, stalled: false, tries: 0, step: TakenStep::Copying })
        }
        (S::Taken(it), event) => next_taken(it, event, at)?,
        (S::Pending(it), JobEvent::Stalled) if !it.stalled => S::Pending(Pending { stalled: true, ..it }),
        (S::Pending(it), JobEvent::OfflineChecked { still_stopped }) if it.offline == OfflineProof::Awaited => {
            let offline = if *still_stopped { OfflineProof::Proved } else { OfflineProof::Refuted };
            S::Pending(Pending { offline, ..it })
        }
        (S::Pending(it), JobEvent::Available(finished)) if it.image == finished.image => S::Finishing(finished.clone()),
        (S::Pending(it), JobEvent::ImageFailed { image, retry_at, reason }) if it.image == *image => {
            S::Queued { retry_at: Some(*retry_at), waiting_for: Some(reason.clone()) }
        }
        (S::Finishing(image), JobEvent::Graded { .. }) => S::Succeeded { image, finished_at: at },
        (S::Queued { .. } | S::Preparing | S::Holding | S::Capturing(_), JobEvent::Failed(error)) => {
            S::Failed { error: error.clone(), image: None, finished_at: at }
        }
        (S::Pending(it), JobEvent::Failed(error)) => {
            S::Failed { error: error.clone(), image: Some(it.image), finished_at: at }
        }
        (S::Finishing(it), JobEvent::Failed(error)) => {
            S::Failed { error: error.clone(), image: Some(it.image), finished_at: at }
        }
        (S::Queued { .. } | S::Preparing | S::Holding | S::Capturing(_), JobEvent::Skipped(reason)) => {
            S::Skipped { reason: *reason, finished_at: at }
        }
        _ => return None,
    })
}

/// From snapshots to an image. The same outcomes as of `CreateImage`, with the same meaning: the name is what tells.
fn next_taken(taken: Taken, event: &JobEvent, at: Timestamp) -> Option<JobState> {
    let step = match (taken.step, event) {
        // An image may exist of snapshots that are being registered, so nothing is taken anew then.
        (TakenStep::Copying | TakenStep::Complete { .. }, JobEvent::Deferred { retry_at, reason }) => {
            return Some(JobState::Queued { retry_at: Some(*retry_at), waiting_for: Some(reason.clone()) });
        }
        (TakenStep::Copying, JobEvent::SnapshotsCompleted) => TakenStep::Complete { retry_at: None },
        (TakenStep::Complete { .. }, JobEvent::Registering) => {
            let outcome = Capturing { unknown_since: None, name_in_use: false };
            return Some(JobState::Taken(Taken {
                tries: taken.tries + 1,
                step: TakenStep::Registering { recorded_at: at, outcome },
                ..taken
            }));
        }
        (TakenStep::Registering { recorded_at, outcome }, JobEvent::OutcomeUnknown { .. }) => {
            TakenStep::Registering { recorded_at, outcome: Capturing { unknown_since: Some(at), ..outcome } }
        }
        (TakenStep::Registering { recorded_at, outcome }, JobEvent::NameInUse) => {
            let unknown_since = outcome.unknown_since.or(Some(at));
            TakenStep::Registering { recorded_at, outcome: Capturing { unknown_since, name_in_use: true } }
        }
        (TakenStep::Registering { .. }, JobEvent::RegisterDeferred { retry_at, .. }) => {
            TakenStep::Complete { retry_at: Some(*retry_at) }
        }
        (TakenStep::Registering { .. }, JobEvent::Accepted { image } | JobEvent::Adopted { image }) => {
            let (image, offline) = (image.clone(), OfflineProof::NotApplicable);
            return Some(JobState::Pending(Pending { image, accepted_at: at, stalled: taken.stalled, offline }));
        }
        (_, JobEvent::Failed(error)) => {
            return Some(JobState::Failed { error: error.clone(), image: None, finished_at: at });
        }
        (step, JobEvent::Stalled) if !taken.stalled => {
            return Some(JobState::Taken(Taken { stalled: true, step, ..taken }));
        }
        _ => return None,
    };
    Some(JobState::Taken(Taken { step, ..taken }))
}
