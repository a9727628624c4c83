//! Packages that must not be in `Cargo.lock`.
//!
//! `cargo deny` checks more, but is not on every machine; the few bans that guard the TLS stack are asserted here too.
//! They show at once when an SDK crate has its default features on.

use toml::{Table, Value};

use crate::tidy::finding::Finding;
use crate::tidy::tree::Tree;

/// A package, the start of the versions that are banned (empty for all), and why.
const BANNED: [(&str, &str, &str); 5] = [
    ("rustls-webpki", "0.101", "it has RUSTSEC-2026-0098, -0099 and -0104"),
    ("aws-lc-sys", "", "it is a second cryptography library, built from C in a minute and more"),
    ("openssl", "", "TLS is rustls with ring, and only that"),
    ("openssl-sys", "", "TLS is rustls with ring, and only that"),
    ("native-tls", "", "TLS is rustls with ring, and only that"),
];

/// Packages of which one version is enough, and why.
const SINGLE: [(&str, &str); 3] = [
    ("rustls", "two TLS stacks mean two sets of roots and of security holes"),
    ("jiff", "a zone or an instant of one version is no type of the other"),
    ("tokio", "two runtimes do not wake each other"),
];

const REMEDY: &str = "look for an SDK crate with default features (docs/dependencies.md), then `cargo update`";

/// The workspace's own, and that of the fuzzers beside it, which is locked on its own.
const WORKSPACE: &str = "Cargo.lock";
const FUZZERS: &str = "fuzz/Cargo.lock";

/// Every banned package of the lock files.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.text(WORKSPACE) else {
        let why = "two builds of one commit would not be the same program";
        return vec![finding(WORKSPACE, 1, "no lock file".to_owned(), why)];
    };
    let mut findings = check_one(WORKSPACE, text);
    findings.extend(tree.text(FUZZERS).into_iter().flat_map(|text| check_one(FUZZERS, text)));
    findings
}

fn finding(path: &str, line: usize, what: String, why: &'static str) -> Finding {
    Finding { path: path.to_owned(), line, what, why, remedy: REMEDY.to_owned() }
}

fn check_one(path: &str, text: &str) -> Vec<Finding> {
    let found = |line, what, why| finding(path, line, what, why);
    let packages = match packages(text) {
        Ok(packages) => packages,
        Err(error) => return vec![found(1, format!("not a lock file: {}", error.message()), "nothing can be checked")],
    };
    let mut findings = Vec::new();
    for (name, version) in &packages {
        for (banned, start, why) in BANNED {
            if name == banned && version.starts_with(start) {
                findings.push(found(line_of(text, name, version), format!("{name} {version} is in the tree"), why));
            }
        }
    }
    for (name, why) in SINGLE {
        let versions: Vec<&str> = packages.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect();
        if let [.., last] = versions[..]
            && versions.len() > 1
        {
            findings.push(found(
                line_of(text, name, last),
                format!("{name} is there as {}", versions.join(" and ")),
                why,
            ));
        }
    }
    findings
}

fn packages(text: &str) -> Result<Vec<(String, String)>, toml::de::Error> {
    let table: Table = text.parse()?;
    let entries = table.get("package").and_then(Value::as_array);
    let pair =
        |entry: &Value| Some((entry.get("name")?.as_str()?.to_owned(), entry.get("version")?.as_str()?.to_owned()));
    Ok(entries.into_iter().flatten().filter_map(pair).collect())
}

/// The line of this package's name.
fn line_of(text: &str, name: &str, version: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let (name, version) = (format!("name = \"{name}\""), format!("version = \"{version}\""));
    lines.windows(2).position(|pair| pair[0] == name && pair[1] == version).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(packages: &[(&str, &str)]) -> Vec<(usize, String)> {
        let entry =
            |(name, version): &(&str, &str)| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n");
        let text: String = packages.iter().map(entry).collect();
        check(&Tree::of(&[("Cargo.lock", &text)])).into_iter().map(|finding| (finding.line, finding.what)).collect()
    }

    #[test]
    fn the_clean_tls_stack_has_no_finding() {
        assert_eq!(found(&[("ring", "0.17.14"), ("rustls", "0.23.46"), ("rustls-webpki", "0.103.17")]), []);
    }

    #[test]
    fn every_banned_package_is_found_at_its_line() {
        for (name, start, _) in BANNED {
            let version = format!("{start}.7");
            let banned = found(&[("ring", "0.17.14"), (name, &version)]);
            assert_eq!(banned, [(5, format!("{name} {version} is in the tree"))]);
        }
    }

    #[test]
    fn a_second_version_of_rustls_is_found() {
        assert_eq!(
            found(&[("rustls", "0.21.12"), ("rustls", "0.23.46")]),
            [(5, "rustls is there as 0.21.12 and 0.23.46".into())]
        );
    }

    #[test]
    fn the_lock_file_of_the_fuzzers_is_held_to_the_same() {
        let banned = "[[package]]\nname = \"openssl\"\nversion = \"0.10.1\"\n";
        let findings = check(&Tree::of(&[("Cargo.lock", ""), ("fuzz/Cargo.lock", banned)]));
        assert_eq!(findings.iter().map(|it| it.path.as_str()).collect::<Vec<_>>(), ["fuzz/Cargo.lock"]);
    }

    #[test]
    fn a_missing_lock_file_is_found() {
        assert_eq!(check(&Tree::of(&[])).len(), 1);
    }
}
