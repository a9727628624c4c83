//! The engine's lock: one engine per ledger.
//!
//! It is an advisory lock of the kernel (`flock`) on a file beside the ledger, so it is free the moment its holder dies,
//! however it dies. The file's text only names the holder; it proves nothing. The file is never removed, since whoever
//! waited for the removed one would lock a file that nobody else sees.
//!
//! Asking who holds the lock needs a lock too: a shared one, for an instant. An engine that finds the lock taken
//! therefore asks for a shared lock as well. Getting it proves that nobody but askers is there, and it tries again.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};

use crate::error::FileError;
use crate::open::resolve;
use crate::place::Place;

/// Askers hold the lock for microseconds. So many of them in a row are not askers.
const TRIES_MAX: usize = 10_000;

/// The longest text of a holder that is read back.
const HOLDER_BYTES_MAX: u64 = 1_024;

/// Who holds the lock, for the message to whoever comes second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// Its command, `amikeep daemon`.
    pub command: String,
    /// When it started.
    pub started_at: Timestamp,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`, process {}, since {:.0}", self.command, self.pid, self.started_at)
    }
}

/// Why the lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody has it.
    #[error(
        "another amikeep works on the ledger {path}: {holder}; stop it first (commands that only read work beside it)"
    )]
    Held {
        /// The ledger.
        path: PathBuf,
        /// What the holder wrote about itself.
        holder: String,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {path}: its directory must exist and be writable for the user that amikeep runs as")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The engine's lock on one ledger, held until it is dropped or the process ends.
#[derive(Debug)]
pub struct EngineLock {
    ledger: PathBuf,
    file: File,
}

impl EngineLock {
    /// Takes the lock, or says who has it.
    pub fn acquire(db: &Path, holder: &Holder) -> Result<Self, LockError> {
        let ledger = resolve(db);
        let path = lock_path(&ledger);
        let io = |source: io::Error| LockError::Io { path: path.clone(), source };
        let mut file = open_lock_file(&path).map_err(io)?;
        for _ in 0..TRIES_MAX {
            if try_lock(&file, FlockOperation::NonBlockingLockExclusive).map_err(io)? {
                write_holder(&mut file, holder).map_err(io)?;
                return Ok(Self { ledger, file });
            }
            if !try_lock(&file, FlockOperation::NonBlockingLockShared).map_err(io)? {
                break;
            }
            flock(&file, FlockOperation::Unlock).map_err(|errno| io(errno.into()))?;
            std::thread::yield_now();
        }
        Err(LockError::Held { path: ledger, holder: read_holder(&mut file).map_err(io)? })
    }

    /// Who holds the lock now; `None` when nobody does.
    pub fn holder(db: &Path) -> Option<String> {
        let mut file = File::open(lock_path(&resolve(db))).ok()?;
        match try_lock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(false) => read_holder(&mut file).ok(),
            Ok(true) | Err(_) => None,
        }
    }

    /// Where the file is that is locked.
    pub(crate) fn place(&self) -> Result<Place, FileError> {
        let path = lock_path(&self.ledger);
        let opened = self.file.metadata().map_err(|error| FileError::from_io(&path, &error))?;
        Ok(Place::of(&path, &opened))
    }

    /// The ledger that is locked.
    pub(crate) fn ledger(&self) -> &Path {
        &self.ledger
    }
}

impl Drop for EngineLock {
    /// Takes the name off, then frees the lock, also where a child process that is just being started has a copy of the
    /// file. Failures cost nothing: the name proves nothing, and the kernel frees the lock when the file is closed.
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

fn lock_path(ledger: &Path) -> PathBuf {
    let mut path = ledger.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

fn open_lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Whether the lock was free.
fn try_lock(file: &File, operation: FlockOperation) -> io::Result<bool> {
    match flock(file, operation) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

fn write_holder(file: &mut File, holder: &Holder) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{holder}")
}

fn read_holder(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.rewind()?;
    file.take(HOLDER_BYTES_MAX).read_to_string(&mut text)?;
    let text = text.trim();
    Ok(if text.is_empty() { "a process that is just starting or ending".to_owned() } else { text.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Stdio};

    use super::*;

    fn holder(pid: u32) -> Holder {
        Holder { pid, command: "amikeep daemon".to_owned(), started_at: "2026-11-22T01:00:00.25Z".parse().unwrap() }
    }

    #[test]
    fn a_second_engine_is_refused_and_told_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("amikeep.db");
        assert_eq!(EngineLock::holder(&db), None);
        let first = EngineLock::acquire(&db, &holder(4242)).unwrap();
        let error = EngineLock::acquire(&db, &holder(4343)).unwrap_err();
        let named = "`amikeep daemon`, process 4242, since 2026-11-22T01:00:00Z";
        assert!(error.to_string().contains(named), "{error}");
        assert_eq!(EngineLock::holder(&db).as_deref(), Some(named));

        drop(first);
        assert_eq!(EngineLock::holder(&db), None);
        EngineLock::acquire(&db, &holder(4343)).unwrap();
    }

    #[test]
    fn the_lock_is_free_once_its_holder_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("amikeep.db");
        // The child inherits the locked file and is the only one to have it.
        let mut file = open_lock_file(&lock_path(&db)).unwrap();
        assert!(try_lock(&file, FlockOperation::NonBlockingLockExclusive).unwrap());
        write_holder(&mut file, &holder(4242)).unwrap();
        let mut child = Command::new("sleep").arg("600").stdin(Stdio::from(file)).spawn().unwrap();
        let error = EngineLock::acquire(&db, &holder(4343)).unwrap_err();
        assert!(error.to_string().contains("process 4242"), "{error}");

        child.kill().unwrap();
        child.wait().unwrap();
        EngineLock::acquire(&db, &holder(4343)).unwrap();
    }

    #[test]
    fn a_link_to_the_ledger_does_not_get_round_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let (db, link) = (dir.path().join("amikeep.db"), dir.path().join("link.db"));
        std::fs::write(&db, "").unwrap();
        std::os::unix::fs::symlink(&db, &link).unwrap();
        let _first = EngineLock::acquire(&db, &holder(4242)).unwrap();
        assert!(matches!(EngineLock::acquire(&link, &holder(4343)), Err(LockError::Held { .. })));
    }

    #[test]
    fn whoever_asks_for_the_holder_never_keeps_an_engine_from_starting() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("amikeep.db");
        drop(EngineLock::acquire(&db, &holder(1)).unwrap());
        std::thread::scope(|scope| {
            scope.spawn(|| (0..2_000).for_each(|_| drop(EngineLock::holder(&db))));
            for pid in 0..2_000 {
                EngineLock::acquire(&db, &holder(pid)).unwrap();
            }
        });
    }

    #[test]
    fn the_lock_file_is_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("amikeep.db");
        let _lock = EngineLock::acquire(&db, &holder(1)).unwrap();
        let mode = lock_path(&db).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = EngineLock::acquire(&dir.path().join("absent/amikeep.db"), &holder(1)).unwrap_err();
        assert!(error.to_string().contains("absent/amikeep.db.lock"), "{error}");
    }
}
