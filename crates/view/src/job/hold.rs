//! What the hold of a job was, for JSON and for people: how long what stood still, and where the application stood.

use std::collections::BTreeMap;
use std::time::Duration;

use amikeep_domain::freeze::{Held, HeldMount};
use jiff::SignedDuration;
use serde::Serialize;

use crate::table::{Cell, Fact, Tone};
use crate::text::Time;

/// A hold that is over. Times in milliseconds are null where they were not observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// The freeze.
    pub freeze: String,
    /// Why it proves nothing about the image; null where it is proved.
    pub doubt: Option<String>,
    /// From here on all stood still together.
    pub held_from: Option<Time>,
    /// Until here.
    pub held_until: Option<Time>,
    /// The longest for which writes can have stood still; the same as `hold_ms` of the job.
    pub stall_ms: Option<u64>,
    /// How long the application was locked, from asking for the lock.
    pub lock_ms: Option<u64>,
    /// Every mount that was frozen, in order.
    pub mounts: Vec<Mount>,
    /// The volumes that hold them.
    pub volumes: Vec<String>,
    /// Where the application stood, by its own names: a binary log's file and position, for example.
    pub position: BTreeMap<String, String>,
}

/// One mount of a hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// Where it is mounted.
    pub path: String,
    /// `xfs`, `ext4` and so on.
    pub fs_type: String,
    /// The options of the file system.
    pub options: String,
    /// From the start of its freeze to the end of its thaw.
    pub stall_ms: Option<u64>,
    /// How it ended, in words.
    pub end: String,
}

impl From<&Held> for Hold {
    fn from(held: &Held) -> Self {
        Self {
            freeze: held.freeze.to_string(),
            doubt: held.doubt().map(str::to_owned),
            held_from: held.held_from.map(Time),
            held_until: held.held_until.map(Time),
            stall_ms: held.stall.and_then(millis),
            lock_ms: held.locked.and_then(millis),
            mounts: held.mounts.iter().map(Mount::from).collect(),
            volumes: held.volumes.iter().map(ToString::to_string).collect(),
            position: held.position.iter().cloned().collect(),
        }
    }
}

impl From<&HeldMount> for Mount {
    fn from(mount: &HeldMount) -> Self {
        Self {
            path: mount.path.display().to_string(),
            fs_type: mount.fs_type.clone(),
            options: mount.options.clone(),
            stall_ms: mount.stall.and_then(millis),
            end: mount.end.clone(),
        }
    }
}

fn millis(length: SignedDuration) -> Option<u64> {
    Duration::try_from(length).ok().and_then(|it| u64::try_from(it.as_millis()).ok())
}

/// What there is to say of a hold.
pub(crate) fn facts(hold: &Hold) -> Vec<Fact> {
    let ms = |value: Option<u64>| value.map_or_else(|| "an unknown time".to_owned(), |value| format!("{value} ms"));
    let (proof, tone) = match &hold.doubt {
        None => ("proved".to_owned(), Tone::Good),
        Some(why) => (format!("not proved: {why}"), Tone::Warning),
    };
    let mut facts = vec![Fact::new("freeze", Cell::new(format!("{}, {proof}", hold.freeze), tone))];
    facts.push(Fact::new("writes stood still", Cell::plain(format!("for {}", ms(hold.stall_ms)))));
    if hold.lock_ms.is_some() {
        facts.push(Fact::new("locked", Cell::plain(format!("for {}", ms(hold.lock_ms)))));
    }
    facts.extend(hold.mounts.iter().map(|mount| {
        let still = mount.stall_ms.map(|it| format!(", frozen for {it} ms")).unwrap_or_default();
        let text = format!("{} ({}, {}){still}, {}", mount.path, mount.fs_type, mount.options, mount.end);
        Fact::new("mount", Cell::plain(text))
    }));
    let position: Vec<String> = hold.position.iter().map(|(name, value)| format!("{name} {value}")).collect();
    if !position.is_empty() {
        facts.push(Fact::new("stood at", Cell::plain(position.join(", "))));
    }
    facts
}

#[cfg(test)]
mod tests {
    use amikeep_domain::freeze::Proof;
    use amikeep_domain::grade::Grade;
    use expect_test::expect;

    use super::*;

    fn held(proof: Proof) -> Held {
        let ms = |ms| Some(SignedDuration::from_millis(ms));
        Held {
            freeze: "db".parse().unwrap(),
            grade: Grade::Application,
            proof,
            mounts: vec![HeldMount {
                path: "/data".into(),
                fs_type: "xfs".to_owned(),
                options: "rw,noatime".to_owned(),
                stall: ms(1_234),
                end: "thawed".to_owned(),
            }],
            volumes: vec!["vol-12345678".parse().unwrap()],
            held_from: Some("2026-11-22T01:00:02.5Z".parse().unwrap()),
            held_until: Some("2026-11-22T01:00:03.7Z".parse().unwrap()),
            stall: ms(1_234),
            locked: ms(1_300),
            position: vec![("binlog_file".to_owned(), "binlog.000042".to_owned())],
        }
    }

    #[test]
    fn a_hold_is_told_with_its_times_mounts_and_position() {
        let hold = Hold::from(&held(Proof::Proved));
        let told = serde_json::to_string_pretty(&hold).unwrap();
        expect![[r#"
            {
              "freeze": "db",
              "doubt": null,
              "held_from": "2026-11-22T01:00:02.5Z",
              "held_until": "2026-11-22T01:00:03.7Z",
              "stall_ms": 1234,
              "lock_ms": 1300,
              "mounts": [
                {
                  "path": "/data",
                  "fs_type": "xfs",
                  "options": "rw,noatime",
                  "stall_ms": 1234,
                  "end": "thawed"
                }
              ],
              "volumes": [
                "vol-12345678"
              ],
              "position": {
                "binlog_file": "binlog.000042"
              }
            }"#]]
        .assert_eq(&told);
    }

    #[test]
    fn people_are_told_the_stall_and_why_it_proves_nothing() {
        let unproved = Proof::Unproved { why: "the budget was used up".to_owned() };
        let hold = Hold::from(&Held { stall: None, locked: None, position: Vec::new(), ..held(unproved) });
        let lines: Vec<String> = facts(&hold).iter().map(|it| format!("{}: {}", it.label, it.value.text)).collect();
        expect![[r#"
            freeze: db, not proved: the budget was used up
            writes stood still: for an unknown time
            mount: /data (xfs, rw,noatime), frozen for 1234 ms, thawed"#]]
        .assert_eq(&lines.join("\n"));
    }
}
