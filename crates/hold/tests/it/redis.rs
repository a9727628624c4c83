//! Redis on a frozen file system: a second server on the image has every write that was acknowledged.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use amikeep_hold::apps::{AppError, Application, LockLimits, Prepared, Secret};

use crate::bench::{Bench, Fs, PATIENCE, some_time};

const LIMITS: LockLimits = LockLimits { wait: Duration::from_secs(20), hold: Duration::from_mins(1) };

struct Server {
    process: Child,
    socket: PathBuf,
}

impl Server {
    /// A server on a directory, with its socket beside the mounts. It dies with the test.
    fn on(directory: &Path, socket: PathBuf, options: &str) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "redis-server", "--port", "0", "--save", "", "--daemonize", "no"]);
        command.arg("--dir").arg(directory).arg("--unixsocket").arg(&socket).args(options.split(' '));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("setpriv and redis-server are installed");
        let server = Self { process, socket };
        while server.try_ask("PING").is_none_or(|reply| reply != "+PONG") {
            thread::yield_now();
        }
        server
    }

    fn try_ask(&self, question: &str) -> Option<String> {
        let mut stream = BufReader::new(UnixStream::connect(&self.socket).ok()?);
        stream.get_mut().write_all(format!("{question}\r\n").as_bytes()).ok()?;
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        if line.starts_with('$') {
            line.clear();
            stream.read_line(&mut line).ok()?;
        }
        Some(line.trim_end().to_owned())
    }

    fn prepared(&self) -> Prepared {
        let address = Secret::new(format!("unix://{}\n", self.socket.display()));
        Application::Redis.prepare(Some(&address), PATIENCE).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A client that counts up, and knows which number was acknowledged last.
struct Client {
    acknowledged: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
}

impl Client {
    fn of(server: &Server) -> Self {
        let client = Self { acknowledged: Arc::default(), ends: Arc::default() };
        let (acknowledged, ends) = (Arc::clone(&client.acknowledged), Arc::clone(&client.ends));
        let mut stream = BufReader::new(UnixStream::connect(&server.socket).unwrap());
        thread::spawn(move || {
            let mut line = String::new();
            while !ends.load(Ordering::SeqCst) && stream.get_mut().write_all(b"INCR n\r\n").is_ok() {
                line.clear();
                if stream.read_line(&mut line).is_ok_and(|length| 0 < length) {
                    acknowledged.store(line[1..].trim_end().parse().unwrap(), Ordering::SeqCst);
                }
            }
        });
        client.waits_for(200);
        client
    }

    fn now(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Until so many more are acknowledged.
    fn waits_for(&self, more: u64) {
        let until = self.now() + more;
        while self.now() < until {
            thread::yield_now();
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
    }
}

fn every_acknowledged_write_is_in_the_image(kind: Fs, options: &str) {
    let Some(bench) = Bench::with(&[kind]) else { return };
    let server = Server::on(bench.mount(0), bench.mount(0).with_file_name("socket"), options);
    let client = Client::of(&server);
    let prepared = server.prepared();
    let guard = bench.guard();
    let locked = prepared.lock(LIMITS).unwrap();
    let acknowledged = client.now();
    let hold = guard.freeze(LIMITS.hold, some_time()).unwrap();
    locked.ping().unwrap();
    let copy = bench.copy_of(0);
    assert!(hold.thaw().proves_hold());
    let recorded = locked.recorded().clone();
    locked.release().unwrap();
    client.waits_for(100);
    let names: Vec<_> = recorded.facts().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["server", "role", "lock", "replication_id", "replication_offset", "aof", "last_save"]);
    let mount = bench.mount_copy(&copy);
    let second = Server::on(&mount, mount.with_file_name("socket"), options);
    let found: u64 = second.try_ask("GET n").unwrap().parse().unwrap();
    assert!(acknowledged <= found, "{options}: {acknowledged} acknowledged, {found} in the image");
}

#[test]
fn every_acknowledged_write_is_in_the_image_without_an_append_only_file() {
    every_acknowledged_write_is_in_the_image(Fs::Xfs, "--appendonly no");
}

#[test]
fn every_acknowledged_write_is_in_the_image_with_an_append_only_file_flushed_each_second() {
    every_acknowledged_write_is_in_the_image(Fs::Ext4, "--appendonly yes --appendfsync everysec");
}

#[test]
fn every_acknowledged_write_is_in_the_image_with_an_append_only_file_flushed_always() {
    every_acknowledged_write_is_in_the_image(Fs::Xfs, "--appendonly yes --appendfsync always");
}

#[test]
fn writes_stop_in_the_hold_of_redis_and_go_on_when_it_is_released_or_forgotten_or_its_time_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path(), directory.path().join("socket"), "--appendonly yes");
    let client = Client::of(&server);
    let locked = server.prepared().lock(LIMITS).unwrap();
    let before = client.now();
    // Reads and pings go on, in an order that also puts every earlier write behind us.
    let known: u64 = server.try_ask("GET n").unwrap().parse().unwrap();
    assert!(known <= before + 1, "nothing is written that is not acknowledged, but for what was under way");
    locked.release().unwrap();
    client.waits_for(100);
    drop(server.prepared().lock(LIMITS).unwrap());
    client.waits_for(100);
    let short = LockLimits { wait: Duration::from_secs(2), hold: Duration::from_millis(1) };
    std::mem::forget(server.prepared().lock(short).unwrap());
    client.waits_for(100);
}

#[test]
fn a_snapshot_that_does_not_come_in_time_is_given_up_and_writes_go_on() {
    let directory = tempfile::tempdir().unwrap();
    // A millisecond for each key, so that two thousand take longer than is waited.
    let server =
        Server::on(directory.path(), directory.path().join("socket"), "--appendonly no --rdb-key-save-delay 1000");
    for number in 0..2000 {
        server.try_ask(&format!("SET key{number} x")).unwrap();
    }
    let client = Client::of(&server);
    let error = server.prepared().lock(LockLimits { wait: Duration::from_millis(50), ..LIMITS }).unwrap_err();
    assert!(matches!(error, AppError::LockWait { .. }), "{error}");
    client.waits_for(100);
}

#[test]
fn a_password_is_sent_and_a_wrong_one_is_told_without_showing_it() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let server = Server::on(directory.path(), socket.clone(), "--appendonly no");
    server.try_ask("CONFIG SET requirepass hunter2").unwrap();
    let at = |password: &str| {
        let address = Secret::new(format!("unix://:{password}@{}", socket.display()));
        Application::Redis.prepare(Some(&address), PATIENCE)
    };
    assert!(at("hunter2").is_ok());
    let error = at("hunter3").unwrap_err();
    assert!(matches!(error, AppError::Refused { .. }) && !format!("{error:?}").contains("hunter3"), "{error:?}");
    assert!(fs::metadata(&socket).is_ok());
}
