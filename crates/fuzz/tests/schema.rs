//! The published schema, looked at by the reader of JSON Schema that the target `config` uses.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use amikeep_config::{parse, schema};
use amikeep_fuzz::config::json_schema::violations;
use serde_json::Value as Json;
use toml::Value as Toml;

const VALID: &str = include_str!("../../../config/minimal.toml");

/// Without tables, so that more of them can follow.
fn violations_of(text: &str) -> Vec<String> {
    let file: toml::Table = text.parse().unwrap();
    violations(&schema(), &Toml::Table(file))
}

#[test]
fn the_reader_of_the_schema_tells_what_is_wrong() {
    assert_eq!(violations_of(VALID), [] as [String; 0]);
    for tables in [
        "[policies.q]\nnonsense = 1\n",
        "[policies.q]\naccount = []\n",
        "[policies.q]\nenabled = \"yes\"\n",
        "[policies.q]\nkeep = { last = 0 }\n",
        "[policies.q]\nmax_deletes = -1\n",
        "[classes.q]\nconsistency = \"maybe\"\n",
        "[accounts.q]\nregion = 1\n",
        "[freezes.q]\nvia = \"ssh\"\n",
    ] {
        let text = format!("{VALID}\n{tables}");
        assert_ne!(violations_of(&text), [] as [String; 0], "{tables}");
        assert!(parse(&text, "f").is_err(), "{tables}");
    }
}

#[test]
fn every_default_is_what_its_own_schema_allows() {
    fn check(schema: &Json) -> usize {
        let mut n_defaults = 0;
        if let Some(default) = schema.get("default") {
            let file: toml::Table = format!("value = {default}").parse().unwrap();
            assert_eq!(violations(schema, &file["value"]), [] as [String; 0], "{schema}");
            n_defaults += 1;
        }
        let properties = schema["properties"].as_object().into_iter().flat_map(|it| it.values());
        n_defaults + properties.chain(schema.get("additionalProperties")).map(check).sum::<usize>()
    }
    assert!(10 < check(&schema()), "defaults were not found");
}
