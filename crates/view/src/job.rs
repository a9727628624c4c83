//! A job as JSON, as a row of a table, and told as a story.

mod hold;
mod row;

use amikeep_domain as domain;
use amikeep_domain::class::Consistency;
use amikeep_domain::grade::{Evidence, Grade};
use amikeep_domain::job::{Finished, JobState};
use amikeep_ledger::EventRow;
use serde::Serialize;

use crate::text::Time;

pub use crate::job::hold::{Hold, Mount};
pub use crate::job::row::{Row, facts, table, timeline};

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Job {
    /// Its id, a `UUIDv7`.
    pub id: String,
    /// The policy.
    pub policy: String,
    /// The account, by its 12 digits.
    pub account: String,
    /// The configured name of the account.
    pub account_name: String,
    /// The region.
    pub region: String,
    /// The instance.
    pub instance_id: String,
    /// The nominal time of its fire.
    pub scheduled_at: Time,
    /// `schedule`, `catch-up` or `manual`.
    pub trigger: &'static str,
    /// The class: the policy's until the decision, the instance's after it.
    pub class: String,
    /// The mode.
    pub mode: Mode,
    /// How consistent the image really is, once it is known.
    pub grade: Option<&'static str>,
    /// What stands behind the grade `clean`.
    pub evidence: Option<&'static str>,
    /// What was captured, volume by volume; empty until it was seen.
    pub volumes: Vec<Volume>,
    /// Where the job is.
    pub state: &'static str,
    /// Whether its image is overdue.
    pub stalled: bool,
    /// The image.
    pub image_id: Option<String>,
    /// The name of the image, from the moment it was settled, whether there is an image or not.
    pub image_name: Option<String>,
    /// When the job was written down.
    pub created_at: Time,
    /// When it was first taken up.
    pub started_at: Option<Time>,
    /// The time of the image, by EC2's clock.
    pub captured_at: Option<Time>,
    /// When the job ended.
    pub finished_at: Option<Time>,
    /// How often `CreateImage` was about to be called.
    pub attempts: u32,
    /// Why it failed.
    pub error: Option<JobError>,
    /// The longest for which writes can have stood still in its hold; null where it was not observed.
    pub hold_ms: Option<u64>,
    /// What its hold was, once that is over.
    pub hold: Option<Hold>,
    /// How long the instance was down; null where it was not observed.
    pub downtime_ms: Option<u64>,
    /// Why it was skipped: `terminated`, `vanished`, `overlapped`, `paused` or `cancelled`.
    pub skip_reason: Option<&'static str>,
    /// What a queued job waits for, in words.
    pub waiting_for: Option<String>,
    /// When a queued job is looked at again.
    pub retry_at: Option<Time>,
    /// It does not begin before this.
    pub start_at: Time,
    /// It does not begin after this.
    pub start_by: Time,
}

/// How an image is made consistent: `reboot`, `no-reboot` or `freeze`. Parts that are not decided are null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mode {
    /// What the class or the operator asked for.
    pub asked: Option<&'static str>,
    /// What was done; null for a job that sent nothing which EC2 accepted.
    pub done: Option<&'static str>,
    /// Why.
    pub reason: Option<String>,
}

/// One disk of the instance, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// The device name.
    pub device: String,
    /// The volume; null for the instance store.
    pub volume_id: Option<String>,
    /// Its snapshot.
    pub snapshot_id: Option<String>,
    /// Its grade, or `not-captured`.
    pub grade: &'static str,
}

/// Why a job failed, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobError {
    /// EC2's code, or one of amikeep's in lower case.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub next_step: String,
}

/// One event of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// When.
    pub at: Time,
    /// Its word.
    pub event: String,
    /// What it says beyond its word.
    pub detail: String,
}

/// The answer of `history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct History {
    /// The jobs, newest first.
    pub jobs: Vec<Job>,
    /// Where the next page begins; null on the last one.
    pub next_cursor: Option<String>,
}

/// The answer of `show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Story {
    /// The job.
    pub job: Job,
    /// Its events, in their order.
    pub events: Vec<Event>,
    /// What its hold could not thaw; empty once it is thawed.
    pub may_be_frozen: Vec<LeftFrozen>,
}

/// What may still be frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftFrozen {
    /// What it is, and why.
    pub what: String,
    /// The command that thaws it.
    pub run: String,
}

impl From<&domain::freeze::LeftFrozen> for LeftFrozen {
    fn from(left: &domain::freeze::LeftFrozen) -> Self {
        Self { what: left.what.clone(), run: left.run.clone() }
    }
}

impl From<&domain::job::Job> for Job {
    fn from(job: &domain::job::Job) -> Self {
        let finished = finished(job);
        let (waiting_for, retry_at) = match &job.state {
            JobState::Queued { waiting_for, retry_at } => (waiting_for.clone(), *retry_at),
            _ => (None, None),
        };
        Self {
            id: job.id.to_string(),
            policy: job.key.policy.to_string(),
            account: job.key.account.to_string(),
            account_name: job.account_name.to_string(),
            region: job.key.region.to_string(),
            instance_id: job.key.instance.to_string(),
            scheduled_at: Time(job.key.scheduled_at),
            trigger: job.trigger.as_str(),
            class: job.class.to_string(),
            mode: mode(job),
            grade: finished.map(|it| it.grade.as_str()),
            evidence: finished.and_then(|it| it.evidence).map(Evidence::as_str),
            volumes: finished.map(|it| it.volumes.iter().map(Volume::from).collect()).unwrap_or_default(),
            state: job.state.name().as_str(),
            stalled: match &job.state {
                JobState::Taken(taken) => taken.stalled,
                JobState::Pending(pending) => pending.stalled,
                _ => false,
            },
            image_id: job.image().map(ToString::to_string),
            image_name: job.intent.as_ref().map(|intent| intent.name.to_string()),
            created_at: Time(job.created_at),
            started_at: job.started_at.map(Time),
            captured_at: finished.map(|it| Time(it.captured_at)),
            finished_at: job.finished_at().map(Time),
            attempts: job.attempts,
            error: error(job),
            hold_ms: job.hold.as_ref().and_then(|it| u64::try_from(it.stall?.as_millis()).ok()),
            hold: job.hold.as_ref().map(Hold::from),
            downtime_ms: None,
            skip_reason: skip_reason(job),
            waiting_for,
            retry_at: retry_at.map(Time),
            start_at: Time(job.window.start_at),
            start_by: Time(job.window.start_by),
        }
    }
}

fn finished(job: &domain::job::Job) -> Option<&Finished> {
    match &job.state {
        JobState::Finishing(image) | JobState::Succeeded { image, .. } => Some(image),
        _ => None,
    }
}

/// The last intent stays with a job whatever came of it. What it says was done only if EC2 may have accepted it.
fn mode(job: &domain::job::Job) -> Mode {
    let intent = job.intent.as_ref();
    let was_sent = job.image().is_some() || matches!(job.state, JobState::Capturing(_) | JobState::Taken(_));
    Mode {
        asked: intent.map(|it| it.asked).or(job.asked).map(Consistency::as_str),
        done: intent.filter(|_| was_sent).map(|it| it.mode.as_str()),
        reason: intent.map(|it| it.reason.clone()),
    }
}

fn error(job: &domain::job::Job) -> Option<JobError> {
    match &job.state {
        JobState::Failed { error, .. } => Some(error.into()),
        _ => None,
    }
}

fn skip_reason(job: &domain::job::Job) -> Option<&'static str> {
    match &job.state {
        JobState::Skipped { reason, .. } => Some(reason.as_str()),
        _ => None,
    }
}

impl From<&domain::decision::JobError> for JobError {
    fn from(error: &domain::decision::JobError) -> Self {
        Self { code: error.code.clone(), message: error.message.clone(), next_step: error.next_step.clone() }
    }
}

impl From<&domain::job::CapturedVolume> for Volume {
    fn from(volume: &domain::job::CapturedVolume) -> Self {
        let grade = volume.grade.filter(|_| volume.snapshot.is_some());
        Self {
            device: volume.device.clone(),
            volume_id: volume.volume.as_ref().map(ToString::to_string),
            snapshot_id: volume.snapshot.as_ref().map(ToString::to_string),
            grade: grade.map_or("not-captured", Grade::as_str),
        }
    }
}

impl From<&EventRow> for Event {
    fn from(row: &EventRow) -> Self {
        Self { at: Time(row.at), event: row.event.clone(), detail: row.detail.clone() }
    }
}

#[cfg(test)]
mod tests;
