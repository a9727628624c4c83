//! One installation for a benchmark: the simulator, a configuration, a ledger, and daemons that end with their owner.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use crate::process;

const ACCOUNT: &str = "111122223333";
const REGION: &str = "eu-central-1";

/// A schedule that does not come while a benchmark runs.
const NEVER_NOW: &str = "0 0 29 2 *";

/// Others, of which there are as many as a day has minutes.
fn never_now(i: u32) -> String {
    format!("{} {} 29 2 *", i % 60, i / 60 % 24)
}

/// Where the simulator writes calls down.
const RECORD: &str = "calls.log";

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(2);

/// The programs as they are shipped.
pub(in crate::bench) struct Binaries {
    pub(super) amikeep: PathBuf,
    ec2_sim: PathBuf,
}

impl Binaries {
    pub(in crate::bench) fn build(root: &Path) -> anyhow::Result<Self> {
        let arguments = ["build", "--locked", "--release", "--package", "amikeep", "--package", "amikeep-ec2-sim"];
        process::run(&mut process::cargo(root, &arguments))?;
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let release = target.join("release");
        Ok(Self { amikeep: release.join("amikeep"), ec2_sim: release.join("ec2-sim") })
    }
}

/// What the simulator holds.
pub(in crate::bench) enum World {
    /// Its own small fleet.
    Small,
    /// So many running instances.
    Instances(u32),
}

/// The policies of a configuration.
pub(in crate::bench) struct Policies {
    schedules: Vec<String>,
    covers: Covers,
}

/// What the policies select.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Covers {
    /// No instance, so that a fire only looks.
    Nothing,
    /// Every instance.
    Everything,
}

impl Policies {
    /// Spread over the night, and not now.
    pub(super) fn nightly(n: u32) -> Self {
        Self { schedules: (0..n).map(never_now).collect(), covers: Covers::Nothing }
    }

    /// The same, but for one which fires once at `soon`.
    pub(super) fn nightly_but_one(n: u32, soon: Timestamp) -> Self {
        let mut policies = Self::nightly(n);
        if let Some(first) = policies.schedules.first_mut() {
            *first = daily_at(soon);
        }
        policies
    }

    /// One policy, which images every instance at `soon`.
    pub(in crate::bench) fn all_instances_at(soon: Timestamp) -> Self {
        Self { schedules: vec![daily_at(soon)], covers: Covers::Everything }
    }

    /// Up to sixty fire in every minute, each at its own second.
    pub(super) fn every_minute(n: u32) -> Self {
        let schedule = |i: u32| if i < 60 { format!("{i} * * * * *") } else { never_now(i) };
        Self { schedules: (0..n).map(schedule).collect(), covers: Covers::Nothing }
    }
}

fn daily_at(time: Timestamp) -> String {
    let at = time.to_zoned(TimeZone::UTC);
    format!("{} {} {} * * *", at.second(), at.minute(), at.hour())
}

/// Simulator, configuration and ledger.
pub(in crate::bench) struct Site {
    directory: Directory,
    amikeep: PathBuf,
    url: String,
    _sim: Running,
}

impl Site {
    pub(in crate::bench) const ACCOUNT: &str = ACCOUNT;
    pub(in crate::bench) const REGION: &str = REGION;

    pub(super) fn new(binaries: &Binaries, world: &World, policies: &Policies) -> anyhow::Result<Self> {
        Self::start(binaries, world, policies, &[])
    }

    /// The simulator writes every call down: see [`record`](Self::record).
    pub(in crate::bench) fn with_record(
        binaries: &Binaries,
        world: &World,
        policies: &Policies,
    ) -> anyhow::Result<Self> {
        Self::start(binaries, world, policies, &["--state-log", RECORD])
    }

    /// With a world of one's own, and what the configuration has besides its daemon and its account.
    pub(in crate::bench) fn of(binaries: &Binaries, world: &serde_json::Value, more: &str) -> anyhow::Result<Self> {
        Self::begin(binaries, Some(&world.to_string()), more, &[])
    }

    fn start(binaries: &Binaries, world: &World, policies: &Policies, arguments: &[&str]) -> anyhow::Result<Self> {
        let world = match world {
            World::Small => None,
            World::Instances(n) => Some(world_of(*n)),
        };
        Self::begin(binaries, world.as_deref(), &policies.to_string(), arguments)
    }

    fn begin(binaries: &Binaries, world: Option<&str>, more: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        let directory = Directory::new()?;
        let mut command = process::command(&binaries.ec2_sim, &directory.0);
        command.args(arguments);
        if let Some(world) = world {
            let path = directory.0.join("world.json");
            std::fs::write(&path, world).context("the world")?;
            command.arg("--world").arg(path);
        }
        let mut sim = Running(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("ec2-sim")?);
        let stdout = sim.0.stdout.take().context("ec2-sim without stdout")?;
        let mut url = String::new();
        BufReader::new(stdout).read_line(&mut url).context("the simulator's address")?;
        std::fs::write(directory.0.join("amikeep.toml"), config(&directory.0, url.trim(), more))
            .context("the configuration")?;
        Ok(Self { directory, amikeep: binaries.amikeep.clone(), url: url.trim().to_owned(), _sim: sim })
    }

    /// Where the simulator is.
    pub(in crate::bench) fn url(&self) -> &str {
        &self.url
    }

    /// Where it writes calls down, if it does.
    pub(in crate::bench) fn record(&self) -> PathBuf {
        self.directory.0.join(RECORD)
    }

    /// An environment with the account's key and nothing of this machine's.
    pub(in crate::bench) fn give_credentials(&self, command: &mut Command) {
        command.env_clear().env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", &self.directory.0);
        command.env("AWS_ACCESS_KEY_ID", format!("AKIASIM0{ACCOUNT}")).env("AWS_SECRET_ACCESS_KEY", "any");
        command.env("AWS_DEFAULT_REGION", REGION);
    }

    /// Starts the daemon and waits for READY; the daemon, and how long that took.
    pub(in crate::bench) fn start_daemon(&self) -> anyhow::Result<(Running, Duration)> {
        let path = self.directory.0.join("notify");
        drop(std::fs::remove_file(&path));
        let socket = UnixDatagram::bind(&path).context("the notify socket")?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let log = std::fs::File::create(self.directory.0.join("daemon.log"))?;
        let mut command = self.command(&["daemon"]);
        command.env("NOTIFY_SOCKET", &path).stdout(Stdio::null()).stderr(log);
        let (started, took) = process::timed(|| -> anyhow::Result<Running> {
            let daemon = Running(command.spawn().context("amikeep daemon")?);
            let mut buffer = [0; 4096];
            loop {
                let len = socket.recv(&mut buffer).with_context(|| format!("no READY; {}", self.log()))?;
                if String::from_utf8_lossy(&buffer[..len]).contains("READY=1") {
                    return Ok(daemon);
                }
            }
        });
        Ok((started?, took))
    }

    /// Waits until so many fires are in the ledger.
    pub(super) fn wait_for_fires(&self, n: usize) -> anyhow::Result<()> {
        for _ in 0..PATIENCE.as_secs() {
            if self.fires().is_ok_and(|fires| n <= fires.len()) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        bail!("no fire was written down; {}", self.log())
    }

    /// How long after its nominal time each fire was written down.
    pub(super) fn lateness(&self) -> anyhow::Result<Vec<SignedDuration>> {
        let time = |fire: &serde_json::Value, key: &str| -> anyhow::Result<Timestamp> {
            Ok(fire[key].as_str().with_context(|| format!("a fire without {key}"))?.parse()?)
        };
        let late =
            |fire: &serde_json::Value| Ok(time(fire, "recorded_at")?.duration_since(time(fire, "scheduled_at")?));
        self.fires()?.iter().map(late).collect()
    }

    fn fires(&self) -> anyhow::Result<Vec<serde_json::Value>> {
        let output = self.command(&["--format", "json", "history", "--fires", "--limit", "1000"]).output()?;
        let mut answer: serde_json::Value = serde_json::from_slice(&output.stdout).context("history --fires")?;
        match answer["fires"].take() {
            serde_json::Value::Array(fires) => Ok(fires),
            other => bail!("not a list of fires: {other}"),
        }
    }

    /// amikeep with this configuration.
    pub(in crate::bench) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = process::command(&self.amikeep, &self.directory.0);
        self.give_credentials(&mut command);
        command.args(arguments).env("AMIKEEP_CONFIG", self.directory.0.join("amikeep.toml"));
        command
    }

    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.directory.0.join("daemon.log")).unwrap_or_default();
        format!("the daemon said: {}", log.lines().rev().take(5).collect::<Vec<_>>().join(" | "))
    }
}

fn config(directory: &Path, url: &str, more: &str) -> String {
    format!(
        "[daemon]\nowner = \"bench\"\ndatabase = \"{}\"\nprune_schedule = \"{NEVER_NOW}\"\nlisten = \"\"\n\n\
         [accounts.default]\nregion = \"{REGION}\"\nendpoint_url = \"{url}\"\n\n{more}",
        directory.join("amikeep.db").display()
    )
}

/// As they are written in a configuration.
impl fmt::Display for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, schedule) in self.schedules.iter().enumerate() {
            let selected = match self.covers {
                Covers::Nothing => format!("nobody-{n}"),
                Covers::Everything => "prod".to_owned(),
            };
            write!(
                f,
                "[policies.p-{n:05}]\naccount = \"default\"\nclass = \"stateless\"\nschedule = \"{schedule}\"\n\
                 select = {{ tags = {{ Env = \"{selected}\" }} }}\nkeep = {{ last = 1 }}\n\n"
            )?;
        }
        Ok(())
    }
}

fn world_of(n: u32) -> String {
    let instance = |n: u32| {
        serde_json::json!({
            "id": format!("i-{n:017x}"),
            "tags": { "Env": "prod", "Name": format!("server-{n}") },
            "volumes": [{ "device": "/dev/xvda", "size": 8 }, { "device": "/dev/sdf", "size": 100 }],
        })
    };
    let instances: Vec<_> = (0..n).map(instance).collect();
    serde_json::json!({ "accounts": [{ "id": ACCOUNT, "regions": { REGION: instances } }] }).to_string()
}

/// A process that is ended with its owner.
pub(in crate::bench) struct Running(Child);

impl Running {
    /// Ends `child` when it is dropped.
    pub(in crate::bench) fn of(child: Child) -> Self {
        Self(child)
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to end.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A directory that goes away with its owner.
struct Directory(PathBuf);

impl Directory {
    fn new() -> anyhow::Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let n = MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("amikeep-bench-site-{}-{n}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} is left behind: {error}", self.0.display());
        }
    }
}
