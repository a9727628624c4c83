//! A daemon in a process of its own, and its death and its guard's at any moment: setting up, freezing, holding, thawing.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use amikeep_hold::{CheckedMount, FrozenRecord, Hook, HookOutcome, Hooks, ProcessStamp, boot_id, thaw_leftovers};
use rustix::event::poll;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use rustix::time::Timespec;

use crate::bench::{BOTH, Bench, FIXTURE, is_thawed, some_time};
use crate::server::pid;
use crate::writer::{Writer, highest_in};

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

    /// Returns when every thread of it has stopped: the signal alone may find one at work, which goes on for a moment.
    pub(crate) fn stop(&self) {
        let daemon = pid(self.process.id());
        kill_process(daemon, Signal::STOP).unwrap();
        let (_, status) = waitpid(Some(daemon), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped(), "{status:?}");
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// What happens to whom, at a moment that nobody chose.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// All goes well: volumes are copied in the hold, and it is thawed when told.
    Imaged,
    /// Nobody says that it is over.
    Forgotten,
    DaemonKilled,
    GuardKilled,
    GuardThenDaemonKilled,
    DaemonThenGuardKilled,
    GuardAskedToStop,
    GuardStopped,
    DaemonStopped,
}

const FATES: [Fate; 9] = [
    Fate::Imaged,
    Fate::Forgotten,
    Fate::DaemonKilled,
    Fate::GuardKilled,
    Fate::GuardThenDaemonKilled,
    Fate::DaemonThenGuardKilled,
    Fate::GuardAskedToStop,
    Fate::GuardStopped,
    Fate::DaemonStopped,
];

/// How often, unless it is said.
const RUNS: u64 = 216;

/// Freezing takes about a third of this, and everything is over well within the rest.
const MOMENTS_US: u64 = 300_000;

/// What a machine that does other things too may add to a stall. Without a thaw, a stall has no end.
const NOISE: Duration = Duration::from_secs(10);

/// A guard may be gone already; that is part of the game.
fn signal(guard: Pid, signal: Signal) {
    let _ = kill_process(guard, signal);
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var_os(name).map(|number| number.to_str().unwrap().parse().unwrap())
}

/// Numbers without a pattern, the same for the same seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// One hold with its end: kills at the moment, or copies in the hold.
fn meet(fate: Fate, moment: Duration, budget: Duration, bench: &Bench, writers: &[Writer]) {
    let (mut daemon, lines) = Daemon::freezing(bench, budget);
    let guard = daemon.guard;
    if matches!(fate, Fate::Imaged) {
        image(daemon, lines, bench, writers);
        return;
    }
    poll(&mut [], Some(&Timespec { tv_sec: 0, tv_nsec: moment.subsec_nanos().into() })).unwrap();
    match fate {
        Fate::Imaged | Fate::Forgotten => {}
        Fate::DaemonKilled => daemon.kill(),
        Fate::DaemonStopped => daemon.stop(),
        Fate::GuardKilled => signal(guard, Signal::KILL),
        Fate::GuardAskedToStop => signal(guard, Signal::TERM),
        Fate::GuardStopped => signal(guard, Signal::STOP),
        Fate::GuardThenDaemonKilled => {
            signal(guard, Signal::KILL);
            daemon.kill();
        }
        Fate::DaemonThenGuardKilled => {
            daemon.kill();
            signal(guard, Signal::KILL);
        }
    }
    if matches!(fate, Fate::GuardThenDaemonKilled | Fate::DaemonThenGuardKilled) {
        thaw_as_the_next_start_does(&daemon, bench);
    }
    while daemon.stamp.is_at_work() {
        std::thread::yield_now();
    }
    // Only now: nobody was told to thaw, and it happened all the same.
    drop(daemon.process.stdin.take());
    if matches!(fate, Fate::DaemonStopped) {
        daemon.kill();
    }
    daemon.process.wait().unwrap();
    drop(lines);
}

fn thaw_as_the_next_start_does(daemon: &Daemon, bench: &Bench) {
    let boot_id = boot_id().unwrap();
    let record = |mount: &CheckedMount| FrozenRecord {
        mount: mount.path.clone(),
        device: mount.device,
        boot_id: boot_id.clone(),
        guard: daemon.stamp,
    };
    let leftovers = thaw_leftovers(&bench.checked().iter().map(record).collect::<Vec<_>>(), &boot_id);
    assert!(leftovers.iter().all(|leftover| leftover.outcome.is_settled()), "{leftovers:?}");
}

/// What is acknowledged in the hold is in the copies, and these need nothing but the replay of their log.
fn image(daemon: Daemon, mut lines: Lines<BufReader<ChildStdout>>, bench: &Bench, writers: &[Writer]) {
    let held = lines.next();
    if held.is_none_or(|line| line.unwrap() != "held") {
        // The budget ended before the last mount was frozen, on a machine that is busy.
        return;
    }
    let acknowledged: Vec<u64> = writers.iter().map(Writer::last).collect();
    let copies: Vec<String> = (0..bench.mounts.len()).map(|number| bench.copy_of(number)).collect();
    let report = daemon.with(lines).thaw();
    for (copy, acknowledged) in copies.iter().zip(acknowledged) {
        let found = highest_in(&bench.mount_copy(copy));
        bench.discard_copy(copy);
        // A copy that was made after the budget had ended proves nothing, and nobody says that it does.
        assert!(acknowledged <= found || report != "told to thaw true", "{copy}: {acknowledged} <= {found}, {report}");
    }
}

#[test]
fn writes_flow_again_within_the_budget_whatever_happens_at_whatever_moment() {
    let Some(bench) = Bench::with(&BOTH) else { return };
    let seed = number("AMIKEEP_FREEZE_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    let runs = number("AMIKEEP_FREEZE_RUNS").unwrap_or(RUNS);
    eprintln!("report: {runs} holds, AMIKEEP_FREEZE_SEED={seed}");
    let mut dice = Dice(seed);
    let writers: Vec<Writer> = bench.mounts.iter().map(|mount| Writer::on(mount)).collect();
    let mut longest = FATES.map(|_| Duration::ZERO);
    for run in 0..runs {
        let kind = usize::try_from(dice.below(FATES.len() as u64)).unwrap();
        let (fate, moment) = (FATES[kind], Duration::from_micros(dice.below(MOMENTS_US)));
        let budget = Duration::from_millis(150 + dice.below(250));
        let what = format!("run {run} of seed {seed}: {fate:?} after {moment:?}, budget {budget:?}");
        meet(fate, moment, budget, &bench, &writers);
        for writer in &writers {
            let gap = writer.longest_gap().unwrap_or_else(|| panic!("{what}: writes do not flow again"));
            assert!(gap < budget + NOISE, "{what}: no write for {gap:?}");
            longest[kind] = longest[kind].max(gap);
        }
        assert!(bench.mounts.iter().all(|mount| is_thawed(mount)), "{what}: still frozen");
    }
    for (fate, longest) in FATES.iter().zip(longest) {
        eprintln!("report: {fate:?}: the longest time without a write was {} ms", longest.as_millis());
    }
}

#[test]
fn a_command_that_hangs_before_or_after_a_hold_stops_no_write() {
    let Some(bench) = Bench::with(&BOTH) else { return };
    let writers: Vec<Writer> = bench.mounts.iter().map(|mount| Writer::on(mount)).collect();
    let hangs = Hook { argv: vec!["/bin/sleep".into(), "600".into()], limit: Duration::from_millis(400) };
    let entered = Hooks { pre: vec![hangs.clone()], post: Vec::new(), facts: Vec::new() }.enter();
    assert_eq!(entered.unwrap_err().failed.outcome, HookOutcome::TimedOut);
    assert!(writers.iter().all(Writer::flows_again));
    let entered = Hooks { pre: Vec::new(), post: vec![hangs], facts: Vec::new() }.enter().unwrap();
    let hold = bench.guard().freeze(Duration::from_secs(20), some_time()).unwrap();
    assert!(hold.thaw().proves_hold());
    let hanging = std::thread::spawn(|| entered.leave());
    assert!(writers.iter().all(Writer::flows_again), "while the command hangs");
    assert_eq!(hanging.join().unwrap()[0].outcome, HookOutcome::TimedOut);
    assert!(bench.mounts.iter().all(|mount| is_thawed(mount)));
}
