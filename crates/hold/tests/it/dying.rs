//! A daemon in a process of its own, and its death and its guard's at any moment: setting up, freezing, holding, thawing.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use amikeep_hold::{FrozenRecord, ProcessStamp, boot_id, thaw_leftovers};
use rustix::event::poll;
use rustix::process::{Pid, Signal, kill_process};
use rustix::time::Timespec;

use crate::bench::{BOTH, Bench, FIXTURE, is_thawed};
use crate::writer::Writer;

pub(crate) fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap()).unwrap()
}

/// A daemon of its own, so that it can be killed.
pub(crate) struct Daemon {
    pub(crate) process: Child,
    pub(crate) guard: Pid,
    pub(crate) stamp: ProcessStamp,
    said: Option<Lines<BufReader<ChildStdout>>>,
}

impl Daemon {
    /// Returns when everything is held.
    pub(crate) fn holding(bench: &Bench, budget: Duration) -> Self {
        let (daemon, mut lines) = Self::freezing(bench, budget);
        assert_eq!(lines.next().unwrap().unwrap(), "held");
        daemon.with(lines)
    }

    /// Returns when the guard is about to be told to freeze.
    fn freezing(bench: &Bench, budget: Duration) -> (Self, Lines<BufReader<ChildStdout>>) {
        let mut command = Command::new(FIXTURE);
        command.arg("hold").arg(budget.as_millis().to_string()).args(&bench.mounts);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let guard = lines.next().expect("the daemon has a guard").unwrap();
        let mut numbers = guard.strip_prefix("guard ").unwrap().split(' ').map(|number| number.parse().unwrap());
        let number: u64 = numbers.next().unwrap();
        let stamp = ProcessStamp { pid: number.try_into().unwrap(), started: numbers.next().unwrap() };
        (Self { process, guard: pid(stamp.pid), stamp, said: None }, lines)
    }

    fn with(mut self, said: Lines<BufReader<ChildStdout>>) -> Self {
        self.said = Some(said);
        self
    }

    /// Tells it to thaw, and gives its report.
    pub(crate) fn thaw(mut self) -> String {
        self.process.stdin.take().unwrap().write_all(b"thaw\n").unwrap();
        let report = self.said.take().unwrap().next().unwrap().unwrap();
        self.process.wait().unwrap();
        report
    }

    pub(crate) fn stop(&self) {
        kill_process(pid(self.process.id()), Signal::STOP).unwrap();
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[derive(Debug, Clone, Copy)]
enum Victim {
    Daemon,
    Guard,
    GuardThenDaemon,
    DaemonThenGuard,
    GuardByTerm,
    StoppedGuard,
}

const VICTIMS: [Victim; 6] = [
    Victim::Daemon,
    Victim::Guard,
    Victim::GuardThenDaemon,
    Victim::DaemonThenGuard,
    Victim::GuardByTerm,
    Victim::StoppedGuard,
];

/// A guard may be gone already; that is part of the game.
fn signal(guard: Pid, signal: Signal) {
    let _ = kill_process(guard, signal);
}

#[test]
fn writes_flow_again_whoever_dies_at_whatever_moment() {
    let Some(bench) = Bench::with(&BOTH) else { return };
    let runs = std::env::var_os("AMIKEEP_FREEZE_RUNS").map_or(30, |runs| runs.to_str().unwrap().parse().unwrap());
    let boot_id = boot_id().unwrap();
    let records = bench.guard().records(&boot_id);
    let writers: Vec<Writer> = bench.mounts.iter().map(|mount| Writer::on(mount)).collect();
    // Moments spread evenly over freeze, hold and thaw, in an order without a pattern, the same in every run.
    let delays = (0..runs).map(|run: u64| run * 37_199 % 240_000);
    for (run, delay) in delays.enumerate() {
        let victim = VICTIMS[run % VICTIMS.len()];
        let (mut daemon, lines) = Daemon::freezing(&bench, Duration::from_millis(200));
        let moment = Timespec { tv_sec: 0, tv_nsec: i64::try_from(delay * 1000).unwrap() };
        poll(&mut [], Some(&moment)).unwrap();
        let guard = daemon.guard;
        match victim {
            Victim::Daemon => daemon.kill(),
            Victim::Guard => signal(guard, Signal::KILL),
            Victim::GuardByTerm => signal(guard, Signal::TERM),
            Victim::StoppedGuard => signal(guard, Signal::STOP),
            Victim::GuardThenDaemon => {
                signal(guard, Signal::KILL);
                daemon.kill();
            }
            Victim::DaemonThenGuard => {
                daemon.kill();
                signal(guard, Signal::KILL);
            }
        }
        if matches!(victim, Victim::GuardThenDaemon | Victim::DaemonThenGuard) {
            let of_guard = |record: &FrozenRecord| FrozenRecord { guard: daemon.stamp, ..record.clone() };
            let leftovers = thaw_leftovers(&records.iter().map(of_guard).collect::<Vec<_>>(), &boot_id);
            assert!(leftovers.iter().all(|leftover| leftover.outcome.is_settled()), "run {run}: {leftovers:?}");
        }
        // The end of its input tells a daemon that lives to thaw, if it has not; a guard ends by itself.
        drop(daemon.process.stdin.take());
        daemon.process.wait().unwrap();
        while daemon.stamp.is_at_work() {
            std::thread::yield_now();
        }
        assert!(writers.iter().all(Writer::flows_again), "run {run}: {victim:?} died after {delay} us");
        assert!(bench.mounts.iter().all(|mount| is_thawed(mount)), "run {run}: {victim:?} died after {delay} us");
        drop(lines);
    }
}
