//! `cargo xtask bench`: measurements that somebody else can repeat.
//!
//! Prints what ran, on which machine, how often, and the spread beside the median; `--write` keeps it in
//! `docs/performance.md`. It must never print a figure that was not measured in the same call, and never judge a run by
//! its figures: a goal that was missed is shown as missed.

mod chart;
mod cold_demo;
mod daemon;
mod figure;
pub(crate) mod machine;
mod page;
mod peers;
mod programs;
mod stall;

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::bench::figure::{Figure, Row};
use crate::bench::page::Measured;

/// Which benchmarks, and how often.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The benchmarks to run; all without a name.
    names: Vec<String>,
    /// Names the benchmarks and runs none.
    #[arg(long = "list")]
    lists_only: bool,
    /// How often each one is run, 30 times for `stall` and once for the others; the median is shown.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// Keeps the figures in docs/performance.md, with their charts.
    #[arg(long = "write")]
    writes: bool,
}

/// One measurement.
pub(crate) struct Benchmark {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// How often it is run unless something else is asked for.
    runs: u32,
    /// One run: the figures, in the same order every time.
    run: fn(&Path) -> anyhow::Result<Vec<Figure>>,
}

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "ledger",
        about: "the ledger at a million jobs: history in pages of 50, commits, and size",
        runs: 1,
        run: programs::ledger,
    },
    Benchmark {
        name: "retention",
        about: "rules and guards over a million images in a thousand series, and a whole prune of a region as full as EC2 allows",
        runs: 1,
        run: programs::retention,
    },
    Benchmark {
        name: "restart",
        about: "a restart with 10,000 jobs in flight, until EC2 was asked about every one of them",
        runs: 1,
        run: programs::restart,
    },
    Benchmark {
        name: "wave",
        about: "waves of instances that are due at once, against EC2's documented request limits, in simulated time",
        runs: 1,
        run: programs::wave,
    },
    Benchmark {
        name: "peers",
        about: "the same in real time over HTTP, with scripts of boto3 beside it, all at once and each with its own EC2",
        runs: 1,
        run: peers::run,
    },
    Benchmark {
        name: "start",
        about: "the release binary: its size, and the daemon from its start to READY",
        runs: 1,
        run: daemon::start,
    },
    Benchmark {
        name: "idle",
        about: "the daemon over a minute in which little happens, with 10,000 instances at a simulated EC2",
        runs: 1,
        run: daemon::idle,
    },
    Benchmark { name: "stall", about: stall::ABOUT, runs: stall::RUNS, run: stall::run },
    Benchmark {
        name: "cold-demo",
        about: "from a fresh clone to the end of the README's demo, then the demo once more",
        runs: 1,
        run: cold_demo::run,
    },
];

/// Runs the benchmarks that were asked for.
pub(crate) fn run(root: &Path, args: &Args) -> anyhow::Result<()> {
    if args.lists_only {
        for benchmark in BENCHMARKS {
            println!("{:<12} {}", benchmark.name, benchmark.about);
        }
        return Ok(());
    }
    if let Some(unknown) = args.names.iter().find(|name| !BENCHMARKS.iter().any(|b| b.name == name.as_str())) {
        bail!("no benchmark is called `{unknown}`; `cargo xtask bench --list` names them");
    }
    let machine = machine::describe(root);
    let mut report = String::new();
    let is_wanted = |name: &str| args.names.is_empty() || args.names.iter().any(|wanted| wanted == name);
    for benchmark in BENCHMARKS.iter().filter(|benchmark| is_wanted(benchmark.name)) {
        let mut runs = Vec::new();
        for _ in 0..args.runs.unwrap_or(benchmark.runs) {
            runs.push((benchmark.run)(root).with_context(|| format!("benchmark `{}`", benchmark.name))?);
        }
        let measured = Measured { machine: machine.clone(), rows: Row::join(&runs) };
        if args.writes {
            page::write(root, benchmark.name, &measured)?;
        }
        report.push_str(&page::section(benchmark.name, benchmark.about, &measured));
    }
    // Last, and in one piece: the children have written to the same output.
    print!("{report}");
    Ok(())
}
