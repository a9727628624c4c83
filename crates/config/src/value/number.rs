//! Whole numbers.

use amikeep_domain::retention::Count;
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::findings::Findings;
use crate::value::{Node, Refusal, Value, wrong_type};

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Whole<const MIN: u32, const MAX: u32>(pub(crate) u32);

impl<const MIN: u32, const MAX: u32> Value for Whole<MIN, MAX> {
    fn schema() -> Json {
        json!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }

    fn read(node: &Node<'_, '_>, findings: &mut Findings<'_>) -> Option<Self> {
        let text = integer_text(node, "a whole number", findings)?;
        let number = text.parse().ok().and_then(|number: i64| u32::try_from(number).ok());
        if let Some(number) = number.filter(|number| (MIN..=MAX).contains(number)) {
            return Some(Self(number));
        }
        findings
            .error(&node.at, format!("{text} is out of range"))
            .allow(format!("a whole number from {MIN} to {MAX}"));
        None
    }
}

impl Value for Count {
    fn schema() -> Json {
        json!({ "type": "integer", "anyOf": [{ "const": -1 }, { "minimum": 1, "maximum": u32::MAX }] })
    }

    fn read(node: &Node<'_, '_>, findings: &mut Findings<'_>) -> Option<Self> {
        let text = integer_text(node, "a count", findings)?;
        text.parse::<Self>().map_err(|error| Refusal::new(error.to_string()).report(&node.at, findings)).ok()
    }
}

/// The number in decimal; the file may have it in hexadecimal, octal or binary.
fn integer_text(node: &Node<'_, '_>, expected: &str, findings: &mut Findings<'_>) -> Option<String> {
    let DeValue::Integer(integer) = node.value else {
        wrong_type(node, expected, findings);
        return None;
    };
    let number = i64::from_str_radix(integer.as_str(), integer.radix());
    Some(number.map_or_else(|_| integer.to_string(), |number| number.to_string()))
}
