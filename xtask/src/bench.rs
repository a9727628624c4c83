//! `cargo xtask bench`: measurements that somebody else can repeat.
//!
//! Prints what ran, on which machine, how often, and every single run beside the median. It must never print a figure
//! that was not measured in the same call.

mod cold_demo;
mod machine;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};

/// Which benchmarks, and how often.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The benchmarks to run; all without a name.
    names: Vec<String>,
    /// Names the benchmarks and runs none.
    #[arg(long = "list")]
    lists_only: bool,
    /// How often each one is run; the median is shown.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
}

/// One measurement.
struct Benchmark {
    name: &'static str,
    about: &'static str,
    /// One run: the figures, in the same order every time.
    run: fn(&Path) -> anyhow::Result<Vec<Figure>>,
}

/// One measured time.
struct Figure {
    name: &'static str,
    took: Duration,
}

const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "cold-demo",
    about: "from a fresh clone to the end of the README's demo, then the demo once more",
    run: cold_demo::run,
}];

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
    let mut report = machine::describe(root);
    for benchmark in BENCHMARKS.iter().filter(|b| args.names.is_empty() || args.names.iter().any(|name| name == b.name))
    {
        let mut runs = Vec::new();
        for _ in 0..args.runs {
            runs.push((benchmark.run)(root).with_context(|| format!("benchmark `{}`", benchmark.name))?);
        }
        report.push_str(&render(benchmark, &runs));
    }
    // Last, and in one piece: the children have written to the same output.
    print!("\n{report}");
    Ok(())
}

fn render(benchmark: &Benchmark, runs: &[Vec<Figure>]) -> String {
    let mut text = format!(
        "\n**{}**: {}\n\n| figure | runs | median | every run |\n|---|---|---|---|\n",
        benchmark.name, benchmark.about
    );
    for (index, figure) in runs.first().into_iter().flatten().enumerate() {
        let times: Vec<Duration> = runs.iter().filter_map(|run| Some(run.get(index)?.took)).collect();
        let every: Vec<String> = times.iter().copied().map(seconds).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            figure.name,
            times.len(),
            seconds(median(&times)),
            every.join(", ")
        );
    }
    text
}

/// The middle value, or the mean of the two in the middle.
fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    let middle = sorted.len() / 2;
    match (sorted.len() % 2, sorted.get(middle)) {
        (_, None) => Duration::ZERO,
        (1, Some(value)) => *value,
        (_, Some(value)) => (sorted[middle - 1] + *value) / 2,
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_of_runs_is_between_the_middle_two() {
        let seconds = |all: &[u64]| all.iter().copied().map(Duration::from_secs).collect::<Vec<_>>();
        assert_eq!(median(&seconds(&[9, 1, 5])), Duration::from_secs(5));
        assert_eq!(median(&seconds(&[9, 1, 5, 7])), Duration::from_secs(6));
        assert_eq!(median(&[]), Duration::ZERO);
    }

    #[test]
    fn every_run_is_shown_beside_the_median() {
        let run = |cold: u64, warm: u64| {
            let took = Duration::from_secs;
            vec![Figure { name: "cold", took: took(cold) }, Figure { name: "again", took: took(warm) }]
        };
        let text = render(&BENCHMARKS[0], &[run(300, 5), run(200, 4), run(100, 9)]);
        assert!(
            text.ends_with(
                "| cold | 3 | 200.0 s | 300.0 s, 200.0 s, 100.0 s |\n| again | 3 | 5.0 s | 5.0 s, 4.0 s, 9.0 s |\n"
            ),
            "{text}"
        );
    }
}
