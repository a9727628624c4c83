//! Holds that have begun and are not known to be over.
//!
//! A row is written before anything is frozen, and goes when its hold is over. What is still there at a start was left by
//! a process that died, and is undone by whoever reads it.

use amikeep_domain::freeze::HoldRecord;
use amikeep_domain::id::JobId;
use jiff::Timestamp;

use crate::error::LedgerError;
use crate::field::{Place, millis};
use crate::ledger::{Access, Ledger};
use crate::{sql, stored};

impl Ledger {
    /// Records what the hold of a job may leave behind. Called again it replaces what was recorded.
    pub async fn record_hold(&self, job: JobId, record: &HoldRecord, at: Timestamp) -> Result<(), LedgerError> {
        let result = async {
            let mut tx = self.begin(Access::Engine).await?;
            let query = sqlx::query(sql::RECORD_HOLD)
                .bind(job.to_string())
                .bind(millis(at))
                .bind(stored::encode_hold_record(record));
            query.execute(&mut *tx).await?;
            Ok(tx.commit().await?)
        };
        self.explain(result.await, |source| LedgerError::RecordEvent { job, event: "holding", source })
    }

    /// Every hold that is not known to be over, oldest first.
    pub async fn open_holds(&self) -> Result<Vec<(JobId, HoldRecord)>, LedgerError> {
        let result = async {
            let rows: Vec<(String, String)> = sqlx::query_as(sql::OPEN_HOLDS).fetch_all(self.readers()).await?;
            let hold = |(job, data): (String, String)| -> Result<(JobId, HoldRecord), LedgerError> {
                let at = Place::new("holds", &job);
                Ok((at.parse("job", &job)?, at.read("data", stored::decode_hold_record(&data))?))
            };
            Ok(rows.into_iter().map(hold).collect::<Result<_, _>>()?)
        };
        self.explain_read(result.await, "the holds that are under way")
    }

    /// The hold of a job is over, and nothing of it is left to undo.
    pub async fn settle_hold(&self, job: JobId) -> Result<(), LedgerError> {
        let result = async {
            let mut tx = self.begin(Access::Engine).await?;
            sqlx::query(sql::SETTLE_HOLD).bind(job.to_string()).execute(&mut *tx).await?;
            Ok(tx.commit().await?)
        };
        self.explain(result.await, |source| LedgerError::RecordEvent { job, event: "held", source })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use amikeep_domain::freeze::{Connection, GuardStamp, Held, HeldMount, LeftFrozen, Proof, RecordedMount};
    use amikeep_domain::grade::Grade;
    use amikeep_domain::job::{HoldStep, JobEvent};
    use jiff::SignedDuration;

    use super::*;
    use crate::fixture::{Fixture, at, image, intended};

    pub(crate) fn record() -> HoldRecord {
        HoldRecord {
            freeze: "db".parse().unwrap(),
            boot_id: "4f0e6c1e".to_owned(),
            guard: Some(GuardStamp { pid: 4711, started: u64::from(u32::MAX) * 1_000 }),
            mounts: vec![RecordedMount { path: "/data".into(), major: 259, minor: 1 }],
            thaw: None,
            post: vec![vec!["/bin/resume".to_owned()]],
            stopped_replica: Some(Connection::File("/etc/amikeep/url".into())),
            command_limit: SignedDuration::from_secs(30),
            facts: vec![("AMIKEEP_INSTANCE_ID".to_owned(), "i-12345678".to_owned())],
            left: Vec::new(),
        }
    }

    pub(crate) fn held() -> Held {
        Held {
            freeze: "db".parse().unwrap(),
            grade: Grade::Application,
            proof: Proof::Unproved { why: "the budget was used up".to_owned() },
            mounts: vec![HeldMount {
                path: "/data".into(),
                fs_type: "xfs".to_owned(),
                options: "rw,attr2".to_owned(),
                stall: Some(SignedDuration::from_millis(1_234)),
                end: "thawed".to_owned(),
            }],
            volumes: vec!["vol-12345678".parse().unwrap()],
            held_from: Some(at("2026-11-22T01:00:02.000000001Z")),
            held_until: None,
            stall: Some(SignedDuration::from_millis(1_234)),
            locked: Some(SignedDuration::from_millis(12)),
            position: vec![("binlog".to_owned(), "mysql-bin.000042".to_owned())],
        }
    }

    #[tokio::test]
    async fn a_hold_is_open_until_it_is_settled_and_the_last_record_counts() {
        let fixture = Fixture::new().await;
        let job = fixture.queued(1).await;
        let before = HoldRecord { guard: None, mounts: Vec::new(), ..record() };
        for record in [&before, &record()] {
            fixture.ledger.record_hold(job.id, record, at("2026-11-22T01:00:00Z")).await.unwrap();
        }
        assert_eq!(fixture.ledger.open_holds().await.unwrap(), [(job.id, record())]);
        let left = LeftFrozen { what: "`/data` may still be frozen".to_owned(), run: "fsfreeze -u /data".to_owned() };
        let record = record().left_behind(vec![left]);
        assert!(record.post.is_empty(), "they have run");
        fixture.ledger.record_hold(job.id, &record, at("2026-11-22T01:01:00Z")).await.unwrap();
        assert_eq!(fixture.ledger.open_holds().await.unwrap(), [(job.id, record)]);
        fixture.ledger.settle_hold(job.id).await.unwrap();
        assert_eq!(fixture.ledger.open_holds().await.unwrap(), []);
    }

    #[tokio::test]
    async fn what_was_done_in_a_hold_is_written_down_afterwards_with_its_own_times() {
        let fixture = Fixture::new().await;
        let job = fixture.queued(1).await;
        let job = fixture.follow(job, &[JobEvent::Started, intended()]).await;
        let frozen = JobEvent::HoldStep { step: HoldStep::Frozen, detail: "/data".to_owned() };
        let told = [
            (frozen, at("2026-11-22T01:00:02Z")),
            (JobEvent::Held(Box::new(held())), at("2026-11-22T01:00:04Z")),
            (JobEvent::Accepted { image: image(1) }, at("2026-11-22T01:00:03Z")),
        ];
        let job = fixture.ledger.record_told(&job, &told).await.unwrap();
        assert_eq!(job.hold, Some(held()));
        assert_eq!(fixture.ledger.job(job.id).await.unwrap(), Some(job.clone()));
        let events = fixture.ledger.events(job.id).await.unwrap();
        let last: Vec<_> = events.iter().rev().take(3).rev().map(|it| (it.event.as_str(), it.at)).collect();
        assert_eq!(last, [("frozen", told[0].1), ("held", told[1].1), ("accepted", told[2].1)]);

        // All or none.
        let wrong = [(JobEvent::HookFailed { reason: "x".to_owned() }, told[0].1), (JobEvent::Started, told[0].1)];
        fixture.ledger.record_told(&job, &wrong).await.unwrap_err();
        assert_eq!(fixture.ledger.job(job.id).await.unwrap(), Some(job));
    }
}
