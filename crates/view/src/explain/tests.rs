//! An explanation says what the daemon would do, and what keeps a policy from matching.

use std::collections::BTreeSet;

use amikeep_domain::class::{RebootWindow, built_in};
use amikeep_domain::instance::{CLASS_TAG, Hibernation, InstanceState, RootDevice};
use amikeep_domain::pattern::Pattern;
use amikeep_domain::pause::PauseScope;
use amikeep_domain::policy::{AccountRules, Enabled, Policy, Selector, TagMatch};
use amikeep_domain::schedule::Schedule;
use expect_test::expect;
use jiff::SignedDuration;
use jiff::civil::{Time as CivilTime, Weekday};

use super::*;

fn policy(name: &str, class: &str, role: &str) -> Policy {
    let tag = |key: &str, value: &str| TagMatch { key: key.to_owned(), values: vec![Pattern::new(value)] };
    Policy {
        name: name.parse().unwrap(),
        accounts: vec!["default".parse().unwrap()],
        class: class.parse().unwrap(),
        schedule: Schedule::parse("0 2 * * *", "UTC").unwrap(),
        jitter: SignedDuration::ZERO,
        start_within: SignedDuration::from_hours(6),
        enabled: Enabled::Yes,
        select: Selector {
            instances: BTreeSet::new(),
            tags: vec![tag("Env", "prod"), tag("Role", role)],
            exclude_tags: vec![tag("Backup", "no")],
        },
        class_tag_allows: BTreeSet::from(["stateless".parse().unwrap()]),
        copy_tags: Vec::new(),
        keep: "daily=7".parse().unwrap(),
        tags: BTreeMap::new(),
        deadline: SignedDuration::from_hours(24),
        max_deletes: None,
    }
}

fn set(policies: Vec<Policy>) -> PolicySet {
    let rules = AccountRules {
        region: "eu-central-1".parse().unwrap(),
        expected_id: None,
        visibility_lag: SignedDuration::from_mins(5),
    };
    PolicySet {
        owner: "test".parse().unwrap(),
        policies: policies.into_iter().map(|policy| (policy.name.clone(), policy)).collect(),
        classes: built_in(),
        freezes: BTreeMap::new(),
        accounts: [("default".parse().unwrap(), rules)].into(),
        prune_schedule: Schedule::parse("30 * * * *", "UTC").unwrap(),
        history_keep: SignedDuration::from_hours(400 * 24),
    }
}

fn found(tags: &[(&str, &str)]) -> Found {
    Found {
        account_names: vec!["default".parse().unwrap()],
        account: "111122223333".parse().unwrap(),
        instance: instance::Instance {
            id: "i-0123456789abcdef0".parse().unwrap(),
            state: InstanceState::Running,
            launched_at: "2026-11-01T00:00:00Z".parse().unwrap(),
            root_device: RootDevice::Ebs,
            root_device_name: Some("/dev/xvda".to_owned()),
            volumes: vec![instance::AttachedVolume {
                device: "/dev/xvda".to_owned(),
                volume: "vol-0123456789abcdef0".parse().unwrap(),
            }],
            instance_store_disks: Some(0),
            hibernation: Hibernation::No,
            tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        },
    }
}

fn explained(set: &PolicySet, found: &Found) -> Explanation {
    let now = "2026-11-22T12:00:00Z".parse().unwrap();
    explain(&Inputs { policy_set: set, found, last_success: &BTreeMap::new(), pauses: &[], now })
}

const DATABASE: [(&str, &str); 2] = [("Env", "prod"), ("Role", "mysql")];

#[test]
fn a_matching_policy_tells_class_mode_grade_and_the_next_fires() {
    let set = set(vec![policy("db", "production-database", "mysql")]);
    let mut explanation = explained(&set, &found(&DATABASE));
    explanation.policies[0].next_fires.truncate(1);
    expect![[r#"
        [
          {
            "policy": "db",
            "account_name": "default",
            "enabled": true,
            "class": "production-database",
            "class_from": "policy",
            "class_why": "half-written transactions, binlogs and append-only files cannot be trusted otherwise",
            "paused": null,
            "decision": "capture",
            "mode": {
              "asked": "reboot",
              "done": "reboot",
              "reason": "class production-database"
            },
            "expected_grade": "clean",
            "reason": "class production-database",
            "wait_until": null,
            "error": null,
            "keep": "daily=7",
            "next_fires": [
              {
                "scheduled_at": "2026-11-23T02:00:00Z",
                "start_at": "2026-11-23T02:00:00Z",
                "start_by": "2026-11-23T08:00:00Z",
                "paused": null,
                "decision": "capture",
                "mode": {
                  "asked": "reboot",
                  "done": "reboot",
                  "reason": "class production-database"
                },
                "expected_grade": "clean",
                "reason": "class production-database",
                "wait_until": null,
                "error": null
              }
            ],
            "last_success": null
          }
        ]"#]]
    .assert_eq(&serde_json::to_string_pretty(&explanation.policies).unwrap());
}

#[test]
fn the_instance_is_described_as_ec2_describes_it() {
    let explanation = explained(&set(Vec::new()), &found(&DATABASE));
    expect![[r#"
        {
          "instance": {
            "instance_id": "i-0123456789abcdef0",
            "name": null,
            "account": "111122223333",
            "account_name": "default",
            "region": "eu-central-1",
            "state": "running",
            "volumes": [
              {
                "device": "/dev/xvda",
                "volume_id": "vol-0123456789abcdef0"
              }
            ],
            "instance_store_disks": 0,
            "auto_scaling_group": null,
            "tags": {
              "Env": "prod",
              "Role": "mysql"
            }
          },
          "policies": [],
          "near_misses": [],
          "capture_by_snapshots": null
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&explanation).unwrap());
}

#[test]
fn a_class_of_the_instances_own_says_so() {
    let tags = [DATABASE[0], DATABASE[1], (CLASS_TAG, "stateless")];
    let set = set(vec![policy("db", "production-database", "mysql")]);
    let answer = &explained(&set, &found(&tags)).policies[0];
    assert_eq!((answer.class.as_deref(), answer.class_from), (Some("stateless"), "tag"));
    assert_eq!(answer.outcome.expected_grade, Some("crash"));
}

#[test]
fn a_class_that_is_refused_fails_as_the_daemon_would() {
    let tags = [DATABASE[0], DATABASE[1], (CLASS_TAG, "temporary")];
    let set = set(vec![policy("db", "production-database", "mysql")]);
    let answer = &explained(&set, &found(&tags)).policies[0];
    assert_eq!((&answer.class, answer.outcome.decision), (&None, "fail"));
    assert_eq!(answer.outcome.error.as_ref().unwrap().code, "class_tag_not_allowed");
}

#[test]
fn each_fire_is_judged_at_its_own_time() {
    let mut set = set(vec![policy("db", "stateful", "mysql")]);
    let hour = |hour| CivilTime::constant(hour, 0, 0, 0);
    let window = RebootWindow { days: vec![Weekday::Tuesday], from: hour(1), to: hour(5) };
    set.classes.get_mut(&"stateful".parse().unwrap()).unwrap().reboot_window = Some(window);
    let answer = &explained(&set, &found(&DATABASE)).policies[0];
    let fires: Vec<_> = answer.next_fires.iter().map(|it| (it.scheduled_at.to_string(), it.outcome.decision)).collect();
    // 2026-11-24 is a Tuesday.
    let want =
        [("2026-11-23T02:00:00Z", "fail"), ("2026-11-24T02:00:00Z", "capture"), ("2026-11-25T02:00:00Z", "fail")];
    assert_eq!(fires, want.map(|(at, decision)| (at.to_owned(), decision)));
}

#[test]
fn a_policy_that_is_switched_off_has_no_fires_and_still_an_answer() {
    let off = Policy { enabled: Enabled::No, ..policy("db", "stateless", "mysql") };
    let answer = &explained(&set(vec![off]), &found(&DATABASE)).policies[0];
    assert_eq!((answer.enabled, answer.next_fires.len(), answer.outcome.decision), (false, 0, "capture"));
}

#[test]
fn the_nearest_policies_say_what_is_missing() {
    let elsewhere = Policy { accounts: vec!["other".parse().unwrap()], ..policy("far", "stateless", "mysql") };
    let set = set(vec![policy("db", "stateful", "mysql"), policy("web", "stateless", "nginx"), elsewhere]);
    let missing = |tags: &[(&str, &str)]| {
        let misses = explained(&set, &found(tags)).near_misses;
        let lines = misses.iter().map(|it| format!("{}: {}", it.policy, it.missing.join("; ")));
        lines.collect::<Vec<_>>().join("\n")
    };
    expect!["db: the tag Role is missing, and `mysql` is wanted; there is one called `role`, and case counts"]
        .assert_eq(&missing(&[("Env", "prod"), ("role", "mysql")]));
    expect!["db: the tag Env is `staging`, and `prod` is wanted"]
        .assert_eq(&missing(&[("Env", "staging"), ("Role", "mysql")]));
    expect!["db: the tag Backup is `no`, which exclude_tags names"].assert_eq(&missing(&[
        ("Env", "prod"),
        ("Role", "mysql"),
        ("Backup", "no"),
    ]));
}

#[test]
fn a_person_is_told_the_same() {
    let set = set(vec![policy("db", "critical", "mysql")]);
    let explanation = explained(&set, &found(&DATABASE));
    let facts = instance_facts(&explanation.instance).into_iter().chain(answer_facts(&explanation.policies[0]));
    let lines: Vec<_> = facts.map(|fact| format!("{}: {}", fact.label, fact.value.text)).collect();
    expect![[r#"
        name: -
        account: default (111122223333, eu-central-1)
        state: running
        volumes: /dev/xvda vol-0123456789abcdef0
        class: critical, by the policy
        mode: freeze
        expected grade: -
        decision: fail
        because: class critical does not say how an instance is held still
        next step: add `freeze = "NAME"` to [classes.critical] and a table [freezes.NAME]
        keeps: daily=7
        last success: none in the ledger"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn a_pause_is_told_beside_what_would_be_done_without_it() {
    let set = set(vec![policy("db", "production-database", "mysql")]);
    let found = found(&DATABASE);
    let pause = DomainPause {
        id: "0193509f-6e00-7c3a-9b1e-5d2f8a4c6e10".parse().unwrap(),
        scope: PauseScope::Instance(found.instance.id.clone()),
        since: "2026-11-22T10:00:00Z".parse().unwrap(),
        until: Some("2026-11-23T12:00:00Z".parse().unwrap()),
        reason: None,
        ended_at: None,
    };
    let (now, last_success) = ("2026-11-22T12:00:00Z".parse().unwrap(), BTreeMap::new());
    let inputs = Inputs {
        policy_set: &set,
        found: &found,
        last_success: &last_success,
        pauses: std::slice::from_ref(&pause),
        now,
    };
    let answer = explain(&inputs).policies.remove(0);
    assert_eq!((answer.outcome.decision, answer.outcome.mode.done), ("capture", Some("reboot")));
    assert_eq!(answer.paused.as_ref().map(|it| it.scope), Some("instance"));
    let fires: Vec<_> = answer.next_fires.iter().map(|it| (it.outcome.decision, it.paused.is_some())).collect();
    assert_eq!(fires, [("skip", true), ("capture", false), ("capture", false)]);
    assert_eq!(answer.next_fires[0].outcome.reason, pause.to_string());
    let facts = answer_facts(&answer).into_iter();
    let told: Vec<_> = facts.filter(|it| it.label == "paused").map(|it| it.value.text).collect();
    assert_eq!(told, ["skipped until 2026-11-23 12:00"]);
}
