//! The rules for Rust files, on files of a few lines.

use super::*;

fn found(path: &str, text: &str) -> Vec<(usize, String)> {
    check(&Tree::of(&[(path, text)])).into_iter().map(|finding| (finding.line, finding.what)).collect()
}

fn nothing() -> Vec<(usize, String)> {
    Vec::new()
}

#[test]
fn a_plain_documented_file_has_no_finding() {
    assert_eq!(found("crates/domain/src/id.rs", "//! Ids.\n\nuse std::fmt;\n"), nothing());
    assert_eq!(found("crates/domain/src/lib.rs", "#![expect(x, reason = \"y\")]\n//! Ids.\n"), nothing());
}

#[test]
fn a_file_without_module_documentation_is_found() {
    let missing = [(1, "no module documentation".to_owned())];
    assert_eq!(found("crates/domain/src/id.rs", "use std::fmt;\n//! Too late.\n"), missing);
    assert_eq!(found("crates/domain/src/id.rs", ""), missing);
    assert_eq!(found("crates/domain/src/id.rs", "//!\n"), missing);
}

#[test]
fn names_that_say_nothing_are_found() {
    assert_eq!(found("crates/view/src/mod.rs", "//! X.\n"), [(1, "a file called mod.rs".to_owned())]);
    assert_eq!(found("crates/view/src/utils/time.rs", "//! X.\n"), [(1, "`utils` as a name".to_owned())]);
    assert_eq!(found("crates/view/src/util.rs", "//! X.\n"), [(1, "`util.rs` as a name".to_owned())]);
    assert_eq!(found("crates/view/src/model.rs", "//! X.\n"), nothing());
}

#[test]
fn the_length_is_counted_without_tests() {
    let code = |lines: usize| format!("//! X.\n{}", "fn f() {}\n".repeat(lines - 1));
    assert_eq!(found("crates/view/src/a.rs", &code(500)), nothing());
    let over = [(1, "501 lines without tests, 500 at most".to_owned())];
    assert_eq!(found("crates/view/src/a.rs", &code(501)), over);
    assert_eq!(found("crates/view/src/a/tests.rs", &code(501)), nothing());
    assert_eq!(found("crates/view/tests/a.rs", &code(501)), nothing());

    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    fn t() {}\n".repeat(300));
    assert_eq!(found("crates/view/src/a.rs", &format!("{}{tests}", code(500))), nothing());
    assert_eq!(found("crates/view/src/a.rs", &format!("{}{tests}fn after() {{}}\n", code(500))), over);
}

#[test]
fn a_declared_test_module_hides_no_line_behind_it() {
    let text = format!("//! X.\n#[cfg(test)]\nmod tests;\n{}", "fn f() {}\n".repeat(498));
    assert_eq!(found("crates/view/src/a.rs", &text), [(1, "501 lines without tests, 500 at most".to_owned())]);
}

#[test]
fn the_width_is_counted_in_characters() {
    assert_eq!(found("crates/view/src/a.rs", &format!("//! {}\n", "é".repeat(136))), nothing());
    let wide = format!("//! {}\n", "e".repeat(137));
    assert_eq!(found("crates/view/src/a.rs", &wide), [(1, "141 columns, 140 at most".to_owned())]);
}

#[test]
fn a_snapshot_in_a_test_is_as_wide_as_what_it_expects() {
    let wide = "x".repeat(141);
    let text = format!("//! X.\n    expect![[r#\"\n{wide}\n    \"#]]\n{wide}\n");
    let over = |line: usize| (line, "141 columns, 140 at most".to_owned());
    assert_eq!(found("crates/view/src/a/tests.rs", &text), [over(5)]);
    assert_eq!(found("crates/view/src/a.rs", &text), [over(3), over(5)]);
}

#[test]
fn a_glob_import_is_found_unless_it_is_a_tests_own_parent() {
    let glob = |line| [(line, "a glob import".to_owned())];
    assert_eq!(found("crates/view/src/a.rs", "//! X.\nuse super::*;\n"), glob(2));
    assert_eq!(found("crates/view/src/a.rs", "//! X.\npub(crate) use crate::row::*;\n"), glob(2));
    assert_eq!(found("crates/view/src/a.rs", "//! X.\nuse a::{\n    b,\n    c::*,\n};\n"), glob(5));
    assert_eq!(found("crates/view/src/a.rs", "//! X.\nfn f() {\n    use State::*;\n}\n"), glob(3));
    let inline = "//! X.\n#[cfg(test)]\nmod tests {\n    use super::*;\n    use other::*;\n}\n";
    assert_eq!(found("crates/view/src/a.rs", inline), glob(5));
    assert_eq!(found("crates/view/src/a/tests.rs", "//! X.\nuse super::*;\n"), nothing());
    assert_eq!(found("crates/view/src/a.rs", "//! X.\nlet used = a * b;\n"), nothing());
}

#[test]
fn every_forbidden_word_is_found_also_in_comments() {
    for word in &words::FORBIDDEN {
        let text = format!("//! X.\n    // {} it\n", word.text);
        assert_eq!(found("xtask/src/a.rs", &text), [(2, format!("`{}`", word.text))]);
    }
}

#[test]
fn a_benchmark_alone_may_wait_for_time() {
    let text = format!("//! X.\n{}(IDLE_FOR);\n", concat!("thread::", "sleep"));
    assert_eq!(found("xtask/src/bench/daemon.rs", &text), nothing());
    assert_eq!(found("xtask/src/process.rs", &text).len(), 1);
}

#[test]
fn a_longer_word_is_not_the_forbidden_one() {
    let text = format!(
        "//! X.\n// {}S, MY_{}, un{}\n",
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("should_", "panic")
    );
    assert_eq!(found("xtask/src/a.rs", &text), nothing());
    let reasoned = format!("//! X.\n{} = \"slow\"]\n", concat!("#[", "ignore"));
    assert_eq!(found("xtask/src/a.rs", &reasoned).len(), 1);
}

#[test]
fn the_sdk_and_sql_are_named_in_their_own_crates_only() {
    let sdk = "//! X.\nuse aws_sdk_ec2::Client;\n";
    assert_eq!(found("crates/engine/src/a.rs", sdk), [(2, "`aws_sdk_` outside cloud-aws".to_owned())]);
    assert_eq!(found("crates/cloud-aws/src/a.rs", sdk), nothing());
    let sql = "//! X.\nlet row = sqlx::query(SQL);\n";
    assert_eq!(found("tests/it/main.rs", sql), [(2, "`sqlx::` outside ledger and hold".to_owned())]);
    assert_eq!(found("crates/ledger/src/a.rs", sql), nothing());
    assert_eq!(found("crates/hold/src/a.rs", sql), nothing());
}

#[test]
fn a_comment_may_speak_of_a_reserved_name() {
    assert_eq!(found("crates/engine/src/a.rs", "//! X.\nf(); // as sqlx::query does\n/// `sqlx::Error`\n"), nothing());
}
