//! What a test counted: lines of `counted`, what, and how often, between tabs.

use std::collections::BTreeMap;

use anyhow::Context as _;

/// How often each thing happened.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts(BTreeMap<String, u64>);

/// What tests put before a kind of fault.
const FAULT: &str = "faults: ";

impl Counts {
    /// Reads the lines among whatever else a test printed.
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        let mut counts = Self::default();
        for line in text.lines() {
            let Some((what, n)) = line.strip_prefix("counted\t").and_then(|rest| rest.split_once('\t')) else {
                continue;
            };
            let n: u64 = n.parse().with_context(|| format!("not a count: `{line}`"))?;
            *counts.0.entry(what.to_owned()).or_default() += n;
        }
        Ok(counts)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (what, n) in &other.0 {
            *self.0.entry(what.clone()).or_default() += n;
        }
    }

    pub(super) fn get(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }

    /// All kinds of faults together.
    pub(super) fn faults(&self) -> u64 {
        self.of(true).map(|(_, n)| n).sum()
    }

    /// The kinds of faults by name, or all the rest.
    pub(super) fn of(&self, faults: bool) -> impl Iterator<Item = (&str, u64)> {
        let counts = self.0.iter().filter(move |(what, _)| what.starts_with(FAULT) == faults);
        counts.map(|(what, n)| (what.strip_prefix(FAULT).unwrap_or(what), *n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_among_other_lines_and_added_up() {
        let text = "seed 7\ncounted\tnights\t26\ncounted\tfaults: answer lost\t3\nwarning: counted\tx\t1\n";
        let mut counts = Counts::read(text).unwrap();
        counts.add(&Counts::read("counted\tfaults: hung call\t2\ncounted\tnights\t4").unwrap());
        assert_eq!((counts.get("nights"), counts.faults()), (30, 5));
        assert_eq!(counts.of(true).collect::<Vec<_>>(), [("answer lost", 3), ("hung call", 2)]);
        assert!(Counts::read("test result: ok").unwrap().is_empty());
        assert!(Counts::read("counted\tnights\tmany").is_err());
    }
}
