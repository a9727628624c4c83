//! A file system to freeze, on a file in memory: what a disk has to write is not measured, and nobody else's is frozen.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::process;

/// Memory, so that what others do to the disk of this machine is not measured.
const HOME: &str = "/dev/shm";

/// `mkfs.xfs` makes nothing smaller.
const BYTES: u64 = 320 * 1024 * 1024;

/// Mounted until it is dropped, and thawed whatever happened.
pub(super) struct Disk {
    directory: PathBuf,
    root: PathBuf,
}

impl Disk {
    pub(super) fn new(root: &Path, fs: &str, latency: u32) -> anyhow::Result<Self> {
        let name = format!("amikeep-stall-{}-{fs}-{latency}", std::process::id());
        let directory = PathBuf::from(HOME).join(name);
        fs::create_dir_all(directory.join("mnt")).with_context(|| format!("cannot make {}", directory.display()))?;
        let disk = Self { directory, root: root.to_owned() };
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
        // It is frozen only if something went wrong, and mounted only if all went well.
        let quietly = |command: &mut Command| drop(process::answer(command));
        quietly(process::command("fsfreeze", &self.root).arg("-u").arg(self.mount()));
        quietly(process::command("umount", &self.root).arg(self.mount()));
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            eprintln!("{} is left behind: {error}", self.directory.display());
        }
    }
}
