//! One at a time: the tests that mount or freeze file systems, or boot a container, wherever on this machine they run.
//!
//! Booting copies the mounts of the whole machine, so that a file system lives on after its test has unmounted it; and a
//! frozen disk stretches everybody's times. The kernel frees the lock of a test that was killed. Test binaries include
//! this file by its path, and `.config/nextest.toml` keeps their tests from waiting for each other here.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt as _;

/// Root's alone, as everything is that these tests do.
const LOCK: &str = "/var/tmp/amikeep-alone.lock";

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
        Some(Self { _lock: lock })
    }
}
