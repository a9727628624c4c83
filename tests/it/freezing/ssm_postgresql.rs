//! A PostgreSQL on an instance that is frozen through Systems Manager: a checkpoint over the network, and the freeze.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;

use super::rows::Rows;
use super::*;

/// A server on a port of its own.
struct Postgres {
    process: Child,
    port: u16,
}

/// A program of the server, as its user: it refuses to be root, and Debian keeps it out of the search path.
fn as_postgres(name: &str) -> Command {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("postgresql is installed");
    let programs = versions.map(|version| version.unwrap().path().join("bin").join(name));
    let program = programs.filter(|program| program.exists()).max().expect("postgresql is installed");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(program).current_dir("/");
    command
}

/// A directory of the server's user, made if it is not there.
fn directory(path: &Path) -> PathBuf {
    fs::create_dir_all(path).unwrap();
    let id = |flag: &str| sh(&format!("id {flag} postgres")).parse().unwrap();
    chown(path, Some(id("-u")), Some(id("-g"))).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
    path.to_owned()
}

impl Postgres {
    /// An empty server, to which everybody may connect who comes from this machine.
    fn on_new(data: &Path) -> Self {
        let mut init = as_postgres("initdb");
        init.args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D"]);
        let status = init.arg(directory(data)).stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "initdb failed");
        Self::on(data)
    }

    fn on(data: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = as_postgres("postgres");
        command.arg("-D").arg(data).args(["-p", &port.to_string(), "-k", "", "-c", "listen_addresses=127.0.0.1"]);
        command.args(["-c", "shared_buffers=32MB", "-c", "max_wal_size=64MB", "-c", "min_wal_size=32MB"]);
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { process, port };
        let mut tries = 0;
        while server.try_ask("SELECT 1").is_none() {
            sh("sleep 0.05");
            tries += 1;
            assert!(tries < 1_200, "postgres does not answer for a minute");
        }
        server
    }

    fn client(&self) -> Command {
        let mut command = Command::new("psql");
        command.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--username=postgres"]);
        command.args(["--host=127.0.0.1", "--dbname=postgres", &format!("--port={}", self.port)]);
        command
    }

    /// None if the server is not there, or refuses.
    fn try_ask(&self, statement: &str) -> Option<String> {
        let output = self.client().args(["--command", statement]).stdin(Stdio::null()).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
    }

    fn ask(&self, statement: &str) -> String {
        self.try_ask(statement).unwrap_or_else(|| panic!("refused: {statement}"))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its processes end with it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_the_image_of_commands_has_every_row_that_was_acknowledged() {
    let Some(scene) = super::ssm::scene(world(), "fail", "", |agent| agent).await else { return };
    // The server's user has to get through to its directory.
    fs::set_permissions(scene.disks.path(""), Permissions::from_mode(0o711)).unwrap();
    let server = Postgres::on_new(&scene.disks.path("xfs").join("data"));
    server.ask("CREATE ROLE amikeep LOGIN PASSWORD 'PASSWORD'");
    server.ask("GRANT pg_checkpoint, pg_read_all_settings TO amikeep");
    server.ask("CREATE TABLE t (n BIGINT PRIMARY KEY, x TEXT)");
    let rows = Rows::through(server.client(), |n| format!("INSERT INTO t VALUES ({n}, repeat('x', 200)); SELECT {n};"));
    let address = scene.site.dir().join("postgresql-url");
    fs::write(&address, format!("postgresql://amikeep:PASSWORD@127.0.0.1:{}/postgres", server.port)).unwrap();
    let connection = format!("connection = {{ file = \"{}\" }}", address.display());
    scene.reach_by_commands("fail", &format!("application = \"postgresql\"\n{connection}\nbudget = \"60s\""));
    let noted = scene.copy_xfs_once(&rows);
    let (job, ran) = scene.backup().await;
    assert_eq!((ran.code, job["grade"].as_str()), (0, Some("application")), "{job:#} {ran:?}");
    let position = &job["hold"]["position"];
    let identifier = server.ask("SELECT system_identifier FROM pg_control_system()");
    assert_eq!(position["system_identifier"], identifier.as_str(), "{job:#}");
    assert!(job["hold"]["lock_ms"].is_u64() && position["wal_lsn"].is_string(), "{job:#}");
    assert_eq!(scene.site.world.count(Action::SendCommand), 3, "look, freeze, thaw");
    rows.flow_again();
    let acknowledged = noted.load(Ordering::SeqCst);
    drop((rows, server));
    let copy = scene.disks.path("host").join("xfs.img.copy");
    let data = scene.disks.mount(&copy, "copy-xfs", "rw,nouuid").join("data");
    // It belongs to a server that does not run in the image.
    fs::remove_file(data.join("postmaster.pid")).unwrap();
    let second = Postgres::on(&data);
    let found = second.ask("SELECT max(n), count(*) FROM t");
    let (last, count) = found.split_once('|').unwrap();
    let rows: u64 = count.parse().unwrap();
    assert!(last == count && (acknowledged..=acknowledged + 1).contains(&rows), "{found}, {acknowledged} acknowledged");
}
