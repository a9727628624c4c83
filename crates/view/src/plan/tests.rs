//! The fires to come: which, in which order, and as which JSON.

use std::collections::{BTreeMap, BTreeSet};

use amikeep_domain::class::built_in;
use amikeep_domain::pause::PauseScope;
use amikeep_domain::policy::{Policy, Selector};
use amikeep_domain::schedule::Schedule;
use expect_test::expect;

use super::*;

fn policy(name: &str, schedule: &str, zone: &str) -> Policy {
    Policy {
        name: name.parse().unwrap(),
        accounts: vec!["default".parse().unwrap()],
        class: "stateless".parse().unwrap(),
        schedule: Schedule::parse(schedule, zone).unwrap(),
        jitter: SignedDuration::from_mins(10),
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

fn set(policies: Vec<Policy>) -> PolicySet {
    PolicySet {
        owner: "test".parse().unwrap(),
        policies: policies.into_iter().map(|policy| (policy.name.clone(), policy)).collect(),
        classes: built_in(),
        freezes: BTreeMap::new(),
        accounts: BTreeMap::new(),
        prune_schedule: Schedule::parse("30 * * * *", "UTC").unwrap(),
        history_keep: SignedDuration::from_hours(400 * 24),
    }
}

fn fires(set: &PolicySet, from: &str, to: &str) -> Vec<PlannedFire> {
    planned_fires(set, &[], (from.parse().unwrap(), to.parse().unwrap()), 1_000).unwrap()
}

#[test]
fn the_json_of_a_fire_to_come_has_every_field_of_the_contract() {
    let set = set(vec![policy("db", "0 2 * * *", "Europe/Berlin")]);
    let fires = fires(&set, "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z");
    expect![[r#"
        [
          {
            "policy": "db",
            "scheduled_at": "2026-11-22T01:00:00Z",
            "local_time": "2026-11-22T02:00:00+01:00",
            "timezone": "Europe/Berlin",
            "jitter_max": "10m",
            "accounts": [
              "default"
            ],
            "class": "stateless",
            "paused": null
          }
        ]"#]]
    .assert_eq(&serde_json::to_string_pretty(&fires).unwrap());
    assert_eq!(table(&fires).rows[0][1].text, "2026-11-22 02:00 +01:00");
}

#[test]
fn from_is_included_and_to_is_not() {
    let set = set(vec![policy("hourly", "0 * * * *", "UTC")]);
    let at = |fire: &PlannedFire| fire.scheduled_at.to_string();
    let seen: Vec<_> = fires(&set, "2026-11-22T01:00:00Z", "2026-11-22T03:00:00Z").iter().map(at).collect();
    assert_eq!(seen, ["2026-11-22T01:00:00Z", "2026-11-22T02:00:00Z"]);
}

#[test]
fn fires_of_all_policies_are_in_the_order_of_time_and_disabled_ones_are_left_out() {
    let off = Policy { enabled: Enabled::No, ..policy("off", "0 * * * *", "UTC") };
    let set = set(vec![policy("a", "0 3 * * *", "UTC"), policy("b", "0 2 * * *", "UTC"), off]);
    let seen: Vec<_> =
        fires(&set, "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z").into_iter().map(|it| it.policy).collect();
    assert_eq!(seen, ["b", "a"]);
    assert_eq!(disabled_policies(&set), ["off"]);
}

#[test]
fn more_fires_than_anybody_reads_are_refused_and_not_cut_off() {
    let set = set(vec![policy("often", "* * * * *", "UTC")]);
    let from: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
    let hour_later = from + SignedDuration::from_hours(1);
    assert_eq!(planned_fires(&set, &[], (from, hour_later), 59), None);
    assert_eq!(planned_fires(&set, &[], (from, hour_later), 60).map(|fires| fires.len()), Some(60));
}

#[test]
fn a_fire_that_falls_into_a_pause_says_until_when_and_why() {
    let set = set(vec![policy("a", "0 * * * *", "UTC"), policy("b", "0 2 * * *", "UTC")]);
    let pause = |scope, until: &str| DomainPause {
        id: "0193509f-6e00-7c3a-9b1e-5d2f8a4c6e10".parse().unwrap(),
        scope,
        since: "2026-11-21T20:00:00Z".parse().unwrap(),
        until: Some(until.parse().unwrap()),
        reason: Some("disk replacement".to_owned()),
        ended_at: None,
    };
    let pauses = [
        pause(PauseScope::Policy("a".parse().unwrap()), "2026-11-22T02:00:00Z"),
        pause(PauseScope::Instance("i-0123456789abcdef0".parse().unwrap()), "2026-11-23T00:00:00Z"),
    ];
    let span = ("2026-11-22T01:00:00Z".parse().unwrap(), "2026-11-22T03:00:00Z".parse().unwrap());
    let fires = planned_fires(&set, &pauses, span, 1_000).unwrap();
    let seen: Vec<_> = fires.iter().map(|it| (it.policy.as_str(), it.paused.is_some())).collect();
    assert_eq!(seen, [("a", true), ("a", false), ("b", false)]);
    let paused = fires[0].paused.as_ref().unwrap();
    assert_eq!((paused.scope, paused.reason.as_deref()), ("policy", Some("disk replacement")));
    assert_eq!(paused.until.map(|at| at.to_string()).as_deref(), Some("2026-11-22T02:00:00Z"));
    let told: Vec<_> = table(&fires).rows.iter().map(|row| row[7].text.clone()).collect();
    assert_eq!(told, ["skipped until 2026-11-22 02:00: disk replacement", "", ""]);
}
