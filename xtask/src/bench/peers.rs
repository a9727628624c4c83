//! A wave in real time over HTTP: amikeep beside what people write with boto3, against simulators with EC2's documented
//! request limits.
//!
//! Every contestant has a simulator of its own and all run at the same time, so that what else the machine does meets all
//! of them alike. The request limits decide, not the machine: a wave of a thousand takes over three minutes for anybody.
//! What happened is counted from the simulator's own record of calls and not from what a contestant says.

mod record;

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::{SignedDuration, Timestamp};

use crate::bench::daemon::site::{Binaries, Policies, Running, Site, World};
use crate::bench::figure::Figure;
use crate::bench::peers::record::Record;
use crate::{process, tools};

/// How many instances are due at once.
const WAVES: [u32; 2] = [100, 1_000];
/// What EC2 allows for `CreateImage`: this many at once, and this many a second.
const BURST: f64 = 50.0;
const REFILL_PER_S: f64 = 5.0;
/// The script of the peers.
const SCRIPT: &str = "benches/peer.py";
/// A contestant may take so many times the least, and this much more.
const PATIENCE_FACTOR: f64 = 8.0;
const PATIENCE: Duration = Duration::from_mins(1);
/// How often the record is read.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Who makes the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Contestant {
    Amikeep,
    /// boto3, with its default retries or the adaptive ones, and so many threads.
    Boto3 {
        retries: &'static str,
        threads: u32,
    },
}

const CONTESTANTS: [Contestant; 5] = [
    Contestant::Amikeep,
    Contestant::Boto3 { retries: "default", threads: 1 },
    Contestant::Boto3 { retries: "adaptive", threads: 1 },
    Contestant::Boto3 { retries: "default", threads: 10 },
    Contestant::Boto3 { retries: "adaptive", threads: 10 },
];

impl Contestant {
    fn name(self) -> String {
        match self {
            Self::Amikeep => "amikeep".to_owned(),
            Self::Boto3 { retries, threads: 1 } => format!("boto3 loop, {retries} retries"),
            Self::Boto3 { retries, threads } => format!("boto3 with {threads} threads, {retries} retries"),
        }
    }
}

pub(super) fn run(root: &Path) -> anyhow::Result<Vec<Figure>> {
    let binaries = Binaries::build(root)?;
    let python = tools::install_boto3(root)?;
    let mut figures = Vec::new();
    for n in WAVES {
        let records = side_by_side(root, &binaries, &python, n)?;
        for (contestant, record) in CONTESTANTS.iter().zip(&records) {
            figures.extend(tell(&format!("{n} instances, {}", contestant.name()), n, record)?);
        }
    }
    Ok(figures)
}

/// All contestants at once, each in a thread that waits for it.
fn side_by_side(root: &Path, binaries: &Binaries, python: &Path, n: u32) -> anyhow::Result<Vec<Record>> {
    std::thread::scope(|scope| {
        let race = |contestant: &Contestant| {
            let contestant = *contestant;
            scope.spawn(move || race(root, binaries, python, contestant, n).with_context(|| contestant.name()))
        };
        let races: Vec<_> = CONTESTANTS.iter().map(race).collect();
        races.into_iter().map(|race| race.join().unwrap_or_else(|_| bail!("a race ended in a panic"))).collect()
    })
}

fn race(root: &Path, binaries: &Binaries, python: &Path, contestant: Contestant, n: u32) -> anyhow::Result<Record> {
    let due_at = in_a_moment();
    let site = Site::with_record(binaries, &World::Instances(n), &Policies::all_instances_at(due_at))?;
    let patience = PATIENCE + Duration::from_secs_f64(least(n).as_secs_f64() * PATIENCE_FACTOR);
    match contestant {
        Contestant::Amikeep => {
            let (daemon, _) = site.start_daemon()?;
            let made = |record: &Record| record.instances_with_image() == n as usize;
            let record = wait_for(&site, patience, |record| Ok(made(record)))?;
            drop(daemon);
            Ok(record.since(due_at))
        }
        Contestant::Boto3 { retries, threads } => {
            let mut peer = start_peer(root, python, &site, retries, threads)?;
            let record = wait_for(&site, patience, |_| Ok(peer.try_wait()?.is_some()));
            drop(Running::of(peer));
            let record = record?;
            let began_at = record.began_at().context("it made no call")?;
            Ok(record.since(began_at))
        }
    }
}

fn start_peer(root: &Path, python: &Path, site: &Site, retries: &str, threads: u32) -> anyhow::Result<Child> {
    let mut command = process::command(python, root);
    command.arg(root.join(SCRIPT)).arg(retries).arg(threads.to_string());
    site.give_credentials(&mut command);
    command.env("AWS_ENDPOINT_URL", site.url()).env("PATH", "/usr/bin:/bin");
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("the peer")
}

fn wait_for(
    site: &Site,
    patience: Duration,
    mut is_done: impl FnMut(&Record) -> anyhow::Result<bool>,
) -> anyhow::Result<Record> {
    let mut waited = Duration::ZERO;
    while waited < patience {
        // What ends while the record is read is found at the next look, when all of it has been written down.
        let done = is_done(&Record::read(&site.record())?)?;
        std::thread::sleep(LOOK_EVERY);
        if done {
            return Record::read(&site.record());
        }
        waited += LOOK_EVERY;
    }
    bail!("not done within {} s", patience.as_secs())
}

fn tell(name: &str, n: u32, record: &Record) -> anyhow::Result<Vec<Figure>> {
    let took = record.to_last_image().context("no image was made")?;
    let ratio = took.as_secs_f64() / least(n).as_secs_f64();
    let count = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let lost = count(n as usize - record.instances_with_image().min(n as usize));
    // The goals are amikeep's. The peers are measured by them too, so that all stand in one chart.
    let throttled = Figure::new(format!("{name}: throttled calls"), record.throttled_percent(), "%").with_goal(1.0);
    let over = Figure::new(format!("{name}: over the least that EC2 allows"), ratio, "").with_goal(1.05);
    Ok(vec![
        Figure::new(format!("{name}: to the last CreateImage"), took.as_secs_f64(), "s"),
        over,
        throttled,
        Figure::new(format!("{name}: images made"), count(record.images()), ""),
        Figure::new(format!("{name}: instances left without an image"), lost, ""),
        Figure::new(format!("{name}: instances with two"), count(record.instances_with_two()), ""),
    ])
}

/// The least time that the limits allow.
fn least(n: u32) -> SignedDuration {
    SignedDuration::from_secs_f64((f64::from(n) - BURST) / REFILL_PER_S)
}

/// Late enough for a daemon to be ready, on a whole second.
#[expect(clippy::disallowed_methods, reason = "a benchmark in real time")]
fn in_a_moment() -> Timestamp {
    let soon = Timestamp::now() + SignedDuration::from_secs(30);
    Timestamp::from_second(soon.as_second()).unwrap_or(soon)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_of_the_peers_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
        assert!(root.join(SCRIPT).is_file());
    }

    #[test]
    fn the_least_is_the_burst_and_then_the_refill() {
        assert_eq!((least(100).as_secs(), least(1_000).as_secs()), (10, 190));
    }
}
