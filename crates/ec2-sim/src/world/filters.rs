//! `Filter.N` as EC2 evaluates it: any value, all filters, case-sensitive, with `*`, `?` and `\`.
//!
//! A filter that is not known is refused, never ignored. Rules: "Filter your results" in EC2's documentation.

use std::collections::HashSet;

use crate::error::ApiError;
use crate::reply::Tags;
use crate::request::Filter;

/// EC2's limits.
const FILTERS_MAX: usize = 50;
const VALUES_MAX: usize = 200;
const VALUE_LEN_MAX: usize = 255;

/// How the values of one attribute are read from a resource.
pub(crate) type Attribute<T> = fn(&T) -> Vec<String>;

/// A resource that can be listed.
pub(crate) trait Filterable: Sized {
    /// The attribute behind a filter's name; none if EC2 has no such filter, or the simulator does not know it.
    fn attribute(name: &str) -> Option<Attribute<Self>>;

    /// Its tags, for `tag:…` and `tag-key`; none if the listing has no such filters.
    fn tags(&self) -> &Tags;

    /// Whether `tag:…` and `tag-key` are filters of this listing.
    const HAS_TAG_FILTERS: bool = true;

    /// Orders a listing, and is where the next page goes on.
    fn cursor(&self) -> &str;
}

/// Checks `filters` and gives back which of `resources` match all of them.
pub(crate) fn apply<T: Filterable>(resources: Vec<T>, filters: &[Filter]) -> Result<Vec<T>, ApiError> {
    check_limits(filters)?;
    let mut kept = resources;
    for filter in filters {
        let wanted = Wanted::<T>::parse(&filter.name)?;
        let patterns = Patterns::parse(&filter.values)?;
        kept.retain(|resource| wanted.values(resource).iter().any(|value| patterns.match_any(value)));
    }
    Ok(kept)
}

fn check_limits(filters: &[Filter]) -> Result<(), ApiError> {
    if FILTERS_MAX < filters.len() {
        return Err(ApiError::client("FilterLimitExceeded", format!("The maximum number of filters is {FILTERS_MAX}")));
    }
    for filter in filters {
        if filter.values.is_empty() {
            let message = format!("The filter '{}' must have at least one value", filter.name);
            return Err(ApiError::client("InvalidParameterValue", message));
        }
        if VALUES_MAX < filter.values.len() {
            let message = format!("The maximum number of filter values specified on a single call is {VALUES_MAX}");
            return Err(ApiError::client("FilterLimitExceeded", message));
        }
        if filter.values.iter().any(|value| VALUE_LEN_MAX < value.chars().count()) {
            let message = format!("The maximum length for a filter value is {VALUE_LEN_MAX} characters");
            return Err(ApiError::client("InvalidParameterValue", message));
        }
    }
    Ok(())
}

enum Wanted<T> {
    Attribute(Attribute<T>),
    Tag(String),
    TagKey,
}

impl<T: Filterable> Wanted<T> {
    fn parse(name: &str) -> Result<Self, ApiError> {
        let tag = if T::HAS_TAG_FILTERS { name.strip_prefix("tag:") } else { None };
        match tag {
            Some(key) => Ok(Self::Tag(key.to_owned())),
            None if T::HAS_TAG_FILTERS && name == "tag-key" => Ok(Self::TagKey),
            None => T::attribute(name)
                .map(Self::Attribute)
                .ok_or_else(|| ApiError::client("InvalidParameterValue", format!("The filter '{name}' is invalid"))),
        }
    }

    fn values(&self, resource: &T) -> Vec<String> {
        match self {
            Self::Attribute(read) => read(resource),
            Self::Tag(key) => resource.tags().get(key).cloned().into_iter().collect(),
            Self::TagKey => resource.tags().keys().cloned().collect(),
        }
    }
}

/// The values of one filter. Most are plain ids, and a poll of ten thousand images compares each with two hundred.
#[derive(Default)]
struct Patterns {
    plain: HashSet<String>,
    wild: Vec<Pattern>,
}

impl Patterns {
    fn parse(values: &[String]) -> Result<Self, ApiError> {
        let mut patterns = Self::default();
        for value in values {
            if value.contains(['*', '?', '\\']) {
                patterns.wild.push(Pattern::parse(value)?);
            } else {
                patterns.plain.insert(value.clone());
            }
        }
        Ok(patterns)
    }

    fn match_any(&self, text: &str) -> bool {
        self.plain.contains(text) || self.wild.iter().any(|pattern| pattern.matches(text))
    }
}

/// A filter value with its wildcards.
struct Pattern(Vec<Piece>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Is(char),
    AnyOne,
    AnyRun,
}

impl Pattern {
    fn parse(value: &str) -> Result<Self, ApiError> {
        let mut pieces = Vec::new();
        let mut chars = value.chars();
        while let Some(c) = chars.next() {
            pieces.push(match c {
                '*' => Piece::AnyRun,
                '?' => Piece::AnyOne,
                '\\' => match chars.next() {
                    Some(escaped @ ('*' | '?' | '\\')) => Piece::Is(escaped),
                    other => {
                        let sequence = other.map_or("\\".to_owned(), |other| format!("\\{other}"));
                        let message = format!("Invalid filter value: The escape sequence '{sequence}' is invalid");
                        return Err(ApiError::client("InvalidParameterValue", message));
                    }
                },
                c => Piece::Is(c),
            });
        }
        Ok(Self(pieces))
    }

    /// Walks both texts once; on a mismatch the last `*` takes one character more.
    fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut piece, mut at) = (0, 0);
        let mut last_run: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.0.get(piece) {
                Some(Piece::AnyRun) => {
                    last_run = Some((piece, at));
                    piece += 1;
                }
                Some(Piece::AnyOne) => (piece, at) = (piece + 1, at + 1),
                Some(Piece::Is(c)) if *c == text[at] => (piece, at) = (piece + 1, at + 1),
                _ => match last_run {
                    Some((run, taken)) => {
                        (piece, at) = (run + 1, taken + 1);
                        last_run = Some((run, taken + 1));
                    }
                    None => return false,
                },
            }
        }
        self.0[piece..].iter().all(|rest| *rest == Piece::AnyRun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing {
        name: String,
        tags: Tags,
    }

    impl Filterable for Thing {
        fn attribute(name: &str) -> Option<Attribute<Self>> {
            (name == "name").then_some(|thing: &Self| vec![thing.name.clone()])
        }

        fn tags(&self) -> &Tags {
            &self.tags
        }

        fn cursor(&self) -> &str {
            &self.name
        }
    }

    fn things() -> Vec<Thing> {
        [("web-1", "prod"), ("web-2", "Prod"), ("db", "prod")]
            .map(|(name, env)| Thing { name: name.into(), tags: [("Env".into(), env.into())].into() })
            .into()
    }

    fn names(filters: &[Filter]) -> Vec<String> {
        apply(things(), filters).unwrap().into_iter().map(|thing| thing.name).collect()
    }

    fn code(filters: &[Filter]) -> String {
        apply(things(), filters).map(|_| ()).unwrap_err().code.into_owned()
    }

    #[test]
    fn values_are_ored_and_filters_are_anded_and_case_counts() {
        assert_eq!(names(&[Filter::new("name", ["db", "web-2"])]), ["web-2", "db"]);
        assert_eq!(names(&[Filter::new("name", ["web-*"]), Filter::new("tag:Env", ["prod"])]), ["web-1"]);
        assert_eq!(names(&[Filter::new("tag-key", ["E?v"])]).len(), 3);
        assert!(names(&[Filter::new("tag:env", ["prod"])]).is_empty());
    }

    #[test]
    fn wildcards_and_escapes_work_as_documented() {
        let matches = |pattern: &str, text: &str| Pattern::parse(pattern).unwrap().matches(text);
        assert!(matches("*", "") && matches("a*c", "abbc") && matches("*ab*ab", "abxabab") && matches("?", "ü"));
        assert!(!matches("?", "") && !matches("a*c", "abbd") && !matches("ab", "abc"));
        assert!(matches(r"a\*", "a*") && !matches(r"a\*", "ab") && matches(r"\\", r"\"));
    }

    #[test]
    fn what_cannot_be_evaluated_is_refused() {
        assert_eq!(code(&[Filter::new("colour", ["red"])]), "InvalidParameterValue");
        assert_eq!(code(&[Filter::new("name", [r"\d"])]), "InvalidParameterValue");
        assert_eq!(code(&[Filter::new("name", Vec::<String>::new())]), "InvalidParameterValue");
        assert_eq!(code(&[Filter::new("name", vec!["x"; 201])]), "FilterLimitExceeded");
        assert_eq!(code(&vec![Filter::new("name", ["x"]); 51]), "FilterLimitExceeded");
        assert!(names(&[Filter::new("name", vec!["x"; 200])]).is_empty());
    }
}
