//! The JSON of a fire, and that one without a backup says so.

use amikeep_domain::fire::FireOutcome;
use expect_test::expect;

use super::*;

fn row(outcome: FireOutcome) -> FireRow {
    let did_not_run = matches!(outcome, FireOutcome::Missed | FireOutcome::Skipped);
    let note = match outcome {
        FireOutcome::Missed => Some("amikeep was not running"),
        FireOutcome::Skipped => Some("policy db-nightly paused: disk replacement"),
        FireOutcome::Ran | FireOutcome::NoMatch => None,
    };
    FireRow {
        policy: "db-nightly".parse().unwrap(),
        account_name: "default".parse().unwrap(),
        scheduled_at: "2026-11-22T01:00:00Z".parse().unwrap(),
        outcome,
        matched: if outcome == FireOutcome::Ran { 12 } else { 0 },
        missed_from: did_not_run.then(|| "2026-11-20T01:00:00Z".parse().unwrap()),
        missed_count: did_not_run.then_some(3),
        note: note.map(str::to_owned),
        recorded_at: "2026-11-22T09:00:00Z".parse().unwrap(),
    }
}

#[test]
fn the_json_of_a_fire_has_every_field_of_the_contract() {
    let lines: Vec<_> =
        FireOutcome::ALL.iter().map(|it| serde_json::to_string(&Fire::from(&row(*it))).unwrap()).collect();
    expect![[r#"
        {"policy":"db-nightly","account_name":"default","scheduled_at":"2026-11-22T01:00:00Z","outcome":"ran","matched":12,"missed_from":null,"missed_count":null,"note":null,"recorded_at":"2026-11-22T09:00:00Z"}
        {"policy":"db-nightly","account_name":"default","scheduled_at":"2026-11-22T01:00:00Z","outcome":"no-match","matched":0,"missed_from":null,"missed_count":null,"note":null,"recorded_at":"2026-11-22T09:00:00Z"}
        {"policy":"db-nightly","account_name":"default","scheduled_at":"2026-11-22T01:00:00Z","outcome":"missed","matched":0,"missed_from":"2026-11-20T01:00:00Z","missed_count":3,"note":"amikeep was not running","recorded_at":"2026-11-22T09:00:00Z"}
        {"policy":"db-nightly","account_name":"default","scheduled_at":"2026-11-22T01:00:00Z","outcome":"skipped","matched":0,"missed_from":"2026-11-20T01:00:00Z","missed_count":3,"note":"policy db-nightly paused: disk replacement","recorded_at":"2026-11-22T09:00:00Z"}"#]].assert_eq(&lines.join("\n"));
}

#[test]
fn a_fire_without_a_backup_says_so() {
    let fires: Vec<_> = FireOutcome::ALL.iter().map(|it| Fire::from(&row(*it))).collect();
    let notes: Vec<_> = table(&fires).rows.iter().map(|row| row[5].text.clone()).collect();
    expect![[r#"

        its selector matched no instance: no backup
        3 times since 2026-11-20 01:00; amikeep was not running
        3 times since 2026-11-20 01:00; policy db-nightly paused: disk replacement"#]]
    .assert_eq(&notes.join("\n"));
}
