//! Whether a process of before is still there, by its number and the time at which it started.
//!
//! It owns how that is read from `/proc`. It must never take another process of the same number for the one that is meant.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

use crate::moment::{Moment, to_timespec};

/// One process of one boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessStamp {
    /// Its number, which another process may have by now.
    pub pid: u32,
    /// When it started, in the kernel's ticks since the boot; two processes of one number never share it.
    pub started: u64,
}

impl ProcessStamp {
    /// Of a process that is there.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let (_, started) = read(pid)?.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok(Self { pid, started })
    }

    /// Any thread of it may still be at work. One whose first thread has ended counts, as long as another has not: a
    /// thread that hangs in a freeze outlives the kill of its process.
    pub fn is_at_work(self) -> bool {
        match read(self.pid) {
            Ok(Some((state, started))) if started == self.started => {
                let threads = fs::read_dir(format!("/proc/{}/task", self.pid)).map_or(0, Iterator::count);
                !matches!(state, 'Z' | 'X') || 1 < threads
            }
            _ => false,
        }
    }

    /// Kills it, if it is there. A process descriptor is opened first and the start compared then, so that the number cannot
    /// come to mean another process in between.
    pub(crate) fn kill(self) {
        if let Some(process) = self.descriptor() {
            let _ = pidfd_send_signal(&process, Signal::KILL);
        }
    }

    /// Kills the process group that it leads, if it is there.
    pub(crate) fn kill_group(self) {
        if let (Some(_process), Some(pid)) = (self.descriptor(), self.pid()) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }

    /// Its process descriptor, which can be read once it has ended; none if it is not there any more.
    pub(crate) fn descriptor(self) -> Option<OwnedFd> {
        let process = pidfd_open(self.pid()?, PidfdFlags::empty()).ok()?;
        Self::of(self.pid).is_ok_and(|found| found == self).then_some(process)
    }

    /// Waits until it has ended; false if it has not by then.
    pub(crate) fn wait(self, limit: Duration) -> bool {
        let end = Moment::now() + limit;
        while let Some(process) = self.descriptor().filter(|_| self.is_at_work()) {
            let left = end.since(Moment::now());
            let mut sources = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
            if left.is_zero() || matches!(poll(&mut sources, Some(&to_timespec(left))), Ok(0)) {
                return false;
            }
        }
        true
    }

    fn pid(self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.pid).ok()?)
    }
}

/// State and start of a process; none for a text that is not as expected.
fn read(pid: u32) -> io::Result<Option<(char, u64)>> {
    Ok(parse(&fs::read_to_string(format!("/proc/{pid}/stat"))?))
}

/// The name in parentheses may itself hold spaces and parentheses; fields are counted from behind it.
fn parse(stat: &str) -> Option<(char, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let started = fields.nth(18)?.parse().ok()?;
    Some((state, started))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_a_name_with_parentheses() {
        let stat = "12 (a) b (c) D 1 12 12 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 2 0 4711 1 1 1";
        assert_eq!(parse(stat), Some(('D', 4711)));
        assert_eq!(parse("12 (a) S 1"), None);
    }

    #[test]
    fn another_process_of_the_same_number_is_not_the_one_that_is_meant() {
        let me = ProcessStamp::of(std::process::id()).unwrap();
        assert!(me.is_at_work());
        assert!(!ProcessStamp { started: me.started + 1, ..me }.is_at_work());
    }

    #[test]
    fn a_process_that_has_ended_and_is_not_yet_reaped_is_not_at_work() {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let stamp = ProcessStamp::of(child.id()).unwrap();
        assert!(stamp.is_at_work());
        drop(child.stdin.take());
        while stamp.is_at_work() {
            std::thread::yield_now();
        }
        assert!(child.wait().unwrap().success());
    }
}
