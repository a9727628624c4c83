//! A Redis that is held still with its file system, and one whose data is somewhere else.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Scene, sh};
use crate::site::world;

/// A server without a port, and the file in which its address is.
struct Redis {
    process: Child,
    socket: PathBuf,
    address: PathBuf,
}

impl Redis {
    fn on(data: &Path, place: &Path) -> Self {
        fs::create_dir_all(data).unwrap();
        let (socket, address) = (place.join("redis.sock"), place.join("redis-url"));
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "yes", "--daemonize", "no"]);
        command.arg("--dir").arg(data).arg("--unixsocket").arg(&socket).stdin(Stdio::null()).stdout(Stdio::null());
        let process = command.spawn().unwrap();
        let mut tries = 0;
        while UnixStream::connect(&socket).is_err() {
            sh("sleep 0.05");
            tries += 1;
            assert!(tries < 1_200, "redis-server does not answer for a minute");
        }
        fs::write(&address, format!("unix://{}", socket.display())).unwrap();
        Self { process, socket, address }
    }

    /// Whoever asks for its configuration is refused from now on.
    fn tells_nothing(&self) {
        let mut stream = BufReader::new(UnixStream::connect(&self.socket).unwrap());
        stream.get_mut().write_all(b"ACL SETUSER default -config|get\r\n").unwrap();
        let mut answer = String::new();
        stream.read_line(&mut answer).unwrap();
        assert_eq!(answer, "+OK\r\n");
    }

    fn freeze(&self) -> String {
        let address = self.address.display();
        format!("application = \"redis\"\nconnection = {{ file = \"{address}\" }}\nbudget = \"60s\"")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_on_a_mount_of_the_freeze_is_worth_application_and_data_elsewhere_is_refused() {
    let Some(scene) = Scene::new(world(), "fail", "").await else { return };
    {
        let redis = Redis::on(&scene.disks.path("xfs").join("redis"), scene.site.dir());
        scene.site.configure(&scene.disks.config("fail", &redis.freeze()));
        let (job, ran) = scene.backup().await;
        assert_eq!((ran.code, job["grade"].as_str()), (0, Some("application")), "{job:#} {ran:?}");
        assert!(job["hold"]["lock_ms"].is_u64() && job["hold"]["mounts"][0]["fs_type"] == "xfs", "{job:#}");
        assert_eq!(job["hold"]["position"]["role"], "primary", "{job:#}");
        // Where its data is cannot be told any more: no more than its file system counts.
        redis.tells_nothing();
        scene.site.configure(&scene.disks.config("no-reboot", &redis.freeze()));
        let (job, ran) = scene.backup().await;
        assert_eq!((ran.code, job["grade"].as_str()), (0, Some("filesystem")), "{job:#} {ran:?}");
        let story = scene.site.run(&["show", job["id"].as_str().unwrap()]).await;
        assert!(story.stdout.contains("doubted") && story.stdout.contains("CONFIG GET"), "{story:?}");
        // A class that does not accept that is told so before anything stands still.
        scene.site.configure(&scene.disks.config("fail", &redis.freeze()));
        let (job, ran) = scene.backup().await;
        assert_eq!((ran.code, job["error"]["code"].as_str()), (1, Some("freeze_failed")), "{job:#}");
        assert!(job["error"]["message"].as_str().unwrap().contains("cannot be told"), "{job:#}");
        assert_eq!(scene.site.world.images().len(), 2, "nothing was asked for");
    }
    let redis = Redis::on(&scene.site.dir().join("elsewhere"), scene.site.dir());
    scene.site.configure(&scene.disks.config("fail", &redis.freeze()));
    let (job, ran) = scene.backup().await;
    assert_eq!((ran.code, job["error"]["code"].as_str()), (1, Some("freeze_failed")), "{job:#}");
    let message = job["error"]["message"].as_str().unwrap();
    assert!(message.contains("data of redis would not be frozen: the data is in"), "{message}");
    assert_eq!(scene.site.world.images().len(), 2, "nothing was asked for");
    let story = scene.site.run(&["show", job["id"].as_str().unwrap(), "--format", "json"]).await.json();
    let events = story["events"].as_array().unwrap();
    assert!(events.iter().all(|it| it["event"] != "locked" && it["event"] != "frozen"), "{events:#?}");
}
