//! Jobs survive their row, and nothing changes a job behind its holder's back.

use amikeep_domain::decision::SkipReason;
use amikeep_domain::job::StateName;
use jiff::SignedDuration;

use super::*;
use crate::error::LedgerError;
use crate::fixture::{Fixture, at, error, finished, image, intended, new_job, until_pending};

const AT: &str = "2026-11-22T01:00:05.000000007Z";

/// For every state the events that lead there, so that each job is one that the domain allows.
fn paths() -> Vec<(StateName, Vec<JobEvent>)> {
    let then = |mut path: Vec<JobEvent>, more: &[JobEvent]| {
        path.extend_from_slice(more);
        path
    };
    let deferred = JobEvent::Deferred { retry_at: at(AT), reason: "throttled".to_owned() };
    let capturing = vec![JobEvent::Started, intended()];
    let unknown = JobEvent::OutcomeUnknown { reason: "timeout".to_owned() };
    let available = JobEvent::Available(finished(1));
    let image_failed = JobEvent::ImageFailed { image: image(1), retry_at: at(AT), reason: "internal".to_owned() };
    vec![
        (StateName::Queued, vec![]),
        (StateName::Queued, vec![JobEvent::Started, deferred]),
        (StateName::Queued, then(until_pending(1), &[image_failed])),
        (StateName::Preparing, vec![JobEvent::Started]),
        (StateName::Capturing, capturing.clone()),
        (StateName::Capturing, then(capturing.clone(), &[unknown, JobEvent::NameInUse])),
        (StateName::Pending, until_pending(1)),
        (StateName::Pending, then(capturing.clone(), &[JobEvent::Adopted { image: image(1) }, JobEvent::Stalled])),
        (StateName::Pending, then(until_pending(1), &[JobEvent::OfflineChecked { still_stopped: true }])),
        (StateName::Pending, then(until_pending(1), &[JobEvent::OfflineChecked { still_stopped: false }])),
        (StateName::Finishing, then(until_pending(1), std::slice::from_ref(&available))),
        (StateName::Succeeded, then(until_pending(1), &[available.clone(), JobEvent::Graded { problem: None }])),
        (StateName::Failed, vec![JobEvent::Failed(error())]),
        (StateName::Failed, then(until_pending(1), &[JobEvent::Failed(error())])),
        (StateName::Failed, then(until_pending(1), &[available, JobEvent::Failed(error())])),
        (StateName::Skipped, vec![JobEvent::Skipped(SkipReason::Overlapped)]),
        (StateName::Skipped, vec![JobEvent::Started, JobEvent::Skipped(SkipReason::Vanished)]),
    ]
}

#[tokio::test]
async fn a_job_in_any_state_is_read_as_it_was_written() {
    for (state, events) in paths() {
        let fixture = Fixture::new().await;
        let queued = fixture.queued(1).await;
        let job = fixture.follow(queued, &events).await;
        assert_eq!(job.state.name(), state);
        assert_eq!(fixture.ledger.job(job.id).await.unwrap(), Some(job.clone()), "{events:?}");
        let words: Vec<_> = fixture.ledger.events(job.id).await.unwrap().into_iter().map(|it| it.event).collect();
        let wanted: Vec<_> = std::iter::once("queued").chain(events.iter().map(JobEvent::as_str)).collect();
        assert_eq!(words, wanted);
    }
    // No event leads to `holding` yet.
    let covered: std::collections::BTreeSet<_> = paths().into_iter().map(|(state, _)| state).collect();
    assert_eq!(covered.len(), StateName::ALL.len() - 1);
}

#[test]
fn holding_is_read_as_it_was_written() {
    let job = Job { state: JobState::Holding, ..new_job(1, at("2026-11-22T01:00:00Z")).queued() };
    assert_eq!(Job::try_from(JobRow::from(&job)).unwrap(), job);
}

#[tokio::test]
async fn the_intent_and_the_image_keep_every_digit_of_their_times() {
    let fixture = Fixture::new().await;
    let job = fixture.queued(1).await;
    let job = fixture.follow(job, &[JobEvent::Started, intended()]).await;
    assert_eq!(job.intent, Some(crate::fixture::intent()));
    let accepted = JobEvent::Accepted { image: image(1) };
    let job = fixture.ledger.record_event(&job, &accepted, at(AT)).await.unwrap();
    assert!(matches!(&job.state, JobState::Pending(it) if it.accepted_at == at(AT)), "{job:?}");
}

#[tokio::test]
async fn an_event_meant_for_an_older_version_of_the_job_is_refused() {
    let fixture = Fixture::new().await;
    let queued = fixture.queued(1).await;
    let taken = fixture.ledger.record_event(&queued, &JobEvent::Started, at(AT)).await.unwrap();
    let error = fixture.ledger.record_event(&queued, &JobEvent::Started, at(AT)).await.unwrap_err();
    assert!(matches!(error, LedgerError::Conflict { .. }), "{error}");
    // Back in the same state, but not the same: it has been started.
    let deferred = JobEvent::Deferred { retry_at: at(AT), reason: "throttled".to_owned() };
    fixture.ledger.record_event(&taken, &deferred, at(AT)).await.unwrap();
    let error = fixture.ledger.record_event(&queued, &JobEvent::Started, at(AT)).await.unwrap_err();
    assert!(matches!(error, LedgerError::Conflict { .. }), "{error}");
    assert_eq!(fixture.ledger.events(queued.id).await.unwrap().len(), 3);
}

#[tokio::test]
async fn of_two_that_take_up_a_job_at_once_one_gets_it() {
    let fixture = Fixture::new().await;
    let job = fixture.queued(1).await;
    let other = Ledger::open_for_engine(&fixture.path(), &fixture.lock).await.unwrap();
    let (one, two) = tokio::join!(
        fixture.ledger.record_event(&job, &JobEvent::Started, at(AT)),
        other.record_event(&job, &JobEvent::Started, at(AT)),
    );
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    assert_eq!(fixture.ledger.events(job.id).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_event_that_cannot_follow_leaves_no_trace() {
    let fixture = Fixture::new().await;
    let job = fixture.queued(1).await;
    let error = fixture.ledger.record_event(&job, &JobEvent::Stalled, at(AT)).await.unwrap_err();
    assert!(matches!(error, LedgerError::IllegalTransition(_)), "{error}");
    assert_eq!(fixture.ledger.job(job.id).await.unwrap(), Some(job.clone()));
    assert_eq!(fixture.ledger.events(job.id).await.unwrap().len(), 1, "that it was queued");
}

#[tokio::test]
async fn several_events_are_recorded_all_or_none() {
    let fixture = Fixture::new().await;
    let (one, two) = (fixture.queued(1).await, fixture.queued(2).await);
    let bad = [(one.clone(), JobEvent::Started), (two.clone(), JobEvent::Stalled)];
    fixture.ledger.record_events(&bad, at(AT)).await.unwrap_err();
    assert_eq!(fixture.ledger.job(one.id).await.unwrap(), Some(one.clone()));
    assert_eq!(fixture.ledger.events(one.id).await.unwrap().len(), 1, "that it was queued");

    let good = [(one.clone(), JobEvent::Started), (two.clone(), JobEvent::Failed(error()))];
    let jobs = fixture.ledger.record_events(&good, at(AT)).await.unwrap();
    let names: Vec<_> = jobs.iter().map(|it| it.state.name()).collect();
    assert_eq!(names, [StateName::Preparing, StateName::Failed]);
}

#[tokio::test]
async fn an_unknown_job_is_no_job_and_takes_no_event() {
    let fixture = Fixture::new().await;
    let job = new_job(9, at("2026-11-22T01:00:00Z")).queued();
    assert_eq!(fixture.ledger.job(job.id).await.unwrap(), None);
    let error = fixture.ledger.record_event(&job, &JobEvent::Started, at(AT)).await.unwrap_err();
    assert!(matches!(error, LedgerError::UnknownJob { .. }), "{error}");
}

#[tokio::test]
async fn a_shortened_id_finds_its_jobs() {
    let fixture = Fixture::new().await;
    let (one, two) = (fixture.queued(1).await, fixture.queued(2).await);
    let id = one.id.to_string();
    assert_eq!(fixture.ledger.find_jobs(&id.to_uppercase()).await.unwrap(), std::slice::from_ref(&one));
    assert_eq!(fixture.ledger.find_jobs(&id[..8]).await.unwrap(), [one, two]);
    assert_eq!(fixture.ledger.find_jobs("ffff").await.unwrap(), []);
}

#[tokio::test]
async fn open_jobs_are_those_that_have_not_ended() {
    let fixture = Fixture::new().await;
    let mut open = Vec::new();
    for (n, (state, events)) in (1..).zip(paths()) {
        let events: Vec<_> = events.into_iter().map(|event| with_image(event, n)).collect();
        let queued = fixture.queued(n).await;
        let job = fixture.follow(queued, &events).await;
        open.extend((!state.is_terminal()).then_some(job));
    }
    open.sort_by_key(|job| (job.key.scheduled_at, job.id));
    assert_eq!(fixture.ledger.open_jobs().await.unwrap(), open);
}

/// Images of different jobs are different images.
fn with_image(event: JobEvent, n: u32) -> JobEvent {
    match event {
        JobEvent::Accepted { .. } => JobEvent::Accepted { image: image(n) },
        JobEvent::Adopted { .. } => JobEvent::Adopted { image: image(n) },
        JobEvent::Available(_) => JobEvent::Available(finished(n)),
        JobEvent::ImageFailed { retry_at, reason, .. } => JobEvent::ImageFailed { image: image(n), retry_at, reason },
        other => other,
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named_and_never_guessed() {
    for (column, statement) in [
        ("data", "UPDATE jobs SET data = '{\"retry_at\": \"soon\", \"waiting_for\": null}'"),
        ("data", "UPDATE jobs SET data = '{}', state = 'pending', intent = '{}'"),
        ("intent", "UPDATE jobs SET intent = '{}'"),
        ("instance", "UPDATE jobs SET instance = 'web-1'"),
        ("start_by", "UPDATE jobs SET start_by = 9223372036854775807"),
        ("number", "UPDATE jobs SET number = 4294967296"),
    ] {
        let fixture = Fixture::new().await;
        let job = fixture.queued(1).await;
        sqlx::query(statement).execute(fixture.ledger.writer()).await.unwrap();
        let error = fixture.ledger.job(job.id).await.unwrap_err();
        let LedgerError::Inconsistent { table: "jobs", column: found, row } = &error else { panic!("{error}") };
        assert!(*found == column || *found == "intent", "{statement}: {error}");
        assert_eq!(*row, job.id.to_string());
        assert!(fixture.ledger.record_event(&job, &JobEvent::Started, at(AT)).await.is_err());
    }
}

#[tokio::test]
async fn a_job_may_wait_until_the_end_of_time() {
    let fixture = Fixture::new().await;
    let scheduled_at = at("2026-11-22T01:00:00Z");
    let window = StartWindow { start_at: scheduled_at, start_by: Timestamp::MAX };
    let mut tx = fixture.ledger.begin(Access::Engine).await.unwrap();
    let job = insert(&mut tx, NewJob { window, ..new_job(1, scheduled_at) }).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    assert!(Timestamp::MAX.duration_since(job.window.start_by) < SignedDuration::from_secs(1));
    assert_eq!(fixture.ledger.job(job.id).await.unwrap(), Some(job));
}

#[tokio::test]
async fn jobs_are_found_by_their_ids_however_many() {
    let fixture = Fixture::new().await;
    let (one, two) = (fixture.queued(1).await, fixture.queued(2).await);
    fixture.queued(3).await;
    // More than are read at once, most of them unknown, and one twice.
    let unknown = |n| crate::fixture::job_id(n, at("2026-11-22T01:00:00Z"));
    let mut ids: Vec<JobId> = (100..1_200).map(unknown).collect();
    ids.extend([two.id, one.id, two.id]);
    ids.insert(0, two.id);
    assert_eq!(fixture.ledger.jobs_by_ids(&ids).await.unwrap(), [one, two]);
    assert_eq!(fixture.ledger.jobs_by_ids(&[]).await.unwrap(), []);
}
