//! Where databases say that their data is, against what would be frozen: a log on a volume that is not named is found.

use std::os::unix::fs::symlink;
use std::path::Path;

use amikeep_hold::CheckedMount;
use amikeep_hold::apps::{DataHeld, DataHost, MysqlLock, Prepared};

use crate::bench::{Bench, Fs, said};
use crate::server::directory_of;
use crate::server::mariadb::MariaDb;
use crate::server::postgresql::{Postgres, move_log};
use crate::server::redis::Redis;

/// Held by both file systems, and not by the first alone: what is on the second is named, with its mount.
fn is_held_by_both_alone(prepared: &Prepared, bench: &Bench, what: &str, directory: &Path) {
    let mounts: Vec<CheckedMount> = bench.checked();
    let places = prepared.data(DataHost::This).unwrap().unwrap();
    assert_eq!(places.held_by(&mounts), DataHeld::Yes, "{places:?}");
    let DataHeld::No(outside) = places.held_by(&mounts[..1]) else { panic!("{places:?}") };
    let told: Vec<_> = outside.iter().map(|it| (it.what, it.path.as_path(), it.mount.as_path())).collect();
    assert_eq!(told, [(what, directory, bench.mount(1))]);
}

#[test]
fn a_log_of_mariadb_on_a_volume_that_is_not_named_is_found() {
    let Some(bench) = Bench::with(&[Fs::Xfs, Fs::Ext4]) else { return };
    let data = MariaDb::fill(bench.mount(0));
    let log = directory_of("mysql", &bench.mount(1).join("log"));
    for (option, what) in [
        (format!("--innodb-log-group-home-dir={}", log.display()), "the log of InnoDB"),
        (format!("--log-bin={}", log.join("binlog").display()), "the binary log"),
    ] {
        if what == "the log of InnoDB" {
            said(&format!("mv {} {}", data.join("ib_logfile0").display(), log.display()));
        } else {
            said(&format!("mv {} {}", log.join("ib_logfile0").display(), data.display()));
        }
        let server = MariaDb::on(&data, bench.directory(), "server", &[option]).unwrap();
        is_held_by_both_alone(&server.prepared(MysqlLock::EveryEngine).unwrap(), &bench, what, &log);
    }
    // A schema on another disk is a link in the data directory.
    let server = MariaDb::on(&data, bench.directory(), "server", &[]).unwrap();
    let prepared = server.prepared(MysqlLock::EveryEngine).unwrap();
    assert_eq!(prepared.data(DataHost::This).unwrap().unwrap().held_by(&bench.checked()[..1]), DataHeld::Yes);
    symlink(&log, data.join("archive")).unwrap();
    is_held_by_both_alone(&prepared, &bench, "the data", &log);
}

#[test]
fn a_log_or_a_tablespace_of_postgresql_on_a_volume_that_is_not_named_is_found() {
    let Some(bench) = Bench::with(&[Fs::Xfs, Fs::Ext4]) else { return };
    let data = Postgres::fill(bench.mount(0));
    let server = Postgres::on(&data, bench.directory(), "server").unwrap();
    let prepared = server.prepared().unwrap();
    assert_eq!(prepared.data(DataHost::This).unwrap().unwrap().held_by(&bench.checked()[..1]), DataHeld::Yes);
    let space = directory_of("postgres", &bench.mount(1).join("space"));
    server.ask(&format!("CREATE TABLESPACE space LOCATION '{}'", space.display()));
    is_held_by_both_alone(&prepared, &bench, "a tablespace", &space);
    server.ask("DROP TABLESPACE space");
    drop((prepared, server));
    move_log(&data, &bench.mounts);
    let server = Postgres::on(&data, bench.directory(), "server").unwrap();
    is_held_by_both_alone(&server.prepared().unwrap(), &bench, "the data", &bench.mount(1).join("log"));
}

#[test]
fn the_directory_of_redis_on_a_volume_that_is_not_named_is_found() {
    let Some(bench) = Bench::with(&[Fs::Xfs, Fs::Ext4]) else { return };
    let data = bench.mount(1).join("redis");
    std::fs::create_dir(&data).unwrap();
    let server = Redis::on(&data, bench.directory(), "server", "--appendonly yes").unwrap();
    is_held_by_both_alone(&server.prepared(), &bench, "the data", &data);
}
