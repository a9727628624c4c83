//! What a hold was, and what one that is under way may leave behind.

use std::path::PathBuf;

use amikeep_domain::freeze::{Connection, GuardStamp, Held, HeldMount, HoldRecord, LeftFrozen, Proof, RecordedMount};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::field::Unreadable;
use crate::stored::{path_text, text, time, to_json, to_ms};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredHeld {
    freeze: String,
    grade: String,
    /// Why it proves nothing; absent where it is proved.
    doubt: Option<String>,
    mounts: Vec<StoredHeldMount>,
    volumes: Vec<String>,
    held_from: Option<String>,
    held_until: Option<String>,
    stall_ms: Option<i64>,
    locked_ms: Option<i64>,
    position: Vec<(String, String)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredHeldMount {
    path: String,
    fs_type: String,
    options: String,
    stall_ms: Option<i64>,
    end: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredHoldRecord {
    freeze: String,
    boot_id: String,
    guard: Option<StoredGuard>,
    mounts: Vec<StoredMount>,
    thaw: Option<Vec<String>>,
    post: Vec<Vec<String>>,
    #[serde(default)]
    stopped_replica: Option<StoredConnection>,
    command_limit_ms: i64,
    facts: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left: Vec<StoredLeftFrozen>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredLeftFrozen {
    what: String,
    run: String,
}

/// Where an address is found; never the address.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
enum StoredConnection {
    Credential(String),
    File(String),
    Env(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredGuard {
    pid: u32,
    started: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredMount {
    path: String,
    major: u32,
    minor: u32,
}

/// The column `hold` of a job.
pub(crate) fn encode_held(held: &Held) -> String {
    let mount = |mount: &HeldMount| StoredHeldMount {
        path: path_text(&mount.path),
        fs_type: mount.fs_type.clone(),
        options: mount.options.clone(),
        stall_ms: mount.stall.map(to_ms),
        end: mount.end.clone(),
    };
    to_json(&StoredHeld {
        freeze: held.freeze.to_string(),
        grade: held.grade.to_string(),
        doubt: held.doubt().map(str::to_owned),
        mounts: held.mounts.iter().map(mount).collect(),
        volumes: held.volumes.iter().map(ToString::to_string).collect(),
        held_from: held.held_from.as_ref().map(text),
        held_until: held.held_until.as_ref().map(text),
        stall_ms: held.stall.map(to_ms),
        locked_ms: held.locked.map(to_ms),
        position: held.position.clone(),
    })
}

pub(crate) fn decode_held(json: &str) -> Result<Held, Unreadable> {
    let stored: StoredHeld = serde_json::from_str(json)?;
    let mount = |mount: StoredHeldMount| HeldMount {
        path: PathBuf::from(mount.path),
        fs_type: mount.fs_type,
        options: mount.options,
        stall: mount.stall_ms.map(SignedDuration::from_millis),
        end: mount.end,
    };
    Ok(Held {
        freeze: stored.freeze.parse()?,
        grade: stored.grade.parse()?,
        proof: stored.doubt.map_or(Proof::Proved, |why| Proof::Unproved { why }),
        mounts: stored.mounts.into_iter().map(mount).collect(),
        volumes: stored.volumes.into_iter().map(|it| it.parse()).collect::<Result<_, _>>()?,
        held_from: stored.held_from.as_deref().map(time).transpose()?,
        held_until: stored.held_until.as_deref().map(time).transpose()?,
        stall: stored.stall_ms.map(SignedDuration::from_millis),
        locked: stored.locked_ms.map(SignedDuration::from_millis),
        position: stored.position,
    })
}

/// The column `data` of a hold that is under way.
pub(crate) fn encode_hold_record(record: &HoldRecord) -> String {
    let mount = |it: &RecordedMount| StoredMount { path: path_text(&it.path), major: it.major, minor: it.minor };
    to_json(&StoredHoldRecord {
        freeze: record.freeze.to_string(),
        boot_id: record.boot_id.clone(),
        guard: record.guard.map(|it| StoredGuard { pid: it.pid, started: it.started }),
        mounts: record.mounts.iter().map(mount).collect(),
        thaw: record.thaw.clone(),
        post: record.post.clone(),
        stopped_replica: record.stopped_replica.as_ref().map(|connection| match connection {
            Connection::Credential(name) => StoredConnection::Credential(name.clone()),
            Connection::File(path) => StoredConnection::File(path_text(path)),
            Connection::Env(name) => StoredConnection::Env(name.clone()),
        }),
        command_limit_ms: to_ms(record.command_limit),
        facts: record.facts.clone(),
        left: record.left.iter().map(|it| StoredLeftFrozen { what: it.what.clone(), run: it.run.clone() }).collect(),
    })
}

pub(crate) fn decode_hold_record(json: &str) -> Result<HoldRecord, Unreadable> {
    let stored: StoredHoldRecord = serde_json::from_str(json)?;
    let mount = |it: StoredMount| RecordedMount { path: PathBuf::from(it.path), major: it.major, minor: it.minor };
    Ok(HoldRecord {
        freeze: stored.freeze.parse()?,
        boot_id: stored.boot_id,
        guard: stored.guard.map(|it| GuardStamp { pid: it.pid, started: it.started }),
        mounts: stored.mounts.into_iter().map(mount).collect(),
        thaw: stored.thaw,
        post: stored.post,
        stopped_replica: stored.stopped_replica.map(|connection| match connection {
            StoredConnection::Credential(name) => Connection::Credential(name),
            StoredConnection::File(path) => Connection::File(PathBuf::from(path)),
            StoredConnection::Env(name) => Connection::Env(name),
        }),
        command_limit: SignedDuration::from_millis(stored.command_limit_ms),
        facts: stored.facts,
        left: stored.left.into_iter().map(|it| LeftFrozen { what: it.what, run: it.run }).collect(),
    })
}
