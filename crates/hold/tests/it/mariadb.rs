//! MariaDB on a frozen file system: a second server on the image has every row that was acknowledged, and nothing to repair.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use amikeep_hold::apps::{AppError, Application, LockLimits, MysqlLock, Prepared, Secret};
use rustix::process::Signal;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{ConnectOptions, Executor};

use crate::bench::{PATIENCE, alone};
use crate::client::Client;
use crate::server::{Server, directory_of, fill, place};

/// Small, since the volumes are; no log of its own is left out.
const OPTIONS: [&str; 6] = [
    "--no-defaults",
    "--skip-networking",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=16M",
    "--log-bin=binlog",
    "--server-id=1",
];

const ENGINES: [&str; 3] = ["InnoDB", "MyISAM", "Aria"];

pub(crate) struct MariaDb {
    server: Server,
    socket: PathBuf,
}

impl MariaDb {
    /// A new server on an empty directory.
    pub(crate) fn new_on(data: &Path, place: &Path, options: &[String]) -> Self {
        let data = directory_of("mysql", &data.join("data"));
        fill(&data, "mysql", "mariadb", |directory| {
            let mut install = Command::new("mariadb-install-db");
            install.args(&OPTIONS[..4]).arg("--user=mysql").arg(format!("--datadir={}", directory.display()));
            install.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
            let status = install.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
            assert!(status.success(), "mariadb-install-db failed");
        });
        Self::on(&data, place, "first", options)
    }

    /// A server on the directory of another, which is not to repair what it finds.
    pub(crate) fn on(data: &Path, place: &Path, name: &str, options: &[String]) -> Self {
        let place = directory_of("mysql", &place.join(name));
        let socket = place.join("socket");
        let mut command = Command::new("mariadbd");
        command.args(OPTIONS).arg("--user=mysql").arg(format!("--datadir={}", data.display()));
        command.args(["--myisam-recover-options=OFF", "--aria-recover-options=OFF"]);
        command.arg(format!("--socket={}", socket.display()));
        command.arg(format!("--pid-file={}", place.join("pid").display())).args(options);
        let is_ready = || try_ask(&socket, "SELECT 1").is_some();
        let server = Server::start(&mut command, &place.join("log"), Signal::KILL, is_ready);
        Self { server, socket }
    }

    /// The answer to a statement, columns apart by tabs.
    pub(crate) fn ask(&self, statement: &str) -> String {
        try_ask(&self.socket, statement).unwrap_or_else(|| panic!("{statement}: {}", self.server.said()))
    }

    fn address(&self, credentials: &str) -> Secret {
        Secret::new(format!("mysql://{credentials}@localhost/?socket={}", self.socket.display()))
    }

    pub(crate) fn prepared(&self, lock: MysqlLock) -> Result<Prepared, AppError> {
        Application::Mysql(lock).prepare(Some(&self.address("root")), PATIENCE)
    }

    /// A client that writes rows to a table of this engine, which it makes.
    pub(crate) fn client(&self, engine: &str) -> Client {
        self.ask("CREATE DATABASE IF NOT EXISTS kept");
        self.ask(&format!("CREATE TABLE kept.{engine} (n BIGINT PRIMARY KEY, t CHAR(200)) ENGINE={engine}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let options = MySqlConnectOptions::new().username("root").socket(&self.socket).database("kept");
        let mut connection: MySqlConnection = runtime.block_on(options.connect()).unwrap();
        let insert = match engine {
            "InnoDB" => "INSERT INTO InnoDB VALUES (?, REPEAT('x', 200))",
            "MyISAM" => "INSERT INTO MyISAM VALUES (?, REPEAT('x', 200))",
            _ => "INSERT INTO Aria VALUES (?, REPEAT('x', 200))",
        };
        Client::start(move |number| runtime.block_on(connection.execute(sqlx::query(insert).bind(number))).is_ok())
    }
}

fn try_ask(socket: &Path, statement: &str) -> Option<String> {
    let mut command = Command::new("mariadb");
    command.args(["--no-defaults", "--user=root", "--batch", "--skip-column-names", "--execute", statement]);
    let output = command.arg(format!("--socket={}", socket.display())).stdin(Stdio::null()).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
}

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

/// No connection is left that amikeep has opened: it is root's, like the test's, but asks nothing and is no client of ours.
fn connections(server: &MariaDb) -> usize {
    let list = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'root' AND id <> CONNECTION_ID()";
    server.ask(list).parse().unwrap()
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
    let server = MariaDb::new_on(place.path(), place.path(), &[]);
    let clients = ENGINES.map(|engine| server.client(engine));
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
    let server = MariaDb::new_on(place.path(), place.path(), &[]);
    let client = server.client("MyISAM");
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
