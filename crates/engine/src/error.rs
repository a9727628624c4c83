//! What stops a tick. What goes wrong with one job is no error of the engine: it is an event of that job.

use std::error::Error;
use std::fmt;

use amikeep_ledger::{FileError, LedgerError};

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

impl EngineError {
    /// Whether the ledger contradicts itself or is no longer where it was: nothing can be acted upon, and waiting mends
    /// nothing.
    pub fn is_final(&self) -> bool {
        let Self::Ledger(error) = self else { return false };
        error.file_error().is_some_and(FileError::is_final)
    }

    /// Whether the disk of the ledger fails. Waiting mends that, but perhaps for those alone who open the ledger anew.
    pub(crate) fn is_of_disk(&self) -> bool {
        let Self::Ledger(error) = self else { return false };
        error.file_error().is_some_and(FileError::is_of_disk)
    }

    /// What is wrong, whatever it kept from being done.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Ledger(error) => error.file_error().map_or_else(|| Told(error).to_string(), ToString::to_string),
            error => Told(error).to_string(),
        }
    }
}

/// An error with its causes in one line, for a line of the log: its own text never repeats them, and what to do about a
/// full disk is in the last of them.
pub(crate) struct Told<'a>(pub(crate) &'a dyn Error);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_says_what_the_disk_refused_and_what_to_do() {
        let source = FileError::DiskFull { path: "/var/lib/amikeep/amikeep.db".into() };
        let error = EngineError::from(LedgerError::RecordRun { what: "start", source });
        let told = Told(&error).to_string();
        assert!(told.starts_with("failed to record the start of the engine: the disk that holds"), "{told}");
        assert!(told.contains("free some space"), "{told}");
        assert!(!error.is_final());
    }
}
