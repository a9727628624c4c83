//! The JSON of a job in every state: nothing is claimed that was not observed.

use amikeep_domain::decision::SkipReason;
use amikeep_domain::image_name::{ImageName, ImageNumber};
use amikeep_domain::job::{CapturedVolume, Capturing, Intent, JobKey, OfflineProof, Pending, Trigger};
use amikeep_domain::policy::StartWindow;
use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn job_in(state: JobState) -> domain::job::Job {
    let scheduled_at = at("2026-11-22T01:00:00Z");
    domain::job::Job {
        id: "0193509f-6e00-7c3a-9b1e-5d2f8a4c6e10".parse().unwrap(),
        key: JobKey {
            policy: "db-nightly".parse().unwrap(),
            account: "111122223333".parse().unwrap(),
            region: "eu-central-1".parse().unwrap(),
            instance: "i-0123456789abcdef0".parse().unwrap(),
            scheduled_at,
        },
        account_name: "default".parse().unwrap(),
        trigger: Trigger::Schedule,
        request: None,
        asked: None,
        class: "production-database".parse().unwrap(),
        window: StartWindow { start_at: at("2026-11-22T01:03:00Z"), start_by: at("2026-11-22T07:03:00Z") },
        created_at: at("2026-11-22T01:00:00.217Z"),
        started_at: None,
        attempts: 0,
        number: ImageNumber::FIRST,
        intent: None,
        hold: None,
        state,
    }
}

/// A job whose intent was committed.
fn sent(state: JobState) -> domain::job::Job {
    let job = job_in(state);
    let key = &job.key;
    let owner = "prod-fra".parse().unwrap();
    let name = ImageName::for_backup(&owner, &key.policy, &key.instance, key.scheduled_at, ImageNumber::FIRST);
    let intent = Intent {
        name,
        asked: Consistency::Reboot,
        mode: Consistency::Reboot,
        reason: "class production-database".to_owned(),
        expected: Grade::Clean,
        grade_min: None,
        volumes: Vec::new(),
        instance_store_disks: Some(1),
        launched_at: at("2026-11-01T00:00:00Z"),
        deadline: SignedDuration::from_hours(24),
        hold: None,
        registration: None,
        recorded_at: at("2026-11-22T01:03:01Z"),
    };
    domain::job::Job { intent: Some(intent), attempts: 1, started_at: Some(at("2026-11-22T01:03:00Z")), ..job }
}

fn finished_image() -> Finished {
    let volume = |device: &str, snapshot: Option<&str>, grade| CapturedVolume {
        device: device.to_owned(),
        volume: snapshot.map(|_| "vol-0123456789abcdef0".parse().unwrap()),
        snapshot: snapshot.map(|id| id.parse().unwrap()),
        grade,
    };
    Finished {
        image: "ami-0123456789abcdef0".parse().unwrap(),
        captured_at: at("2026-11-22T01:03:09Z"),
        grade: Grade::Clean,
        evidence: Some(Evidence::Requested),
        volumes: vec![
            volume("/dev/xvda", Some("snap-0123456789abcdef0"), Some(Grade::Clean)),
            volume("instance-store-0", None, None),
        ],
    }
}

fn pending(stalled: bool) -> JobState {
    JobState::Pending(Pending {
        image: "ami-0123456789abcdef0".parse().unwrap(),
        accepted_at: at("2026-11-22T01:03:02Z"),
        stalled,
        offline: OfflineProof::NotApplicable,
    })
}

fn failed(image: Option<&str>) -> JobState {
    JobState::Failed {
        error: domain::decision::JobError::new("UnauthorizedOperation", "not allowed", "allow ec2:CreateImage"),
        image: image.map(|id| id.parse().unwrap()),
        finished_at: at("2026-11-22T01:03:04Z"),
    }
}

/// What the JSON says that depends on the state, without nulls, on one line.
fn brief(job: &domain::job::Job) -> String {
    let json = serde_json::to_value(Job::from(job)).unwrap();
    let of_state = [
        "mode",
        "grade",
        "evidence",
        "image_id",
        "started_at",
        "captured_at",
        "finished_at",
        "attempts",
        "stalled",
        "error",
        "skip_reason",
        "waiting_for",
        "retry_at",
    ];
    let known = of_state.iter().filter(|key| !json[key].is_null()).map(|key| format!("{key}={}", json[key]));
    format!("{}: {}", json["state"].as_str().unwrap(), known.collect::<Vec<_>>().join(" "))
}

fn check(jobs: &[domain::job::Job], expect: &Expect) {
    expect.assert_eq(&jobs.iter().map(brief).collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_json_of_a_job_has_every_field_of_the_contract() {
    let image = finished_image();
    let job = sent(JobState::Succeeded { image, finished_at: at("2026-11-22T01:15:00Z") });
    expect![[r#"
        {
          "id": "0193509f-6e00-7c3a-9b1e-5d2f8a4c6e10",
          "policy": "db-nightly",
          "account": "111122223333",
          "account_name": "default",
          "region": "eu-central-1",
          "instance_id": "i-0123456789abcdef0",
          "scheduled_at": "2026-11-22T01:00:00Z",
          "trigger": "schedule",
          "class": "production-database",
          "mode": {
            "asked": "reboot",
            "done": "reboot",
            "reason": "class production-database"
          },
          "grade": "clean",
          "evidence": "requested",
          "volumes": [
            {
              "device": "/dev/xvda",
              "volume_id": "vol-0123456789abcdef0",
              "snapshot_id": "snap-0123456789abcdef0",
              "grade": "clean"
            },
            {
              "device": "instance-store-0",
              "volume_id": null,
              "snapshot_id": null,
              "grade": "not-captured"
            }
          ],
          "state": "succeeded",
          "stalled": false,
          "image_id": "ami-0123456789abcdef0",
          "image_name": "amikeep-prod-fra-db-nightly-i-0123456789abcdef0-20261122T010000Z",
          "created_at": "2026-11-22T01:00:00.217Z",
          "started_at": "2026-11-22T01:03:00Z",
          "captured_at": "2026-11-22T01:03:09Z",
          "finished_at": "2026-11-22T01:15:00Z",
          "attempts": 1,
          "error": null,
          "hold_ms": null,
          "hold": null,
          "downtime_ms": null,
          "skip_reason": null,
          "waiting_for": null,
          "retry_at": null,
          "start_at": "2026-11-22T01:03:00Z",
          "start_by": "2026-11-22T07:03:00Z"
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&Job::from(&job)).unwrap());
}

#[test]
fn a_job_that_sent_nothing_claims_nothing() {
    let waiting = JobState::Queued {
        retry_at: Some(at("2026-11-22T01:04:00Z")),
        waiting_for: Some("the instance is pending".to_owned()),
    };
    let skipped = JobState::Skipped { reason: SkipReason::Overlapped, finished_at: at("2026-11-22T07:03:01Z") };
    let states = [
        JobState::Queued { retry_at: None, waiting_for: None },
        waiting,
        JobState::Preparing,
        JobState::Holding,
        skipped,
    ];
    check(
        &states.map(job_in),
        &expect![[r#"
        queued: mode={"asked":null,"done":null,"reason":null} attempts=0 stalled=false
        queued: mode={"asked":null,"done":null,"reason":null} attempts=0 stalled=false waiting_for="the instance is pending" retry_at="2026-11-22T01:04:00Z"
        preparing: mode={"asked":null,"done":null,"reason":null} attempts=0 stalled=false
        holding: mode={"asked":null,"done":null,"reason":null} attempts=0 stalled=false
        skipped: mode={"asked":null,"done":null,"reason":null} finished_at="2026-11-22T07:03:01Z" attempts=0 stalled=false skip_reason="overlapped""#]],
    );
}

#[test]
fn a_job_that_was_sent_says_what_is_known_so_far() {
    let unknown = JobState::Capturing(Capturing { unknown_since: None, name_in_use: false });
    let states = [unknown, pending(false), pending(true), JobState::Finishing(finished_image())];
    check(
        &states.map(sent),
        &expect![[r#"
        capturing: mode={"asked":"reboot","done":"reboot","reason":"class production-database"} started_at="2026-11-22T01:03:00Z" attempts=1 stalled=false
        pending: mode={"asked":"reboot","done":"reboot","reason":"class production-database"} image_id="ami-0123456789abcdef0" started_at="2026-11-22T01:03:00Z" attempts=1 stalled=false
        pending: mode={"asked":"reboot","done":"reboot","reason":"class production-database"} image_id="ami-0123456789abcdef0" started_at="2026-11-22T01:03:00Z" attempts=1 stalled=true
        finishing: mode={"asked":"reboot","done":"reboot","reason":"class production-database"} grade="clean" evidence="requested" image_id="ami-0123456789abcdef0" started_at="2026-11-22T01:03:00Z" captured_at="2026-11-22T01:03:09Z" attempts=1 stalled=false"#]],
    );
}

#[test]
fn a_refused_request_was_not_done() {
    check(
        &[sent(failed(None)), sent(failed(Some("ami-0123456789abcdef0")))],
        &expect![[r#"
        failed: mode={"asked":"reboot","done":null,"reason":"class production-database"} started_at="2026-11-22T01:03:00Z" finished_at="2026-11-22T01:03:04Z" attempts=1 stalled=false error={"code":"UnauthorizedOperation","message":"not allowed","next_step":"allow ec2:CreateImage"}
        failed: mode={"asked":"reboot","done":"reboot","reason":"class production-database"} image_id="ami-0123456789abcdef0" started_at="2026-11-22T01:03:00Z" finished_at="2026-11-22T01:03:04Z" attempts=1 stalled=false error={"code":"UnauthorizedOperation","message":"not allowed","next_step":"allow ec2:CreateImage"}"#]],
    );
}

#[test]
fn an_operator_who_asked_is_quoted_before_the_decision() {
    let job = domain::job::Job { asked: Some(Consistency::NoReboot), ..job_in(JobState::Preparing) };
    assert_eq!(Job::from(&job).mode, Mode { asked: Some("no-reboot"), done: None, reason: None });
}

#[test]
fn the_whole_story_of_a_failed_job_can_be_told() {
    let events = vec![Event::from(&EventRow {
        at: at("2026-11-22T01:03:04Z"),
        event: "failed".to_owned(),
        detail: "UnauthorizedOperation: not allowed".to_owned(),
    })];
    let facts: Vec<_> = facts(&Job::from(&sent(failed(None))))
        .into_iter()
        .map(|fact| format!("{}: {}", fact.label, fact.value.text))
        .collect();
    expect![[r#"
        state: failed
        policy: db-nightly, class production-database
        instance: i-0123456789abcdef0
        account: default (111122223333, eu-central-1)
        scheduled: 2026-11-22 01:00:00 UTC, schedule
        started: 2026-11-22 01:03:00 UTC
        finished: 2026-11-22 01:03:04 UTC
        mode: reboot
        because: class production-database
        image: -
        image name: amikeep-prod-fra-db-nightly-i-0123456789abcdef0-20261122T010000Z"#]]
    .assert_eq(&facts.join("\n"));
    let story = Story { job: Job::from(&sent(failed(None))), events, may_be_frozen: Vec::new() };
    expect![[r#"[{"at":"2026-11-22T01:03:04Z","event":"failed","detail":"UnauthorizedOperation: not allowed"}]"#]]
        .assert_eq(&serde_json::to_string(&story.events).unwrap());
    assert_eq!(timeline(&story.events).rows[0][1], crate::table::Cell::new("failed", crate::table::Tone::Bad));
}

#[test]
fn a_list_names_jobs_by_the_end_of_the_id_which_is_random() {
    let rows = table(&[Job::from(&sent(pending(true)))]).rows;
    let texts: Vec<_> = rows[0].iter().map(|cell| cell.text.as_str()).collect();
    let want = [
        "2026-11-22 01:00",
        "db-nightly",
        "default",
        "i-0123456789abcdef0",
        "pending, stalled",
        "-",
        "reboot",
        "8a4c6e10",
        "",
    ];
    assert_eq!(texts, want);
}

#[test]
fn a_list_has_the_code_of_an_error_alone_and_an_intent_is_no_deed() {
    let rows = table(&[Job::from(&sent(failed(None)))]).rows;
    assert_eq!(rows[0][8].text, "UnauthorizedOperation");
    let event = |event: &str| Event {
        at: Time(at("2026-11-22T01:03:01Z")),
        event: event.to_owned(),
        detail: "amikeep-x as reboot (stateful: class stateful)".to_owned(),
    };
    let rows = timeline(&[event("intended"), event("accepted")]).rows;
    assert_eq!(rows[0][2].text, "asks for amikeep-x by reboot (stateful: class stateful)");
    assert_eq!(rows[1][2].text, "amikeep-x as reboot (stateful: class stateful)");
}
