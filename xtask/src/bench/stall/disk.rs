//! A file system to freeze, on a file in memory: what a disk has to write is not measured, and nobody else's is frozen.
//!
//! A janitor, a process in a group of its own, waits for the end of a pipe that only the benchmark holds: it thaws, unmounts
//! and deletes also after the benchmark was killed.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::Context as _;

use crate::process;

/// Memory, so that what others do to the disk of this machine is not measured.
const HOME: &str = "/dev/shm";

/// `mkfs.xfs` makes nothing smaller.
const BYTES: u64 = 320 * 1024 * 1024;

/// It is frozen only if something went wrong, and mounted only if all went well. Those who were killed with the benchmark, or
/// are about to notice its end, may still use it.
const JANITOR: &str = r#"cat; cd /
fsfreeze --unfreeze "$0/mnt" 2>/dev/null
umount "$0/mnt" 2>/dev/null || umount --lazy "$0/mnt" 2>/dev/null
rm -rf --one-file-system "$0""#;

/// Mounted until it is dropped, and thawed whatever happened.
pub(super) struct Disk {
    directory: PathBuf,
    janitor: Child,
}

impl Disk {
    pub(super) fn new(root: &Path, fs: &str, latency: u32) -> anyhow::Result<Self> {
        let name = format!("amikeep-stall-{}-{fs}-{latency}", std::process::id());
        let directory = PathBuf::from(HOME).join(name);
        fs::create_dir_all(directory.join("mnt")).with_context(|| format!("cannot make {}", directory.display()))?;
        let mut janitor = process::command("sh", root);
        janitor.args(["-c", JANITOR]).arg(&directory).stdin(Stdio::piped()).process_group(0);
        let janitor = janitor.spawn().context("cannot start a shell")?;
        let disk = Self { directory, janitor };
        let image = disk.directory.join("image");
        File::create(&image)?.set_len(BYTES)?;
        let quietly: &[&str] = if fs == "xfs" { &["-q"] } else { &["-q", "-F", "-E", "lazy_itable_init=0"] };
        process::run(process::command(format!("mkfs.{fs}"), root).args(quietly).arg(&image))?;
        process::run(process::command("mount", root).args(["-o", "loop"]).arg(&image).arg(disk.mount()))?;
        Ok(disk)
    }

    pub(super) fn mount(&self) -> PathBuf {
        self.directory.join("mnt")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        let ended = self.janitor.wait();
        if ended.is_err() || self.directory.exists() {
            eprintln!("{} is left behind", self.directory.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_janitor_of_a_benchmark_that_was_killed_leaves_nothing() {
        let directory = tempfile_like("amikeep-stall-test");
        fs::create_dir_all(directory.join("mnt")).unwrap();
        fs::write(directory.join("image"), "x").unwrap();
        let mut janitor = std::process::Command::new("sh");
        janitor.args(["-c", JANITOR]).arg(&directory).stdin(Stdio::piped());
        let mut janitor = janitor.spawn().unwrap();
        assert!(directory.exists());
        drop(janitor.stdin.take());
        janitor.wait().unwrap();
        assert!(!directory.exists());
    }

    fn tempfile_like(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("{name}-{}", std::process::id()))
    }
}
