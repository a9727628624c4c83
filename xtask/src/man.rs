//! `cargo xtask man`: the manual pages of all commands, in `target/man`.
//!
//! The pages come from the definition of the command line, which only the binary has: it writes them itself, and this
//! chore says where to. Linking the binary's crates here would make every chore wait for the AWS SDK.

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::process;

/// Below the root; packages take the pages from here.
const DIRECTORY: &str = "target/man";

/// Writes the pages anew, so that none of a command that is gone stays behind.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let directory = root.join(DIRECTORY);
    if directory.exists() {
        fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let arguments = ["run", "--locked", "--package", "amikeep", "--", "man"];
    process::run(process::cargo(root, &arguments).arg(&directory))
}
