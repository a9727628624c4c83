//! The words of the contract: files, tags, rows of the ledger and scripts of users have them, so that none may change.

use crate::class::{Consistency, IfBlocked};
use crate::decision::SkipReason;
use crate::fire::FireOutcome;
use crate::freeze::{Application, CaptureBy, HoldOutcome, LeftFrozen, MysqlLock, Via};
use crate::grade::{Evidence, Grade};
use crate::instance::InstanceState;
use crate::job::{OfflineProof, StateName, Trigger};
use crate::prune::DeletionStateName;

#[test]
fn configurations_have_these_words() {
    assert_eq!(Consistency::ALL.map(Consistency::as_str), ["reboot", "no-reboot", "freeze"]);
    assert_eq!(IfBlocked::ALL.map(IfBlocked::as_str), ["fail", "no-reboot", "wait"]);
    assert_eq!(Via::ALL.map(Via::as_str), ["local", "ssm", "command"]);
    assert_eq!(Application::ALL.map(Application::as_str), ["none", "mysql", "postgresql", "redis"]);
    assert_eq!(MysqlLock::ALL.map(MysqlLock::as_str), ["every-engine", "read-lock", "innodb-only", "replication"]);
    assert_eq!(CaptureBy::ALL.map(CaptureBy::as_str), ["image", "snapshots"]);
}

#[test]
fn tags_and_documents_have_these_words() {
    assert_eq!(Grade::ALL.map(Grade::as_str), ["crash", "filesystem", "application", "clean", "offline"]);
    for (evidence, word) in [(Evidence::Requested, "requested"), (Evidence::Observed, "observed")] {
        assert_eq!((evidence.as_str(), word.parse()), (word, Ok(evidence)));
    }
    assert_eq!(Trigger::ALL.map(Trigger::as_str), ["schedule", "catch-up", "manual"]);
    let states =
        ["queued", "preparing", "holding", "capturing", "pending", "finishing", "succeeded", "failed", "skipped"];
    assert_eq!(StateName::ALL.map(StateName::as_str), states);
    assert_eq!(FireOutcome::ALL.map(FireOutcome::as_str), ["ran", "no-match", "missed", "skipped"]);
    let reasons = ["terminated", "vanished", "overlapped", "paused", "cancelled"];
    assert_eq!(SkipReason::ALL.map(SkipReason::as_str), reasons);
    let deletions = ["planned", "snapshots-left", "done", "refused", "withdrawn"];
    assert_eq!(DeletionStateName::ALL.map(DeletionStateName::as_str), deletions);
}

#[test]
fn the_ledger_and_ec2_have_these_words() {
    let proofs = ["not-applicable", "awaited", "proved", "refuted"];
    assert_eq!(OfflineProof::ALL.map(OfflineProof::as_str), proofs);
    let states = ["pending", "running", "stopping", "stopped", "shutting-down", "terminated"];
    assert_eq!(InstanceState::ALL.map(InstanceState::as_str), states);
}

#[test]
fn figures_and_statuses_have_these_words() {
    assert_eq!(HoldOutcome::ALL.map(HoldOutcome::as_str), ["proved", "unproved", "not-held"]);
    let left = LeftFrozen { what: "`/data` may still be frozen".to_owned(), run: "fsfreeze -u /data".to_owned() };
    assert_eq!(left.to_string(), "`/data` may still be frozen: run `fsfreeze -u /data`");
}
