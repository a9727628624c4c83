//! Redis on a frozen file system: a second server on the image has every write that was acknowledged.

use std::time::Duration;

use amikeep_hold::apps::{AppError, Application, LockLimits};

use crate::bench::{Bench, Fs, PATIENCE, some_time};
use crate::server::redis::Redis;

const LIMITS: LockLimits = LockLimits { wait: Duration::from_secs(20), hold: Duration::from_mins(1) };

fn every_acknowledged_write_is_in_the_image(kind: Fs, options: &str) {
    let Some(bench) = Bench::with(&[kind]) else { return };
    let server = Redis::on(bench.mount(0), bench.directory(), "first", options).unwrap();
    let client = server.client("n");
    client.waits_for(200);
    let second = |acknowledged: u64, copy: String| {
        let second = Redis::on(&bench.mount_copy(&copy), bench.directory(), "second", options).unwrap();
        let found = second.count("n");
        drop(second);
        bench.discard_copy(&copy);
        (acknowledged, found)
    };
    // What is lost without is no property of amikeep, and so is told and not asserted.
    let (acknowledged, found) = second(client.now(), bench.copy_of(0));
    eprintln!("report: redis {options}, no pause and no freeze: {acknowledged} writes acknowledged, {found} found");
    let prepared = server.prepared();
    let guard = bench.guard();
    let locked = prepared.lock(LIMITS).unwrap();
    let hold = guard.freeze(LIMITS.hold, some_time()).unwrap();
    locked.ping().unwrap();
    let (acknowledged, copy) = (client.now(), bench.copy_of(0));
    assert!(hold.thaw().proves_hold());
    let recorded = locked.recorded().clone();
    locked.release().unwrap();
    client.waits_for(100);
    let names: Vec<_> = recorded.facts().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["server", "role", "lock", "replication_id", "replication_offset", "aof", "last_save"]);
    let (acknowledged, found) = second(acknowledged, copy);
    assert!(acknowledged <= found, "{options}: {acknowledged} acknowledged, {found} in the image");
}

#[test]
fn every_acknowledged_write_is_in_the_image_without_an_append_only_file() {
    every_acknowledged_write_is_in_the_image(Fs::Xfs, "--appendonly no");
}

#[test]
fn every_acknowledged_write_is_in_the_image_with_an_append_only_file_flushed_each_second() {
    every_acknowledged_write_is_in_the_image(Fs::Ext4, "--appendonly yes --appendfsync everysec");
}

#[test]
fn every_acknowledged_write_is_in_the_image_with_an_append_only_file_flushed_always() {
    every_acknowledged_write_is_in_the_image(Fs::Xfs, "--appendonly yes --appendfsync always");
}

#[test]
fn writes_stop_in_the_hold_of_redis_and_go_on_when_it_is_released_or_forgotten_or_its_time_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let server = Redis::on(directory.path(), directory.path(), "first", "--appendonly yes").unwrap();
    let client = server.client("n");
    let locked = server.prepared().lock(LIMITS).unwrap();
    let before = client.now();
    // Reads and pings go on, in an order that also puts every earlier write behind us.
    assert!(server.count("n") <= before + 1, "nothing is written that is not acknowledged, but for what was under way");
    locked.release().unwrap();
    client.waits_for(100);
    drop(server.prepared().lock(LIMITS).unwrap());
    client.waits_for(100);
    let short = LockLimits { wait: Duration::from_secs(2), hold: Duration::from_millis(1) };
    std::mem::forget(server.prepared().lock(short).unwrap());
    client.waits_for(100);
}

#[test]
fn a_snapshot_that_does_not_come_in_time_is_given_up_and_writes_go_on() {
    let directory = tempfile::tempdir().unwrap();
    // A millisecond for each key, so that two thousand take longer than is waited.
    let options = "--appendonly no --rdb-key-save-delay 1000";
    let server = Redis::on(directory.path(), directory.path(), "first", options).unwrap();
    for number in 0..2000 {
        server.ask(&format!("SET key{number} x"));
    }
    let client = server.client("n");
    let error = server.prepared().lock(LockLimits { wait: Duration::from_millis(50), ..LIMITS }).unwrap_err();
    assert!(matches!(error, AppError::LockWait { .. }), "{error}");
    client.waits_for(100);
}

#[test]
fn a_password_is_sent_and_a_wrong_one_is_told_without_showing_it() {
    let directory = tempfile::tempdir().unwrap();
    let server = Redis::on(directory.path(), directory.path(), "first", "--appendonly no").unwrap();
    server.ask("CONFIG SET requirepass hunter2");
    let at = |password: &str| Application::Redis.prepare(Some(&server.address(&format!(":{password}@"))), PATIENCE);
    assert!(at("hunter2").is_ok());
    let error = at("hunter3").unwrap_err();
    assert!(matches!(error, AppError::Refused { .. }) && !format!("{error:?}").contains("hunter3"), "{error:?}");
}
