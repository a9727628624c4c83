//! Requests are settled once, and manual jobs never share a second.

use amikeep_domain::job::JobState;
use amikeep_domain::pause::PauseScope;
use amikeep_domain::prune::Released;

use amikeep_domain::class::Consistency;

use super::*;
use crate::fixture::{Fixture, at, error, instance, new_job, policy};

fn request(n: u8) -> Request {
    let kind = RequestKind::Backup {
        instance: instance(1),
        policy: policy(),
        account: Some("default".parse().unwrap()),
        consistency: Some(Consistency::NoReboot),
    };
    let requested_at = at("2026-11-22T01:00:00.5Z");
    Request { id: RequestId::new(requested_at, [n; 10]), kind, requested_at }
}

fn manual(n: u32) -> NewJob {
    // The id is another one, the key is the same.
    let now = at("2026-11-22T01:00:00.5Z");
    let job = new_job(1, now);
    NewJob { id: crate::fixture::job_id(n, now), ..job }
}

#[tokio::test]
async fn a_request_is_open_until_its_job_is_recorded() {
    let fixture = Fixture::new().await;
    let commands = Ledger::open_for_requests(&fixture.path()).await.unwrap();
    commands.record_request(&request(1)).await.unwrap();
    assert_eq!(fixture.ledger.open_requests().await.unwrap(), [request(1)]);
    let open = RequestStatus { request: request(1), job: None, prune: None, refused: None, done: false };
    assert_eq!(commands.request(request(1).id).await.unwrap(), Some(open.clone()));

    let at = at("2026-11-22T01:00:01Z");
    let job = fixture.ledger.record_request_planned(request(1).id, manual(1), at).await.unwrap();
    assert_eq!(job.request, Some(request(1).id));
    assert!(matches!(job.state, JobState::Queued { .. }));
    assert_eq!(fixture.ledger.open_requests().await.unwrap(), []);
    let planned = RequestStatus { job: Some(job.id), ..open };
    assert_eq!(commands.request(request(1).id).await.unwrap(), Some(planned));
    let filter = crate::HistoryFilter { request: Some(request(1).id), ..Default::default() };
    assert_eq!(fixture.ledger.history(&filter, 10, None).await.unwrap().rows, [job]);
}

#[tokio::test]
async fn manual_jobs_have_whole_seconds_and_each_its_own() {
    let fixture = Fixture::new().await;
    let mut jobs = Vec::new();
    for n in 1..=3 {
        fixture.ledger.record_request(&request(n)).await.unwrap();
        let now = at("2026-11-22T01:00:01Z");
        let job = fixture.ledger.record_request_planned(request(n).id, manual(n.into()), now).await.unwrap();
        jobs.push((job.key.scheduled_at, job.window));
    }
    let expected = ["2026-11-22T01:00:00Z", "2026-11-22T01:00:01Z", "2026-11-22T01:00:02Z"];
    assert_eq!(jobs.iter().map(|it| it.0).collect::<Vec<_>>(), expected.map(at));
    let first = manual(1).window;
    for (moved, (_, window)) in (0..).zip(&jobs) {
        let by = SignedDuration::from_secs(moved);
        assert_eq!((window.start_at, window.start_by), (first.start_at + by, first.start_by + by));
    }
}

#[tokio::test]
async fn a_request_is_settled_once() {
    let fixture = Fixture::new().await;
    let now = at("2026-11-22T01:00:01Z");
    fixture.ledger.record_request(&request(1)).await.unwrap();
    fixture.ledger.record_request_planned(request(1).id, manual(1), now).await.unwrap();
    let error_1 = fixture.ledger.record_request_planned(request(1).id, manual(2), now).await.unwrap_err();
    let error_2 = fixture.ledger.record_request_refused(request(1).id, &error(), now).await.unwrap_err();
    for error in [error_1, error_2] {
        assert!(matches!(error, LedgerError::RequestSettled { .. }), "{error}");
    }
    // The second job went with its transaction.
    assert_eq!(fixture.ledger.open_jobs().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_refused_request_says_why() {
    let fixture = Fixture::new().await;
    fixture.ledger.record_request(&request(1)).await.unwrap();
    fixture.ledger.record_request_refused(request(1).id, &error(), at("2026-11-22T01:00:01Z")).await.unwrap();
    let status = fixture.ledger.request(request(1).id).await.unwrap().unwrap();
    assert_eq!((status.job, status.refused), (None, Some(error())));
    assert_eq!(fixture.ledger.open_requests().await.unwrap(), []);
}

#[tokio::test]
async fn an_unknown_request_gets_no_job() {
    let fixture = Fixture::new().await;
    let now = at("2026-11-22T01:00:01Z");
    assert_eq!(fixture.ledger.request(request(1).id).await.unwrap(), None);
    fixture.ledger.record_request_planned(request(1).id, manual(1), now).await.unwrap_err();
    let error = fixture.ledger.record_request_refused(request(1).id, &error(), now).await.unwrap_err();
    assert!(matches!(error, LedgerError::UnknownRequest { .. }), "{error}");
    assert_eq!(fixture.ledger.open_jobs().await.unwrap(), []);
}

#[tokio::test]
async fn a_command_may_write_requests_and_nothing_else() {
    let fixture = Fixture::new().await;
    let commands = Ledger::open_for_requests(&fixture.path()).await.unwrap();
    commands.record_request(&request(1)).await.unwrap();
    let now = at("2026-11-22T01:00:01Z");
    let error = commands.record_request_planned(request(1).id, manual(1), now).await.unwrap_err();
    assert!(matches!(error, LedgerError::NotForWriting { .. }), "{error}");
    let reader = Ledger::open_read_only(&fixture.path()).await.unwrap();
    let error = reader.record_request(&request(2)).await.unwrap_err();
    assert!(matches!(error, LedgerError::NotForWriting { .. }), "{error}");
}

#[tokio::test]
async fn commands_and_the_engine_write_side_by_side() {
    let fixture = Fixture::new().await;
    let commands = Ledger::open_for_requests(&fixture.path()).await.unwrap();
    let asking = async {
        for n in 0..100 {
            commands.record_request(&request(n)).await.unwrap();
        }
    };
    let working = async {
        for n in 0..100 {
            fixture.queued(n).await;
        }
    };
    tokio::join!(asking, working);
    assert_eq!(fixture.ledger.open_requests().await.unwrap().len(), 100);
    assert_eq!(fixture.ledger.open_jobs().await.unwrap().len(), 100);
}

#[tokio::test]
async fn a_request_of_any_kind_is_read_as_it_was_written() {
    let fixture = Fixture::new().await;
    let (policy, account) = (policy(), "default".parse().unwrap());
    let image = crate::fixture::image(1);
    let scopes = [PauseScope::All, PauseScope::Policy(policy.clone()), PauseScope::Instance(instance(1))];
    let until = Some(at("2026-11-23T06:00:00.000000001Z"));
    let mut kinds = vec![
        request(1).kind,
        RequestKind::Backup { instance: instance(2), policy: policy.clone(), account: None, consistency: None },
        RequestKind::Prune { policy: None, released: Released::default() },
        RequestKind::Prune {
            policy: Some(policy.clone()),
            released: Released {
                images: [image.clone(), crate::fixture::image(2)].into(),
                sets: [crate::fixture::job_id(1, at("2026-11-22T01:00:00Z"))].into(),
            },
        },
        RequestKind::Pause { scope: PauseScope::All, until, reason: Some("a \"good\" one".to_owned()) },
        RequestKind::Cancel { job: crate::fixture::job_id(1, at("2026-11-22T01:00:00Z")) },
        RequestKind::Pin { image: image.clone(), account: Some(account) },
        RequestKind::Unpin { image, account: None },
    ];
    for scope in scopes {
        kinds.push(RequestKind::Pause { scope: scope.clone(), until: None, reason: None });
        kinds.push(RequestKind::Resume { scope });
    }
    let words: std::collections::BTreeSet<_> = kinds.iter().map(|kind| kind::encode(kind).0).collect();
    assert_eq!(words.len(), kind::Word::ALL.len());
    for (n, kind) in (1..).zip(kinds) {
        let id = fixture.request(n, kind.clone()).await;
        assert_eq!(fixture.ledger.request(id).await.unwrap().unwrap().request.kind, kind);
    }
}

/// As a command of a later release may write it into the same schema.
#[tokio::test]
async fn a_request_that_cannot_be_read_is_refused_and_holds_up_no_other() {
    let fixture = Fixture::new().await;
    let now = at("2026-11-22T03:00:00Z");
    let wanted = request(1);
    fixture.ledger.record_request(&wanted).await.unwrap();
    let odd = request(2).id.to_string();
    let query = sqlx::query(sql::INSERT_REQUEST).bind(&odd).bind("cancel").bind("{\"of\": \"tomorrow\"}");
    query.bind(millis(now)).execute(fixture.ledger.writer()).await.unwrap();
    assert_eq!(fixture.ledger.open_requests().await.unwrap(), std::slice::from_ref(&wanted));
    let error = JobError::new("unreadable", "it is of another release", "restart");
    assert_eq!(fixture.ledger.refuse_unreadable_requests(&error, now).await.unwrap(), 1);
    assert_eq!(fixture.ledger.refuse_unreadable_requests(&error, now).await.unwrap(), 0, "once");
    assert_eq!(fixture.ledger.open_requests().await.unwrap(), [wanted]);
}

#[tokio::test]
async fn a_request_that_was_carried_out_is_done_once() {
    let fixture = Fixture::new().await;
    let now = at("2026-11-22T03:00:00Z");
    let job = crate::fixture::job_id(1, now);
    let id = fixture.request(1, RequestKind::Cancel { job }).await;
    assert!(!fixture.ledger.request(id).await.unwrap().unwrap().done);
    fixture.ledger.record_request_done(id, now).await.unwrap();
    let status = fixture.ledger.request(id).await.unwrap().unwrap();
    assert_eq!((status.done, status.job, status.prune, status.refused), (true, None, None, None));
    assert_eq!(fixture.ledger.open_requests().await.unwrap(), []);
    let error = fixture.ledger.record_request_done(id, now).await.unwrap_err();
    assert!(matches!(error, LedgerError::RequestSettled { .. }), "{error}");
}

#[tokio::test]
async fn a_scope_that_makes_no_sense_is_refused() {
    for (scope, name) in [("all", Some("db")), ("policy", None), ("instance", Some("db")), ("fleet", None)] {
        assert!(scope_from_words(scope, name).is_err(), "{scope} {name:?}");
    }
}
