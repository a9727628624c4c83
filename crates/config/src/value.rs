//! Values: how one is read from TOML, and what the JSON Schema says of it.
//!
//! Everything that is wrong with a single value is found here. What is wrong between values is found in
//! [`crate::build`].

pub(crate) mod duration;
pub(crate) mod list;
pub(crate) mod number;
pub(crate) mod place;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod time;

use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::DeValue;

use crate::findings::{At, Findings};

/// A value of the file, and where it is.
pub(crate) struct Node<'a, 'i> {
    pub(crate) value: &'a DeValue<'i>,
    pub(crate) at: At,
}

impl<'a, 'i> Node<'a, 'i> {
    /// Short values are shown themselves; tables and lists, which may be long, are shown by their key.
    pub(crate) fn new(value: &'a Spanned<DeValue<'i>>, key_at: At) -> Self {
        let at = match value.get_ref() {
            DeValue::Table(_) | DeValue::Array(_) => key_at,
            _ => At { span: value.span(), ..key_at },
        };
        Self { value: value.get_ref(), at }
    }

    pub(crate) fn into_at(self) -> At {
        self.at
    }
}

/// A value that was read, and where it was.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) at: At,
}

/// What can stand behind a key.
pub(crate) trait Value: Sized {
    fn schema() -> Json;

    /// The value, or `None` with a finding.
    fn read(node: &Node<'_, '_>, findings: &mut Findings<'_>) -> Option<Self>;
}

/// A text that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Refusal {
    pub(crate) message: String,
    pub(crate) allowed: Option<String>,
    pub(crate) suggestion: Option<String>,
    /// Whether the text may hold a secret, so that it must not be shown.
    pub(crate) secrecy: Secrecy,
}

/// Whether a refused text may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Secrecy {
    /// It may.
    #[default]
    Public,
    /// It may not: it seems to hold a password.
    Secret,
}

impl Refusal {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    pub(crate) fn allow(self, allowed: impl Into<String>) -> Self {
        Self { allowed: Some(allowed.into()), ..self }
    }

    pub(crate) fn suggest(self, suggestion: Option<String>) -> Self {
        Self { suggestion, ..self }
    }

    pub(crate) fn report(self, at: &At, findings: &mut Findings<'_>) {
        if self.secrecy == Secrecy::Secret {
            findings.hide(&at.span);
        }
        let diagnostic = findings.error(at, self.message);
        diagnostic.allowed = self.allowed;
        diagnostic.suggestion = self.suggestion;
    }
}

/// What is written as a string. The same types may be names of tables.
pub(crate) trait Text: Sized {
    /// What is expected, with its article.
    const EXPECTED: &'static str;

    /// What the JSON Schema says beside "a string".
    fn constraints() -> Json {
        json!({})
    }

    fn parse(text: &str) -> Result<Self, Refusal>;

    /// Parses the text found at a place.
    fn read_text(text: &str, at: &At, findings: &mut Findings<'_>) -> Option<Self> {
        Self::parse(text).map_err(|refusal| refusal.report(at, findings)).ok()
    }
}

impl<T: Text> Value for T {
    fn schema() -> Json {
        let mut schema = json!({ "type": "string" });
        if let (Json::Object(schema), Json::Object(constraints)) = (&mut schema, T::constraints()) {
            schema.extend(constraints);
        }
        schema
    }

    fn read(node: &Node<'_, '_>, findings: &mut Findings<'_>) -> Option<Self> {
        if let DeValue::String(text) = node.value {
            return T::read_text(text, &node.at, findings);
        }
        wrong_type(node, T::EXPECTED, findings);
        None
    }
}

impl Value for bool {
    fn schema() -> Json {
        json!({ "type": "boolean" })
    }

    fn read(node: &Node<'_, '_>, findings: &mut Findings<'_>) -> Option<Self> {
        if let DeValue::Boolean(value) = node.value {
            return Some(*value);
        }
        wrong_type(node, "true or false", findings);
        None
    }
}

/// Reports a value of a type that cannot be meant.
pub(crate) fn wrong_type(node: &Node<'_, '_>, expected: &str, findings: &mut Findings<'_>) {
    let found = match node.value {
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Integer(_) => "an integer".to_owned(),
        other => format!("a {}", other.type_str()),
    };
    let quoted = match node.value {
        DeValue::String(text) => text.parse::<i64>().is_ok() || text.parse::<bool>().is_ok(),
        _ => false,
    };
    let diagnostic = findings.error(&node.at, format!("{expected} is expected, not {found}"));
    if quoted {
        diagnostic.suggest("leave the quotes out");
    }
}
