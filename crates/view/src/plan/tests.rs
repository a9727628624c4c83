//! The fires to come: which, in which order, and as which JSON.

use std::collections::{BTreeMap, BTreeSet};

use amikeep_domain::class::built_in;
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
        accounts: BTreeMap::new(),
        prune_schedule: Schedule::parse("30 * * * *", "UTC").unwrap(),
        history_keep: SignedDuration::from_hours(400 * 24),
    }
}

fn fires(set: &PolicySet, from: &str, to: &str) -> Vec<PlannedFire> {
    planned_fires(set, from.parse().unwrap(), to.parse().unwrap(), 1_000).unwrap()
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
            "class": "stateless"
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
    assert_eq!(planned_fires(&set, from, hour_later, 59), None);
    assert_eq!(planned_fires(&set, from, hour_later, 60).map(|fires| fires.len()), Some(60));
}
