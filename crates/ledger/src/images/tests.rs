//! Images follow their jobs and the listings.

use amikeep_domain::image_name::ImageNumber;
use amikeep_domain::job::StateName;

use super::ImageRowState::{Available, Missing};
use super::*;
use crate::fixture::{Fixture, account, at, error, finished, image, intended, intent, region, until_pending};

async fn images(fixture: &Fixture) -> Vec<ImageRow> {
    fixture.ledger.images(None, None).await.unwrap()
}

async fn list(fixture: &Fixture, seen: &[(u32, bool)], time: &str) {
    let seen: Vec<_> = seen.iter().map(|(n, pinned)| (image(*n), *pinned)).collect();
    fixture.ledger.record_images_seen(&account(), &region(), &seen, at(time)).await.unwrap();
}

#[tokio::test]
async fn an_image_counts_once_its_job_has_succeeded() {
    let fixture = Fixture::new().await;
    let job = fixture.queued(1).await;
    let job = fixture.follow(job, &until_pending(1)).await;
    let pending = ImageRow {
        image: image(1),
        name: intent().name,
        job: job.id,
        policy: job.key.policy.clone(),
        account: account(),
        account_name: job.account_name.clone(),
        region: region(),
        instance: job.key.instance.clone(),
        class: job.class.clone(),
        captured_at: None,
        grade: None,
        volumes: vec![],
        state: ImageRowState::Pending,
        counts: false,
        pinned: false,
        missing_since: None,
        first_seen_at: at("2026-11-22T01:00:05Z"),
        last_seen_at: at("2026-11-22T01:00:05Z"),
    };
    assert_eq!(images(&fixture).await, std::slice::from_ref(&pending));

    let job = fixture.follow(job, &[JobEvent::Available(finished(1))]).await;
    let finished = finished(1);
    let available = ImageRow {
        captured_at: Some(finished.captured_at),
        grade: Some(finished.grade),
        volumes: finished.volumes,
        state: ImageRowState::Available,
        ..pending
    };
    assert_eq!(images(&fixture).await, std::slice::from_ref(&available));
    fixture.follow(job, &[JobEvent::Graded { problem: None }]).await;
    assert_eq!(images(&fixture).await, [ImageRow { counts: true, ..available }]);
}

#[tokio::test]
async fn an_image_that_failed_never_counts_and_the_next_one_is_its_own_row() {
    let fixture = Fixture::new().await;
    let job = fixture.queued(1).await;
    let job = fixture.follow(job, &until_pending(1)).await;
    let retry_at = at("2026-11-22T02:00:00Z");
    let failed = JobEvent::ImageFailed { image: image(1), retry_at, reason: "internal".to_owned() };
    let job = fixture.follow(job, &[failed, JobEvent::Started, intended()]).await;
    assert_eq!(job.number, ImageNumber::FIRST.next());
    let accepted = JobEvent::Adopted { image: image(2) };
    fixture.follow(job, &[accepted, JobEvent::Available(finished(2)), JobEvent::Graded { problem: None }]).await;
    let found: Vec<_> = images(&fixture).await.into_iter().map(|it| (it.image, it.state, it.counts)).collect();
    let available = (image(2), ImageRowState::Available, true);
    assert_eq!(found, [available, (image(1), ImageRowState::Failed, false)]);
}

#[tokio::test]
async fn the_image_of_a_failed_job_never_counts() {
    let fixture = Fixture::new().await;
    let job = fixture.queued(1).await;
    let job = fixture.follow(job, &until_pending(1)).await;
    assert_eq!(fixture.follow(job, &[JobEvent::Failed(error())]).await.state.name(), StateName::Failed);
    let job = fixture.queued(2).await;
    let job = fixture.follow(job, &until_pending(2)).await;
    fixture.follow(job, &[JobEvent::Available(finished(2)), JobEvent::Failed(error())]).await;
    let found: Vec<_> = images(&fixture).await.into_iter().map(|it| (it.state, it.counts)).collect();
    assert_eq!(found, [(ImageRowState::Failed, false), (ImageRowState::Available, false)]);
}

#[tokio::test]
async fn an_image_belongs_to_one_job() {
    let fixture = Fixture::new().await;
    fixture.succeeded(1).await;
    let job = fixture.queued(2).await;
    let job = fixture.follow(job, &[JobEvent::Started, intended()]).await;
    let stolen = JobEvent::Adopted { image: image(1) };
    let error = fixture.ledger.record_event(&job, &stolen, at("2026-11-22T02:00:00Z")).await.unwrap_err();
    assert!(matches!(error, LedgerError::Inconsistent { table: "images", .. }), "{error}");
    assert_eq!(fixture.ledger.job(job.id).await.unwrap(), Some(job));
}

#[tokio::test]
async fn a_complete_listing_says_what_is_missing_and_what_came_back() {
    let fixture = Fixture::new().await;
    for n in 1..=3 {
        fixture.succeeded(n).await;
    }
    let states = async || images(&fixture).await.into_iter().map(|it| (it.state, it.pinned)).collect::<Vec<_>>();

    list(&fixture, &[(1, false), (2, true), (3, false)], "2026-11-22T02:00:00Z").await;
    assert_eq!(states().await, [(Available, false), (Available, true), (Available, false)]);
    list(&fixture, &[(1, true)], "2026-11-22T03:00:00Z").await;
    assert_eq!(states().await, [(Available, true), (Missing, true), (Missing, false)]);
    let seen: Vec<_> = images(&fixture).await.into_iter().map(|it| it.last_seen_at).collect();
    assert_eq!(seen, [at("2026-11-22T03:00:00Z"), at("2026-11-22T02:00:00Z"), at("2026-11-22T02:00:00Z")]);
    list(&fixture, &[(1, false), (2, false)], "2026-11-22T04:00:00Z").await;
    assert_eq!(states().await, [(Available, false), (Available, false), (Missing, false)]);
    let since = async || images(&fixture).await.into_iter().map(|it| it.missing_since).collect::<Vec<_>>();
    assert_eq!(since().await, [None, None, Some(at("2026-11-22T03:00:00Z"))], "what came back is missing no longer");
    list(&fixture, &[], "2026-11-22T05:00:00Z").await;
    assert_eq!(states().await, [(Missing, false), (Missing, false), (Missing, false)]);
    // Since when it is missing, and not when it was last seen; the second had come back in between.
    let (first, third) = (Some(at("2026-11-22T05:00:00Z")), Some(at("2026-11-22T03:00:00Z")));
    assert_eq!(since().await, [first, first, third]);
}

/// The host's clock was a year ahead for one listing.
#[tokio::test]
async fn a_listing_from_the_future_hides_no_absence_when_the_clock_is_right_again() {
    let fixture = Fixture::new().await;
    fixture.succeeded(1).await;
    list(&fixture, &[], "2026-11-22T03:00:00Z").await;
    list(&fixture, &[(1, false)], "2027-11-22T02:00:00Z").await;
    assert_eq!(images(&fixture).await[0].last_seen_at, at("2027-11-22T02:00:00Z"));
    list(&fixture, &[], "2026-11-22T05:00:00Z").await;
    let row = images(&fixture).await.remove(0);
    assert_eq!((row.state, row.missing_since), (Missing, Some(at("2026-11-22T05:00:00Z"))));
    assert_eq!(row.last_seen_at, at("2026-11-22T05:00:00Z"), "not later than when it was noticed");
}

#[tokio::test]
async fn a_listing_of_another_account_or_region_says_nothing() {
    let fixture = Fixture::new().await;
    fixture.succeeded(1).await;
    let (other, elsewhere) = ("210987654321".parse().unwrap(), "us-east-1".parse().unwrap());
    fixture.ledger.record_images_seen(&other, &region(), &[], at("2026-11-23T02:00:00Z")).await.unwrap();
    fixture.ledger.record_images_seen(&account(), &elsewhere, &[], at("2026-11-23T02:00:00Z")).await.unwrap();
    assert_eq!(images(&fixture).await[0].state, ImageRowState::Available);
}

#[tokio::test]
async fn a_listing_that_was_begun_before_an_image_was_seen_does_not_make_it_missing() {
    let fixture = Fixture::new().await;
    fixture.succeeded(1).await;
    list(&fixture, &[], "2026-11-22T01:00:04Z").await;
    assert_eq!(images(&fixture).await[0].state, ImageRowState::Available);
    list(&fixture, &[], "2026-11-22T01:00:06Z").await;
    assert_eq!(images(&fixture).await[0].state, ImageRowState::Missing);
}

#[tokio::test]
async fn an_image_that_is_being_made_is_not_missing() {
    let fixture = Fixture::new().await;
    let job = fixture.queued(1).await;
    fixture.follow(job, &until_pending(1)).await;
    list(&fixture, &[], "2026-11-22T03:00:00Z").await;
    assert_eq!(images(&fixture).await[0].state, ImageRowState::Pending);
}

#[tokio::test]
async fn images_are_found_by_policy_and_by_instance() {
    let fixture = Fixture::new().await;
    let (one, two) = (fixture.succeeded(1).await, fixture.succeeded(2).await);
    let found = async |policy, instance| {
        let rows = fixture.ledger.images(policy, instance).await.unwrap();
        rows.into_iter().map(|it| it.job).collect::<Vec<_>>()
    };
    assert_eq!(found(None, None).await, [one.id, two.id]);
    assert_eq!(found(Some(&one.key.policy), None).await, [one.id]);
    assert_eq!(found(None, Some(&two.key.instance)).await, [two.id]);
    assert_eq!(found(Some(&one.key.policy), Some(&two.key.instance)).await, []);
}

#[tokio::test]
async fn images_to_prune_are_all_but_the_deleted_ones_of_a_place() {
    let fixture = Fixture::new().await;
    for n in 1..=3 {
        fixture.succeeded(n).await;
    }
    sqlx::query("UPDATE images SET state = 'deleted' WHERE image = ?1")
        .bind(image(2).as_str())
        .execute(fixture.ledger.writer())
        .await
        .unwrap();
    let found = fixture.ledger.images_to_prune(&account(), &region()).await.unwrap();
    let all = images(&fixture).await;
    assert_eq!(found, [all[0].clone(), all[2].clone()]);
    let elsewhere = "us-east-1".parse().unwrap();
    assert_eq!(fixture.ledger.images_to_prune(&account(), &elsewhere).await.unwrap(), []);
}

fn pin(n: u32, pinned: bool, time: &str) -> PinRecord {
    PinRecord { request: None, account: account(), region: region(), image: image(n), pinned, at: at(time) }
}

#[tokio::test]
async fn a_pin_is_in_the_row_and_in_the_history_and_settles_its_request() {
    let fixture = Fixture::new().await;
    let job = fixture.succeeded(1).await;
    let kind = crate::RequestKind::Pin { image: image(1), account: None };
    let request = fixture.request(1, kind).await;
    let first = PinRecord { request: Some(request), ..pin(1, true, "2026-11-22T02:00:00Z") };
    fixture.ledger.record_pinned(&first).await.unwrap();
    assert!(fixture.image(1).await.pinned);
    assert!(fixture.ledger.request(request).await.unwrap().unwrap().done);
    fixture.ledger.record_pinned(&pin(1, false, "2026-11-22T02:01:00Z")).await.unwrap();
    assert!(!fixture.image(1).await.pinned);
    assert_eq!(fixture.words(&job).await, ["pinned", "unpinned"]);
    let last = fixture.ledger.events(job.id).await.unwrap().pop().unwrap();
    assert_eq!(last.detail, image(1).as_str());
}

#[tokio::test]
async fn an_image_that_the_ledger_does_not_know_cannot_be_pinned() {
    let fixture = Fixture::new().await;
    let kind = crate::RequestKind::Pin { image: image(1), account: None };
    let request = fixture.request(1, kind).await;
    let unknown = PinRecord { request: Some(request), ..pin(1, true, "2026-11-22T02:00:00Z") };
    let error = fixture.ledger.record_pinned(&unknown).await.unwrap_err();
    assert!(matches!(error, LedgerError::UnknownImage { .. }), "{error}");
    assert!(!fixture.ledger.request(request).await.unwrap().unwrap().done);
}

#[tokio::test]
async fn a_pin_whose_request_is_settled_is_not_recorded() {
    let fixture = Fixture::new().await;
    let job = fixture.succeeded(1).await;
    let request = fixture.request(1, crate::RequestKind::Pin { image: image(1), account: None }).await;
    fixture.ledger.record_request_refused(request, &error(), at("2026-11-22T02:00:00Z")).await.unwrap();
    let late = PinRecord { request: Some(request), ..pin(1, true, "2026-11-22T02:00:01Z") };
    fixture.ledger.record_pinned(&late).await.unwrap_err();
    assert!(!fixture.image(1).await.pinned);
    assert_eq!(fixture.words(&job).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_listing_that_was_begun_before_a_pin_does_not_undo_it() {
    let fixture = Fixture::new().await;
    fixture.succeeded(1).await;
    fixture.ledger.record_pinned(&pin(1, true, "2026-11-22T02:00:00Z")).await.unwrap();
    list(&fixture, &[(1, false)], "2026-11-22T01:59:59Z").await;
    assert!(fixture.image(1).await.pinned);
    // Nor does it when it says something else of the image.
    sqlx::query("UPDATE images SET state = 'missing'").execute(fixture.ledger.writer()).await.unwrap();
    list(&fixture, &[(1, false)], "2026-11-22T01:59:59Z").await;
    let row = fixture.image(1).await;
    assert_eq!((row.state, row.pinned), (Available, true));
    list(&fixture, &[(1, false)], "2026-11-22T02:00:01Z").await;
    assert!(!fixture.image(1).await.pinned, "somebody removed the tag by hand");
}

#[tokio::test]
async fn a_pin_that_was_recorded_by_a_clock_far_ahead_does_not_hold_for_ever() {
    let fixture = Fixture::new().await;
    fixture.succeeded(1).await;
    fixture.ledger.record_pinned(&pin(1, true, "2027-11-22T02:00:00Z")).await.unwrap();
    list(&fixture, &[(1, false)], "2026-11-22T03:00:00Z").await;
    assert!(!fixture.image(1).await.pinned);
}
