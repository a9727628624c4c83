//! One cell of the experiment: a file system, volumes, and a way to take images.

use std::str::FromStr;
use std::time::Duration;

use crate::bench::Fs;

/// How an image is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Services end, file systems are unmounted, as a reboot does.
    Shutdown,
    /// As it is, volumes so far apart.
    NoReboot(Duration),
    /// Frozen; no application knows of it.
    Freeze,
    /// Every application held still, then frozen.
    FreezeLock,
}

/// Between the volumes of a frozen image: EC2 does not promise that it takes them at one moment.
pub(crate) const FROZEN_GAP: Duration = Duration::from_millis(100);

/// A cell, by its name: `xfs-1-freeze`, `ext4-2-no-reboot-100ms` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) fs: Fs,
    pub(crate) volumes: usize,
    pub(crate) mode: Mode,
}

impl FromStr for Cell {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let unknown = || format!("there is no cell `{name}`");
        let mut parts = name.splitn(3, '-');
        let fs = match parts.next() {
            Some("xfs") => Fs::Xfs,
            Some("ext4") => Fs::Ext4,
            _ => return Err(unknown()),
        };
        let volumes = match parts.next() {
            Some("1") => 1,
            Some("2") => 2,
            _ => return Err(unknown()),
        };
        let mode = match parts.next() {
            Some("shutdown") => Mode::Shutdown,
            Some("no-reboot") => Mode::NoReboot(Duration::ZERO),
            Some("no-reboot-100ms") => Mode::NoReboot(Duration::from_millis(100)),
            Some("no-reboot-1000ms") => Mode::NoReboot(Duration::from_secs(1)),
            Some("freeze") => Mode::Freeze,
            Some("freeze-lock") => Mode::FreezeLock,
            _ => return Err(unknown()),
        };
        Ok(Self { fs, volumes, mode })
    }
}
