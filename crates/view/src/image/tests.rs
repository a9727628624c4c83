//! The JSON of an image, and the verdicts that are known without asking EC2.

use std::collections::{BTreeMap, BTreeSet};

use amikeep_domain::class::built_in;
use amikeep_domain::grade::Grade;
use amikeep_domain::pause::{Pause, PauseScope};
use amikeep_domain::policy::{Enabled, Policy, PolicySet, Selector};
use amikeep_domain::schedule::Schedule;
use amikeep_ledger::{ImageRow, ImageRowState};
use expect_test::expect;
use jiff::{SignedDuration, Timestamp};

use super::*;

fn set(keep: &str) -> PolicySet {
    let policy = Policy {
        name: "db".parse().unwrap(),
        accounts: vec!["default".parse().unwrap()],
        class: "production-database".parse().unwrap(),
        schedule: Schedule::parse("0 1 * * *", "UTC").unwrap(),
        jitter: SignedDuration::ZERO,
        start_within: SignedDuration::from_hours(6),
        enabled: Enabled::Yes,
        select: Selector::default(),
        class_tag_allows: BTreeSet::new(),
        copy_tags: Vec::new(),
        keep: keep.parse().unwrap(),
        tags: BTreeMap::new(),
        deadline: SignedDuration::from_hours(24),
        max_deletes: None,
    };
    PolicySet {
        owner: "test".parse().unwrap(),
        policies: [(policy.name.clone(), policy)].into(),
        classes: built_in(),
        freezes: BTreeMap::new(),
        accounts: BTreeMap::new(),
        prune_schedule: Schedule::parse("30 * * * *", "UTC").unwrap(),
        history_keep: SignedDuration::from_hours(400 * 24),
    }
}

fn row(policy: &str, day: u8, grade: Grade) -> ImageRow {
    let captured_at: Timestamp = format!("2026-11-{day:02}T01:00:09Z").parse().unwrap();
    ImageRow {
        image: format!("ami-{day:017x}").parse().unwrap(),
        name: format!("amikeep-test-{policy}-{day}").parse().unwrap(),
        job: "0193509f-6e00-7c3a-9b1e-5d2f8a4c6e10".parse().unwrap(),
        policy: policy.parse().unwrap(),
        account: "111122223333".parse().unwrap(),
        account_name: "default".parse().unwrap(),
        region: "eu-central-1".parse().unwrap(),
        instance: "i-0123456789abcdef0".parse().unwrap(),
        class: "production-database".parse().unwrap(),
        captured_at: Some(captured_at),
        grade: Some(grade),
        volumes: Vec::new(),
        state: ImageRowState::Available,
        counts: true,
        pinned: false,
        missing_since: None,
        first_seen_at: captured_at,
        last_seen_at: captured_at,
    }
}

fn judged(rows: &[ImageRow], keep: &str) -> Vec<Image> {
    judge(rows, &set(keep), &[], "2026-11-22T12:00:00Z".parse().unwrap())
}

/// Day of November, state, verdict, and why.
fn summary(images: &[Image]) -> String {
    let line = |image: &Image| {
        let day = u8::from_str_radix(image.image_id.trim_start_matches("ami-"), 16).unwrap();
        let reasons: Vec<_> = image.reasons.iter().map(ToString::to_string).collect();
        format!("{day} {} {:?} {reasons:?} {:?} {:?}", image.state, image.verdict, image.held_by, image.delete_reason)
    };
    images.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_json_of_an_image_has_every_field_of_the_contract() {
    let images = judged(&[row("db", 22, Grade::Clean)], "last=1,daily=7");
    expect![[r#"
        {
          "images": [
            {
              "image_id": "ami-00000000000000016",
              "image_name": "amikeep-test-db-22",
              "job_id": "0193509f-6e00-7c3a-9b1e-5d2f8a4c6e10",
              "policy": "db",
              "account": "111122223333",
              "account_name": "default",
              "region": "eu-central-1",
              "instance_id": "i-0123456789abcdef0",
              "class": "production-database",
              "captured_at": "2026-11-22T01:00:09Z",
              "grade": "clean",
              "volumes": [],
              "state": "available",
              "pinned": false,
              "verdict": "keep",
              "reasons": [
                {
                  "rule": "last",
                  "rank": 1,
                  "of": 1,
                  "bucket": null,
                  "kept_as": "newest"
                },
                {
                  "rule": "daily",
                  "rank": 1,
                  "of": 7,
                  "bucket": "2026-11-22",
                  "kept_as": "newest"
                }
              ],
              "held_by": [],
              "held_because": [],
              "delete_reason": null
            }
          ]
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&Images { images }).unwrap());
}

#[test]
fn every_image_says_which_rules_keep_it_or_what_holds_it() {
    let rows = [
        row("db", 22, Grade::Crash),
        row("db", 21, Grade::Crash),
        row("db", 20, Grade::Clean),
        ImageRow { pinned: true, ..row("db", 19, Grade::Clean) },
        row("db", 18, Grade::Clean),
    ];
    expect![[r#"
        22 available Some("keep") ["last 1/2"] [] None
        21 available Some("keep") ["last 2/2"] [] None
        20 available Some("held") [] ["newest-of-grade"] None
        19 available Some("held") [] ["pinned"] None
        18 available Some("delete") [] [] Some("no rule keeps it")"#]]
    .assert_eq(&summary(&judged(&rows, "last=2")));
}

#[test]
fn images_of_a_policy_that_is_gone_are_held() {
    expect![[r#"22 available Some("held") [] ["policy-gone"] None"#]]
        .assert_eq(&summary(&judged(&[row("gone", 22, Grade::Clean)], "last=1")));
}

#[test]
fn what_is_no_image_that_anybody_keeps_is_not_listed() {
    let with_state = |day, state| ImageRow { state, ..row("db", day, Grade::Clean) };
    let rows = [
        with_state(22, ImageRowState::Pending),
        with_state(21, ImageRowState::Failed),
        with_state(20, ImageRowState::Deleted),
        with_state(19, ImageRowState::Missing),
        with_state(18, ImageRowState::Deleting),
        with_state(17, ImageRowState::SnapshotsLeft),
    ];
    expect![[r#"
        19 missing None [] [] None
        18 deleting Some("delete") [] [] Some("its deletion is under way")
        17 snapshots-left Some("delete") [] [] Some("its deletion is under way")"#]]
    .assert_eq(&summary(&judged(&rows, "last=1")));
}

#[test]
fn an_image_of_a_failed_job_goes_once_a_newer_one_succeeded() {
    let leftover = |day| ImageRow { counts: false, captured_at: None, grade: None, ..row("db", day, Grade::Clean) };
    expect![[r#"
        22 available Some("held") [] ["no-newer-success"] None
        21 available Some("keep") ["last 1/1"] [] None
        20 available Some("delete") [] [] Some("it failed, and ami-00000000000000015 is newer and succeeded")"#]]
    .assert_eq(&summary(&judged(&[leftover(22), row("db", 21, Grade::Clean), leftover(20)], "last=1")));
}

#[test]
fn the_reach_of_rules_is_told_for_one_series_alone() {
    let now = "2026-11-22T12:00:00Z".parse().unwrap();
    let mut rows = vec![row("db", 22, Grade::Clean), row("db", 21, Grade::Clean)];
    assert_eq!(
        reaches(&rows, &set("daily=7"), now),
        ["daily=7 keeps 2, 2026-11-22 to 2026-11-21, back to 2026-11-21T01:00:09Z"]
    );
    rows.push(ImageRow { instance: "i-0123456789abcdef1".parse().unwrap(), ..row("db", 22, Grade::Clean) });
    assert_eq!(reaches(&rows, &set("daily=7"), now), Vec::<String>::new());
}

#[test]
fn images_are_shown_by_series_with_their_span() {
    let other = ImageRow { instance: "i-0123456789abcdef1".parse().unwrap(), ..row("db", 20, Grade::Crash) };
    let rows = [row("db", 22, Grade::Clean), row("db", 21, Grade::Clean), other];
    let series = by_series(&judged(&rows, "last=1"));
    let titles: Vec<_> = series.iter().map(|it| it.title.as_str()).collect();
    expect![[r#"
        i-0123456789abcdef0  db  (default): 2 images, 2026-11-21 to 2026-11-22
        i-0123456789abcdef1  db  (default): 1 image, 2026-11-20 to 2026-11-20"#]]
    .assert_eq(&titles.join("\n"));
    let cells: Vec<_> = series[0].table.rows[1].iter().map(|cell| cell.text.as_str()).collect();
    expect!["2026-11-21 01:00 | ami-00000000000000015 | clean | delete | no rule keeps it"]
        .assert_eq(&cells.join(" | "));
}

#[test]
fn a_paused_policy_lets_nothing_go() {
    let rows = [row("db", 22, Grade::Clean), row("db", 21, Grade::Clean)];
    let pause = Pause {
        id: "0193509f-6e00-7c3a-9b1e-5d2f8a4c6e10".parse().unwrap(),
        scope: PauseScope::Policy("db".parse().unwrap()),
        since: "2026-11-22T10:00:00Z".parse().unwrap(),
        until: None,
        reason: Some("audit".to_owned()),
        ended_at: None,
    };
    let judged = |now: &str| judge(&rows, &set("last=1"), std::slice::from_ref(&pause), now.parse().unwrap());
    assert_eq!(judged("2026-11-22T09:00:00Z")[1].verdict, Some("delete"));
    let paused = judged("2026-11-22T12:00:00Z");
    assert_eq!((paused[0].verdict, paused[1].verdict), (Some("keep"), Some("held")));
    assert_eq!(paused[1].held_because, ["paused (policy db paused: audit)"]);
}
