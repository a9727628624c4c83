//! Servers of databases from the distribution: each on a directory of its own, with its socket in another, and gone with
//! its test.
//!
//! None listens on a port, so that tests and the machine's own services never meet. What a server needs to begin with
//! is made once and kept in the build's folder.

// With their paths, since the experiment includes this file by its path.
#[path = "server/mariadb.rs"]
pub(crate) mod mariadb;
#[path = "server/postgresql.rs"]
pub(crate) mod postgresql;
#[path = "server/redis.rs"]
pub(crate) mod redis;

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use amikeep_hold::Moment;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::bench::said;

/// For a server that recovers from a crash, on a machine that is busy.
const START_WAIT_MAX: Duration = Duration::from_secs(90);

/// How often a server is looked at that starts.
const LOOK_EVERY: Duration = Duration::from_millis(3);

pub(crate) fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap()).unwrap()
}

/// A process that listens on a socket.
pub(crate) struct Server {
    process: Child,
    stop: Signal,
    log: PathBuf,
}

impl Server {
    /// Starts it, with its output in a log, and returns once `is_ready`, which is given what it has logged; an error is
    /// that, if it ends before.
    pub(crate) fn start(
        command: &mut Command,
        log: &Path,
        stop: Signal,
        mut is_ready: impl FnMut(&str) -> bool,
    ) -> Result<Self, String> {
        let output = File::create(log).unwrap();
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let name = command.get_program().display().to_string();
        let process = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut server = Self { process, stop, log: log.to_owned() };
        let give_up = Moment::now() + START_WAIT_MAX;
        while !is_ready(&server.said()) {
            if give_up < Moment::now() {
                return Err(format!("{name} does not answer: {}", server.said()));
            }
            if let Some(status) = server.process.try_wait().unwrap() {
                return Err(format!("{name} ended with {status}: {}", server.said()));
            }
            // Servers that start need the processor more than who waits for them.
            thread::park_timeout(LOOK_EVERY);
        }
        Ok(server)
    }

    /// All that it has logged.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(pid(self.process.id()), signal).unwrap();
    }

    /// Stops it, and returns once each of its threads stands still: the signal alone may come after the next answer.
    pub(crate) fn hang(&self) {
        self.signal(Signal::STOP);
        let tasks = format!("/proc/{}/task", self.process.id());
        let is_still = |task: PathBuf| fs::read_to_string(task.join("stat")).is_ok_and(|stat| stat.contains(") T "));
        while !fs::read_dir(&tasks).unwrap().all(|task| is_still(task.unwrap().path())) {
            thread::park_timeout(LOOK_EVERY);
        }
    }
}

#[allow(dead_code, reason = "the experiment shuts servers down; the tests never do")]
impl Server {
    /// Asks it to end in good order, and waits until it has.
    pub(crate) fn shut_down(mut self, signal: Signal) {
        self.signal(signal);
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended and was waited for is not there any more, and its number may be another's.
        if !matches!(self.process.try_wait(), Ok(None)) {
            return;
        }
        let _ = kill_process(pid(self.process.id()), self.stop);
        let _ = self.process.wait();
    }
}

/// A directory for a server that needs no file system of its own.
pub(crate) fn place() -> TempDir {
    let place = tempfile::Builder::new().prefix("amikeep-server-").tempdir_in("/var/tmp").unwrap();
    // Servers that run as users of their own have to get through.
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    place
}

/// A directory that belongs to a user of the system.
pub(crate) fn directory_of(user: &str, path: &Path) -> PathBuf {
    fs::create_dir_all(path).unwrap();
    let id = |flag: &str| said(&format!("id {flag} {user}")).trim().parse().unwrap();
    chown(path, Some(id("-u")), Some(id("-g"))).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    path.to_owned()
}

/// Fills an empty directory with what a server begins with. `make` makes that in a directory of the user, once.
pub(crate) fn fill(directory: &Path, user: &str, name: &str, make: impl FnOnce(&Path)) {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let lock = File::create(kept.with_extension("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    if !kept.exists() {
        let place = place();
        let made = directory_of(user, &place.path().join("data"));
        make(&made);
        let half = kept.with_extension("half");
        let _ = fs::remove_dir_all(&half);
        said(&format!("cp -a {} {}", made.display(), half.display()));
        fs::rename(half, &kept).unwrap();
    }
    said(&format!("cp -a {}/. {}", kept.display(), directory.display()));
    // A server that has been there for a while has all of that on disk.
    said(&format!("sync --file-system {}", directory.display()));
}

/// A port of this machine that was free a moment ago; servers that use sockets alone are not in its way.
#[allow(dead_code, reason = "the experiment's servers have no ports")]
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
