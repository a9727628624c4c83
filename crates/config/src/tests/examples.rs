//! The examples in `config/` and the tables of `docs/configuration.md` are what they claim to be.

use crate::keys::{
    AccountKeys, ClassKeys, ConnectionKeys, DaemonKeys, FreezeKeys, KeepKeys, PolicyKeys, RebootWindowKeys, SelectKeys,
};
use crate::section::{Key, Presence, Section};
use crate::tests::{accepted, config};

const MINIMAL: &str = include_str!("../../../../config/minimal.toml");
const REFERENCE: &str = include_str!("../../../../config/amikeep.toml");
const FLEET: &str = include_str!("../../../../config/fleet.toml");
const DOCUMENT: &str = include_str!("../../../../docs/configuration.md");

/// Every section, by the heading under which the documentation has it.
pub(super) const SECTIONS: [(&str, &[Key]); 9] = [
    ("[daemon]", DaemonKeys::KEYS),
    ("[accounts.NAME]", AccountKeys::KEYS),
    ("[policies.NAME]", PolicyKeys::KEYS),
    ("select", SelectKeys::KEYS),
    ("keep", KeepKeys::KEYS),
    ("[classes.NAME]", ClassKeys::KEYS),
    ("reboot_window", RebootWindowKeys::KEYS),
    ("[freezes.NAME]", FreezeKeys::KEYS),
    ("connection", ConnectionKeys::KEYS),
];

pub(super) const EXAMPLES: [(&str, &str); 3] =
    [("minimal.toml", MINIMAL), ("amikeep.toml", REFERENCE), ("fleet.toml", FLEET)];

#[test]
fn every_example_is_accepted_without_a_warning() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config");
    let files = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let on_disk = files.filter(|path| path.extension().is_some_and(|it| it == "toml")).count();
    assert_eq!(on_disk, EXAMPLES.len(), "an example that no test reads");
    for (name, text) in EXAMPLES {
        assert_eq!(accepted(text).warnings.diagnostics(), [], "{name}");
    }
}

#[test]
fn the_reference_names_every_key_and_shows_every_default() {
    for (section, keys) in SECTIONS {
        for key in keys {
            let name = key.name;
            assert!(REFERENCE.contains(&format!("{name} = ")), "{section} {name} is not in the reference");
            let Presence::Or(default) = key.presence else { continue };
            let shown = format!("{name} = {default}");
            assert!(REFERENCE.contains(&shown), "the reference does not show the default `{shown}` of {section}");
        }
    }
}

/// Uncommenting a default must not change anything, or it was not the default.
#[test]
fn a_default_that_is_written_out_changes_nothing() {
    let defaults: Vec<String> = SECTIONS
        .iter()
        .flat_map(|(_, keys)| *keys)
        .filter_map(|key| match key.presence {
            Presence::Or(default) => Some(format!("# {} = {default}", key.name)),
            Presence::Required(_) | Presence::Optional => None,
        })
        .collect();
    let written = uncommented(|line| defaults.iter().any(|default| default == line));
    assert_ne!(written, before_freezes());
    assert_eq!(config(&written), config(REFERENCE));
}

#[test]
fn every_commented_key_of_the_reference_can_be_used() {
    let is_key = |line: &str| {
        let key = line.strip_prefix("# ").and_then(|bare| bare.split_once(" = ")).map_or("", |(key, _)| key);
        // Alternatives of keys that are there already, and a freeze where the class does not ask for one.
        let is_usable = !matches!(key, "" | "select" | "keep" | "freeze");
        is_usable && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    let freezes =
        REFERENCE.strip_prefix(before_freezes()).unwrap().replace("\n# ", "\n").replace("\"none\"", "\"mysql\"");
    // The one line between them that is a comment and no key.
    let freezes = freezes[2..].replace("\nBy commands", "\n# By commands");
    let config = config(&(uncommented(is_key) + &freezes));
    assert!(config.accounts.values().all(|account| account.role.is_some() && account.endpoint_url.is_some()));
    assert_eq!(config.policy_set.freezes.len(), 2);
}

fn before_freezes() -> &'static str {
    REFERENCE.split_once("# [freezes.").unwrap().0
}

/// The reference without its freezes, some of its comments turned into keys.
fn uncommented(choose: impl Fn(&str) -> bool) -> String {
    let lines = before_freezes().lines().map(|line| if choose(line) { &line[2..] } else { line });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn the_documentation_has_a_line_for_every_key_and_no_other() {
    for (section, keys) in SECTIONS {
        let table: String = keys.iter().map(row).collect();
        assert!(DOCUMENT.contains(&table), "docs/configuration.md lacks this table of {section}:\n{table}");
    }
    let n_rows: usize = SECTIONS.iter().map(|(_, keys)| keys.len()).sum();
    assert_eq!(DOCUMENT.lines().filter(|line| line.starts_with("| `")).count(), n_rows);
}

fn row(key: &Key) -> String {
    let presence = match key.presence {
        Presence::Required(_) => "required".to_owned(),
        Presence::Optional => "–".to_owned(),
        Presence::Or(default) => format!("`{default}`"),
    };
    format!("| `{}` | {presence} | {} |\n", key.name, key.doc)
}
