//! Two file systems to freeze, XFS and ext4, and copies of them that are made at one moment, as snapshots of volumes are.
//!
//! Each is on a file of a host file system, an XFS whose files can share blocks. A janitor, a process in a group of its own,
//! waits for the end of a pipe that only this test holds: it thaws, unmounts and detaches also after this process was killed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::alone::Alone;
use crate::site::{NEVER_NOW, instance_id, policy};

/// Not the memory of the machine: a file system that freezes needs a disk.
const HOME: &str = "/var/tmp";

/// The host's own file system has to have room for two disks and their copies, of which little is ever written.
const HOST_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// `mkfs.xfs` makes nothing smaller.
const DISK_BYTES: u64 = 320 * 1024 * 1024;

/// XFS and ext4, each on a file of an XFS whose files can share blocks, so that a copy of such a file is made at one moment.
pub(crate) struct Disks {
    dir: PathBuf,
    janitor: Child,
    _alone: Alone,
}

/// Runs to its end, and must succeed.
pub(crate) fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-euc", script]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Disks {
    pub(crate) fn new() -> Option<Self> {
        let alone = Alone::unless("AMIKEEP_FS_TESTS", "off")?;
        let dir = tempfile::Builder::new().prefix("amikeep-e2e-").tempdir_in(HOME).unwrap().keep();
        // Puts everything away when its input ends, also if this process was killed.
        let script = format!(
            "cat >/dev/null; cd /; for m in {0}/xfs {0}/ext4; do fsfreeze -u $m 2>/dev/null; umount -l $m 2>/dev/null; done; \
             for c in {0}/copy-*; do umount -l $c 2>/dev/null; done; umount -l {0}/host 2>/dev/null; \
             losetup -l -n -O NAME,BACK-FILE | grep {0} | while read d f; do losetup -d $d; done; rm -rf {0}",
            dir.display()
        );
        let mut janitor = Command::new("sh");
        janitor.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let janitor = std::os::unix::process::CommandExt::process_group(&mut janitor, 0).spawn().unwrap();
        let disks = Self { dir, janitor, _alone: alone };
        let host = disks.path("host.img");
        File::create(&host).unwrap().set_len(HOST_BYTES).unwrap();
        sh(&format!("mkfs.xfs -q -m reflink=1 {}", host.display()));
        disks.mount(&host, "host", "rw");
        for (name, mkfs) in [("xfs", "mkfs.xfs -q"), ("ext4", "mkfs.ext4 -q -F")] {
            let image = disks.image(name);
            File::create(&image).unwrap().set_len(DISK_BYTES).unwrap();
            sh(&format!("{mkfs} {}", image.display()));
            disks.mount(&image, name, "rw");
        }
        Some(disks)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn image(&self, name: &str) -> PathBuf {
        self.path("host").join(format!("{name}.img"))
    }

    pub(crate) fn mount(&self, image: &Path, name: &str, options: &str) -> PathBuf {
        let place = self.path(name);
        fs::create_dir_all(&place).unwrap();
        sh(&format!("mount -o loop,{options} {} {}", image.display(), place.display()));
        place
    }

    /// The freeze of both.
    pub(crate) fn config(&self, if_blocked: &str, more: &str) -> String {
        let (xfs, ext4) = (self.path("xfs"), self.path("ext4"));
        format!(
            "{}\n[classes.critical]\nfreeze = \"disks\"\nif_blocked = \"{if_blocked}\"\n[freezes.disks]\nvia = \"local\"\n\
             mounts = [\"{}\", \"{}\"]\ndevices = [\"/dev/sdf\", \"/dev/sdg\"]\ninstance = \"{}\"\n{more}\n",
            policy("nightly", "critical", NEVER_NOW, ""),
            xfs.display(),
            ext4.display(),
            instance_id(1),
        )
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        let _ = self.janitor.wait();
    }
}
