//! After the death of daemon and guard: what was written down is thawed, and nothing else.

use std::path::Path;
use std::time::Duration;

use amikeep_hold::{Cause, FrozenRecord, LeftoverOutcome, Moment, boot_id, thaw_leftovers};
use rustix::process::{Pid, Signal, kill_process};

use crate::bench::{BOTH, Bench, Fs, PATIENCE, fsfreeze, is_thawed, some_time, unmount};
use crate::dying::Daemon;
use crate::writer::Writer;

fn records(bench: &Bench) -> Vec<FrozenRecord> {
    bench.guard().records(&boot_id().unwrap())
}

fn outcomes(records: &[FrozenRecord]) -> Vec<LeftoverOutcome> {
    thaw_leftovers(records, &boot_id().unwrap()).into_iter().map(|leftover| leftover.outcome).collect()
}

#[test]
fn when_daemon_and_guard_are_killed_the_records_thaw_once_and_can_be_read_again() {
    let Some(bench) = Bench::with(&BOTH) else { return };
    let records = records(&bench);
    let writers: Vec<Writer> = bench.mounts.iter().map(|mount| Writer::on(mount)).collect();
    let mut daemon = Daemon::holding(&bench, Duration::from_mins(1));
    // The daemon is stopped first, so that it does nothing about the death of its guard. (The other way round fails: the
    // kernel wakes a stopped guard whose parent dies, by SIGHUP and SIGCONT to the orphaned group, and it thaws.)
    daemon.stop();
    kill_process(daemon.guard, Signal::KILL).unwrap();
    daemon.kill();
    let since = Moment::now();
    assert!(writers.iter().all(|writer| writer.is_still(since)), "a freeze outlives whoever made it");
    assert_eq!(outcomes(&records), [LeftoverOutcome::Thawed, LeftoverOutcome::Thawed]);
    assert!(writers.iter().all(Writer::flows_again));
    assert_eq!(outcomes(&records), [LeftoverOutcome::WasNotFrozen, LeftoverOutcome::WasNotFrozen]);
}

#[test]
fn a_guard_that_was_left_behind_and_hangs_is_killed_so_that_it_cannot_thaw_a_later_hold() {
    let Some(bench) = Bench::with(&[Fs::Ext4]) else { return };
    let guard = bench.guard();
    let records = guard.records(&boot_id().unwrap());
    let hold = guard.freeze(Duration::from_mins(1), some_time()).unwrap();
    // Its parent lives here, so that the kernel does not wake it.
    kill_process(Pid::from_raw(i32::try_from(records[0].guard.pid).unwrap()).unwrap(), Signal::STOP).unwrap();
    let outcome = outcomes(&records);
    // Its parent sees the death too, and either may be the first to thaw.
    assert!(matches!(outcome[..], [LeftoverOutcome::Thawed | LeftoverOutcome::WasNotFrozen]), "{outcome:?}");
    assert_eq!(hold.wait_for_end(PATIENCE), Some(Cause::GuardDied));
    assert!(!records[0].guard.is_at_work() && is_thawed(bench.mount(0)));
}

#[test]
fn the_records_of_another_boot_or_another_device_thaw_nothing() {
    let Some(bench) = Bench::with(&[Fs::Ext4]) else { return };
    let ours = records(&bench).remove(0);
    assert!(fsfreeze("--freeze", bench.mount(0)));
    let other_boot = FrozenRecord { boot_id: "another".into(), ..ours.clone() };
    let other_device = FrozenRecord { device: "7:9999".parse().unwrap(), ..ours.clone() };
    assert_eq!(outcomes(&[other_boot, other_device]), [LeftoverOutcome::NotMounted, LeftoverOutcome::OtherBoot]);
    assert!(!is_thawed(bench.mount(0)));
    assert_eq!(outcomes(&[ours]), [LeftoverOutcome::Thawed]);
}

#[test]
fn a_file_system_that_has_been_mounted_elsewhere_meanwhile_is_found_there() {
    let Some(bench) = Bench::with(&[Fs::Xfs]) else { return };
    let ours = records(&bench).remove(0);
    assert!(fsfreeze("--freeze", bench.mount(0)));
    let moved = FrozenRecord { mount: "/no/such/place".into(), ..ours.clone() };
    assert_eq!(outcomes(&[moved]), [LeftoverOutcome::Thawed]);
    unmount(bench.mount(0));
    assert_eq!(outcomes(&[ours]), [LeftoverOutcome::NotMounted], "never the file system below it");
    assert!(Path::new("/").exists());
}
