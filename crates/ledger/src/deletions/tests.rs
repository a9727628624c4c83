//! A deletion survives its row, its image follows it both ways, and nobody changes it behind its holder's back.

use amikeep_domain::job::Job;
use amikeep_domain::prune::{DeletionStateName, LeftSnapshot};

use super::*;
use crate::fixture::{Fixture, account, at, deletion_id, error, image, new_deletion, prune_record, region, snapshot};
use crate::prunes::NewDeletion;

const AT: &str = "2026-11-22T03:01:00.000000007Z";

/// A deletion of the image `n`, written down.
async fn planned(fixture: &Fixture, n: u32) -> (Job, Deletion) {
    let job = fixture.succeeded(n).await;
    let record = prune_record(&[n], vec![new_deletion(&job, n)]);
    let deletion = fixture.ledger.record_prune(&record).await.unwrap().deletions.remove(0);
    (job, deletion)
}

async fn follow(fixture: &Fixture, deletion: Deletion, events: &[DeletionEvent]) -> Deletion {
    let mut deletion = deletion;
    for event in events {
        deletion = fixture.ledger.record_deletion_event(&deletion, event, at(AT)).await.unwrap();
    }
    deletion
}

fn left(n: u32, failed: bool) -> LeftSnapshot {
    LeftSnapshot { snapshot: snapshot(n), error: failed.then(error) }
}

fn deregistered() -> DeletionEvent {
    DeletionEvent::Deregistered { left: vec![left(1, false), left(2, true)], retry_at: at(AT) }
}

fn checked(left: Vec<LeftSnapshot>) -> DeletionEvent {
    DeletionEvent::SnapshotsChecked { left, retry_at: at(AT) }
}

fn deferred() -> DeletionEvent {
    DeletionEvent::Deferred { retry_at: at(AT), reason: "throttled".to_owned() }
}

fn withdrawn() -> DeletionEvent {
    DeletionEvent::Withdrawn { reason: "it was pinned".to_owned() }
}

/// For every state the events that lead there, and the state of the image.
fn paths() -> Vec<(DeletionStateName, ImageRowState, Vec<DeletionEvent>)> {
    use DeletionStateName as S;
    use ImageRowState as I;
    let gone = DeletionEvent::Deregistered { left: vec![], retry_at: at(AT) };
    vec![
        (S::Planned, I::Deleting, vec![]),
        (S::Planned, I::Deleting, vec![deferred()]),
        (S::SnapshotsLeft, I::SnapshotsLeft, vec![deregistered()]),
        (S::SnapshotsLeft, I::SnapshotsLeft, vec![deregistered(), deferred(), checked(vec![left(2, true)])]),
        (S::Done, I::Deleted, vec![gone]),
        (S::Done, I::Deleted, vec![deferred(), deregistered(), checked(vec![])]),
        (S::Refused, I::Available, vec![DeletionEvent::Refused(error())]),
        (S::Withdrawn, I::Available, vec![deferred(), withdrawn()]),
    ]
}

#[tokio::test]
async fn a_deletion_in_any_state_is_read_as_it_was_written_and_its_image_follows() {
    for (state, image_state, events) in paths() {
        let fixture = Fixture::new().await;
        let (job, deletion) = planned(&fixture, 1).await;
        let deletion = follow(&fixture, deletion, &events).await;
        assert_eq!(deletion.state.name(), state);
        assert_eq!(deletion.attempts as usize, events.len());
        assert_eq!(fixture.ledger.deletion(deletion.id).await.unwrap(), Some(deletion.clone()), "{events:?}");
        assert_eq!(fixture.image_state(1).await, image_state, "{events:?}");
        let wanted: Vec<_> =
            std::iter::once("deletion-planned").chain(events.iter().map(DeletionEvent::as_str)).collect();
        assert_eq!(fixture.words(&job).await, wanted);
        let open = if state.is_terminal() { vec![] } else { vec![deletion] };
        assert_eq!(fixture.ledger.open_deletions().await.unwrap(), open);
    }
    let covered: std::collections::BTreeSet<_> = paths().into_iter().map(|(state, ..)| state).collect();
    assert_eq!(covered.len(), DeletionStateName::ALL.len());
}

#[tokio::test]
async fn an_image_that_stays_after_all_is_again_what_it_was() {
    let fixture = Fixture::new().await;
    let (failed, missing) = (fixture.failed(1).await, fixture.succeeded(2).await);
    let record = prune_record(&[1], vec![new_deletion(&failed, 1), new_deletion(&missing, 2)]);
    let deletions = fixture.ledger.record_prune(&record).await.unwrap().deletions;
    for (n, state) in [(1, ImageRowState::Failed), (2, ImageRowState::Missing)] {
        assert_eq!(fixture.image_state(n).await, ImageRowState::Deleting);
        follow(&fixture, deletions[n as usize - 1].clone(), &[withdrawn()]).await;
        assert_eq!(fixture.image_state(n).await, state);
    }
}

#[tokio::test]
async fn an_image_can_be_deleted_after_a_deletion_that_was_given_up() {
    let fixture = Fixture::new().await;
    let (job, first) = planned(&fixture, 1).await;
    let first = follow(&fixture, first, &[DeletionEvent::Refused(error())]).await;
    let again = NewDeletion { id: deletion_id(2), ..new_deletion(&job, 1) };
    let second = fixture.ledger.record_prune(&prune_record(&[1], vec![again])).await.unwrap().deletions.remove(0);
    assert_eq!(fixture.ledger.deletions_of_image(&image(1)).await.unwrap(), [first.clone(), second.clone()]);
    // What comes late for the first changes nothing of the second.
    let error = fixture.ledger.record_deletion_event(&first, &withdrawn(), at(AT)).await.unwrap_err();
    assert!(matches!(error, LedgerError::IllegalDeletion(_)), "{error}");
    assert_eq!(fixture.image_state(1).await, ImageRowState::Deleting);
    assert_eq!(fixture.ledger.open_deletions().await.unwrap(), [second]);
}

#[tokio::test]
async fn a_listing_changes_nothing_of_an_image_that_is_being_deleted() {
    let fixture = Fixture::new().await;
    let (_, deletion) = planned(&fixture, 1).await;
    let list = async |seen: &[(ImageId, bool)]| {
        fixture.ledger.record_images_seen(&account(), &region(), seen, at("2026-11-22T04:00:00Z")).await.unwrap();
    };
    list(&[]).await;
    assert_eq!(fixture.image_state(1).await, ImageRowState::Deleting);
    follow(&fixture, deletion, &[deregistered()]).await;
    list(&[(image(1), false)]).await;
    assert_eq!(fixture.image_state(1).await, ImageRowState::SnapshotsLeft);
}

#[tokio::test]
async fn a_look_that_only_has_to_be_repeated_is_no_row_of_history() {
    let fixture = Fixture::new().await;
    let (job, deletion) = planned(&fixture, 1).await;
    let same = || checked(vec![left(2, true)]);
    let deletion = follow(&fixture, deletion, &[deregistered(), same(), same(), same()]).await;
    assert_eq!(deletion.attempts, 4);
    assert_eq!(fixture.words(&job).await, ["deletion-planned", "deregistered", "snapshots-left"]);
}

#[tokio::test]
async fn an_event_meant_for_an_older_version_of_the_deletion_is_refused() {
    let fixture = Fixture::new().await;
    let (job, deletion) = planned(&fixture, 1).await;
    let once = follow(&fixture, deletion.clone(), &[deferred()]).await;
    let twice = follow(&fixture, once.clone(), &[deferred()]).await;
    assert_eq!(once.state, twice.state);
    // The second is in the same state, but not the same: it has been tried again.
    for old in [deletion, once] {
        let error = fixture.ledger.record_deletion_event(&old, &withdrawn(), at(AT)).await.unwrap_err();
        assert!(matches!(error, LedgerError::DeletionConflict { .. }), "{error}");
    }
    assert_eq!(fixture.image_state(1).await, ImageRowState::Deleting);
    assert_eq!(fixture.words(&job).await.len(), 3);
}

#[tokio::test]
async fn an_event_that_cannot_follow_leaves_no_trace() {
    let fixture = Fixture::new().await;
    let (job, deletion) = planned(&fixture, 1).await;
    let error = fixture.ledger.record_deletion_event(&deletion, &checked(vec![]), at(AT)).await.unwrap_err();
    assert!(matches!(error, LedgerError::IllegalDeletion(_)), "{error}");
    assert_eq!(fixture.ledger.open_deletions().await.unwrap(), [deletion]);
    assert_eq!(fixture.words(&job).await, ["deletion-planned"]);
}

#[tokio::test]
async fn an_image_that_does_not_go_with_its_deletion_is_a_contradiction() {
    let fixture = Fixture::new().await;
    let (_, deletion) = planned(&fixture, 1).await;
    sqlx::query("UPDATE images SET state = 'available'").execute(fixture.ledger.writer()).await.unwrap();
    let error = fixture.ledger.record_deletion_event(&deletion, &deregistered(), at(AT)).await.unwrap_err();
    assert!(matches!(error, LedgerError::Inconsistent { table: "images", .. }), "{error}");
    assert_eq!(fixture.ledger.open_deletions().await.unwrap(), [deletion]);
}

#[tokio::test]
async fn an_unknown_deletion_takes_no_event() {
    let fixture = Fixture::new().await;
    let (_, mut deletion) = planned(&fixture, 1).await;
    deletion.id = deletion_id(99);
    assert_eq!(fixture.ledger.deletion(deletion.id).await.unwrap(), None);
    let error = fixture.ledger.record_deletion_event(&deletion, &deferred(), at(AT)).await.unwrap_err();
    assert!(matches!(error, LedgerError::UnknownDeletion { .. }), "{error}");
}

#[tokio::test]
async fn deletions_are_found_by_their_prune() {
    let fixture = Fixture::new().await;
    let (one, two) = (fixture.succeeded(1).await, fixture.succeeded(2).await);
    let first = fixture.ledger.record_prune(&prune_record(&[1, 2], vec![new_deletion(&one, 1)])).await.unwrap();
    let second = fixture.ledger.record_prune(&prune_record(&[2], vec![new_deletion(&two, 2)])).await.unwrap();
    assert_eq!(fixture.ledger.deletions_of_prune(first.id).await.unwrap(), first.deletions);
    assert_eq!(fixture.ledger.deletions_of_prune(second.id).await.unwrap(), second.deletions);
    assert_eq!(fixture.ledger.deletions_of_image(&image(2)).await.unwrap(), second.deletions);
}

#[tokio::test]
async fn a_day_counts_what_was_decided_and_not_given_up_and_what_succeeded() {
    let fixture = Fixture::new().await;
    // Decided at 03:00:00.25, and succeeded at 01:00:05.
    let mut deletions = Vec::new();
    for n in 1..=4 {
        deletions.push(planned(&fixture, n).await.1);
    }
    fixture.failed(5).await;
    follow(&fixture, deletions[1].clone(), &[DeletionEvent::Refused(error())]).await;
    follow(&fixture, deletions[2].clone(), &[withdrawn()]).await;
    follow(&fixture, deletions[3].clone(), &[deregistered(), checked(vec![])]).await;
    let counts = async |since: &str| {
        let counts = fixture.ledger.day_counts(at(since)).await.unwrap();
        counts.into_iter().map(|(policy, it)| (policy.to_string(), it.deleted, it.succeeded)).collect::<Vec<_>>()
    };
    let of = |n, deleted, succeeded| (format!("p-{n}"), deleted, succeeded);
    assert_eq!(counts("2026-11-22T00:00:00Z").await, [of(1, 1, 1), of(2, 0, 1), of(3, 0, 1), of(4, 1, 1)]);
    assert_eq!(counts("2026-11-22T01:00:05Z").await, [of(1, 1, 0), of(4, 1, 0)]);
    assert_eq!(counts("2026-11-22T03:00:00.25Z").await, []);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named_and_never_guessed() {
    for (column, statement) in [
        ("data", "UPDATE deletions SET data = '{\"retry_at\": \"soon\"}'"),
        ("data", "UPDATE deletions SET data = '{\"later\": null}'"),
        ("snapshots", "UPDATE deletions SET snapshots = '[\"disk\"]'"),
        ("attempts", "UPDATE deletions SET attempts = 4294967296"),
    ] {
        let fixture = Fixture::new().await;
        let (_, deletion) = planned(&fixture, 1).await;
        sqlx::query(statement).execute(fixture.ledger.writer()).await.unwrap();
        let error = fixture.ledger.open_deletions().await.unwrap_err();
        let LedgerError::Inconsistent { table: "deletions", column: found, row } = &error else { panic!("{error}") };
        assert_eq!((*found, row), (column, &deletion.id.to_string()));
    }
}
