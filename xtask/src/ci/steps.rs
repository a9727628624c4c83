//! The steps themselves. Each one is a command line that a person could type; no step knows another.

use std::path::PathBuf;

use crate::ci::{Advisories, Context, MissingTool, Outcome};
use crate::{process, tidy, tools};

/// One check.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) run: fn(&Context<'_>) -> anyhow::Result<Outcome>,
}

/// In the order in which they run: what takes seconds, what compiles, what compiles and runs.
pub(super) const STEPS: &[Step] = &[
    Step { name: "fmt", about: "the code is laid out as rustfmt does", run: fmt },
    Step { name: "tidy", about: "the project's own rules", run: run_tidy },
    Step { name: "locks", about: "the lock files are what the manifests ask for", run: check_locks },
    Step { name: "deny", about: "licences, bans and sources of all packages", run: deny },
    Step { name: "advisories", about: "known vulnerabilities of all packages", run: advisories },
    Step { name: "clippy", about: "no warning in any target", run: clippy },
    Step { name: "doc", about: "the documentation builds, and every link in it leads somewhere", run: doc },
    Step { name: "tools", about: "what the end-to-end tests drive", run: install_tools },
    Step { name: "systemd", about: "what the service's test boots a container with", run: look_for_nspawn },
    Step { name: "filesystems", about: "what tests of broken and frozen disks need", run: look_for_file_systems },
    Step { name: "test", about: "unit and end-to-end tests", run: test },
    Step { name: "doctest", about: "the examples in the documentation", run: doctest },
];

fn fmt(context: &Context<'_>) -> anyhow::Result<Outcome> {
    cargo(context, &["fmt", "--all", "--check"])
}

fn run_tidy(context: &Context<'_>) -> anyhow::Result<Outcome> {
    tidy::run(context.root)?;
    Ok(Outcome::Passed)
}

fn clippy(context: &Context<'_>) -> anyhow::Result<Outcome> {
    cargo(context, &["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

/// Private items too: most of this code is read by those who change it. Shares clippy's check of all packages.
fn doc(context: &Context<'_>) -> anyhow::Result<Outcome> {
    let arguments = ["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"];
    process::run(process::cargo(context.root, &arguments).env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Outcome::Passed)
}

fn test(context: &Context<'_>) -> anyhow::Result<Outcome> {
    let has_nextest = process::answer(&mut process::cargo(context.root, &["nextest", "--version"])).is_some();
    let arguments: &[&str] = if has_nextest {
        &["nextest", "run", "--locked", "--workspace", "--no-fail-fast"]
    } else {
        println!("cargo-nextest is not installed; cargo test runs the same tests, more slowly");
        &["test", "--locked", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"]
    };
    let mut command = process::cargo(context.root, arguments);
    if let Some(aws) = tools::installed_aws(context.root) {
        command.env(tools::AWS_VARIABLE, aws);
    }
    if let Some(python) = tools::installed_moto(context.root) {
        command.env(tools::MOTO_VARIABLE, python);
    }
    if context.missing_tool == MissingTool::Report && tools::check_nspawn(context.root).is_err() {
        command.env(tools::SKIP_SYSTEMD_VARIABLE, "1");
    }
    if context.missing_tool == MissingTool::Report && tools::check_file_systems(context.root).is_err() {
        command.env(tools::FILE_SYSTEMS_VARIABLE, "off");
    }
    process::run(&mut command)?;
    Ok(Outcome::Passed)
}

/// nextest does not run these.
fn doctest(context: &Context<'_>) -> anyhow::Result<Outcome> {
    cargo(context, &["test", "--locked", "--workspace", "--doc"])
}

fn install_tools(context: &Context<'_>) -> anyhow::Result<Outcome> {
    let installed = tools::install_aws(context.root).and_then(|aws| Ok((aws, tools::install_moto(context.root)?)));
    match (installed, context.missing_tool) {
        (Ok((aws, moto)), _) => {
            println!("{}={}", tools::AWS_VARIABLE, aws.display());
            println!("{}={}", tools::MOTO_VARIABLE, moto.display());
            Ok(Outcome::Passed)
        }
        (Err(error), MissingTool::Install) => Err(error),
        (Err(error), MissingTool::Report) => Ok(Outcome::NotRun(format!("no tools for the tests: {error:#}"))),
    }
}

/// Without it the service's test says that it did nothing, and passes; so it is this step that must be seen.
fn look_for_nspawn(context: &Context<'_>) -> anyhow::Result<Outcome> {
    match (tools::check_nspawn(context.root), context.missing_tool) {
        (Ok(()), _) => Ok(Outcome::Passed),
        (Err(error), MissingTool::Install) => Err(error),
        (Err(error), MissingTool::Report) => Ok(Outcome::NotRun(format!("the service was not booted: {error:#}"))),
    }
}

/// As for the service's test.
fn look_for_file_systems(context: &Context<'_>) -> anyhow::Result<Outcome> {
    match (tools::check_file_systems(context.root), context.missing_tool) {
        (Ok(()), _) => Ok(Outcome::Passed),
        (Err(error), MissingTool::Install) => Err(error),
        (Err(error), MissingTool::Report) => Ok(Outcome::NotRun(format!("no file system was mounted: {error:#}"))),
    }
}

/// The fuzzers have a lock file of their own, which no other build reads. Packages of other platforms are fetched too.
fn check_locks(context: &Context<'_>) -> anyhow::Result<Outcome> {
    cargo(context, &["fetch", "--locked"])?;
    cargo(context, &["fetch", "--locked", "--manifest-path", "fuzz/Cargo.toml"])
}

/// Reads every package of the lock file, which the step before has fetched. The check itself needs no network.
fn deny(context: &Context<'_>) -> anyhow::Result<Outcome> {
    cargo_deny(context, &["--offline", "check", "bans", "licenses", "sources"])
}

fn advisories(context: &Context<'_>) -> anyhow::Result<Outcome> {
    match context.advisories {
        Advisories::Ask => cargo_deny(context, &["check", "advisories"]),
        Advisories::Leave => Ok(Outcome::NotRun("needs the network: --advisories".to_owned())),
    }
}

fn cargo_deny(context: &Context<'_>, arguments: &[&str]) -> anyhow::Result<Outcome> {
    let program = match find_deny(context) {
        Ok(program) => program,
        Err(reason) => return Ok(Outcome::NotRun(reason)),
    };
    process::run(process::command(program, context.root).args(arguments))?;
    Ok(Outcome::Passed)
}

/// The program, or why there is none. Even a strict run goes on without it: tidy asserts the bans that matter most.
fn find_deny(context: &Context<'_>) -> Result<PathBuf, String> {
    if let Some(program) = tools::installed_deny(context.root) {
        return Ok(program);
    }
    match context.missing_tool {
        MissingTool::Install => {
            tools::install_deny(context.root).map_err(|error| format!("cargo-deny cannot be installed: {error:#}"))
        }
        MissingTool::Report => {
            Err(format!("cargo-deny is not installed; --strict does it, or cargo {}", tools::DENY_INSTALL.join(" ")))
        }
    }
}

fn cargo(context: &Context<'_>, arguments: &[&str]) -> anyhow::Result<Outcome> {
    process::run(&mut process::cargo(context.root, arguments))?;
    Ok(Outcome::Passed)
}
