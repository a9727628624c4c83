//! One broken rule at one place, in words that need no second look-up.

use std::fmt;

/// What is wrong, why it matters, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) path: String,
    /// Counted from 1; 1 also stands for the file as a whole.
    pub(crate) line: usize,
    pub(crate) what: String,
    pub(crate) why: &'static str,
    pub(crate) remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, what, why, remedy } = self;
        write!(f, "{path}:{line}: {what}\n    why: {why}\n    do:  {remedy}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_starts_with_a_place_that_editors_can_open() {
        let finding = Finding {
            path: "crates/domain/src/id.rs".into(),
            line: 7,
            what: "a glob import".into(),
            why: "a reader cannot see where a name comes from",
            remedy: "name what is used".into(),
        };
        assert_eq!(
            finding.to_string(),
            "crates/domain/src/id.rs:7: a glob import\n    \
             why: a reader cannot see where a name comes from\n    do:  name what is used"
        );
    }
}
