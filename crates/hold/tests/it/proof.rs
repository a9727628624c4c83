//! What MariaDB and MySQL have to prove alike: a second server on the image has every row that was acknowledged and nothing
//! to repair, and a lock ends on every path.
//!
//! It owns the proof and no product. The tests of MariaDB include it, and those of MySQL by its path.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use amikeep_hold::Moment;
use amikeep_hold::apps::{AppError, Application, LockLimits, MysqlLock};
use rustix::process::{Signal, kill_process};

use crate::bench::{Bench, FIXTURE, Fs, PATIENCE, alone, said, some_time};
use crate::client::Client;
use crate::server::mariadb::{MariaDb, try_ask};
use crate::server::{directory_of, pid, place};

pub(crate) const LIMITS: LockLimits = LockLimits { wait: PATIENCE, hold: Duration::from_mins(1) };

/// InnoDB's log, in whatever files or directory this version has it.
const LOG_FILES: [&str; 3] = ["ib_logfile0", "ib_logfile1", "#innodb_redo"];

/// A product, and how its servers are made.
pub(crate) struct Product {
    pub(crate) name: &'static str,
    /// Those whose tables are written to; the first is InnoDB.
    pub(crate) engines: &'static [&'static str],
    /// Makes an empty server's directory on a mount.
    pub(crate) fill: fn(&Path) -> PathBuf,
    /// Starts a server that is not to repair what it finds. An error is what it says when it does not start.
    pub(crate) start: fn(&Path, &Path, &str, &[String]) -> Result<MariaDb, String>,
}

/// What a second server found of one table.
#[derive(Debug)]
pub(crate) struct Found {
    engine: &'static str,
    acknowledged: u64,
    /// None if it could not be read.
    rows: Option<u64>,
    /// What the server says of the table, `OK` if there is nothing to say.
    check: String,
}

impl Found {
    pub(crate) fn is_whole(&self) -> bool {
        self.check == "OK" && self.rows.is_some_and(|rows| self.acknowledged <= rows)
    }
}

/// What was acknowledged of each engine's table, and copies of that moment.
type Image = (Vec<u64>, Vec<String>);

/// Data on the first file system, and InnoDB's log on the last; one or two of them.
pub(crate) struct Setup {
    product: &'static Product,
    pub(crate) bench: Bench,
    pub(crate) server: MariaDb,
    clients: Vec<Client>,
}

/// Where InnoDB's log is, for a server whose file systems are mounted here.
fn log_on(mounts: &[PathBuf]) -> Vec<String> {
    let last = mounts.last().filter(|_| 1 < mounts.len());
    last.map(|mount| format!("--innodb-log-group-home-dir={}", mount.join("log").display())).into_iter().collect()
}

/// Moves InnoDB's log from one directory to another.
pub(crate) fn move_log(from: &Path, to: &Path) {
    for file in LOG_FILES.map(|name| from.join(name)).iter().filter(|file| file.exists()) {
        said(&format!("mv {} {}", file.display(), to.display()));
    }
}

impl Setup {
    pub(crate) fn on(product: &'static Product, kinds: &[Fs]) -> Option<Self> {
        let bench = Bench::with(kinds)?;
        let data = (product.fill)(bench.mount(0));
        if let Some(mount) = bench.mounts.get(1) {
            move_log(&data, &directory_of("mysql", &mount.join("log")));
        }
        let server = (product.start)(&data, bench.directory(), "first", &log_on(&bench.mounts)).unwrap();
        let clients = clients_of(product, &server);
        Some(Self { product, bench, server, clients })
    }

    pub(crate) fn image(&self) -> Image {
        let acknowledged = self.clients.iter().map(Client::now).collect();
        (acknowledged, (0..self.bench.mounts.len()).map(|number| self.bench.copy_of(number)).collect())
    }

    /// An image as the product makes it.
    pub(crate) fn held_image(&self, lock: MysqlLock) -> Image {
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
    pub(crate) fn look_at(&self, (acknowledged, copies): Image) -> Result<Vec<Found>, String> {
        let mounts: Vec<PathBuf> = copies.iter().map(|copy| self.bench.mount_copy(copy)).collect();
        let (data, place) = (mounts[0].join("data"), self.bench.directory());
        let second = (self.product.start)(&data, place, "second", &log_on(&mounts));
        let found = second.map(|second| self.ask_for_all(&second, &acknowledged));
        for copy in &copies {
            self.bench.discard_copy(copy);
        }
        found
    }

    fn ask_for_all(&self, second: &MariaDb, acknowledged: &[u64]) -> Vec<Found> {
        let found = |(engine, acknowledged): (&&'static str, &u64)| {
            let check = second.check(engine);
            let rows = try_ask(&second.socket, &format!("SELECT COALESCE(MAX(n), 0), COUNT(*) FROM kept.{engine}"));
            let numbers = rows.as_ref().and_then(|rows| rows.split_once('\t'));
            // Without a gap: the last number is how many there are.
            let rows = numbers.filter(|(last, count)| last == count).map(|(last, _)| last.parse().unwrap());
            Found { engine, acknowledged: *acknowledged, rows, check }
        };
        self.product.engines.iter().zip(acknowledged).map(found).collect()
    }
}

/// A client for each engine, with a table of its own.
pub(crate) fn clients_of(product: &Product, server: &MariaDb) -> Vec<Client> {
    product.engines.iter().map(|engine| client_of(server, engine)).collect()
}

pub(crate) fn client_of(server: &MariaDb, engine: &str) -> Client {
    server.make_table(engine);
    server.client(engine, 0, Duration::ZERO)
}

pub(crate) fn wait_for_all(clients: &[Client]) {
    for client in clients {
        client.waits_for(20);
    }
}

/// What is lost without is no property of amikeep, and so is told and not asserted.
pub(crate) fn report_what_is_lost(product: &'static Product) {
    let Some(setup) = Setup::on(product, &[Fs::Xfs]) else { return };
    let report = |what: &str, image| {
        let (name, found) = (product.name, setup.look_at(image));
        if let Err(log) = &found {
            eprintln!("report: {name}, {what}: the second server does not start: {log}");
        }
        for found in found.into_iter().flatten() {
            let Found { engine, acknowledged, rows, check } = found;
            let rows = rows.map_or("no readable".to_owned(), |rows| rows.to_string());
            eprintln!(
                "report: {name}, {what}: {engine}: {acknowledged} rows acknowledged, {rows} rows found, check: {check}"
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

/// A server on a place of its own, if the machine may run these tests; the guard of its turn comes first.
pub(crate) fn lone_server(product: &Product, place: &Path) -> MariaDb {
    (product.start)(&(product.fill)(place), place, "first", &[]).unwrap()
}

/// How many connections there are but for that of whoever asks: none is left that amikeep has opened, which is root's like
/// the test's, but asks nothing and is no client of ours.
fn connections(server: &MariaDb) -> usize {
    let list = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'root' AND id <> CONNECTION_ID()";
    server.ask(list).parse().unwrap()
}

pub(crate) fn a_lock_ends_on_every_path(product: &Product) {
    let Some(_alone) = alone() else { return };
    let place = place();
    let server = lone_server(product, place.path());
    let clients = clients_of(product, &server);
    let connections_before = connections(&server);
    let rows = |engine: &&str| server.ask(&format!("SELECT MAX(n) FROM kept.{engine}")).parse::<u64>().unwrap();
    for lock in [MysqlLock::EveryEngine, MysqlLock::ReadLock] {
        let locked = server.prepared(lock).unwrap().lock(LIMITS).unwrap();
        let before: Vec<u64> = clients.iter().map(Client::now).collect();
        locked.ping().unwrap();
        for (before, rows) in before.iter().zip(product.engines.iter().map(rows)) {
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

/// A statement in a session that stays open until this is dropped.
pub(crate) struct Session(Child);

impl Session {
    pub(crate) fn with(server: &MariaDb, statement: &str) -> Self {
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

pub(crate) fn a_lock_that_does_not_come_is_killed(product: &Product) {
    let Some(_alone) = alone() else { return };
    let place = place();
    let server = lone_server(product, place.path());
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

pub(crate) fn the_lock_of_a_dead_daemon_ends(product: &Product) {
    let Some(_alone) = alone() else { return };
    let place = place();
    let server = lone_server(product, place.path());
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

pub(crate) fn a_server_that_hangs_keeps_nobody_waiting(product: &Product) {
    let Some(_alone) = alone() else { return };
    let place = place();
    let server = lone_server(product, place.path());
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

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let give_up = Moment::now() + PATIENCE;
    while !is_so() {
        assert!(Moment::now() < give_up, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

/// The words of a product for replication, in which the only thing that differs is how they are said.
pub(crate) struct Replica<'a> {
    pub(crate) source: &'a MariaDb,
    pub(crate) replica: &'a MariaDb,
    pub(crate) start: &'a str,
    pub(crate) stop_applier: &'a str,
}

/// An account `amikeep` is there on the replica, which knows its source and does not replicate yet.
pub(crate) fn a_replica_applies_again_on_every_path(words: &Replica<'_>) {
    let (source, replica) = (words.source, words.replica);
    let address = replica.address("amikeep:PASSWORD");
    let application = Application::Mysql(MysqlLock::Replication);
    let error = application.prepare(Some(&address), PATIENCE).unwrap_err();
    assert!(matches!(error, AppError::Unfit { .. }), "what does not run is not ours to start: {error}");
    replica.ask(words.start);
    let client = client_of(source, "InnoDB");
    let rows = || replica.ask("SELECT COALESCE(MAX(n), 0) FROM kept.InnoDB").parse::<u64>().unwrap();
    let applies = || {
        let acknowledged = client.now();
        wait_until("the replica applies", || acknowledged <= rows());
    };
    // Its table is there as soon as that is replicated, too.
    wait_until("the replica has the table", || try_ask(&replica.socket, "SELECT 1 FROM kept.InnoDB LIMIT 1").is_some());
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
    replica.ask(words.stop_applier);
    assert!(application.start_again(&address, PATIENCE).unwrap());
    applies();
    assert!(!application.start_again(&address, PATIENCE).unwrap(), "there was nothing to start");
}
