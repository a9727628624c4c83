//! `cargo xtask ci`: every check of the project, in one order, the cheap ones first.
//!
//! All steps share the dev profile and cargo's one target directory, since aws-sdk-ec2 takes minutes to compile. A
//! check that exists only elsewhere, in a build machine's own script, would be a check that nobody can repeat.

mod steps;
mod summary;

use std::path::Path;

use anyhow::bail;
use clap::builder::FalseyValueParser;

use crate::ci::steps::STEPS;
use crate::ci::summary::Row;
use crate::process;

/// How strict, and how far.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// As on a build machine: installs the tools that the checks use, and fails without those of the tests.
    #[arg(long = "strict", env = "CI", value_parser = FalseyValueParser::new())]
    is_strict: bool,
    /// Asks the advisory database too, which needs the network.
    #[arg(long = "advisories")]
    with_advisories: bool,
    /// Runs the steps after a failed one as well.
    #[arg(long = "keep-going")]
    keeps_going: bool,
}

/// What to do about a tool that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MissingTool {
    /// Install it; without the tests' tools a strict run fails.
    Install,
    /// Go on, and say plainly what was not run.
    Report,
}

/// Whether the advisory database is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Advisories {
    Ask,
    Leave,
}

/// What the steps need to know.
struct Context<'a> {
    root: &'a Path,
    missing_tool: MissingTool,
    advisories: Advisories,
}

/// How a step ended, if it did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Passed,
    /// The reason, and how to make it run.
    NotRun(String),
}

/// Runs all steps, prints the table, and fails if a step did.
pub(crate) fn run(root: &Path, args: &Args) -> anyhow::Result<()> {
    let context = Context {
        root,
        missing_tool: if args.is_strict { MissingTool::Install } else { MissingTool::Report },
        advisories: if args.with_advisories { Advisories::Ask } else { Advisories::Leave },
    };
    let mut rows: Vec<Row> = Vec::new();
    let (failed, took) = process::timed(|| {
        let mut failed: Vec<&str> = Vec::new();
        for step in STEPS {
            if !failed.is_empty() && !args.keeps_going {
                rows.push(Row::after_a_failure(step.name));
                continue;
            }
            println!("\n=== {}: {}", step.name, step.about);
            let (result, took) = process::timed(|| (step.run)(&context));
            let row = Row::new(step.name, &result, took);
            println!("=== {row}");
            if result.is_err() {
                failed.push(step.name);
            }
            rows.push(row);
        }
        failed
    });
    print!("\n{}", summary::render(&rows, took));
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}
