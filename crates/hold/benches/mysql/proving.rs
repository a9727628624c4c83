//! What is proved of MariaDB, of MySQL: nothing acknowledged is missing in an image, and a lock ends on every path.

use std::thread;
use std::time::Duration;

use amikeep_hold::apps::MysqlLock;

use crate::bench::{BOTH, PATIENCE, alone};
use crate::page::block;
use crate::product::{MYSQL, version};
use crate::proof::{self, Found, LIMITS, Replica, Session, Setup};
use crate::server::{free_port, place};

/// Images that the long run takes of one set of volumes, and the longest that writes flow before one.
const IMAGES: u32 = 5;
const WRITES_FOR_MS_MAX: u64 = 700;

/// Numbers that are the same for the same seed; their distribution does not matter much.
struct Dice(u64);

impl Dice {
    #[expect(clippy::disallowed_methods, reason = "there is no binary that could hand it on")]
    fn from_environment() -> Self {
        let seed = std::env::var("AMIKEEP_MYSQL_SEED").ok().map_or(1, |seed| seed.parse().unwrap());
        Self(seed)
    }

    /// Below this.
    fn draw(&mut self, end: u64) -> u64 {
        // The constants of Knuth's MMIX; the upper bits are the better ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

#[test]
fn every_acknowledged_row_is_in_images_of_mysql_at_any_time() {
    let mut dice = Dice::from_environment();
    let (mut images, mut servers) = (0, 0);
    for kinds in [&BOTH[..1], &BOTH[1..], &BOTH[..]] {
        let Some(setup) = Setup::on(&MYSQL, kinds) else { return };
        servers += 1;
        for _ in 0..IMAGES {
            thread::park_timeout(Duration::from_millis(dice.draw(WRITES_FOR_MS_MAX)));
            let lock = if dice.draw(4) == 0 { MysqlLock::InnodbOnly } else { MysqlLock::EveryEngine };
            let found = setup.look_at(setup.held_image(lock)).unwrap();
            // Without a lock only InnoDB is promised anything.
            let promised = if lock == MysqlLock::InnodbOnly { &found[..1] } else { &found[..] };
            assert!(promised.iter().all(Found::is_whole), "{lock:?} on {kinds:?}: {found:?}");
            (images, servers) = (images + 1, servers + 1);
            println!("report: mysql, {lock:?} on {kinds:?}: {found:?}");
        }
    }
    let (major, minor, patch) = version();
    eprintln!("counted\timages of MySQL {major}.{minor}.{patch}, each looked at by a second server\t{images}");
    eprintln!("counted\tservers of MySQL started\t{servers}");
}

#[test]
fn what_an_image_of_mysql_loses_without_lock_or_freeze_is_reported() {
    proof::report_what_is_lost(&MYSQL);
}

#[test]
fn a_lock_of_mysql_stops_writes_and_ends_on_every_path() {
    proof::a_lock_ends_on_every_path(&MYSQL);
}

#[test]
fn a_lock_of_mysql_that_does_not_come_is_killed_and_writes_that_queued_behind_it_go_on() {
    proof::a_lock_that_does_not_come_is_killed(&MYSQL);
}

#[test]
fn the_lock_of_mysql_of_a_daemon_that_is_stopped_or_killed_ends() {
    proof::the_lock_of_a_dead_daemon_ends(&MYSQL);
}

#[test]
fn a_mysql_that_hangs_keeps_nobody_waiting_and_its_lock_ends_with_the_connection() {
    proof::a_server_that_hangs_keeps_nobody_waiting(&MYSQL);
}

/// Why the server's own backup lock is not used: it holds up changes of definitions, and no write to any table.
#[test]
fn the_backup_lock_of_mysql_stops_no_writes() {
    let Some(_alone) = alone() else { return };
    if version() < (8, 0, 0) {
        println!("MySQL has LOCK INSTANCE FOR BACKUP since 8.0");
        return;
    }
    let place = place();
    let server = proof::lone_server(&MYSQL, place.path());
    let clients = proof::clients_of(&MYSQL, &server);
    let session = Session::with(&server, "LOCK INSTANCE FOR BACKUP");
    proof::wait_for_all(&clients);
    drop(session);
    // What is used instead stops both.
    let locked = server.prepared(MysqlLock::EveryEngine).unwrap().lock(LIMITS).unwrap();
    assert_eq!(locked.recorded().get("lock"), Some("read lock"));
    assert!(locked.release().unwrap().stall < PATIENCE);
    proof::wait_for_all(&clients);
}

#[test]
fn a_replica_of_mysql_is_held_by_its_applier_and_applies_again_on_every_path() {
    let Some(_alone) = alone() else { return };
    let (first, second) = (place(), place());
    let port = free_port();
    let network = ["--skip-networking=0".into(), "--bind-address=127.0.0.1".into(), format!("--port={port}")];
    let source = (MYSQL.start)(&(MYSQL.fill)(first.path()), first.path(), "source", &network).unwrap();
    let data = (MYSQL.fill)(second.path());
    // Both began with the same directory, in which this names the server.
    std::fs::remove_file(data.join("auto.cnf")).unwrap();
    let replica = (MYSQL.start)(&data, second.path(), "replica", &["--server-id=2".to_owned()]).unwrap();
    source.ask("CREATE USER r IDENTIFIED BY 'r'; GRANT REPLICATION SLAVE ON *.* TO r");
    replica.ask(&format!("SET sql_log_bin=0; {}", account()));
    replica.ask(&source_is(port));
    let [start, stop_applier] = if version() < (8, 0, 22) {
        ["START SLAVE", "STOP SLAVE SQL_THREAD"]
    } else {
        ["START REPLICA", "STOP REPLICA SQL_THREAD"]
    };
    let words = Replica { source: &source, replica: &replica, start, stop_applier };
    proof::a_replica_applies_again_on_every_path(&words);
}

/// The documented account, with what a replica takes.
fn account() -> String {
    if version() < (8, 0, 23) {
        let super_user = "GRANT SUPER ON *.* TO 'amikeep'@'localhost'";
        return format!("{}; {super_user}", block("sql mysql-before-8.0.23"));
    }
    format!("{}; {}", block("sql mysql"), block("sql mysql-replica"))
}

fn source_is(port: u16) -> String {
    if version() < (8, 0, 23) {
        return format!(
            "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, MASTER_USER='r', MASTER_PASSWORD='r', \
             MASTER_LOG_FILE='binlog.000001', MASTER_LOG_POS=4"
        );
    }
    format!(
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={port}, SOURCE_USER='r', \
         SOURCE_PASSWORD='r', SOURCE_SSL=1, SOURCE_LOG_FILE='binlog.000001', SOURCE_LOG_POS=4"
    )
}
