//! What the figures were measured on. A figure without its machine cannot be compared with anything.

use std::fs;
use std::path::Path;

use crate::process;

/// A line of Markdown: processor, cores, memory, compiler, commit.
pub(crate) fn describe(root: &Path) -> String {
    let cpu = field("/proc/cpuinfo", "model name");
    let memory = field("/proc/meminfo", "MemTotal");
    let kib: Option<u64> = memory.strip_suffix(" kB").and_then(|kib| kib.parse().ok());
    let memory = kib.map_or(memory, |kib| format!("{} MiB", kib / 1024));
    let cores = std::thread::available_parallelism().map_or_else(|_| "?".to_owned(), |cores| cores.to_string());
    let unknown = || "unknown".to_owned();
    let rustc = process::answer(process::command("rustc", root).arg("--version")).unwrap_or_else(unknown);
    let commit =
        process::answer(process::command("git", root).args(["rev-parse", "--short", "HEAD"])).unwrap_or_else(unknown);
    format!("Measured on: {cpu}, {cores} cores, {memory} of memory, {rustc}, commit {commit}.\n")
}

/// The first value of `key` in a file of `key : value` lines.
fn field(path: &str, key: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    value_of(&text, key).unwrap_or("unknown").to_owned()
}

fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.into_iter().find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_whatever_blanks_stand_around_it() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: Other\n";
        assert_eq!(value_of(text, "model name"), Some("Some CPU @ 2 GHz"));
        assert_eq!(value_of(text, "model"), None);
    }
}
