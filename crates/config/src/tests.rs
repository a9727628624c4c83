//! Guarantees of the whole crate, told by the report that an operator sees.

mod examples;
mod files;
mod reports;
mod robustness;
mod schema;
mod values;

use expect_test::Expect;

use crate::{Color, Config, Loaded, parse};

/// What every test needs around the key that it is about.
const DAEMON: &str = "[daemon]\nowner = \"test\"\n";
const ACCOUNT: &str = "[accounts.default]\nregion = \"eu-central-1\"\n";

/// A policy that is right but for what a test adds, leaves out or changes in it.
const POLICY: [(&str, &str); 5] = [
    ("account", "\"default\""),
    ("class", "\"stateful\""),
    ("schedule", "\"0 2 * * *\""),
    ("select", "{ tags = { Env = \"prod\" } }"),
    ("keep", "{ daily = 7 }"),
];

/// A file with one policy, `p`, in which these keys have these values; `""` leaves a key out.
fn with_policy(changes: &[(&str, &str)]) -> String {
    let mut keys: Vec<(&str, &str)> = POLICY.to_vec();
    for (name, value) in changes {
        match keys.iter_mut().find(|(key, _)| key == name) {
            Some(key) => key.1 = value,
            None => keys.push((name, value)),
        }
    }
    let lines: Vec<_> =
        keys.iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| format!("{key} = {value}\n")).collect();
    format!("{DAEMON}{ACCOUNT}[policies.p]\n{}", lines.concat())
}

/// A right file with one policy, and more behind it.
fn with_tables(tables: &str) -> String {
    with_policy(&[]) + tables
}

fn accepted(text: &str) -> Loaded {
    parse(text, "amikeep.toml").unwrap_or_else(|error| panic!("{}", error.report().render(Color::Plain)))
}

fn config(text: &str) -> Config {
    accepted(text).config
}

/// The report of a file, whether it is refused or not.
fn report(text: &str) -> String {
    match parse(text, "amikeep.toml") {
        Ok(loaded) => loaded.warnings.render(Color::Plain),
        Err(error) => error.report().render(Color::Plain),
    }
}

fn check(text: &str, want: &Expect) {
    want.assert_eq(&report(text));
}
