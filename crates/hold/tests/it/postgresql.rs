//! PostgreSQL on a frozen file system: a second server on the image has every row that was acknowledged, and no more to do
//! than after any crash.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use amikeep_hold::apps::{AppError, Application, LockLimits, Prepared, Secret};
use rustix::process::Signal;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Executor};

use crate::bench::{Bench, Fs, PATIENCE, alone, said, some_time};
use crate::client::Client;
use crate::server::{Server, directory_of, fill, place};

const LIMITS: LockLimits = LockLimits { wait: PATIENCE, hold: Duration::from_mins(1) };

pub(crate) struct Postgres {
    server: Server,
    socket: PathBuf,
}

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
    pub(crate) fn on(data: &Path, place: &Path, name: &str) -> Self {
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
        let is_ready = || try_ask(&socket, "SELECT 1").is_some();
        // At once, with its children, and without a checkpoint.
        let server = Server::start(&mut command, &place.join(format!("{name}.log")), Signal::QUIT, is_ready).unwrap();
        Self { server, socket }
    }

    /// The answer to a statement, columns apart by `|`.
    pub(crate) fn ask(&self, statement: &str) -> String {
        try_ask(&self.socket, statement).unwrap_or_else(|| panic!("{statement}: {}", self.server.said()))
    }

    pub(crate) fn address(&self, credentials: &str) -> Secret {
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

/// What a second server found.
#[derive(Debug)]
struct Found {
    acknowledged: u64,
    rows: u64,
    /// Anything that is not as it should be in the table and its index.
    damage: String,
    /// What the server had to say that goes beyond recovery from a crash.
    complaints: Vec<String>,
}

impl Found {
    fn is_whole(&self) -> bool {
        self.acknowledged <= self.rows && self.damage.is_empty() && self.complaints.is_empty()
    }
}

/// Data on the first file system, and the write-ahead log on the last; one or two of them.
struct Setup {
    bench: Bench,
    server: Postgres,
    client: Client,
}

/// Leads a server to its log on the last of these mounts.
fn move_log(data: &Path, mounts: &[PathBuf]) {
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

impl Setup {
    fn on(kinds: &[Fs]) -> Option<Self> {
        let bench = Bench::with(kinds)?;
        let data = Postgres::fill(bench.mount(0));
        move_log(&data, &bench.mounts);
        let server = Postgres::on(&data, bench.directory(), "first");
        server.ask("CREATE EXTENSION amcheck");
        let client = server.client();
        Some(Self { bench, server, client })
    }

    fn image(&self) -> (u64, Vec<String>) {
        let acknowledged = self.client.now();
        (acknowledged, (0..self.bench.mounts.len()).map(|number| self.bench.copy_of(number)).collect())
    }

    /// An image as the product makes it.
    fn held_image(&self) -> (u64, Vec<String>) {
        let prepared = self.server.prepared().unwrap();
        let guard = self.bench.guard();
        let locked = prepared.lock(LIMITS).unwrap();
        let hold = guard.freeze(LIMITS.hold, some_time()).unwrap();
        locked.ping().unwrap();
        let image = self.image();
        assert!(hold.thaw().proves_hold());
        locked.release().unwrap();
        self.client.waits_for(20);
        image
    }

    /// Starts a second server on an image, and looks what it has.
    fn look_at(&self, (acknowledged, copies): (u64, Vec<String>)) -> Found {
        let mounts: Vec<PathBuf> = copies.iter().map(|copy| self.bench.mount_copy(copy)).collect();
        let data = mounts[0].join("data");
        move_log(&data, &mounts);
        let second = Postgres::on(&data, self.bench.directory(), "second");
        // Without a gap: the last number is how many there are.
        let rows = second.ask("SELECT CASE WHEN max(n) = count(*) THEN max(n) ELSE 0 END FROM kept").parse().unwrap();
        second.ask("SELECT bt_index_check('kept_pkey', true)");
        let damage = second.ask("SELECT * FROM verify_heapam('kept')");
        let log = second.server.said();
        let is_complaint = |line: &&str| ["PANIC:", "ERROR:", "WARNING:"].iter().any(|word| line.contains(word));
        let complaints = log.lines().filter(is_complaint).map(str::to_owned).collect();
        drop(second);
        for copy in &copies {
            self.bench.discard_copy(copy);
        }
        Found { acknowledged, rows, damage, complaints }
    }
}

#[test]
fn every_acknowledged_row_is_in_the_image_of_postgresql_and_nothing_is_damaged() {
    let Some(setup) = Setup::on(&[Fs::Xfs]) else { return };
    for _ in 0..3 {
        let found = setup.look_at(setup.held_image());
        assert!(found.is_whole(), "{found:?}");
    }
    // What is lost without a freeze is no property of amikeep, and so is told and not asserted.
    let Found { acknowledged, rows, .. } = setup.look_at(setup.image());
    eprintln!("report: postgresql, no freeze: {acknowledged} rows acknowledged, {rows} rows found");
}

#[test]
fn every_acknowledged_row_is_in_the_image_of_postgresql_with_data_and_log_on_two_volumes() {
    let Some(setup) = Setup::on(&[Fs::Xfs, Fs::Ext4]) else { return };
    for _ in 0..3 {
        let found = setup.look_at(setup.held_image());
        assert!(found.is_whole(), "{found:?}");
    }
}

#[test]
fn a_checkpoint_is_made_and_the_position_in_the_log_recorded() {
    let Some(_alone) = alone() else { return };
    let place = place();
    let server = Postgres::on(&Postgres::fill(place.path()), place.path(), "first");
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
