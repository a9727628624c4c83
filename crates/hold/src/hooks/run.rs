//! One command: started, listened to, and killed at its limit.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::hooks::{Hook, HookOutcome, HookRun, OUTPUT_BYTES_MAX};
use crate::moment::{Moment, to_timespec};
use crate::process::ProcessStamp;

/// Where commands are looked for that are given without a path.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs it to its end or its limit.
pub(super) fn run(hook: &Hook, facts: &[(String, String)], started: &mut dyn FnMut(ProcessStamp)) -> HookRun {
    let began = Moment::now();
    let mut output = Output { bytes: Vec::new(), is_cut: false };
    let outcome = attempt(hook, facts, began + hook.limit, &mut output, started)
        .unwrap_or_else(|error| HookOutcome::NotStarted(error.to_string()));
    HookRun {
        argv: hook.argv.clone(),
        outcome,
        output: String::from_utf8_lossy(&output.bytes).into_owned(),
        is_cut: output.is_cut,
        took: Moment::now().since(began),
    }
}

fn attempt(
    hook: &Hook,
    facts: &[(String, String)],
    end: Moment,
    output: &mut Output,
    started: &mut dyn FnMut(ProcessStamp),
) -> io::Result<HookOutcome> {
    let (program, args) = hook.argv.split_first().ok_or_else(|| io::Error::other("the command is empty"))?;
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    fcntl_setfl(&reader, OFlags::NONBLOCK)?;
    let mut command = Command::new(program);
    command.args(args).env_clear().env("PATH", PATH).env("LANG", "C").envs(facts.iter().cloned()).current_dir("/");
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
    let child = Running { child: command.spawn()?, is_reaped: false };
    // It is not reaped before `watch`, so its number means it and nothing else.
    if let Ok(stamp) = ProcessStamp::of(child.child.id()) {
        started(stamp);
    }
    // Our copies of the writing end are in the command; the end of the output is seen when they are gone.
    drop(command);
    child.watch(&mut File::from(reader), end, output)
}

/// The beginning of what was written.
struct Output {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Output {
    /// Takes all that is there now; false at the end.
    fn take(&mut self, from: &mut File) -> bool {
        let mut chunk = [0; 4096];
        loop {
            match from.read(&mut chunk) {
                Ok(0) => return false,
                Ok(length) => {
                    let room = OUTPUT_BYTES_MAX - self.bytes.len();
                    self.is_cut |= room < length;
                    self.bytes.extend_from_slice(&chunk[..length.min(room)]);
                    // A command that writes without end must not keep its limit from being looked at.
                    if self.is_cut {
                        return true;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }
}

/// A command that is running. It does not outlive this.
struct Running {
    child: Child,
    is_reaped: bool,
}

impl Running {
    fn watch(mut self, reader: &mut File, end: Moment, output: &mut Output) -> io::Result<HookOutcome> {
        let process = self.descriptor()?;
        let mut is_open = true;
        loop {
            let left = end.since(Moment::now());
            if left.is_zero() {
                self.kill();
                output.take(reader);
                return Ok(HookOutcome::TimedOut);
            }
            let mut sources = vec![PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
            if is_open {
                sources.push(PollFd::from_borrowed_fd(reader.as_fd(), PollFlags::IN));
            }
            match poll(&mut sources, Some(&to_timespec(left))) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            let has_ended = !sources[0].revents().is_empty();
            if is_open {
                is_open = output.take(reader);
            }
            if has_ended {
                let status = self.child.wait()?;
                self.is_reaped = true;
                return Ok(outcome_of(status));
            }
        }
    }

    fn descriptor(&self) -> io::Result<OwnedFd> {
        let pid = self.pid().ok_or_else(|| io::Error::from(Errno::SRCH))?;
        Ok(pidfd_open(pid, PidfdFlags::empty())?)
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()).ok()?)
    }

    /// Kills the group while its leader is not reaped, so that its number cannot have come to mean another.
    fn kill(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        // A process that hangs in the kernel dies when it comes out; nobody waits for that here.
        let mut source = self.descriptor().ok();
        let waited = source.as_mut().map(|process| {
            let mut sources = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
            poll(&mut sources, Some(&to_timespec(Duration::from_millis(500))))
        });
        if matches!(waited, Some(Ok(1..))) {
            let _ = self.child.wait();
        }
        self.is_reaped = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_reaped {
            self.kill();
        }
    }
}

fn outcome_of(status: ExitStatus) -> HookOutcome {
    match (status.code(), status.signal()) {
        (Some(0), _) => HookOutcome::Succeeded,
        (Some(code), _) => HookOutcome::Exited(code),
        (None, signal) => HookOutcome::Killed(signal.unwrap_or(0)),
    }
}
