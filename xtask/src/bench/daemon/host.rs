//! What Linux says of a process (proc(5)).

use std::fs;
use std::time::Duration;

use anyhow::Context as _;

/// Memory of a process that is in use, in bytes.
pub(super) struct Memory {
    /// All of it.
    pub(super) now: u64,
    /// What is nobody else's and in no file: heaps and stacks, and pages of files that were written to.
    pub(super) own: u64,
    /// Pages of files as they are on the disk: the program and its libraries. The system takes them back when it needs them.
    pub(super) of_files: u64,
    /// The most of all of it that there ever was.
    pub(super) peak: u64,
}

/// Processor time in user and kernel mode since the start of the process. Linux counts it in hundredths of a second
/// (`USER_HZ`) whatever the kernel's own tick is.
pub(super) fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).context("the daemon's times")?;
    cpu_time_of(&text).context("/proc/PID/stat has no times")
}

/// The name in brackets may hold blanks, so fields are counted after it.
fn cpu_time_of(stat: &str) -> Option<Duration> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().map(|index| fields.get(*index)?.parse::<u64>().ok()).sum::<Option<u64>>()?;
    Some(Duration::from_millis(ticks * 10))
}

pub(super) fn memory(pid: u32) -> anyhow::Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).context("the daemon's memory")?;
    let field = |name| kibibytes(&text, name).with_context(|| format!("/proc/PID/status has no {name}"));
    let bytes = |name| field(name).map(|kibibytes| kibibytes * 1024);
    Ok(Memory { now: bytes("VmRSS")?, own: bytes("RssAnon")?, of_files: bytes("RssFile")?, peak: bytes("VmHWM")? })
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_name_with_blanks_and_brackets() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 100 1000 10";
        assert_eq!(cpu_time_of(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu_time_of("7 (a) S 1"), None);
    }

    #[test]
    fn memory_is_read_in_kibibytes() {
        let status = "Name:\tamikeep\nVmHWM:\t   2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!((kibibytes(status, "VmRSS"), kibibytes(status, "VmPeak")), (Some(1024), None));
    }
}
