//! A pause is in force from its request to its end, and of one scope only the last holds.

use super::*;
use crate::RequestKind;
use crate::fixture::{Fixture, at, error, instance, policy};

fn time(hour: u32) -> Timestamp {
    at(&format!("2026-11-22T{hour:02}:00:00Z"))
}

/// An operator pauses at this hour.
async fn pause(fixture: &Fixture, n: u8, scope: PauseScope, hours: (u32, Option<u32>)) -> Pause {
    let (since, until) = (time(hours.0), hours.1.map(time));
    let reason = Some("disk replacement".to_owned());
    let kind = RequestKind::Pause { scope: scope.clone(), until, reason: reason.clone() };
    let id = fixture.request(n, kind).await;
    let pause = Pause { id, scope, since, until, reason, ended_at: None };
    fixture.ledger.record_pause(&pause, since).await.unwrap();
    pause
}

async fn resume(fixture: &Fixture, n: u8, scope: &PauseScope, hour: u32) -> (RequestId, Vec<Pause>) {
    let id = fixture.request(n, RequestKind::Resume { scope: scope.clone() }).await;
    (id, fixture.ledger.record_resume(id, scope, &error(), time(hour)).await.unwrap())
}

async fn in_force(fixture: &Fixture, hour: u32) -> Vec<RequestId> {
    fixture.ledger.pauses_in_force(time(hour)).await.unwrap().into_iter().map(|it| it.id).collect()
}

#[tokio::test]
async fn a_pause_is_read_as_it_was_written_and_its_request_is_done() {
    let fixture = Fixture::new().await;
    let scopes = [PauseScope::All, PauseScope::Policy(policy()), PauseScope::Instance(instance(1))];
    let mut pauses = Vec::new();
    for (n, scope) in (1..).zip(scopes) {
        pauses.push(pause(&fixture, n, scope, (2, (n == 2).then_some(5))).await);
    }
    assert_eq!(fixture.ledger.pauses_in_force(time(3)).await.unwrap(), pauses);
    for pause in &pauses {
        let status = fixture.ledger.request(pause.id).await.unwrap().unwrap();
        assert!(status.done && status.refused.is_none());
    }
    assert_eq!(fixture.ledger.open_requests().await.unwrap(), []);
}

#[tokio::test]
async fn a_pause_is_in_force_until_its_end() {
    let fixture = Fixture::new().await;
    let pause = pause(&fixture, 1, PauseScope::All, (2, Some(4))).await;
    for (hour, expected) in [(1, false), (2, true), (3, true), (4, false)] {
        assert_eq!(!in_force(&fixture, hour).await.is_empty(), expected, "{hour}");
    }
    // Fires of the time before it ended may still be planned.
    assert_eq!(fixture.ledger.pauses_since(time(3)).await.unwrap(), [pause]);
    assert_eq!(fixture.ledger.pauses_since(time(4)).await.unwrap(), []);
}

#[tokio::test]
async fn of_one_scope_the_last_pause_holds() {
    let fixture = Fixture::new().await;
    let scope = PauseScope::Policy(policy());
    let other = pause(&fixture, 1, PauseScope::All, (1, None)).await;
    let first = pause(&fixture, 2, scope.clone(), (2, None)).await;
    let second = pause(&fixture, 3, scope.clone(), (3, Some(5))).await;
    assert_eq!(in_force(&fixture, 3).await, [other.id, second.id]);
    assert_eq!(in_force(&fixture, 5).await, [other.id], "the first does not come back when the second has ended");
    let known = fixture.ledger.pauses_since(time(2)).await.unwrap();
    assert_eq!(known, [other, Pause { ended_at: Some(time(3)), ..first }, second]);
}

#[tokio::test]
async fn resuming_ends_exactly_its_scope() {
    let fixture = Fixture::new().await;
    let scope = PauseScope::Instance(instance(1));
    let all = pause(&fixture, 1, PauseScope::All, (1, None)).await;
    let other = pause(&fixture, 2, PauseScope::Instance(instance(2)), (1, None)).await;
    let meant = pause(&fixture, 3, scope.clone(), (2, None)).await;
    let (request, ended) = resume(&fixture, 4, &scope, 3).await;
    assert_eq!(ended, [Pause { ended_at: Some(time(3)), ..meant }]);
    assert!(fixture.ledger.request(request).await.unwrap().unwrap().done);
    assert_eq!(in_force(&fixture, 3).await, [all.id, other.id]);
}

#[tokio::test]
async fn resuming_what_is_not_paused_is_refused() {
    let fixture = Fixture::new().await;
    pause(&fixture, 1, PauseScope::Policy(policy()), (1, Some(2))).await;
    pause(&fixture, 2, PauseScope::All, (1, None)).await;
    let (request, ended) = resume(&fixture, 3, &PauseScope::Policy(policy()), 3).await;
    assert_eq!(ended, []);
    let status = fixture.ledger.request(request).await.unwrap().unwrap();
    assert_eq!((status.done, status.refused), (false, Some(error())));
    assert_eq!(in_force(&fixture, 3).await.len(), 1);
}

#[tokio::test]
async fn a_pause_whose_request_is_settled_is_not_recorded() {
    let fixture = Fixture::new().await;
    let first = pause(&fixture, 1, PauseScope::All, (1, None)).await;
    let again = fixture.ledger.record_pause(&first, time(2)).await.unwrap_err();
    assert!(matches!(again, LedgerError::RequestSettled { .. }), "{again}");
    let unknown = Pause { id: RequestId::new(time(1), [9; 10]), ..first };
    let error = fixture.ledger.record_pause(&unknown, time(2)).await.unwrap_err();
    assert!(matches!(error, LedgerError::UnknownRequest { .. }), "{error}");
    assert_eq!(in_force(&fixture, 2).await, [first.id], "and the one in force was not ended");
}
