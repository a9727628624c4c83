//! PostgreSQL of the distribution, and a client that writes to it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use amikeep_hold::apps::{AppError, Application, Prepared, Secret};
use rustix::process::Signal;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Executor};

use crate::bench::{PATIENCE, said};
use crate::client::Client;
use crate::server::{Server, directory_of, fill};

/// A server, and where it listens.
pub(crate) struct Postgres {
    pub(crate) server: Server,
    pub(crate) socket: PathBuf,
    port: u16,
}

/// Part of the name of the socket, even where nothing listens on a port.
const PORT: u16 = 5432;

/// A program of the server, which Debian keeps out of the search path.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("postgresql is installed");
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
    /// An empty server's directory.
    pub(crate) fn fill(mount: &Path) -> PathBuf {
        let data = directory_of("postgres", &mount.join("data"));
        fill(&data, "postgres", "postgresql", |directory| {
            let mut init = as_postgres("initdb");
            init.args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D"]);
            let status = init.arg(directory).stdout(Stdio::null()).status().unwrap();
            assert!(status.success(), "initdb failed");
        });
        data
    }

    /// A server on the directory of another.
    pub(crate) fn on(data: &Path, place: &Path, name: &str) -> Result<Self, String> {
        Self::with(data, place, name, PORT, &[])
    }

    /// The same, with a port that counts and these settings.
    #[allow(dead_code, reason = "the experiment needs no port")]
    pub(crate) fn with(data: &Path, place: &Path, name: &str, port: u16, settings: &[String]) -> Result<Self, String> {
        let socket = directory_of("postgres", &place.join(name));
        // It belongs to a server that does not run in the image.
        let _ = fs::remove_file(data.join("postmaster.pid"));
        let mut command = as_postgres("postgres");
        command.arg("-D").arg(data).arg("-k").arg(&socket).args([
            "-c",
            "listen_addresses=",
            "-c",
            "max_connections=20",
        ]);
        command.args(["-c", "shared_buffers=32MB", "-c", "max_wal_size=64MB", "-c", "min_wal_size=32MB"]);
        command.args(settings.iter().flat_map(|setting| ["-c", setting]));
        command.args(["-p", &port.to_string()]);
        let is_ready = |log: &str| log.contains("ready to accept") && try_ask_at(&socket, port, "SELECT 1").is_some();
        // At once, with its children, and without a checkpoint.
        let server = Server::start(&mut command, &place.join(format!("{name}.log")), Signal::QUIT, is_ready)?;
        Ok(Self { server, socket, port })
    }

    /// The answer to a statement, columns apart by `|`.
    pub(crate) fn ask(&self, statement: &str) -> String {
        try_ask_at(&self.socket, self.port, statement).unwrap_or_else(|| panic!("{statement}: {}", self.server.said()))
    }

    pub(crate) fn address(&self, credentials: &str) -> Secret {
        Secret::new(format!("postgresql://{credentials}@localhost/postgres?host={}", self.socket.display()))
    }

    pub(crate) fn prepared(&self) -> Result<Prepared, AppError> {
        Application::Postgresql.prepare(Some(&self.address("postgres")), PATIENCE)
    }

    /// Makes the table of the clients.
    pub(crate) fn make_table(&self) {
        self.ask("CREATE TABLE kept (n BIGINT PRIMARY KEY, t TEXT)");
    }

    /// A client that writes rows with numbers beyond this one.
    pub(crate) fn client(&self, beyond: u64) -> Client {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let options = PgConnectOptions::new_without_pgpass().socket(&self.socket).username("postgres");
        let mut connection: PgConnection = runtime.block_on(options.database("postgres").connect()).unwrap();
        let insert = "INSERT INTO kept VALUES ($1, repeat('x', 200))";
        Client::start(move |number| {
            let number = i64::try_from(beyond + number).unwrap();
            runtime.block_on(connection.execute(sqlx::query(insert).bind(number))).is_ok()
        })
    }
}

/// None if the server is not there, or refuses.
#[allow(dead_code, reason = "the experiment asks servers that it may not have started")]
pub(crate) fn try_ask(socket: &Path, statement: &str) -> Option<String> {
    try_ask_at(socket, PORT, statement)
}

fn try_ask_at(socket: &Path, port: u16, statement: &str) -> Option<String> {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--username=postgres", "--dbname=postgres", "--no-align", "--tuples-only"]);
    command.arg(format!("--port={port}"));
    command.arg(format!("--host={}", socket.display())).arg("--command").arg(statement).stdin(Stdio::null());
    let output = command.output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
}

/// Leads a server to its log on the last of these mounts.
pub(crate) fn move_log(data: &Path, mounts: &[PathBuf]) {
    let Some(log) = mounts.get(1).map(|mount| mount.join("log")) else { return };
    let link = data.join("pg_wal");
    if link.is_symlink() {
        fs::remove_file(&link).unwrap();
    } else {
        said(&format!("cp -a {} {}", link.display(), log.display()));
        fs::remove_dir_all(&link).unwrap();
    }
    symlink(log, link).unwrap();
}
