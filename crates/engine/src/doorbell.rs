//! What wakes the engine. A doorbell carries no message: it says "look", never what there is to see.
//!
//! `tokio-cron-scheduler` rings it every minute and, as a hint, at the times of each schedule. It is never believed for
//! more than that: it pins a zone to the offset of the moment and drops activations under load, so what is due is
//! computed from the ledger. See `docs/scheduling.md`.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler};
use tracing::debug;

use crate::error::EngineError;

/// The scheduler drops what does not fit into its channels, and its own tasks die of it. One ring per distinct schedule
/// fits with much to spare.
const CHANNEL_SIZE: usize = 4096;
/// More distinct schedules than this are left to the engine's own timer.
const RINGERS_MAX: usize = 1_000;
/// Six fields: second 0 of every minute.
const EVERY_MINUTE: &str = "0 * * * * *";

/// Wakes the engine.
#[derive(Clone, Default)]
pub struct Doorbell {
    notify: Arc<Notify>,
}

/// The scheduler behind a doorbell; it rings as long as this lives.
pub(crate) struct Ringer {
    scheduler: JobScheduler,
}

impl Doorbell {
    /// A doorbell that nobody rings yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes the engine now, or as soon as it waits.
    pub fn ring(&self) {
        self.notify.notify_one();
    }

    pub(crate) async fn rung(&self) {
        self.notify.notified().await;
    }

    /// Has the scheduler ring every minute and at the times of `schedules`, each a cron expression of five or six fields
    /// without a zone.
    pub(crate) async fn start_ringer(&self, schedules: &BTreeSet<String>) -> Result<Ringer, EngineError> {
        let scheduler = JobScheduler::new_with_channel_size(CHANNEL_SIZE).await.map_err(EngineError::Doorbell)?;
        scheduler.add(self.ring_at(EVERY_MINUTE)?).await.map_err(EngineError::Doorbell)?;
        // One after another: additions at the same time can kill the scheduler's own tasks.
        for schedule in schedules.iter().take(RINGERS_MAX) {
            match self.ring_at(schedule) {
                Ok(job) => drop(scheduler.add(job).await.map_err(EngineError::Doorbell)?),
                Err(error) => debug!("the scheduler does not take {schedule}, the engine's own timer does: {error}"),
            }
        }
        scheduler.start().await.map_err(EngineError::Doorbell)?;
        Ok(Ringer { scheduler })
    }

    fn ring_at(&self, schedule: &str) -> Result<Job, EngineError> {
        let six_fields =
            if schedule.split_whitespace().count() == 5 { format!("0 {schedule}") } else { schedule.to_owned() };
        let doorbell = self.clone();
        let ring = move |_id, _scheduler| -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
            let doorbell = doorbell.clone();
            Box::pin(async move { doorbell.ring() })
        };
        Job::new_async(six_fields.as_str(), ring).map_err(EngineError::Doorbell)
    }
}

impl Ringer {
    pub(crate) async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            debug!("the scheduler did not stop in order: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_scheduler_rings_and_a_ring_is_not_lost() {
        let doorbell = Doorbell::new();
        // Nobody waits yet: the ring is kept.
        doorbell.ring();
        tokio::time::timeout(Duration::from_secs(5), doorbell.rung()).await.unwrap();
        let schedules = BTreeSet::from(["* * * * * *".to_owned(), "not a schedule".to_owned()]);
        let ringer = doorbell.start_ringer(&schedules).await.unwrap();
        tokio::time::timeout(Duration::from_secs(30), doorbell.rung()).await.unwrap();
        ringer.stop().await;
    }
}
