//! Starts and stops of the engine, and the check of the whole file.

use jiff::Timestamp;

use crate::error::{Failure, FileError, LedgerError};
use crate::field::{Place, millis};
use crate::ledger::{Access, Ledger};
use crate::open::no_findings;
use crate::sql;

/// How the run before this one ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastStop {
    /// There was none.
    First,
    /// In order.
    Clean {
        /// When.
        at: Timestamp,
    },
    /// Its process died, or its host did.
    Unclean {
        /// When that run had started.
        started_at: Timestamp,
    },
}

impl Ledger {
    /// Records that the engine runs from now on, and says how the run before ended.
    pub async fn record_start(&self, at: Timestamp) -> Result<LastStop, LedgerError> {
        let result = self.try_record_start(at).await;
        self.explain(result, |source| LedgerError::RecordRun { what: "start", source })
    }

    async fn try_record_start(&self, at: Timestamp) -> Result<LastStop, Failure> {
        let mut tx = self.begin(Access::Engine).await?;
        let last: Option<(i64, Option<i64>)> = sqlx::query_as(sql::LAST_RUN).fetch_optional(&mut *tx).await?;
        sqlx::query(sql::INSERT_RUN).bind(millis(at)).execute(&mut *tx).await?;
        tx.commit().await?;
        let place = Place::new("runs", "the newest but one");
        Ok(match last {
            None => LastStop::First,
            Some((_, Some(stopped_at))) => LastStop::Clean { at: place.time("stopped_at", stopped_at)? },
            Some((started_at, None)) => LastStop::Unclean { started_at: place.time("started_at", started_at)? },
        })
    }

    /// Records that the engine stops in order. Nothing may be recorded after it.
    pub async fn record_stop(&self, at: Timestamp) -> Result<(), LedgerError> {
        let result = self.try_record_stop(at).await;
        self.explain(result, |source| LedgerError::RecordRun { what: "stop", source })
    }

    async fn try_record_stop(&self, at: Timestamp) -> Result<(), Failure> {
        let mut tx = self.begin(Access::Engine).await?;
        sqlx::query(sql::STOP_RUN).bind(millis(at)).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }

    /// Writes a row and takes it out again, in one commit that waits for the disk: proof that there is room, and that the
    /// file may be written. A commit that changes nothing would prove nothing.
    pub async fn prove_writable(&self, at: Timestamp) -> Result<(), LedgerError> {
        let result = self.try_prove_writable(at).await;
        self.explain(result, |source| LedgerError::RecordRun { what: "recovery", source })
    }

    async fn try_prove_writable(&self, at: Timestamp) -> Result<(), Failure> {
        let mut tx = self.begin(Access::Engine).await?;
        let run = sqlx::query(sql::INSERT_RUN).bind(millis(at)).execute(&mut *tx).await?.last_insert_rowid();
        sqlx::query(sql::DELETE_RUN).bind(run).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }

    /// Reads the whole file and checks every index and every reference. It takes seconds per gigabyte.
    pub async fn check_integrity(&self) -> Result<(), LedgerError> {
        let file_error = |error| FileError::from_sql(self.path(), error);
        let findings: Vec<String> =
            sqlx::query_scalar(sql::INTEGRITY_CHECK).fetch_all(self.readers()).await.map_err(file_error)?;
        no_findings(self.path(), &findings)?;
        let dangling: Vec<(String, Option<i64>, String)> =
            sqlx::query_as(sql::FOREIGN_KEY_CHECK).fetch_all(self.readers()).await.map_err(file_error)?;
        let Some((table, row, parent)) = dangling.first() else { return Ok(()) };
        let row = row.map_or_else(|| "a row".to_owned(), |row| format!("row {row}"));
        let detail = format!("{row} of {table} refers to a row of {parent} that is not there");
        Err(FileError::Corrupt { path: self.path().to_path_buf(), detail }.into())
    }
}
