//! A board and policies for the tests of this crate.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use amikeep_domain::class::built_in;
use amikeep_domain::policy::{AccountRules, Enabled, Policy, PolicySet, Selector};
use amikeep_domain::schedule::Schedule;
use jiff::{SignedDuration, Timestamp};

use crate::board::{About, Board, CallFigure, SkewFigure, Sources, WaitFigure};

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The present moment of every test.
pub(crate) fn now() -> Timestamp {
    at("2026-11-22T12:00:00Z")
}

fn policy(name: &str) -> Policy {
    Policy {
        name: name.parse().unwrap(),
        accounts: vec!["default".parse().unwrap()],
        class: "stateless".parse().unwrap(),
        schedule: Schedule::parse("0 2 * * *", "UTC").unwrap(),
        jitter: SignedDuration::ZERO,
        start_within: SignedDuration::from_hours(6),
        enabled: Enabled::Yes,
        select: Selector::default(),
        class_tag_allows: BTreeSet::new(),
        copy_tags: Vec::new(),
        keep: "last=3".parse().unwrap(),
        tags: BTreeMap::new(),
        deadline: SignedDuration::from_hours(24),
        max_deletes: None,
    }
}

pub(crate) fn policy_set(names: &[&str]) -> Arc<PolicySet> {
    let rules = AccountRules {
        region: "eu-central-1".parse().unwrap(),
        expected_id: None,
        visibility_lag: SignedDuration::from_mins(5),
    };
    Arc::new(PolicySet {
        owner: "test".parse().unwrap(),
        policies: names.iter().map(|name| policy(name)).map(|policy| (policy.name.clone(), policy)).collect(),
        classes: built_in(),
        freezes: BTreeMap::new(),
        accounts: [("default".parse().unwrap(), rules)].into(),
        prune_schedule: Schedule::parse("30 * * * *", "UTC").unwrap(),
        history_keep: SignedDuration::from_hours(400 * 24),
    })
}

#[derive(Debug)]
struct Others;

impl Sources for Others {
    fn now(&self) -> Timestamp {
        now()
    }

    fn calls(&self) -> Vec<CallFigure> {
        let (account_name, action) = ("default".parse().unwrap(), "CreateImage".to_owned());
        vec![CallFigure { account_name, action, outcome: "ok", count: 7 }]
    }

    fn waits(&self) -> Vec<WaitFigure> {
        let (account, region) = ("111122223333".parse().unwrap(), "eu-central-1".parse().unwrap());
        vec![WaitFigure { account, region, action: "CreateImage".to_owned(), waited: Duration::from_millis(1_500) }]
    }

    fn skews(&self) -> Vec<SkewFigure> {
        vec![SkewFigure { account_name: "default".parse().unwrap(), ahead: SignedDuration::from_secs(-2) }]
    }
}

pub(crate) fn board(names: &[&str]) -> Arc<Board> {
    let about = About { version: "0.1.0", owner: "test".parse().unwrap(), started_at: at("2026-11-01T00:00:00Z") };
    Arc::new(Board::new(about, policy_set(names), Box::new(Others)))
}
