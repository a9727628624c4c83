//! Snapshots of which no image was made: when their deletion is refused.

use amikeep_domain::id::SnapshotId;
use amikeep_domain::prune::Deletion;

use crate::error::Failure;
use crate::ledger::Tx;
use crate::prunes::PruneId;
use crate::{deletions, sql, stored};

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
    use amikeep_domain::decision::JobError;
    use amikeep_domain::job::{Job, JobEvent};
    use amikeep_domain::prune::{DeletionEvent, DeletionState};

    use super::*;
    use crate::fixture::{Fixture, at, deletion_id, image, registered, snapshot, snapshots_taken};
    use crate::ledger::Access;

    /// A job that failed when its snapshots were taken.
    async fn with_a_set(fixture: &Fixture) -> Job {
        let job = fixture.queued(1).await;
        let failed = JobEvent::Failed(JobError::new("snapshots_failed", "one failed", "nothing"));
        fixture.follow(job, &[JobEvent::Started, registered(), snapshots_taken(1), failed]).await
    }

    /// A prune lets this snapshot of a job go.
    fn of_set(job: &Job, snapshot: SnapshotId) -> Deletion {
        Deletion {
            id: deletion_id(1),
            image: None,
            job: job.id,
            policy: job.key.policy.clone(),
            account: job.key.account.clone(),
            account_name: job.account_name.clone(),
            region: job.key.region.clone(),
            instance: job.key.instance.clone(),
            snapshots: vec![snapshot],
            reason: "a newer image succeeded".to_owned(),
            planned_at: at("2026-11-22T01:30:00Z"),
            attempts: 0,
            state: DeletionState::Planned { retry_at: None },
        }
    }

    #[tokio::test]
    async fn snapshots_without_an_image_go_by_a_row_of_their_own() {
        let fixture = Fixture::new().await;
        let job = with_a_set(&fixture).await;
        let mut tx = fixture.ledger.begin(Access::Engine).await.unwrap();
        let deletion = insert(&mut tx, None, &of_set(&job, snapshot(1))).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        assert_eq!((&deletion.image, &deletion.snapshots), (&None, &vec![snapshot(1)]));
        assert_eq!(fixture.ledger.open_deletions().await.unwrap(), std::slice::from_ref(&deletion));
        let events = fixture.ledger.events(job.id).await.unwrap();
        assert_eq!(events.last().unwrap().event, "deletion-planned");
        let checked = DeletionEvent::SnapshotsChecked { left: Vec::new(), retry_at: deletion.planned_at };
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
        assert_eq!(insert(&mut tx, None, &of_set(&job, snapshot(1))).await.unwrap(), None);
        let other = of_set(&job, snapshot(2));
        assert!(insert(&mut tx, None, &other).await.unwrap().is_some());
        // Nor twice.
        assert_eq!(insert(&mut tx, None, &other).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_snapshot_that_was_seen_gone_and_is_there_again_is_not_deleted_again() {
        let fixture = Fixture::new().await;
        let job = with_a_set(&fixture).await;
        let again = |n| Deletion { id: deletion_id(n), ..of_set(&job, snapshot(1)) };
        let delete = async |n: u32, event: &DeletionEvent| {
            let mut tx = fixture.ledger.begin(Access::Engine).await.unwrap();
            let deletion = insert(&mut tx, None, &again(n)).await.unwrap();
            tx.commit().await.unwrap();
            let at = at("2026-11-22T01:31:00Z");
            match &deletion {
                Some(deletion) => Some(fixture.ledger.record_deletion_event(deletion, event, at).await.unwrap()),
                None => None,
            }
        };
        let withdrawn = DeletionEvent::Withdrawn { reason: "it was pinned".to_owned() };
        assert!(delete(1, &withdrawn).await.is_some());
        let gone = DeletionEvent::SnapshotsChecked { left: Vec::new(), retry_at: at("2026-11-22T01:31:00Z") };
        assert!(delete(2, &gone).await.is_some(), "what was given up is decided anew");
        assert!(delete(3, &gone).await.is_none(), "somebody took it out of the Recycle Bin");
    }
}
