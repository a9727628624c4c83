//! Benchmarks of the release binary as a process: how soon it is ready, and what it costs while little happens.
//!
//! The daemon runs as systemd would run it, with its notify socket, against the simulator over HTTP on loopback.

mod host;
pub(super) mod site;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use jiff::{SignedDuration, Timestamp};

use crate::bench::daemon::site::{Binaries, Policies, Site, World};
use crate::bench::figure::Figure;

/// Starts over an existing ledger in one run.
const STARTS: u32 = 10;

/// How long an idle daemon is watched.
const IDLE_FOR: Duration = Duration::from_mins(1);

/// Policies in a configuration.
const POLICIES: [u32; 3] = [10, 1_000, 10_000];

/// Instances of the account that an idle daemon knows.
const INSTANCES: u32 = 10_000;

/// Size, and the time to READY: once with a ledger to be made, then with one that is there.
pub(super) fn start(root: &Path) -> anyhow::Result<Vec<Figure>> {
    let binaries = Binaries::build(root)?;
    let size = std::fs::metadata(&binaries.amikeep).context("the binary")?.len();
    let site = Site::new(&binaries, &World::Small, &Policies::nightly(10))?;
    let (daemon, first) = site.start_daemon()?;
    drop(daemon);
    let mut later = Vec::new();
    for _ in 0..STARTS {
        let (daemon, took) = site.start_daemon()?;
        later.push(took);
        drop(daemon);
    }
    later.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(vec![
        Figure::new("size of the binary, with symbols", mebibytes(size), "MiB"),
        Figure::new("to READY, the ledger is made", ms(first), "ms").with_goal(100.0),
        Figure::new("to READY, median of ten", ms(later[later.len() / 2]), "ms").with_goal(100.0),
        Figure::new("to READY, slowest of ten", ms(later[later.len() - 1]), "ms"),
    ])
}

/// Processor time and memory of a minute without a fire, and how late fires are when there are many policies.
pub(super) fn idle(root: &Path) -> anyhow::Result<Vec<Figure>> {
    let binaries = Binaries::build(root)?;
    let mut figures = Vec::new();
    for n in POLICIES {
        figures.extend(watch_idle(&binaries, n).with_context(|| format!("idle with {n} policies"))?);
    }
    for n in POLICIES {
        figures.extend(watch_fires(&binaries, n).with_context(|| format!("fires of {n} policies"))?);
    }
    Ok(figures)
}

fn watch_idle(binaries: &Binaries, n: u32) -> anyhow::Result<Vec<Figure>> {
    let site = Site::new(binaries, &World::Instances(INSTANCES), &Policies::nightly_but_one(n, in_a_moment()))?;
    let (daemon, _) = site.start_daemon()?;
    // The one fire is what makes the instances known.
    site.wait_for_fires(1)?;
    std::thread::sleep(Duration::from_secs(5));
    let before = host::cpu_time(daemon.id())?;
    std::thread::sleep(IDLE_FOR);
    let used = host::cpu_time(daemon.id())?.saturating_sub(before);
    let memory = host::memory(daemon.id())?;
    let share = used.as_secs_f64() / IDLE_FOR.as_secs_f64() * 100.0;
    Ok(vec![
        Figure::new(format!("{n} policies, idle: processor"), share, "% of a core").with_goal(0.5),
        Figure::new(format!("{n} policies, idle: memory"), mebibytes(memory.now), "MiB").with_goal(64.0),
        Figure::new(format!("{n} policies, idle: of that its own"), mebibytes(memory.own), "MiB"),
        Figure::new(format!("{n} policies, idle: of that pages of files"), mebibytes(memory.of_files), "MiB"),
        Figure::new(format!("{n} policies: most memory since its start"), mebibytes(memory.peak), "MiB"),
    ])
}

/// Sixty policies fire in every minute, each at its own second; the others are nightly.
fn watch_fires(binaries: &Binaries, n: u32) -> anyhow::Result<Vec<Figure>> {
    let site = Site::new(binaries, &World::Small, &Policies::every_minute(n))?;
    let (daemon, _) = site.start_daemon()?;
    std::thread::sleep(IDLE_FOR + Duration::from_secs(5));
    let mut late = site.lateness()?;
    drop(daemon);
    ensure!(n.min(50) <= u32::try_from(late.len())?, "only {} fires in a minute", late.len());
    late.sort();
    let at = |percent: usize| late[(late.len() * percent).div_ceil(100) - 1].as_secs_f64();
    Ok(vec![
        Figure::new(format!("{n} policies: a fire written down after its time, median"), at(50), "s"),
        Figure::new(format!("{n} policies: a fire written down after its time, p99"), at(99), "s").with_goal(1.0),
    ])
}

/// Late enough for the daemon to have started.
#[expect(clippy::disallowed_methods, reason = "the daemon under test goes by the host's clock")]
fn in_a_moment() -> Timestamp {
    Timestamp::now() + SignedDuration::from_secs(8)
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52 bytes")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
