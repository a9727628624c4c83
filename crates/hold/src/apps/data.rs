//! Where an application keeps its data, and whether all of that is on what will be frozen.
//!
//! It owns the proof that a freeze of some mounts holds a database still as a whole. A database whose log is on a file system
//! that goes on is worth nothing in an image, whatever was locked; and so is one of which another server holds the lock
//! (`owner`). It must never take what it cannot see for what is held.
//!
//! Directories are compared by the kernel's device numbers, with links resolved. One level of the data directory is looked
//! at too, which is where databases have their links to other disks (`pg_wal`, `pg_tblspc`, schemas of MySQL).

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use crate::apps::AppError;
use crate::apps::owner::{Link, Owner, owner, source_towards};
use crate::check::{CheckedMount, Found};
use crate::device::DeviceNumber;
use crate::mountinfo::MountLine;
use crate::observe::{find, observe_mounts};

/// Any but 0, which cannot be connected to; nothing goes there.
const PORT: u16 = 9;

/// Which machine an application's data is to be held on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataHost {
    /// This one. A server on another keeps its data elsewhere.
    This,
    /// Another one, on which the server is; its address leads there.
    Another,
}

/// What an application says of its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataPlaces {
    /// It is on the machine that was asked about.
    Here(DataHere),
    /// It is not, or it does not say; why, in words.
    Unknown(String),
}

/// What a server says of itself that its machine can be asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataHere {
    /// Its directories; the first is the one in which its processes work.
    pub places: Vec<DataPlace>,
    /// How our connection ends at it.
    pub link: Link,
}

/// A directory of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataPlace {
    /// What is in it, in words: `the data`.
    pub what: &'static str,
    /// Where it is.
    pub path: PathBuf,
}

/// Whether the data of an application stands still with its mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataHeld {
    /// All of it is on them.
    Yes,
    /// This is not.
    No(Vec<Outside>),
    /// All of it is, and it is that of another server than the connection leads to.
    OfAnother(PathBuf),
    /// It cannot be told; why, in words.
    Unknown(String),
}

/// Data that is on no mount that will be frozen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outside {
    /// What is there.
    pub what: &'static str,
    /// Where, without links.
    pub path: PathBuf,
    /// The mount that it is on.
    pub mount: PathBuf,
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, mount) = (self.path.display(), self.mount.display());
        if self.mount == Path::new("/") {
            let why = "which is on the root file system and never frozen";
            return write!(f, "{} is in `{path}`, {why}: move it to a mount of its own", self.what);
        }
        write!(f, "{} is in `{path}`, which is on `{mount}`: add `{mount}` to `mounts`, or move it", self.what)
    }
}

impl DataPlaces {
    /// Compares the directories with what will be frozen on this machine.
    pub fn held_by(&self, mounts: &[CheckedMount]) -> DataHeld {
        match self {
            Self::Unknown(why) => DataHeld::Unknown(why.clone()),
            Self::Here(here) => match observe_mounts() {
                Ok(lines) => match compare(&here.places, mounts, &lines) {
                    DataHeld::Yes => here.owner().holds(&here.places),
                    other => other,
                },
                Err(error) => DataHeld::Unknown(format!("the mounts of this machine cannot be read: {error}")),
            },
        }
    }
}

impl DataHere {
    fn owner(&self) -> Owner {
        match self.places.first() {
            Some(data) => owner(&self.link, &data.path),
            None => Owner::Unknown("it names no directory".to_owned()),
        }
    }
}

impl Owner {
    /// Whether data counts all of which stands still, and the first of whose directories is this owner's.
    pub(crate) fn holds(self, data: &[DataPlace]) -> DataHeld {
        match self {
            Self::Ours => DataHeld::Yes,
            Self::Another => DataHeld::OfAnother(data.first().map(|place| place.path.clone()).unwrap_or_default()),
            Self::Unknown(why) => DataHeld::Unknown(why),
        }
    }
}

fn compare(places: &[DataPlace], mounts: &[CheckedMount], lines: &[MountLine]) -> DataHeld {
    let mut outside: BTreeMap<PathBuf, Outside> = BTreeMap::new();
    for place in places {
        let seen = match see(&place.path) {
            Ok(seen) => seen,
            Err(error) => {
                let (what, path) = (place.what, place.path.display());
                return DataHeld::Unknown(format!(
                    "{what} is said to be in `{path}`, which cannot be looked at: {error}"
                ));
            }
        };
        for found in seen.iter().filter(|found| !is_held(found, mounts, lines)) {
            let mount = mount_of(found, lines).unwrap_or_else(|| found.resolved.clone());
            let one = Outside { what: place.what, path: found.resolved.clone(), mount: mount.clone() };
            outside.entry(mount).or_insert(one);
        }
    }
    if outside.is_empty() { DataHeld::Yes } else { DataHeld::No(outside.into_values().collect()) }
}

/// The directory and those that are in it, each where it really is. A link to a file is configuration as a rule.
fn see(directory: &Path) -> io::Result<Vec<Found>> {
    let mut seen = vec![find(directory)?];
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        match fs::metadata(&path).and_then(|it| it.is_dir().then(|| find(&path)).transpose()) {
            Ok(found) => seen.extend(found),
            // What has just gone, or a link that leads nowhere, holds no data.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(seen)
}

fn is_held(found: &Found, mounts: &[CheckedMount], lines: &[MountLine]) -> bool {
    let of_mount = line_of(found, lines).map(|line| line.device);
    // A subvolume of btrfs has a number of its own, and stands still with its mount.
    let is_on = |device: DeviceNumber| found.device == device || of_mount == Some(device);
    mounts.iter().any(|mount| is_on(mount.device))
}

fn mount_of(found: &Found, lines: &[MountLine]) -> Option<PathBuf> {
    line_of(found, lines).map(|line| line.mount_point.clone())
}

fn line_of<'a>(found: &Found, lines: &'a [MountLine]) -> Option<&'a MountLine> {
    let by_path = || lines.iter().rev().filter(|it| found.resolved.starts_with(&it.mount_point));
    let deepest = || by_path().max_by_key(|line| line.mount_point.components().count());
    lines.iter().find(|line| found.mount_id == Some(line.id)).or_else(deepest)
}

/// Why a server that is reached at a host, or on a socket, does not keep its data on the machine that is held still.
pub(super) fn away(host: Option<&str>, of: DataHost) -> Result<Option<DataPlaces>, AppError> {
    match (of, host) {
        (DataHost::This, Some(host)) if !is_this_machine(host) => Ok(Some(elsewhere(host))),
        (DataHost::Another, None) => Err(AppError::Address {
            why: "it is a socket of this machine, and another one is held still: name that one's host",
        }),
        _ => Ok(None),
    }
}

/// Whether a host is this machine, without asking it. A name is looked up.
fn is_this_machine(host: &str) -> bool {
    let host = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
    let addresses = (host, PORT).to_socket_addrs().map(Iterator::collect::<Vec<_>>).unwrap_or_default();
    !addresses.is_empty() && addresses.iter().all(|address| is_own(*address))
}

/// What is sent to an address of this machine has that address as its own. Binding it would tell less: hosts that stand in
/// for others may bind what is not theirs.
fn is_own(address: SocketAddr) -> bool {
    address.ip().is_loopback() || source_towards(address).is_ok_and(|source| source == address.ip())
}

/// What is said of a server on another machine.
fn elsewhere(host: &str) -> DataPlaces {
    DataPlaces::Unknown(format!("the application is at {host}, which is not this machine"))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::unix::fs::symlink;

    use super::*;

    fn checked(path: &Path) -> CheckedMount {
        let found = find(path).unwrap();
        let (fs_type, options) = ("xfs".to_owned(), "rw".to_owned());
        CheckedMount { path: path.to_owned(), device: found.device, mount_id: found.mount_id, fs_type, options }
    }

    fn here(paths: &[&Path]) -> DataPlaces {
        let place = |path: &&Path| DataPlace { what: "the data", path: path.to_path_buf() };
        let link = Link::Untold("nobody is asked".to_owned());
        DataPlaces::Here(DataHere { places: paths.iter().map(place).collect(), link })
    }

    #[test]
    fn data_beside_the_mount_is_named_with_the_mount_to_add() {
        // Two file systems that every machine has.
        let (data, proc) = (tempfile::tempdir().unwrap(), Path::new("/proc/self/fdinfo"));
        let mounts = [checked(data.path())];
        let held = here(&[data.path()]).held_by(&mounts);
        assert!(matches!(&held, DataHeld::Unknown(why) if why.ends_with("nobody is asked")), "{held:?}");
        let DataHeld::No(outside) = here(&[data.path(), proc]).held_by(&mounts) else { panic!("it is elsewhere") };
        assert_eq!(outside[0].mount, Path::new("/proc"));
        assert!(outside[0].to_string().ends_with("which is on `/proc`: add `/proc` to `mounts`, or move it"));
    }

    #[test]
    fn data_that_stands_still_counts_if_it_is_that_of_the_server_that_is_locked() {
        let data = [DataPlace { what: "the data", path: "/data".into() }];
        assert_eq!(Owner::Ours.holds(&data), DataHeld::Yes);
        assert_eq!(Owner::Another.holds(&data), DataHeld::OfAnother("/data".into()));
        assert!(
            matches!(Owner::Unknown("dark".to_owned()).holds(&data), DataHeld::Unknown(why) if why.ends_with("dark"))
        );
    }

    #[test]
    fn nobody_is_told_to_freeze_the_root() {
        let outside = Outside { what: "the log", path: "/var/log/redo".into(), mount: "/".into() };
        let want = "the log is in `/var/log/redo`, which is on the root file system and never frozen: move it to a mount of its own";
        assert_eq!(outside.to_string(), want);
    }

    #[test]
    fn a_link_in_the_data_directory_leads_out_of_it() {
        let data = tempfile::tempdir().unwrap();
        symlink("/proc/self/fdinfo", data.path().join("pg_wal")).unwrap();
        symlink("/nowhere/at/all", data.path().join("old")).unwrap();
        symlink("/proc/version", data.path().join("server.key")).unwrap();
        assert!(matches!(here(&[data.path()]).held_by(&[checked(data.path())]), DataHeld::No(_)));
    }

    #[test]
    fn what_cannot_be_looked_at_is_not_known_to_be_held() {
        let data = tempfile::tempdir().unwrap();
        let gone = data.path().join("of/a/container");
        let held = here(&[&gone]).held_by(&[checked(data.path())]);
        assert!(matches!(&held, DataHeld::Unknown(why) if why.contains("of/a/container")), "{held:?}");
        let elsewhere = elsewhere("db.internal").held_by(&[checked(data.path())]);
        assert!(matches!(&elsewhere, DataHeld::Unknown(why) if why.contains("db.internal")), "{elsewhere:?}");
    }

    #[test]
    fn an_address_of_this_machine_is_told_from_others() {
        assert!(is_this_machine("localhost") && is_this_machine("127.0.0.2") && is_this_machine("[::1]"));
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        // Its own address, if it has one that leads anywhere.
        if socket.connect("192.0.2.1:9").is_ok() {
            assert!(is_this_machine(&socket.local_addr().unwrap().ip().to_string()));
        }
        // Set aside for documentation: no machine has them.
        assert!(!is_this_machine("192.0.2.1") && !is_this_machine("[2001:db8::1]") && !is_this_machine(""));
    }
}
