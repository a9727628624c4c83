//! What a newcomer waits for: the clone, the build and the demo, by the very command that the README shows.
//!
//! Cold means an empty target directory. Packages that cargo has downloaded before stay downloaded, since the network
//! is not what is measured.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::bench::figure::Figure;
use crate::process;

pub(super) fn run(root: &Path) -> anyhow::Result<Vec<Figure>> {
    let readme = fs::read_to_string(root.join("README.md")).context("cannot read README.md")?;
    let demo = demo_command(&readme).context("README.md shows no command that runs the demo")?;
    let place = Scratch::new()?;
    let clone = place.0.join("amikeep");
    let (cloned, to_clone) = process::timed(|| {
        process::run(process::command("git", root).args(["clone", "--quiet", "--no-hardlinks"]).arg(root).arg(&clone))
    });
    cloned.context("only committed work can be cloned")?;
    let (built, to_end) = process::timed(|| shell(demo, &clone));
    built?;
    let (repeated, again) = process::timed(|| shell(demo, &clone));
    repeated?;
    Ok(vec![
        Figure::new("clone to end of demo", (to_clone + to_end).as_secs_f64(), "s"),
        Figure::new("the demo again", again.as_secs_f64(), "s"),
    ])
}

/// The README's command as a person would type it, with the clone's own target directory.
fn shell(line: &str, directory: &Path) -> anyhow::Result<()> {
    process::run(process::command("sh", directory).args(["-c", line]).env_remove("CARGO_TARGET_DIR"))
}

/// The first line of a fenced block that has cargo run the demo.
fn demo_command(readme: &str) -> Option<&str> {
    let lines = readme.lines().map(|line| line.trim().trim_start_matches("$ "));
    lines.filter(|line| line.starts_with("cargo run")).find(|line| line.split_whitespace().any(|word| word == "demo"))
}

/// A directory that goes away with its owner: a cold build fills gigabytes.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("amikeep-bench-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} is left behind: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_command_is_the_readmes_own() {
        let readme = "Run the demo:\n\n```sh\ncargo run -- check\n$ cargo run --quiet -- demo\n```\n";
        assert_eq!(demo_command(readme), Some("cargo run --quiet -- demo"));
        assert_eq!(demo_command("The demo needs cargo run first.\n"), None);
    }

    #[test]
    fn a_scratch_directory_does_not_outlive_its_owner() {
        let scratch = Scratch::new().expect("a directory");
        let path = scratch.0.clone();
        assert!(path.is_dir());
        drop(scratch);
        assert!(!path.exists());
    }
}
