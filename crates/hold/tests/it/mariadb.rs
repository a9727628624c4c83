//! MariaDB on a frozen file system: a second server on the image has every row that was acknowledged, and nothing to repair.

use amikeep_hold::apps::MysqlLock;

use crate::bench::{Fs, alone};
use crate::page::block;
use crate::proof::{self, Found, Product, Replica, Setup};
use crate::server::mariadb::{ENGINES, MariaDb};
use crate::server::{free_port, place};

/// The distribution's.
const MARIADB: Product = Product { name: "mariadb", engines: &ENGINES, fill: MariaDb::fill, start: MariaDb::on };

#[test]
fn every_acknowledged_row_is_in_the_image_of_mariadb_and_no_table_needs_repair() {
    let Some(setup) = Setup::on(&MARIADB, &[Fs::Xfs]) else { return };
    for lock in [MysqlLock::EveryEngine, MysqlLock::ReadLock] {
        let found = setup.look_at(setup.held_image(lock)).unwrap();
        assert!(found.iter().all(Found::is_whole), "{lock:?}: {found:?}");
    }
    let found = setup.look_at(setup.held_image(MysqlLock::InnodbOnly)).unwrap();
    assert!(found[0].is_whole(), "InnoDB needs the freeze alone: {found:?}");
}

#[test]
fn every_acknowledged_row_is_in_the_image_of_mariadb_with_data_and_log_on_two_volumes() {
    let Some(setup) = Setup::on(&MARIADB, &[Fs::Xfs, Fs::Ext4]) else { return };
    for _ in 0..3 {
        let found = setup.look_at(setup.held_image(MysqlLock::EveryEngine)).unwrap();
        assert!(found.iter().all(Found::is_whole), "{found:?}");
    }
}

#[test]
fn what_an_image_of_mariadb_loses_without_lock_or_freeze_is_reported() {
    proof::report_what_is_lost(&MARIADB);
}

#[test]
fn a_lock_stops_writes_and_ends_on_every_path() {
    proof::a_lock_ends_on_every_path(&MARIADB);
}

#[test]
fn a_lock_that_does_not_come_is_killed_and_writes_that_queued_behind_it_go_on() {
    proof::a_lock_that_does_not_come_is_killed(&MARIADB);
}

#[test]
fn the_lock_of_a_daemon_that_is_stopped_or_killed_ends() {
    proof::the_lock_of_a_dead_daemon_ends(&MARIADB);
}

#[test]
fn a_server_that_hangs_keeps_nobody_waiting_and_its_lock_ends_with_the_connection() {
    proof::a_server_that_hangs_keeps_nobody_waiting(&MARIADB);
}

#[test]
fn a_replica_is_held_by_its_applier_and_applies_again_on_every_path() {
    let Some(_alone) = alone() else { return };
    let (first, second) = (place(), place());
    // Replication knows no sockets.
    let port = free_port();
    let network = ["--skip-networking=0".into(), "--bind-address=127.0.0.1".into(), format!("--port={port}")];
    let source = MariaDb::on(&MariaDb::fill(first.path()), first.path(), "source", &network).unwrap();
    let replica = ["--server-id=2".to_owned()];
    let replica = MariaDb::on(&MariaDb::fill(second.path()), second.path(), "replica", &replica).unwrap();
    source.ask("CREATE USER r IDENTIFIED BY 'r'; GRANT REPLICATION SLAVE ON *.* TO r");
    let source_is = format!(
        "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, MASTER_USER='r', MASTER_PASSWORD='r', \
         MASTER_LOG_FILE='binlog.000001', MASTER_LOG_POS=4"
    );
    replica.ask(&format!("SET sql_log_bin=0; {}; {}", block("sql mariadb"), block("sql mariadb-replica")));
    replica.ask(&source_is);
    proof::a_replica_applies_again_on_every_path(&Replica {
        source: &source,
        replica: &replica,
        start: "START SLAVE",
        stop_applier: "STOP SLAVE SQL_THREAD",
    });
}
