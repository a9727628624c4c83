//! A MariaDB that the daemon holds still, with its data on one file system and the log of InnoDB on the other: a second server
//! that is started on the copies has every row that was acknowledged before they were made.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::*;

const ENGINES: [&str; 2] = ["InnoDB", "MyISAM"];

/// Small, since the disks are; it is not to repair what it finds.
const OPTIONS: [&str; 9] = [
    "--no-defaults",
    "--user=root",
    "--skip-networking",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=16M",
    "--log-bin=binlog",
    "--server-id=1",
    "--myisam-recover-options=OFF",
    "--aria-recover-options=OFF",
];

/// A server without a port.
struct MariaDb {
    process: Child,
    socket: PathBuf,
}

impl MariaDb {
    /// Makes the directories of an empty server.
    fn install(data: &Path, log: &Path) {
        let install =
            "mariadb-install-db --no-defaults --user=root --auth-root-authentication-method=normal --skip-test-db";
        let size = "--innodb-log-file-size=16M";
        sh(&format!("{install} {size} --datadir={} >/dev/null 2>&1", data.display()));
        sh(&format!("mkdir {1}; mv {0}/ib_logfile0 {1}", data.display(), log.display()));
    }

    /// Returns when it answers.
    fn on(data: &Path, log: &Path, place: &Path, name: &str) -> Self {
        let socket = place.join(format!("{name}.sock"));
        let mut command = Command::new("mariadbd");
        command.args(OPTIONS).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(place.join(format!("{name}.log"))).unwrap());
        command
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--innodb-log-group-home-dir={}", log.display()));
        command.arg(format!("--socket={}", socket.display()));
        command.arg(format!("--pid-file={}", place.join(format!("{name}.pid")).display()));
        let mut server = Self { process: command.spawn().unwrap(), socket };
        let mut tries = 0;
        while server.try_ask("SELECT 1").is_none() {
            assert!(server.process.try_wait().unwrap().is_none(), "{}", said(place, name));
            sh("sleep 0.05");
            tries += 1;
            assert!(tries < 1_200, "mariadbd does not answer for a minute: {}", said(place, name));
        }
        server
    }

    fn client(&self) -> Command {
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "--user=root", "--batch", "--skip-column-names", "--unbuffered"]);
        command.arg(format!("--socket={}", self.socket.display())).stderr(Stdio::null());
        command
    }

    fn try_ask(&self, statement: &str) -> Option<String> {
        let output = self.client().args(["--execute", statement]).stdin(Stdio::null()).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
    }

    fn ask(&self, statement: &str) -> String {
        self.try_ask(statement).unwrap_or_else(|| panic!("refused: {statement}"))
    }
}

fn said(place: &Path, name: &str) -> String {
    fs::read_to_string(place.join(format!("{name}.log"))).unwrap_or_default()
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        // Not waited for here: it may hang in a freeze, out of which the janitor helps it later.
        let _ = self.process.kill();
        let mut process = std::mem::replace(&mut self.process, Command::new("true").spawn().unwrap());
        thread::spawn(move || process.wait());
        let _ = self.process.wait();
    }
}

/// Writes one row after another, and knows which was acknowledged last.
struct Client {
    process: Child,
    acknowledged: Arc<AtomicU64>,
}

impl Client {
    fn of(server: &MariaDb, engine: &str) -> Self {
        server.ask(&format!("CREATE TABLE kept.{engine} (n BIGINT PRIMARY KEY, t CHAR(200)) ENGINE={engine}"));
        let mut process = server.client().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut statements, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let acknowledged: Arc<AtomicU64> = Arc::default();
        let (kept, table) = (Arc::clone(&acknowledged), format!("kept.{engine}"));
        thread::spawn(move || {
            let mut lines = BufReader::new(answers).lines();
            for n in 1_u64.. {
                let sent = writeln!(statements, "INSERT INTO {table} VALUES ({n}, REPEAT('x', 200)); SELECT {n};");
                // The answer to the second statement comes after that to the first.
                let Some(Ok(answer)) = sent.ok().and_then(|()| lines.next()) else { return };
                assert_eq!(answer, n.to_string());
                kept.store(n, Ordering::SeqCst);
            }
        });
        let client = Self { process, acknowledged };
        client.flows();
        client
    }

    fn flows(&self) {
        let (until, mut tries) = (self.acknowledged.load(Ordering::SeqCst) + 20, 0);
        while self.acknowledged.load(Ordering::SeqCst) < until {
            sh("sleep 0.05");
            tries += 1;
            assert!(tries < 1_200, "no row is acknowledged for a minute");
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The account and the freeze that `docs/freeze.md` describes.
fn freeze(server: &MariaDb, place: &Path) -> String {
    server.ask("CREATE USER 'amikeep'@'localhost' IDENTIFIED BY 'PASSWORD'");
    server.ask("GRANT RELOAD, BINLOG MONITOR ON *.* TO 'amikeep'@'localhost'");
    let address = place.join("mysql-url");
    fs::write(&address, format!("mysql://amikeep:PASSWORD@localhost/?socket={}", server.socket.display())).unwrap();
    format!("application = \"mysql\"\nconnection = {{ file = \"{}\" }}\nbudget = \"60s\"", address.display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_the_image_that_the_daemon_took_has_every_acknowledged_row() {
    let Some(scene) = Scene::new(world(), "fail", "").await else { return };
    let (data, log) = (scene.disks.path("xfs").join("mysql"), scene.disks.path("ext4").join("redo"));
    MariaDb::install(&data, &log);
    let server = MariaDb::on(&data, &log, scene.site.dir(), "first");
    server.ask("CREATE DATABASE kept");
    let clients = ENGINES.map(|engine| Client::of(&server, engine));
    scene.site.configure(&scene.disks.config("fail", &freeze(&server, scene.site.dir())));
    let acknowledged = clients.each_ref().map(|client| Arc::clone(&client.acknowledged));
    let before: Arc<Mutex<Vec<[u64; 2]>>> = Arc::default();
    let noted = Arc::clone(&before);
    scene
        .copy_with(move || noted.lock().unwrap().push(acknowledged.each_ref().map(|n| n.load(Ordering::SeqCst))))
        .await;

    let daemon = scene.site.daemon().await;
    let (job, ran) = scene.backup().await;
    assert_eq!((ran.code, job["grade"].as_str()), (0, Some("application")), "{job:#} {ran:?}");
    clients.iter().for_each(Client::flows);
    scene.flows_again();
    let hold = &job["hold"];
    assert!(hold["lock_ms"].as_u64().is_some_and(|lock| hold["stall_ms"].as_u64().unwrap() <= lock), "{job:#}");
    let kinds: Vec<&str> =
        hold["mounts"].as_array().unwrap().iter().map(|it| it["fs_type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["xfs", "ext4"], "{job:#}");
    let (file, position) = (&hold["position"]["binlog_file"], &hold["position"]["binlog_position"]);
    let (file, position) = (file.as_str().unwrap(), position.as_str().unwrap().parse::<u64>().unwrap());
    let tag = scene.site.world.images()[0].tags["amikeep:position"].clone();
    assert!(tag.contains(file) && tag.contains(&position.to_string()), "{tag}");
    daemon.signal("TERM");
    assert!(daemon.wait().await.success());

    let mounted = NAMES.map(|(name, _)| scene.mount_copy(name));
    let binlog = fs::metadata(mounted[0].join("mysql").join(file)).unwrap().len();
    assert_eq!(binlog, position, "the log of the copy ends where it says");
    let second = MariaDb::on(&mounted[0].join("mysql"), &mounted[1].join("redo"), scene.site.dir(), "second");
    let before = before.lock().unwrap().clone();
    for (number, engine) in ENGINES.iter().enumerate() {
        let least = before.iter().map(|counts| counts[number]).max().unwrap();
        let rows = second.ask(&format!("SELECT MAX(n) FROM kept.{engine}")).parse::<u64>().unwrap();
        let count = second.ask(&format!("SELECT COUNT(*) FROM kept.{engine}"));
        assert_eq!(count, rows.to_string(), "{engine} has no gap");
        // What was under way may be there too.
        assert!((least..=least + 1).contains(&rows), "{engine}: {rows} rows, {least} acknowledged");
        let check = second.ask(&format!("CHECK TABLE kept.{engine}"));
        assert!(check.ends_with("\tOK"), "{engine}: {check}");
    }
}
