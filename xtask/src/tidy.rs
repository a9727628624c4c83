//! The rules that the compiler and clippy do not know.
//!
//! Each rule is a pure function over a [`Tree`], so that its tests need no disk. A finding says what is wrong, why
//! that matters and what to do; all findings come at once. Rules must never repair anything themselves.

mod arrows;
mod examples;
mod finding;
mod fuzzers;
mod lockfile;
mod manifest;
mod names;
mod pages;
mod rust;
mod tree;

use std::path::Path;

use anyhow::bail;

use crate::tidy::finding::Finding;
use crate::tidy::tree::Tree;

/// Reads the tree below `root`, prints every finding, and fails if there is one.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let tree = Tree::read(root)?;
    let findings = check(&tree);
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("tidy has {} findings", findings.len());
    }
    println!("tidy: {} files, nothing to say", tree.len());
    Ok(())
}

fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(arrows::check(tree));
    findings.extend(arrows::check_unused(tree));
    findings.extend(rust::check(tree));
    findings.extend(lockfile::check(tree));
    findings.extend(fuzzers::check(tree));
    findings.extend(pages::check_architecture(tree));
    findings.extend(pages::check_dependencies(tree));
    findings.extend(pages::check_reliability(tree));
    findings.extend(examples::check(tree));
    findings.sort();
    findings
}
