//! What is refused, one machine at a time.

use std::fmt::Write as _;

use expect_test::{Expect, expect};

use super::*;
use crate::mountinfo::parse;

/// A root, two disks of data, a log disk, and what every Linux has besides.
const MACHINE: &str = "\
1 0 259:0 / / rw - xfs /dev/nvme0n1 rw
2 1 0:5 / /proc rw - proc proc rw
3 1 0:6 / /tmp rw - tmpfs tmpfs rw
4 1 259:1 / /var/lib/mysql rw - xfs /dev/nvme1n1 rw,noatime
5 1 259:2 / /var/lib/binlog ro - ext4 /dev/nvme2n1 rw
6 1 259:3 / /var/log rw - ext4 /dev/nvme3n1 rw
7 1 0:41 /@a /pool/a rw - btrfs /dev/nvme4n1 rw
8 1 0:41 /@b /pool/b rw - btrfs /dev/nvme4n1 rw
9 1 259:5 / /old rw - ext4 /dev/nvme5n1 ro
10 1 7:0 / /in-a-file rw - ext4 /dev/loop0 rw
11 1 259:1 /files /elsewhere rw - xfs /dev/nvme1n1 rw
12 1 0:50 / /net rw - nfs4 server:/x rw
13 1 259:0 /srv/bound /bound rw - xfs /dev/nvme0n1 rw
";

struct Machine {
    mounts: Vec<MountLine>,
    knows_mount_ids: bool,
}

impl Machine {
    fn path(&self, path: &str) -> PathFacts {
        let within = |line: &&MountLine| Path::new(path).starts_with(&line.mount_point);
        let line = self.mounts.iter().filter(within).max_by_key(|line| line.mount_point.components().count()).unwrap();
        // Each btrfs subvolume has a device number of its own.
        let device = match line.fs_type.as_str() {
            "btrfs" => DeviceNumber { major: 0, minor: 100 + u32::try_from(line.id).unwrap() },
            _ => line.device,
        };
        let mount_id = self.knows_mount_ids.then_some(line.id);
        PathFacts { path: path.into(), found: Ok(Found { resolved: path.into(), device, mount_id }) }
    }

    fn facts(&self, wanted: &[&str], protected: &[(&str, &str)]) -> Facts {
        let always = always_protected().into_iter().filter(|part| !part.path.starts_with("/snap"));
        let more = protected.iter().map(|(what, path)| Protected::new(*what, *path));
        let place = |part: Protected| {
            let at = self.path(part.path.to_str().unwrap());
            (part, at)
        };
        Facts {
            mounts: self.mounts.clone(),
            wanted: wanted.iter().map(|path| self.path(path)).collect(),
            protected: always.chain(more).map(place).collect(),
            on_files_of: vec![("7:0".parse().unwrap(), "259:1".parse().unwrap())],
        }
    }
}

fn machine() -> Machine {
    Machine { mounts: parse(MACHINE), knows_mount_ids: true }
}

fn told(facts: &Facts) -> String {
    let mut told = String::new();
    match check(facts) {
        Ok(mounts) => {
            for mount in mounts {
                writeln!(told, "{} {}", mount.path.display(), mount.fs_type).unwrap();
            }
        }
        Err(refusals) => {
            for refusal in refusals {
                writeln!(told, "{refusal}\n  -> {}", refusal.next_step()).unwrap();
            }
        }
    }
    told
}

fn verdict(wanted: &[&str], protected: &[(&str, &str)], expected: &Expect) {
    let mut machine = machine();
    let facts = machine.facts(wanted, protected);
    expected.assert_eq(&told(&facts));
    machine.knows_mount_ids = false;
    assert_eq!(told(&machine.facts(wanted, protected)), told(&facts), "a kernel without mount ids decides the same");
}

#[test]
fn disks_of_their_own_are_allowed_in_the_order_of_the_configuration() {
    verdict(
        &["/var/lib/binlog", "/var/lib/mysql"],
        &[],
        &expect![[r#"
            /var/lib/binlog ext4
            /var/lib/mysql xfs
        "#]],
    );
}

#[test]
fn a_mount_that_is_read_only_in_our_own_view_of_a_writable_file_system_is_allowed() {
    verdict(&["/var/lib/binlog"], &[], &expect![["/var/lib/binlog ext4\n"]]);
}

#[test]
fn what_the_machine_lives_on_is_refused_by_device_and_not_by_name() {
    verdict(
        &["/", "/var/log", "/bound", "/srv", "/var"],
        &[],
        &expect![[r#"
            `/` holds the root directory (`/`), which must go on while it is frozen
              -> move one of the two to a file system of its own
            `/var/log` holds the logs (`/var/log`), which must go on while it is frozen
              -> move one of the two to a file system of its own
            `/bound` holds the root directory (`/`), which must go on while it is frozen
              -> move one of the two to a file system of its own
            `/srv` is not a mount: freezing it would stop all of `/`
              -> give the data a file system of its own, or choose another consistency for this class
            `/var` is not a mount: freezing it would stop all of `/`
              -> give the data a file system of its own, or choose another consistency for this class
        "#]],
    );
}

#[test]
fn the_disk_of_the_ledger_is_refused_also_under_another_name() {
    verdict(
        &["/var/lib/mysql"],
        &[("the ledger", "/elsewhere/amikeep.db")],
        &expect![[r#"
            `/var/lib/mysql` holds the ledger (`/elsewhere/amikeep.db`), which must go on while it is frozen
              -> move one of the two to a file system of its own
        "#]],
    );
}

#[test]
fn what_lives_in_a_file_of_a_mount_stands_still_with_it() {
    verdict(
        &["/var/lib/mysql"],
        &[("the log", "/in-a-file/log")],
        &expect![[r#"
            `/var/lib/mysql` holds the log (`/in-a-file/log`), which must go on while it is frozen
              -> move one of the two to a file system of its own
        "#]],
    );
}

#[test]
fn a_file_system_in_a_file_is_frozen_before_the_one_that_the_file_is_on() {
    verdict(
        &["/in-a-file", "/var/lib/mysql"],
        &[],
        &expect![[r#"
            /in-a-file ext4
            /var/lib/mysql xfs
        "#]],
    );
    verdict(
        &["/var/lib/mysql", "/in-a-file"],
        &[],
        &expect![[r#"
            `/in-a-file` lives in a file of `/var/lib/mysql`, which would be frozen before it
              -> name it before `/var/lib/mysql`
        "#]],
    );
}

#[test]
fn two_names_of_one_file_system_are_found_also_where_subvolumes_have_numbers_of_their_own() {
    verdict(
        &["/pool/a", "/pool/b", "/var/lib/mysql", "/elsewhere", "/var/lib/mysql"],
        &[],
        &expect![[r#"
            `/pool/b` is the same file system as `/pool/a`
              -> name it once
            `/elsewhere` is the same file system as `/var/lib/mysql`
              -> name it once
            `/var/lib/mysql` is the same file system as `/var/lib/mysql`
              -> name it once
        "#]],
    );
}

#[test]
fn a_subvolume_beside_the_ledgers_is_refused() {
    verdict(
        &["/pool/a"],
        &[("the ledger", "/pool/b/amikeep.db")],
        &expect![[r#"
            `/pool/a` holds the ledger (`/pool/b/amikeep.db`), which must go on while it is frozen
              -> move one of the two to a file system of its own
        "#]],
    );
}

#[test]
fn what_cannot_freeze_and_what_cannot_be_written_are_refused() {
    verdict(
        &["/tmp", "/proc", "/net", "/old"],
        &[],
        &expect![[r#"
            `/tmp` is tmpfs, which cannot be frozen
              -> move the data to xfs or ext4, or leave this mount out
            `/proc` is proc, which cannot be frozen
              -> move the data to xfs or ext4, or leave this mount out
            `/net` is nfs4, which cannot be frozen
              -> move the data to xfs or ext4, or leave this mount out
            `/old` is read-only: there is nothing to hold still
              -> leave it out; if it should be writable, see the kernel's log for the error that made it read-only
        "#]],
    );
}

#[test]
fn no_mount_and_too_many_mounts_are_refused() {
    verdict(&[], &[], &expect![["0 mounts cannot be held still at once\n  -> name between 1 and 16 mounts\n"]]);
    let mut facts = machine().facts(&[], &[]);
    facts.wanted = vec![machine().path("/var/lib/mysql"); 17];
    assert!(told(&facts).starts_with("17 mounts cannot be held still at once"));
}

#[test]
fn a_path_that_leads_nowhere_is_refused_with_the_systems_reason() {
    let mut facts = machine().facts(&[], &[]);
    facts.wanted = vec![PathFacts { path: "/gone".into(), found: Err("No such file or directory".into()) }];
    expect![[r#"
        `/gone` is not there: No such file or directory
          -> mount it, or correct the path
    "#]]
    .assert_eq(&told(&facts));
}

#[test]
fn a_path_with_another_device_than_its_mount_is_refused() {
    let mut facts = machine().facts(&["/var/lib/mysql"], &[]);
    facts.wanted[0].found.as_mut().unwrap().device = "8:1".parse().unwrap();
    expect![[r#"
        `/var/lib/mysql` is not what the kernel's list of mounts says
          -> see what is mounted there with `findmnt --target`
    "#]]
    .assert_eq(&told(&facts));
}

#[test]
fn of_two_mounts_at_one_place_the_upper_one_counts() {
    let twice = format!("{MACHINE}14 4 259:9 / /var/lib/mysql rw - ext4 /dev/nvme9n1 rw\n");
    let machine = Machine { mounts: parse(&twice), knows_mount_ids: false };
    assert_eq!(told(&machine.facts(&["/var/lib/mysql"], &[])), "/var/lib/mysql ext4\n");
}

#[test]
fn something_protected_that_cannot_be_found_refuses_everything() {
    let mut facts = machine().facts(&["/var/lib/mysql"], &[("the ledger", "/var/lib/amikeep/amikeep.db")]);
    facts.protected.last_mut().unwrap().1.found = Err("Permission denied".into());
    assert!(told(&facts).contains("holds the ledger"));
}

#[test]
fn a_ring_of_files_is_no_endless_search() {
    let mut facts = machine().facts(&["/var/lib/mysql", "/in-a-file"], &[]);
    facts.on_files_of =
        vec![("7:0".parse().unwrap(), "7:1".parse().unwrap()), ("7:1".parse().unwrap(), "7:0".parse().unwrap())];
    assert!(check(&facts).is_ok());
}

#[test]
fn a_system_on_several_disks_is_protected_with_all_of_them() {
    for path in ["/usr", "/etc", "/boot", "/var/lib"] {
        let mut machine = machine();
        machine.mounts.extend(parse(&format!("20 1 259:9 / {path} rw - ext4 /dev/nvme9n1 rw\n")));
        let told = told(&machine.facts(&[path], &[]));
        assert!(told.contains("would stand still") || told.contains(path), "{told}");
        assert!(check(&machine.facts(&[path], &[])).is_err(), "{told}");
    }
}
