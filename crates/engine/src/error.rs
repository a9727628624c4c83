//! What stops a tick. What goes wrong with one job is no error of the engine: it is an event of that job.

use amikeep_ledger::LedgerError;

/// Why the engine could not go on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The ledger failed. Without it nothing may be done, since nothing could be remembered.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The engine did not come to rest, which only a bug in the planner explains.
    #[error("the engine is not settled after {rounds} rounds: it plans the same again and again")]
    NotSettled {
        /// How often it planned.
        rounds: u32,
    },
    /// The doorbell could not be set up.
    #[error("failed to start the scheduler that wakes the engine")]
    Doorbell(#[source] tokio_cron_scheduler::JobSchedulerError),
}
