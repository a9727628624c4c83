//! The table at the end: what ran, how it ended, how long it took, and what was not run at all.

use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

use crate::ci::Outcome;

/// One step's line.
pub(super) struct Row {
    name: &'static str,
    verdict: String,
    took: Duration,
}

impl Row {
    /// The line of a step that was started.
    pub(super) fn new(name: &'static str, result: &anyhow::Result<Outcome>, took: Duration) -> Self {
        let verdict = match result {
            Ok(Outcome::Passed) => "ok".to_owned(),
            Ok(Outcome::NotRun(reason)) => format!("NOT RUN: {reason}"),
            Err(error) => format!("FAILED: {error:#}"),
        };
        Self { name, verdict, took }
    }

    /// The line of a step that an earlier failure kept from starting.
    pub(super) fn after_a_failure(name: &'static str) -> Self {
        Self { name, verdict: "NOT RUN: a step before it failed".to_owned(), took: Duration::ZERO }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<10} {:>7.1} s  {}", self.name, self.took.as_secs_f64(), self.verdict)
    }
}

/// All rows and the whole time.
pub(super) fn render(rows: &[Row], took: Duration) -> String {
    let mut text = String::new();
    for row in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{row}");
    }
    let _ = writeln!(text, "{:<10} {:>7.1} s", "all", took.as_secs_f64());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_was_not_run_never_looks_as_if_it_had_passed() {
        let rows = [
            Row::new("fmt", &Ok(Outcome::Passed), Duration::from_millis(1240)),
            Row::new("deny", &Ok(Outcome::NotRun("cargo-deny is not installed".into())), Duration::ZERO),
            Row::new(
                "clippy",
                &Err(anyhow::anyhow!("`cargo clippy` ended with exit status: 101")),
                Duration::from_secs(75),
            ),
            Row::after_a_failure("test"),
        ];
        let want = "fmt            1.2 s  ok\n\
                    deny           0.0 s  NOT RUN: cargo-deny is not installed\n\
                    clippy        75.0 s  FAILED: `cargo clippy` ended with exit status: 101\n\
                    test           0.0 s  NOT RUN: a step before it failed\n\
                    all           76.2 s\n";
        assert_eq!(render(&rows, Duration::from_millis(76_240)), want);
    }
}
