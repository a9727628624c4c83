//! `cargo xtask torture`: the long runs of what `ci` runs shortly, and how much they went through.
//!
//! Each step is an ordinary test, told by its environment to draw from another seed, again and again. It prints what it
//! counted; this chore adds that up, and with `--write` keeps it in `docs/reliability.md`. It must never print a count that
//! was not counted in the same call, and a run that failed is no run: its seed is printed, and the chore fails.

mod counts;
mod page;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::process;
use crate::tools;
use crate::torture::counts::Counts;
use crate::torture::page::Done;

/// How long.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The steps to run; without a name all that need nothing beside the workspace.
    names: Vec<String>,
    /// Names the steps and runs none.
    #[arg(long = "list")]
    lists_only: bool,
    /// For how long, shared by the steps: a seed that was begun is ended.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "seeds")]
    minutes: u64,
    /// How many seeds each step is run with, however long it takes; some more where several are tried at once.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// How many nights of each seed have trouble, in the steps that have nights.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    nights: Option<u64>,
    /// The first seed. Those of the ordinary tests are below the default.
    #[arg(long = "from", default_value_t = 1_000)]
    first_seed: u64,
    /// Keeps the counts in docs/reliability.md.
    #[arg(long = "write")]
    writes: bool,
}

/// One test that can be run for long.
struct Step {
    name: &'static str,
    about: &'static str,
    package: &'static str,
    /// The program that has the test, as cargo is told of it.
    target: [&'static str; 2],
    test: &'static str,
    /// The variable that takes the seed.
    seed: &'static str,
    /// How many seeds, from that one on, the test is told to live through in one call.
    seeds_at_once: u64,
    /// Further variables; those of nights are overruled by `--nights`.
    environment: &'static [(&'static str, &'static str)],
    needs: Needs,
}

/// What a step takes beside the workspace.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// Root, file systems of its own and packages of another distribution: so it is run by its name alone. Its target
    /// has tests that no other run has, and all of them are run once.
    Mysql,
}

const INTEGRATION: [&str; 2] = ["--test", "it"];

const NIGHTS: &str = "AMIKEEP_SIM_NIGHTS";

const STEPS: &[Step] = &[
    Step {
        name: "simulation",
        about: "months of bad nights in process",
        package: "amikeep-engine",
        target: INTEGRATION,
        test: "simulation::what_is_left_after_months_of_bad_nights_is_what_the_rules_say",
        seed: "AMIKEEP_SIM_SEED",
        // Side by side, since a seed mostly waits: for file systems and for its clock.
        seeds_at_once: 4,
        environment: &[("AMIKEEP_SIM_SEEDS", "4"), (NIGHTS, "60")],
        needs: Needs::Nothing,
    },
    Step {
        name: "http",
        about: "bad nights over HTTP, through the adapter for AWS",
        package: "amikeep",
        target: INTEGRATION,
        test: "nights::a_month_of_bad_nights_over_http_leaves_what_simulate_says_and_guards_hold",
        seed: "AMIKEEP_SIM_SEED",
        seeds_at_once: 1,
        environment: &[("AMIKEEP_SIM_SEEDS", "1"), (NIGHTS, "31")],
        needs: Needs::Nothing,
    },
    Step {
        name: "kills",
        about: "kill -9 of the real binary at any time of waves and prunes",
        package: "amikeep",
        target: INTEGRATION,
        test: "kill::a_daemon_that_is_killed_a_hundred_times_images_every_instance_once_per_fire",
        seed: "AMIKEEP_KILL_SEED",
        seeds_at_once: 1,
        environment: &[("AMIKEEP_KILLS", "200")],
        needs: Needs::Nothing,
    },
    Step {
        name: "mysql",
        about: "images of MySQL held still at any time (only by its name)",
        package: "amikeep-hold",
        target: ["--bench", "mysql"],
        test: "proving::every_acknowledged_row_is_in_images_of_mysql_at_any_time",
        seed: "AMIKEEP_MYSQL_SEED",
        seeds_at_once: 1,
        environment: &[],
        needs: Needs::Mysql,
    },
    Step {
        name: "holds",
        about: "accidents of the real binary at any time of real holds",
        package: "amikeep",
        target: INTEGRATION,
        test: "accidents::writes_flow_again_within_the_budget_and_no_grade_is_better_than_its_copy_whatever_happens",
        seed: "AMIKEEP_ACCIDENT_SEED",
        seeds_at_once: 1,
        environment: &[("AMIKEEP_ACCIDENTS", "200")],
        needs: Needs::Nothing,
    },
];

/// Runs the steps that were asked for, and prints what they counted.
pub(crate) fn run(root: &Path, args: &Args) -> anyhow::Result<()> {
    if args.lists_only {
        for step in STEPS {
            println!("{:<12} {}", step.name, step.about);
        }
        return Ok(());
    }
    if let Some(unknown) = args.names.iter().find(|name| !STEPS.iter().any(|step| step.name == name.as_str())) {
        bail!("no step is called `{unknown}`; `cargo xtask torture --list` names them");
    }
    let is_wanted = |step: &&Step| match args.names.as_slice() {
        [] => step.needs == Needs::Nothing,
        names => names.iter().any(|name| name == step.name),
    };
    let steps: Vec<&Step> = STEPS.iter().filter(is_wanted).collect();
    let n_steps = u32::try_from(steps.len()).unwrap_or(u32::MAX).max(1);
    let share = Duration::from_secs(args.minutes * 60) / n_steps;
    let mut done = Vec::new();
    for step in steps {
        build(root, step)?;
        let installed = install(root, step)?;
        let step = torture(root, step, args, share, &installed)?;
        // At once: a later step may fail.
        println!("\n{}", page::section(&step));
        done.push(step);
    }
    if args.writes { page::write(root, &done) } else { Ok(()) }
}

/// Compiling is not counted as time of the step.
fn build(root: &Path, step: &Step) -> anyhow::Result<()> {
    process::run(test_of(root, step).arg("--no-run"))
}

/// Of the whole workspace, although one program alone has the test: the features of a single package are others, and the
/// SDK would be compiled once more for them.
fn test_of(root: &Path, step: &Step) -> Command {
    let mut command = process::cargo(root, &["test", "--quiet", "--locked", "--workspace"]);
    command.args(step.target);
    command
}

/// Variables that name what was installed for a step.
type Installed = Vec<(&'static str, PathBuf)>;

fn install(root: &Path, step: &Step) -> anyhow::Result<Installed> {
    if step.needs == Needs::Nothing {
        return Ok(Vec::new());
    }
    tools::check_file_systems(root)?;
    let installed = vec![(tools::mysql::VARIABLE, tools::mysql::install(root)?)];
    let mut rest = test_of(root, step);
    rest.args(["--", "--skip", step.test]).envs(installed.iter().map(|(name, path)| (name, path)));
    process::run(&mut rest)?;
    Ok(installed)
}

/// Seed after seed, until their number or the time is reached.
fn torture(root: &Path, step: &Step, args: &Args, share: Duration, installed: &Installed) -> anyhow::Result<Done> {
    let mut done =
        Done { name: step.name, about: step.about, seeds: 0, took: Duration::ZERO, counts: Counts::default() };
    while args.seeds.map_or(done.took < share, |seeds| done.seeds < seeds) {
        let seed = args.first_seed + done.seeds;
        let (counts, took) = process::timed(|| run_seed(root, step, args.nights, seed, installed));
        done.counts.add(&counts?);
        done.took += took;
        done.seeds += step.seeds_at_once;
        println!("{} with {}: {:.0} s", step.name, seeds_from(step, seed), took.as_secs_f64());
    }
    Ok(done)
}

fn seeds_from(step: &Step, seed: u64) -> String {
    match step.seeds_at_once {
        1 => format!("seed {seed}"),
        more => format!("seeds {seed} to {}", seed + more - 1),
    }
}

fn run_seed(root: &Path, step: &Step, nights: Option<u64>, seed: u64, installed: &Installed) -> anyhow::Result<Counts> {
    let mut command = test_of(root, step);
    command.args(["--", "--exact", step.test, "--nocapture"]).envs(step.environment.iter().copied());
    command.envs(installed.iter().map(|(name, path)| (name, path)));
    command.env(step.seed, seed.to_string()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(nights) = nights.filter(|_| step.environment.iter().any(|(name, _)| *name == NIGHTS)) {
        command.env(NIGHTS, nights.to_string());
    }
    let output = command.output().context("cargo cannot be started")?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        print!("{}{text}", String::from_utf8_lossy(&output.stdout));
        bail!(
            "{} failed with {} from {}; once it is mended, keep the seed where the test keeps its regressions",
            step.name,
            seeds_from(step, seed),
            step.seed
        );
    }
    let counts = Counts::read(&text)?;
    if counts.is_empty() {
        bail!("{} counted nothing: is there still a test {} in {}?", step.name, step.test, step.package);
    }
    Ok(counts)
}
