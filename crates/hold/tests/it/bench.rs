//! File systems to freeze: made for one test, thawed and put away whatever happens to it.
//!
//! It must never freeze or mount anything but what it made. A janitor, a process in a group of its own, waits for the
//! end of a pipe that only this test holds: it thaws, unmounts and detaches also after this process was killed.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use amikeep_hold::{CheckedMount, Guard, GuardProgram, Moment, OpenMount, Protected, always_protected, check, observe};
use jiff::Timestamp;

use crate::alone::Alone;

/// The program that plays the other processes.
pub(crate) const FIXTURE: &str = env!("CARGO_BIN_EXE_hold-fixture");

/// Not the memory of the machine: a file system that freezes needs a disk.
const HOME: &str = "/var/tmp";

/// For what takes milliseconds, on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// `mkfs.xfs` makes nothing smaller.
const BYTES: u64 = 320 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fs {
    Xfs,
    Ext4,
}

pub(crate) const BOTH: [Fs; 2] = [Fs::Xfs, Fs::Ext4];

/// One test's file systems.
pub(crate) struct Bench {
    pub(crate) mounts: Vec<PathBuf>,
    directory: PathBuf,
    janitor: Child,
    _alone: Alone,
}

impl Bench {
    /// None only when the machine is not to run these tests.
    pub(crate) fn with(kinds: &[Fs]) -> Option<Self> {
        let alone = Alone::unless("AMIKEEP_FS_TESTS", "off")?;
        assert!(
            Path::new("/dev/loop-control").exists(),
            "no loop devices; AMIKEEP_FS_TESTS=off leaves these tests out"
        );
        let directory = tempfile::Builder::new().prefix("amikeep-fs-").tempdir_in(HOME).unwrap().keep();
        let mut janitor = Command::new(FIXTURE);
        janitor.arg("janitor").arg(&directory).stdin(Stdio::piped()).process_group(0);
        let janitor = janitor.spawn().unwrap();
        let mut bench = Self { mounts: Vec::new(), directory, janitor, _alone: alone };
        for (number, kind) in kinds.iter().enumerate() {
            bench.add(number, *kind);
        }
        Some(bench)
    }

    fn add(&mut self, number: usize, kind: Fs) {
        let folder = self.directory.join(number.to_string());
        let (image, mount) = (folder.join("image"), folder.join("mnt"));
        fs::create_dir_all(&mount).unwrap();
        File::create(&image).unwrap().set_len(BYTES).unwrap();
        let mkfs = match kind {
            Fs::Xfs => "mkfs.xfs -q",
            Fs::Ext4 => "mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0",
        };
        said(&format!("{mkfs} {}", image.display()));
        let device = said(&format!("losetup --find --show {}", image.display()));
        symlink(device.trim(), folder.join("loop")).unwrap();
        said(&format!("mount {} {}", device.trim(), mount.display()));
        self.mounts.push(mount);
    }

    /// Takes a copy of the bytes below a file system, as they are now.
    pub(crate) fn copy_of(&self, number: usize) -> PathBuf {
        let folder = self.directory.join(format!("copy-{number}"));
        fs::create_dir_all(folder.join("mnt")).unwrap();
        let image = self.directory.join(number.to_string()).join("image");
        said(&format!("cp --sparse=always {} {}", image.display(), folder.join("image").display()));
        folder
    }

    /// Mounts a copy of its own, which replays its log. The janitor finds it in its folder.
    pub(crate) fn mount_copy(&self, folder: &Path) -> PathBuf {
        assert!(folder.starts_with(&self.directory));
        let device = said(&format!("losetup --find --show {}", folder.join("image").display()));
        symlink(device.trim(), folder.join("loop")).unwrap();
        let mount = folder.join("mnt");
        // XFS refuses a second file system of the same identity otherwise; ext4 does not know the option.
        let kind = said(&format!("blkid --probe --match-tag TYPE --output value {}", device.trim()));
        let options = if kind.trim() == "xfs" { "rw,nouuid" } else { "rw" };
        said(&format!("mount -o {options} {} {}", device.trim(), mount.display()));
        mount
    }

    pub(crate) fn mount(&self, number: usize) -> &Path {
        &self.mounts[number]
    }

    pub(crate) fn checked(&self) -> Vec<CheckedMount> {
        let facts = observe(&self.mounts, always_protected()).unwrap();
        check(&facts).unwrap()
    }

    /// Open mounts, checked as the product does it.
    pub(crate) fn open(&self) -> Vec<OpenMount> {
        self.checked().iter().map(|checked| OpenMount::open(checked).unwrap()).collect()
    }

    /// A guard that has prepared all mounts.
    pub(crate) fn guard(&self) -> Guard {
        let mut guard = Guard::start(&program("guard"), self.open()).unwrap();
        guard.prepare(PATIENCE).unwrap();
        guard
    }

    pub(crate) fn protect(&self, number: usize) -> Vec<Protected> {
        vec![Protected::new("the ledger", self.mount(number).join("not/there/yet.db"))]
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        let status = self.janitor.wait();
        let is_clean = status.is_ok_and(|status| status.success()) && !self.directory.exists();
        assert!(is_clean || std::thread::panicking(), "{} was not put away", self.directory.display());
    }
}

pub(crate) fn program(role: &str) -> GuardProgram {
    GuardProgram { program: FIXTURE.into(), args: vec![role.into()] }
}

pub(crate) fn some_time() -> Timestamp {
    "2026-11-01T02:00:00Z".parse().unwrap()
}

/// Runs a command of the system, which must succeed, and gives what it said.
pub(crate) fn said(line: &str) -> String {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "`{line}`: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Unmounts, as soon as a guard that is about to be gone lets it.
pub(crate) fn unmount(mount: &Path) {
    assert!(mount.starts_with(HOME) && mount.ends_with("mnt"));
    let give_up = Moment::now() + PATIENCE;
    while !Command::new("umount").arg(mount).stderr(Stdio::null()).status().unwrap().success() {
        assert!(Moment::now() < give_up, "{} stays in use", mount.display());
    }
}

/// `fsfreeze`, as another tool would use it, and whether it succeeded.
pub(crate) fn fsfreeze(what: &str, mount: &Path) -> bool {
    assert!(mount.starts_with(HOME) && mount.ends_with("mnt"));
    Command::new("fsfreeze").arg(what).arg(mount).stderr(Stdio::null()).status().unwrap().success()
}

/// Whether nobody has it frozen: freezing it succeeds. It is thawed again at once.
pub(crate) fn is_thawed(mount: &Path) -> bool {
    let was_thawed = fsfreeze("--freeze", mount);
    assert!(!was_thawed || fsfreeze("--unfreeze", mount));
    was_thawed
}
