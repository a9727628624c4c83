//! Tools that the chores use and the workspace does not build: the real `aws` command line, boto3, moto, `cargo-deny`,
//! `cargo-mutants`, MySQL, and what is the machine's own: `systemd-nspawn`, and what makes and mounts file systems.
//!
//! What is installed here is installed once, below `target/tools`, and nowhere else on the machine. The versions are
//! pinned here, so that two machines judge alike.

pub(crate) mod mysql;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::process;

/// The variable that hands the `aws` program's path to the tests.
pub(crate) const AWS_VARIABLE: &str = "AMIKEEP_TEST_AWS";

/// The variable that hands the path of a Python with moto to the tests.
pub(crate) const MOTO_VARIABLE: &str = "AMIKEEP_TEST_MOTO";

/// The variable by which the test that boots the service is told to leave it, on a machine where it cannot.
pub(crate) const SKIP_SYSTEMD_VARIABLE: &str = "AMIKEEP_SKIP_SYSTEMD";

/// The variable by which the tests that mount file systems are told to leave it.
pub(crate) const FILE_SYSTEMS_VARIABLE: &str = "AMIKEEP_FS_TESTS";

/// The programs of those tests, each with its Debian package and something that it answers to at once.
const FILE_SYSTEM_PROGRAMS: [(&str, &str, &str); 9] = [
    ("mkfs.xfs", "xfsprogs", "-V"),
    ("mkfs.ext4", "e2fsprogs", "-V"),
    ("losetup", "mount", "--find"),
    ("fsfreeze", "util-linux", "--version"),
    ("dash", "dash", "/dev/null"),
    ("busybox", "busybox", "--list"),
    ("redis-server", "redis-server", "--version"),
    ("mariadbd", "mariadb-server", "--version"),
    ("pg_lsclusters", "postgresql", "--no-header"),
];

const AWS_CLI_VERSION: &str = "1.46.3";
const BOTO3_VERSION: &str = "1.43.11";
const MOTO_VERSION: &str = "5.2.5";

/// What installs `cargo-deny`, but for the place. The debug build takes a minute and a half instead of several.
pub(crate) const DENY_INSTALL: [&str; 6] = ["install", "cargo-deny", "--version", "0.20.2", "--locked", "--debug"];

/// What installs `cargo-mutants`, but for the place.
const MUTANTS_INSTALL: [&str; 6] = ["install", "cargo-mutants", "--version", "27.1.0", "--locked", "--debug"];

/// The `aws` program of the tests, if [`install_aws`] has already made it.
pub(crate) fn installed_aws(root: &Path) -> Option<PathBuf> {
    let program = environment(root).join("bin/aws");
    // A broken or half-made environment has the file but does not answer.
    process::answer(process::command(&program, root).arg("--version"))?;
    Some(program)
}

/// Makes the virtual environment once, and returns the `aws` program in it.
pub(crate) fn install_aws(root: &Path) -> anyhow::Result<PathBuf> {
    if let Some(program) = installed_aws(root) {
        return Ok(program);
    }
    let (environment, package) = (environment(root), format!("awscli=={AWS_CLI_VERSION}"));
    make_environment(root, &environment, &package)?;
    match installed_aws(root) {
        Some(program) => Ok(program),
        None => bail!("{package} is installed in {} but does not run", environment.display()),
    }
}

/// Makes a virtual environment with boto3 once, for the peers of the benchmarks, and returns its Python.
pub(crate) fn install_boto3(root: &Path) -> anyhow::Result<PathBuf> {
    let environment = root.join("target/tools/boto3");
    let python = environment.join("bin/python");
    let question = format!("import boto3; assert boto3.__version__ == '{BOTO3_VERSION}'");
    if process::answer(process::command(&python, root).args(["-c", &question])).is_none() {
        make_environment(root, &environment, &format!("boto3=={BOTO3_VERSION}"))?;
    }
    Ok(python)
}

/// The Python that has moto, if [`install_moto`] has already made it.
pub(crate) fn installed_moto(root: &Path) -> Option<PathBuf> {
    let python = root.join("target/tools/moto/bin/python");
    let question = format!("import moto, moto.moto_server; assert moto.__version__ == '{MOTO_VERSION}'");
    process::answer(process::command(&python, root).args(["-c", &question]))?;
    Some(python)
}

/// Makes a virtual environment with moto once, an EC2 that others wrote, and returns its Python.
pub(crate) fn install_moto(root: &Path) -> anyhow::Result<PathBuf> {
    if let Some(python) = installed_moto(root) {
        return Ok(python);
    }
    let package = format!("moto[server]=={MOTO_VERSION}");
    make_environment(root, &root.join("target/tools/moto"), &package)?;
    installed_moto(root).with_context(|| format!("{package} is installed and does not run"))
}

/// A virtual environment of Python with one package and what it needs, in place of what is there.
fn make_environment(root: &Path, environment: &Path, package: &str) -> anyhow::Result<()> {
    if environment.exists() {
        fs::remove_dir_all(environment).with_context(|| format!("cannot remove {}", environment.display()))?;
    }
    process::run(process::command("python3", root).args(["-m", "venv"]).arg(environment))
        .context("python3 with its venv module is needed (Debian: python3-venv)")?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package];
    process::run(process::command(environment.join("bin/python"), root).args(pip))
        .with_context(|| format!("pip cannot install {package}"))
}

/// Whether this machine can boot a container: systemd-nspawn is there, and we are root.
pub(crate) fn check_nspawn(root: &Path) -> anyhow::Result<()> {
    process::answer(process::command("systemd-nspawn", root).arg("--version"))
        .context("systemd-nspawn is needed (Debian: systemd-container)")?;
    check_root("a container is booted")
}

/// Whether this machine can make and mount file systems of its own: the programs and loop devices are there, and we are
/// root.
pub(crate) fn check_file_systems(root: &Path) -> anyhow::Result<()> {
    check_root("a file system is mounted")?;
    for (program, package, question) in FILE_SYSTEM_PROGRAMS {
        process::answer(process::command(program, root).arg(question))
            .with_context(|| format!("`{program} {question}` fails here (Debian: {package})"))?;
    }
    Ok(())
}

fn check_root(what: &str) -> anyhow::Result<()> {
    let user = fs::metadata("/proc/self").context("cannot see whose process this is")?.uid();
    if user != 0 {
        bail!("{what} as root, and this is user {user}");
    }
    Ok(())
}

/// The machine's own `cargo-deny`, else the one that [`install_deny`] has made.
pub(crate) fn installed_deny(root: &Path) -> Option<PathBuf> {
    let candidates = [PathBuf::from("cargo-deny"), deny_directory(root).join("bin/cargo-deny")];
    candidates.into_iter().find(|program| process::answer(process::command(program, root).arg("--version")).is_some())
}

/// Compiles `cargo-deny`, and returns the program.
pub(crate) fn install_deny(root: &Path) -> anyhow::Result<PathBuf> {
    let directory = deny_directory(root);
    process::run(process::cargo(root, &DENY_INSTALL).arg("--root").arg(&directory))?;
    Ok(directory.join("bin/cargo-deny"))
}

/// The `cargo-mutants` of the pinned version, compiled if it is not there yet. What it changes differs between versions.
pub(crate) fn mutants(root: &Path) -> anyhow::Result<PathBuf> {
    let directory = root.join("target/tools/cargo-mutants");
    let program = directory.join("bin/cargo-mutants");
    if process::answer(process::command(&program, root).args(["mutants", "--version"])).is_none() {
        process::run(process::cargo(root, &MUTANTS_INSTALL).arg("--root").arg(&directory))?;
    }
    Ok(program)
}

fn deny_directory(root: &Path) -> PathBuf {
    root.join("target/tools/cargo-deny")
}

fn environment(root: &Path) -> PathBuf {
    root.join("target/tools/awscli")
}
