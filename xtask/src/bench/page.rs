//! `docs/performance.md`: what the last written run of each benchmark measured, as tables and charts.
//!
//! The figures themselves are kept beside it as JSON, one file per benchmark, so that one benchmark can be measured anew
//! without the others. The page is made from those files and holds nothing else that was measured.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::bench::figure::{Row, number};
use crate::bench::{BENCHMARKS, chart};

/// One benchmark as it was last measured.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Measured {
    /// The machine, the compiler and the commit.
    pub(crate) machine: String,
    pub(crate) rows: Vec<Row>,
}

const HEAD: &str = "\
# Performance

Measured by `cargo xtask bench NAME --runs N --write`, which wrote this page; `cargo xtask bench --list` names the
benchmarks. Each figure is the median of the runs, with the lowest and the highest. The machines that this is measured
on are shared and noisy: read orders of magnitude and ratios, not digits. Bars show each figure as a share of its goal.
";

/// What the figures of a benchmark mean, for whoever has not read it.
const MEANINGS: &[(&str, &str)] = &[
    (
        "wave",
        "Engine, ledger and pacer are the daemon's; EC2 and time are simulated, so what is said of EC2 is the same on any \
         machine, and only the ticks are real time. The least is EC2's documented burst of 50 and then 5 a second. The \
         pacer leaves one token and a hundredth of the refill alone, so that hardly anything is throttled: that is all \
         that a long wave takes more, and a wave of 100, which is over in ten seconds, feels the one token.",
    ),
    (
        "peers",
        "All contestants of a wave run at the same time on this machine, each against a simulator of its own that counts \
         its calls. amikeep's time begins at the nominal time of the fire and so contains the listing and the writing \
         down of all jobs; a script's time begins with its first call. A script that gives up on an instance is done \
         sooner, and below the least if it leaves out enough.",
    ),
    (
        "restart",
        "Real time, with a simulated EC2 that answers at once. One question takes at most 200 ids in its filter, which is \
         what the least possible number of calls comes from.",
    ),
    (
        "idle",
        "Processor time is what Linux counts for the process, in hundredths of a second. A fire is late by the time from \
         its nominal second to its row in the ledger, so it contains a listing of the account. Memory is what Linux counts \
         as resident. Pages of files are those of the program as it is on the disk: the system takes them back when it \
         needs them, and daemons of one host share them. Policies fire in all 1,440 minutes of a day, and those of one \
         schedule share it: ten thousand different ones take 8 MiB more.",
    ),
    ("ledger", "Commits are synced to the disk one by one, so their number a second is the disk's more than ours."),
];

/// Keeps what was measured, draws its chart, and makes the page anew.
pub(crate) fn write(root: &Path, name: &str, measured: &Measured) -> anyhow::Result<()> {
    let directory = directory(root);
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    write_file(&directory.join(format!("{name}.json")), &format!("{}\n", serde_json::to_string_pretty(measured)?))?;
    if let Some(svg) = chart::render(name, &measured.rows) {
        write_file(&directory.join(format!("{name}.svg")), &svg)?;
    }
    write_file(&root.join("docs/performance.md"), &page(root)?)
}

fn page(root: &Path) -> anyhow::Result<String> {
    let mut page = HEAD.to_owned();
    for benchmark in BENCHMARKS {
        let path = directory(root).join(format!("{}.json", benchmark.name));
        if !path.exists() {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let measured: Measured =
            serde_json::from_str(&text).with_context(|| format!("{} was not written by this", path.display()))?;
        page.push_str(&section(benchmark.name, benchmark.about, &measured));
    }
    Ok(page)
}

/// A heading, the table, the chart if there is one, and the machine.
pub(crate) fn section(name: &str, about: &str, measured: &Measured) -> String {
    let meaning = MEANINGS.iter().find(|(it, _)| *it == name);
    let meaning = meaning.map_or_else(String::new, |(_, text)| format!("{}\n\n", folded(text)));
    let mut text = format!("\n## {name}\n\n{}.\n\n{meaning}{}", capitalised(about), table(&measured.rows));
    if chart::render(name, &measured.rows).is_some() {
        let _ = write!(text, "\n![{name}: each figure as a share of its goal](performance/{name}.svg)\n");
    }
    let _ = write!(text, "\n{}", measured.machine);
    text
}

/// The figures as a Markdown table.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = "| figure | median | lowest to highest | runs | goal |\n|---|---|---|---|---|\n".to_owned();
    for row in rows {
        let goal = row.at_most.map_or_else(String::new, |goal| {
            let word = if row.median() <= goal { "met" } else { "missed" };
            format!("at most {}{}: {word}", number(goal), unit(&row.unit))
        });
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {}{} | {} to {} | {} | {goal} |",
            row.figure,
            number(row.median()),
            unit(&row.unit),
            number(row.lowest()),
            number(row.highest()),
            row.values.len(),
        );
    }
    text
}

fn unit(unit: &str) -> String {
    if unit.is_empty() { String::new() } else { format!(" {unit}") }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// In lines of the length of all our pages.
fn folded(text: &str) -> String {
    const WIDTH: usize = 118;
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

fn directory(root: &Path) -> PathBuf {
    root.join("docs/performance")
}

fn write_file(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_which_goal_was_missed() {
        let row = |name: &str, value: f64| Row {
            figure: name.to_owned(),
            unit: "ms".to_owned(),
            at_most: Some(5.0),
            values: vec![value, value, value],
        };
        let table = table(&[row("first page", 1.0), row("late page", 9.5)]);
        assert!(table.contains("| first page | 1 ms | 1 to 1 | 3 | at most 5 ms: met |"), "{table}");
        assert!(table.contains("| late page | 9.50 ms | 9.50 to 9.50 | 3 | at most 5 ms: missed |"), "{table}");
    }

    #[test]
    fn what_is_explained_is_measured() {
        for (name, text) in MEANINGS {
            assert!(BENCHMARKS.iter().any(|benchmark| benchmark.name == *name), "{name}");
            assert!(folded(text).lines().all(|line| line.len() <= 120), "{name}");
        }
    }

    #[test]
    fn what_is_kept_is_read_as_it_was_written() {
        let row = Row { figure: "one".to_owned(), unit: String::new(), at_most: None, values: vec![1.5] };
        let text = serde_json::to_string(&Measured { machine: "here".to_owned(), rows: vec![row.clone()] }).unwrap();
        let read: Measured = serde_json::from_str(&text).unwrap();
        assert_eq!((read.machine.as_str(), read.rows), ("here", vec![row]));
    }
}
