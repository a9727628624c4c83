//! A container that boots this machine's own systemd.
//!
//! It leaves nothing running and nothing mounted, however the test ends: mounts and processes are in namespaces of their
//! own. If the thread that started `unshare` is gone, the kernel kills `unshare`, with it the first process of the
//! namespace, which is systemd-nspawn, and with that every process of the container.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// Nothing here takes longer on a healthy machine; a slow one is given this much.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

const BOOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/systemd/boot.sh");

/// Lines of the journal that are shown when the test fails.
const JOURNAL_LINES: &str = "60";

pub(crate) struct Container {
    /// `unshare`, whose only child is systemd-nspawn, whose only child is the container's first process.
    unshare: Child,
    /// The container's first process, as this machine numbers it.
    leader: String,
    console: PathBuf,
    /// Groups of processes that systemd-nspawn makes and does not remove.
    groups: Vec<PathBuf>,
    _place: TempDir,
}

/// What the container may do with a path of the machine.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bind {
    ToRead,
    ToWrite,
}

/// What a command printed, and whether it succeeded.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) succeeded: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Container {
    /// Boots it, with these paths of the machine to be seen in it, and waits until its systemd has started everything.
    pub(crate) async fn boot(binds: &[(Bind, &Path, &str)]) -> Self {
        let dir = TempDir::new().unwrap();
        let (place, console) = (dir.path().join("place"), dir.path().join("console.log"));
        fs::create_dir(&place).unwrap();
        let groups = leftover_groups();
        let mut command = command(&place, binds);
        let output = File::create(&console).unwrap();
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let unshare = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let mut container = Self { unshare, leader: String::new(), console, groups, _place: dir };
        container.wait_until_booted().await;
        container
    }

    /// Runs a script in the container.
    pub(crate) fn try_sh(&self, script: &str) -> Ran {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.leader, "-m", "-u", "-i", "-n", "-p", "-C", "--", "sh", "-euc", script]);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_owned();
        Ran { succeeded: output.status.success(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs a script that must succeed, and returns what it printed.
    pub(crate) fn sh(&self, script: &str) -> String {
        let ran = self.try_sh(script);
        assert!(ran.succeeded, "{script}\n{}\n{}", ran.stdout, ran.stderr);
        ran.stdout
    }

    /// Writes a file, whose owner and mode stay as they are if it is there.
    pub(crate) fn write(&self, path: &str, text: &str) {
        assert!(!text.contains("\nEND\n"));
        self.sh(&format!("mkdir -p \"$(dirname {path})\"\ncat > {path} <<'END'\n{text}\nEND\n"));
    }

    /// Waits until `holds` is true.
    pub(crate) async fn wait_for(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !holds() {
            assert!(tokio::time::Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Powers it off as a machine is, and waits for its end.
    pub(crate) async fn power_off(mut self) {
        signal("RTMIN+4", &self.leader);
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.unshare.try_wait().unwrap().is_none() {
            assert!(tokio::time::Instant::now() < deadline, "it does not power off");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn wait_until_booted(&mut self) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.unshare.try_wait().unwrap() {
                panic!("systemd-nspawn (Debian: systemd-container) ended with {status}: {}", self.console());
            }
            let nspawn = first_child(&self.unshare.id().to_string());
            self.leader = nspawn.and_then(|pid| first_child(&pid)).unwrap_or_default();
            // Before its own first process runs, the container has no systemd that could answer.
            if is_systemd(&self.leader) {
                let state = self.try_sh("systemctl is-system-running || true").stdout;
                if state == "running" || state == "degraded" {
                    return;
                }
            }
            assert!(tokio::time::Instant::now() < deadline, "it does not boot: {}", self.console());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn console(&self) -> String {
        fs::read_to_string(&self.console).unwrap_or_default()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let is_running = self.unshare.try_wait().is_ok_and(|ended| ended.is_none());
        if is_running && std::thread::panicking() {
            let journal = self.try_sh(&format!("journalctl --no-pager -n {JOURNAL_LINES}"));
            eprintln!("console: {}\njournal: {}", self.console(), journal.stdout);
        }
        if is_running {
            // The kernel ends the first process of a container only when all others are gone, and those above it wait
            // for it in turn. Before there is one, whoever is there must go.
            if is_systemd(&self.leader) {
                signal("KILL", &self.leader);
            } else {
                let _ = self.unshare.kill();
            }
            let _ = self.unshare.wait();
        }
        for group in &self.groups {
            remove_group(group);
        }
    }
}

fn command(place: &Path, binds: &[(Bind, &Path, &str)]) -> Command {
    let mut command = if is_booted_with_systemd() {
        let mut command = Command::new("systemd-run");
        command.args(["--scope", "--quiet", "--property", "Delegate=yes", "--", "setpriv"]);
        command
    } else {
        Command::new("setpriv")
    };
    command.args(["--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"]);
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh", BOOT]);
    command.arg(place).arg(format!("--machine=amikeep-test-{}", std::process::id()));
    // Without it systemd-nspawn refuses the calls that lock memory, whatever the limit of a unit says.
    command.arg("--capability=CAP_IPC_LOCK");
    for (bind, path, inside) in binds {
        let option = match bind {
            Bind::ToRead => "--bind-ro",
            Bind::ToWrite => "--bind",
        };
        command.arg(format!("{option}={}:{inside}", path.display()));
    }
    command
}

/// Such a machine gives the container a scope, and takes everything in it away again. Others, such as the containers of
/// build machines, are left with the groups that systemd-nspawn makes.
fn is_booted_with_systemd() -> bool {
    Path::new("/run/systemd/system").exists()
}

/// The groups that systemd-nspawn makes beside this process and does not remove.
fn leftover_groups() -> Vec<PathBuf> {
    if is_booted_with_systemd() {
        return Vec::new();
    }
    let root = Path::new("/sys/fs/cgroup");
    let mut groups = Vec::new();
    for line in fs::read_to_string("/proc/self/cgroup").unwrap().lines() {
        let (hierarchy, path) = line.rsplit_once(':').unwrap();
        let mount = match hierarchy.split_once(':').unwrap().1 {
            "" if root.join("unified").exists() => root.join("unified"),
            "" => root.to_owned(),
            "name=systemd" => root.join("systemd"),
            _ => continue,
        };
        let base = mount.join(path.trim_start_matches('/'));
        groups.extend(["payload", "supervisor"].map(|name| base.join(name)));
    }
    groups
}

/// Directories alone can be removed: the files in them are the kernel's. What is in use stays.
fn remove_group(group: &Path) {
    let Ok(entries) = fs::read_dir(group) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|it| it.is_dir()) {
            remove_group(&entry.path());
        }
    }
    let _ = fs::remove_dir(group);
}

fn first_child(pid: &str) -> Option<String> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next().map(str::to_owned)
}

fn is_systemd(pid: &str) -> bool {
    !pid.is_empty() && fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "systemd")
}

fn signal(name: &str, pid: &str) {
    let _ = Command::new("kill").args(["-s", name, pid]).status();
}
