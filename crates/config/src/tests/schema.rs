//! The JSON Schema and the reader know the same keys. That they judge the same files alike is tested with a reader of JSON
//! Schema, in `crates/fuzz`.

use serde_json::Value as Json;

use crate::keys::RootKeys;
use crate::section::{Key, Presence, Section as _};
use crate::tests::examples::SECTIONS;
use crate::{parse, schema};

/// Where each table of the schema is found in a file: the tables by name have one that is called `x`.
fn tables<'a>(schema: &'a Json, path: &[String], found: &mut Vec<(Vec<String>, &'a Json)>) {
    if schema["properties"].is_object() {
        found.push((path.to_vec(), schema));
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        tables(property, &[path, std::slice::from_ref(name)].concat(), found);
    }
    if schema["additionalProperties"].is_object() {
        tables(&schema["additionalProperties"], &[path, &["x".to_owned()]].concat(), found);
    }
}

/// A file that has nothing but this value at this path.
fn file_with(path: &[String], value: &str) -> String {
    match path {
        [] => value.trim_matches(['{', '}']).to_owned(),
        _ => format!("{} = {value}\n", path.join(".")),
    }
}

fn findings(text: &str) -> Vec<(String, String, Option<String>)> {
    let report = match parse(text, "f") {
        Ok(loaded) => loaded.warnings,
        Err(error) => error.report().clone(),
    };
    report.diagnostics().iter().map(|it| (it.key.clone(), it.message.clone(), it.allowed.clone())).collect()
}

/// The list of allowed keys is what the reader goes by when it refuses one.
#[test]
fn schema_and_reader_know_the_same_keys() {
    let schema = schema();
    let mut found = Vec::new();
    tables(&schema, &[], &mut found);
    assert_eq!(found.len(), 10, "a section that this test does not reach");
    for (path, table) in found {
        let findings = findings(&file_with(&path, "{ zzz = 1 }"));
        let key = [&path[..], &["zzz".to_owned()]].concat().join(".");
        let allowed = findings.iter().find(|it| it.0 == key && it.1 == "unknown key").and_then(|it| it.2.clone());
        let mut allowed: Vec<String> = allowed.unwrap_or_default().split(", ").map(str::to_owned).collect();
        allowed.sort();
        let keys: Vec<String> = table["properties"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(allowed, keys, "{path:?}");
        assert_eq!(table["additionalProperties"], Json::Bool(false), "{path:?}");
    }
}

/// A key that the schema has and nobody reads would take any value.
#[test]
fn every_key_of_the_schema_is_read() {
    let schema = schema();
    let mut found = Vec::new();
    tables(&schema, &[], &mut found);
    let mut n_keys = 0;
    for (path, table) in found {
        for name in table["properties"].as_object().unwrap().keys() {
            let key_path = [&path[..], std::slice::from_ref(name)].concat();
            let findings = findings(&file_with(&key_path, "1979-05-27T07:32:00Z"));
            let about = findings.iter().find(|it| it.0 == key_path.join("."));
            assert!(about.is_some_and(|it| it.1.contains("is expected, not a datetime")), "{key_path:?}: {findings:?}");
            n_keys += 1;
        }
    }
    let of_sections: usize = SECTIONS.iter().map(|(_, keys)| keys.len()).sum();
    assert_eq!(n_keys, of_sections + RootKeys::KEYS.len());
}

#[test]
fn a_required_key_of_the_schema_is_required() {
    let schema = schema();
    let mut found = Vec::new();
    tables(&schema, &[], &mut found);
    for (path, table) in found {
        let findings = findings(&file_with(&path, "{}"));
        for name in table["properties"].as_object().unwrap().keys() {
            let key = [&path[..], std::slice::from_ref(name)].concat().join(".");
            let is_missing = findings.iter().any(|it| it.0 == key && it.1 == "missing");
            let is_required = table["required"].as_array().unwrap().iter().any(|it| it == name);
            assert_eq!(is_missing, is_required, "{key}");
            assert!(table["properties"][name]["description"].is_string(), "{key}");
        }
    }
}

#[test]
fn every_default_of_the_schema_is_accepted() {
    let schema = schema();
    let mut found = Vec::new();
    tables(&schema, &[], &mut found);
    let mut n_defaults = 0;
    for (path, table) in found {
        for (name, property) in table["properties"].as_object().unwrap() {
            let Some(default) = property.get("default") else { continue };
            let key = [&path[..], std::slice::from_ref(name)].concat();
            let findings = findings(&file_with(&key, &default.to_string()));
            let wrong: Vec<_> = findings.iter().filter(|it| it.0 == key.join(".")).collect();
            let is_fine = wrong.is_empty() || name == "listen";
            assert!(is_fine, "{key:?}: {wrong:?}");
            n_defaults += 1;
        }
    }
    let has_default = |key: &&Key| matches!(key.presence, Presence::Or(_));
    assert_eq!(n_defaults, SECTIONS.iter().flat_map(|(_, keys)| *keys).filter(has_default).count());
}
