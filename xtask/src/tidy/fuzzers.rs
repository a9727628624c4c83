//! The fuzzers in `fuzz/`: they need what no other build has, and so must stay out of every other build.

use toml::Table;

use crate::tidy::finding::Finding;
use crate::tidy::manifest::Manifest;
use crate::tidy::tree::Tree;

const MANIFEST: &str = "fuzz/Cargo.toml";

/// What a fuzzer is made of: what it holds against its input is in a crate of the workspace, where tests run it too.
const INGREDIENTS: [&str; 2] = ["amikeep-fuzz", "libfuzzer-sys"];

/// A manifest of the fuzzers that is part of the workspace, or depends on more than it should.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.text(MANIFEST) else { return Vec::new() };
    let found = |line, what, why, remedy: &str| Finding {
        path: MANIFEST.to_owned(),
        line,
        what,
        why,
        remedy: remedy.to_owned(),
    };
    let (Ok(table), Ok(manifest)) = (text.parse::<Table>(), Manifest::parse(text)) else {
        return vec![found(1, "not a manifest".to_owned(), "no rule can be checked on it", "mend it")];
    };
    let mut findings = Vec::new();
    if !table.contains_key("workspace") {
        let why = "every build of the project would need a fuzzer's toolchain";
        findings.push(found(1, "no workspace of its own".to_owned(), why, "add an empty `[workspace]`"));
    }
    for dependency in &manifest.dependencies {
        if !INGREDIENTS.contains(&dependency.package.as_str()) {
            let why = "what only a fuzzer runs is built by nobody else, and rots";
            let what = format!("a fuzzer depends on `{}`", dependency.package);
            findings.push(found(dependency.line, what, why, "do it in crates/fuzz"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(manifest: &str) -> Vec<String> {
        check(&Tree::of(&[(MANIFEST, manifest)])).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn fuzzers_have_a_workspace_of_their_own_and_depend_on_their_targets_alone() {
        let sound =
            "[workspace]\n[dependencies]\namikeep-fuzz = { path = \"../crates/fuzz\" }\nlibfuzzer-sys = \"0.4\"\n";
        assert_eq!(found(sound), [] as [String; 0]);
        assert_eq!(found(&sound.replace("[workspace]\n", "")), ["no workspace of its own"]);
        let more = format!("{sound}amikeep-config = {{ path = \"../crates/config\" }}\n");
        assert_eq!(found(&more), ["a fuzzer depends on `amikeep-config`"]);
        assert_eq!(found("[workspace"), ["not a manifest"]);
    }

    #[test]
    fn a_tree_without_fuzzers_has_nothing_to_say() {
        assert!(check(&Tree::of(&[])).is_empty());
    }
}
