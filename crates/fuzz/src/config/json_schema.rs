//! As much of JSON Schema as the schema of the configuration uses, but for patterns.

use serde_json::Value as Json;
use toml::Value as Toml;

/// Every way in which `value` is not what `schema` describes, as far as this knows the language: all that the schema of
/// amikeep uses, but for patterns.
pub fn violations(schema: &Json, value: &Toml) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(kind) = schema["type"].as_str() {
        let is = match value {
            Toml::String(_) => "string",
            Toml::Integer(_) => "integer",
            Toml::Boolean(_) => "boolean",
            Toml::Array(_) => "array",
            Toml::Table(_) => "object",
            Toml::Float(_) | Toml::Datetime(_) => "other",
        };
        if is != kind {
            return vec![format!("{value} is not of type {kind}")];
        }
    }
    if let Some(options) = schema["anyOf"].as_array()
        && options.iter().all(|option| !violations(option, value).is_empty())
    {
        found.push(format!("{value} is none of the options"));
    }
    match value {
        Toml::String(text) => {
            let is_word = schema["enum"].as_array().is_none_or(|words| words.iter().any(|word| word == text));
            found.extend((!is_word).then(|| format!("{text} is not one of the words")));
        }
        Toml::Integer(number) => {
            let is_low = schema["minimum"].as_i64().is_some_and(|minimum| *number < minimum);
            let is_other = schema["const"].as_i64().is_some_and(|only| *number != only);
            found.extend((is_low || is_other).then(|| format!("{number} is out of range")));
        }
        Toml::Array(items) => {
            let is_short = schema["minItems"].as_u64().is_some_and(|n_min| (items.len() as u64) < n_min);
            found.extend(is_short.then(|| "too few items".to_owned()));
            found.extend(items.iter().flat_map(|item| violations(&schema["items"], item)));
        }
        Toml::Table(table) => found.extend(table_violations(schema, table)),
        Toml::Boolean(_) | Toml::Float(_) | Toml::Datetime(_) => {}
    }
    found
}

fn table_violations(schema: &Json, table: &toml::Table) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in table {
        let rest = &schema["additionalProperties"];
        match schema["properties"].get(name) {
            Some(property) => found.extend(violations(property, value)),
            None if rest == false => found.push(format!("{name} is unknown")),
            None => found.extend(violations(rest, value)),
        }
    }
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str);
    found.extend(required.filter(|name| !table.contains_key(*name)).map(|name| format!("{name} is missing")));
    found
}
