//! A Redis on an instance that is frozen through Systems Manager: writes are paused over the network until what was
//! acknowledged is in the file, and the freeze.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;

use super::rows::Rows;
use super::*;

/// A server on a port of its own, which flushes its file once a second.
struct Redis {
    process: Child,
    port: u16,
}

impl Redis {
    fn on(data: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--daemonize", "no"]);
        command.args(["--appendonly", "yes", "--appendfsync", "everysec", "--dir"]).arg(data);
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let server = Self { process, port };
        let mut tries = 0;
        while TcpStream::connect(("127.0.0.1", port)).is_err() || server.ask("PING") != "PONG" {
            sh("sleep 0.05");
            tries += 1;
            assert!(tries < 1_200, "redis-server does not answer for a minute");
        }
        server
    }

    fn client(&self) -> Command {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.port.to_string()]);
        command
    }

    fn ask(&self, words: &str) -> String {
        let output = self.client().args(words.split(' ')).stdin(Stdio::null()).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_the_image_of_commands_has_every_write_that_was_acknowledged() {
    let Some(scene) = super::ssm::scene(world(), "fail", "", |agent| agent).await else { return };
    let data = scene.disks.path("xfs").join("data");
    fs::create_dir(&data).unwrap();
    let server = Redis::on(&data);
    let account = "-@all +client|pause +client|unpause +client|info +info +ping +bgsave +config|get";
    assert_eq!(server.ask(&format!("ACL SETUSER amikeep on >PASSWORD {account}")), "OK");
    let rows = Rows::through(server.client(), |_| "INCR n".to_owned());
    let address = scene.site.dir().join("redis-url");
    fs::write(&address, format!("redis://amikeep:PASSWORD@127.0.0.1:{}", server.port)).unwrap();
    let connection = format!("connection = {{ file = \"{}\" }}", address.display());
    scene.reach_by_commands("fail", &format!("application = \"redis\"\n{connection}\nbudget = \"60s\""));
    let noted = scene.copy_xfs_once(&rows);
    let (job, ran) = scene.backup().await;
    assert_eq!((ran.code, job["grade"].as_str()), (0, Some("application")), "{job:#} {ran:?}");
    let position = &job["hold"]["position"];
    assert!(job["hold"]["lock_ms"].is_u64() && position["aof"] == "1", "{job:#}");
    assert_eq!(scene.site.world.count(Action::SendCommand), 3, "look, freeze, thaw");
    rows.flow_again();
    let acknowledged = noted.load(Ordering::SeqCst);
    drop((rows, server));
    let copy = scene.disks.path("host").join("xfs.img.copy");
    let second = Redis::on(&scene.disks.mount(&copy, "copy-xfs", "rw,nouuid").join("data"));
    let found: u64 = second.ask("GET n").parse().unwrap();
    assert!((acknowledged..=acknowledged + 1).contains(&found), "{found}, {acknowledged} acknowledged");
}
