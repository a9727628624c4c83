//! The JSON columns: the intent, the data of a state, volumes and errors.
//!
//! The domain has no serde, so each type has a mirror here, and reading goes through the domain's constructors. Times in
//! JSON are RFC 3339 at full precision. A released field is never renamed; a new one needs `#[serde(default)]`.

mod hold;
mod taken;

use std::path::{Path, PathBuf};

use amikeep_domain::class::Consistency;
use amikeep_domain::decision::{JobError, SkipReason};
use amikeep_domain::instance::AttachedVolume;
use amikeep_domain::job::{
    CapturedVolume, Capturing, Finished, IntendedHold, IntendedRegistration, Intent, JobState, OfflineProof, Pending,
    StateName, Taken,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::field::{Unreadable, word};
use crate::stored::taken::{StoredRegistration, StoredTaken};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredIntent {
    name: String,
    asked: String,
    mode: String,
    reason: String,
    expected: String,
    grade_min: Option<String>,
    volumes: Vec<StoredAttachment>,
    instance_store_disks: Option<u32>,
    launched_at: String,
    deadline_ms: i64,
    #[serde(default)]
    hold: Option<StoredIntendedHold>,
    #[serde(default)]
    registration: Option<StoredRegistration>,
    recorded_at: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredIntendedHold {
    freeze: String,
    mounts: Vec<String>,
    budget_ms: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredAttachment {
    device: String,
    volume: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredVolume {
    device: String,
    volume: Option<String>,
    snapshot: Option<String>,
    grade: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredError {
    code: String,
    message: String,
    next_step: String,
}

pub(crate) use crate::stored::hold::{decode_held, decode_hold_record, encode_held, encode_hold_record};

/// What a state has of its own. Which one it is stands in the column `state`, and `finished_at` in its own column.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredQueued {
    retry_at: Option<String>,
    waiting_for: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredCapturing {
    unknown_since: Option<String>,
    name_in_use: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPending {
    image: String,
    accepted_at: String,
    stalled: bool,
    offline: String,
}

/// Both are `pending` by name, and each has fields that the other has not.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredUnderWay {
    Pending(StoredPending),
    Taken(StoredTaken),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredFinished {
    image: String,
    captured_at: String,
    grade: String,
    evidence: Option<String>,
    volumes: Vec<StoredVolume>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredFailed {
    error: StoredError,
    image: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSkipped {
    reason: String,
}

/// The text of a JSON column.
pub(crate) fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("texts, numbers and lists of them always have a JSON form")
}

pub(crate) fn text(at: &Timestamp) -> String {
    at.to_string()
}

pub(crate) fn time(text: &str) -> Result<Timestamp, Unreadable> {
    Ok(text.parse()?)
}

fn consistency(text: &str) -> Result<Consistency, Unreadable> {
    word(text, &Consistency::ALL, Consistency::as_str)
}

fn to_ms(duration: SignedDuration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Paths come from a text file, so each is text.
fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn restore_intended_hold(stored: StoredIntendedHold) -> Result<IntendedHold, Unreadable> {
    Ok(IntendedHold {
        freeze: stored.freeze.parse()?,
        mounts: stored.mounts.into_iter().map(PathBuf::from).collect(),
        budget: SignedDuration::from_millis(stored.budget_ms),
    })
}

pub(crate) fn encode_intent(intent: &Intent) -> String {
    to_json(&StoredIntent {
        name: intent.name.to_string(),
        asked: intent.asked.to_string(),
        mode: intent.mode.to_string(),
        reason: intent.reason.clone(),
        expected: intent.expected.to_string(),
        grade_min: intent.grade_min.map(|it| it.to_string()),
        volumes: intent
            .volumes
            .iter()
            .map(|it| StoredAttachment { device: it.device.clone(), volume: it.volume.to_string() })
            .collect(),
        instance_store_disks: intent.instance_store_disks,
        launched_at: text(&intent.launched_at),
        deadline_ms: to_ms(intent.deadline),
        hold: intent.hold.as_ref().map(|hold| StoredIntendedHold {
            freeze: hold.freeze.to_string(),
            mounts: hold.mounts.iter().map(|path| path_text(path)).collect(),
            budget_ms: to_ms(hold.budget),
        }),
        registration: intent.registration.as_deref().map(StoredRegistration::from),
        recorded_at: text(&intent.recorded_at),
    })
}

pub(crate) fn decode_intent(json: &str) -> Result<Intent, Unreadable> {
    let stored: StoredIntent = serde_json::from_str(json)?;
    let attachment = |it: StoredAttachment| -> Result<AttachedVolume, Unreadable> {
        Ok(AttachedVolume { device: it.device, volume: it.volume.parse()? })
    };
    Ok(Intent {
        name: stored.name.parse()?,
        asked: consistency(&stored.asked)?,
        mode: consistency(&stored.mode)?,
        reason: stored.reason,
        expected: stored.expected.parse()?,
        grade_min: stored.grade_min.map(|it| it.parse()).transpose()?,
        volumes: stored.volumes.into_iter().map(attachment).collect::<Result<_, _>>()?,
        instance_store_disks: stored.instance_store_disks,
        launched_at: time(&stored.launched_at)?,
        deadline: SignedDuration::from_millis(stored.deadline_ms),
        hold: stored.hold.map(restore_intended_hold).transpose()?,
        registration: stored.registration.map(IntendedRegistration::try_from).transpose()?.map(Box::new),
        recorded_at: time(&stored.recorded_at)?,
    })
}

fn store_volume(volume: &CapturedVolume) -> StoredVolume {
    StoredVolume {
        device: volume.device.clone(),
        volume: volume.volume.as_ref().map(ToString::to_string),
        snapshot: volume.snapshot.as_ref().map(ToString::to_string),
        grade: volume.grade.map(|it| it.to_string()),
    }
}

fn restore_volume(stored: StoredVolume) -> Result<CapturedVolume, Unreadable> {
    Ok(CapturedVolume {
        device: stored.device,
        volume: stored.volume.map(|it| it.parse()).transpose()?,
        snapshot: stored.snapshot.map(|it| it.parse()).transpose()?,
        grade: stored.grade.map(|it| it.parse()).transpose()?,
    })
}

pub(crate) fn encode_volumes(volumes: &[CapturedVolume]) -> String {
    to_json(&volumes.iter().map(store_volume).collect::<Vec<_>>())
}

pub(crate) fn decode_volumes(json: &str) -> Result<Vec<CapturedVolume>, Unreadable> {
    let stored: Vec<StoredVolume> = serde_json::from_str(json)?;
    stored.into_iter().map(restore_volume).collect()
}

pub(crate) fn store_error(error: &JobError) -> StoredError {
    StoredError { code: error.code.clone(), message: error.message.clone(), next_step: error.next_step.clone() }
}

pub(crate) fn encode_error(error: &JobError) -> String {
    to_json(&store_error(error))
}

pub(crate) fn restore_error(stored: StoredError) -> JobError {
    JobError::new(stored.code, stored.message, stored.next_step)
}

pub(crate) fn decode_error(json: &str) -> Result<JobError, Unreadable> {
    Ok(restore_error(serde_json::from_str(json)?))
}

fn store_finished(finished: &Finished) -> StoredFinished {
    StoredFinished {
        image: finished.image.to_string(),
        captured_at: text(&finished.captured_at),
        grade: finished.grade.to_string(),
        evidence: finished.evidence.map(|it| it.as_str().to_owned()),
        volumes: finished.volumes.iter().map(store_volume).collect(),
    }
}

fn decode_finished(json: &str) -> Result<Finished, Unreadable> {
    let stored: StoredFinished = serde_json::from_str(json)?;
    Ok(Finished {
        image: stored.image.parse()?,
        captured_at: time(&stored.captured_at)?,
        grade: stored.grade.parse()?,
        evidence: stored.evidence.map(|it| it.parse()).transpose()?,
        volumes: stored.volumes.into_iter().map(restore_volume).collect::<Result<_, _>>()?,
    })
}

/// The column `data`.
pub(crate) fn encode_state(state: &JobState) -> String {
    match state {
        JobState::Queued { retry_at, waiting_for } => {
            to_json(&StoredQueued { retry_at: retry_at.as_ref().map(text), waiting_for: waiting_for.clone() })
        }
        JobState::Preparing | JobState::Holding => to_json(&Empty {}),
        JobState::Capturing(it) => to_json(&StoredCapturing {
            unknown_since: it.unknown_since.as_ref().map(text),
            name_in_use: it.name_in_use,
        }),
        JobState::Taken(taken) => to_json(&StoredTaken::from(taken)),
        JobState::Pending(it) => to_json(&StoredPending {
            image: it.image.to_string(),
            accepted_at: text(&it.accepted_at),
            stalled: it.stalled,
            offline: it.offline.as_str().to_owned(),
        }),
        JobState::Finishing(finished) | JobState::Succeeded { image: finished, .. } => {
            to_json(&store_finished(finished))
        }
        JobState::Failed { error, image, .. } => {
            to_json(&StoredFailed { error: store_error(error), image: image.as_ref().map(ToString::to_string) })
        }
        JobState::Skipped { reason, .. } => to_json(&StoredSkipped { reason: reason.as_str().to_owned() }),
    }
}

/// The state from its name, its data, and the time at which it ended.
pub(crate) fn decode_state(
    name: StateName,
    data: &str,
    finished_at: Option<Timestamp>,
) -> Result<JobState, Unreadable> {
    let ended = || finished_at.ok_or(Unreadable);
    Ok(match name {
        StateName::Queued => {
            let stored: StoredQueued = serde_json::from_str(data)?;
            let retry_at = stored.retry_at.as_deref().map(time).transpose()?;
            JobState::Queued { retry_at, waiting_for: stored.waiting_for }
        }
        StateName::Preparing => serde_json::from_str(data).map(|Empty {}| JobState::Preparing)?,
        StateName::Holding => serde_json::from_str(data).map(|Empty {}| JobState::Holding)?,
        StateName::Capturing => {
            let stored: StoredCapturing = serde_json::from_str(data)?;
            let unknown_since = stored.unknown_since.as_deref().map(time).transpose()?;
            JobState::Capturing(Capturing { unknown_since, name_in_use: stored.name_in_use })
        }
        StateName::Pending => match serde_json::from_str(data)? {
            StoredUnderWay::Pending(stored) => JobState::Pending(restore_pending(&stored)?),
            StoredUnderWay::Taken(stored) => JobState::Taken(Taken::try_from(stored)?),
        },
        StateName::Finishing => JobState::Finishing(decode_finished(data)?),
        StateName::Succeeded => JobState::Succeeded { image: decode_finished(data)?, finished_at: ended()? },
        StateName::Failed => {
            let StoredFailed { error, image } = serde_json::from_str(data)?;
            let image = image.map(|it| it.parse()).transpose()?;
            JobState::Failed { error: restore_error(error), image, finished_at: ended()? }
        }
        StateName::Skipped => {
            let stored: StoredSkipped = serde_json::from_str(data)?;
            let reason = word(&stored.reason, &SkipReason::ALL, SkipReason::as_str)?;
            JobState::Skipped { reason, finished_at: ended()? }
        }
    })
}

fn restore_pending(stored: &StoredPending) -> Result<Pending, Unreadable> {
    Ok(Pending {
        image: stored.image.parse()?,
        accepted_at: time(&stored.accepted_at)?,
        stalled: stored.stalled,
        offline: word(&stored.offline, &OfflineProof::ALL, OfflineProof::as_str)?,
    })
}
