//! The project's own chores: `cargo xtask ci`, `tidy`, `man`, `bench`, `experiment`, `torture` and `mutants`.
//!
//! Whatever checks this project is here and nowhere else, so that a laptop and a build machine judge alike. Nothing
//! of the product may depend on this package.
#![expect(clippy::print_stdout, reason = "a command line tool talks on its standard output")]

mod bench;
mod ci;
mod experiment;
mod man;
mod mutants;
mod process;
mod tidy;
mod tools;
mod torture;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of the amikeep workspace.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Runs every check of the project, the cheap ones first.
    Ci(ci::Args),
    /// Checks what the compiler does not know: dependency arrows, file lengths, pages that name things.
    Tidy,
    /// Writes the manual pages into target/man.
    Man,
    /// Measures, and prints a Markdown table.
    Bench(bench::Args),
    /// Runs the tests of bad luck for long, and prints what they went through.
    Torture(torture::Args),
    /// Changes the domain in every small way, and tells which change no test notices.
    Mutants(mutants::Args),
    /// Takes images in every way and looks at what is in them, for hours; can be ended and goes on.
    Experiment(experiment::Args),
}

fn main() -> ExitCode {
    let root = root();
    let done = match Cli::parse().chore {
        Chore::Ci(args) => ci::run(&root, &args),
        Chore::Tidy => tidy::run(&root),
        Chore::Man => man::run(&root),
        Chore::Bench(args) => bench::run(&root, &args),
        Chore::Torture(args) => torture::run(&root, &args),
        Chore::Mutants(args) => mutants::run(&root, &args),
        Chore::Experiment(args) => experiment::run(&root, &args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's root, whatever directory the chore was started in.
///
/// Cargo says at run time which package it runs. The path from compile time is only a fall-back: two checkouts that
/// share a target directory share this program too, and would check the wrong one.
fn root() -> PathBuf {
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    package.parent().map_or_else(|| package.clone(), Path::to_path_buf)
}
