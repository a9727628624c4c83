//! Snapshots of which no image was made: what becomes of the job, and that they go, in one transaction.

use amikeep_domain::id::{DeletionId, SnapshotId};
use amikeep_domain::job::{Job, JobEvent};
use amikeep_domain::prune::{Deletion, DeletionState};
use jiff::Timestamp;

use crate::error::{Failure, LedgerError};
use crate::ledger::{Access, Ledger, Tx};
use crate::prunes::PruneId;
use crate::{deletions, jobs, sql, stored};

/// Snapshots that a job gives up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discard {
    /// The deletion's id.
    pub id: DeletionId,
    /// The snapshots; at least one.
    pub snapshots: Vec<SnapshotId>,
    /// Why no image is made of them.
    pub reason: String,
    /// How the job goes on without.
    pub then: JobEvent,
}

impl Ledger {
    /// Records that a job gives up snapshots, that they go, and how it goes on. `job` must be the stored one. The deletion is
    /// left out if an image of the job has one of the snapshots after all.
    pub async fn record_discarded(
        &self,
        job: &Job,
        discard: &Discard,
        at: Timestamp,
    ) -> Result<(Job, Option<Deletion>), LedgerError> {
        let result = self.try_record_discarded(job, discard, at).await;
        self.explain(result, |source| LedgerError::RecordEvent { job: job.id, event: "snapshots-discarded", source })
    }

    async fn try_record_discarded(
        &self,
        job: &Job,
        discard: &Discard,
        at: Timestamp,
    ) -> Result<(Job, Option<Deletion>), Failure> {
        let mut tx = self.begin(Access::Engine).await?;
        let Discard { id, snapshots, reason, then } = discard;
        let event = JobEvent::SnapshotsDiscarded { snapshots: snapshots.clone(), reason: reason.clone() };
        let next = jobs::apply(&mut tx, job, &event, at).await?;
        let next = jobs::apply(&mut tx, &next, then, at).await?;
        let deletion = Deletion {
            id: *id,
            image: None,
            job: job.id,
            policy: job.key.policy.clone(),
            account: job.key.account.clone(),
            account_name: job.account_name.clone(),
            region: job.key.region.clone(),
            instance: job.key.instance.clone(),
            snapshots: snapshots.clone(),
            reason: format!("no image was made of these snapshots: {reason}"),
            planned_at: at,
            attempts: 0,
            state: DeletionState::Planned { retry_at: None },
        };
        let deletion = insert(&mut tx, None, &deletion).await?;
        tx.commit().await?;
        Ok((next, deletion))
    }
}

/// `None` when something needs the snapshots, or their deletion is under way.
pub(crate) async fn insert(
    tx: &mut Tx,
    prune: Option<PruneId>,
    deletion: &Deletion,
) -> Result<Option<Deletion>, Failure> {
    let ids: Vec<&str> = deletion.snapshots.iter().map(SnapshotId::as_str).collect();
    let query = sqlx::query_scalar(sql::SET_IS_NEEDED).bind(deletion.job.to_string()).bind(stored::to_json(&ids));
    let is_needed: bool = query.fetch_one(&mut **tx).await?;
    if is_needed {
        return Ok(None);
    }
    deletions::insert(tx, prune, deletion, None).await.map(Some)
}

#[cfg(test)]
mod tests {
    use amikeep_domain::job::{JobState, Taken, TakenStep};

    use super::*;
    use crate::fixture::{Fixture, at, discard, image, registered, snapshot, snapshots_taken};

    #[tokio::test]
    async fn snapshots_that_are_given_up_go_by_a_row_of_their_own_and_the_job_goes_on() {
        let fixture = Fixture::new().await;
        let job = fixture.queued(1).await;
        let job = fixture.follow(job, &[JobEvent::Started, registered(), snapshots_taken(1)]).await;
        assert!(matches!(&job.state, JobState::Taken(Taken { step: TakenStep::Copying, .. })), "{job:?}");
        let (job, deletion) =
            fixture.ledger.record_discarded(&job, &discard(1), at("2026-11-22T01:30:00Z")).await.unwrap();
        let deletion = deletion.unwrap();
        assert!(matches!(job.state, JobState::Queued { .. }), "{job:?}");
        assert_eq!((&deletion.image, &deletion.snapshots), (&None, &vec![snapshot(1)]));
        assert_eq!(fixture.ledger.open_deletions().await.unwrap(), std::slice::from_ref(&deletion));
        let events = fixture.ledger.events(job.id).await.unwrap();
        let words: Vec<&str> = events.iter().rev().take(3).map(|event| event.event.as_str()).collect();
        assert_eq!(words, ["deletion-planned", "deferred", "snapshots-discarded"]);

        let checked =
            amikeep_domain::prune::DeletionEvent::SnapshotsChecked { left: Vec::new(), retry_at: deletion.planned_at };
        let done = fixture.ledger.record_deletion_event(&deletion, &checked, at("2026-11-22T01:31:00Z")).await.unwrap();
        assert!(matches!(done.state, DeletionState::Done { .. }), "{done:?}");
        fixture.ledger.check_integrity().await.unwrap();
    }

    #[tokio::test]
    async fn a_snapshot_that_an_image_has_is_never_given_up() {
        let fixture = Fixture::new().await;
        let job = fixture.queued(1).await;
        let registering = [JobEvent::SnapshotsCompleted, JobEvent::Registering, JobEvent::Accepted { image: image(1) }];
        let job = fixture.follow(job, &[JobEvent::Started, registered(), snapshots_taken(1)]).await;
        let job = fixture.follow(job, &registering).await;
        let volumes = fixture.image(1).await.volumes;
        assert_eq!(volumes.iter().map(|it| it.snapshot.clone()).collect::<Vec<_>>(), [Some(snapshot(1))]);
        let mut tx = fixture.ledger.begin(Access::Engine).await.unwrap();
        let deletion = Deletion {
            id: discard(1).id,
            image: None,
            job: job.id,
            policy: job.key.policy.clone(),
            account: job.key.account.clone(),
            account_name: job.account_name.clone(),
            region: job.key.region.clone(),
            instance: job.key.instance.clone(),
            snapshots: vec![snapshot(1)],
            reason: "a bug".to_owned(),
            planned_at: at("2026-11-22T01:30:00Z"),
            attempts: 0,
            state: DeletionState::Planned { retry_at: None },
        };
        assert_eq!(insert(&mut tx, None, &deletion).await.unwrap(), None);
        let other = Deletion { snapshots: vec![snapshot(2)], ..deletion };
        assert!(insert(&mut tx, None, &other).await.unwrap().is_some());
        // Nor twice.
        assert_eq!(insert(&mut tx, None, &other).await.unwrap(), None);
    }
}
