//! A database on an instance that is frozen through Systems Manager: the lock is taken over the network, and what it holds is
//! frozen by commands. Tables of MyISAM tell: an image of them is whole only if both hold at once.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;

use super::rows::Rows;
use super::*;

/// MariaDB on a port of its own, and the file in which its address is.
struct Maria {
    process: Child,
    socket: PathBuf,
    address: PathBuf,
}

/// A client of it on its socket.
fn client(socket: &Path) -> Command {
    let mut command = Command::new("mariadb");
    command.args(["--no-defaults", "--user=root", "--batch", "--skip-column-names", "--unbuffered"]);
    command.arg(format!("--socket={}", socket.display()));
    command
}

/// None if the server is not there, or refuses.
fn try_ask(socket: &Path, statements: &str) -> Option<String> {
    let output = client(socket).args(["--execute", statements]).stdin(Stdio::null()).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
}

impl Maria {
    /// On a directory, which is filled if it is empty; nothing is repaired that is found in it.
    fn on(data: &Path, place: &Path, name: &str, more: &[String]) -> Self {
        Self::by(Command::new("mariadbd"), data, place, name, more)
    }

    /// One that sees its directory at the path of another, as in a container or on another machine.
    fn as_if_on(seen: &Path, data: &Path, place: &Path, name: &str) -> Self {
        let mut server = Command::new("unshare");
        server.args(["--mount", "sh", "-c", "mount --bind \"$0\" \"$1\" && shift && exec mariadbd \"$@\""]);
        server.arg(data).arg(seen);
        Self::by(server, seen, place, name, &["--log-bin=binlog".to_owned()])
    }

    fn by(mut command: Command, data: &Path, place: &Path, name: &str, more: &[String]) -> Self {
        if !data.exists() {
            sh(&format!(
                "mariadb-install-db --no-defaults --user=root --datadir={} --auth-root-authentication-method=normal \
                 --skip-test-db --innodb-log-file-size=16M >/dev/null 2>&1",
                data.display()
            ));
        }
        let (socket, address) = (place.join(format!("{name}.sock")), place.join(format!("{name}-url")));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        command.args(["--no-defaults", "--user=root", "--bind-address=127.0.0.1", "--innodb-buffer-pool-size=32M"]);
        command.args(["--innodb-log-file-size=16M", "--server-id=1", "--myisam-recover-options=OFF"]);
        command.arg(format!("--datadir={}", data.display())).arg(format!("--socket={}", socket.display()));
        command.arg(format!("--port={port}")).arg(format!("--pid-file={}", place.join(name).display())).args(more);
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut tries = 0;
        while try_ask(&socket, "SELECT 1").is_none() {
            sh("sleep 0.05");
            tries += 1;
            assert!(tries < 1_200, "mariadbd does not answer for a minute");
        }
        fs::write(&address, format!("mysql://amikeep:PASSWORD@127.0.0.1:{port}/")).unwrap();
        Self { process, socket, address }
    }

    fn ask(&self, statements: &str) -> String {
        try_ask(&self.socket, statements).unwrap_or_else(|| panic!("refused: {statements}"))
    }

    /// The account, and a table without a log of its own.
    fn set_up(&self) {
        self.ask("CREATE USER 'amikeep'@'%' IDENTIFIED BY 'PASSWORD'");
        self.ask("GRANT RELOAD, BINLOG MONITOR ON *.* TO 'amikeep'@'%'");
        self.ask("CREATE DATABASE kept; CREATE TABLE kept.t (n BIGINT PRIMARY KEY, x CHAR(200)) ENGINE=MyISAM");
    }

    /// Who writes to that table.
    fn rows(&self) -> Rows {
        let row = |n: u64| format!("INSERT INTO kept.t VALUES ({n}, REPEAT('x', 200)); SELECT {n};");
        Rows::through(client(&self.socket), row)
    }

    fn freeze(&self, more: &str) -> String {
        let address = self.address.display();
        format!("application = \"mysql\"\nconnection = {{ file = \"{address}\" }}\n{more}")
    }
}

impl Drop for Maria {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The site, its database on the XFS, and who writes to it.
struct Held {
    // The writer ends first, and the server before its disk is put away.
    rows: Rows,
    server: Maria,
    scene: Scene,
}

impl Held {
    async fn new(if_blocked: &str, budget: &str) -> Option<Self> {
        let scene = super::ssm::scene(world(), if_blocked, "", |agent| agent).await?;
        let log = ["--log-bin=binlog".to_owned()];
        let server = Maria::on(&scene.disks.path("xfs").join("data"), scene.site.dir(), "first", &log);
        server.set_up();
        scene.reach_by_commands(if_blocked, &server.freeze(budget));
        let rows = server.rows();
        Some(Self { rows, server, scene })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_locked_over_the_network_and_frozen_by_commands_and_the_image_has_every_row() {
    let Some(Held { rows, server, scene }) = Held::new("fail", "budget = \"60s\"").await else { return };
    let noted = scene.copy_xfs_once(&rows);
    let (job, ran) = scene.backup().await;
    assert_eq!((ran.code, job["grade"].as_str()), (0, Some("application")), "{job:#} {ran:?}");
    assert!(job["hold"]["lock_ms"].is_u64() && job["hold"]["position"]["binlog_file"].is_string(), "{job:#}");
    assert_eq!(scene.site.world.count(Action::SendCommand), 3, "look, freeze, thaw");
    rows.flow_again();
    let acknowledged = noted.load(Ordering::SeqCst);
    drop((rows, server));
    let copy = scene.disks.path("host").join("xfs.img.copy");
    let place = scene.disks.mount(&copy, "copy-xfs", "rw,nouuid");
    let second = Maria::on(&place.join("data"), scene.site.dir(), "second", &["--log-bin=binlog".to_owned()]);
    assert_eq!(second.ask("CHECK TABLE kept.t"), "kept.t\tcheck\tstatus\tOK", "it was closed");
    let found = second.ask("SELECT MAX(n), COUNT(*) FROM kept.t");
    let (last, count) = found.split_once('\t').unwrap();
    let rows: u64 = count.parse().unwrap();
    assert!(last == count && (acknowledged..=acknowledged + 1).contains(&rows), "{found}, {acknowledged} acknowledged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_of_a_database_on_another_instance_that_is_on_no_mount_of_it_is_refused_unlocked() {
    let Some(scene) = super::ssm::scene(world(), "fail", "", |agent| agent).await else { return };
    let elsewhere = scene.site.dir().join("binlog");
    let log = [format!("--log-bin={}", elsewhere.display())];
    let server = Maria::on(&scene.disks.path("xfs").join("data"), scene.site.dir(), "first", &log);
    server.set_up();
    scene.reach_by_commands("fail", &server.freeze("budget = \"60s\""));
    let (job, ran) = scene.backup().await;
    assert_eq!((ran.code, job["error"]["code"].as_str()), (1, Some("freeze_failed")), "{job:#} {ran:?}");
    let message = job["error"]["message"].as_str().unwrap();
    assert!(message.contains("data of mysql would not be frozen: the binary log is in"), "{message}");
    assert_eq!(scene.site.world.count(Action::SendCommand), 1, "the look alone");
    let story = scene.site.run(&["show", job["id"].as_str().unwrap(), "--format", "json"]).await.json();
    assert!(story["events"].as_array().unwrap().iter().all(|it| it["event"] != "locked"), "{story:#}");
    // A socket is one of this host, whoever is frozen.
    fs::write(&server.address, format!("mysql://root@localhost/?socket={}", server.socket.display())).unwrap();
    let (job, _) = scene.backup().await;
    let message = job["error"]["message"].as_str().unwrap();
    assert!(message.contains("it is a socket of this machine") && !message.contains("PASSWORD"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_dies_in_the_hold_takes_the_grade() {
    let Some(Held { rows, server, scene }) = Held::new("no-reboot", "budget = \"60s\"").await else { return };
    let socket = server.socket.clone();
    scene.site.world.on_point_in_time(move |_: &PointInTime| {
        let ours = "SELECT CONCAT('KILL ', id, ';') FROM information_schema.processlist WHERE user = 'amikeep'";
        for kill in try_ask(&socket, ours).unwrap_or_default().lines() {
            let _ = try_ask(&socket, kill);
        }
    });
    let (job, ran) = scene.backup().await;
    assert_eq!((ran.code, job["grade"].as_str()), (0, Some("crash")), "{job:#} {ran:?}");
    let story = scene.site.run(&["show", job["id"].as_str().unwrap(), "--format", "json"]).await.json();
    let events = story["events"].as_array().unwrap();
    let held = events.iter().find(|it| it["event"] == "held").unwrap()["detail"].as_str().unwrap();
    assert!(held.contains("not proved"), "{held}");
    rows.flow_again();
    scene.flows_again();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lock_is_let_go_after_a_freeze_of_which_nobody_hears_and_a_rehearsal_takes_it_too() {
    let Some(Held { rows, server, scene }) = Held::new("no-reboot", "budget = \"30s\"").await else { return };
    let id = instance_id(1);
    let ran = scene.site.run(&["hold", "--freeze", "disks", "--test", "--instance", &id, "--format", "json"]).await;
    assert_eq!((ran.code, ran.json()["held"].as_bool()), (0, Some(true)), "{ran:?}");
    assert!(ran.json()["position"]["binlog_file"].is_string() && ran.json()["locked_ms"].is_u64(), "{ran:?}");
    rows.flow_again();
    // The look is the first; the freeze runs, and its answer is lost.
    scene.site.world.plan_fault(Fault::on(Action::SendCommand, FaultOutcome::LostReplyAfterEffect).nth(2));
    let (job, ran) = scene.backup().await;
    assert_eq!((ran.code, job["grade"].as_str(), job["mode"]["done"].as_str()), (0, Some("crash"), Some("no-reboot")));
    rows.flow_again();
    scene.flows_again();
    let ours = server.ask("SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'amikeep'");
    assert_eq!(ours, "0", "nobody holds anything any longer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_that_says_the_same_of_itself_is_refused_unlocked() {
    let Some(scene) = super::ssm::scene(world(), "no-reboot", "", |agent| agent).await else { return };
    let (data, copy) = (scene.disks.path("xfs").join("data"), scene.disks.path("ext4").join("copy"));
    let log = ["--log-bin=binlog".to_owned()];
    let server = Maria::on(&data, scene.site.dir(), "first", &log);
    server.set_up();
    drop(server);
    sh(&format!("cp -a {} {}", data.display(), copy.display()));
    let other = Maria::as_if_on(&data, &copy, scene.site.dir(), "other");
    assert_eq!(other.ask("SELECT @@datadir"), format!("{}/", data.display()), "as the one whose data is frozen");
    scene.reach_by_commands("no-reboot", &other.freeze("budget = \"60s\""));
    // Nobody works in the directory that would be frozen: what it is worth cannot be told.
    let (job, ran) = scene.backup().await;
    assert_eq!((ran.code, job["grade"].as_str()), (0, Some("filesystem")), "{job:#} {ran:?}");
    let story = scene.site.run(&["show", job["id"].as_str().unwrap()]).await;
    assert!(story.stdout.contains("doubted") && story.stdout.contains("no process works in"), "{story:?}");
    // Somebody does, and it is not who answers.
    let server = Maria::on(&data, scene.site.dir(), "first", &log);
    let (sent, images) = (scene.site.world.count(Action::SendCommand), scene.site.world.images().len());
    scene.reach_by_commands("fail", &other.freeze("budget = \"60s\""));
    let (job, ran) = scene.backup().await;
    assert_eq!((ran.code, job["error"]["code"].as_str()), (1, Some("freeze_failed")), "{job:#} {ran:?}");
    let message = job["error"]["message"].as_str().unwrap();
    assert!(message.contains("leads to another mysql than the one that works in"), "{message}");
    assert_eq!(scene.site.world.count(Action::SendCommand) - sent, 1, "the look alone");
    assert_eq!(scene.site.world.images().len(), images);
    let story = scene.site.run(&["show", job["id"].as_str().unwrap(), "--format", "json"]).await.json();
    assert!(story["events"].as_array().unwrap().iter().all(|it| it["event"] != "locked"), "{story:#}");
    scene.reach_by_commands("fail", &server.freeze("budget = \"60s\""));
    let (job, ran) = scene.backup().await;
    assert_eq!((ran.code, job["grade"].as_str()), (0, Some("application")), "{job:#} {ran:?}");
}
