//! The handle on an open ledger: one writer, a few readers, and what its holder may write.

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use sqlx::{Sqlite, SqlitePool, Transaction};

use crate::error::{Failure, FileError, LedgerError};
use crate::place::Place;
use crate::sql;

/// A write transaction. It is begun as a writer, so it never has to upgrade in the middle, which `SQLite` refuses at once
/// when another one writes. It is rolled back when it is dropped.
pub(crate) type Tx = Transaction<'static, Sqlite>;

/// What the holder of a ledger may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    /// Nothing.
    ReadOnly,
    /// Rows of `requests`.
    Requests,
    /// Everything: it holds the engine's lock.
    Engine,
}

/// Is passed before every write. A test stands here that ends the process between any two commits.
pub trait WriteGate: fmt::Debug + Send + Sync {
    /// Ends when the write may begin.
    fn pass(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// An open ledger. Clones share it; closing one closes it for all.
#[derive(Debug, Clone)]
pub struct Ledger {
    path: Arc<Path>,
    access: Access,
    writer: Option<SqlitePool>,
    readers: SqlitePool,
    gate: Option<Arc<dyn WriteGate>>,
    /// What has to be where it was while this writes: the file, and for the engine that of its lock.
    places: Arc<[Place]>,
}

impl Ledger {
    pub(crate) fn for_reading(path: PathBuf, readers: SqlitePool) -> Self {
        let places = Arc::new([]);
        Self { path: path.into(), access: Access::ReadOnly, writer: None, readers, gate: None, places }
    }

    pub(crate) fn for_writing(
        path: PathBuf,
        access: Access,
        pools: (SqlitePool, SqlitePool),
        places: Vec<Place>,
    ) -> Self {
        let (writer, readers) = pools;
        Self { path: path.into(), access, writer: Some(writer), readers, gate: None, places: places.into() }
    }

    /// The same ledger, whose writes pass through `gate`. Only tests have one.
    #[must_use]
    pub fn behind(self, gate: Arc<dyn WriteGate>) -> Self {
        Self { gate: Some(gate), ..self }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes the file. The writer goes last, since the last connection to leave tidies up the write-ahead log, and a
    /// reader cannot.
    pub async fn close(self) {
        self.readers.close().await;
        if let Some(writer) = self.writer {
            writer.close().await;
        }
    }

    /// Begins a write, if the ledger was opened for it.
    pub(crate) async fn begin(&self, needed: Access) -> Result<Tx, Failure> {
        if let Some(gate) = &self.gate {
            gate.pass().await;
        }
        self.check_places()?;
        match &self.writer {
            Some(writer) if needed <= self.access => Ok(writer.begin_with(sql::BEGIN).await?),
            _ => Err(LedgerError::NotForWriting { path: self.path.to_path_buf() }.into()),
        }
    }

    /// That this still writes into the file at its path, under the lock at its path.
    pub(crate) fn check_places(&self) -> Result<(), LedgerError> {
        Ok(self.places.iter().try_for_each(Place::check)?)
    }

    pub(crate) fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    #[cfg(test)]
    pub(crate) fn writer(&self) -> &SqlitePool {
        self.writer.as_ref().expect("the test opened the ledger for writing")
    }

    /// Completes an error by the operation during which it came.
    pub(crate) fn explain<T>(
        &self,
        result: Result<T, Failure>,
        operation: impl FnOnce(FileError) -> LedgerError,
    ) -> Result<T, LedgerError> {
        result.map_err(|failure| failure.during(&self.path, operation))
    }

    /// The same for a question.
    pub(crate) fn explain_read<T>(
        &self,
        result: Result<T, Failure>,
        what: impl Into<String>,
    ) -> Result<T, LedgerError> {
        self.explain(result, |source| LedgerError::Read { what: what.into(), source })
    }
}
