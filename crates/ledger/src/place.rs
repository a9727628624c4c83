//! Whether an open file is still the one at its path.
//!
//! A process goes on writing into a file that somebody has deleted, moved or replaced, and nothing tells it: what it
//! writes is lost with it, and a second engine may work on what is at the path now. So whoever writes asks before.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::FileError;

/// A path, and the file that was at it when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    path: PathBuf,
    file: (u64, u64),
}

impl Place {
    /// Of the file that is at the path now.
    pub(crate) fn now(path: &Path) -> Result<Self, FileError> {
        let found = fs::metadata(path).map_err(|error| FileError::from_io(path, &error))?;
        Ok(Self::of(path, &found))
    }

    /// Of a file that is open already.
    pub(crate) fn of(path: &Path, opened: &Metadata) -> Self {
        Self { path: path.to_path_buf(), file: identity(opened) }
    }

    /// An error once another file is there, or none. A disk that does not answer is left to whoever reads from it.
    pub(crate) fn check(&self) -> Result<(), FileError> {
        let is_kept = match fs::metadata(&self.path) {
            Ok(found) => identity(&found) == self.file,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        if is_kept { Ok(()) } else { Err(FileError::Moved { path: self.path.clone() }) }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use amikeep_domain::id::RequestId;
    use amikeep_domain::prune::Released;

    use super::*;
    use crate::fixture::{Fixture, at};
    use crate::{Ledger, LedgerError, Request, RequestKind};

    /// What a write and the look for requests say once `change` was done to the ledger at this path.
    async fn after(change: impl FnOnce(&Path)) -> [Result<(), LedgerError>; 2] {
        let Fixture { dir, ledger, lock: _lock } = Fixture::new().await;
        ledger.prove_writable(at("2026-11-26T02:00:00Z")).await.unwrap();
        change(&dir.path().join("amikeep.db"));
        [ledger.prove_writable(at("2026-11-26T02:00:01Z")).await, ledger.open_requests().await.map(drop)]
    }

    fn is_moved(result: &Result<(), LedgerError>) -> bool {
        let error = result.as_ref().err().and_then(LedgerError::file_error);
        error.is_some_and(|error| matches!(error, FileError::Moved { .. }) && error.is_final())
    }

    #[tokio::test]
    async fn nothing_is_written_into_a_ledger_that_is_no_longer_at_its_path() {
        let deleted = after(|db| fs::remove_file(db).unwrap()).await;
        assert!(deleted.iter().all(is_moved), "{deleted:?}");
        let replaced = after(|db| {
            fs::copy(db, db.with_extension("copy")).unwrap();
            fs::rename(db.with_extension("copy"), db).unwrap();
        });
        let replaced = replaced.await;
        assert!(replaced.iter().all(is_moved), "{replaced:?}");
        let lock = after(|db| fs::remove_file(crate::open::with_suffix(db, ".lock")).unwrap()).await;
        assert!(lock.iter().all(is_moved), "another engine could have the lock of that name: {lock:?}");
        let linked = after(|db| fs::hard_link(db, db.with_extension("link")).unwrap()).await;
        assert!(linked.iter().all(Result::is_ok), "{linked:?}");
    }

    #[tokio::test]
    async fn a_request_is_not_left_in_a_file_that_nobody_reads_any_more() {
        let fixture = Fixture::new().await;
        let asking = Ledger::open_for_requests(&fixture.path()).await.unwrap();
        fs::rename(fixture.path(), fixture.path().with_extension("away")).unwrap();
        let requested_at = at("2026-11-26T02:00:00Z");
        let kind = RequestKind::Prune { policy: None, released: Released::default() };
        let request = Request { id: RequestId::new(requested_at, [1; 10]), kind, requested_at };
        assert!(is_moved(&asking.record_request(&request).await));
    }
}
