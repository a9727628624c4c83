//! What is refused before anything is frozen, on real mounts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use amikeep_hold::{Guard, HoldError, OpenMount, Protected, Reason, always_protected, check, observe};

use crate::bench::{Bench, Fs, fsfreeze, is_thawed, program, said, unmount};

fn reasons(wanted: &[PathBuf], protected: Vec<Protected>) -> Vec<Reason> {
    let facts = observe(wanted, protected).unwrap();
    check(&facts).unwrap_err().into_iter().map(|refusal| refusal.reason).collect()
}

#[test]
fn what_this_machine_lives_on_is_refused() {
    let wanted: Vec<PathBuf> = ["/", "/proc", "/var/tmp", "/nowhere/at/all"].map(PathBuf::from).to_vec();
    let reasons = reasons(&wanted, always_protected());
    assert_eq!(reasons.len(), 4, "{reasons:?}");
    assert!(matches!(&reasons[0], Reason::Holds { .. } | Reason::CannotFreeze { .. }));
    assert!(matches!(&reasons[1], Reason::CannotFreeze { fs_type } if fs_type == "proc"));
    assert!(matches!(&reasons[2], Reason::NotAMountPoint { .. } | Reason::Holds { .. } | Reason::CannotFreeze { .. }));
    assert!(matches!(&reasons[3], Reason::Missing { .. }));
}

#[test]
fn a_directory_within_a_mount_and_a_mount_that_holds_the_ledger_are_refused() {
    let Some(bench) = Bench::with(&[Fs::Ext4]) else { return };
    let within = bench.mount(0).join("lost+found");
    assert_eq!(reasons(&[within], always_protected()), [Reason::NotAMountPoint { on: bench.mount(0).into() }]);
    let of_ledger = reasons(&bench.mounts, bench.protect(0));
    assert!(matches!(&of_ledger[..], [Reason::Holds { what, .. }] if what == "the ledger"), "{of_ledger:?}");
}

#[test]
fn one_file_system_under_two_names_and_behind_a_link_is_found() {
    let Some(bench) = Bench::with(&[Fs::Xfs, Fs::Ext4]) else { return };
    let link = bench.mount(1).join("link");
    std::os::unix::fs::symlink(bench.mount(0), &link).unwrap();
    let twice = reasons(&[bench.mount(0).into(), link.clone()], always_protected());
    assert_eq!(twice, [Reason::SameFileSystem { first: bench.mount(0).into() }]);
    let checked = check(&observe(&[link], always_protected()).unwrap()).unwrap();
    assert_eq!(checked[0].path, bench.mount(0), "a link leads to the mount");
}

#[test]
fn a_read_only_file_system_is_refused_and_a_read_only_view_of_a_writable_one_is_not() {
    let Some(bench) = Bench::with(&[Fs::Ext4]) else { return };
    let mount = bench.mount(0).display();
    said(&format!("mount -o remount,bind,ro {mount}"));
    let mut guard = bench.guard();
    guard.prepare(Duration::from_secs(30)).unwrap();
    assert!(guard.freeze(Duration::from_secs(30), crate::bench::some_time()).unwrap().thaw().proves_hold());
    said(&format!("mount -o remount,rw {mount}"));
    said(&format!("mount -o remount,ro {mount}"));
    assert_eq!(reasons(&bench.mounts, always_protected()), [Reason::ReadOnly]);
}

#[test]
fn a_mount_that_is_frozen_already_is_found_before_anything_is_locked_and_stays_as_it_is() {
    for kind in crate::bench::BOTH {
        let Some(bench) = Bench::with(&[kind]) else { return };
        assert!(fsfreeze("--freeze", bench.mount(0)));
        let mut guard = Guard::start(&program("guard"), bench.open()).unwrap();
        let error = guard.prepare(Duration::from_secs(1)).unwrap_err();
        assert!(matches!(&error, HoldError::TakesNoWrites { path, .. } if path == bench.mount(0)), "{error}");
        drop(guard);
        assert!(!is_thawed(bench.mount(0)), "it is not ours to thaw");
        assert!(fsfreeze("--unfreeze", bench.mount(0)));
    }
}

#[test]
fn a_mount_that_has_gone_since_the_check_is_not_opened() {
    let Some(bench) = Bench::with(&[Fs::Ext4]) else { return };
    let checked = bench.checked().remove(0);
    unmount(bench.mount(0));
    let error = OpenMount::open(&checked).unwrap_err();
    assert!(matches!(error, HoldError::Changed { .. }), "the directory below it is of the root file system");
}

#[test]
fn a_mount_cannot_be_unmounted_while_a_guard_has_it_open() {
    let Some(bench) = Bench::with(&[Fs::Ext4]) else { return };
    let _guard = bench.guard();
    let umount = std::process::Command::new("umount").arg(bench.mount(0)).output().unwrap();
    assert!(!umount.status.success());
    assert!(Path::new(bench.mount(0)).join("lost+found").exists());
}
