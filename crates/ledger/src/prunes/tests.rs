//! What a prune writes, what it skips, and that it is all or nothing.

use amikeep_domain::job::JobEvent;
use amikeep_domain::prune::{DeletionEvent, Released};

use super::*;
use crate::RequestKind;
use crate::fixture::{
    Fixture, account, account_name, at, deletion_id, finished, image, instance, intent, job_id, listing_record,
    new_deletion, prune_record, region, until_pending,
};
use crate::images::PinRecord;

const NOW: &str = "2026-11-22T03:01:00Z";

async fn skipped(fixture: &Fixture, record: &PruneRecord) -> Vec<ImageId> {
    let recorded = fixture.ledger.record_prune(record).await.unwrap();
    assert_eq!(recorded.deletions.len() + recorded.skipped.len(), record.deletions.len());
    recorded.skipped.into_iter().filter_map(|it| it.image).collect()
}

#[tokio::test]
async fn a_deletion_is_in_the_ledger_before_anybody_acts_on_it() {
    let fixture = Fixture::new().await;
    let job = fixture.succeeded(1).await;
    let recorded = fixture.ledger.record_prune(&prune_record(&[1], vec![new_deletion(&job, 1)])).await.unwrap();
    let expected = planned(&new_deletion(&job, 1), at("2026-11-22T03:00:00.25Z"));
    assert_eq!((recorded.deletions.as_slice(), recorded.skipped.len()), ([expected].as_slice(), 0));

    // Somebody else, who opens the file only now, sees all of it.
    let reader = Ledger::open_read_only(&fixture.path()).await.unwrap();
    assert_eq!(reader.open_deletions().await.unwrap(), recorded.deletions);
    assert_eq!(reader.images(None, None).await.unwrap()[0].state, ImageRowState::Deleting);
    let last = reader.events(job.id).await.unwrap().pop().unwrap();
    assert_eq!((last.event.as_str(), last.detail.as_str()), ("deletion-planned", "no rule keeps it"));
    assert_eq!(last.at, at("2026-11-22T03:00:00.25Z"));
    let row = PruneRow {
        id: recorded.id,
        request: None,
        policy: None,
        planned_at: at("2026-11-22T03:00:00.25Z"),
        kept: 7,
        deleted: 1,
        held: 2,
        notes: vec!["nothing \"special\"".to_owned()],
    };
    assert_eq!(reader.prunes(10).await.unwrap(), std::slice::from_ref(&row));
    assert_eq!(reader.prune(recorded.id).await.unwrap(), Some(row));
}

#[tokio::test]
async fn a_prune_that_fails_half_way_leaves_nothing() {
    let fixture = Fixture::new().await;
    let (one, two) = (fixture.succeeded(1).await, fixture.succeeded(2).await);
    let request = fixture.request(1, RequestKind::Prune { policy: None, released: Released::default() }).await;
    // Two deletions with one id: a bug, and the database refuses it.
    let twice = NewDeletion { id: deletion_id(1), ..new_deletion(&two, 2) };
    let mut record = prune_record(&[], vec![new_deletion(&one, 1), twice]);
    record.request = Some(request);
    let error = fixture.ledger.record_prune(&record).await.unwrap_err();
    assert!(matches!(error, LedgerError::RecordPrune { deletions: 2, .. }), "{error}");
    assert_eq!(fixture.ledger.open_deletions().await.unwrap(), []);
    assert_eq!(fixture.ledger.prunes(10).await.unwrap(), []);
    assert_eq!(fixture.ledger.prune_cursors().await.unwrap(), BTreeMap::new());
    assert_eq!(fixture.image_state(1).await, ImageRowState::Available);
    assert_eq!(fixture.words(&one).await, Vec::<String>::new());
    assert_eq!(fixture.ledger.open_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_image_has_one_open_deletion_at_most() {
    let fixture = Fixture::new().await;
    let job = fixture.succeeded(1).await;
    fixture.ledger.record_prune(&prune_record(&[1], vec![new_deletion(&job, 1)])).await.unwrap();
    let again = NewDeletion { id: deletion_id(2), ..new_deletion(&job, 1) };
    assert_eq!(skipped(&fixture, &prune_record(&[1], vec![again.clone()])).await, [image(1)]);
    // Whatever the row of the image says.
    sqlx::query("UPDATE images SET state = 'available'").execute(fixture.ledger.writer()).await.unwrap();
    assert_eq!(skipped(&fixture, &prune_record(&[1], vec![again])).await, [image(1)]);
    let copy =
        "INSERT INTO deletions SELECT 'other', prune, image, job, policy, account, account_name, region, instance,
        snapshots, reason, was, planned_at, attempts, state, data, finished_at FROM deletions";
    let error = sqlx::query(copy).execute(fixture.ledger.writer()).await.unwrap_err().to_string();
    assert!(error.contains("UNIQUE constraint failed: deletions.account"), "{error}");
    assert_eq!(fixture.ledger.open_deletions().await.unwrap().len(), 1);
    assert_eq!(fixture.words(&job).await, ["deletion-planned"]);
}

#[tokio::test]
async fn of_two_prunes_at_once_one_deletes() {
    let fixture = Fixture::new().await;
    let job = fixture.succeeded(1).await;
    let other = Ledger::open_for_engine(&fixture.path(), &fixture.lock).await.unwrap();
    let one = prune_record(&[1], vec![new_deletion(&job, 1)]);
    let two = prune_record(&[1], vec![NewDeletion { id: deletion_id(2), ..new_deletion(&job, 1) }]);
    let (one, two) = tokio::join!(fixture.ledger.record_prune(&one), other.record_prune(&two));
    assert_eq!(one.unwrap().deletions.len() + two.unwrap().deletions.len(), 1);
}

#[tokio::test]
async fn what_changed_since_it_was_decided_is_skipped_alone() {
    let fixture = Fixture::new().await;
    let (one, two, three) = (fixture.succeeded(1).await, fixture.succeeded(2).await, fixture.succeeded(3).await);
    // Two whose jobs have not ended: one image is available, but not graded.
    let (four, five) = (fixture.queued(4).await, fixture.queued(5).await);
    let finishing = fixture.follow(four, &until_pending(4)).await;
    let finishing = fixture.follow(finishing, &[JobEvent::Available(finished(4))]).await;
    let pending = fixture.follow(five, &until_pending(5)).await;
    let of_another_job = NewDeletion { job: one.id, ..new_deletion(&two, 2) };
    let unknown = NewDeletion { image: Some(image(99)), id: deletion_id(99), ..new_deletion(&three, 3) };
    let deletions = vec![
        new_deletion(&one, 1),
        of_another_job,
        unknown,
        new_deletion(&finishing, 4),
        new_deletion(&pending, 5),
        new_deletion(&three, 3),
    ];
    let record = prune_record(&[1, 2, 3, 4, 5], deletions);
    assert_eq!(skipped(&fixture, &record).await, [image(2), image(99), image(4), image(5)]);
    let mut states = [ImageRowState::Missing; 5];
    for (n, state) in (1..).zip(&mut states) {
        *state = fixture.image_state(n).await;
    }
    assert_eq!(states.map(ImageRowState::as_str), ["deleting", "available", "deleting", "available", "pending"]);
    assert_eq!(fixture.ledger.prunes(1).await.unwrap()[0].deleted, 2);
}

#[tokio::test]
async fn without_a_complete_listing_of_its_place_nothing_is_deleted() {
    let fixture = Fixture::new().await;
    let job = fixture.succeeded(1).await;
    let elsewhere = ListingRecord { region: "us-east-1".parse().unwrap(), ..listing_record(&[]) };
    let record = PruneRecord { listings: vec![elsewhere], ..prune_record(&[], vec![new_deletion(&job, 1)]) };
    assert_eq!(skipped(&fixture, &record).await, [image(1)]);
    let record = PruneRecord { listings: vec![], ..record };
    assert_eq!(skipped(&fixture, &record).await, [image(1)]);
    assert_eq!(fixture.image_state(1).await, ImageRowState::Available);
}

#[tokio::test]
async fn an_image_that_was_pinned_since_the_listing_is_skipped() {
    let fixture = Fixture::new().await;
    let job = fixture.succeeded(1).await;
    // Within the time by which EC2's answers may lag.
    let pinned_at = at("2026-11-22T02:55:00Z");
    let (account, region) = (account(), region());
    let pin = PinRecord { request: None, account, region, image: image(1), pinned: true, at: pinned_at };
    fixture.ledger.record_pinned(&pin).await.unwrap();
    assert_eq!(skipped(&fixture, &prune_record(&[1], vec![new_deletion(&job, 1)])).await, [image(1)]);
    assert!(fixture.image(1).await.pinned, "the listing is older than the pin");
    // A listing that knows better: somebody removed the tag by hand.
    let listing = ListingRecord { missing_before: at("2026-11-22T02:56:00Z"), ..listing_record(&[1]) };
    let record = PruneRecord { listings: vec![listing], ..prune_record(&[1], vec![new_deletion(&job, 1)]) };
    assert_eq!(skipped(&fixture, &record).await, []);
}

#[tokio::test]
async fn only_what_was_seen_before_the_lag_of_ec2_can_be_missing() {
    let fixture = Fixture::new().await;
    fixture.succeeded(1).await;
    // It was last seen at 01:00:05.
    let listing = |missing_before| {
        let listing = ListingRecord { missing_before: at(missing_before), ..listing_record(&[]) };
        PruneRecord { listings: vec![listing], ..prune_record(&[], vec![]) }
    };
    fixture.ledger.record_prune(&listing("2026-11-22T01:00:05Z")).await.unwrap();
    assert_eq!(fixture.image_state(1).await, ImageRowState::Available);
    fixture.ledger.record_prune(&listing("2026-11-22T01:00:06Z")).await.unwrap();
    assert_eq!(fixture.image_state(1).await, ImageRowState::Missing);
    fixture.ledger.record_prune(&prune_record(&[1], vec![])).await.unwrap();
    assert_eq!(fixture.image_state(1).await, ImageRowState::Available, "and it may come back");
}

#[tokio::test]
async fn an_image_keeps_when_it_was_last_seen() {
    let fixture = Fixture::new().await;
    let job = fixture.succeeded(1).await;
    fixture.ledger.record_prune(&prune_record(&[1], vec![new_deletion(&job, 1)])).await.unwrap();
    assert_eq!(fixture.image(1).await.last_seen_at, at("2026-11-22T02:59:00Z"));
}

#[tokio::test]
async fn an_image_that_came_after_its_job_had_given_up_gets_a_row() {
    let fixture = Fixture::new().await;
    let job = fixture.queued(1).await;
    let job = fixture.follow(job, &[JobEvent::Failed(crate::fixture::error())]).await;
    let stray = |state| StrayImage {
        name: intent().name,
        class: "stateful".parse().unwrap(),
        state,
        first_seen_at: at("2026-11-22T01:00:07Z"),
        last_seen_at: at("2026-11-22T02:59:00Z"),
    };
    let new = |n, state| NewDeletion { stray: Some(stray(state)), ..new_deletion(&job, n) };
    let record = prune_record(&[1], vec![new(1, StrayState::Failed), new(2, StrayState::Missing)]);
    let recorded = fixture.ledger.record_prune(&record).await.unwrap();
    let row = fixture.image(1).await;
    assert_eq!((row.job, row.instance.clone(), row.state), (job.id, instance(1), ImageRowState::Deleting));
    assert_eq!((row.counts, row.pinned, row.captured_at, row.grade), (false, false, None, None));
    assert_eq!((row.first_seen_at, row.last_seen_at), (at("2026-11-22T01:00:07Z"), at("2026-11-22T02:59:00Z")));
    for (n, deletion, state) in [(1, 0, ImageRowState::Failed), (2, 1, ImageRowState::Missing)] {
        let withdrawn = DeletionEvent::Withdrawn { reason: "a pin".to_owned() };
        fixture.ledger.record_deletion_event(&recorded.deletions[deletion], &withdrawn, at(NOW)).await.unwrap();
        assert_eq!(fixture.image_state(n).await, state);
    }
    fixture.ledger.check_integrity().await.unwrap();
}

#[tokio::test]
async fn an_image_of_a_job_that_is_not_known_gets_no_row() {
    let fixture = Fixture::new().await;
    let mut job = fixture.queued(1).await;
    job.id = job_id(99, at(NOW));
    let stray = StrayImage {
        name: intent().name,
        class: "stateful".parse().unwrap(),
        state: StrayState::Failed,
        first_seen_at: at(NOW),
        last_seen_at: at(NOW),
    };
    let new = NewDeletion { stray: Some(stray), ..new_deletion(&job, 1) };
    assert_eq!(skipped(&fixture, &prune_record(&[1], vec![new])).await, [image(1)]);
    assert_eq!(fixture.ledger.images(None, None).await.unwrap(), []);
}

#[tokio::test]
async fn a_request_is_done_when_nothing_of_its_prune_is_open() {
    let fixture = Fixture::new().await;
    let (one, two) = (fixture.succeeded(1).await, fixture.succeeded(2).await);
    let policy = Some("p-1".parse().unwrap());
    let kind = RequestKind::Prune {
        policy: policy.clone(),
        released: Released { images: [image(1)].into(), ..Released::default() },
    };
    let request = fixture.request(1, kind).await;
    let mut record = prune_record(&[1, 2], vec![new_deletion(&one, 1), new_deletion(&two, 2)]);
    (record.request, record.policy) = (Some(request), policy);
    let recorded = fixture.ledger.record_prune(&record).await.unwrap();
    let status = async || fixture.ledger.request(request).await.unwrap().unwrap();
    let planned = status().await;
    assert_eq!((planned.prune, planned.done, planned.job), (Some(recorded.id), false, None));
    assert_eq!(fixture.ledger.open_requests().await.unwrap(), []);
    assert_eq!(fixture.ledger.deletions_of_request(request).await.unwrap(), recorded.deletions);
    assert_eq!(fixture.ledger.prune(recorded.id).await.unwrap().unwrap().request, Some(request));

    let refused = DeletionEvent::Refused(crate::fixture::error());
    fixture.ledger.record_deletion_event(&recorded.deletions[0], &refused, at(NOW)).await.unwrap();
    assert!(!status().await.done, "the other one is open");
    let gone = DeletionEvent::Deregistered { left: vec![], retry_at: at(NOW) };
    fixture.ledger.record_deletion_event(&recorded.deletions[1], &gone, at(NOW)).await.unwrap();
    assert!(status().await.done);
}

#[tokio::test]
async fn a_request_that_finds_nothing_to_delete_is_done_at_once() {
    let fixture = Fixture::new().await;
    let request = fixture.request(1, RequestKind::Prune { policy: None, released: Released::default() }).await;
    let record = PruneRecord { request: Some(request), ..prune_record(&[], vec![]) };
    fixture.ledger.record_prune(&record).await.unwrap();
    assert!(fixture.ledger.request(request).await.unwrap().unwrap().done);
    let error = fixture.ledger.record_prune(&record).await.unwrap_err();
    assert!(matches!(error, LedgerError::RequestSettled { .. }), "{error}");
    assert_eq!(fixture.ledger.prunes(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_prune_by_hand_leaves_the_cursor_where_it_is() {
    let fixture = Fixture::new().await;
    fixture.ledger.record_prune(&prune_record(&[], vec![])).await.unwrap();
    let expected = BTreeMap::from([(account_name(), at("2026-11-22T02:30:00Z"))]);
    assert_eq!(fixture.ledger.prune_cursors().await.unwrap(), expected);
    let listing = ListingRecord { pruned_to: None, ..listing_record(&[]) };
    fixture.ledger.record_prune(&PruneRecord { listings: vec![listing], ..prune_record(&[], vec![]) }).await.unwrap();
    assert_eq!(fixture.ledger.prune_cursors().await.unwrap(), expected);
}

#[tokio::test]
async fn of_prunes_that_deleted_nothing_the_last_thousand_are_kept() {
    let fixture = Fixture::new().await;
    let job = fixture.succeeded(1).await;
    let first = fixture.ledger.record_prune(&prune_record(&[1], vec![new_deletion(&job, 1)])).await.unwrap().id;
    let many = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1500)
        INSERT INTO prunes (planned_at, kept, deleted, held, notes) SELECT n, 0, 0, 0, '[]' FROM n";
    sqlx::query(many).execute(fixture.ledger.writer()).await.unwrap();
    let last = fixture.ledger.record_prune(&prune_record(&[1], vec![])).await.unwrap().id;
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM prunes").fetch_one(fixture.ledger.writer()).await.unwrap();
    assert_eq!(count, 1_001);
    assert!(fixture.ledger.prune(first).await.unwrap().is_some(), "it deleted something");
    assert!(fixture.ledger.prune(last).await.unwrap().is_some());
    assert!(fixture.ledger.prune(PruneId(first.0 + 1)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_command_cannot_record_a_prune() {
    let fixture = Fixture::new().await;
    let commands = Ledger::open_for_requests(&fixture.path()).await.unwrap();
    let error = commands.record_prune(&prune_record(&[], vec![])).await.unwrap_err();
    assert!(matches!(error, LedgerError::NotForWriting { .. }), "{error}");
}
