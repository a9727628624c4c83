//! Which names exist: the words of the code, and what each crate declares.
//!
//! This is no parser. It errs towards "exists": a page is caught when it names what was renamed or removed, and is
//! never held up by a name that is there.

use std::collections::{BTreeMap, BTreeSet};

use crate::tidy::tree::{Tree, crate_of};

/// Keywords after which the next word is a declared name.
const DECLARING: [&str; 9] = ["fn", "struct", "enum", "trait", "type", "mod", "const", "static", "macro_rules"];

/// The names of one tree.
pub(crate) struct Names<'a> {
    /// Words of code, SQL and manifests, comments left out, string literals included.
    words: BTreeSet<&'a str>,
    /// Per crate, by the name that code uses for it (`cloud_aws`).
    declared: BTreeMap<String, BTreeSet<&'a str>>,
}

impl<'a> Names<'a> {
    /// Collects the names of the tree.
    pub(crate) fn of(tree: &'a Tree) -> Self {
        let mut names = Self { words: BTreeSet::new(), declared: BTreeMap::new() };
        for (path, text) in tree.with_ending(".rs") {
            let declared = names.declared.entry(crate_of(path).replace('-', "_")).or_default();
            for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
                names.words.extend(words(line));
                declared.extend(declarations(line));
            }
        }
        for (_, text) in tree.with_ending(".sql").chain(tree.with_ending(".toml")) {
            names.words.extend(words(text));
        }
        names
    }

    /// Whether the word is in any code.
    pub(crate) fn has_word(&self, word: &str) -> bool {
        self.words.contains(word)
    }

    /// What the crate declares, if `name` is one (`domain`, `cloud_aws`, `amikeep_domain`).
    pub(crate) fn crate_named(&self, name: &str) -> Option<&BTreeSet<&'a str>> {
        self.declared.get(name.strip_prefix("amikeep_").unwrap_or(name))
    }

    /// Whether any crate declares the name, or is called so.
    pub(crate) fn is_declared(&self, name: &str) -> bool {
        self.crate_named(name).is_some() || self.declared.values().any(|declared| declared.contains(name))
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Declared items, the variants of an enum (a capital begins the line) and what is exported again.
fn declarations(line: &str) -> Vec<&str> {
    let trimmed = line.trim_start();
    let all: Vec<&str> = words(line).collect();
    if trimmed.starts_with("pub use ") {
        return all;
    }
    let mut found: Vec<&str> = all.windows(2).filter(|pair| DECLARING.contains(&pair[0])).map(|pair| pair[1]).collect();
    if trimmed.starts_with(char::is_uppercase) {
        found.extend(all.first());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_variants_and_exports_are_declared_in_their_crate() {
        let text = "//! X.\npub(crate) const fn plan() {}\npub enum Verdict {\n    Keep(Vec<Reason>),\n}\npub use row::{Job, Fire};\n";
        let tree = Tree::of(&[("crates/cloud-aws/src/lib.rs", text)]);
        let names = Names::of(&tree);
        let declared = names.crate_named("amikeep_cloud_aws").expect("a crate");
        for name in ["plan", "Verdict", "Keep", "Job", "Fire"] {
            assert!(declared.contains(name), "{name}");
        }
        assert!(!declared.contains("Reason"), "only used");
        assert!(names.has_word("Reason"));
        assert!(names.crate_named("domain").is_none());
    }

    #[test]
    fn a_name_that_only_a_comment_still_knows_is_gone() {
        let tree = Tree::of(&[("crates/domain/src/lib.rs", "//! Once `OldName`.\n    // OldName was here.\n")]);
        assert!(!Names::of(&tree).has_word("OldName"));
    }
}
