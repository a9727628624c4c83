//! Which crate may know which: the table of the architecture, held against every `Cargo.toml`.

use crate::tidy::finding::Finding;
use crate::tidy::manifest::{Dependency, Kind, Manifest, workspace_dependencies};
use crate::tidy::tree::{Tree, crate_of};

/// One crate, and the crates of this workspace it may depend on.
struct Room {
    name: &'static str,
    may_use: &'static [&'static str],
}

const ROOMS: &[Room] = &[
    Room { name: "domain", may_use: &[] },
    Room { name: "config", may_use: &["domain"] },
    Room { name: "ledger", may_use: &["domain"] },
    Room { name: "cloud", may_use: &["domain"] },
    Room { name: "cloud-aws", may_use: &["cloud", "domain"] },
    Room { name: "hold", may_use: &["domain", "cloud"] },
    Room { name: "engine", may_use: &["domain", "ledger", "cloud", "hold"] },
    Room { name: "view", may_use: &["domain", "ledger"] },
    Room { name: "web", may_use: &["domain", "ledger", "view"] },
    Room {
        name: "amikeep",
        may_use: &["domain", "config", "ledger", "cloud", "cloud-aws", "hold", "engine", "view", "web", "ec2-sim"],
    },
    Room { name: "ec2-sim", may_use: &["cloud", "domain"] },
    Room { name: "fuzz", may_use: &["domain", "config", "cloud", "cloud-aws", "hold", "view", "ec2-sim"] },
    Room { name: "xtask", may_use: &[] },
];

/// Tests of any crate may run against the simulator.
const TESTS_MAY_USE: &str = "ec2-sim";

/// The only crate that may say what an `unsafe` block is for, and so has lints of its own.
const HAS_OWN_LINTS: &str = "hold";

/// Packages that only some crates may name: the start of their names, the crates, and why.
const RESERVED: [(&str, &[&str], &str); 2] = [
    ("aws-", &["cloud-aws"], "the SDK is behind one port, so that everything else builds and runs without it"),
    (
        "sqlx",
        &["ledger", "hold"],
        "amikeep's own SQL is the ledger's, so that another database can join it later; hold speaks to the databases that it holds still",
    ),
];

/// What the domain must not know, by the start of the package's name.
const FOREIGN_TO_DOMAIN: [&str; 8] = ["serde", "tokio", "sqlx", "aws-", "tracing", "rand", "getrandom", "async-"];

/// Every dependency that points the wrong way.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    members(tree).flat_map(|(path, text)| check_one(path, text)).collect()
}

/// Every package of `[workspace.dependencies]` that no crate uses any longer.
pub(crate) fn check_unused(tree: &Tree) -> Vec<Finding> {
    let declared = tree.text("Cargo.toml").and_then(|text| workspace_dependencies(text).ok()).unwrap_or_default();
    let manifests: Vec<Manifest> = members(tree).filter_map(|(_, text)| Manifest::parse(text).ok()).collect();
    let is_used = |name: &str| manifests.iter().flat_map(|m| &m.dependencies).any(|d| d.package == name);
    let unused = declared.into_iter().filter(|(name, _)| !is_used(name));
    let finding = |(name, line): (String, usize)| Finding {
        path: "Cargo.toml".to_owned(),
        line,
        what: format!("no crate uses `{name}`"),
        why: "a package that nobody uses is one that nobody updates or questions",
        remedy: "take it out, here and in docs/dependencies.md".to_owned(),
    };
    unused.map(finding).collect()
}

fn members(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    let is_member = |path: &str| path.starts_with("crates/") || path.starts_with("xtask/");
    tree.with_ending("/Cargo.toml").filter(move |(path, _)| is_member(path))
}

fn check_one(path: &str, text: &str) -> Vec<Finding> {
    let found = |line, what, why, remedy: String| Finding { path: path.to_owned(), line, what, why, remedy };
    let name = crate_of(path);
    let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
        let remedy = "give it a line in the architecture's table and in xtask/src/tidy/arrows.rs, or fold it away";
        let why = "a crate without a place in the house has no rule about whom it may know";
        return vec![found(1, format!("`{name}` is a crate that no table knows"), why, remedy.to_owned())];
    };
    let manifest = match Manifest::parse(text) {
        Ok(manifest) => manifest,
        Err(error) => {
            let why = "no rule can be checked on it";
            return vec![found(1, format!("not a manifest: {}", error.message()), why, "mend it".to_owned())];
        }
    };
    let mut findings = Vec::new();
    if !manifest.inherits_lints && name != HAS_OWN_LINTS {
        let why = "without the workspace's lints nothing of this crate is checked as the rest is";
        findings.push(found(
            1,
            "the workspace's lints are not inherited".into(),
            why,
            "add `[lints] workspace = true`".into(),
        ));
    }
    for dependency in &manifest.dependencies {
        if let Some((why, remedy)) = objection(room, dependency) {
            findings.push(found(dependency.line, format!("`{name}` depends on `{}`", dependency.package), why, remedy));
        }
    }
    findings
}

/// Why this crate must not have this dependency, and what to do instead.
fn objection(room: &Room, dependency: &Dependency) -> Option<(&'static str, String)> {
    let package = dependency.package.as_str();
    if let Some(used) = internal(package) {
        let in_tests = dependency.kind == Kind::Dev && used == TESTS_MAY_USE;
        if in_tests || room.may_use.contains(&used) {
            return None;
        }
        let why = "dependencies point one way, or the parts can no longer be read and tested alone";
        let allowed = if room.may_use.is_empty() { "none of ours".to_owned() } else { room.may_use.join(", ") };
        return Some((why, format!("`{}` may use: {allowed}; move the code or pass the value in", room.name)));
    }
    for (start, owners, why) in RESERVED {
        if package.starts_with(start) && !owners.contains(&room.name) {
            return Some((why, format!("do it in crates/{}, behind a method that does not show it", owners[0])));
        }
    }
    let is_foreign = FOREIGN_TO_DOMAIN.iter().any(|start| package.starts_with(start));
    if room.name == "domain" && dependency.kind != Kind::Dev && is_foreign {
        let why = "the domain is pure: no async, no I/O, no clock, no randomness, no serde";
        return Some((why, "convert at the boundary that needs it (config, ledger, view, engine)".to_owned()));
    }
    None
}

/// The crate's name in the table, if the package is one of this workspace.
fn internal(package: &str) -> Option<&str> {
    if package == "amikeep" || package == "xtask" { Some(package) } else { package.strip_prefix("amikeep-") }
}

#[cfg(test)]
mod tests;
