//! MariaDB on a frozen file system: a second server on the image has every row that was acknowledged, and nothing to repair.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use amikeep_hold::apps::{AppError, Application, LockLimits, MysqlLock};
use rustix::process::{Signal, kill_process};

use crate::bench::{Bench, FIXTURE, Fs, PATIENCE, alone, said, some_time};
use crate::client::Client;
use crate::privileges::block;
use crate::server::mariadb::{ENGINES, MariaDb, try_ask};
use crate::server::{directory_of, pid, place};

const LIMITS: LockLimits = LockLimits { wait: PATIENCE, hold: Duration::from_mins(1) };

/// A statement in a session that stays open until this is dropped.
struct Session(Child);

impl Session {
    fn with(server: &MariaDb, statement: &str) -> Self {
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "--user=root", "--batch", "--skip-column-names", "--unbuffered"]);
        command.arg(format!("--socket={}", server.socket.display())).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut session = command.spawn().unwrap();
        writeln!(session.stdin.as_mut().unwrap(), "{statement}; SELECT 'done';").unwrap();
        let mut answer = String::new();
        BufReader::new(session.stdout.as_mut().unwrap()).read_line(&mut answer).unwrap();
        assert_eq!(answer.trim_end(), "done");
        Self(session)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a second server found of one table.
#[derive(Debug)]
struct Found {
    engine: &'static str,
    acknowledged: u64,
    /// None if it could not be read.
    rows: Option<u64>,
    /// What the server says of the table, `OK` if there is nothing to say.
    check: String,
}

impl Found {
    fn is_whole(&self) -> bool {
        self.check == "OK" && self.rows.is_some_and(|rows| self.acknowledged <= rows)
    }
}

/// Data on the first file system, and InnoDB's log on the last; one or two of them.
struct Setup {
    bench: Bench,
    server: MariaDb,
    clients: [Client; 3],
}

/// Where InnoDB's log is, for a server whose file systems are mounted here.
fn log_on(mounts: &[PathBuf]) -> Vec<String> {
    let last = mounts.last().filter(|_| 1 < mounts.len());
    last.map(|mount| format!("--innodb-log-group-home-dir={}", mount.join("log").display())).into_iter().collect()
}

impl Setup {
    fn on(kinds: &[Fs]) -> Option<Self> {
        let bench = Bench::with(kinds)?;
        let data = MariaDb::fill(bench.mount(0));
        if let Some(mount) = bench.mounts.get(1) {
            let log = directory_of("mysql", &mount.join("log"));
            said(&format!("mv {} {}", data.join("ib_logfile0").display(), log.display()));
        }
        let server = MariaDb::on(&data, bench.directory(), "first", &log_on(&bench.mounts)).unwrap();
        let clients = ENGINES.map(|engine| client_of(&server, engine));
        Some(Self { bench, server, clients })
    }

    /// What is acknowledged now, and copies of this moment.
    fn image(&self) -> ([u64; 3], Vec<String>) {
        let acknowledged = self.clients.each_ref().map(Client::now);
        (acknowledged, (0..self.bench.mounts.len()).map(|number| self.bench.copy_of(number)).collect())
    }

    /// An image as the product makes it.
    fn held_image(&self, lock: MysqlLock) -> ([u64; 3], Vec<String>) {
        let prepared = self.server.prepared(lock).unwrap();
        let guard = self.bench.guard();
        let locked = prepared.lock(LIMITS).unwrap();
        let hold = guard.freeze(LIMITS.hold, some_time()).unwrap();
        locked.ping().unwrap();
        let image = self.image();
        assert!(hold.thaw().proves_hold());
        locked.release().unwrap();
        wait_for_all(&self.clients);
        image
    }

    /// Starts a second server on an image, and looks what it has.
    fn look_at(&self, (acknowledged, copies): ([u64; 3], Vec<String>)) -> Result<[Found; 3], String> {
        let mounts: Vec<PathBuf> = copies.iter().map(|copy| self.bench.mount_copy(copy)).collect();
        let second = MariaDb::on(&mounts[0].join("data"), self.bench.directory(), "second", &log_on(&mounts));
        let found = second.map(|second| Self::ask_for_all(&second, acknowledged));
        for copy in &copies {
            self.bench.discard_copy(copy);
        }
        found
    }

    fn ask_for_all(second: &MariaDb, acknowledged: [u64; 3]) -> [Found; 3] {
        let mut acknowledged = acknowledged.into_iter();
        ENGINES.map(|engine| {
            let check = second.check(engine);
            let rows = try_ask(&second.socket, &format!("SELECT COALESCE(MAX(n), 0), COUNT(*) FROM kept.{engine}"));
            let numbers = rows.as_ref().and_then(|rows| rows.split_once('\t'));
            // Without a gap: the last number is how many there are.
            let rows = numbers.filter(|(last, count)| last == count).map(|(last, _)| last.parse().unwrap());
            Found { engine, acknowledged: acknowledged.next().unwrap(), rows, check }
        })
    }
}

#[test]
fn every_acknowledged_row_is_in_the_image_of_mariadb_and_no_table_needs_repair() {
    let Some(setup) = Setup::on(&[Fs::Xfs]) else { return };
    for lock in [MysqlLock::EveryEngine, MysqlLock::ReadLock] {
        let found = setup.look_at(setup.held_image(lock)).unwrap();
        assert!(found.iter().all(Found::is_whole), "{lock:?}: {found:?}");
    }
    let found = setup.look_at(setup.held_image(MysqlLock::InnodbOnly)).unwrap();
    assert!(found[0].is_whole(), "InnoDB needs the freeze alone: {found:?}");
}

#[test]
fn every_acknowledged_row_is_in_the_image_of_mariadb_with_data_and_log_on_two_volumes() {
    let Some(setup) = Setup::on(&[Fs::Xfs, Fs::Ext4]) else { return };
    for _ in 0..3 {
        let found = setup.look_at(setup.held_image(MysqlLock::EveryEngine)).unwrap();
        assert!(found.iter().all(Found::is_whole), "{found:?}");
    }
}

/// What is lost without is no property of amikeep, and so is told and not asserted.
#[test]
fn what_an_image_of_mariadb_loses_without_lock_or_freeze_is_reported() {
    let Some(setup) = Setup::on(&[Fs::Xfs]) else { return };
    let report = |what: &str, image| {
        let found = setup.look_at(image);
        if let Err(log) = &found {
            eprintln!("report: mariadb, {what}: the second server does not start: {log}");
        }
        for found in found.into_iter().flatten() {
            let Found { engine, acknowledged, rows, check } = found;
            let rows = rows.map_or("no readable".to_owned(), |rows| rows.to_string());
            println!(
                "report: mariadb, {what}: {engine}: {acknowledged} rows acknowledged, {rows} rows found, check: {check}"
            );
        }
    };
    report("no lock and no freeze", setup.image());
    let locked = setup.server.prepared(MysqlLock::EveryEngine).unwrap().lock(LIMITS).unwrap();
    let image = setup.image();
    locked.release().unwrap();
    report("lock and no freeze", image);
    let hold = setup.bench.guard().freeze(LIMITS.hold, some_time()).unwrap();
    let image = setup.image();
    assert!(hold.thaw().proves_hold());
    report("freeze and no lock", image);
}

/// No connection is left that amikeep has opened: it is root's, like the test's, but asks nothing and is no client of ours.
fn connections(server: &MariaDb) -> usize {
    let list = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'root' AND id <> CONNECTION_ID()";
    server.ask(list).parse().unwrap()
}

/// A client with a table of its own.
fn client_of(server: &MariaDb, engine: &str) -> Client {
    server.make_table(engine);
    server.client(engine, 0, Duration::ZERO)
}

fn wait_for_all(clients: &[Client]) {
    for client in clients {
        client.waits_for(20);
    }
}

#[test]
fn a_lock_stops_writes_and_ends_on_every_path() {
    let Some(_alone) = alone() else { return };
    let place = place();
    let server = MariaDb::on(&MariaDb::fill(place.path()), place.path(), "first", &[]).unwrap();
    let clients = ENGINES.map(|engine| client_of(&server, engine));
    let connections_before = connections(&server);
    for lock in [MysqlLock::EveryEngine, MysqlLock::ReadLock] {
        let locked = server.prepared(lock).unwrap().lock(LIMITS).unwrap();
        let before = clients.each_ref().map(Client::now);
        locked.ping().unwrap();
        let rows =
            ENGINES.map(|engine| server.ask(&format!("SELECT MAX(n) FROM kept.{engine}")).parse::<u64>().unwrap());
        for (before, rows) in before.iter().zip(rows) {
            assert!(
                *before <= rows && rows <= before + 1,
                "only what was under way: {before} acknowledged, {rows} rows"
            );
        }
        assert!(locked.release().unwrap().stall < PATIENCE);
        wait_for_all(&clients);
        drop(server.prepared(lock).unwrap().lock(LIMITS).unwrap());
        wait_for_all(&clients);
    }
    assert_eq!(connections(&server), connections_before);
}

#[test]
fn a_lock_that_does_not_come_is_killed_and_writes_that_queued_behind_it_go_on() {
    let Some(_alone) = alone() else { return };
    let place = place();
    let server = MariaDb::on(&MariaDb::fill(place.path()), place.path(), "first", &[]).unwrap();
    let client = client_of(&server, "MyISAM");
    server.ask("CREATE TABLE kept.busy (n BIGINT) ENGINE=MyISAM");
    let connections_before = connections(&server);
    let session = Session::with(&server, "LOCK TABLES kept.busy WRITE");
    for lock in [MysqlLock::EveryEngine, MysqlLock::ReadLock] {
        let prepared = server.prepared(lock).unwrap();
        let error = prepared.lock(LockLimits { wait: Duration::from_millis(300), ..LIMITS }).unwrap_err();
        assert!(matches!(error, AppError::LockWait { .. }), "{lock:?}: {error:?}");
        client.waits_for(20);
    }
    drop(session);
    assert_eq!(connections(&server), connections_before, "nobody waits for the lock any longer");
}

#[test]
fn the_lock_of_a_daemon_that_is_stopped_or_killed_ends() {
    let Some(_alone) = alone() else { return };
    let place = place();
    let server = MariaDb::on(&MariaDb::fill(place.path()), place.path(), "first", &[]).unwrap();
    let client = client_of(&server, "MyISAM");
    for signal in [Signal::KILL, Signal::STOP] {
        let mut command = Command::new(FIXTURE);
        let socket = server.socket.display();
        command.arg("lock").arg(format!("mysql://root@localhost/?socket={socket}"));
        let mut daemon = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(daemon.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said.trim_end(), "locked");
        kill_process(pid(daemon.id()), signal).unwrap();
        // The one by the end of the connection, the other by the server's own limit for one that says nothing.
        client.waits_for(20);
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }
}

#[test]
fn a_server_that_hangs_keeps_nobody_waiting_and_its_lock_ends_with_the_connection() {
    let Some(_alone) = alone() else { return };
    let place = place();
    let server = MariaDb::on(&MariaDb::fill(place.path()), place.path(), "first", &[]).unwrap();
    let client = client_of(&server, "InnoDB");
    let locked = server.prepared(MysqlLock::EveryEngine).unwrap().lock(LIMITS).unwrap();
    server.server.hang();
    let pinged = locked.ping();
    let released = locked.release();
    server.server.signal(Signal::CONT);
    assert!(matches!(pinged, Err(AppError::Silent { .. })), "{pinged:?}");
    assert!(matches!(released, Err(AppError::Silent { .. })), "{released:?}");
    client.waits_for(20);
}

/// A port of this machine that is free right now: replication knows no sockets.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_replica_is_held_by_its_applier_and_applies_again_on_every_path() {
    let Some(_alone) = alone() else { return };
    let (first, second) = (place(), place());
    let port = format!("--port={}", free_port());
    let network = ["--skip-networking=0".into(), "--bind-address=127.0.0.1".into(), port.clone()];
    let source = MariaDb::on(&MariaDb::fill(first.path()), first.path(), "source", &network).unwrap();
    let replica = ["--server-id=2".to_owned()];
    let replica = MariaDb::on(&MariaDb::fill(second.path()), second.path(), "replica", &replica).unwrap();
    source.ask("CREATE USER r IDENTIFIED BY 'r'; GRANT REPLICATION SLAVE ON *.* TO r");
    let number = port.strip_prefix("--port=").unwrap();
    let source_is = format!(
        "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={number}, MASTER_USER='r', \
        MASTER_PASSWORD='r', MASTER_LOG_FILE='binlog.000001', MASTER_LOG_POS=4"
    );
    replica.ask(&format!("SET sql_log_bin=0; {}; {}", block("sql mariadb"), block("sql mariadb-replica")));
    replica.ask(&source_is);
    let address = replica.address("amikeep:PASSWORD");
    let application = Application::Mysql(MysqlLock::Replication);
    let error = application.prepare(Some(&address), PATIENCE).unwrap_err();
    assert!(matches!(error, AppError::Unfit { .. }), "what does not run is not ours to start: {error}");
    replica.ask("START SLAVE");
    let client = client_of(&source, "InnoDB");
    let rows = || replica.ask("SELECT COALESCE(MAX(n), 0) FROM kept.InnoDB").parse::<u64>().unwrap();
    let applies = || {
        let until = client.now();
        while rows() < until {
            std::thread::yield_now();
        }
    };
    applies();
    let prepared = || application.prepare(Some(&address), PATIENCE).unwrap();
    let locked = prepared().lock(LIMITS).unwrap();
    locked.ping().unwrap();
    let held = rows();
    client.waits_for(20);
    assert_eq!(rows(), held, "nothing is applied");
    assert_eq!(locked.recorded().get("source_log_file"), Some("binlog.000001"));
    assert!(locked.recorded().get("source_log_position").is_some() && application.outlives_us());
    locked.release().unwrap();
    applies();
    drop(prepared().lock(LIMITS).unwrap());
    applies();
    // As after a crash in a hold.
    replica.ask("STOP SLAVE SQL_THREAD");
    assert!(application.start_again(&address, PATIENCE).unwrap());
    applies();
    assert!(!application.start_again(&address, PATIENCE).unwrap(), "there was nothing to start");
}
