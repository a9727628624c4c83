//! Mutation testing of the domain: every small change of it that compiles should make one of its own tests fail.
//!
//! Takes an hour of one core, so it is no part of `ci`. Changes that no test can notice, since they change nothing, are
//! listed in `.cargo/mutants.toml` with the reason of each. `docs/fuzzing.md` has the figures of the last run.

use std::path::Path;

use crate::{process, tools};

/// Under a change that makes a loop endless a test ends only by this. Sound tests take ten seconds.
const TIMEOUT_SECS: &str = "120";

/// How many cases each law is tried with. A change that only more cases would notice is shown as missed; fewer cases
/// never hide one.
const CASES: &str = "32";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Changes these files alone; globs are understood.
    #[arg(long = "file", value_name = "PATH")]
    files: Vec<String>,
    /// How many cases of each law are tried.
    #[arg(long, default_value = CASES)]
    cases: String,
}

/// Fails if a change goes unnoticed. What was found is in `target/mutants.out`.
pub(crate) fn run(root: &Path, args: &Args) -> anyhow::Result<()> {
    let mut command = process::command(tools::mutants(root)?, root);
    command.args(["mutants", "--package", "amikeep-domain", "--profile", "mutants", "--output", "target"]);
    command.args(["--timeout", TIMEOUT_SECS]);
    for file in &args.files {
        command.args(["--file", file]);
    }
    command.args(["--", "--lib"]).env("PROPTEST_CASES", &args.cases);
    // That a law is broken is enough; the smallest input that breaks it takes minutes to find.
    command.env("PROPTEST_MAX_SHRINK_ITERS", "0");
    process::run(&mut command)
}
