//! The examples in `config/` exist; that they parse is tested by the `config` crate.

use crate::tidy::finding::Finding;
use crate::tidy::tree::Tree;

/// One finding if there is no example at all.
pub(crate) fn check(tree: &Tree) -> Option<Finding> {
    if tree.with_ending(".toml").any(|(path, _)| path.starts_with("config/")) {
        return None;
    }
    Some(Finding {
        path: "config".to_owned(),
        line: 1,
        what: "no example configuration".to_owned(),
        why: "people copy an example before they read a reference",
        remedy: "add config/*.toml, and let the config crate's tests parse every one".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_of_the_configuration_must_exist() {
        assert!(check(&Tree::of(&[("crates/config/Cargo.toml", ""), ("config/README.md", "")])).is_some());
        assert_eq!(check(&Tree::of(&[("config/amikeep.toml", "")])), None);
    }
}
