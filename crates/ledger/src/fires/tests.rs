//! A fire is planned once, misses are one row, and the cursor never goes back by itself.

use super::*;
use crate::error::LedgerError;
use crate::fixture::{Fixture, account_name, at, cursor, new_job, plan, policy};

fn missed(from: &str, to: &str, count: u64) -> Missed {
    Missed { from: at(from), to: at(to), count }
}

async fn rows(fixture: &Fixture) -> Vec<FireRow> {
    fixture.ledger.fires(&FireFilter::default(), 100, None).await.unwrap().rows
}

async fn planned_to(fixture: &Fixture) -> Timestamp {
    fixture.ledger.cursors().await.unwrap()[0].planned_to
}

/// A plan that only misses.
fn miss(planned_from: &str, planned_to: &str, missed: Missed, note: &str) -> FirePlan {
    let note = (!note.is_empty()).then(|| note.to_owned());
    FirePlan { run: None, missed: Some(missed), missed_note: note, ..plan(planned_from, planned_to, vec![]) }
}

#[tokio::test]
async fn a_fire_that_is_planned_twice_gives_its_jobs_once() {
    let fixture = Fixture::new().await;
    fixture.ledger.record_cursor(&cursor("2026-11-22T00:00:00Z")).await.unwrap();
    let scheduled_at = at("2026-11-22T01:00:00Z");
    let jobs: Vec<_> = (1..=3).map(|n| new_job(n, scheduled_at)).collect();
    let plan = plan("2026-11-22T00:00:00Z", "2026-11-22T01:00:00Z", jobs);
    let recorded = fixture.ledger.record_fire(&plan).await.unwrap();
    assert_eq!(recorded.jobs.len(), 3);
    assert_eq!(fixture.ledger.open_jobs().await.unwrap(), recorded.jobs);
    assert_eq!(planned_to(&fixture).await, scheduled_at);

    // The same plan again: the cursor has moved.
    let stale = RecordedFire { is_stale: true, ..RecordedFire::default() };
    assert_eq!(fixture.ledger.record_fire(&plan).await.unwrap(), stale);
    // The clock was wrong, and the cursor was put back: the fire has a row.
    fixture.ledger.record_cursor(&cursor("2026-11-22T00:00:00Z")).await.unwrap();
    assert_eq!(fixture.ledger.record_fire(&plan).await.unwrap(), RecordedFire::default());
    assert_eq!(fixture.ledger.open_jobs().await.unwrap().len(), 3);
    assert_eq!(rows(&fixture).await.len(), 1);
    assert_eq!(planned_to(&fixture).await, scheduled_at);
}

#[tokio::test]
async fn of_two_that_plan_a_fire_at_once_one_does() {
    let fixture = Fixture::new().await;
    let other = Ledger::open_for_engine(&fixture.path(), &fixture.lock).await.unwrap();
    fixture.ledger.record_cursor(&cursor("2026-11-22T00:00:00Z")).await.unwrap();
    let hour = |n: u32| format!("2026-11-22T{n:02}:00:00Z");
    for n in 0..20 {
        let plan = plan(&hour(n), &hour(n + 1), vec![new_job(n, at(&hour(n + 1)))]);
        let (one, two) = tokio::join!(fixture.ledger.record_fire(&plan), other.record_fire(&plan));
        assert_eq!(one.unwrap().jobs.len() + two.unwrap().jobs.len(), 1);
    }
    assert_eq!(fixture.ledger.open_jobs().await.unwrap().len(), 20);
}

#[tokio::test]
async fn a_policy_without_a_cursor_plans_nothing() {
    let fixture = Fixture::new().await;
    let plan = plan("2026-11-22T00:00:00Z", "2026-11-22T01:00:00Z", vec![new_job(1, at("2026-11-22T01:00:00Z"))]);
    assert!(fixture.ledger.record_fire(&plan).await.unwrap().is_stale);
    assert_eq!(rows(&fixture).await, []);
}

#[tokio::test]
async fn a_fire_that_fails_half_way_leaves_nothing() {
    let fixture = Fixture::new().await;
    fixture.ledger.record_cursor(&cursor("2026-11-22T00:00:00Z")).await.unwrap();
    let twice = new_job(1, at("2026-11-22T01:00:00Z"));
    // Another key with the same id: a bug, and the database refuses it.
    let mut other = twice.clone();
    other.key.instance = crate::fixture::instance(2);
    let plan = plan("2026-11-22T00:00:00Z", "2026-11-22T01:00:00Z", vec![twice, other]);
    let error = fixture.ledger.record_fire(&plan).await.unwrap_err();
    assert!(matches!(error, LedgerError::RecordFire { .. }), "{error}");
    assert_eq!(rows(&fixture).await, []);
    assert_eq!(fixture.ledger.open_jobs().await.unwrap(), []);
    assert_eq!(planned_to(&fixture).await, at("2026-11-22T00:00:00Z"));
}

#[tokio::test]
async fn a_fire_that_matches_nothing_is_a_row() {
    let fixture = Fixture::new().await;
    fixture.ledger.record_cursor(&cursor("2026-11-22T00:00:00Z")).await.unwrap();
    let plan = plan("2026-11-22T00:00:00Z", "2026-11-22T01:00:00Z", vec![]);
    fixture.ledger.record_fire(&plan).await.unwrap();
    let expected = FireRow {
        policy: policy(),
        account_name: account_name(),
        scheduled_at: at("2026-11-22T01:00:00Z"),
        outcome: FireOutcome::NoMatch,
        matched: 0,
        missed_from: None,
        missed_count: None,
        note: None,
        recorded_at: at("2026-11-22T01:00:00Z"),
    };
    assert_eq!(rows(&fixture).await, [expected]);
}

#[tokio::test]
async fn consecutive_misses_are_one_row_until_a_fire_runs() {
    let fixture = Fixture::new().await;
    fixture.ledger.record_cursor(&cursor("2026-11-22T00:00:00Z")).await.unwrap();
    let first = missed("2026-11-22T01:00:00Z", "2026-11-22T03:00:00Z", 3);
    let plan_1 = miss("2026-11-22T00:00:00Z", "2026-11-22T03:00:00Z", first, "the daemon was down");
    let second = missed("2026-11-22T04:00:00Z", "2026-11-22T05:00:00Z", 2);
    let plan_2 = miss("2026-11-22T03:00:00Z", "2026-11-22T05:00:00Z", second, "");
    // One miss more, and the latest runs.
    let job = new_job(1, at("2026-11-22T07:00:00Z"));
    let third = missed("2026-11-22T06:00:00Z", "2026-11-22T06:00:00Z", 1);
    let plan_3 = FirePlan { missed: Some(third), ..plan("2026-11-22T05:00:00Z", "2026-11-22T07:00:00Z", vec![job]) };
    let fourth = missed("2026-11-22T08:00:00Z", "2026-11-22T08:00:00Z", 1);
    let plan_4 = miss("2026-11-22T07:00:00Z", "2026-11-22T08:00:00Z", fourth, "EC2 did not answer");
    for plan in [plan_1, plan_2, plan_3, plan_4] {
        fixture.ledger.record_fire(&plan).await.unwrap();
    }

    let summary = |it: &FireRow| (it.outcome, it.missed_from, it.scheduled_at, it.missed_count, it.note.clone());
    let found: Vec<_> = rows(&fixture).await.iter().map(summary).collect();
    let note = |text: &str| Some(text.to_owned());
    let hour = |n: u32| at(&format!("2026-11-22T{n:02}:00:00Z"));
    assert_eq!(
        found,
        [
            (FireOutcome::Missed, Some(hour(8)), hour(8), Some(1), note("EC2 did not answer")),
            (FireOutcome::Ran, None, hour(7), None, None),
            (FireOutcome::Missed, Some(hour(1)), hour(6), Some(6), note("the daemon was down")),
        ]
    );
}

/// A plan that only skips.
fn skip(planned_from: &str, planned_to: &str, skipped: Missed, note: &str) -> FirePlan {
    let note = Some(note.to_owned());
    FirePlan { run: None, skipped: Some(skipped), skipped_note: note, ..plan(planned_from, planned_to, vec![]) }
}

/// What became of the fires, newest first: outcome, first, last, how many, why.
async fn outcomes(fixture: &Fixture) -> Vec<(FireOutcome, Option<Timestamp>, Timestamp, Option<u64>, Option<String>)> {
    let rows = rows(fixture).await;
    assert!(rows.iter().all(|it| (it.outcome == FireOutcome::Ran) == (0 < it.matched)));
    rows.into_iter().map(|it| (it.outcome, it.missed_from, it.scheduled_at, it.missed_count, it.note)).collect()
}

#[tokio::test]
async fn consecutive_fires_of_one_pause_are_one_row() {
    let fixture = Fixture::new().await;
    fixture.ledger.record_cursor(&cursor("2026-11-22T00:00:00Z")).await.unwrap();
    let hour = |n: u32| at(&format!("2026-11-22T{n:02}:00:00Z"));
    let text = |n: u32| hour(n).to_string();
    let one = |n: u32| Missed { from: hour(n), to: hour(n), count: 1 };
    let twice = Missed { from: hour(2), to: hour(3), count: 2 };
    let run = plan(&text(5), &text(6), vec![new_job(1, hour(6))]);
    for plan in [
        skip(&text(0), &text(1), one(1), "policy nightly paused"),
        skip(&text(1), &text(3), twice, "policy nightly paused"),
        skip(&text(3), &text(4), one(4), "all policies paused"),
        miss(&text(4), &text(5), one(5), ""),
        run,
        skip(&text(6), &text(7), one(7), "all policies paused"),
    ] {
        fixture.ledger.record_fire(&plan).await.unwrap();
    }
    let note = |text: &str| Some(text.to_owned());
    let (all, nightly) = (note("all policies paused"), note("policy nightly paused"));
    assert_eq!(
        outcomes(&fixture).await,
        [
            (FireOutcome::Skipped, Some(hour(7)), hour(7), Some(1), all.clone()),
            (FireOutcome::Ran, None, hour(6), None, None),
            (FireOutcome::Missed, Some(hour(5)), hour(5), Some(1), None),
            (FireOutcome::Skipped, Some(hour(4)), hour(4), Some(1), all),
            (FireOutcome::Skipped, Some(hour(1)), hour(3), Some(3), nightly),
        ]
    );
    assert_eq!(planned_to(&fixture).await, hour(7));
}

#[tokio::test]
async fn one_plan_may_have_missed_and_skipped_fires_in_either_order() {
    let hour = |n: u32| at(&format!("2026-11-22T{n:02}:00:00Z"));
    let several = |from: u32, to: u32| Missed { from: hour(from), to: hour(to), count: u64::from(to - from + 1) };
    for (missed, skipped) in [(several(1, 2), several(3, 4)), (several(3, 4), several(1, 2))] {
        let fixture = Fixture::new().await;
        fixture.ledger.record_cursor(&cursor("2026-11-22T00:00:00Z")).await.unwrap();
        let plan = FirePlan {
            missed: Some(missed),
            missed_note: Some("the daemon was down".to_owned()),
            ..skip("2026-11-22T00:00:00Z", "2026-11-22T04:00:00Z", skipped, "all policies paused")
        };
        fixture.ledger.record_fire(&plan).await.unwrap();
        // And both go on: the older of the two is no longer the newest fire.
        let (more_missed, more_skipped) = (several(5, 5), several(6, 6));
        let more = FirePlan {
            missed: Some(more_missed),
            missed_note: None,
            ..skip("2026-11-22T04:00:00Z", "2026-11-22T06:00:00Z", more_skipped, "all policies paused")
        };
        fixture.ledger.record_fire(&more).await.unwrap();
        let counts: u64 = rows(&fixture).await.iter().filter_map(|it| it.missed_count).sum();
        assert_eq!(counts, 6);
        assert_eq!(outcomes(&fixture).await[0].0, FireOutcome::Skipped);
    }
}

#[tokio::test]
async fn a_skipped_fire_without_a_reason_is_refused() {
    let fixture = Fixture::new().await;
    fixture.ledger.record_cursor(&cursor("2026-11-22T00:00:00Z")).await.unwrap();
    let skipped = missed("2026-11-22T01:00:00Z", "2026-11-22T01:00:00Z", 1);
    let plan = FirePlan { skipped_note: None, ..skip("2026-11-22T00:00:00Z", "2026-11-22T01:00:00Z", skipped, "") };
    fixture.ledger.record_fire(&plan).await.unwrap_err();
    assert_eq!(planned_to(&fixture).await, at("2026-11-22T00:00:00Z"));
}

#[tokio::test]
async fn a_miss_that_was_recorded_is_not_counted_again_when_the_clock_went_back() {
    let fixture = Fixture::new().await;
    let range = missed("2026-11-22T01:00:00Z", "2026-11-22T03:00:00Z", 3);
    let plan = miss("2026-11-22T00:00:00Z", "2026-11-22T03:00:00Z", range, "");
    for _ in 0..2 {
        fixture.ledger.record_cursor(&cursor("2026-11-22T00:00:00Z")).await.unwrap();
        fixture.ledger.record_fire(&plan).await.unwrap();
    }
    let rows = rows(&fixture).await;
    assert_eq!((rows.len(), rows[0].missed_count), (1, Some(3)));
}

#[tokio::test]
async fn a_fire_moves_the_cursor_forward_alone() {
    let fixture = Fixture::new().await;
    fixture.ledger.record_cursor(&cursor("2026-11-22T05:00:00Z")).await.unwrap();
    let plan = plan("2026-11-22T05:00:00Z", "2026-11-22T01:00:00Z", vec![]);
    fixture.ledger.record_fire(&plan).await.unwrap();
    assert_eq!(planned_to(&fixture).await, at("2026-11-22T05:00:00Z"));
}

#[tokio::test]
async fn a_cursor_is_read_as_it_was_written() {
    let fixture = Fixture::new().await;
    let enabled = cursor("2026-11-22T05:00:00.123Z");
    fixture.ledger.record_cursor(&enabled).await.unwrap();
    assert_eq!(fixture.ledger.cursors().await.unwrap(), [enabled]);
    let disabled = Cursor { enabled: Enabled::No, ..cursor("2026-11-22T04:00:00Z") };
    fixture.ledger.record_cursor(&disabled).await.unwrap();
    assert_eq!(fixture.ledger.cursors().await.unwrap(), [disabled]);
}

#[tokio::test]
async fn pages_of_fires_are_complete_and_keep_to_their_filter() {
    let fixture = Fixture::new().await;
    let hour = |n: u32| format!("2026-11-22T{n:02}:00:00Z");
    for name in ["hourly", "other"] {
        let policy: PolicyName = name.parse().unwrap();
        let cursor = Cursor { policy: policy.clone(), ..cursor("2026-11-22T00:00:00Z") };
        fixture.ledger.record_cursor(&cursor).await.unwrap();
        for n in 0..10 {
            let plan = FirePlan { policy: policy.clone(), ..plan(&hour(n), &hour(n + 1), vec![]) };
            fixture.ledger.record_fire(&plan).await.unwrap();
        }
    }
    let filter =
        FireFilter { policy: Some("hourly".parse().unwrap()), since: Some(at(&hour(2))), until: Some(at(&hour(9))) };
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = fixture.ledger.fires(&filter, 3, after.as_ref()).await.unwrap();
        assert!(page.rows.iter().all(|it| it.policy.as_str() == "hourly"));
        found.extend(page.rows.into_iter().map(|it| it.scheduled_at));
        // Through its text, as a command line would give it.
        after = page.next.map(|it| it.to_string().parse().unwrap());
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, (2..9).rev().map(|n| at(&hour(n))).collect::<Vec<_>>());
    assert_eq!(rows(&fixture).await.len(), 20);
}
