//! Tables with fixed keys. A section is declared once, with the name, type, documentation and presence of every key;
//! the reader, the JSON Schema and the tables of the documentation are made of that one declaration.
//!
//! Nothing here knows what any key means.

use serde_json::{Value as Json, json};
use toml::de::{DeTable, DeValue};

use crate::findings::{At, Findings};
use crate::suggest;
use crate::value::{Located, Node, Value, wrong_type};

/// What happens when a key is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It is an error. The example is shown to whoever left the key out.
    Required(&'static str),
    /// The key has no default; leaving it out means something.
    Optional,
    /// This value is taken, written so that it is TOML and JSON alike.
    Or(&'static str),
}

/// One key of a section.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) presence: Presence,
    pub(crate) schema: fn() -> Json,
}

/// What was found under a key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Field<T> {
    /// Nothing, and there is no default.
    Absent,
    /// Something that was refused and reported.
    Wrong,
    /// Nothing, so the default.
    Default(Located<T>),
    /// A value.
    Given(Located<T>),
}

impl<T> Field<T> {
    /// The value with its place, written or by default.
    pub(crate) fn located(&self) -> Option<&Located<T>> {
        match self {
            Self::Default(located) | Self::Given(located) => Some(located),
            Self::Absent | Self::Wrong => None,
        }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        self.located().map(|it| &it.value)
    }

    /// The value with its place, if it is written in the file.
    pub(crate) fn given(&self) -> Option<&Located<T>> {
        match self {
            Self::Given(located) => Some(located),
            Self::Absent | Self::Wrong | Self::Default(_) => None,
        }
    }

    /// Whether the author left it out, as opposed to having it refused.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// A table with fixed keys.
pub(crate) trait Section: Sized {
    /// What the table is for.
    const ABOUT: &'static str;
    /// Its keys, in the order of the documentation.
    const KEYS: &'static [Key];

    fn read_section(table: &mut Reader<'_, '_, '_>) -> Self;
}

/// Declares a section: a struct with a [`Field`] for each key and the place of the table itself.
macro_rules! section {
    ($(#[doc = $about:literal])+ $name:ident { $($(#[doc = $doc:literal])+ $field:ident: $type:ty, $presence:expr;)+ }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) struct $name {
            $($(#[doc = $doc])+ pub(crate) $field: $crate::section::Field<$type>,)+
        }

        impl $crate::section::Section for $name {
            const ABOUT: &'static str = concat!($($about),+).trim_ascii();
            const KEYS: &'static [$crate::section::Key] = &[$($crate::section::Key {
                name: stringify!($field),
                doc: concat!($($doc),+).trim_ascii(),
                presence: $presence,
                schema: <$type as $crate::value::Value>::schema,
            },)+];

            fn read_section(table: &mut $crate::section::Reader<'_, '_, '_>) -> Self {
                Self { $($field: table.field(stringify!($field)),)+ }
            }
        }

        impl $crate::value::Value for $name {
            fn schema() -> serde_json::Value {
                $crate::section::schema::<Self>()
            }

            fn read(node: &$crate::value::Node<'_, '_>, findings: &mut $crate::findings::Findings<'_>) -> Option<Self> {
                $crate::section::read(node, findings)
            }
        }
    };
}
pub(crate) use section;

/// Reads the keys of one table.
pub(crate) struct Reader<'r, 'i, 'f> {
    keys: &'static [Key],
    table: &'r DeTable<'i>,
    at: &'r At,
    /// Required keys that are there under another spelling; the typo is reported, the absence is not.
    misspelt: Vec<&'static str>,
    findings: &'r mut Findings<'f>,
}

impl Reader<'_, '_, '_> {
    /// Reads one key. It is one of the section's own, since only [`section!`] calls this.
    pub(crate) fn field<T: Value>(&mut self, name: &'static str) -> Field<T> {
        if let Some((key, value)) = self.table.get_key_value(name) {
            let node = Node::new(value, self.at.child(name, key.span()));
            return T::read(&node, self.findings)
                .map_or(Field::Wrong, |value| Field::Given(Located { value, at: node.into_at() }));
        }
        match self.keys.iter().find(|key| key.name == name).map(|key| key.presence) {
            Some(Presence::Required(_)) if self.misspelt.contains(&name) => Field::Wrong,
            Some(Presence::Required(example)) => {
                let at = self.at.child(name, self.at.span.clone());
                let suggestion = match self.at.key.as_str() {
                    "" => format!("add a table [{name}], for example with `{example}`"),
                    _ => format!("add it, for example `{name} = {example}`"),
                };
                self.findings.error(&at, "missing").suggest(suggestion);
                Field::Wrong
            }
            Some(Presence::Or(default)) => self.default_of(name, default),
            Some(Presence::Optional) | None => Field::Absent,
        }
    }

    fn default_of<T: Value>(&mut self, name: &str, default: &'static str) -> Field<T> {
        let at = self.at.child(name, self.at.span.clone());
        let Ok(value) = DeValue::parse(default) else { return Field::Absent };
        let node = Node { value: value.get_ref(), at };
        T::read(&node, self.findings)
            .map_or(Field::Wrong, |value| Field::Default(Located { value, at: node.into_at() }))
    }
}

/// Reads a table, and reports every key that it does not know.
pub(crate) fn read<S: Section>(node: &Node<'_, '_>, findings: &mut Findings<'_>) -> Option<S> {
    let DeValue::Table(table) = node.value else {
        wrong_type(node, "a table", findings);
        return None;
    };
    Some(read_table(table, &node.at, findings))
}

/// Reads the keys of a table that is known to be one.
pub(crate) fn read_table<S: Section>(table: &DeTable<'_>, at: &At, findings: &mut Findings<'_>) -> S {
    let mut misspelt = Vec::new();
    for key in table.keys().filter(|key| S::KEYS.iter().all(|known| known.name != key.get_ref().as_ref())) {
        let names: Vec<_> = S::KEYS.iter().map(|known| known.name).collect();
        let meant = suggest::nearest(key.get_ref(), names.iter().copied());
        let diagnostic = findings.error(&at.child(key.get_ref(), key.span()), "unknown key");
        diagnostic.allow(names.join(", "));
        diagnostic.suggestion = crate::keys::home_of(&at.key, key.get_ref()).or_else(|| suggest::did_you_mean(meant));
        misspelt.extend(meant);
    }
    S::read_section(&mut Reader { keys: S::KEYS, table, at, misspelt, findings })
}

/// The JSON Schema of a section.
pub(crate) fn schema<S: Section>() -> Json {
    let properties: serde_json::Map<_, _> = S::KEYS.iter().map(|key| (key.name.to_owned(), key.describe())).collect();
    let is_required = |key: &&Key| matches!(key.presence, Presence::Required(_));
    let required: Vec<_> = S::KEYS.iter().filter(is_required).map(|key| key.name).collect();
    json!({
        "type": "object",
        "description": S::ABOUT,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

impl Key {
    fn describe(&self) -> Json {
        let mut schema = (self.schema)();
        let literal = |text: &str| serde_json::from_str::<Json>(text).unwrap_or_default();
        if let Json::Object(object) = &mut schema {
            object.insert("description".to_owned(), self.doc.into());
            match self.presence {
                Presence::Or(default) => drop(object.insert("default".to_owned(), literal(default))),
                Presence::Required(_) | Presence::Optional => {}
            }
        }
        schema
    }
}
