//! The JSON Schema of the configuration file, for editors. It is made of the keys that the reader reads.
//!
//! It says less than the reader checks: nothing about other tables, time zones or dates that never come.

use serde_json::{Value as Json, json};

use crate::keys::RootKeys;
use crate::section;

/// The JSON Schema (draft 2020-12) of the configuration file.
pub fn schema() -> Json {
    let mut schema = section::schema::<RootKeys>();
    if let Json::Object(schema) = &mut schema {
        schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        schema.insert("title".to_owned(), json!("amikeep.toml"));
    }
    schema
}
