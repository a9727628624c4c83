//! The counts as Markdown, and their place in `docs/reliability.md`.

use std::collections::BTreeMap;
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

/// Puts what each step went through in place of its last run; steps that were not run now keep theirs.
pub(super) fn write(root: &Path, done: &[Done]) -> anyhow::Result<()> {
    let path = root.join("docs/reliability.md");
    let page = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let (kept, old) = page.split_once(HEADING).unwrap_or((&page, ""));
    let measured_on = machine::describe(root);
    let new: Vec<String> = done.iter().map(|step| format!("{}\n{measured_on}", section(step))).collect();
    let text = format!(
        "{}\n\n{HEADING}\nBy `cargo xtask torture`, each step when it was last kept.\n{}",
        kept.trim_end(),
        merged(old, &new)
    );
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// How a section begins, with the line before it.
const SECTION: &str = "\n### ";

/// The sections by the names of their steps, new ones in place of old ones.
fn merged(old: &str, new: &[String]) -> String {
    let name = |section: &str| section.split(':').next().unwrap_or_default().to_owned();
    let old = old.split(SECTION).skip(1).map(str::to_owned);
    let new = new.iter().map(|section| section.trim_start_matches(SECTION.trim_start()).to_owned());
    let sections: BTreeMap<String, String> = old.chain(new).map(|section| (name(&section), section)).collect();
    sections.values().map(|section| [SECTION, section.trim_end(), "\n"].concat()).collect()
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

    #[test]
    fn what_was_not_run_keeps_its_counts() {
        let old = "By a chore.\n\n### a: one\n\n1\n\n### c: three\n\n3\n";
        let new = ["### b: two\n\n2\n".to_owned(), "### c: three\n\n4\n".to_owned()];
        assert_eq!(merged(old, &new), "\n### a: one\n\n1\n\n### b: two\n\n2\n\n### c: three\n\n4\n");
        assert_eq!(merged("", &new[..1]), "\n### b: two\n\n2\n");
    }
}
