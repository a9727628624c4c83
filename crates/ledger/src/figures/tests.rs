//! Every end is tallied once, whatever becomes of its row later.

use amikeep_domain::decision::SkipReason;
use amikeep_domain::fire::Missed;
use amikeep_domain::freeze::LeftFrozen;
use amikeep_domain::job::JobEvent;
use amikeep_domain::prune::DeletionEvent;

use super::*;
use crate::fires::FirePlan;
use crate::fixture::{
    Fixture, account_name, at, cursor, deletion_id, error, image, intended, new_deletion, plan, policy, prune_record,
    until_pending,
};
use crate::prunes::NewDeletion;

fn count(figures: &Figures, of: impl Fn(&Ended) -> bool) -> u64 {
    figures.tallies.iter().filter(|tally| of(&tally.ended)).map(|tally| tally.count).sum()
}

async fn skipped(fixture: &Fixture, n: u32) {
    let job = fixture.queued(n).await;
    fixture.follow(job, &[JobEvent::Skipped(SkipReason::Overlapped)]).await;
}

#[tokio::test]
async fn every_way_to_end_is_tallied_and_stays_so_when_its_jobs_are_summed_up() {
    let fixture = Fixture::new().await;
    for n in 1..=3 {
        fixture.succeeded(n).await;
    }
    fixture.failed(4).await;
    skipped(&fixture, 5).await;
    fixture.queued(6).await;
    let before = fixture.ledger.figures().await.unwrap();
    let succeeded = before.tallies.iter().filter(|it| matches!(it.ended, Ended::Succeeded { .. }));
    assert_eq!(succeeded.clone().map(|it| it.count).sum::<u64>(), 3, "{before:#?}");
    for tally in succeeded {
        let Ended::Succeeded { mode, grade } = &tally.ended else { unreachable!() };
        assert!(mode.is_some() && grade.is_some(), "{tally:?}");
        assert_eq!(tally.last_at, at("2026-11-22T01:00:05Z"));
    }
    assert_eq!(count(&before, |it| *it == Ended::Failed("reboot_blocked".to_owned())), 1);
    assert_eq!(count(&before, |it| *it == Ended::Skipped("overlapped".to_owned())), 1);
    assert_eq!(before.open_jobs, [(StateName::Queued, 1)]);

    while !fixture.ledger.summarise(at("2026-11-23T00:00:00Z"), 2).await.unwrap().is_empty() {}
    let after = fixture.ledger.figures().await.unwrap();
    assert_eq!(after.tallies, before.tallies);
}

#[tokio::test]
async fn fires_in_a_row_of_misses_are_tallied_one_by_one() {
    let fixture = Fixture::new().await;
    let ledger = &fixture.ledger;
    ledger.record_cursor(&cursor("2026-11-22T00:00:00Z")).await.unwrap();
    let missed = |from: &str, to: &str, count| Missed { from: at(from), to: at(to), count };
    for (from, to, missed) in [
        ("2026-11-22T00:00:00Z", "2026-11-22T03:00:00Z", missed("2026-11-22T01:00:00Z", "2026-11-22T03:00:00Z", 3)),
        ("2026-11-22T03:00:00Z", "2026-11-22T05:00:00Z", missed("2026-11-22T04:00:00Z", "2026-11-22T05:00:00Z", 2)),
    ] {
        let plan = FirePlan { run: None, missed: Some(missed), ..plan(from, to, Vec::new()) };
        ledger.record_fire(&plan).await.unwrap();
    }
    // The same again is no fire at all, and one that matches nothing is one.
    let nothing = plan("2026-11-22T05:00:00Z", "2026-11-22T06:00:00Z", Vec::new());
    ledger.record_fire(&nothing).await.unwrap();
    ledger.record_fire(&nothing).await.unwrap();
    let figures = ledger.figures().await.unwrap();
    assert_eq!(count(&figures, |it| *it == Ended::Fire(FireOutcome::Missed)), 5);
    assert_eq!(count(&figures, |it| *it == Ended::Fire(FireOutcome::NoMatch)), 1);
    assert_eq!(figures.tallies.iter().map(|it| it.last_at).max(), Some(at("2026-11-22T06:00:00Z")));
    let last = LastFire {
        policy: policy(),
        account_name: account_name(),
        scheduled_at: at("2026-11-22T06:00:00Z"),
        matched: 0,
    };
    assert_eq!(figures.last_fires, [last]);
    while !ledger.summarise(at("2026-11-23T00:00:00Z"), 10).await.unwrap().is_empty() {}
    assert_eq!(ledger.figures().await.unwrap().tallies, figures.tallies);
}

#[tokio::test]
async fn the_last_fire_is_the_newest_one_that_was_not_missed_and_its_jobs_are_counted() {
    let fixture = Fixture::new().await;
    let ledger = &fixture.ledger;
    ledger.record_cursor(&cursor("2026-11-22T00:00:00Z")).await.unwrap();
    let jobs = |hour: &str, ids: &[u32]| ids.iter().map(|n| crate::fixture::new_job(*n, at(hour))).collect::<Vec<_>>();
    let older = plan("2026-11-22T00:00:00Z", "2026-11-22T01:00:00Z", jobs("2026-11-22T01:00:00Z", &[1, 2]));
    ledger.record_fire(&older).await.unwrap();
    let newer = plan("2026-11-22T01:00:00Z", "2026-11-22T02:00:00Z", jobs("2026-11-22T02:00:00Z", &[3, 4, 5]));
    let newer = ledger.record_fire(&newer).await.unwrap().jobs;
    fixture.follow(newer[0].clone(), &[JobEvent::Failed(error())]).await;
    let miss = Missed { from: at("2026-11-22T03:00:00Z"), to: at("2026-11-22T03:00:00Z"), count: 1 };
    let missed = plan("2026-11-22T02:00:00Z", "2026-11-22T03:00:00Z", Vec::new());
    ledger.record_fire(&FirePlan { run: None, missed: Some(miss), ..missed }).await.unwrap();
    let figures = ledger.figures().await.unwrap();
    assert_eq!(
        figures.last_fires.iter().map(|it| (it.scheduled_at, it.matched)).collect::<Vec<_>>(),
        [(at("2026-11-22T02:00:00Z"), 3)]
    );
    let of_state = |state| figures.last_jobs.iter().filter(|it| it.state == state).map(|it| it.count).sum::<u64>();
    assert_eq!((of_state(StateName::Failed), of_state(StateName::Queued)), (1, 2), "{:?}", figures.last_jobs);
}

#[tokio::test]
async fn deletions_and_images_are_counted_as_they_are() {
    let fixture = Fixture::new().await;
    let ledger = &fixture.ledger;
    let jobs = [fixture.succeeded(1).await, fixture.succeeded(2).await, fixture.succeeded(3).await];
    let figures = ledger.figures().await.unwrap();
    assert_eq!(figures.images.iter().map(|it| it.count).sum::<u64>(), 3);
    let finished = crate::fixture::finished(1);
    assert_eq!(figures.images[0].newest_at, finished.captured_at);
    assert_eq!(figures.images[0].grade, finished.grade);

    let new = |n: u32| NewDeletion { id: deletion_id(n), ..new_deletion(&jobs[n as usize - 1], n) };
    let planned = ledger.record_prune(&prune_record(&[1, 2, 3], vec![new(1), new(2)])).await.unwrap().deletions;
    let at = at("2026-11-22T03:00:00Z");
    let gone = DeletionEvent::Deregistered { left: vec![], retry_at: at };
    ledger.record_deletion_event(&planned[0], &gone, at).await.unwrap();
    let figures = ledger.figures().await.unwrap();
    assert_eq!(figures.open_deletions, [(DeletionStateName::Planned, 1)]);
    assert_eq!(count(&figures, |it| *it == Ended::Deletion(DeletionStateName::Done)), 1);
    assert_eq!(figures.images.iter().map(|it| it.count).sum::<u64>(), 1, "one is deleted and one is going");
    ledger.record_deletion_event(&planned[1], &DeletionEvent::Refused(error()), at).await.unwrap();
    let figures = ledger.figures().await.unwrap();
    assert_eq!(count(&figures, |it| *it == Ended::Deletion(DeletionStateName::Refused)), 1);
    assert_eq!(figures.open_deletions, []);
    assert_eq!(figures.images.iter().map(|it| it.count).sum::<u64>(), 2, "{} is there again", image(2));
    assert!(figures.last_prune_at.is_some());
}

#[tokio::test]
async fn what_is_stalled_and_what_was_left_frozen_is_counted() {
    let fixture = Fixture::new().await;
    let pending = fixture.queued(1).await;
    let pending = fixture.follow(pending, &until_pending(1)).await;
    fixture.follow(pending, &[JobEvent::Stalled]).await;
    let other = fixture.queued(2).await;
    fixture.follow(other, &until_pending(2)).await;
    let held = fixture.queued(3).await;
    let held = fixture.follow(held, &[JobEvent::Started, intended()]).await;
    let record = crate::holds::tests::record();
    fixture.ledger.record_hold(held.id, &record, at("2026-11-22T01:00:00Z")).await.unwrap();
    let figures = fixture.ledger.figures().await.unwrap();
    assert_eq!(figures.left_frozen, 0, "its hold is under way");
    let left = LeftFrozen { what: "`/data` may still be frozen".to_owned(), run: "fsfreeze -u /data".to_owned() };
    fixture.ledger.record_hold(held.id, &record.left_behind(vec![left]), at("2026-11-22T01:00:09Z")).await.unwrap();
    let figures = fixture.ledger.figures().await.unwrap();
    assert_eq!(figures.open_jobs, [(StateName::Capturing, 1), (StateName::Pending, 2)]);
    assert_eq!((figures.stalled_jobs, figures.left_frozen), (1, 1));
}

#[tokio::test]
async fn the_files_of_a_ledger_have_a_size() {
    let fixture = Fixture::new().await;
    fixture.queued(1).await;
    let files = fixture.ledger.files().unwrap();
    assert!(4_096 <= files.ledger && 0 < files.log && 0 < files.free, "{files:?}");
}

/// Only the index is read, which has the images that exist alone, and not the rows of all that there ever were.
#[tokio::test]
async fn images_are_counted_by_their_index_alone() {
    let fixture = Fixture::new().await;
    let plan = crate::tests::query_plan(&fixture.ledger, sql::IMAGE_COUNTS_BY_GRADE).await;
    assert_eq!(plan, ["SCAN images USING COVERING INDEX images_counted"]);
    for (statement, index) in [
        (sql::LAST_FIRES, "sqlite_autoindex_fires_1 (policy=? AND account_name=?"),
        (sql::LAST_JOBS, "jobs_by_policy (policy=? AND scheduled_at=?"),
        (sql::OPEN_JOB_COUNTS, "jobs_unsucceeded (state=?"),
        (sql::OPEN_DELETION_COUNTS, "deletions_open"),
    ] {
        let plan = crate::tests::query_plan(&fixture.ledger, statement).await;
        assert!(plan.iter().any(|step| step.contains(index)), "{index}: {plan:?}");
    }
}
