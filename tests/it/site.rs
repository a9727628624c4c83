//! One installation: a simulated EC2 behind a loopback port, a configuration file, a ledger, and the binary.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use amikeep_ec2_sim::http::Server;
use amikeep_ec2_sim::{ImageDuration, InstanceSpec, SimClock, World, WorldBuilder, access_key_id};
use jiff::SignedDuration;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const REGION: &str = "eu-central-1";

/// Nothing here takes longer on a healthy machine; a slow one is given this much.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) fn instance_id(n: u32) -> String {
    format!("i-{n:017x}")
}

/// A running instance with `Env = prod` and two volumes.
pub(crate) fn spec(n: u32) -> InstanceSpec {
    InstanceSpec::new(instance_id(n)).tag("Env", "prod").volume("/dev/xvda", 8).volume("/dev/sdf", 20)
}

/// A world in real time whose images take a second and whose snapshots begin at once.
pub(crate) fn world() -> WorldBuilder {
    let moment = SignedDuration::from_millis(100);
    World::builder()
        .clock(SimClock::wall(1.0))
        .image_duration(ImageDuration::Fixed(SignedDuration::from_secs(1)))
        .snapshot_lag(moment, SignedDuration::ZERO)
        .state_changes(moment, moment, moment)
        .account(ACCOUNT)
        .region(REGION)
}

/// A policy that covers `Env = prod`, with further lines.
pub(crate) fn policy(name: &str, class: &str, schedule: &str, more: &str) -> String {
    format!(
        "[policies.{name}]\naccount = \"default\"\nclass = \"{class}\"\nschedule = \"{schedule}\"\n\
         select = {{ tags = {{ Env = \"prod\" }} }}\nkeep = {{ last = 3 }}\n{more}\n"
    )
}

/// A schedule that does not come while a test runs.
pub(crate) const NEVER_NOW: &str = "0 0 29 2 *";

pub(crate) struct Site {
    pub(crate) world: World,
    pub(crate) server: Server,
    dir: TempDir,
    database: PathBuf,
    credentials: Option<String>,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Site {
    pub(crate) async fn new(world: WorldBuilder, policies: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let database = dir.path().join("amikeep.db");
        Self::in_places(world, policies, dir, database).await
    }

    /// With its ledger elsewhere than the rest.
    pub(crate) async fn with_ledger(world: WorldBuilder, policies: &str, database: PathBuf) -> Self {
        Self::in_places(world, policies, TempDir::new().unwrap(), database).await
    }

    async fn in_places(world: WorldBuilder, policies: &str, dir: TempDir, database: PathBuf) -> Self {
        let world = world.build().unwrap();
        let server = Server::start(world.clone()).await.unwrap();
        let account = ACCOUNT.parse().unwrap();
        let site = Self { world, server, dir, database, credentials: Some(access_key_id(&account)) };
        site.configure(policies);
        site
    }

    /// Writes the configuration anew.
    pub(crate) fn configure(&self, policies: &str) {
        self.configure_with("", policies);
    }

    /// The same with further lines about the daemon.
    pub(crate) fn configure_with(&self, daemon: &str, policies: &str) {
        // Tests run beside each other, and one address is for one of them.
        let silent = if daemon.contains("listen") { "" } else { "listen = \"\"\n" };
        self.write_config(&format!(
            "[daemon]\nowner = \"e2e\"\ndatabase = \"{}\"\nshutdown_grace = \"20s\"\n{silent}{daemon}\n\
             [accounts.default]\nregion = \"{REGION}\"\n\
             endpoint_url = \"{}\"\nvisibility_lag = \"2s\"\n\n{policies}",
            self.database().display(),
            self.server.url(),
        ));
    }

    pub(crate) fn write_config(&self, text: &str) {
        std::fs::write(self.config(), text).unwrap();
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("amikeep.toml")
    }

    pub(crate) fn config_text(&self) -> String {
        std::fs::read_to_string(self.config()).unwrap()
    }

    pub(crate) fn database(&self) -> &Path {
        &self.database
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The access key that the binary is given from now on.
    pub(crate) fn set_credentials(&mut self, access_key_id: Option<&str>) {
        self.credentials = access_key_id.map(str::to_owned);
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amikeep"));
        command.args(args).env_clear().stdin(Stdio::null());
        command.env("AMIKEEP_CONFIG", self.config()).env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", self.dir());
        if let Some(key) = &self.credentials {
            command.env("AWS_ACCESS_KEY_ID", key).env("AWS_SECRET_ACCESS_KEY", "a-secret-that-must-not-be-seen");
        }
        command
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, args: &[&str]) -> Ran {
        let mut command = self.command(args);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let ran =
            Ran { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) };
        assert!(!ran.stdout.contains("must-not-be-seen") && !ran.stderr.contains("must-not-be-seen"), "{ran:?}");
        assert!(!ran.stderr.contains("panicked"), "{ran:?}");
        ran
    }

    /// Starts the daemon and waits until its ledger is there and its loop has begun.
    pub(crate) async fn daemon(&self) -> Daemon {
        let mut daemon = self.start(&mut self.command(&["daemon"]));
        daemon.wait_for_log("ready").await;
        daemon
    }

    /// Starts the daemon, which may end at once.
    pub(crate) fn start(&self, command: &mut Command) -> Daemon {
        let log = self.dir().join(format!("daemon-{}.log", self.dir().read_dir().unwrap().count()));
        let child = command.stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
        Daemon { child, log }
    }

    /// Jobs of the ledger, newest first.
    pub(crate) async fn jobs(&self) -> Vec<Value> {
        self.history("jobs", &[]).await
    }

    /// Every page of a history, newest first.
    pub(crate) async fn history(&self, what: &str, args: &[&str]) -> Vec<Value> {
        let (mut rows, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut all = [&["history", "--format", "json", "--limit", "1000"], args].concat();
            if let Some(cursor) = &cursor {
                all.extend(["--cursor", cursor]);
            }
            let ran = self.run(&all).await;
            assert_eq!(ran.code, 0, "{ran:?}");
            let page = ran.json();
            rows.extend(page[what].as_array().unwrap().iter().cloned());
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return rows;
            }
        }
    }

    /// Images that are still in EC2.
    pub(crate) fn images_left(&self) -> usize {
        self.world.images().iter().filter(|image| image.deregistered_at.is_none()).count()
    }

    /// Snapshots whose image has gone.
    pub(crate) fn orphans(&self) -> usize {
        let gone = self.world.images().into_iter().filter(|image| image.deregistered_at.is_some());
        gone.flat_map(|image| image.snapshots).filter(|snapshot| snapshot.deleted_at.is_none()).count()
    }

    /// Waits until `holds` is true.
    pub(crate) async fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !holds() {
            assert!(tokio::time::Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
            // Often, since some want to be there while it happens.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until `holds` is true of the jobs.
    pub(crate) async fn wait_for_jobs(&self, what: &str, holds: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let jobs = self.jobs().await;
            if holds(&jobs) {
                return jobs;
            }
            assert!(tokio::time::Instant::now() < deadline, "not within {PATIENCE:?}: {what}; the jobs are {jobs:#?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

pub(crate) fn is_open(job: &Value) -> bool {
    !["succeeded", "failed", "skipped"].contains(&job["state"].as_str().unwrap())
}

/// A running daemon; killed when the test ends without having stopped it.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until the log has a line with `text`.
    pub(crate) async fn wait_for_log(&mut self, text: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the daemon ended with {status}: {}", self.log());
            }
            assert!(tokio::time::Instant::now() < deadline, "no {text:?} in the log: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end.
    pub(crate) async fn wait(self) -> ExitStatus {
        self.ended().await.0
    }

    /// Waits for its end, and returns its log as well.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, self.log());
            }
            assert!(tokio::time::Instant::now() < deadline, "it does not end: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already ended is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
