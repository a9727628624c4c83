//! The agent of Systems Manager on an instance: a shell of this machine that really runs what it is sent.
//!
//! It is off unless a test or a benchmark gives an instance one, and runs nothing but what comes over the simulator, which
//! serves loopback alone. The script runs as the one who runs the simulator, in the same mount namespace.
//!
//! Rules: "Understanding command statuses" in the Systems Manager User Guide, `SendCommand`, and the default configuration
//! of the agent: five commands at a time, a process group of its own for each that is killed as a whole, and an end that
//! is told only when the output has ended, too.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// `CommandWorkersLimit` of the agent's default configuration.
const WORKERS: u32 = 5;
/// What `GetCommandInvocation` gives of the output, in characters.
const STDOUT_LEN_MAX: usize = 24_000;
const STDERR_LEN_MAX: usize = 8_000;

/// Where and with what an agent runs its commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostShell {
    /// The shell, such as `/bin/sh`.
    pub shell: PathBuf,
    /// `PATH` of the commands. They see no other variable.
    pub path: String,
    /// Where the agent puts scripts. A file system that holds it must not be frozen, as at a real one.
    pub folder: PathBuf,
}

/// How an agent behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentLife {
    /// It does what it is told.
    Alive,
    /// It has died, and nobody has noticed yet: commands are never delivered.
    Dead,
    /// It runs commands and dies before it tells what became of them.
    Mute,
}

/// The agent of an instance.
#[derive(Debug, Clone)]
pub struct Agent {
    pub(crate) shell: HostShell,
    pub(crate) life: AgentLife,
    pub(crate) delivery_takes: Duration,
    pub(crate) telling_takes: Duration,
    pub(crate) workers: Arc<Workers>,
}

impl Agent {
    /// An agent that is alive and at once.
    pub fn new(shell: HostShell) -> Self {
        let (life, at_once) = (AgentLife::Alive, Duration::ZERO);
        Self { shell, life, delivery_takes: at_once, telling_takes: at_once, workers: Arc::default() }
    }

    /// From `SendCommand` to the start of the command; of this machine's time.
    #[must_use]
    pub fn delivery_takes(mut self, takes: Duration) -> Self {
        self.delivery_takes = takes;
        self
    }

    /// From the end of the command to the first answer that tells of it; of this machine's time.
    #[must_use]
    pub fn telling_takes(mut self, takes: Duration) -> Self {
        self.telling_takes = takes;
        self
    }

    /// Whether it lives.
    #[must_use]
    pub fn life(mut self, life: AgentLife) -> Self {
        self.life = life;
        self
    }
}

/// How many commands an agent runs.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    busy: Mutex<u32>,
    freed: Condvar,
}

impl Workers {
    fn take(&self) {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        while WORKERS <= *busy {
            busy = self.freed.wait(busy).unwrap_or_else(PoisonError::into_inner);
        }
        *busy += 1;
    }

    fn give(&self) {
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.freed.notify_one();
    }
}

/// One command for an agent.
#[derive(Debug)]
pub(crate) struct Errand {
    pub(crate) command_id: String,
    pub(crate) script: String,
    pub(crate) delivered_within: Duration,
    pub(crate) runs_for_max: Duration,
    /// Ends when the world does, and with it everything that was not begun.
    pub(crate) world: Receiver<()>,
    pub(crate) progress: Arc<Mutex<Progress>>,
}

/// How far a command has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    Underway,
    Ended { exit_code: i32, stdout: String, stderr: String },
    DeliveryTimedOut,
    ExecutionTimedOut,
}

impl Agent {
    /// Does an errand on a thread of its own.
    pub(crate) fn begin(&self, errand: Errand) -> io::Result<()> {
        if self.life == AgentLife::Dead {
            return Ok(());
        }
        let agent = self.clone();
        let name = format!("agent {}", errand.command_id);
        std::thread::Builder::new().name(name).spawn(move || agent.run(&errand)).map(|_| ())
    }

    fn run(&self, errand: &Errand) {
        let delivered_in = self.delivery_takes.min(errand.delivered_within);
        if !is_over(&errand.world, delivered_in) {
            return;
        }
        if errand.delivered_within < self.delivery_takes {
            return self.tell(errand, Progress::DeliveryTimedOut);
        }
        self.workers.take();
        let progress = self.shell.run(errand);
        self.workers.give();
        // A world that has ended does not care.
        is_over(&errand.world, self.telling_takes);
        self.tell(errand, progress);
    }

    fn tell(&self, errand: &Errand, progress: Progress) {
        if self.life != AgentLife::Mute {
            *errand.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
        }
    }
}

/// Waits; false if the world ended before.
fn is_over(world: &Receiver<()>, takes: Duration) -> bool {
    matches!(world.recv_timeout(takes), Err(RecvTimeoutError::Timeout))
}

impl HostShell {
    fn run(&self, errand: &Errand) -> Progress {
        match self.start(errand) {
            Ok((group, outputs)) => match outputs.recv_timeout(errand.runs_for_max) {
                Ok(Ok(output)) => ended(&output),
                Ok(Err(error)) => failed(&error),
                Err(_) => {
                    // What left the group lives on, as at a real agent.
                    let _ = kill_process_group(group, Signal::KILL);
                    Progress::ExecutionTimedOut
                }
            },
            Err(error) => failed(&error),
        }
    }

    /// The script goes into a file without a first line for the kernel, and the shell is asked to run that file.
    fn start(&self, errand: &Errand) -> io::Result<(Pid, Receiver<io::Result<Output>>)> {
        let folder = self.folder.join(&errand.command_id);
        fs::create_dir_all(&folder)?;
        let file = folder.join("_script.sh");
        fs::write(&file, &errand.script)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o700))?;
        let mut command = Command::new(&self.shell);
        command.arg("-c").arg(&file).env_clear().env("PATH", &self.path).current_dir(&folder).process_group(0);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let group = Pid::from_child(&child);
        let (sender, outputs) = channel();
        std::thread::Builder::new().spawn(move || sender.send(child.wait_with_output()))?;
        Ok((group, outputs))
    }
}

fn ended(output: &Output) -> Progress {
    let text = |bytes: &[u8], len_max| String::from_utf8_lossy(bytes).chars().take(len_max).collect();
    Progress::Ended {
        exit_code: output.status.code().unwrap_or(-1),
        stdout: text(&output.stdout, STDOUT_LEN_MAX),
        stderr: text(&output.stderr, STDERR_LEN_MAX),
    }
}

fn failed(error: &io::Error) -> Progress {
    Progress::Ended { exit_code: 1, stdout: String::new(), stderr: format!("failed to run commands: {error}") }
}
