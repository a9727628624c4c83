//! Words that must not be in a Rust file, and names that only one crate may use.
//!
//! The words are put together by `concat!`, so that this file passes its own rule.

use crate::tidy::finding::Finding;
use crate::tidy::rust::{Source, code_of};
use crate::tidy::tree::crate_of;

/// A text that must not be in any file, comments included.
pub(super) struct Forbidden {
    pub(super) text: &'static str,
    why: &'static str,
    remedy: &'static str,
    /// The folder in which it is right all the same.
    but_in: Option<&'static str>,
}

pub(super) const FORBIDDEN: [Forbidden; 6] = [
    Forbidden {
        text: concat!("TO", "DO"),
        why: "nobody comes back to it",
        remedy: "do it now, or write it under the known debts of ARCHITECTURE.md",
        but_in: None,
    },
    Forbidden {
        text: concat!("FIX", "ME"),
        why: "nobody comes back to it",
        remedy: "mend it now, or write it under the known debts of ARCHITECTURE.md",
        but_in: None,
    },
    Forbidden {
        text: concat!("#[", "ignore"),
        why: "a test that does not run proves nothing and looks as if it did",
        remedy: "make it run everywhere, or take it out",
        but_in: None,
    },
    Forbidden {
        text: concat!("should_", "panic"),
        why: "any panic passes it, also one that nobody meant",
        remedy: "return an error and assert on it",
        but_in: None,
    },
    Forbidden {
        text: concat!("Assert", "SqlSafe"),
        why: "it switches off the check that SQL is static text",
        remedy: "write the statement as a constant and bind its values",
        but_in: None,
    },
    Forbidden {
        text: concat!("thread::", "sleep"),
        why: "it blocks a worker, and a test that waits for time is slow on one machine and fails on another",
        remedy: "wait for the state itself, or move the manual clock",
        // A benchmark watches the daemon for a minute of real time, which is what it measures.
        but_in: Some("xtask/src/bench/"),
    },
];

/// Names in code that belong to some crates: the start of an identifier, the crates, and why.
const RESERVED: [(&str, &[&str], &str); 5] = [
    ("aws_config", &["cloud-aws"], SDK_WHY),
    ("aws_credential_types", &["cloud-aws"], SDK_WHY),
    ("aws_sdk_", &["cloud-aws"], SDK_WHY),
    ("aws_smithy_", &["cloud-aws"], SDK_WHY),
    (
        "sqlx::",
        &["ledger", "hold"],
        "amikeep's own SQL is the ledger's, so that another database can join it later; hold speaks to the databases that it holds still",
    ),
];

const SDK_WHY: &str = "the SDK is behind one port, so that everything else builds and runs without it";

/// Every forbidden word, and every reserved name outside its crate.
pub(super) fn check(source: &Source<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in source.lines.iter().enumerate() {
        let is_meant = |word: &&Forbidden| !word.but_in.is_some_and(|folder| source.path.starts_with(folder));
        for word in FORBIDDEN.iter().filter(is_meant).filter(|word| holds(line, word.text)) {
            findings.push(source.finding(index, format!("`{}`", word.text), word.why, word.remedy));
        }
        for (name, owners, why) in RESERVED {
            if is_product(source.path) && !owners.contains(&crate_of(source.path)) && holds(code_of(line), name) {
                let remedy = format!("move it to crates/{}", owners[0]);
                findings.push(source.finding(index, format!("`{name}` outside {}", owners.join(" and ")), why, remedy));
            }
        }
    }
    findings
}

/// The chores name what they forbid; the rule is for the product and its tests.
fn is_product(path: &str) -> bool {
    path.starts_with("crates/") || path.starts_with("tests/")
}

/// Whether `text` begins somewhere in `line` where no longer word runs into it.
fn holds(line: &str, text: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(text).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + text.len()..].chars().next();
        // Capitals are whole words or nothing, while an attribute may go on with its reason.
        let ends = !text.chars().all(char::is_uppercase) || !after.is_some_and(is_word);
        !before.is_some_and(is_word) && ends
    })
}
