//! The arrows, on manifests of a few lines.

use super::*;

fn findings(name: &str, tables: &str) -> Vec<String> {
    let path = format!("crates/{name}/Cargo.toml");
    let text = format!("{tables}\n[lints]\nworkspace = true\n");
    check(&Tree::of(&[(&path, &text)])).iter().map(|f| format!("{}: {}", f.line, f.what)).collect()
}

#[test]
fn every_arrow_of_the_table_is_allowed() {
    for room in ROOMS {
        let lines: Vec<String> = room.may_use.iter().map(|used| format!("amikeep-{used}.workspace = true")).collect();
        let allowed = findings(room.name, &format!("[dependencies]\n{}", lines.join("\n")));
        assert_eq!(allowed, Vec::<String>::new(), "{}", room.name);
    }
}

#[test]
fn the_table_itself_has_no_circle() {
    // A crate may only use crates that stand above a removal: take away whoever needs nobody, until all are gone.
    let mut left: Vec<&Room> = ROOMS.iter().collect();
    while !left.is_empty() {
        let names: Vec<&str> = left.iter().map(|room| room.name).collect();
        let before = left.len();
        left.retain(|room| room.may_use.iter().any(|used| names.contains(used)));
        assert!(left.len() < before, "a circle among {names:?}");
    }
}

#[test]
fn an_arrow_against_the_table_is_found_at_its_line() {
    assert_eq!(
        findings("domain", "[dependencies]\namikeep-cloud.workspace = true"),
        ["2: `domain` depends on `amikeep-cloud`"]
    );
    assert_eq!(
        findings("web", "[dependencies]\namikeep-engine.workspace = true"),
        ["2: `web` depends on `amikeep-engine`"]
    );
    assert_eq!(findings("view", "[dependencies]\namikeep.workspace = true"), ["2: `view` depends on `amikeep`"]);
}

#[test]
fn only_tests_may_use_the_simulator() {
    assert_eq!(findings("engine", "[dev-dependencies]\namikeep-ec2-sim.workspace = true"), Vec::<String>::new());
    let normal = findings("engine", "[dependencies]\namikeep-ec2-sim.workspace = true");
    assert_eq!(normal, ["2: `engine` depends on `amikeep-ec2-sim`"]);
    let other = findings("engine", "[dev-dependencies]\namikeep-config.workspace = true");
    assert_eq!(other, ["2: `engine` depends on `amikeep-config`"]);
}

#[test]
fn the_sdk_stays_in_cloud_aws_and_sql_in_the_ledger_even_for_tests() {
    assert_eq!(findings("cloud-aws", "[dependencies]\naws-sdk-ec2.workspace = true"), Vec::<String>::new());
    assert_eq!(findings("ledger", "[dependencies]\nsqlx.workspace = true"), Vec::<String>::new());
    let sdk = findings("amikeep", "[dev-dependencies]\naws-config.workspace = true");
    assert_eq!(sdk, ["2: `amikeep` depends on `aws-config`"]);
    assert_eq!(findings("view", "[build-dependencies]\nsqlx.workspace = true"), ["2: `view` depends on `sqlx`"]);
}

#[test]
fn the_domain_knows_no_serde_and_no_runtime() {
    let found = findings(
        "domain",
        "[dependencies]\njiff.workspace = true\nserde.workspace = true\ntokio-util.workspace = true",
    );
    assert_eq!(found, ["3: `domain` depends on `serde`", "4: `domain` depends on `tokio-util`"]);
}

#[test]
fn an_unknown_crate_and_forgotten_lints_are_found() {
    assert_eq!(findings("helpers", ""), ["1: `helpers` is a crate that no table knows"]);
    let bare =
        Tree::of(&[("crates/config/Cargo.toml", "[dependencies]\n"), ("crates/hold/Cargo.toml", "[dependencies]\n")]);
    let found = check(&bare);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].path, "crates/config/Cargo.toml");
}

#[test]
fn a_broken_manifest_is_one_finding() {
    let tree = Tree::of(&[("crates/config/Cargo.toml", "[dependencies\n")]);
    assert_eq!(check(&tree).len(), 1);
}

#[test]
fn a_package_that_no_crate_uses_is_found() {
    let workspace = "[workspace.dependencies]\nours = { path = \"x\" }\nserde = \"1\"\nuuid = \"1\"\n";
    let member = "[dev-dependencies]\nserde.workspace = true\n";
    let found = check_unused(&Tree::of(&[("Cargo.toml", workspace), ("crates/view/Cargo.toml", member)]));
    let places: Vec<_> = found.iter().map(|finding| (finding.line, finding.what.as_str())).collect();
    assert_eq!(places, [(4, "no crate uses `uuid`")]);
}
