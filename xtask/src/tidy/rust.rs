//! Rules for every `.rs` file: its name, its first line, its length and width, and words that must not be in it.

mod words;

use crate::tidy::finding::Finding;
use crate::tidy::tree::Tree;

/// Without its tests; a longer file does more than one thing.
const FILE_LINES_MAX: usize = 500;

/// rustfmt breaks code at 120; the rest is room for what it will not break, such as long strings.
const COLUMNS_MAX: usize = 140;

/// File and folder names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "utils.rs", "util.rs", "helpers.rs", "misc.rs"];

/// A test module sees what it tests, and proptest's macros need what its prelude brings.
const GLOBS_IN_TESTS: [&str; 2] = ["use super::*;", "use proptest::prelude::*;"];

/// One source file, and which of its lines are tests.
struct Source<'a> {
    path: &'a str,
    lines: Vec<&'a str>,
    is_test: Vec<bool>,
}

impl<'a> Source<'a> {
    fn new(path: &'a str, text: &'a str) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        let is_test = if is_test_file(path) { vec![true; lines.len()] } else { inline_tests(&lines) };
        Self { path, lines, is_test }
    }

    fn finding(&self, index: usize, what: impl Into<String>, why: &'static str, remedy: impl Into<String>) -> Finding {
        Finding { path: self.path.to_owned(), line: index + 1, what: what.into(), why, remedy: remedy.into() }
    }
}

/// Every finding in every Rust file.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.with_ending(".rs") {
        let source = Source::new(path, text);
        findings.extend(check_name(&source));
        findings.extend(check_module_doc(&source));
        findings.extend(check_length(&source));
        findings.extend(check_width(&source));
        findings.extend(check_globs(&source));
        findings.extend(words::check(&source));
    }
    findings
}

/// Whether the whole file is tests.
fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.starts_with("tests/") || path.contains("/tests/")
}

/// Marks the lines of `#[cfg(test)] mod … { … }` at the margin; rustfmt guarantees where such a module ends.
fn inline_tests(lines: &[&str]) -> Vec<bool> {
    let mut is_test = vec![false; lines.len()];
    let mut index = 0;
    while index < lines.len() {
        let opens = lines.get(index + 1).is_some_and(|next| next.contains("mod ") && next.ends_with('{'));
        if lines[index] != "#[cfg(test)]" || !opens {
            index += 1;
            continue;
        }
        let rest = &lines[index..];
        let end = index + rest.iter().position(|line| *line == "}").unwrap_or(rest.len() - 1);
        is_test[index..=end].fill(true);
        index = end + 1;
    }
    is_test
}

/// The part of a line that is not a comment. A `//` without a blank before it is taken for part of a string.
fn code_of(line: &str) -> &str {
    if line.trim_start().starts_with("//") {
        return "";
    }
    line.split_once(" //").map_or(line, |(code, _)| code)
}

fn check_name(source: &Source<'_>) -> Option<Finding> {
    if source.path.ends_with("/mod.rs") {
        let why = "ten tabs of the same name, and none says what it holds";
        return Some(source.finding(
            0,
            "a file called mod.rs",
            why,
            "call it after its module: `name.rs` beside `name/`",
        ));
    }
    let empty = source.path.split('/').find(|part| EMPTY_NAMES.contains(part))?;
    let why = "a name that says nothing collects everything";
    Some(source.finding(0, format!("`{empty}` as a name"), why, "name it after the one thing that it owns"))
}

fn check_module_doc(source: &Source<'_>) -> Option<Finding> {
    let first = source.lines.iter().find(|line| !line.is_empty() && !line.starts_with("#![")).copied();
    if first.is_some_and(|line| line.starts_with("//! ")) {
        return None;
    }
    let why = "a reader must learn from the first lines what a file owns and what it must never do";
    Some(source.finding(0, "no module documentation", why, "begin the file with `//! …`"))
}

fn check_length(source: &Source<'_>) -> Option<Finding> {
    let lines = source.is_test.iter().filter(|is_test| !**is_test).count();
    if lines <= FILE_LINES_MAX {
        return None;
    }
    let what = format!("{lines} lines without tests, {FILE_LINES_MAX} at most");
    Some(source.finding(0, what, "a longer file does more than one thing", "split it by what its parts own"))
}

/// Expected output in a test is as wide as the output is, so snapshots are left out.
fn check_width(source: &Source<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_snapshot = false;
    for (index, line) in source.lines.iter().enumerate() {
        let columns = line.chars().count();
        if COLUMNS_MAX < columns && !in_snapshot {
            let what = format!("{columns} columns, {COLUMNS_MAX} at most");
            findings.push(source.finding(index, what, "a diff of it cannot be read", "break the line"));
        }
        let closes = line.contains("\"#]]") || line.contains("\"]]");
        if closes || line.contains("expect![[") {
            in_snapshot = source.is_test[index] && !closes;
        }
    }
    findings
}

/// Finds `use …*…;`, over several lines too, but for `use super::*;` in tests.
fn check_globs(source: &Source<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut statement: Option<String> = None;
    for (index, line) in source.lines.iter().enumerate() {
        let code = code_of(line).trim();
        if statement.is_none() && is_use(code) {
            statement = Some(String::new());
        }
        let Some(text) = statement.as_mut() else { continue };
        text.push_str(code);
        if !code.ends_with(';') {
            continue;
        }
        let is_allowed = source.is_test[index] && GLOBS_IN_TESTS.contains(&text.as_str());
        if text.contains('*') && !is_allowed {
            let why = "a reader cannot see where a name comes from, and a new name upstream can change what is meant";
            findings.push(source.finding(index, "a glob import", why, "name what is used"));
        }
        statement = None;
    }
    findings
}

/// Whether a line begins an import, whatever its visibility.
fn is_use(code: &str) -> bool {
    let bare = code.strip_prefix("pub").map_or(code, |rest| {
        let rest = rest.trim_start();
        rest.strip_prefix('(').and_then(|inside| inside.split_once(')')).map_or(rest, |(_, after)| after.trim_start())
    });
    bare.starts_with("use ")
}

#[cfg(test)]
mod tests;
