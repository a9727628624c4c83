//! The counts as Markdown, and their place in `docs/reliability.md`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::bench::machine;
use crate::torture::counts::Counts;

/// The last heading of the page. What follows it is written by this chore alone.
const HEADING: &str = "## Counts of the last long run\n";

/// A step that was run for long, and never failed.
pub(super) struct Done {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) seeds: u64,
    pub(super) took: Duration,
    pub(super) counts: Counts,
}

/// A paragraph and a table for each step.
pub(super) fn render(root: &Path, done: &[Done]) -> String {
    let mut text = format!("By `cargo xtask torture`. {}\n", machine::describe(root));
    for step in done {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{}", section(step));
    }
    text
}

/// What one step went through.
pub(super) fn section(step: &Done) -> String {
    let minutes = step.took.as_secs_f64() / 60.0;
    let seeds = step.seeds;
    let mut text = format!("### {}: {}\n\n{seeds} seed(s), no failure, {minutes:.1} minutes", step.name, step.about);
    for (what, n) in
        [("nights", step.counts.get("nights")), ("faults", step.counts.faults()), ("kills", step.counts.get("kills"))]
    {
        if 0 < n {
            // As precise as the clock of a shared machine makes sense.
            let _ = write!(text, "; {:.0} {what} a minute", f64::from(u32::try_from(n).unwrap_or(u32::MAX)) / minutes);
        }
    }
    text.push_str(".\n\n| what | how often |\n|---|---|\n");
    for (what, n) in step.counts.of(false) {
        let _ = writeln!(text, "| {what} | {n} |");
    }
    let _ =
        writeln!(text, "| faults of calls, refusals of missing permissions among them | {} |", step.counts.faults());
    for (what, n) in step.counts.of(true) {
        let _ = writeln!(text, "| - {what} | {n} |");
    }
    text
}

/// Puts the text in place of that of the run before.
pub(super) fn write(root: &Path, text: &str) -> anyhow::Result<()> {
    let path = root.join("docs/reliability.md");
    let page = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let kept = page.find(HEADING).map_or(page.as_str(), |at| &page[..at]).trim_end();
    fs::write(&path, format!("{kept}\n\n{HEADING}\n{text}")).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_says_how_much_a_minute_covers() {
        let counts = Counts::read("counted\tnights\t60\ncounted\tcalls\t9\ncounted\tfaults: answer lost\t30").unwrap();
        let took = Duration::from_secs(90);
        let text = section(&Done { name: "simulation", about: "bad nights", seeds: 2, took, counts });
        assert!(text.contains("2 seed(s), no failure, 1.5 minutes; 40 nights a minute; 20 faults a minute."), "{text}");
        assert!(text.ends_with("missing permissions among them | 30 |\n| - answer lost | 30 |\n"), "{text}");
    }
}
