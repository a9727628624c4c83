//! What holds for the schema and for every statement.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Executor, QueryBuilder, Row, SqlSafeStr, Sqlite};

use crate::fixture::{Fixture, at, new_deletion, prune_record, until_pending};
use crate::open::{APPLICATION_ID, MIGRATOR, known_version};
use crate::sql::{self, Heat};
use crate::{HistoryFilter, Ledger, RequestKind};

/// What `EXPLAIN QUERY PLAN` says of a statement.
pub(crate) async fn query_plan(ledger: &Ledger, statement: &'static str) -> Vec<String> {
    let mut query = QueryBuilder::<Sqlite>::new("EXPLAIN QUERY PLAN ");
    query.push(statement);
    let rows: Vec<SqliteRow> = query.build().fetch_all(ledger.writer()).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>("detail")).collect()
}

#[tokio::test]
async fn every_statement_prepares_and_no_hot_one_scans_or_sorts() {
    let fixture = Fixture::new().await;
    let mut slow = Vec::new();
    for (name, heat, statement) in sql::ALL {
        let mut connection = fixture.ledger.writer().acquire().await.unwrap();
        let prepared = connection.prepare(statement.into_sql_str()).await;
        assert!(prepared.is_ok(), "{name}: {:?}", prepared.err());
        drop(connection);
        if *heat == Heat::Hot {
            let plan = query_plan(&fixture.ledger, statement).await;
            // Lists that came as JSON are read whole, and so are the indices that hold what is open alone.
            let whole = |step: &str| {
                let of_open = ["USING INDEX requests_open", "USING INDEX deletions_open"];
                step.contains("VIRTUAL TABLE") || of_open.iter().any(|it| step.ends_with(it))
            };
            let bad = |step: &&String| (step.starts_with("SCAN") && !whole(step)) || step.contains("TEMP B-TREE");
            slow.extend(plan.iter().filter(bad).map(|step| format!("{name}: {step}")));
        }
    }
    assert_eq!(slow, Vec::<String>::new());
}

/// A search by time alone would pass the test above, and still read a million jobs for one instance.
#[tokio::test]
async fn each_page_uses_the_index_of_its_filter() {
    let fixture = Fixture::new().await;
    for (statement, index) in [
        (sql::HISTORY, "jobs_by_time (scheduled_at"),
        (sql::HISTORY_OF_REQUEST, "jobs_by_request (request=? AND scheduled_at"),
        (sql::HISTORY_OF_INSTANCE, "jobs_by_instance (instance=? AND scheduled_at"),
        (sql::HISTORY_OF_POLICY, "jobs_by_policy (policy=? AND scheduled_at"),
        (sql::HISTORY_OF_STATE, "jobs_unsucceeded (state=? AND scheduled_at"),
        (sql::OPEN_JOBS, "jobs_unsucceeded (state=?"),
        (sql::FIRES, "fires_by_time (scheduled_at"),
        (sql::FIRES_OF_POLICY, "fires_by_policy (policy=? AND scheduled_at"),
        (sql::IMAGES_OF_POLICY, "images_by_policy (policy=?"),
        (sql::IMAGES_OF_INSTANCE, "images_by_instance (instance=?"),
        (sql::IMAGES_TO_PRUNE, "images_existing (account=? AND region=?"),
        (sql::IMAGES_MISSING, "images_existing (account=? AND region=?"),
        (sql::IMAGES_SEEN, "images_1 (account=? AND region=? AND image=?"),
        (sql::IMAGE_DELETING, "images_1 (account=? AND region=? AND image=?"),
        (sql::STATE_TO_DELETE, "images_1 (account=? AND region=? AND image=?"),
        (sql::STATE_TO_DELETE, "deletions_open (account=? AND region=? AND image=?"),
        (sql::OPEN_DELETIONS, "deletions_open"),
        (sql::DELETIONS_OF_PRUNE, "deletions_by_prune (prune=?"),
        (sql::DELETIONS_OF_REQUEST, "deletions_by_prune (prune=?"),
        (sql::DELETIONS_OF_IMAGE, "deletions_by_image (image=?"),
        (sql::DELETED_SINCE, "deletions_by_time (planned_at>?"),
        (sql::SUCCEEDED_SINCE, "jobs_succeeded (finished_at>?"),
        (sql::OLD_JOBS, "jobs_by_time (scheduled_at<?"),
        (sql::OLD_JOBS, "deletions_by_job (job=?"),
        (sql::OLD_FIRES, "fires_by_time (scheduled_at<?"),
        (sql::OLD_FIRES, "jobs_by_policy (policy=? AND scheduled_at=?"),
        (sql::SUMMARIES_OF_INSTANCE, "summaries_by_instance (instance=?"),
    ] {
        let plan = query_plan(&fixture.ledger, statement).await;
        assert!(plan.iter().any(|step| step.contains(index)), "{index}: {plan:?}");
    }
}

#[tokio::test]
async fn the_check_of_plans_would_notice_a_scan() {
    let fixture = Fixture::new().await;
    let plan = query_plan(&fixture.ledger, "SELECT id FROM jobs WHERE class = ?1 ORDER BY created_at").await;
    assert!(plan.iter().any(|step| step.starts_with("SCAN jobs")), "{plan:?}");
    assert!(plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:?}");
}

#[test]
fn only_the_list_of_statements_contains_sql() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_test = path.components().any(|it| it.as_os_str() == "tests" || it.as_os_str() == "tests.rs");
        if is_test || name == "sql.rs" {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for word in ["\"SELECT ", "\"INSERT ", "\"UPDATE ", "\"DELETE ", "\"PRAGMA "] {
            assert!(!text.contains(word), "{name} has a statement of its own: {word}");
        }
    }
}

#[tokio::test]
async fn every_migration_is_embedded_and_says_its_version() {
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations")).unwrap();
    let on_disk: BTreeSet<String> = files.map(|it| it.unwrap().file_name().to_string_lossy().into_owned()).collect();
    let number = |name: &String| name.split_once('_').unwrap().0.parse::<i64>().unwrap();
    let embedded: BTreeSet<i64> = MIGRATOR.iter().map(|it| it.version).collect();
    assert_eq!(on_disk.iter().map(number).collect::<BTreeSet<_>>(), embedded);

    let fixture = Fixture::new().await;
    let version: i64 = sqlx::query_scalar(sql::SCHEMA_VERSION).fetch_one(fixture.ledger.writer()).await.unwrap();
    let id: i64 = sqlx::query_scalar(sql::APPLICATION_ID).fetch_one(fixture.ledger.writer()).await.unwrap();
    assert_eq!((version, id), (known_version(), APPLICATION_ID));
}

#[tokio::test]
async fn commits_are_durable_and_references_are_checked() {
    let fixture = Fixture::new().await;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(fixture.ledger.writer()).await.unwrap();
    let sync: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(fixture.ledger.writer()).await.unwrap();
    let keys: i64 = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(fixture.ledger.writer()).await.unwrap();
    assert_eq!((mode.as_str(), sync, keys), ("wal", 2, 1));
    let strict =
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0 ORDER BY name";
    let lax: Vec<String> = sqlx::query_scalar(strict).fetch_all(fixture.ledger.writer()).await.unwrap();
    assert_eq!(lax, ["_sqlx_migrations", "sqlite_schema"]);
}

#[tokio::test]
async fn events_are_append_only() {
    let fixture = Fixture::new().await;
    let job = fixture.queued(1).await;
    fixture.follow(job.clone(), &until_pending(1)).await;
    for statement in [
        "UPDATE events SET detail = 'another story'",
        "DELETE FROM events",
        "INSERT OR REPLACE INTO events (id, job, at, event, detail) SELECT id, job, at, 'failed', '' FROM events",
        "DELETE FROM jobs",
    ] {
        let error = sqlx::query(statement).execute(fixture.ledger.writer()).await.unwrap_err().to_string();
        assert!(error.contains("append-only") || error.contains("FOREIGN KEY"), "{statement}: {error}");
    }
    assert_eq!(fixture.ledger.events(job.id).await.unwrap().len(), 4);
}

/// Only the transaction that summarises a job may delete its events; nobody else's go with them, and none is changed.
#[tokio::test]
async fn the_events_of_a_job_that_is_being_summarised_can_be_deleted_and_no_others() {
    let fixture = Fixture::new().await;
    let (one, two) = (fixture.queued(1).await, fixture.queued(2).await);
    let mut tx = fixture.ledger.begin(crate::ledger::Access::Engine).await.unwrap();
    let ids = format!("[\"{}\"]", one.id);
    sqlx::query(sql::BEGIN_SUMMARISING).bind(&ids).execute(&mut *tx).await.unwrap();
    for statement in [
        "DELETE FROM events",
        "UPDATE events SET detail = 'another story'",
        "INSERT OR REPLACE INTO events (id, job, at, event, detail) SELECT id, job, at, 'failed', '' FROM events",
    ] {
        let error = sqlx::query(statement).execute(&mut *tx).await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{statement}: {error}");
    }
    let deleted = sqlx::query(sql::DELETE_EVENTS).bind(&ids).execute(&mut *tx).await.unwrap().rows_affected();
    assert_eq!(deleted, 1);
    // Cut off here, nothing happened, and the permission went with the transaction.
    tx.rollback().await.unwrap();
    let error = sqlx::query(sql::DELETE_EVENTS).bind(&ids).execute(fixture.ledger.writer()).await.unwrap_err();
    assert!(error.to_string().contains("append-only"), "{error}");
    for job in [one, two] {
        assert_eq!(fixture.ledger.events(job.id).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn words_and_values_that_the_domain_does_not_know_are_refused() {
    let fixture = Fixture::new().await;
    let job = fixture.queued(1).await;
    fixture.follow(job, &until_pending(1)).await;
    let job = fixture.failed(2).await;
    fixture.ledger.record_prune(&prune_record(&[2], vec![new_deletion(&job, 2)])).await.unwrap();
    fixture.request(1, RequestKind::Resume { scope: amikeep_domain::pause::PauseScope::All }).await;
    for statement in [
        "UPDATE jobs SET state = 'paused'",
        "UPDATE jobs SET trigger = 'moon'",
        "UPDATE jobs SET asked = 'maybe'",
        "UPDATE jobs SET data = '{'",
        "UPDATE jobs SET attempts = 'many'",
        "UPDATE jobs SET scheduled_at = scheduled_at + 1",
        "UPDATE jobs SET state = 'succeeded'",
        "UPDATE fires SET outcome = 'lost'",
        "UPDATE images SET state = 'hidden'",
        "UPDATE images SET grade = 'good'",
        "UPDATE images SET counts = 1",
        "UPDATE fires SET outcome = 'skipped', matched = 0",
        "UPDATE fires SET outcome = 'skipped', matched = 0, missed_from = scheduled_at, missed_count = 1",
        "INSERT INTO requests (id, kind, data, requested_at, state) VALUES ('r', 'dance', '{}', 0, 'open')",
        "INSERT INTO requests (id, kind, data, requested_at, state) VALUES ('r', 'pin', '{}', 0, 'done')",
        "UPDATE deletions SET state = 'lost'",
        "UPDATE deletions SET state = 'done'",
        "UPDATE deletions SET was = 'deleted'",
        "UPDATE deletions SET reason = ''",
        "UPDATE deletions SET snapshots = 'snap-1'",
        "UPDATE deletions SET job = 'nobody'",
        "UPDATE deletions SET image = 'ami-00000000'",
        "DELETE FROM images WHERE state = 'deleting'",
        "DELETE FROM prunes",
        "INSERT INTO pauses (id, scope, since) VALUES ('nobody', 'all', 0)",
        "INSERT INTO pauses (id, scope, since) SELECT id, 'policy', 0 FROM requests",
    ] {
        let error = sqlx::query(statement).execute(fixture.ledger.writer()).await.unwrap_err().to_string();
        assert!(error.contains("constraint failed") || error.contains("cannot store"), "{statement}: {error}");
    }
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let fixture = Fixture::new().await;
    let mut connection = fixture.ledger.readers().acquire().await.unwrap();
    let error = sqlx::query("DELETE FROM cursors").execute(&mut *connection).await.unwrap_err();
    assert!(error.to_string().contains("readonly"), "{error}");
    connection.ping().await.unwrap();
}

/// The engine spawns its use-cases as tasks.
#[tokio::test]
async fn use_cases_can_be_spawned() {
    fn spawnable<T: Send>(future: T) -> T {
        future
    }
    let fixture = Fixture::new().await;
    let ledger = &fixture.ledger;
    let job = spawnable(fixture.queued(1)).await;
    spawnable(ledger.record_event(&job, &amikeep_domain::job::JobEvent::Started, at("2026-11-22T01:00:01Z")))
        .await
        .unwrap();
    spawnable(ledger.history(&HistoryFilter::default(), 10, None)).await.unwrap();
    spawnable(ledger.record_start(at("2026-11-22T01:00:01Z"))).await.unwrap();
    spawnable(ledger.images(None, None)).await.unwrap();
    spawnable(ledger.record_prune(&prune_record(&[], vec![]))).await.unwrap();
    spawnable(ledger.summarise(at("2026-11-22T01:00:01Z"), 10)).await.unwrap();
    spawnable(Ledger::open_for_engine(&fixture.path(), &fixture.lock)).await.unwrap();
}
