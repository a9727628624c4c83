//! Pages that name parts of the code: they may not outlive what they name.

use std::collections::BTreeSet;

use crate::tidy::finding::Finding;
use crate::tidy::manifest::workspace_dependencies;
use crate::tidy::names::Names;
use crate::tidy::tree::Tree;

const ARCHITECTURE: &str = "ARCHITECTURE.md";
const ARCHITECTURE_LINES_MAX: usize = 300;
const RELIABILITY: &str = "docs/reliability.md";
/// One test whose steps, on a service that is booted once, are named as tests are.
const BOOT_STEPS: &str = "tests/systemd/main.rs";
const DEPENDENCIES: &str = "docs/dependencies.md";

/// File endings that only name files of this project.
const FILE_ENDINGS: [&str; 4] = [".rs", ".md", ".sql", ".service"];

/// First words of a path that Rust or another package owns.
const FOREIGN_ROOTS: [&str; 6] = ["std", "core", "alloc", "crate", "self", "super"];

/// A page that is too long, and every backticked name in it that does not exist.
pub(crate) fn check_architecture(tree: &Tree) -> Vec<Finding> {
    let found = |line, what: String, why, remedy: &str| Finding {
        path: ARCHITECTURE.to_owned(),
        line,
        what,
        why,
        remedy: remedy.to_owned(),
    };
    let Some(text) = tree.text(ARCHITECTURE) else {
        let why = "whoever opens this tree for the first time has no map";
        return vec![found(1, "it does not exist".to_owned(), why, "write it")];
    };
    let mut findings = Vec::new();
    let lines = text.lines().count();
    if lines > ARCHITECTURE_LINES_MAX {
        let what = format!("{lines} lines, {ARCHITECTURE_LINES_MAX} at most");
        findings.push(found(1, what, "a longer map is not read", "move a detail to the module that it is about"));
    }
    let names = Names::of(tree);
    let foreign = foreign_roots(tree);
    for (line, span) in code_spans(text) {
        if !exists(span, tree, &names, &foreign) {
            let why = "a page that names what is gone is believed by nobody";
            findings.push(found(
                line,
                format!("`{span}` does not exist"),
                why,
                "name what is there now, or drop the sentence",
            ));
        }
    }
    findings
}

/// Every test that the page of promises names and that does not exist: a promise that nothing holds. Tests are named in the
/// last column of its tables.
pub(crate) fn check_reliability(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.text(RELIABILITY) else { return Vec::new() };
    let steps = tree.text(BOOT_STEPS).unwrap_or_default();
    let mut tests: BTreeSet<&str> = tree.with_ending(".rs").flat_map(|(_, text)| test_names(text)).collect();
    tests.extend(steps.split("::").skip(1).filter_map(|rest| Some(rest.split_once("(&host)")?.0)));
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let Some(column) = line.strip_prefix('|').and_then(|row| row.rsplit('|').nth(1)) else { continue };
        for name in column.split('`').skip(1).step_by(2).filter(|name| !tests.contains(name)) {
            findings.push(Finding {
                path: RELIABILITY.to_owned(),
                line: index + 1,
                what: format!("no test is called `{name}`"),
                why: "a promise that no test holds is a hope",
                remedy: "name the test that holds it now, or write one".to_owned(),
            });
        }
    }
    findings
}

/// The functions that are tests.
fn test_names(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| is_test) {
            names.extend(rest.split(['(', '<']).next());
            is_test = false;
        }
    }
    names
}

/// Every direct dependency without a line on the page of dependencies, and every line without its dependency.
pub(crate) fn check_dependencies(tree: &Tree) -> Vec<Finding> {
    let direct = tree.text("Cargo.toml").and_then(|text| workspace_dependencies(text).ok()).unwrap_or_default();
    let page = tree.text(DEPENDENCIES).unwrap_or_default();
    let rows: Vec<(usize, &str)> =
        page.lines().enumerate().filter_map(|(i, line)| Some((i + 1, row_name(line)?))).collect();
    let mut findings = Vec::new();
    for (name, line) in &direct {
        if !rows.iter().any(|(_, row)| row == name) {
            findings.push(Finding {
                path: "Cargo.toml".to_owned(),
                line: *line,
                what: format!("`{name}` has no row in {DEPENDENCIES}"),
                why: "every package is code that runs beside a production server; somebody must have said what for",
                remedy: format!("add a row that begins with | `{name}` |, or do without it"),
            });
        }
    }
    for (line, row) in rows {
        if !direct.iter().any(|(name, _)| name == row) {
            findings.push(Finding {
                path: DEPENDENCIES.to_owned(),
                line,
                what: format!("`{row}` is no direct dependency"),
                why: "a page that names what is gone is believed by nobody",
                remedy: "drop the row, or begin it with a word that is not a package".to_owned(),
            });
        }
    }
    findings
}

/// The package that a table row begins with: | `name` | ….
fn row_name(line: &str) -> Option<&str> {
    line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name)
}

/// The names by which code calls packages that are not ours.
fn foreign_roots(tree: &Tree) -> BTreeSet<String> {
    let direct = tree.text("Cargo.toml").and_then(|text| workspace_dependencies(text).ok()).unwrap_or_default();
    let packages = direct.into_iter().map(|(name, _)| name.replace('-', "_"));
    packages.chain(FOREIGN_ROOTS.map(str::to_owned)).collect()
}

/// What stands between single backticks outside fenced blocks, with its line.
fn code_spans(text: &str) -> Vec<(usize, &str)> {
    let mut spans = Vec::new();
    let mut is_fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if !is_fenced {
            spans.extend(line.split('`').skip(1).step_by(2).map(|span| (index + 1, span)));
        }
    }
    spans
}

/// Whether the span names something that is there; a span that names nothing of this tree passes.
fn exists(span: &str, tree: &Tree, names: &Names<'_>, foreign: &BTreeSet<String>) -> bool {
    let name = span.trim_end_matches("()").trim_end_matches('!');
    if name.contains("::") {
        return path_exists(name, names, foreign);
    }
    if name.contains('/') || FILE_ENDINGS.iter().any(|ending| name.ends_with(ending)) {
        return file_exists(name, tree);
    }
    if let Some(package) = name.strip_prefix("amikeep-") {
        let is_name = package.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        return !is_name || names.crate_named(&package.replace('-', "_")).is_some();
    }
    let is_identifier = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let is_type = name.starts_with(|c: char| c.is_ascii_uppercase()) && name.contains(|c: char| c.is_ascii_lowercase());
    let is_named = is_identifier && (is_type || name.contains('_'));
    !is_named || names.has_word(name) || names.crate_named(name).is_some()
}

/// `domain::plan`, `OwnedImage::prove`: the crate declares it, or somebody does.
fn path_exists(name: &str, names: &Names<'_>, foreign: &BTreeSet<String>) -> bool {
    let parts: Vec<&str> = name.split("::").collect();
    let is_identifier = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !parts.iter().all(is_identifier) || foreign.contains(parts[0]) {
        return true;
    }
    match names.crate_named(parts[0]) {
        Some(declared) => parts[1..].iter().all(|part| declared.contains(part)),
        None => parts.iter().all(|part| names.is_declared(part)),
    }
}

/// A path from the root or the end of one, a folder, or a pattern with one `*`.
fn file_exists(name: &str, tree: &Tree) -> bool {
    let is_elsewhere = name.starts_with(['/', '~', '.']) && !name.starts_with(".ci") && !name.starts_with(".cargo");
    let is_path = name.chars().all(|c| c.is_ascii_alphanumeric() || "/._-*".contains(c));
    if is_elsewhere || !is_path {
        return true;
    }
    let name = name.trim_end_matches('/');
    // `crates/…` and its like are checked to the last part; `a/b` may be a pair of words and no path at all.
    let root = name.split('/').next().unwrap_or(name);
    let is_ours = tree.paths().any(|path| path.split('/').next() == Some(root));
    if !is_ours && !FILE_ENDINGS.iter().any(|ending| name.ends_with(ending)) {
        return true;
    }
    if let Some((start, end)) = name.split_once('*') {
        return tree.paths().any(|path| path.starts_with(start) && path.ends_with(end));
    }
    let (folder, tail) = (format!("{name}/"), format!("/{name}"));
    tree.paths().any(|path| path == name || path.starts_with(&folder) || path.ends_with(&tail))
}

#[cfg(test)]
mod tests;
