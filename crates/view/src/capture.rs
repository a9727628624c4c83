//! Whether an image of an instance can be made of its snapshots (`capture = "snapshots"` of a freeze), and what it would
//! have of the instance: what `explain` and a rehearsal show before anything is taken.

use std::collections::BTreeMap;

use amikeep_domain::image_attributes::ImageAttributes;
use serde::Serialize;

use crate::table::{Cell, Fact, Tone};

/// What EC2 said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BySnapshots {
    /// Whether it can; null where that is not known.
    pub fit: Option<bool>,
    /// Why it cannot, or why that is not known.
    pub why: Option<String>,
    /// What is carried over, by name and in EC2's own words.
    pub carries: BTreeMap<&'static str, String>,
}

impl BySnapshots {
    /// Of what EC2 told of the instance.
    pub fn of(attributes: &ImageAttributes) -> Self {
        let why = attributes.unfit_because();
        let carries = if why.is_none() { attributes.carried().into_iter().collect() } else { BTreeMap::new() };
        Self { fit: Some(why.is_none()), why, carries }
    }

    /// It cannot, for another reason than what it is.
    pub fn unfit(why: String) -> Self {
        Self { fit: Some(false), ..Self::unknown(why) }
    }

    /// Nobody could say.
    pub fn unknown(why: String) -> Self {
        Self { fit: None, why: Some(why), carries: BTreeMap::new() }
    }
}

/// The same for a person.
pub fn facts(capture: &BySnapshots) -> Vec<Fact> {
    let (word, tone) = match capture.fit {
        Some(true) => ("can be taken", Tone::Good),
        Some(false) => ("cannot be taken", Tone::Bad),
        None => ("not known", Tone::Warning),
    };
    let why = capture.why.as_ref().map(|why| format!("{word}: {why}"));
    let mut facts = vec![Fact::new("by snapshots", Cell::new(why.unwrap_or_else(|| word.to_owned()), tone))];
    let fact =
        |(name, value): (&&str, &String)| Fact { label: name.replace('_', " ").into(), value: Cell::plain(value) };
    facts.extend(capture.carries.iter().map(fact));
    facts
}
