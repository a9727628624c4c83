//! Tags with their history, so that a lagging read can show them as they were, and the rules for writing them.
//!
//! Rules: `CreateTags` and "Tag your Amazon EC2 resources" in EC2's documentation.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::error::ApiError;
use crate::reply::Tags;
use crate::request::NewTag;

/// EC2's limit per resource.
const TAGS_PER_RESOURCE_MAX: usize = 50;
/// EC2's limits in characters.
const KEY_LEN_MAX: usize = 127;
const VALUE_LEN_MAX: usize = 256;

/// Every write of a tag of one resource.
#[derive(Debug, Clone, Default)]
pub(crate) struct TagLog(Vec<TagWrite>);

#[derive(Debug, Clone)]
struct TagWrite {
    at: Timestamp,
    key: String,
    /// None takes the tag away.
    value: Option<String>,
}

impl TagLog {
    pub(crate) fn new(at: Timestamp, tags: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(tags.into_iter().map(|(key, value)| TagWrite { at, key, value: Some(value) }).collect())
    }

    pub(crate) fn of(tags: &[NewTag], at: Timestamp) -> Self {
        Self::new(at, tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())))
    }

    pub(crate) fn put(&mut self, at: Timestamp, tag: &NewTag) {
        self.0.push(TagWrite { at, key: tag.key.clone(), value: Some(tag.value.clone()) });
    }

    /// Takes `key` away; with a value only if that is the present one.
    pub(crate) fn remove(&mut self, at: Timestamp, key: &str, value: Option<&str>) {
        let present = self.value_at(key, Timestamp::MAX);
        if present.is_some_and(|present| value.is_none_or(|value| value == present)) {
            self.0.push(TagWrite { at, key: key.to_owned(), value: None });
        }
    }

    /// The tags as they were at `at`.
    pub(crate) fn as_of(&self, at: Timestamp) -> Tags {
        let mut tags = Tags::new();
        for write in self.0.iter().filter(|write| write.at <= at) {
            match &write.value {
                Some(value) => tags.insert(write.key.clone(), value.clone()),
                None => tags.remove(&write.key),
            };
        }
        tags
    }

    /// One of them.
    pub(crate) fn value_at(&self, key: &str, at: Timestamp) -> Option<&str> {
        let last = self.0.iter().rev().find(|write| write.at <= at && write.key == key);
        last.and_then(|write| write.value.as_deref())
    }

    /// Whether `tags` still fit beside those that are there.
    pub(crate) fn check_room(&self, tags: &[NewTag]) -> Result<(), ApiError> {
        let mut keys: BTreeSet<_> = self.as_of(Timestamp::MAX).into_keys().collect();
        keys.extend(tags.iter().map(|tag| tag.key.clone()));
        if TAGS_PER_RESOURCE_MAX < keys.iter().filter(|key| !key.starts_with("aws:")).count() {
            let message = format!("The maximum number of Tags for a resource is {TAGS_PER_RESOURCE_MAX}.");
            return Err(ApiError::client("TagLimitExceeded", message));
        }
        Ok(())
    }
}

/// The rules that every written tag must keep.
pub(crate) fn check_new(tags: &[NewTag]) -> Result<(), ApiError> {
    let mut keys = BTreeSet::new();
    for tag in tags {
        if tag.key.is_empty() || KEY_LEN_MAX < tag.key.chars().count() {
            let message = format!("Tag key exceeds the maximum length of {KEY_LEN_MAX} characters or is empty");
            return Err(ApiError::client("InvalidParameterValue", message));
        }
        if VALUE_LEN_MAX < tag.value.chars().count() {
            let message = format!("Tag value exceeds the maximum length of {VALUE_LEN_MAX} characters");
            return Err(ApiError::client("InvalidParameterValue", message));
        }
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            let message = "Tag keys starting with 'aws:' are reserved for internal use";
            return Err(ApiError::client("InvalidParameterValue", message));
        }
        if !keys.insert(&tag.key) {
            let message = format!("Duplicate tag key '{}' specified.", tag.key);
            return Err(ApiError::client("InvalidParameterValue", message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: &str, value: &str) -> NewTag {
        NewTag { key: key.to_owned(), value: value.to_owned() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_log_shows_the_tags_of_any_moment() {
        let mut log = TagLog::new(at(0), [("a".to_owned(), "1".to_owned())]);
        log.put(at(10), &tag("a", "2"));
        log.remove(at(20), "a", Some("1"));
        log.remove(at(30), "a", None);
        let value = |second| log.as_of(at(second)).remove("a");
        assert_eq!((value(9), value(10), value(25)), (Some("1".into()), Some("2".into()), Some("2".into())));
        assert_eq!(value(30), None);
        for second in [0, 9, 10, 25, 30] {
            assert_eq!(log.value_at("a", at(second)), value(second).as_deref(), "{second}");
        }
    }

    #[test]
    fn reserved_long_and_doubled_keys_are_refused() {
        for bad in [vec![tag("aws:x", "")], vec![tag("AWS:x", "")], vec![tag(&"k".repeat(128), "")], vec![tag("", "")]]
        {
            assert_eq!(check_new(&bad).unwrap_err().code, "InvalidParameterValue", "{bad:?}");
        }
        assert!(check_new(&[tag("a", "1"), tag("a", "2")]).is_err());
        assert!(check_new(&[tag("a", &"v".repeat(257))]).is_err());
        assert!(check_new(&[tag("a", &"v".repeat(256)), tag(&"k".repeat(127), "")]).is_ok());
    }

    #[test]
    fn the_fifty_first_tag_is_refused_but_an_overwrite_is_not() {
        let log = TagLog::new(at(0), (0..50).map(|n| (format!("k{n}"), String::new())));
        assert!(log.check_room(&[tag("k0", "new")]).is_ok());
        assert_eq!(log.check_room(&[tag("other", "")]).unwrap_err().code, "TagLimitExceeded");
    }
}
