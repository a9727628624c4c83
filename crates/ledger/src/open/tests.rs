//! Which files are opened, which are refused and left alone, and what a failure leaves behind.
//!
//! A full disk is made by `SQLite`'s own limit on the pages of a file, which fails with the same result code as a disk, so
//! that the test needs no privileges; so is a file that cannot be written, by a connection that is told not to.

mod frozen;
mod released;

use std::os::unix::fs::PermissionsExt;

use amikeep_domain::job::JobEvent;

use super::*;
use crate::fixture::{Fixture, at, lock};
use crate::runs::LastStop;

/// Opens the file for the engine, for requests and for reading; what all three say, which must be the same kind of error.
/// The file itself must not have changed.
async fn refused_by_all(path: &Path) -> Vec<LedgerError> {
    let before = fs::read(path).unwrap();
    let lock = lock(path);
    let errors = vec![
        Ledger::open_for_engine(path, &lock).await.unwrap_err(),
        Ledger::open_for_requests(path).await.unwrap_err(),
        Ledger::open_read_only(path).await.unwrap_err(),
    ];
    assert_eq!(fs::read(path).unwrap(), before, "the file was changed");
    errors
}

/// A ledger on disk, closed.
async fn closed_ledger() -> (tempfile::TempDir, PathBuf) {
    let Fixture { dir, ledger, .. } = Fixture::new().await;
    ledger.close().await;
    let path = dir.path().join("amikeep.db");
    (dir, path)
}

/// A connection that knows nothing of ledgers.
async fn sqlite(path: &Path, statements: &[&'static str]) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    for statement in statements {
        sqlx::query(*statement).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

fn files(dir: &Path) -> Vec<String> {
    let name = |it: io::Result<fs::DirEntry>| it.unwrap().file_name().to_string_lossy().into_owned();
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(name).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_new_ledger_is_for_its_owner_alone() {
    let fixture = Fixture::new().await;
    fixture.queued(1).await;
    assert_eq!(files(fixture.dir.path()), ["amikeep.db", "amikeep.db-shm", "amikeep.db-wal", "amikeep.db.lock"]);
    for name in files(fixture.dir.path()) {
        let mode = fixture.dir.path().join(&name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn what_was_recorded_is_there_after_reopening() {
    let fixture = Fixture::new().await;
    let job = fixture.queued(1).await;
    let (path, ledger) = (fixture.path(), fixture.ledger);
    ledger.close().await;
    assert_eq!(files(fixture.dir.path()), ["amikeep.db", "amikeep.db.lock"]);
    let ledger = Ledger::open_for_engine(&path, &fixture.lock).await.unwrap();
    assert_eq!(ledger.open_jobs().await.unwrap(), [job]);
    ledger.check_integrity().await.unwrap();
}

#[tokio::test]
async fn only_the_engine_creates_a_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("amikeep.db");
    for error in [Ledger::open_for_requests(&path).await.unwrap_err(), Ledger::open_read_only(&path).await.unwrap_err()]
    {
        assert!(matches!(error, LedgerError::Missing { .. }), "{error}");
    }
    assert!(files(dir.path()).is_empty());
}

#[tokio::test]
async fn a_file_that_is_no_ledger_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("amikeep.db");
    let text = "owner = \"prod\"\n".repeat(1_000);
    for (content, said) in [("", "it is empty"), ("{}", "does not recognise"), (text.as_str(), "does not recognise")] {
        fs::write(&path, content).unwrap();
        for error in refused_by_all(&path).await {
            assert!(matches!(error, LedgerError::NotALedger { .. }), "{error}");
            assert!(error.to_string().contains(said), "{error}");
        }
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let error = Ledger::open_for_engine(&path, &lock(&path)).await.unwrap_err();
    assert!(error.to_string().contains("not a regular file"), "{error}");
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    for (name, statements) in [
        ("plain.db", ["CREATE TABLE jobs (id TEXT)", "PRAGMA user_version = 1"]),
        ("other.db", ["CREATE TABLE jobs (id TEXT)", "PRAGMA application_id = 42"]),
    ] {
        let path = dir.path().join(name);
        sqlite(&path, &statements).await;
        for error in refused_by_all(&path).await {
            assert!(matches!(error, LedgerError::NotALedger { .. }), "{error}");
            assert!(error.to_string().contains("another program"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_ledger_of_a_newer_release_is_refused_and_left_alone() {
    let (_dir, path) = closed_ledger().await;
    sqlite(&path, &["PRAGMA user_version = 999"]).await;
    for error in refused_by_all(&path).await {
        assert!(matches!(error, LedgerError::Newer { found: 999, .. }), "{error}");
    }
}

#[tokio::test]
async fn a_ledger_of_an_older_release_waits_for_the_engine() {
    let (_dir, path) = closed_ledger().await;
    sqlite(&path, &["PRAGMA user_version = 0"]).await;
    for error in [Ledger::open_for_requests(&path).await.unwrap_err(), Ledger::open_read_only(&path).await.unwrap_err()]
    {
        assert!(matches!(error, LedgerError::Older { found: 0, .. }), "{error}");
    }
    Ledger::open_for_engine(&path, &lock(&path)).await.unwrap();
}

#[tokio::test]
async fn a_migration_that_was_edited_after_its_release_is_noticed() {
    let (_dir, path) = closed_ledger().await;
    sqlite(&path, &["UPDATE _sqlx_migrations SET checksum = x'00'"]).await;
    let error = Ledger::open_for_engine(&path, &lock(&path)).await.unwrap_err();
    assert!(matches!(error, LedgerError::Migrate { .. }), "{error}");
}

#[tokio::test]
async fn a_damaged_header_is_refused_and_left_alone() {
    for (offset, garbage) in [(0, &b"SQLxte format 3"[..]), (16, &[0xff_u8; 8][..])] {
        let (_dir, path) = closed_ledger().await;
        let mut bytes = fs::read(&path).unwrap();
        bytes[offset..offset + garbage.len()].copy_from_slice(garbage);
        fs::write(&path, bytes).unwrap();
        for error in refused_by_all(&path).await {
            assert!(error.to_string().contains("first page is damaged"), "{error}");
        }
    }
}

/// A ledger whose daemon died, with this done to its bytes afterwards.
async fn after_a_crash(damage: impl FnOnce(&mut Vec<u8>)) -> LedgerError {
    let fixture = Fixture::new().await;
    fixture.ledger.record_start(at("2026-11-22T00:00:00Z")).await.unwrap();
    for n in 0..50 {
        let job = fixture.queued(n).await;
        fixture.follow(job, &[JobEvent::Started]).await;
    }
    let path = fixture.path();
    fixture.ledger.close().await;
    let mut bytes = fs::read(&path).unwrap();
    damage(&mut bytes);
    fs::write(&path, &bytes).unwrap();
    let error = Ledger::open_for_engine(&path, &fixture.lock).await.unwrap_err();
    assert_eq!(fs::read(&path).unwrap(), bytes, "the file was changed");
    error
}

#[tokio::test]
async fn a_torn_page_is_found_at_the_start_after_a_crash() {
    // In the middle of the file, where neither the schema nor the runs are.
    let error = after_a_crash(|bytes| {
        let page = bytes.len() / 4_096 / 2 * 4_096;
        bytes[page..page + 2_048].fill(0xaa);
    })
    .await;
    assert!(matches!(error, LedgerError::File(FileError::Corrupt { .. })), "{error}");
}

#[tokio::test]
async fn a_file_that_was_cut_off_is_found_at_the_start_after_a_crash() {
    let error = after_a_crash(|bytes| bytes.truncate(bytes.len() / 2)).await;
    assert!(matches!(error, LedgerError::File(FileError::Corrupt { .. })), "{error}");
}

#[tokio::test]
async fn a_start_says_how_the_run_before_ended() {
    let Fixture { dir: _dir, lock, ledger } = Fixture::new().await;
    let time = |hour: u32| at(&format!("2026-11-22T{hour:02}:00:00Z"));
    assert_eq!(ledger.record_start(time(1)).await.unwrap(), LastStop::First);
    assert_eq!(ledger.record_start(time(2)).await.unwrap(), LastStop::Unclean { started_at: time(1) });
    ledger.record_stop(time(3)).await.unwrap();
    assert_eq!(ledger.record_start(time(4)).await.unwrap(), LastStop::Clean { at: time(3) });
    let path = ledger.path().to_path_buf();
    ledger.close().await;
    // An unclean stop of a sound file is no reason to refuse it.
    Ledger::open_for_engine(&path, &lock).await.unwrap();
}

#[tokio::test]
async fn a_ledger_is_created_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = resolve(&dir.path().join("amikeep.db"));
    let error = create(&path, |path| connect_options(path).pragma("max_page_count", "8")).await.unwrap_err();
    assert!(matches!(error, LedgerError::File(FileError::DiskFull { .. })), "{error}");
    assert!(files(dir.path()).is_empty(), "{:?}", files(dir.path()));

    // What a process that died while creating left behind is in nobody's way.
    fs::write(dir.path().join("amikeep.db.creating"), "half").unwrap();
    fs::write(dir.path().join("amikeep.db.creating-journal"), "half").unwrap();
    create(&path, connect_options).await.unwrap();
    assert_eq!(files(dir.path()), ["amikeep.db"]);
}

#[tokio::test]
async fn a_file_that_appears_while_the_ledger_is_created_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = resolve(&dir.path().join("amikeep.db"));
    fs::write(&path, "a restored backup").unwrap();
    create(&path, connect_options).await.unwrap_err();
    assert_eq!(fs::read_to_string(&path).unwrap(), "a restored backup");
    assert_eq!(files(dir.path()), ["amikeep.db"]);
}

#[tokio::test]
async fn a_missing_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = create(&dir.path().join("absent/amikeep.db"), connect_options).await.unwrap_err();
    assert!(matches!(error, LedgerError::NoDirectory { .. }), "{error}");
}

#[tokio::test]
async fn a_full_disk_is_named_and_loses_nothing() {
    let fixture = Fixture::new().await;
    let job = fixture.queued(1).await;
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(fixture.ledger.writer()).await.unwrap();
    let limit = async |pages: i64| {
        let mut query = sqlx::QueryBuilder::<sqlx::Sqlite>::new("PRAGMA max_page_count = ");
        query.push(pages).build().execute(fixture.ledger.writer()).await.unwrap();
    };
    limit(pages).await;
    let reason = "x".repeat(20_000);
    let deferred = JobEvent::Deferred { retry_at: at("2026-11-22T02:00:00Z"), reason };
    let error = fixture.ledger.record_event(&job, &deferred, at("2026-11-22T01:00:01Z")).await.unwrap_err();
    assert!(matches!(error.file_error(), Some(FileError::DiskFull { .. })), "{error:?}");
    assert!(matches!(error, LedgerError::RecordEvent { .. }));
    assert_eq!(fixture.ledger.job(job.id).await.unwrap(), Some(job.clone()));
    assert_eq!(fixture.ledger.events(job.id).await.unwrap().len(), 1, "that it was queued");

    // Once there is room again, it goes on without a restart.
    limit(pages + 1_000).await;
    fixture.ledger.record_event(&job, &deferred, at("2026-11-22T01:00:02Z")).await.unwrap();
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_named() {
    let fixture = Fixture::new().await;
    sqlx::query("PRAGMA query_only = ON").execute(fixture.ledger.writer()).await.unwrap();
    let error = fixture.ledger.record_start(at("2026-11-22T00:00:00Z")).await.unwrap_err();
    assert!(matches!(error.file_error(), Some(FileError::ReadOnly { .. })), "{error:?}");
}

#[tokio::test]
async fn another_programs_lock_is_named() {
    let fixture = Fixture::new().await;
    sqlx::query("PRAGMA busy_timeout = 1").execute(fixture.ledger.writer()).await.unwrap();
    let options = SqliteConnectOptions::new().filename(fixture.path());
    let mut other = options.connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let error = fixture.ledger.record_start(at("2026-11-22T00:00:00Z")).await.unwrap_err();
    assert!(matches!(error.file_error(), Some(FileError::Locked { .. })), "{error:?}");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    fixture.ledger.record_start(at("2026-11-22T00:00:00Z")).await.unwrap();
}

#[tokio::test]
async fn readers_work_beside_the_engine_and_see_what_it_commits() {
    let fixture = Fixture::new().await;
    let reader = Ledger::open_read_only(&fixture.path()).await.unwrap();
    let job = fixture.queued(1).await;
    assert_eq!(reader.open_jobs().await.unwrap(), std::slice::from_ref(&job));
    // An open transaction of the engine keeps nobody from reading, and is not seen.
    let mut tx = fixture.ledger.begin(Access::Engine).await.unwrap();
    sqlx::query("UPDATE jobs SET attempts = 7").execute(&mut *tx).await.unwrap();
    assert_eq!(reader.open_jobs().await.unwrap(), [job]);
    tx.commit().await.unwrap();
    assert_eq!(reader.open_jobs().await.unwrap()[0].attempts, 7);
    reader.close().await;
    fixture.queued(2).await;
}

#[tokio::test]
async fn the_lock_of_another_ledger_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let lock = lock(&dir.path().join("one.db"));
    let error = Ledger::open_for_engine(&dir.path().join("two.db"), &lock).await.unwrap_err();
    assert!(matches!(error, LedgerError::OtherLock { .. }), "{error}");
    assert_eq!(files(dir.path()), ["one.db.lock"]);
}

#[tokio::test]
async fn a_reference_into_nothing_is_found() {
    let (_dir, path) = closed_ledger().await;
    let event = "INSERT INTO events (job, at, event, detail) VALUES ('nobody', 0, 'started', '')";
    sqlite(&path, &["PRAGMA foreign_keys = OFF", event]).await;
    let ledger = Ledger::open_read_only(&path).await.unwrap();
    let error = ledger.check_integrity().await.unwrap_err();
    assert!(error.to_string().contains("row 1 of events refers to a row of jobs"), "{error}");
}

#[tokio::test]
async fn a_copy_made_by_vacuum_is_a_ledger() {
    let fixture = Fixture::new().await;
    let job = fixture.queued(1).await;
    let copy = fixture.dir.path().join("copy.db");
    sqlx::query("VACUUM INTO ?1").bind(copy.to_str().unwrap()).execute(fixture.ledger.writer()).await.unwrap();
    let ledger = Ledger::open_for_engine(&copy, &lock(&copy)).await.unwrap();
    assert_eq!(ledger.open_jobs().await.unwrap(), [job]);
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(ledger.writer()).await.unwrap();
    assert_eq!(mode, "wal");
}
