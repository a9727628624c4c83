//! Lists, of which each item is read and reported by itself.

use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::findings::Findings;
use crate::value::{Located, Node, Value, wrong_type};

/// Any number of different values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Several<T>(pub(crate) Vec<Located<T>>);

/// A value, or a list of at least one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OneOrMore<T>(pub(crate) Vec<Located<T>>);

/// A program and its arguments, run without a shell. Arguments may repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Argv(pub(crate) Vec<String>);

/// Programs with their arguments, in order. One may be listed twice: it runs twice then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Programs(pub(crate) Vec<Vec<String>>);

impl Value for Programs {
    fn schema() -> Json {
        json!({ "type": "array", "items": Argv::schema() })
    }

    fn read(node: &Node<'_, '_>, findings: &mut Findings<'_>) -> Option<Self> {
        let DeValue::Array(array) = node.value else {
            wrong_type(node, "a list of programs, each a list with its arguments,", findings);
            return None;
        };
        if !array.is_empty() && array.iter().all(|item| matches!(item.get_ref(), DeValue::String(_))) {
            findings
                .error(&node.at, "a list of programs is expected, not one program")
                .suggest("write one more pair of brackets: `[[\"/path/of/program\", \"argument\"]]`");
            return None;
        }
        let read = |(index, item): (usize, &toml::Spanned<DeValue<'_>>)| {
            let at = node.at.item(index, item.span());
            Argv::read(&Node { value: item.get_ref(), at }, findings).map(|argv| argv.0)
        };
        let programs: Vec<Option<Vec<String>>> = array.iter().enumerate().map(read).collect();
        programs.into_iter().collect::<Option<Vec<_>>>().map(Self)
    }
}

impl<T: Value + PartialEq> Value for Several<T> {
    fn schema() -> Json {
        json!({ "type": "array", "items": T::schema(), "uniqueItems": true })
    }

    fn read(node: &Node<'_, '_>, findings: &mut Findings<'_>) -> Option<Self> {
        different_items(node, findings).map(Self)
    }
}

impl<T: Value + PartialEq> Value for OneOrMore<T> {
    fn schema() -> Json {
        let item = T::schema();
        json!({ "anyOf": [item, { "type": "array", "items": item, "minItems": 1, "uniqueItems": true }] })
    }

    fn read(node: &Node<'_, '_>, findings: &mut Findings<'_>) -> Option<Self> {
        let DeValue::Array(array) = node.value else {
            let value = T::read(node, findings)?;
            return Some(Self(vec![Located { value, at: node.at.clone() }]));
        };
        if array.is_empty() {
            findings.error(&node.at, "the list is empty").allow("at least one value");
            return None;
        }
        different_items(node, findings).map(Self)
    }
}

impl Value for Argv {
    fn schema() -> Json {
        json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 })
    }

    fn read(node: &Node<'_, '_>, findings: &mut Findings<'_>) -> Option<Self> {
        let DeValue::Array(array) = node.value else {
            wrong_type(node, "a list of a program and its arguments", findings);
            return None;
        };
        let words: Option<Vec<String>> = array.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect();
        match words {
            Some(words) if words.first().is_some_and(|program| program.starts_with('/')) => Some(Self(words)),
            _ => {
                findings
                    .error(&node.at, "not a program and its arguments")
                    .allow("a list of texts, the first of which is the absolute path of the program");
                None
            }
        }
    }
}

/// Every item, or `None` once all that are wrong or repeated have been reported.
fn different_items<T: Value + PartialEq>(node: &Node<'_, '_>, findings: &mut Findings<'_>) -> Option<Vec<Located<T>>> {
    let DeValue::Array(array) = node.value else {
        wrong_type(node, "a list", findings);
        return None;
    };
    let mut items: Vec<Located<T>> = Vec::with_capacity(array.len());
    let mut is_right = true;
    for (index, item) in array.iter().enumerate() {
        // The place is the item's own, even for a table: the key of the list may be far above it.
        let at = node.at.item(index, item.span());
        let read = T::read(&Node { value: item.get_ref(), at: at.clone() }, findings);
        let is_repeated = read.as_ref().is_some_and(|value| items.iter().any(|it| it.value == *value));
        if is_repeated {
            findings.error(&at, "listed twice");
        }
        is_right &= read.is_some() && !is_repeated;
        items.extend(read.map(|value| Located { value, at }));
    }
    is_right.then_some(items)
}
