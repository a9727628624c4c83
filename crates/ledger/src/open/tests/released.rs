//! A ledger of every released schema is migrated with all that is in it, whole or not at all.
//!
//! `testdata/vN.sqlite` is a ledger as that release left it, with rows in every table, and `testdata/vN.txt` what was read
//! from it when it was frozen. The module `frozen` makes both.

use std::collections::BTreeMap;

use amikeep_domain::job::StateName;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

use super::*;
use crate::fixture::{image, new_deletion, prune_record};
use crate::open::tests::frozen::{frozen, frozen_views, views};
use crate::{Ended, FireFilter, HistoryFilter};

/// Has rows only inside a transaction.
const ALWAYS_EMPTY: &str = "summarising";

/// Fields that a schema added, and what they are in everything older.
const LATER_FIELDS: [(i64, &str); 2] = [(3, "hold: None, "), (4, "registration: None, ")];

/// Before the fourth schema every deletion had an image.
fn with_image(line: &str) -> String {
    let Some((before, rest)) = line.split_once("image: Some(").filter(|_| line.starts_with("  deletions")) else {
        return line.to_owned();
    };
    let (image, after) = rest.split_once("))").unwrap();
    format!("{before}image: {image}){after}")
}

/// Every schema that was ever released, the newest included.
fn released() -> std::ops::RangeInclusive<i64> {
    1..=known_version()
}

/// Those that a later one follows.
fn outdated() -> std::ops::Range<i64> {
    1..known_version()
}

/// A ledger as an old release left it.
fn old_ledger(version: i64) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("amikeep.db");
    fs::copy(frozen(version), &path).unwrap();
    (dir, path)
}

/// A connection that enforces no references, as a dump needs it.
async fn unchecked(path: &Path) -> SqliteConnection {
    connect_options(path).create_if_missing(true).foreign_keys(false).connect().await.unwrap()
}

async fn strings(connection: &mut SqliteConnection, statement: String) -> Vec<String> {
    let mut query = QueryBuilder::<Sqlite>::new(statement);
    let rows: Vec<SqliteRow> = query.build().fetch_all(connection).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>(0)).collect()
}

/// The columns of each table that holds the ledger's own rows.
async fn tables(path: &Path) -> BTreeMap<String, Vec<String>> {
    let mut connection = unchecked(path).await;
    let names =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_sqlx%' ESCAPE '\\'".to_owned();
    let mut tables = BTreeMap::new();
    for table in strings(&mut connection, names).await {
        let columns = strings(&mut connection, format!("SELECT name FROM pragma_table_info('{table}')")).await;
        tables.insert(table, columns);
    }
    tables
}

/// Every row, with these columns alone.
async fn rows(path: &Path, tables: &BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    let mut connection = unchecked(path).await;
    let mut found = BTreeMap::new();
    for (table, columns) in tables {
        let statement = format!("SELECT json_array({}) AS line FROM {table} ORDER BY line", columns.join(", "));
        found.insert(table.clone(), strings(&mut connection, statement).await);
    }
    found
}

/// Indices and triggers by name. The text of one that a later schema changed on purpose is left out.
async fn indices(path: &Path) -> Vec<String> {
    let mut connection = unchecked(path).await;
    let names = "SELECT name || ': ' || sql FROM sqlite_schema
        WHERE type IN ('index', 'trigger') AND sql IS NOT NULL AND name <> 'events_are_never_deleted' ORDER BY name";
    strings(&mut connection, names.to_owned()).await
}

async fn references(path: &Path) -> Vec<String> {
    let mut connection = unchecked(path).await;
    let names = "SELECT tables.name || '.' || keys.\"from\" || ' -> ' || keys.\"table\"
        FROM sqlite_schema AS tables, pragma_foreign_key_list(tables.name) AS keys WHERE tables.type = 'table' ORDER BY 1";
    strings(&mut connection, names.to_owned()).await
}

/// A table without rows proves nothing.
pub(super) async fn assert_no_table_is_empty(path: &Path) {
    let rows = rows(path, &tables(path).await).await;
    let empty: Vec<_> = rows.iter().filter(|(_, rows)| rows.is_empty()).map(|(table, _)| table.as_str()).collect();
    assert!(empty.iter().all(|table| *table == ALWAYS_EMPTY), "{empty:?}");
}

#[tokio::test]
async fn all_released_schemas_are_covered() {
    for version in released() {
        let how = "make it: AMIKEEP_FREEZE_LEDGER=1 cargo test -p amikeep-ledger frozen";
        assert!(frozen(version).exists() && frozen_views(version).exists(), "no frozen ledger of {version}; {how}");
        let (_dir, path) = old_ledger(version);
        assert_eq!(inspect(&path, Access::ReadOnly).await.unwrap(), version);
        assert_no_table_is_empty(&path).await;
    }
}

#[tokio::test]
async fn a_ledger_of_each_released_schema_is_migrated_and_keeps_every_row() {
    for version in released() {
        let (_dir, path) = old_ledger(version);
        let tables = tables(&path).await;
        let (before, indices_before, references_before) =
            (rows(&path, &tables).await, indices(&path).await, references(&path).await);

        let ledger = Ledger::open_for_engine(&path, &lock(&path)).await.unwrap();
        ledger.check_integrity().await.unwrap();
        ledger.close().await;
        assert_eq!(rows(&path, &tables).await, before);
        let (indices, references) = (indices(&path).await, references(&path).await);
        assert!(indices_before.iter().all(|it| indices.contains(it)), "{indices:?}");
        assert!(references_before.iter().all(|it| references.contains(it)), "{references:?}");
        Ledger::open_read_only(&path).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_read_from_each_released_ledger_is_what_was_read_when_it_was_frozen() {
    for version in released() {
        let (_dir, path) = old_ledger(version);
        let ledger = Ledger::open_for_engine(&path, &lock(&path)).await.unwrap();
        let (now, then) = (views(&ledger).await, fs::read_to_string(frozen_views(version)).unwrap());
        // Before the fifth schema nothing was tallied; what the migration makes of that is tested below.
        let is_known = |line: &&str| 5 <= version || !line.starts_with("tallies");
        let now = now.lines().filter(is_known).collect::<Vec<_>>().join("\n");
        for (now, then) in now.lines().zip(then.lines()) {
            let later = LATER_FIELDS.iter().filter(|(since, _)| version < *since);
            let now = later.fold(now.to_owned(), |line, (_, field)| line.replace(field, ""));
            let now = if version < 4 { with_image(&now) } else { now };
            assert_eq!(now, then, "v{version}.txt");
        }
        assert_eq!(now.lines().count(), then.lines().count(), "v{version}.txt");
    }
}

#[tokio::test]
async fn what_ended_before_there_were_tallies_is_tallied() {
    for version in outdated() {
        let (_dir, path) = old_ledger(version);
        let ledger = Ledger::open_for_engine(&path, &lock(&path)).await.unwrap();
        let tallies = ledger.figures().await.unwrap().tallies;
        let count = |of: fn(&Ended) -> bool| tallies.iter().filter(|it| of(&it.ended)).map(|it| it.count).sum::<u64>();
        let jobs = ledger.history(&HistoryFilter::default(), 1_000, None).await.unwrap().rows;
        let summaries = ledger.summaries(None, None).await.unwrap();
        for (state, tallied) in [
            (StateName::Succeeded, count(|it| matches!(it, Ended::Succeeded { .. }))),
            (StateName::Failed, count(|it| matches!(it, Ended::Failed(_)))),
            (StateName::Skipped, count(|it| matches!(it, Ended::Skipped(_)))),
        ] {
            let in_full = jobs.iter().filter(|job| job.state.name() == state).count() as u64;
            let in_sums = summaries.iter().filter(|it| it.state == state).map(|it| it.jobs).sum::<u64>();
            assert_eq!(tallied, in_full + in_sums, "{state} jobs of schema {version}: {tallies:?}");
        }
        let fires = ledger.fires(&FireFilter::default(), 1_000, None).await.unwrap().rows;
        let in_full = fires.iter().map(|fire| fire.missed_count.unwrap_or(1)).sum::<u64>();
        let in_sums = ledger.fire_summaries(None).await.unwrap().iter().map(|it| it.fires).sum::<u64>();
        assert_eq!(count(|it| matches!(it, Ended::Fire(_))), in_full + in_sums, "fires of schema {version}");
    }
}

#[tokio::test]
async fn a_ledger_is_copied_before_it_is_migrated_and_the_copy_is_what_it_was() {
    for version in outdated() {
        let (_dir, path) = old_ledger(version);
        let tables = tables(&path).await;
        let before = rows(&path, &tables).await;
        // A start that did not come to its end has left one already.
        let copy = with_suffix(&path, ".backups").join(format!("before-schema-{}.db", version + 1));
        fs::create_dir(copy.parent().unwrap()).unwrap();
        fs::write(&copy, "half").unwrap();
        Ledger::open_for_engine(&path, &lock(&path)).await.unwrap().close().await;
        assert_eq!(inspect(&copy, Access::ReadOnly).await.unwrap(), version);
        assert_eq!(rows(&copy, &tables).await, before);
    }
}

#[tokio::test]
async fn a_ledger_that_cannot_be_copied_is_not_migrated() {
    for version in outdated() {
        let (_dir, path) = old_ledger(version);
        fs::write(with_suffix(&path, ".backups"), "in the way").unwrap();
        let error = Ledger::open_for_engine(&path, &lock(&path)).await.unwrap_err();
        assert!(matches!(error, LedgerError::BackUp { .. }), "{error}");
        assert_eq!(inspect(&path, Access::ReadOnly).await.unwrap(), version);
    }
}

#[tokio::test]
async fn only_the_engine_opens_a_ledger_of_an_outdated_schema() {
    for version in outdated() {
        let (_dir, path) = old_ledger(version);
        let error = Ledger::open_read_only(&path).await.unwrap_err();
        assert!(matches!(error, LedgerError::Older { found, .. } if found == version), "{error}");
    }
}

#[tokio::test]
async fn a_migrated_ledger_is_read_and_works_on() {
    let (_dir, path) = old_ledger(1);
    let ledger = Ledger::open_for_engine(&path, &lock(&path)).await.unwrap();
    let jobs = ledger.history(&HistoryFilter::default(), 100, None).await.unwrap().rows;
    assert_eq!(jobs.len(), 6);
    assert_eq!(ledger.fires(&FireFilter::default(), 100, None).await.unwrap().rows.len(), 3);
    assert_eq!(ledger.open_requests().await.unwrap().len(), 1);
    let manual = jobs.iter().find(|job| job.request.is_some()).unwrap();
    let status = ledger.request(manual.request.unwrap()).await.unwrap().unwrap();
    assert_eq!((status.job, status.done), (Some(manual.id), false));
    let images = ledger.images(None, None).await.unwrap();
    assert_eq!(images.len(), 5);
    let job = jobs.iter().find(|job| job.image() == Some(&image(1))).unwrap();
    let recorded = ledger.record_prune(&prune_record(&[1], vec![new_deletion(job, 1)])).await.unwrap();
    assert_eq!(recorded.deletions.len(), 1);
    ledger.check_integrity().await.unwrap();
}

#[tokio::test]
async fn a_new_ledger_and_a_migrated_one_have_the_same_schema() {
    let schema = async |path: &Path| {
        let mut connection = unchecked(path).await;
        // The order of columns and the quotes of a renamed table may differ.
        let columns = "SELECT format('%s.%s %s %d %d', tables.name, columns.name, columns.type, columns.\"notnull\",
                columns.pk)
            FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
            WHERE tables.type = 'table' ORDER BY 1";
        strings(&mut connection, columns.to_owned()).await
    };
    let (_dir, new) = closed_ledger().await;
    for version in released() {
        let (_dir, old) = old_ledger(version);
        Ledger::open_for_engine(&old, &lock(&old)).await.unwrap().close().await;
        assert_eq!(schema(&old).await, schema(&new).await);
        assert_eq!(indices(&old).await, indices(&new).await);
        assert_eq!(references(&old).await, references(&new).await);
    }
}

/// What a process that was killed in the middle of a migration leaves: all of its pages are in the log, and no commit.
#[tokio::test]
async fn a_migration_that_was_cut_off_leaves_the_old_ledger() {
    for version in outdated() {
        let (_dir, path) = old_ledger(version);
        let tables = tables(&path).await;
        let before = rows(&path, &tables).await;
        let options = connect_options(&path).journal_mode(SqliteJournalMode::Wal).foreign_keys(false);
        let mut connection = options.pragma("cache_size", "1").connect().await.unwrap();
        let mut tx = connection.begin().await.unwrap();
        let next = MIGRATOR.iter().find(|migration| migration.version == version + 1).unwrap();
        sqlx::raw_sql(next.sql.clone()).execute(&mut *tx).await.unwrap();

        let killed = tempfile::tempdir().unwrap();
        let copy = killed.path().join("amikeep.db");
        for suffix in ["", "-wal"] {
            fs::copy(with_suffix(&path, suffix), with_suffix(&copy, suffix)).unwrap();
        }
        assert!(4_096 < with_suffix(&copy, "-wal").metadata().unwrap().len(), "the log has pages of the migration");
        let error = Ledger::open_read_only(&copy).await.unwrap_err();
        assert!(matches!(error, LedgerError::Older { found, .. } if found == version), "{error}");
        assert_eq!(rows(&copy, &tables).await, before);
        let ledger = Ledger::open_for_engine(&copy, &lock(&copy)).await.unwrap();
        ledger.check_integrity().await.unwrap();
        assert_eq!(rows(&copy, &tables).await, before);
    }
}

#[tokio::test]
async fn a_migration_that_the_disk_has_no_room_for_leaves_the_old_ledger() {
    for version in outdated() {
        let (_dir, path) = old_ledger(version);
        // No room inside of the file either.
        sqlite(&path, &["VACUUM"]).await;
        let tables = tables(&path).await;
        let before = rows(&path, &tables).await;
        // The first migration fills many pages before it fails, the others need but one.
        let pages = path.metadata().unwrap().len() / 4_096 + if version == 1 { 4 } else { 0 };
        let error = migrate_at(&path, connect_options(&path).pragma("max_page_count", pages.to_string())).await;
        let error = error.unwrap_err();
        assert!(matches!(error.file_error(), Some(FileError::DiskFull { .. })), "{error:?}");
        assert_eq!(inspect(&path, Access::ReadOnly).await.unwrap(), version);
        assert_eq!(rows(&path, &tables).await, before);
        Ledger::open_for_engine(&path, &lock(&path)).await.unwrap();
    }
}

#[tokio::test]
async fn a_ledger_with_a_reference_into_nothing_is_not_migrated() {
    let (_dir, path) = old_ledger(1);
    let event = "INSERT INTO events (job, at, event, detail) VALUES ('nobody', 0, 'started', '')";
    sqlite(&path, &["PRAGMA foreign_keys = OFF", event]).await;
    let error = Ledger::open_for_engine(&path, &lock(&path)).await.unwrap_err();
    let why = std::error::Error::source(error.file_error().unwrap()).unwrap().to_string();
    assert!(why.contains("nothing_refers_into_nothing"), "{why}");
    assert_eq!(inspect(&path, Access::ReadOnly).await.unwrap(), 1);
}

#[tokio::test]
async fn references_are_enforced_once_a_ledger_is_open() {
    let (_dir, path) = old_ledger(1);
    let ledger = Ledger::open_for_engine(&path, &lock(&path)).await.unwrap();
    let error = sqlx::query("DELETE FROM requests").execute(ledger.writer()).await.unwrap_err();
    assert!(error.to_string().contains("FOREIGN KEY"), "{error}");
}
