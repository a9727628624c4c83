//! What systemd is told.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::site::{NEVER_NOW, Site, policy, world};

/// The messages of a service, as systemd's socket gets them.
pub(crate) struct NotifySocket(UnixDatagram);

impl NotifySocket {
    pub(crate) fn bind(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        Self(socket)
    }

    /// How often this is told while so much time passes.
    pub(crate) fn count_for(&self, span: Duration, what: &str) -> usize {
        let end = tokio::time::Instant::now() + span;
        let mut count = 0;
        let mut buffer = [0; 4096];
        while let Some(left) = end.checked_duration_since(tokio::time::Instant::now()).filter(|left| !left.is_zero()) {
            self.0.set_read_timeout(Some(left)).unwrap();
            if let Ok(len) = self.0.recv(&mut buffer) {
                count += usize::from(std::str::from_utf8(&buffer[..len]).unwrap().contains(what));
            }
        }
        self.0.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        count
    }

    /// What was told up to and with this.
    pub(crate) fn wait_for(&self, what: &str) -> String {
        let mut seen = String::new();
        let mut buffer = [0; 4096];
        while !seen.contains(what) {
            let len = self.0.recv(&mut buffer).unwrap_or_else(|error| panic!("no {what} in {seen:?}: {error}"));
            seen.push_str(std::str::from_utf8(&buffer[..len]).unwrap());
            seen.push('\n');
        }
        seen
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systemd_learns_of_start_life_reload_and_stop() {
    let site = Site::new(world(), &policy("idle", "stateless", NEVER_NOW, "")).await;
    let path = site.dir().join("notify");
    let socket = NotifySocket::bind(&path);
    let mut command = site.command(&["daemon"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "10000000");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let signal = |name: &str| {
        let pid = child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    };
    socket.wait_for("READY=1");
    socket.wait_for("WATCHDOG=1");
    signal("HUP");
    let reload = socket.wait_for("READY=1");
    assert!(reload.contains("RELOADING=1") && reload.contains("MONOTONIC_USEC="), "{reload}");
    signal("TERM");
    socket.wait_for("STOPPING=1");
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    assert!(status.success());
}
