//! Copies that are whole ledgers, and what is left when one cannot be made.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::fixture::{Fixture, at, lock};

const FIRST: &str = "2026-11-22T01:30:00Z";

fn names(fixture: &Fixture) -> Vec<String> {
    let name = |it: io::Result<fs::DirEntry>| it.unwrap().file_name().to_string_lossy().into_owned();
    let mut names: Vec<_> = fs::read_dir(directory(&fixture.path())).unwrap().map(name).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_backup_is_a_ledger_of_what_was_committed_when_it_was_begun() {
    let fixture = Fixture::new().await;
    let job = fixture.succeeded(1).await;
    let backup = fixture.ledger.back_up(at(FIRST), 7).await.unwrap();
    fixture.queued(2).await;
    assert_eq!(fixture.ledger.backups().unwrap(), std::slice::from_ref(&backup));
    assert_eq!(names(&fixture), ["20261122T013000Z.db"]);

    let other = tempfile::tempdir().unwrap();
    let path = other.path().join("amikeep.db");
    fs::copy(&backup.path, &path).unwrap();
    let ledger = Ledger::open_for_engine(&path, &lock(&path)).await.unwrap();
    ledger.check_integrity().await.unwrap();
    assert_eq!(ledger.job(job.id).await.unwrap(), Some(job.clone()));
    assert_eq!(ledger.events(job.id).await.unwrap(), fixture.ledger.events(job.id).await.unwrap());
    assert_eq!(ledger.open_jobs().await.unwrap(), []);
}

#[tokio::test]
async fn backups_are_for_their_owner_alone() {
    let fixture = Fixture::new().await;
    let backup = fixture.ledger.back_up(at(FIRST), 7).await.unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&backup.path), mode(&directory(&fixture.path()))), (0o600, 0o700));
}

#[tokio::test]
async fn the_newest_are_kept_and_the_files_of_others_are_left_alone() {
    let fixture = Fixture::new().await;
    fs::create_dir(directory(&fixture.path())).unwrap();
    for name in ["before-the-upgrade.db", "20261101T000000Z.db.old", "unfinished.db"] {
        fs::write(directory(&fixture.path()).join(name), "not ours").unwrap();
    }
    for day in 22..26 {
        fixture.ledger.back_up(at(&format!("2026-11-{day}T01:30:00Z")), 2).await.unwrap();
    }
    let left = ["20261101T000000Z.db.old", "20261124T013000Z.db", "20261125T013000Z.db", "before-the-upgrade.db"];
    assert_eq!(names(&fixture), left, "and what a process that died had begun is gone");
    let taken_at: Vec<_> = fixture.ledger.backups().unwrap().into_iter().map(|it| it.taken_at).collect();
    assert_eq!(taken_at, [at("2026-11-25T01:30:00Z"), at("2026-11-24T01:30:00Z")]);
}

#[tokio::test]
async fn the_new_one_stays_though_others_are_named_by_a_clock_that_was_ahead() {
    let fixture = Fixture::new().await;
    for day in 1..=2 {
        fixture.ledger.back_up(at(&format!("2031-01-0{day}T00:00:00Z")), 2).await.unwrap();
    }
    for kept in [2, 1] {
        let backup = fixture.ledger.back_up(at(&format!("2026-11-2{kept}T01:30:00Z")), kept).await.unwrap();
        assert!(backup.path.exists(), "of {kept}");
        assert_eq!(names(&fixture).len(), kept, "{:?}", names(&fixture));
    }
}

#[tokio::test]
async fn a_disk_without_room_for_a_copy_is_not_filled_with_half_of_one() {
    let fixture = Fixture::new().await;
    fixture.ledger.back_up(at(FIRST), 7).await.unwrap();
    // More than any disk has, and nothing of it is written.
    let file = OpenOptions::new().write(true).open(fixture.path()).unwrap();
    file.set_len(1 << 43).unwrap();
    let error = fixture.ledger.back_up(at("2026-11-23T01:30:00Z"), 7).await.unwrap_err();
    assert!(matches!(error.file_error(), Some(FileError::NoRoomToCopy { .. })), "{error:?}");
    assert_eq!(names(&fixture), ["20261122T013000Z.db"]);
}

#[tokio::test]
async fn what_root_copies_belongs_to_whom_the_ledger_belongs() {
    if !geteuid().is_root() {
        eprintln!("NOT RUN: this test gives files away, which takes root");
        return;
    }
    let fixture = Fixture::new().await;
    chown(fixture.path(), Some(65_534), Some(65_534)).unwrap();
    let backup = fixture.ledger.back_up(at(FIRST), 7).await.unwrap();
    for path in [&backup.path, &directory(&fixture.path())] {
        let found = fs::metadata(path).unwrap();
        assert_eq!((found.uid(), found.gid()), (65_534, 65_534), "{}", path.display());
    }
}

#[tokio::test]
async fn a_backup_that_cannot_be_made_costs_none_and_leaves_nothing() {
    let fixture = Fixture::new().await;
    fixture.succeeded(1).await;
    fixture.ledger.back_up(at(FIRST), 1).await.unwrap();
    // A page in the middle that no longer makes sense.
    let path = fixture.path();
    let Fixture { dir, lock, ledger } = fixture;
    ledger.close().await;
    let mut bytes = fs::read(&path).unwrap();
    let page = bytes.len() / 4_096 / 2 * 4_096;
    bytes[page..page + 4_096].fill(0xaa);
    fs::write(&path, &bytes).unwrap();
    let ledger = Ledger::open_for_engine(&path, &lock).await.unwrap();
    let fixture = Fixture { dir, lock, ledger };

    let error = fixture.ledger.back_up(at("2026-11-23T01:30:00Z"), 1).await.unwrap_err();
    assert!(matches!(error.file_error(), Some(FileError::Corrupt { .. })), "{error:?}");
    assert_eq!(names(&fixture), ["20261122T013000Z.db"]);
}

#[tokio::test]
async fn a_ledger_that_is_lost_is_not_made_anew() {
    let Fixture { dir: _dir, lock, ledger } = Fixture::new().await;
    let path = ledger.path().to_path_buf();
    let backup = ledger.back_up(at(FIRST), 7).await.unwrap();
    ledger.close().await;
    fs::remove_file(&path).unwrap();
    let error = Ledger::open_for_engine(&path, &lock).await.unwrap_err();
    assert!(error.to_string().contains(backup.path.to_str().unwrap()), "{error}");
    fs::remove_dir_all(directory(&path)).unwrap();
    let log = with_suffix(&path, "-wal");
    fs::write(&log, "the last commits of a lost ledger").unwrap();
    let error = Ledger::open_for_engine(&path, &lock).await.unwrap_err();
    assert!(matches!(&error, LedgerError::Lost { left, .. } if *left == log), "{error}");
    assert!(!path.exists());
    fs::remove_file(&log).unwrap();
    Ledger::open_for_engine(&path, &lock).await.unwrap();
}

#[tokio::test]
async fn writers_and_readers_go_on_while_a_backup_is_made() {
    let fixture = Fixture::new().await;
    for n in 0..50 {
        fixture.queued(n).await;
    }
    let writing = async {
        for n in 50..100 {
            fixture.queued(n).await;
        }
    };
    let (backup, ()) = tokio::join!(fixture.ledger.back_up(at(FIRST), 7), writing);
    let copy = Ledger::open_read_only(&backup.unwrap().path).await.unwrap();
    let jobs = copy.open_jobs().await.unwrap().len();
    assert!((50..=100).contains(&jobs), "{jobs}");
    assert_eq!(fixture.ledger.open_jobs().await.unwrap().len(), 100);
}
