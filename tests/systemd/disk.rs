//! A file system on a file, mounted on this machine, for the container to see and freeze.
//!
//! It is thawed, unmounted and gone with its test, also if that is killed: a shell of its own waits for the end of a pipe.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

const BYTES: u64 = 64 * 1024 * 1024;

pub(crate) struct Disk {
    dir: PathBuf,
    janitor: Child,
}

impl Disk {
    pub(crate) fn new() -> Self {
        // Not the memory of the machine: a file system that freezes needs a disk.
        let dir = tempfile::Builder::new().prefix("amikeep-boot-").tempdir_in("/var/tmp").unwrap().keep();
        let script = format!(
            "cat > /dev/null; cd /; fsfreeze --unfreeze {0}/mnt 2> /dev/null; umount --lazy {0}/mnt 2> /dev/null; rm -rf {0}",
            dir.display()
        );
        let mut janitor = Command::new("sh");
        janitor.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0);
        let disk = Self { dir, janitor: janitor.spawn().unwrap() };
        let image = disk.dir.join("image");
        File::create(&image).unwrap().set_len(BYTES).unwrap();
        fs::create_dir(disk.mount()).unwrap();
        run(Command::new("mkfs.ext4").arg("-q").arg("-F").arg(&image));
        // The loop device goes with its last mount.
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(disk.mount()));
        disk
    }

    pub(crate) fn mount(&self) -> PathBuf {
        self.dir.join("mnt")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        let _ = self.janitor.wait();
    }
}

fn run(command: &mut Command) {
    let status = command.stdin(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}
