//! Opening, creating and migrating the file.
//!
//! A file is opened for writing only after a connection that cannot write has proved it to be a ledger of a known schema,
//! and, after an unclean stop, undamaged. A new ledger is made complete under another name and then renamed, so that at
//! its path there is either nothing or a whole ledger. This module never opens the file but through `SQLite`: closing any
//! other descriptor of it would drop the locks of every connection of this process.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access as FileAccess, CWD, RenameFlags, access, renameat_with};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};

use crate::backups;
use crate::error::{FileError, LedgerError, is_not_a_database};
use crate::ledger::{Access, Ledger};
use crate::lock::EngineLock;
use crate::place::Place;
use crate::sql;

pub(crate) static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// What `PRAGMA application_id` of a ledger says: "amik" in ASCII.
pub(crate) const APPLICATION_ID: i64 = 0x616d_696b;

/// How long a connection waits for another program's lock. Our own writers take milliseconds; a tool that copies the file
/// may take seconds.
const BUSY_FOR_MAX: Duration = Duration::from_secs(10);

/// Pages of the status page and commands are read side by side; more than a few would only queue for the disk.
const READERS_MAX: u32 = 4;

impl Ledger {
    /// Opens the ledger for the engine: creates it if there is none, checks it after an unclean stop, and migrates it.
    pub async fn open_for_engine(path: &Path, lock: &EngineLock) -> Result<Self, LedgerError> {
        let path = resolve(path);
        if lock.ledger() != path {
            return Err(LedgerError::OtherLock { path, locked: lock.ledger().to_path_buf() });
        }
        if !exists(&path)? {
            nothing_is_left(&path)?;
            create(&path, connect_options).await?;
        }
        let version = inspect(&path, Access::Engine).await?;
        if version < known_version() {
            let copy = backups::before_migration(&path, version).await?;
            tracing::info!("the ledger {} was copied to {} before its migration", path.display(), copy.display());
        }
        migrate_at(&path, connect_options(&path).journal_mode(SqliteJournalMode::Wal)).await?;
        if version < known_version() {
            tracing::info!("the ledger {} was migrated from schema {version} to {}", path.display(), known_version());
        }
        let places = vec![Place::now(&path)?, lock.place()?];
        let pools = (write_pool(&path).await?, read_pool(&path).await?);
        Ok(Self::for_writing(path, Access::Engine, pools, places))
    }

    /// Opens the ledger for a command that leaves a request to whoever holds the engine's lock.
    pub async fn open_for_requests(path: &Path) -> Result<Self, LedgerError> {
        let path = existing_and_current(path, Access::Requests).await?;
        let places = vec![Place::now(&path)?];
        let pools = (write_pool(&path).await?, read_pool(&path).await?);
        Ok(Self::for_writing(path, Access::Requests, pools, places))
    }

    /// Opens the ledger for reading, beside a running engine or alone.
    pub async fn open_read_only(path: &Path) -> Result<Self, LedgerError> {
        let path = existing_and_current(path, Access::ReadOnly).await?;
        let readers = read_pool(&path).await?;
        Ok(Self::for_reading(path, readers))
    }
}

/// The newest schema that this release knows.
pub(crate) fn known_version() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// The path without links, so that one ledger has one lock; as it is where even its directory does not exist.
pub(crate) fn resolve(path: &Path) -> PathBuf {
    let in_directory = || {
        let parent = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(parent.canonicalize().ok()?.join(path.file_name()?))
    };
    path.canonicalize().ok().or_else(in_directory).unwrap_or_else(|| path.to_path_buf())
}

async fn existing_and_current(path: &Path, wanted: Access) -> Result<PathBuf, LedgerError> {
    let path = resolve(path);
    if !exists(&path)? {
        return Err(LedgerError::Missing { path });
    }
    let (found, known) = (inspect(&path, wanted).await?, known_version());
    if found < known { Err(LedgerError::Older { path, found, known }) } else { Ok(path) }
}

/// Whether there is something at the path. An empty file is something: perhaps what a full disk or a failed copy left of
/// a ledger, so it is refused rather than filled.
fn exists(path: &Path) -> Result<bool, LedgerError> {
    let not_a_ledger = |detail: &str| LedgerError::NotALedger { path: path.to_path_buf(), detail: detail.to_owned() };
    match fs::metadata(path) {
        Ok(it) if !it.is_file() => Err(not_a_ledger("it is not a regular file")),
        Ok(it) if it.len() == 0 => Err(not_a_ledger("it is empty")),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(FileError::from_io(path, &error).into()),
    }
}

/// Nobody has lost a ledger here. A new one in its place would take every image of the old one for a stranger's, and a log
/// without its ledger would be written into the new one.
fn nothing_is_left(path: &Path) -> Result<(), LedgerError> {
    let log = Some(with_suffix(path, "-wal")).filter(|log| log.exists());
    let backup = || Some(backups::list(path).ok()?.into_iter().next()?.path);
    match log.or_else(backup) {
        Some(left) => Err(LedgerError::Lost { path: path.to_path_buf(), left }),
        None => Ok(()),
    }
}

/// Proves through a connection that cannot write that the file is a ledger, and returns the version of its schema.
async fn inspect(path: &Path, wanted: Access) -> Result<i64, LedgerError> {
    check_permissions(path, wanted)?;
    let mut connection =
        connect_options(path).read_only(true).connect().await.map_err(|error| not_opened(path, error))?;
    let version = inspect_connection(path, wanted, &mut connection).await;
    // A connection that only read has nothing to lose.
    let _ = connection.close().await;
    version
}

async fn inspect_connection(path: &Path, wanted: Access, db: &mut SqliteConnection) -> Result<i64, LedgerError> {
    let id: i64 =
        sqlx::query_scalar(sql::APPLICATION_ID).fetch_one(&mut *db).await.map_err(|it| not_opened(path, it))?;
    if id != APPLICATION_ID {
        let detail = format!("it is an SQLite database of another program (application id {id})");
        return Err(LedgerError::NotALedger { path: path.to_path_buf(), detail });
    }
    let found: i64 =
        sqlx::query_scalar(sql::SCHEMA_VERSION).fetch_one(&mut *db).await.map_err(|it| not_opened(path, it))?;
    let known = known_version();
    if known < found {
        return Err(LedgerError::Newer { path: path.to_path_buf(), found, known });
    }
    if wanted == Access::Engine {
        check_after_unclean_stop(path, db).await?;
    }
    Ok(found)
}

/// A process that was killed, or a host that lost its power, is when pages are torn. Reading them all takes a second or
/// two per gigabyte, so it is done then alone.
async fn check_after_unclean_stop(path: &Path, db: &mut SqliteConnection) -> Result<(), LedgerError> {
    let file_error = |error| FileError::from_sql(path, error);
    let last: Option<(i64, Option<i64>)> =
        sqlx::query_as(sql::LAST_RUN).fetch_optional(&mut *db).await.map_err(file_error)?;
    if !matches!(last, Some((_, None))) {
        return Ok(());
    }
    tracing::info!("the last run was not stopped in order, so the ledger {} is checked", path.display());
    let findings: Vec<String> = sqlx::query_scalar(sql::QUICK_CHECK).fetch_all(db).await.map_err(file_error)?;
    no_findings(path, &findings)
}

/// `SQLite`'s checks say `ok` or list what is wrong.
pub(crate) fn no_findings(path: &Path, findings: &[String]) -> Result<(), LedgerError> {
    if findings == ["ok"] {
        return Ok(());
    }
    Err(FileError::Corrupt { path: path.to_path_buf(), detail: findings.join("; ") }.into())
}

/// `SQLite` opens a file that it may not write as a read-only one and complains much later, so this asks before.
fn check_permissions(path: &Path, wanted: Access) -> Result<(), LedgerError> {
    let may =
        |path: &Path, mode: FileAccess| access(path, mode).map_err(|errno| FileError::from_io(path, &errno.into()));
    may(path, FileAccess::READ_OK)?;
    if wanted != Access::ReadOnly {
        may(path, FileAccess::WRITE_OK)?;
        may(path.parent().unwrap_or(Path::new(".")), FileAccess::WRITE_OK)?;
    }
    Ok(())
}

fn not_opened(path: &Path, error: sqlx::Error) -> LedgerError {
    if is_not_a_database(&error) {
        let detail =
            "SQLite does not recognise it, so it is another kind of file, or its first page is damaged".to_owned();
        return LedgerError::NotALedger { path: path.to_path_buf(), detail };
    }
    FileError::from_sql(path, error).into()
}

/// What every connection has in common. The journal mode is not among it: setting it would write into a file that is yet
/// to be proved a ledger.
pub(crate) fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_FOR_MAX)
}

/// One connection, so that writers queue here in order and not in `SQLite` by chance; without limits of age, so that its
/// prepared statements stay.
async fn write_pool(path: &Path) -> Result<SqlitePool, LedgerError> {
    let options = connect_options(path).journal_mode(SqliteJournalMode::Wal);
    pool(1, options).await.map_err(|error| FileError::from_sql(path, error).into())
}

async fn read_pool(path: &Path) -> Result<SqlitePool, LedgerError> {
    let options = connect_options(path).read_only(true);
    pool(READERS_MAX, options).await.map_err(|error| FileError::from_sql(path, error).into())
}

/// The longest wait for a connection.
const ACQUIRE_FOR_MAX: Duration = Duration::from_mins(5);

async fn pool(connections_max: u32, options: SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    SqlitePoolOptions::new()
        .max_connections(connections_max)
        // A wave of jobs queues for the one writer; on a slow disk its last commit is minutes away and not lost.
        .acquire_timeout(ACQUIRE_FOR_MAX)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        // SQLite itself ends a transaction that ran into a full disk. The driver does not notice, and such a connection
        // could never begin another one; so it is closed, and the next write gets a new one.
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        .connect_with(options)
        .await
}

/// Makes a whole ledger under another name and renames it. The engine's lock is held, so nobody else does the same.
async fn create(path: &Path, options: fn(&Path) -> SqliteConnectOptions) -> Result<(), LedgerError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    if !parent.is_dir() {
        return Err(LedgerError::NoDirectory { path: path.to_path_buf() });
    }
    let unfinished = with_suffix(path, ".creating");
    remove_unfinished(&unfinished).map_err(|error| FileError::from_io(&unfinished, &error))?;
    let created = match create_at(path, &unfinished, options(&unfinished)).await {
        // Without the rename a file that appeared in the meantime would be replaced.
        Ok(()) => renameat_with(CWD, &unfinished, CWD, path, RenameFlags::NOREPLACE)
            .map_err(io::Error::from)
            .and_then(|()| File::open(parent)?.sync_all())
            .map_err(|error| FileError::from_io(path, &error).into()),
        Err(error) => Err(error),
    };
    if created.is_err() {
        // The error that is returned matters more than one of cleaning up, which the next start tries again.
        let _ = remove_unfinished(&unfinished);
    }
    created
}

/// In `SQLite`'s default journal mode all that is committed is in the one file, so it can be renamed. Errors name the
/// ledger that was wanted.
async fn create_at(path: &Path, unfinished: &Path, options: SqliteConnectOptions) -> Result<(), LedgerError> {
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(unfinished);
    created.map_err(|error| FileError::from_io(path, &error))?;
    migrate_at(path, options).await
}

fn remove_unfinished(path: &Path) -> io::Result<()> {
    for leftover in [path.to_path_buf(), with_suffix(path, "-journal")] {
        match fs::remove_file(leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Migrates through a connection of its own, on which foreign keys are not enforced: a migration that rebuilds a table
/// must drop the old one while others refer to it, and a transaction cannot switch that off. Such a migration checks the
/// references itself before it ends.
async fn migrate_at(path: &Path, options: SqliteConnectOptions) -> Result<(), LedgerError> {
    let pool = pool(1, options.foreign_keys(false)).await.map_err(|error| FileError::from_sql(path, error))?;
    let migrated = migrate(path, &pool).await;
    pool.close().await;
    migrated
}

/// Applies what is missing, each migration in one transaction, and compares the checksums of the others. The driver's own
/// lock does nothing for `SQLite`; the engine's lock is what keeps two processes from migrating at once.
async fn migrate(path: &Path, pool: &SqlitePool) -> Result<(), LedgerError> {
    MIGRATOR.run(pool).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            FileError::from_sql(path, error).into()
        }
        other => LedgerError::Migrate { path: path.to_path_buf(), detail: other.to_string() },
    })
}

#[cfg(test)]
mod tests;
