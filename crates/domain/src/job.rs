//! A job: one instance of one fire, from queued to its end, as one explicit state machine.
//!
//! `capturing` is entered by the commit of the intent, before EC2 is called. So a job found in `capturing` by a daemon
//! that did not send the request itself has, by definition, an unknown outcome, and is settled by looking the image up
//! by its name. A request that EC2 refused for certain goes back to `queued`, where nothing is outstanding. That is why
//! no state says "sent, perhaps": the two states tell the two cases apart.

mod event;
mod state;

pub use event::{HoldStep, IllegalTransition, JobEvent};
pub use state::{Capturing, JobState, OfflineProof, Pending, StateName, Taken, TakenStep, UnknownState};

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};

use crate::class::Consistency;
use crate::freeze::Held;
use crate::grade::{Evidence, Grade};
use crate::id::{
    AccountId, AccountName, ClassName, FreezeName, ImageId, InstanceId, JobId, PolicyName, Region, RequestId,
};
use crate::id::{SnapshotId, VolumeId};
use crate::image_attributes::ImageAttributes;
use crate::image_name::{ImageName, ImageNumber};
use crate::instance::AttachedVolume;
use crate::policy::StartWindow;

/// What makes a job unique: one fire gives one job per instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobKey {
    /// The policy.
    pub policy: PolicyName,
    /// The account, by its 12 digits.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// The instance.
    pub instance: InstanceId,
    /// The nominal time of the fire.
    pub scheduled_at: Timestamp,
}

/// What set a job off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// Its schedule, on time.
    Schedule,
    /// Its schedule, late: the daemon was down or EC2 did not answer.
    CatchUp,
    /// An operator.
    Manual,
}

impl Trigger {
    /// Every trigger.
    pub const ALL: [Self; 3] = [Self::Schedule, Self::CatchUp, Self::Manual];

    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::CatchUp => "catch-up",
            Self::Manual => "manual",
        }
    }
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What makes it unique.
    pub key: JobKey,
    /// The configured name of the account.
    pub account_name: AccountName,
    /// What set it off.
    pub trigger: Trigger,
    /// The operator's request it belongs to.
    pub request: Option<RequestId>,
    /// The consistency the operator asked for.
    pub asked: Option<Consistency>,
    /// The class: the policy's until the decision, the instance's after it.
    pub class: ClassName,
    /// When it may start.
    pub window: StartWindow,
    /// When it was written down.
    pub created_at: Timestamp,
    /// When it was first taken up.
    pub started_at: Option<Timestamp>,
    /// How often `CreateImage` was about to be called.
    pub attempts: u32,
    /// Which image of the job is being made.
    pub number: ImageNumber,
    /// The last intent, kept for history whatever came of it.
    pub intent: Option<Intent>,
    /// What its hold was, once that is over.
    pub hold: Option<Held>,
    /// Where it is.
    pub state: JobState,
}

/// What was about to be asked of EC2, committed before the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The name of the image.
    pub name: ImageName,
    /// What the class or the operator asked for.
    pub asked: Consistency,
    /// What is done.
    pub mode: Consistency,
    /// Why, in words.
    pub reason: String,
    /// The grade this should reach.
    pub expected: Grade,
    /// The grade below which the job fails.
    pub grade_min: Option<Grade>,
    /// The volumes that should be captured.
    pub volumes: Vec<AttachedVolume>,
    /// Disks that no image captures; `None` when EC2 would not say.
    pub instance_store_disks: Option<u32>,
    /// When the instance was last started, to tell later whether it was started in between.
    pub launched_at: Timestamp,
    /// How long the image may be pending before it is reported as stalled.
    pub deadline: SignedDuration,
    /// What is to be held still meanwhile, in mode freeze.
    pub hold: Option<IntendedHold>,
    /// What the image will be registered with, where its snapshots are taken first; none where `CreateImage` takes it.
    pub registration: Option<Box<IntendedRegistration>>,
    /// When the intent was committed.
    pub recorded_at: Timestamp,
}

/// What an image is registered with once its snapshots are completed, as it was before anything was held still. By then the
/// instance may be gone and the policy another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntendedRegistration {
    /// What the instance had.
    pub attributes: ImageAttributes,
    /// The tags of the image.
    pub tags: BTreeMap<String, String>,
}

/// What is to be held still while EC2 is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntendedHold {
    /// The recipe.
    pub freeze: FreezeName,
    /// The mounts, in the order of freezing.
    pub mounts: Vec<PathBuf>,
    /// Writes flow again at the latest so long after the first of them was stopped.
    pub budget: SignedDuration,
}

/// An image that is available.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The image.
    pub image: ImageId,
    /// The earliest start of its snapshots, by EC2's clock; else its creation date.
    pub captured_at: Timestamp,
    /// How consistent it is.
    pub grade: Grade,
    /// What stands behind the grade `clean`.
    pub evidence: Option<Evidence>,
    /// What was captured, volume by volume.
    pub volumes: Vec<CapturedVolume>,
}

impl Finished {
    /// The EBS volumes that the instance had, and of which the image has no snapshot, for people; empty if there is none.
    pub fn left_out(&self) -> String {
        let left_out = self.volumes.iter().filter(|it| it.snapshot.is_none());
        let named = left_out.filter_map(|it| Some(format!("{} ({})", it.device, it.volume.as_ref()?)));
        named.collect::<Vec<_>>().join(", ")
    }
}

/// One disk of the instance, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedVolume {
    /// The device name; `instance-store-0` and so on for disks that no image captures.
    pub device: String,
    /// The volume; none for the instance store.
    pub volume: Option<VolumeId>,
    /// Its snapshot; none when it was not captured.
    pub snapshot: Option<SnapshotId>,
    /// Its grade; none when it was not captured.
    pub grade: Option<Grade>,
}

impl Job {
    /// The image EC2 is making or has made for this job.
    pub fn image(&self) -> Option<&ImageId> {
        match &self.state {
            JobState::Pending(pending) => Some(&pending.image),
            JobState::Finishing(image) | JobState::Succeeded { image, .. } => Some(&image.image),
            JobState::Failed { image, .. } => image.as_ref(),
            _ => None,
        }
    }

    /// When it ended.
    pub fn finished_at(&self) -> Option<Timestamp> {
        match &self.state {
            JobState::Succeeded { finished_at, .. }
            | JobState::Failed { finished_at, .. }
            | JobState::Skipped { finished_at, .. } => Some(*finished_at),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
