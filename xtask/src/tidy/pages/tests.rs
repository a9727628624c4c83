//! The rules for pages, on pages of a few lines.

use super::*;

const CODE: &str =
    "//! X.\npub fn tick() {}\npub struct OwnedImage;\nconst CALL: &str = \"CreateImage\";\nlet retry_at = 1;\n";

fn tree(page: &str) -> Tree {
    Tree::of(&[
        ("ARCHITECTURE.md", page),
        ("Cargo.toml", "[workspace.dependencies]\ntokio-util = \"1\"\n"),
        ("crates/engine/src/tick.rs", CODE),
        ("crates/cloud-aws/src/lib.rs", "//! X.\n"),
        ("config/amikeep.toml", ""),
        ("migrations/0001_jobs.sql", ""),
    ])
}

fn found(page: &str) -> Vec<(usize, String)> {
    check_architecture(&tree(page)).into_iter().map(|finding| (finding.line, finding.what)).collect()
}

fn missing(span: &str) -> Vec<(usize, String)> {
    vec![(2, format!("`{span}` does not exist"))]
}

#[test]
fn names_that_exist_have_no_finding() {
    for span in [
        "engine::tick",
        "amikeep_engine::tick()",
        "cloud_aws",
        "OwnedImage",
        "CreateImage",
        "retry_at",
        "tick.rs",
        "src/tick.rs",
        "crates/engine/",
        "migrations/*.sql",
        "config/amikeep.toml",
        "amikeep-cloud-aws",
    ] {
        assert_eq!(found(&format!("# Map\nSee `{span}`.\n")), [], "{span}");
    }
}

#[test]
fn names_that_are_gone_are_found_at_their_line() {
    for span in [
        "engine::tock",
        "engine::CreateImage",
        "OwnedImage::prove",
        "ForeignImage",
        "crash_after_every_effect",
        "tock.rs",
        "crates/engines",
        "crates/engine/src/tock",
        "config/*.yaml",
        "amikeep-cloud-gcp",
        "docs/gone.md",
    ] {
        assert_eq!(found(&format!("# Map\nSee `{span}`.\n")), missing(span), "{span}");
    }
}

#[test]
fn words_of_other_worlds_are_left_alone() {
    for span in [
        "amikeep daemon",
        "SIGHUP",
        "/etc/amikeep/amikeep.toml",
        "tokio_util::sync::CancellationToken",
        "std::time::Instant",
        "amikeep:job",
        "amikeep-{owner}-{policy}",
        "keep = { last = 3 }",
        "reboot",
        "no-reboot",
        "table/json",
    ] {
        assert_eq!(found(&format!("# Map\nSee `{span}`.\n")), [], "{span}");
    }
}

#[test]
fn fenced_blocks_are_drawings_and_not_names() {
    assert_eq!(found("# Map\n```text\n`Gone` -> `crates/gone`\n```\n"), []);
}

#[test]
fn a_page_of_more_than_300_lines_is_found() {
    assert_eq!(found(&"x\n".repeat(300)), []);
    assert_eq!(found(&"x\n".repeat(301)), [(1, "301 lines, 300 at most".to_owned())]);
}

#[test]
fn a_missing_architecture_is_found() {
    assert_eq!(check_architecture(&Tree::of(&[])).len(), 1);
}

#[test]
fn each_direct_dependency_needs_its_row_and_each_row_its_dependency() {
    let manifest = "[workspace.dependencies]\nours = { path = \"x\" }\nserde = \"1\"\ntoml = \"1\"\n";
    let page = "Not a row: `toml`.\n\n| package | why |\n|---|---|\n| `serde` | types |\n| `gone` | no |\n";
    let tree = Tree::of(&[("Cargo.toml", manifest), ("docs/dependencies.md", page)]);
    let found: Vec<_> = check_dependencies(&tree).into_iter().map(|f| (f.path, f.line, f.what)).collect();
    assert_eq!(
        found,
        [
            ("Cargo.toml".to_owned(), 4, "`toml` has no row in docs/dependencies.md".to_owned()),
            ("docs/dependencies.md".to_owned(), 6, "`gone` is no direct dependency".to_owned()),
        ]
    );
}

#[test]
fn a_promise_names_tests_that_exist() {
    let page = "# Reliability\n\n`max_deletes` is a key.\n\n| promise | test |\n|---|---|\n| `x_y` | `it_works`, `it_boots` |\n\
                | y | `it_worked`, `helps` |\n";
    let code =
        "//! X.\nfn helps() {}\n#[tokio::test(flavor = \"multi_thread\")]\nasync fn it_works() {\n    helps();\n}\n";
    let boot = "//! X.\nfn boot() {\n    life::it_boots(&host).await;\n}\n";
    let files = [("docs/reliability.md", page), ("tests/it/a.rs", code), ("tests/systemd/main.rs", boot)];
    let found: Vec<_> = check_reliability(&Tree::of(&files)).into_iter().map(|it| (it.line, it.what)).collect();
    assert_eq!(found, [(8, "no test is called `it_worked`".to_owned()), (8, "no test is called `helps`".to_owned())]);
}
