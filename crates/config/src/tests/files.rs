//! Files that cannot be read, are no text or no TOML.

use std::path::Path;
use std::{fs, io};

use expect_test::{Expect, expect};

use crate::load::{records_in, unreadable};
use crate::tests::{check, with_policy};
use crate::{Color, LoadError, load};

fn check_load(path: &Path, folder: &Path, want: &Expect) -> LoadError {
    let error = load(path).unwrap_err();
    let report = error.report().render(Color::Plain).replace(&folder.display().to_string(), "");
    want.assert_eq(&report);
    error
}

#[test]
fn a_file_that_is_not_there_says_how_to_name_another() {
    let folder = tempfile::tempdir().unwrap();
    let error = check_load(
        &folder.path().join("none.toml"),
        folder.path(),
        &expect![[r#"
        error: there is no such file
        --> /none.toml
         = help: name another with --config or AMIKEEP_CONFIG, or write one: config/minimal.toml of the source tree is the smallest
    "#]],
    );
    assert_eq!(error.report().errors().next().and_then(crate::Diagnostic::line), None);
}

#[test]
fn a_file_that_is_wrong_still_says_where_the_ledger_is_or_does_not_guess() {
    let explicit = "[daemon]\nowner = \"test\"\ndatabase = \"/var/lib/one.db\"\n";
    let wrong_policy = "[policies.p]\nclass = 3\n";
    let found = |text: &str| records_in(text).map(|records| records.database.display().to_string());
    assert_eq!(found(&format!("{explicit}{wrong_policy}")).as_deref(), Some("/var/lib/one.db"));
    assert_eq!(
        found(&format!("[daemon]\nowner = \"test\"\n{wrong_policy}")).as_deref(),
        Some("/var/lib/amikeep/amikeep.db")
    );
    for unsure in [
        wrong_policy,
        "[daemon]\nowner = \"test\"\ndatabse = \"/var/lib/one.db\"\n",
        "[daemon]\nowner = \"test\"\ndatabase = 3\n",
        "[daemon]\nowner = \"test\"\ndatabase = \"/var/lib/one.db\n",
        "[daemon]\nowner = \"test\n",
    ] {
        assert_eq!(found(unsure), None, "{unsure}");
    }
}

#[test]
fn a_file_that_is_wrong_still_says_where_the_socket_is_or_names_none() {
    let socket = |more: &str| {
        let text = format!("[daemon]\nowner = \"test\"\ndatabase = \"/srv/one.db\"\n{more}[policies.p]\nclass = 3\n");
        records_in(&text).unwrap().socket.map(|path| path.display().to_string())
    };
    assert_eq!(socket("").as_deref(), Some("/srv/one.db.sock"));
    assert_eq!(socket("socket = \"/run/two.sock\"\n").as_deref(), Some("/run/two.sock"));
    for none in ["socket = \"\"\n", "sockt = \"/run/two.sock\"\n", "socket = \"/run/two.sock\n"] {
        assert_eq!(socket(none), None, "{none}");
    }
}

#[test]
fn a_directory_is_not_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("amikeep.toml.d");
    fs::create_dir(&path).unwrap();
    check_load(
        &path,
        folder.path(),
        &expect![[r#"
        error: this is a directory
        --> /amikeep.toml.d
         = help: name the file in it
    "#]],
    );
}

/// Made of the error alone, since tests that run as root may read everything.
#[test]
fn a_file_that_may_not_be_read_says_which_permission_is_missing() {
    let report = unreadable("amikeep.toml", &io::ErrorKind::PermissionDenied.into());
    expect![[r#"
        error: this user may not read the file
        --> amikeep.toml
         = help: the installed file is for the group amikeep: join it (`usermod -aG amikeep NAME` as root, then log in anew), or make this file readable with `chgrp amikeep` and `chmod 0640`
    "#]]
    .assert_eq(&report.render(Color::Plain));
    let report = unreadable("amikeep.toml", &io::Error::from_raw_os_error(5));
    expect![[r#"
        error: the file cannot be read: Input/output error (os error 5)
        --> amikeep.toml
         = help: check the path and the disk it is on
    "#]]
    .assert_eq(&report.render(Color::Plain));
}

#[test]
fn a_file_that_is_no_text_is_shown_where_it_stops_being_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("amikeep.toml");
    fs::write(&path, b"[daemon]\nowner = \"caf\xe9\"\n").unwrap();
    check_load(
        &path,
        folder.path(),
        &expect![[r#"
        error: not UTF-8 text
         --> /amikeep.toml:2:13
          |
        2 | owner = "caf�"
          |             ^
          |
          = help: save the file as UTF-8; comments and tag values may hold any character then
    "#]],
    );
}

#[test]
fn a_file_that_is_too_large_is_not_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("amikeep.toml");
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    check_load(
        &path,
        folder.path(),
        &expect![[r#"
        error: the file is too large to be a configuration
        --> /amikeep.toml
         = help: check that the path is the right one
    "#]],
    );
}

#[test]
fn a_file_on_disk_is_read_as_its_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("amikeep.toml");
    fs::write(&path, format!("\u{feff}{}", with_policy(&[]).replace('\n', "\r\n"))).unwrap();
    assert_eq!(load(&path).unwrap().config, crate::tests::config(&with_policy(&[])));
}

#[test]
fn what_is_not_toml_is_shown_where_it_breaks() {
    check(
        "[daemon]\nowner = prod\n",
        &expect![[r#"
        error: not TOML: string values must be quoted, expected literal string
         --> amikeep.toml:2:9
          |
        2 | owner = prod
          |         ^^^^
    "#]],
    );
    check(
        "[daemon]\nowner = \"a\"\nowner = \"b\"\n",
        &expect![[r#"
        error: not TOML: duplicate key
         --> amikeep.toml:3:1
          |
        3 | owner = "b"
          | ^^^^^
    "#]],
    );
    check(
        "[policies.p]\n[policies.p]\n",
        &expect![[r#"
        error: not TOML: duplicate key
         --> amikeep.toml:2:11
          |
        2 | [policies.p]
          |           ^
    "#]],
    );
    check(
        "[daemon\n",
        &expect![[r#"
        error: not TOML: unclosed table, expected `]`
         --> amikeep.toml:1:8
          |
        1 | [daemon
          |        ^
    "#]],
    );
}
