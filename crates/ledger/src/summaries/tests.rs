//! What is summarised adds up, and what must stay stays.

use std::collections::BTreeSet;

use amikeep_domain::decision::SkipReason;
use amikeep_domain::fire::Missed;
use amikeep_domain::id::JobId;
use amikeep_domain::job::JobEvent;
use amikeep_domain::pause::{Pause, PauseScope};
use amikeep_domain::prune::{Deletion, DeletionEvent, Released};
use jiff::SignedDuration;

use super::*;
use crate::fires::{FireFilter, FirePlan};
use crate::fixture::{
    Fixture, at, cursor, deletion_id, error, image, intended, new_deletion, new_job, plan, policy, prune_record,
    until_pending,
};
use crate::images::ImageRowState;
use crate::prunes::{NewDeletion, PruneRecord};
use crate::{HistoryFilter, RequestKind};

/// After everything that the fixture's jobs and prunes do.
const LATER: &str = "2026-11-23T00:00:00Z";

async fn summarise_all(fixture: &Fixture, before: &str, batch: usize) -> Summarised {
    let mut all = Summarised::default();
    loop {
        let done = fixture.ledger.summarise(at(before), batch).await.unwrap();
        assert!(done.jobs <= batch && done.fires <= batch);
        if done.is_empty() {
            return all;
        }
        all = Summarised { jobs: all.jobs + done.jobs, fires: all.fires + done.fires };
    }
}

async fn jobs(fixture: &Fixture) -> Vec<Job> {
    fixture.ledger.history(&HistoryFilter::default(), 1_000, None).await.unwrap().rows
}

async fn count(fixture: &Fixture, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement).fetch_one(fixture.ledger.writer()).await.unwrap()
}

async fn delete(fixture: &Fixture, job: &Job, n: u32, planned_at: &str) -> Deletion {
    let new = NewDeletion { id: deletion_id(n), ..new_deletion(job, n) };
    let record = PruneRecord { planned_at: at(planned_at), ..prune_record(&[], vec![new]) };
    let deletion = fixture.ledger.record_prune(&record).await.unwrap().deletions.remove(0);
    let gone = DeletionEvent::Deregistered { left: vec![], retry_at: at(planned_at) };
    fixture.ledger.record_deletion_event(&deletion, &gone, at(planned_at)).await.unwrap()
}

#[tokio::test]
async fn an_old_job_goes_with_all_that_belongs_to_it() {
    let fixture = Fixture::new().await;
    let job = fixture.succeeded(1).await;
    delete(&fixture, &job, 1, "2026-11-22T03:00:00Z").await;
    assert_eq!(fixture.ledger.summarise(at(LATER), 10).await.unwrap(), Summarised { jobs: 1, fires: 1 });
    for table in [
        "SELECT count(*) FROM jobs",
        "SELECT count(*) FROM events",
        "SELECT count(*) FROM images",
        "SELECT count(*) FROM deletions",
        "SELECT count(*) FROM summarising",
    ] {
        assert_eq!(count(&fixture, table).await, 0, "{table}");
    }
    let expected = SummaryRow {
        month: "2026-11".to_owned(),
        policy: "p-1".parse().unwrap(),
        account: job.key.account.clone(),
        region: job.key.region.clone(),
        instance: job.key.instance.clone(),
        trigger: Trigger::Schedule,
        class: job.class.clone(),
        mode: Some(Consistency::NoReboot),
        grade: Some(Grade::Offline),
        state: StateName::Succeeded,
        jobs: 1,
        timed: 1,
        total_ms: 0,
        min_ms: Some(0),
        max_ms: Some(0),
        first_at: at("2026-11-22T01:00:00Z"),
        last_at: at("2026-11-22T01:00:00Z"),
    };
    assert_eq!(fixture.ledger.summaries(None, None).await.unwrap(), [expected]);
    assert!(fixture.ledger.summarise(at(LATER), 10).await.unwrap().is_empty());
    fixture.ledger.check_integrity().await.unwrap();
}

#[tokio::test]
async fn the_job_of_an_image_that_exists_stays() {
    use ImageRowState as S;
    for state in ImageRowState::ALL {
        let fixture = Fixture::new().await;
        let job = fixture.succeeded(1).await;
        sqlx::query("UPDATE images SET state = ?1")
            .bind(state.as_str())
            .execute(fixture.ledger.writer())
            .await
            .unwrap();
        let done = fixture.ledger.summarise(at(LATER), 10).await.unwrap();
        assert_eq!(done.jobs, usize::from(state == S::Deleted), "{state:?}");
        let left = if state == S::Deleted { vec![] } else { vec![job.clone()] };
        assert_eq!(jobs(&fixture).await, left, "{state:?}");
        if state != S::Deleted {
            assert_eq!(fixture.image(1).await.job, job.id);
            assert_eq!(fixture.ledger.events(job.id).await.unwrap().len(), 6);
            assert_eq!(fixture.ledger.summaries(None, None).await.unwrap(), []);
        }
    }
}

#[tokio::test]
async fn of_two_images_of_a_job_both_must_be_gone() {
    let fixture = Fixture::new().await;
    let job = fixture.queued(1).await;
    let job = fixture.follow(job, &until_pending(1)).await;
    let retry_at = at("2026-11-22T01:10:00Z");
    let failed = JobEvent::ImageFailed { image: image(1), retry_at, reason: "internal".to_owned() };
    let mut events = vec![failed];
    events.extend(until_pending(2));
    events.push(JobEvent::Failed(error()));
    let job = fixture.follow(job, &events).await;
    delete(&fixture, &job, 1, "2026-11-22T03:00:00Z").await;
    assert_eq!(fixture.ledger.summarise(at(LATER), 10).await.unwrap().jobs, 0);
    delete(&fixture, &job, 2, "2026-11-22T03:00:00Z").await;
    assert_eq!(fixture.ledger.summarise(at(LATER), 10).await.unwrap().jobs, 1);
}

#[tokio::test]
async fn a_job_that_has_not_ended_or_is_young_stays() {
    let fixture = Fixture::new().await;
    let queued = fixture.queued(1).await;
    let job = fixture.queued(2).await;
    let skipped = JobEvent::Skipped(SkipReason::Overlapped);
    // It ended at 01:00:05.
    let skipped = fixture.ledger.record_event(&job, &skipped, at("2026-11-22T01:00:05Z")).await.unwrap();
    for before in ["2026-11-22T01:00:00Z", "2026-11-22T01:00:05Z"] {
        assert_eq!(fixture.ledger.summarise(at(before), 10).await.unwrap().jobs, 0, "{before}");
    }
    assert_eq!(jobs(&fixture).await.len(), 2);
    assert_eq!(fixture.ledger.summarise(at("2026-11-22T01:00:05.001Z"), 10).await.unwrap().jobs, 1);
    assert_eq!(jobs(&fixture).await, [queued]);
    assert_eq!(skipped.state.name(), StateName::Skipped);
}

/// A job of long ago whose image was deleted today: the limit of a day must not forget that.
#[tokio::test]
async fn a_deletion_stays_as_long_as_a_limit_may_count_it() {
    let fixture = Fixture::new().await;
    let job = fixture.succeeded(1).await;
    delete(&fixture, &job, 1, "2027-12-01T00:00:00Z").await;
    assert_eq!(fixture.ledger.summarise(at("2027-12-01T00:00:00Z"), 10).await.unwrap().jobs, 0);
    let counts = fixture.ledger.day_counts(at("2027-11-30T12:00:00Z")).await.unwrap();
    assert_eq!(counts[&job.key.policy].deleted, 1);
    assert_eq!(fixture.ledger.summarise(at("2027-12-01T00:00:01Z"), 10).await.unwrap().jobs, 1);
}

#[tokio::test]
async fn the_oldest_go_first_and_no_more_than_asked_for() {
    let fixture = Fixture::new().await;
    fixture.ledger.record_cursor(&cursor("2026-11-22T00:00:00Z")).await.unwrap();
    let hour = |n: u32| format!("2026-11-22T{n:02}:00:00Z");
    for n in 0..5 {
        let plan = plan(&hour(n), &hour(n + 1), vec![new_job(1, at(&hour(n + 1)))]);
        let job = fixture.ledger.record_fire(&plan).await.unwrap().jobs.remove(0);
        let skipped = JobEvent::Skipped(SkipReason::Vanished);
        fixture.ledger.record_event(&job, &skipped, at(&hour(n + 1))).await.unwrap();
    }
    assert_eq!(fixture.ledger.summarise(at(LATER), 2).await.unwrap(), Summarised { jobs: 2, fires: 2 });
    let left: Vec<_> = jobs(&fixture).await.iter().map(|it| it.key.scheduled_at).collect();
    assert_eq!(left, [at(&hour(5)), at(&hour(4)), at(&hour(3))]);
    assert_eq!(summarise_all(&fixture, LATER, 2).await, Summarised { jobs: 3, fires: 3 });
    let rows = fixture.ledger.summaries(None, None).await.unwrap();
    assert_eq!((rows.len(), rows[0].jobs, rows[0].timed, rows[0].min_ms), (1, 5, 0, None));
    assert_eq!((rows[0].first_at, rows[0].last_at), (at(&hour(1)), at(&hour(5))));
}

#[tokio::test]
async fn fires_add_up_by_their_outcome() {
    let fixture = Fixture::new().await;
    fixture.ledger.record_cursor(&cursor("2026-10-31T20:00:00Z")).await.unwrap();
    let several = |from: &str, to: &str, count| Some(Missed { from: at(from), to: at(to), count });
    let missed = FirePlan {
        run: None,
        missed: several("2026-10-31T21:00:00Z", "2026-10-31T23:00:00Z", 3),
        ..plan("2026-10-31T20:00:00Z", "2026-10-31T23:00:00Z", vec![])
    };
    let skipped = FirePlan {
        run: None,
        skipped: several("2026-11-01T00:00:00Z", "2026-11-01T01:00:00Z", 2),
        skipped_note: Some("all policies paused".to_owned()),
        ..plan("2026-10-31T23:00:00Z", "2026-11-01T01:00:00Z", vec![])
    };
    let nothing = plan("2026-11-01T01:00:00Z", "2026-11-01T02:00:00Z", vec![]);
    let scheduled_at = at("2026-11-01T03:00:00Z");
    let ran = plan("2026-11-01T02:00:00Z", "2026-11-01T03:00:00Z", (1..=3).map(|n| new_job(n, scheduled_at)).collect());
    for plan in [missed, skipped, nothing, ran] {
        fixture.ledger.record_fire(&plan).await.unwrap();
    }
    // The jobs of the one that ran are open.
    assert_eq!(summarise_all(&fixture, LATER, 1).await, Summarised { jobs: 0, fires: 3 });
    assert_eq!(fixture.ledger.fires(&FireFilter::default(), 10, None).await.unwrap().rows.len(), 1);
    for job in jobs(&fixture).await {
        fixture.ledger.record_event(&job, &JobEvent::Failed(error()), scheduled_at).await.unwrap();
    }
    assert_eq!(summarise_all(&fixture, LATER, 10).await, Summarised { jobs: 3, fires: 1 });
    let rows = fixture.ledger.fire_summaries(Some(&policy())).await.unwrap();
    let found: Vec<_> = rows.iter().map(|it| (it.month.as_str(), it.outcome.as_str(), it.fires, it.matched)).collect();
    let expected = [
        ("2026-10", "missed", 3, 0),
        ("2026-11", "no-match", 1, 0),
        ("2026-11", "ran", 1, 3),
        ("2026-11", "skipped", 2, 0),
    ];
    assert_eq!(found, expected);
    assert_eq!(fixture.ledger.fire_summaries(None).await.unwrap(), rows);
    assert_eq!(fixture.ledger.fire_summaries(Some(&"other".parse().unwrap())).await.unwrap(), []);
}

#[tokio::test]
async fn requests_pauses_and_prunes_go_once_nothing_refers_to_them() {
    let fixture = Fixture::new().await;
    let now = at("2026-11-22T03:00:00Z");
    let pause = async |n, scope, until: Option<&str>| {
        let kind = RequestKind::Pause { scope, until: None, reason: None };
        let id = fixture.request(n, kind.clone()).await;
        let RequestKind::Pause { scope, .. } = kind else { unreachable!() };
        let pause = Pause { id, scope, since: now, until: until.map(at), reason: None, ended_at: None };
        fixture.ledger.record_pause(&pause, now).await.unwrap();
        id
    };
    let endless = pause(1, PauseScope::All, None).await;
    let over = pause(2, PauseScope::Policy(policy()), Some("2026-11-22T04:00:00Z")).await;
    let open = fixture.request(3, RequestKind::Resume { scope: PauseScope::All }).await;
    let refused = fixture.request(4, RequestKind::Resume { scope: PauseScope::All }).await;
    fixture.ledger.record_request_refused(refused, &error(), now).await.unwrap();
    let job = fixture.succeeded(1).await;
    let with = fixture.request(5, RequestKind::Prune { policy: None, released: Released::default() }).await;
    let record = PruneRecord { request: Some(with), ..prune_record(&[1], vec![new_deletion(&job, 1)]) };
    fixture.ledger.record_prune(&record).await.unwrap();
    let without = fixture.request(6, RequestKind::Prune { policy: None, released: Released::default() }).await;
    let record = PruneRecord { request: Some(without), ..prune_record(&[1], vec![]) };
    fixture.ledger.record_prune(&record).await.unwrap();

    summarise_all(&fixture, LATER, 10).await;
    let mut left = BTreeSet::new();
    for id in [endless, over, open, refused, with, without] {
        left.extend(fixture.ledger.request(id).await.unwrap().map(|it| it.request.id));
    }
    assert_eq!(left, BTreeSet::from([endless, open, with]));
    assert_eq!(fixture.ledger.prunes(10).await.unwrap().len(), 1);
    let pauses = fixture.ledger.pauses_since(at("2026-11-22T03:00:00Z")).await.unwrap();
    assert_eq!(pauses.iter().map(|it| it.id).collect::<Vec<_>>(), [endless]);
}

#[tokio::test]
async fn an_old_job_that_cannot_be_read_stops_everything_and_is_named() {
    let fixture = Fixture::new().await;
    let job = fixture.queued(1).await;
    fixture.follow(job.clone(), &[JobEvent::Failed(error())]).await;
    sqlx::query("UPDATE jobs SET data = '{}'").execute(fixture.ledger.writer()).await.unwrap();
    let error = fixture.ledger.summarise(at(LATER), 10).await.unwrap_err();
    assert!(matches!(&error, LedgerError::Inconsistent { row, .. } if *row == job.id.to_string()), "{error}");
    assert_eq!(fixture.ledger.summaries(None, None).await.unwrap(), []);
    assert_eq!(fixture.ledger.events(job.id).await.unwrap().len(), 2);
}

/// Enough of a generator for a test: the same numbers for the same seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Jobs of some months, ended in every way or not at all; images of some are deleted.
async fn random_jobs(fixture: &Fixture, numbers: &mut Numbers) {
    // Their number matters here, not that they survive a power cut.
    sqlx::query("PRAGMA synchronous = OFF").execute(fixture.ledger.writer()).await.unwrap();
    let mut time = at("2026-01-01T00:00:00Z");
    fixture.ledger.record_cursor(&cursor("2026-01-01T00:00:00Z")).await.unwrap();
    for n in 1..=120_u32 {
        let next = time + SignedDuration::from_hours(1 + i64::try_from(numbers.below(60)).unwrap());
        let trigger = Trigger::ALL[usize::try_from(numbers.below(3)).unwrap()];
        let instance = u32::try_from(numbers.below(3)).unwrap();
        let job = crate::NewJob { trigger, ..new_job(instance, next) };
        let planned = plan(&time.to_string(), &next.to_string(), vec![job]);
        let mut job = fixture.ledger.record_fire(&planned).await.unwrap().jobs.remove(0);
        time = next;
        let mut events = until_pending(n);
        match numbers.below(7) {
            0 => events = vec![],
            // Alike to those that fail later, but for its duration.
            6 => events = vec![JobEvent::Failed(error())],
            1 => events = vec![JobEvent::Skipped(SkipReason::Overlapped)],
            2 => events = vec![JobEvent::Started, intended(), JobEvent::Failed(error())],
            3 => events.push(JobEvent::Failed(error())),
            _ => {
                let available = JobEvent::Available(crate::fixture::finished(n));
                events.extend([available, JobEvent::Graded { problem: None }]);
            }
        }
        let mut event_at = next;
        for event in events {
            event_at += SignedDuration::from_millis(i64::try_from(numbers.below(100_000)).unwrap());
            job = fixture.ledger.record_event(&job, &event, event_at).await.unwrap();
        }
        if job.finished_at().is_some() && job.image().is_some() && 0 < numbers.below(3) {
            delete(fixture, &job, n, &event_at.to_string()).await;
        }
    }
}

/// What should be left of jobs that are alike: how many, how many with a duration, sum, least and most, first and last.
type Left = (u64, u64, u64, Option<u64>, Option<u64>, Timestamp, Timestamp);

fn expected(jobs: &[Job]) -> BTreeMap<Vec<String>, Left> {
    let mut alike: BTreeMap<Vec<String>, Vec<&Job>> = BTreeMap::new();
    for job in jobs {
        let month = job.key.scheduled_at.to_string()[..7].to_owned();
        let sent = job.image().is_some();
        let words = vec![
            month,
            job.key.instance.to_string(),
            job.trigger.as_str().to_owned(),
            job.state.name().to_string(),
            if sent { "no-reboot".to_owned() } else { String::new() },
        ];
        alike.entry(words).or_default().push(job);
    }
    let left = |jobs: &Vec<&Job>| {
        let took = |job: &&Job| Some(job.finished_at()?.as_millisecond() - job.started_at?.as_millisecond());
        let took: Vec<u64> = jobs.iter().filter_map(took).map(|it| u64::try_from(it).unwrap()).collect();
        let times = || jobs.iter().map(|it| it.key.scheduled_at);
        let (min, max) = (took.iter().min().copied(), took.iter().max().copied());
        let (first, last) = (times().min().unwrap(), times().max().unwrap());
        (jobs.len() as u64, took.len() as u64, took.iter().sum(), min, max, first, last)
    };
    alike.iter().map(|(words, jobs)| (words.clone(), left(jobs))).collect()
}

#[tokio::test]
async fn whatever_the_jobs_are_summaries_and_what_is_left_add_up() {
    for seed in 1..=4 {
        let fixture = Fixture::new().await;
        let mut numbers = Numbers(seed);
        random_jobs(&fixture, &mut numbers).await;
        let before = jobs(&fixture).await;
        let limit = "2026-04-15T00:00:00Z";
        let all = summarise_all(&fixture, limit, 1 + usize::try_from(numbers.below(40)).unwrap()).await;
        let after = jobs(&fixture).await;

        let left: BTreeSet<JobId> = after.iter().map(|job| job.id).collect();
        let (stayed, gone): (Vec<Job>, Vec<Job>) = before.into_iter().partition(|job| left.contains(&job.id));
        assert_eq!(stayed, after, "seed {seed}");
        assert_eq!(gone.len(), all.jobs, "seed {seed}");
        assert!(20 < gone.len() && gone.iter().all(|job| job.key.scheduled_at < at(limit)), "seed {seed}");
        let rows = fixture.ledger.summaries(None, None).await.unwrap();
        let found: BTreeMap<Vec<String>, Left> = rows
            .iter()
            .map(|row| {
                let mode = row.mode.map(|it| it.to_string()).unwrap_or_default();
                let (trigger, state) = (row.trigger.as_str().to_owned(), row.state.to_string());
                let words = vec![row.month.clone(), row.instance.to_string(), trigger, state, mode];
                let left = (row.jobs, row.timed, row.total_ms, row.min_ms, row.max_ms, row.first_at, row.last_at);
                (words, left)
            })
            .collect();
        assert_eq!(found.len(), rows.len(), "no two rows are alike");
        assert_eq!(found, expected(&gone), "seed {seed}");

        // Every job that stays had a reason to, and every event has its job.
        let images = fixture.ledger.images(None, None).await.unwrap();
        let kept: BTreeSet<JobId> =
            images.iter().filter(|row| row.state != ImageRowState::Deleted).map(|row| row.job).collect();
        for job in after.iter().filter(|job| job.key.scheduled_at < at("2026-04-14T00:00:00Z")) {
            assert!(job.finished_at().is_none() || kept.contains(&job.id), "seed {seed}: {job:?}");
        }
        assert_eq!(count(&fixture, "SELECT count(*) FROM events WHERE job NOT IN (SELECT id FROM jobs)").await, 0);
        assert_eq!(count(&fixture, "SELECT count(*) FROM summarising").await, 0);
        fixture.ledger.check_integrity().await.unwrap();

        // By instance and by policy the same rows are found.
        let instance = crate::fixture::instance(1);
        let of_instance = fixture.ledger.summaries(Some(&policy()), Some(&instance)).await.unwrap();
        let same: Vec<_> = rows.iter().filter(|row| row.instance == instance).cloned().collect();
        assert_eq!(of_instance, same);
        assert_eq!(fixture.ledger.summaries(Some(&policy()), None).await.unwrap(), rows);
    }
}

#[tokio::test]
async fn a_summary_that_fails_leaves_every_job() {
    let fixture = Fixture::new().await;
    let job = fixture.queued(1).await;
    let job = fixture.follow(job, &[JobEvent::Failed(error())]).await;
    let refuse = "CREATE TRIGGER refuse BEFORE DELETE ON jobs BEGIN SELECT RAISE(ABORT, 'no'); END";
    sqlx::query(refuse).execute(fixture.ledger.writer()).await.unwrap();
    let error = fixture.ledger.summarise(at(LATER), 10).await.unwrap_err();
    assert!(matches!(error, LedgerError::Summarise { .. }), "{error}");
    assert_eq!(jobs(&fixture).await, std::slice::from_ref(&job));
    assert_eq!(fixture.ledger.events(job.id).await.unwrap().len(), 2);
    assert_eq!(fixture.ledger.summaries(None, None).await.unwrap(), []);
    assert_eq!(count(&fixture, "SELECT count(*) FROM summarising").await, 0);
}

#[test]
fn a_job_that_ended_before_it_began_has_no_duration() {
    let job = Job {
        started_at: Some(at("2026-11-22T01:00:05Z")),
        state: JobState::Failed { error: error(), image: None, finished_at: at("2026-11-22T01:00:04Z") },
        ..queued()
    };
    assert_eq!(took_ms(&job), None);
    assert_eq!(took_ms(&Job { started_at: Some(at("2026-11-22T01:00:01.5Z")), ..job }), Some(2_500));
}

fn queued() -> Job {
    let job = new_job(1, at("2026-11-22T01:00:00Z"));
    Job {
        id: job.id,
        key: job.key,
        account_name: job.account_name,
        trigger: job.trigger,
        request: None,
        asked: None,
        class: job.class,
        window: job.window,
        created_at: job.created_at,
        started_at: None,
        attempts: 0,
        number: amikeep_domain::image_name::ImageNumber::FIRST,
        intent: None,
        hold: None,
        state: JobState::Queued { retry_at: None, waiting_for: None },
    }
}
