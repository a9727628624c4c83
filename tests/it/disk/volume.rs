//! A small ext4 file system of its own for one test's ledger, on a loop device, and what can befall it.
//!
//! A janitor, a process in a group of its own, waits for the end of a pipe that only this test holds, and puts everything
//! away also after this process was killed.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::alone::Alone;
use crate::disks::Disks;

/// Not the memory of the machine: a loop device needs a disk below it.
const HOME: &str = "/var/tmp";
/// Room for a ledger and its log many times over, and quick to fill.
const BYTES: u64 = 24 * 1024 * 1024;

/// A frozen mount is thawed and a busy one detached; the loop device goes with it: `mount -o loop` has it free itself.
const JANITOR: &str = r#"cat; cd /
fsfreeze --unfreeze "$0/mnt" 2>/dev/null
umount --lazy "$0/mnt" 2>/dev/null
rm -rf --one-file-system "$0""#;

pub(crate) struct Volume {
    folder: PathBuf,
    janitor: Child,
    _alone: Option<Alone>,
}

impl Volume {
    /// None only where the machine is not to run these tests.
    pub(crate) fn new() -> Option<Self> {
        Some(Self::made(Some(Alone::unless("AMIKEEP_FS_TESTS", "off")?)))
    }

    /// For a test whose turn it is already.
    pub(crate) fn beside(_disks: &Disks) -> Self {
        Self::made(None)
    }

    fn made(alone: Option<Alone>) -> Self {
        let folder = tempfile::Builder::new().prefix("amikeep-disk-").tempdir_in(HOME).unwrap().keep();
        let mut janitor = Command::new("sh");
        janitor.args(["-c", JANITOR]).arg(&folder).stdin(Stdio::piped()).process_group(0);
        let volume = Self { janitor: janitor.spawn().unwrap(), folder, _alone: alone };
        fs::create_dir(volume.mount_point()).unwrap();
        File::create(volume.backing()).unwrap().set_len(BYTES).unwrap();
        said("mkfs.ext4", &["-q", "-F", "-m", "0"], &volume.backing());
        volume.mount("errors=remount-ro");
        volume
    }

    /// Where the ledger goes: a directory of its own, beside `lost+found`.
    pub(crate) fn database(&self) -> PathBuf {
        let directory = self.mount_point().join("amikeep");
        fs::create_dir_all(&directory).unwrap();
        directory.join("amikeep.db")
    }

    /// Takes all the room that is left.
    pub(crate) fn fill(&self) {
        let mut ballast = File::create(self.ballast()).unwrap();
        for size in [16_384, 1_024] {
            let block = vec![1; size];
            let refused = loop {
                if let Err(error) = ballast.write_all(&block) {
                    break error;
                }
            };
            assert_eq!(refused.kind(), ErrorKind::StorageFull, "{refused}");
        }
        // What is not on the disk yet has its room promised and not taken.
        ballast.sync_all().unwrap();
    }

    /// Gives the room back.
    pub(crate) fn free(&self) {
        fs::remove_file(self.ballast()).unwrap();
        said("sync", &["--file-system"], &self.mount_point());
    }

    /// Whoever writes, waits: `fsfreeze`, until what is returned is dropped.
    pub(crate) fn freeze(&self) -> Frozen<'_> {
        said("fsfreeze", &["--freeze"], &self.mount_point());
        Frozen(self)
    }

    /// An error that the kernel found: the file system turns read-only while its files are open.
    pub(crate) fn fail_read_only(&self) {
        let source = said("findmnt", &["--noheadings", "--output", "SOURCE"], &self.mount_point());
        let device = source.trim().strip_prefix("/dev/").unwrap();
        fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "by a test of amikeep").unwrap();
    }

    /// The disk is gone: reading and writing fail with EIO.
    pub(crate) fn fail(&self) {
        said("xfs_io", &["-x", "-c", "shutdown"], &self.mount_point());
    }

    /// The disk ends after the first page of a file that nobody has open, and nothing of it is in memory.
    pub(crate) fn cut_off_after_first_page(&self, file: &Path) {
        // A file that grew page by page may be anywhere; a copy of it is in one piece.
        let copy = file.with_extension("copy");
        fs::copy(file, &copy).unwrap();
        fs::rename(&copy, file).unwrap();
        said("sync", &["--file-system"], file);
        let extents = said("filefrag", &["-v"], file);
        // `0: 0.. 59: 4356.. 4415: 60: last,eof`, in blocks of the file system.
        let first = extents.lines().find(|line| line.trim_start().starts_with("0:")).unwrap();
        assert!(first.ends_with("last,eof"), "{extents}");
        let start: u64 = first.split_whitespace().nth(3).unwrap().trim_end_matches("..").parse().unwrap();
        let block_size: u64 = said("stat", &["--file-system", "--format", "%S"], file).trim().parse().unwrap();
        self.unmount();
        self.mount("errors=continue");
        let backing = File::options().write(true).open(self.backing()).unwrap();
        backing.set_len(start * block_size + 4_096).unwrap();
    }

    pub(crate) fn unmount(&self) {
        said("umount", &[], &self.mount_point());
    }

    pub(crate) fn mount(&self, options: &str) {
        let backing = self.backing();
        said(
            "mount",
            &["-t", "ext4", "-o", &format!("loop,{options}"), backing.to_str().unwrap()],
            &self.mount_point(),
        );
    }

    /// Unmounts, repairs and mounts again, as an operator does.
    pub(crate) fn repair(&self) {
        self.unmount();
        // 1: errors were found and are mended.
        let status = Command::new("e2fsck").args(["-f", "-y"]).arg(self.backing()).stdout(Stdio::null()).status();
        assert!(matches!(status.unwrap().code(), Some(0 | 1)));
        self.mount("errors=remount-ro");
    }

    fn mount_point(&self) -> PathBuf {
        self.folder.join("mnt")
    }

    fn backing(&self) -> PathBuf {
        self.folder.join("image")
    }

    fn ballast(&self) -> PathBuf {
        self.mount_point().join("ballast")
    }
}

/// A disk that takes no write. A process that waits for it cannot even be killed, so it is thawed before any is.
pub(crate) struct Frozen<'a>(&'a Volume);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        said("fsfreeze", &["--unfreeze"], &self.0.mount_point());
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        let status = self.janitor.wait();
        let is_clean = status.is_ok_and(|status| status.success()) && !self.folder.exists();
        assert!(is_clean || std::thread::panicking(), "{} was not put away", self.folder.display());
    }
}

/// Runs a command of the system on a path, which must succeed, and gives what it said.
fn said(program: &str, args: &[&str], path: &Path) -> String {
    let output = Command::new(program).args(args).arg(path).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
