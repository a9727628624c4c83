//! Rows of images whose rows were lost, made from what EC2 shows of them.

use amikeep_domain::class::Consistency;
use amikeep_domain::grade::Grade;
use amikeep_domain::id::ImageId;
use amikeep_domain::job::{Intent, JobEvent, Trigger};
use amikeep_domain::policy::StartWindow;
use amikeep_domain::prune::LostImage;
use jiff::{SignedDuration, Timestamp};

use crate::error::{Failure, LedgerError};
use crate::jobs::{self, NewJob};
use crate::ledger::{Access, Ledger, Tx};
use crate::sql;

/// Of an image that was still pending, as long as the default of a policy.
const DEADLINE: SignedDuration = SignedDuration::from_hours(24);

impl Ledger {
    /// Makes a job and an image of each, and returns those that were taken in. One whose job, or whose fire and instance, is
    /// in the ledger already is left out. All that happened has EC2's times, so that nothing of it counts as new.
    pub async fn record_lost(&self, lost: &[LostImage], at: Timestamp) -> Result<Vec<ImageId>, LedgerError> {
        let result = self.try_record_lost(lost, at).await;
        self.explain(result, |source| LedgerError::RecordLost { count: lost.len(), source })
    }

    async fn try_record_lost(&self, lost: &[LostImage], at: Timestamp) -> Result<Vec<ImageId>, Failure> {
        let mut tx = self.begin(Access::Engine).await?;
        let mut taken = Vec::new();
        for one in lost {
            if record(&mut tx, one, at).await? {
                taken.push(one.image.clone());
            }
        }
        tx.commit().await?;
        Ok(taken)
    }
}

async fn record(tx: &mut Tx, lost: &LostImage, at: Timestamp) -> Result<bool, Failure> {
    let id = lost.job.to_string();
    if sqlx::query(sql::JOB).bind(&id).fetch_optional(&mut **tx).await?.is_some() {
        return Ok(false);
    }
    let Some(mut job) = jobs::insert(tx, new_job(lost)).await? else { return Ok(false) };
    for event in events(lost) {
        job = jobs::apply(tx, &job, &event, lost.created_at).await?;
    }
    let detail = format!("taken in by the tags of {}; the times before this are EC2's", lost.image);
    jobs::insert_event(tx, &id, at, "taken-in", &detail).await?;
    Ok(true)
}

/// What set it off is in no tag.
fn new_job(lost: &LostImage) -> NewJob {
    let scheduled_at = lost.key.scheduled_at;
    NewJob {
        id: lost.job,
        key: lost.key.clone(),
        account_name: lost.account_name.clone(),
        trigger: Trigger::Schedule,
        request: None,
        asked: None,
        class: lost.class.clone(),
        window: StartWindow { start_at: scheduled_at, start_by: scheduled_at },
        created_at: lost.created_at,
    }
}

/// The events by which a job comes to where its image is.
fn events(lost: &LostImage) -> Vec<JobEvent> {
    let intent = Intent {
        name: lost.name.clone(),
        asked: lost.mode,
        mode: lost.mode,
        reason: "read from the tags of the image".to_owned(),
        // The least that the mode gives: whether an instance was stopped is not known any more.
        expected: if lost.mode == Consistency::Reboot { Grade::Clean } else { Grade::Crash },
        grade_min: None,
        volumes: Vec::new(),
        instance_store_disks: None,
        launched_at: lost.created_at,
        deadline: DEADLINE,
        hold: None,
        registration: None,
        recorded_at: lost.created_at,
    };
    let mut events = vec![
        JobEvent::Started,
        JobEvent::Intended { class: lost.class.clone(), intent },
        JobEvent::Adopted { image: lost.image.clone() },
    ];
    if let Some(finished) = &lost.finished {
        events.extend([JobEvent::Available(finished.clone()), JobEvent::Graded { problem: None }]);
    }
    events
}

#[cfg(test)]
mod tests {
    use amikeep_domain::job::{Job, JobState};

    use super::*;
    use crate::fixture::{Fixture, at, finished, image, instance, job_id, new_job as fixture_job};
    use crate::images::ImageRowState;

    fn lost(n: u32) -> LostImage {
        let scheduled_at = at("2026-11-22T01:00:00Z");
        let job = fixture_job(n, scheduled_at);
        LostImage {
            image: image(n),
            name: format!("amikeep-test-nightly-{}-20261122T010000Z", instance(n)).parse().unwrap(),
            job: job_id(n, scheduled_at),
            key: job.key,
            account_name: job.account_name,
            class: job.class,
            mode: Consistency::NoReboot,
            created_at: at("2026-11-22T01:00:02Z"),
            finished: Some(finished(n)),
        }
    }

    #[tokio::test]
    async fn a_lost_image_has_a_job_that_succeeded_and_counts_when_it_was_made() {
        let fixture = Fixture::new().await;
        let now = at("2026-11-25T09:00:00Z");
        assert_eq!(fixture.ledger.record_lost(&[lost(1)], now).await.unwrap(), [image(1)]);
        let job = fixture.ledger.job(lost(1).job).await.unwrap().unwrap();
        assert!(
            matches!(job.state, JobState::Succeeded { .. }) && job.finished_at() == Some(at("2026-11-22T01:00:02Z")),
            "{job:?}"
        );
        let row = fixture.image(1).await;
        assert_eq!((row.state, row.counts, row.job), (ImageRowState::Available, true, job.id));
        assert_eq!(row.captured_at, Some(finished(1).captured_at));
        let events = fixture.ledger.events(job.id).await.unwrap();
        assert_eq!(events.last().map(|event| (event.event.as_str(), event.at)), Some(("taken-in", now)));
        fixture.ledger.check_integrity().await.unwrap();
    }

    #[tokio::test]
    async fn an_image_that_is_not_finished_leaves_a_job_that_goes_on() {
        let fixture = Fixture::new().await;
        let pending = LostImage { finished: None, ..lost(1) };
        fixture.ledger.record_lost(&[pending], at("2026-11-25T09:00:00Z")).await.unwrap();
        let jobs = fixture.ledger.open_jobs().await.unwrap();
        assert_eq!(jobs.iter().map(Job::image).collect::<Vec<_>>(), [Some(&image(1))]);
        assert_eq!(fixture.image_state(1).await, ImageRowState::Pending);
    }

    #[tokio::test]
    async fn what_the_ledger_knows_is_left_as_it_is() {
        let fixture = Fixture::new().await;
        let now = at("2026-11-25T09:00:00Z");
        fixture.ledger.record_lost(&[lost(1)], now).await.unwrap();
        let before = fixture.ledger.events(lost(1).job).await.unwrap();
        let same_fire = LostImage { job: job_id(7, now), image: image(7), ..lost(1) };
        let frozen = LostImage { mode: Consistency::Freeze, ..lost(2) };
        let taken = fixture.ledger.record_lost(&[lost(1), same_fire, frozen], now).await.unwrap();
        assert_eq!(taken, [image(2)]);
        assert_eq!(fixture.ledger.events(lost(1).job).await.unwrap(), before);
        assert_eq!(fixture.ledger.images(None, None).await.unwrap().len(), 2);
    }
}
