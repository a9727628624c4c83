//! File systems to freeze: made for one test, thawed and put away whatever happens to it.
//!
//! Each is on a file of a host file system, an XFS that can share blocks between files: a copy of such a file is made at
//! one moment, as a snapshot of a volume is, also while the file system in it is written to.
//!
//! It must never freeze or mount anything but what it made. A janitor, a process in a group of its own, waits for the
//! end of a pipe that only this test holds: it thaws, unmounts and detaches also after this process was killed.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use amikeep_hold::{CheckedMount, Guard, GuardProgram, Moment, OpenMount, Protected, always_protected, check, observe};
use jiff::Timestamp;
use rustix::fs::ioctl_ficlone;

use crate::alone::Alone;

/// The program that plays the other processes.
pub(crate) const FIXTURE: &str = env!("CARGO_BIN_EXE_hold-fixture");

/// Not the memory of the machine: a file system that freezes needs a disk.
const HOME: &str = "/var/tmp";

/// What its directory there is called.
const PREFIX: &str = "amikeep-fs-";

/// For what takes milliseconds, on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// `mkfs.xfs` makes nothing smaller.
const BYTES: u64 = 320 * 1024 * 1024;

/// Room for what is written to the volumes and differs between their copies; the file is as large as what is in it.
const HOST_BYTES: u64 = 8 * 1024 * 1024 * 1024;

/// The folder of the host file system.
const HOST: &str = "host";

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
    _alone: Option<Alone>,
}

/// Waits for the turn of a test that needs root and servers. None only when the machine is not to run these tests.
pub(crate) fn alone() -> Option<Alone> {
    Alone::unless("AMIKEEP_FS_TESTS", "off")
}

impl Bench {
    /// None only when the machine is not to run these tests.
    pub(crate) fn with(kinds: &[Fs]) -> Option<Self> {
        Self::of_size(BYTES, kinds)
    }

    /// The same, with file systems of this size.
    pub(crate) fn of_size(bytes: u64, kinds: &[Fs]) -> Option<Self> {
        let alone = alone()?;
        let mut bench = Self::host_only(Path::new(HOME), HOST_BYTES, "rw", Some(alone));
        for (number, kind) in kinds.iter().enumerate() {
            bench.add(number, *kind, bytes);
        }
        Some(bench)
    }

    /// Only the host file system, to be filled.
    pub(crate) fn host_only(home: &Path, bytes: u64, options: &str, alone: Option<Alone>) -> Self {
        assert!(
            Path::new("/dev/loop-control").exists(),
            "no loop devices; AMIKEEP_FS_TESTS=off leaves these tests out"
        );
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(home).unwrap().keep();
        // Servers that run as users of their own have to get through.
        fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
        let mut janitor = Command::new(FIXTURE);
        janitor.arg("janitor").arg(&directory).stdin(Stdio::piped()).process_group(0);
        let janitor = janitor.spawn().unwrap();
        let bench = Self { mounts: Vec::new(), directory, janitor, _alone: alone };
        let host = bench.directory.join(HOST);
        fs::create_dir_all(host.join("mnt")).unwrap();
        File::create(host.join("image")).unwrap().set_len(bytes).unwrap();
        said(&format!("mkfs.xfs -q -m reflink=1 {}", host.join("image").display()));
        bench.attach(HOST, &host.join("image"), options);
        bench
    }

    /// One more file system, with the next number.
    pub(crate) fn add(&mut self, number: usize, kind: Fs, bytes: u64) {
        let image = self.image(&number.to_string());
        fs::create_dir_all(self.directory.join(number.to_string()).join("mnt")).unwrap();
        File::create(&image).unwrap().set_len(bytes).unwrap();
        let mkfs = match kind {
            Fs::Xfs => "mkfs.xfs -q",
            Fs::Ext4 => "mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0",
        };
        said(&format!("{mkfs} {}", image.display()));
        let mount = self.attach(&number.to_string(), &image, "rw");
        self.mounts.push(mount);
    }

    /// The file below a file system.
    pub(crate) fn image(&self, name: &str) -> PathBuf {
        self.directory.join(HOST).join("mnt").join(name)
    }

    /// Mounts the file system in a file; the janitor finds it by the folder.
    pub(crate) fn attach(&self, folder: &str, image: &Path, options: &str) -> PathBuf {
        let folder = self.directory.join(folder);
        let mount = folder.join("mnt");
        let device = said(&format!("losetup --find --show {}", image.display()));
        symlink(device.trim(), folder.join("loop")).unwrap();
        said(&format!("mount -o {options} {} {}", device.trim(), mount.display()));
        mount
    }

    /// Takes a copy of the bytes below a file system, as they are at this one moment, and names it.
    pub(crate) fn copy_of(&self, number: usize) -> String {
        let name = format!("copy-{number}");
        self.copy_file(&number.to_string(), &name);
        name
    }

    /// The same for any of the files, by their names.
    pub(crate) fn copy_file(&self, from: &str, to: &str) {
        let from = File::open(self.image(from)).unwrap();
        let copy = OpenOptions::new().write(true).create_new(true).open(self.image(to)).unwrap();
        ioctl_ficlone(&copy, &from).unwrap();
    }

    /// Mounts a copy, which replays its log.
    pub(crate) fn mount_copy(&self, name: &str) -> PathBuf {
        let image = self.image(name);
        fs::create_dir_all(self.directory.join(name).join("mnt")).unwrap();
        self.attach(name, &image, options_of(&image))
    }

    /// Puts a copy away that was mounted, so that another one can be taken.
    pub(crate) fn discard_copy(&self, name: &str) {
        self.detach(name);
        fs::remove_file(self.image(name)).unwrap();
    }

    /// Unmounts the file system in a file, and leaves the file.
    pub(crate) fn detach(&self, name: &str) {
        let folder = self.directory.join(name);
        if is_mounted(&folder.join("mnt")) {
            unmount(&folder.join("mnt"));
        }
        said(&format!("losetup --detach {}", fs::read_link(folder.join("loop")).unwrap().display()));
        fs::remove_dir_all(folder).unwrap();
    }

    /// A place for sockets and logs, beside the file systems.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
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

/// XFS refuses a second file system of the same identity otherwise; ext4 does not know the option.
pub(crate) fn options_of(image: &Path) -> &'static str {
    let kind = said(&format!("blkid --probe --match-tag TYPE --output value {}", image.display()));
    if kind.trim() == "xfs" { "rw,nouuid" } else { "rw" }
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

/// Whether this made it, and nobody else.
fn is_ours(mount: &Path) -> bool {
    let is_bench = |part: &OsStr| part.to_str().is_some_and(|part| part.starts_with(PREFIX));
    mount.iter().any(is_bench) && mount.ends_with("mnt")
}

fn is_mounted(path: &Path) -> bool {
    Command::new("mountpoint").arg("--quiet").arg(path).status().unwrap().success()
}

/// Unmounts, as soon as a guard that is about to be gone lets it.
pub(crate) fn unmount(mount: &Path) {
    assert!(is_ours(mount));
    let give_up = Moment::now() + PATIENCE;
    while !Command::new("umount").arg(mount).stderr(Stdio::null()).status().unwrap().success() {
        assert!(Moment::now() < give_up, "{} stays in use", mount.display());
    }
}

/// `fsfreeze`, as another tool would use it, and whether it succeeded.
pub(crate) fn fsfreeze(what: &str, mount: &Path) -> bool {
    assert!(is_ours(mount));
    Command::new("fsfreeze").arg(what).arg(mount).stderr(Stdio::null()).status().unwrap().success()
}

/// Whether nobody has it frozen: freezing it succeeds. It is thawed again at once.
pub(crate) fn is_thawed(mount: &Path) -> bool {
    let was_thawed = fsfreeze("--freeze", mount);
    assert!(!was_thawed || fsfreeze("--unfreeze", mount));
    was_thawed
}
