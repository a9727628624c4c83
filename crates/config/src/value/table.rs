//! Tables whose keys are names that the author chose.

use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::findings::Findings;
use crate::value::{Located, Node, Text, Value, wrong_type};

/// One entry. The name stands even if what is under it is wrong, so that references to it are not reported as well.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry<K, V> {
    pub(crate) name: Located<K>,
    pub(crate) value: Option<V>,
}

/// Values by name, in alphabetical order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Named<K, V>(pub(crate) Vec<Entry<K, V>>);

impl<K: Text, V: Value> Value for Named<K, V> {
    fn schema() -> Json {
        json!({ "type": "object", "propertyNames": K::constraints(), "additionalProperties": V::schema() })
    }

    fn read(node: &Node<'_, '_>, findings: &mut Findings<'_>) -> Option<Self> {
        let table = match node.value {
            DeValue::Table(table) => table,
            DeValue::Array(array) if array.iter().all(|item| item.get_ref().is_table()) => {
                let key = &node.at.key;
                findings
                    .error(&node.at, "tables by name are expected, not a list of tables")
                    .suggest(format!("write [{key}.NAME] with single brackets, one table for each"));
                return None;
            }
            _ => {
                wrong_type(node, "a table", findings);
                return None;
            }
        };
        let entries = table.iter().filter_map(|(key, value)| {
            let at = node.at.child(key.get_ref(), key.span());
            let name = K::read_text(key.get_ref(), &at, findings);
            let value = V::read(&Node::new(value, at.clone()), findings);
            Some(Entry { name: Located { value: name?, at }, value })
        });
        Some(Self(entries.collect()))
    }
}
