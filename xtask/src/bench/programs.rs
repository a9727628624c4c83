//! Benchmarks that are programs of a crate: `cargo bench` builds and runs them, and they print their figures.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, bail};

use crate::bench::figure::Figure;
use crate::process;

pub(super) fn ledger(root: &Path) -> anyhow::Result<Vec<Figure>> {
    cargo_bench(root, "amikeep-ledger", "ledger")
}

pub(super) fn retention(root: &Path) -> anyhow::Result<Vec<Figure>> {
    cargo_bench(root, "amikeep-domain", "retention")
}

pub(super) fn restart(root: &Path) -> anyhow::Result<Vec<Figure>> {
    cargo_bench(root, "amikeep-engine", "restart")
}

pub(super) fn wave(root: &Path) -> anyhow::Result<Vec<Figure>> {
    cargo_bench(root, "amikeep-engine", "wave")
}

/// What it tells besides its figures goes to stderr as it comes.
fn cargo_bench(root: &Path, package: &str, bench: &str) -> anyhow::Result<Vec<Figure>> {
    let arguments = ["bench", "--locked", "--quiet", "--package", package, "--bench", bench];
    let mut command = process::cargo(root, &arguments);
    let output = command.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo bench --package {package} --bench {bench} ended with {}", output.status);
    }
    Figure::parse_lines(&String::from_utf8_lossy(&output.stdout))
}
