//! PostgreSQL on a frozen file system: a second server on the image has every row that was acknowledged, and no more to do
//! than after any crash.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use amikeep_hold::apps::{AppError, Application, LockLimits, Prepared, Secret};
use rustix::process::Signal;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Executor};

use crate::bench::{PATIENCE, alone};
use crate::client::Client;
use crate::server::{Server, directory_of, fill, place};

const LIMITS: LockLimits = LockLimits { wait: PATIENCE, hold: Duration::from_mins(1) };

pub(crate) struct Postgres {
    server: Server,
    socket: PathBuf,
}

/// A program of the server, which Debian keeps out of the search path.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("postgresql is installed");
    let programs = versions.map(|version| version.unwrap().path().join("bin").join(name));
    programs.filter(|program| program.exists()).max().expect("postgresql is installed")
}

/// As the server's user: it refuses to be root.
fn as_postgres(program_name: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(program(program_name));
    command.current_dir("/");
    command
}

impl Postgres {
    /// A new server on an empty directory.
    pub(crate) fn new_on(data: &Path, place: &Path) -> Self {
        let data = directory_of("postgres", &data.join("data"));
        fill(&data, "postgres", "postgresql", |directory| {
            let mut init = as_postgres("initdb");
            init.args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D"]);
            let status = init.arg(directory).stdout(Stdio::null()).status().unwrap();
            assert!(status.success(), "initdb failed");
        });
        Self::on(&data, place, "first")
    }

    /// A server on the directory of another.
    pub(crate) fn on(data: &Path, place: &Path, name: &str) -> Self {
        let socket = directory_of("postgres", &place.join(name));
        // It belongs to a server that does not run in the image.
        let _ = std::fs::remove_file(data.join("postmaster.pid"));
        let mut command = as_postgres("postgres");
        command.arg("-D").arg(data).arg("-k").arg(&socket).args([
            "-c",
            "listen_addresses=",
            "-c",
            "max_connections=20",
        ]);
        command.args(["-c", "shared_buffers=32MB", "-c", "max_wal_size=64MB", "-c", "min_wal_size=32MB"]);
        let is_ready = || try_ask(&socket, "SELECT 1").is_some();
        // At once, with its children, and without a checkpoint.
        let server = Server::start(&mut command, &place.join(format!("{name}.log")), Signal::QUIT, is_ready);
        Self { server, socket }
    }

    /// The answer to a statement, columns apart by `|`.
    pub(crate) fn ask(&self, statement: &str) -> String {
        try_ask(&self.socket, statement).unwrap_or_else(|| panic!("{statement}: {}", self.server.said()))
    }

    fn address(&self, credentials: &str) -> Secret {
        Secret::new(format!("postgresql://{credentials}@localhost/postgres?host={}", self.socket.display()))
    }

    pub(crate) fn prepared(&self) -> Result<Prepared, AppError> {
        Application::Postgresql.prepare(Some(&self.address("postgres")), PATIENCE)
    }

    /// A client that writes rows to a table that it makes.
    pub(crate) fn client(&self) -> Client {
        self.ask("CREATE TABLE kept (n BIGINT PRIMARY KEY, t TEXT)");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let options = PgConnectOptions::new_without_pgpass().socket(&self.socket).username("postgres");
        let mut connection: PgConnection = runtime.block_on(options.database("postgres").connect()).unwrap();
        let insert = "INSERT INTO kept VALUES ($1, repeat('x', 200))";
        Client::start(move |number| {
            let number = i64::try_from(number).unwrap();
            runtime.block_on(connection.execute(sqlx::query(insert).bind(number))).is_ok()
        })
    }
}

fn try_ask(socket: &Path, statement: &str) -> Option<String> {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--username=postgres", "--dbname=postgres", "--no-align", "--tuples-only"]);
    command.arg(format!("--host={}", socket.display())).arg("--command").arg(statement).stdin(Stdio::null());
    let output = command.output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
}

#[test]
fn a_checkpoint_is_made_and_the_position_in_the_log_recorded() {
    let Some(_alone) = alone() else { return };
    let place = place();
    let server = Postgres::new_on(place.path(), place.path());
    let client = server.client();
    let checkpoint = "SELECT checkpoint_lsn FROM pg_control_checkpoint()";
    let before = server.ask(checkpoint);
    let acknowledged = server.ask("SELECT pg_current_wal_insert_lsn()");
    let locked = server.prepared().unwrap().lock(LIMITS).unwrap();
    locked.ping().unwrap();
    let recorded = locked.recorded().clone();
    locked.release().unwrap();
    client.waits_for(20);
    assert_ne!(server.ask(checkpoint), before, "no checkpoint was made");
    let names: Vec<_> = recorded.facts().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["server", "role", "lock", "wal_lsn", "timeline", "system_identifier"]);
    let lsn = recorded.get("wal_lsn").unwrap();
    assert_eq!(server.ask(&format!("SELECT '{lsn}'::pg_lsn >= '{acknowledged}'::pg_lsn")), "t");
}
