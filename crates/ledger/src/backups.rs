//! Copies of the ledger: each one a whole ledger in one file, made while the engine goes on.
//!
//! They are in a directory beside the ledger, `amikeep.db.backups`, named by the time they were begun. A copy is made under
//! another name, checked, written out to the disk and then renamed, so that whatever has the name of a backup can be
//! restored. A ledger is copied before it is migrated as well. Old copies go only after a new one is there: a disk that is
//! full or a ledger that cannot be read costs none.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown, fchown};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::fmt::strtime;
use rustix::fs::statvfs;
use rustix::process::geteuid;
use sqlx::{ConnectOptions, Connection};

use crate::error::{FileError, LedgerError};
use crate::ledger::Ledger;
use crate::open::{APPLICATION_ID, connect_options, no_findings, with_suffix};
use crate::sql;

/// The time in the name of a backup, as in the names of images.
const TIME: &str = "%Y%m%dT%H%M%SZ";
/// What is being made. It has no time in its name, so nobody takes it for a backup.
const UNFINISHED: &str = "unfinished.db";
/// What a copy leaves free: the log of the ledger goes on growing beside it, and a disk that a copy has filled would stop
/// every backup of an instance for the sake of one of the ledger.
const LEFT_FREE: u64 = 4 * 1024 * 1024;

/// A copy of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The file.
    pub path: PathBuf,
    /// When it was begun: everything that was committed by then is in it.
    pub taken_at: Timestamp,
}

impl Ledger {
    /// The copies that are there, newest first.
    pub fn backups(&self) -> Result<Vec<Backup>, LedgerError> {
        list(self.path()).map_err(|error| self.not_backed_up(FileError::from_io(&directory(self.path()), &error)))
    }

    /// Makes a copy, and removes the oldest beyond `kept`. Readers and the writer go on meanwhile; the log of the ledger
    /// cannot be shortened until it is done, which takes a second or two per gigabyte.
    pub async fn back_up(&self, at: Timestamp, kept: usize) -> Result<Backup, LedgerError> {
        let directory = directory(self.path());
        let io_error = |error: &io::Error| self.not_backed_up(FileError::from_io(&directory, error));
        make_directory(&directory, self.path()).map_err(|error| io_error(&error))?;
        let path = directory.join(format!("{}.db", at.strftime(TIME)));
        copy(self.path(), &directory.join(UNFINISHED), &path).await.map_err(|error| self.not_backed_up(error))?;
        // By a clock that was ahead some may be named as if they were newer, and this one is what nobody may lose.
        let others = self.backups()?.into_iter().filter(|backup| backup.path != path);
        for old in others.skip(kept.max(1) - 1) {
            fs::remove_file(&old.path).map_err(|error| io_error(&error))?;
        }
        Ok(Backup { path, taken_at: at })
    }

    fn not_backed_up(&self, source: FileError) -> LedgerError {
        LedgerError::BackUp { path: self.path().to_path_buf(), source }
    }
}

/// Copies a ledger that is about to be migrated, for whoever goes back to the release before. It replaces a copy of that
/// schema from an earlier try, and is nobody's to remove.
pub(crate) async fn before_migration(ledger: &Path, version: i64) -> Result<PathBuf, LedgerError> {
    let directory = directory(ledger);
    let not_backed_up = |source| LedgerError::BackUp { path: ledger.to_path_buf(), source };
    make_directory(&directory, ledger).map_err(|error| not_backed_up(FileError::from_io(&directory, &error)))?;
    let path = directory.join(format!("before-schema-{}.db", version + 1));
    copy(ledger, &directory.join(UNFINISHED), &path).await.map_err(not_backed_up)?;
    Ok(path)
}

/// Where the backups of a ledger are.
fn directory(ledger: &Path) -> PathBuf {
    with_suffix(ledger, ".backups")
}

/// For its owner alone, as the ledger is.
fn make_directory(directory: &Path, ledger: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => match owner(ledger)? {
            Some((user, group)) => chown(directory, Some(user), Some(group)),
            None => Ok(()),
        },
    }
}

/// User and group of the ledger, if this process is root and so has to give them what it makes: a command of root's may
/// migrate the ledger of a service, which then must be able to restore the copy, and to make its own beside it.
fn owner(ledger: &Path) -> io::Result<Option<(u32, u32)>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let found = fs::metadata(ledger)?;
    // Whoever gives nothing away needs no right to.
    Ok(Some((found.uid(), found.gid())).filter(|owner| *owner != (0, 0)))
}

/// The backups of a ledger, newest first.
pub(crate) fn list(ledger: &Path) -> io::Result<Vec<Backup>> {
    let entries = match fs::read_dir(directory(ledger)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut backups = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if let Some(taken_at) = taken_at(&path) {
            backups.push(Backup { path, taken_at });
        }
    }
    backups.sort_by_key(|backup| std::cmp::Reverse(backup.taken_at));
    Ok(backups)
}

/// `None` for a file of another name, which is nobody's to remove.
fn taken_at(path: &Path) -> Option<Timestamp> {
    let time = path.file_name()?.to_str()?.strip_suffix(".db")?;
    let parsed = strtime::parse("%Y%m%dT%H%M%S", time.strip_suffix('Z')?).ok()?.to_datetime().ok()?;
    Some(parsed.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

/// Copies a ledger to `unfinished`, proves that the copy is whole, and gives it the name `path`.
async fn copy(ledger: &Path, unfinished: &Path, path: &Path) -> Result<(), FileError> {
    let io_error = |error: io::Error| FileError::from_io(path, &error);
    match fs::remove_file(unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(error)),
        _ => {}
    }
    check_room(ledger)?;
    // SQLite fills an empty file, and would make one that others may read.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(unfinished).map_err(io_error)?;
    let copied = async {
        if let Some((user, group)) = owner(ledger).map_err(io_error)? {
            fchown(&file, Some(user), Some(group)).map_err(io_error)?;
        }
        vacuum_into(ledger, unfinished).await?;
        check(unfinished).await?;
        let (unfinished, path) = (unfinished.to_path_buf(), path.to_path_buf());
        // A disk may take seconds, which must not be taken from whoever shares this thread.
        let named = tokio::task::spawn_blocking(move || name(&file, &unfinished, &path)).await;
        named.unwrap_or_else(|panicked| Err(io::Error::other(panicked))).map_err(io_error)
    };
    if let Err(error) = copied.await {
        // The error that is returned matters more than one of cleaning up, which the next backup tries again.
        let _ = fs::remove_file(unfinished);
        return Err(error);
    }
    Ok(())
}

/// Whether there is room for a copy and for whatever is written meanwhile. The copy is beside the ledger, on its disk.
fn check_room(ledger: &Path) -> Result<(), FileError> {
    let io_error = |error: io::Error| FileError::from_io(ledger, &error);
    let disk = statvfs(ledger).map_err(|errno| io_error(errno.into()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    // The log is in it as well. What is no longer used inside of the file is not, so this is more than it takes.
    let log = fs::metadata(with_suffix(ledger, "-wal")).map_or(0, |log| log.len());
    let ledger_len = fs::metadata(ledger).map_err(io_error)?.len();
    let needed = ledger_len.saturating_add(log).saturating_add(LEFT_FREE);
    if needed <= free { Ok(()) } else { Err(FileError::NoRoomToCopy { path: ledger.to_path_buf(), needed, free }) }
}

/// Puts the copy on the disk, then its name.
fn name(file: &File, unfinished: &Path, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    fs::rename(unfinished, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// Through a connection of its own, which cannot write the ledger: the others stay free for the engine and its readers.
async fn vacuum_into(ledger: &Path, copy: &Path) -> Result<(), FileError> {
    let sql_error = |error| FileError::from_sql(ledger, error);
    let mut connection = connect_options(ledger).read_only(true).connect().await.map_err(sql_error)?;
    // A path that is no text cannot be bound; the ledger's own was opened as text.
    let done = sqlx::query(sql::VACUUM_INTO).bind(copy.to_string_lossy()).execute(&mut connection).await;
    // A connection that only read has nothing to lose.
    let _ = connection.close().await;
    done.map(|_| ()).map_err(sql_error)
}

/// A copy that cannot be restored is none: it is read once as a whole. What is wrong then is wrong with the copy.
async fn check(copy: &Path) -> Result<(), FileError> {
    let sql_error = |error: sqlx::Error| unreadable(copy, &error.to_string());
    let mut connection = connect_options(copy).read_only(true).connect().await.map_err(sql_error)?;
    let checked = async {
        let id: i64 = sqlx::query_scalar(sql::APPLICATION_ID).fetch_one(&mut connection).await.map_err(sql_error)?;
        let findings: Vec<String> =
            sqlx::query_scalar(sql::QUICK_CHECK).fetch_all(&mut connection).await.map_err(sql_error)?;
        no_findings(copy, &findings).map_err(|error| unreadable(copy, &error.to_string()))?;
        if id == APPLICATION_ID { Ok(()) } else { Err(unreadable(copy, "it does not say that it is a ledger")) }
    };
    let checked = checked.await;
    let _ = connection.close().await;
    checked
}

fn unreadable(copy: &Path, detail: &str) -> FileError {
    FileError::Disk { path: copy.to_path_buf(), detail: format!("the copy is not what was written: {detail}") }
}

#[cfg(test)]
mod tests;
