//! One at a time: the tests that mount or freeze file systems, or boot a container, wherever on this machine they run.
//!
//! Booting copies the mounts of the whole machine, so that a file system lives on after its test has unmounted it; and a
//! frozen disk stretches everybody's times. The kernel frees the lock of a test that was killed. Test binaries include
//! this file by its path, and `.config/nextest.toml` keeps their tests from waiting for each other here.
//!
//! Each test has a janitor that puts its file systems away. Whoever's turn it is does so for tests whose janitor was killed
//! with them: nobody else uses what has their names.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Root's alone, as everything is that these tests do.
const LOCK: &str = "/var/tmp/amikeep-alone.lock";

/// Where the tests' directories of file systems are, and how their names begin.
const HOME: &str = "/var/tmp";
const NAMES: [&str; 3] = ["amikeep-disk-", "amikeep-e2e-", "amikeep-fs-"];

/// Servers and writers that outlived their test are ended: nobody but them has files open below the directory. What is
/// mounted there is thawed and unmounted, the last first, and its loop devices are let go.
const PUT_AWAY: &str = r#"cd /
find /proc/[0-9]*/fd -lname "$0/*" | cut --delimiter=/ --fields=3 | sort --unique | xargs --no-run-if-empty kill -9
for mount in $(grep --fixed-strings " $0/" /proc/self/mountinfo | cut --delimiter=' ' --fields=5 | tac); do
    fsfreeze --unfreeze "$mount"
    umount --lazy "$mount"
done
losetup --list --noheadings --output NAME,BACK-FILE | grep --fixed-strings " $0/" | while read -r device _; do
    losetup --detach "$device"
done
rm -rf --one-file-system "$0""#;

/// Held for as long as a test has something mounted or booted.
pub(crate) struct Alone {
    _lock: File,
}

impl Alone {
    /// Waits for its turn. `None` where `variable` is `value`, which is how somebody says that a machine cannot do this;
    /// a build machine must be able to.
    pub(crate) fn unless(variable: &str, value: &str) -> Option<Self> {
        let is = |name: &str, wanted: &[&str]| std::env::var_os(name).is_some_and(|it| wanted.iter().any(|w| it == *w));
        if is(variable, &[value]) {
            assert!(!is("CI", &["1", "true"]), "{variable}={value} leaves out a test that a build machine must run");
            eprintln!("NOT RUN: {variable}={value}, so nothing was mounted or booted");
            return None;
        }
        let user = fs::metadata("/proc/self").unwrap().uid();
        assert!(user == 0, "this test mounts or boots, which takes root; {variable}={value} leaves it out");
        let lock = OpenOptions::new().create(true).append(true).open(LOCK).unwrap();
        if matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
            eprintln!("waiting for another test that mounts or boots ({LOCK})");
            lock.lock().unwrap();
        }
        put_away_leftovers(Path::new(HOME));
        Some(Self { _lock: lock })
    }
}

/// What tests left that were killed with their janitors.
fn put_away_leftovers(home: &Path) {
    let entries = fs::read_dir(home).unwrap().map_while(Result::ok);
    for entry in entries.filter(|it| it.file_name().to_str().is_some_and(|it| NAMES.iter().any(|n| it.starts_with(n))))
    {
        eprintln!("putting away {}, which a test left that was killed", entry.path().display());
        let mut shell = Command::new("sh");
        shell.args(["-c", PUT_AWAY]).arg(entry.path());
        // What cannot be put away is no reason to fail another test.
        let _ = shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}
