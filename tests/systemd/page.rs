//! The install page, whose shell blocks the test runs: a page that is run cannot be out of date.

/// The page.
pub(crate) const INSTALL: &str = include_str!("../../docs/install.md");

/// What the page calls the program that was built, before it is installed.
const BUILT: &str = "target/release/amikeep";

/// The fenced block that begins with this line, without the line itself.
pub(crate) fn block(first_line: &str) -> String {
    let fences: Vec<&str> = INSTALL.split("```").collect();
    let mut blocks = fences.iter().skip(1).step_by(2).filter_map(|fence| fence.split_once('\n').map(|(_, body)| body));
    let body = blocks.find_map(|body| body.strip_prefix(first_line)?.strip_prefix('\n'));
    body.unwrap_or_else(|| panic!("docs/install.md has no block that begins with {first_line:?}")).to_owned()
}

/// A block of shell commands that the page says is run by the test, with the path of the program that was built here.
pub(crate) fn commands(title: &str, built: &str) -> String {
    block(&format!("# {title}: run by the test.")).replace(BUILT, built)
}

/// The titles of all blocks that the page says are run.
pub(crate) fn titles() -> Vec<&'static str> {
    let title = |line: &'static str| line.strip_prefix("# ")?.strip_suffix(": run by the test.");
    INSTALL.lines().filter_map(title).collect()
}
