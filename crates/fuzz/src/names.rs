//! Identifiers, names and patterns, as they come from files, from command lines and from EC2's answers.

use std::fmt::Display;
use std::str::FromStr;

use amikeep_domain::id::{
    AccountId, AccountName, ClassName, FreezeName, ImageId, InstanceId, JobId, Owner, PolicyName, Region, SnapshotId,
    VolumeId,
};
use amikeep_domain::image_name::ImageName;
use amikeep_domain::pattern::Pattern;
use amikeep_domain::retention::{Count, Keep, Rule, Within};

use crate::head;

/// The naive matcher takes exponential time, so it gets short inputs.
const PATTERN_CHARS_MAX: usize = 12;

/// What is accepted is written as it was read and read again as the same; a pattern matches what a naive reader of EC2's
/// rules says, its second line being the text.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    is_spelt_in_one_way::<AccountId>(text);
    is_spelt_in_one_way::<AccountName>(text);
    is_spelt_in_one_way::<ClassName>(text);
    is_spelt_in_one_way::<FreezeName>(text);
    is_spelt_in_one_way::<ImageId>(text);
    is_spelt_in_one_way::<ImageName>(text);
    is_spelt_in_one_way::<InstanceId>(text);
    is_spelt_in_one_way::<Owner>(text);
    is_spelt_in_one_way::<PolicyName>(text);
    is_spelt_in_one_way::<Region>(text);
    is_spelt_in_one_way::<Rule>(text);
    is_spelt_in_one_way::<SnapshotId>(text);
    is_spelt_in_one_way::<VolumeId>(text);
    is_read_again::<Count>(text);
    is_read_again::<JobId>(text);
    is_read_again::<Keep>(text);
    is_read_again::<Within>(text);
    let ([pattern, text], _) = head(text);
    check_pattern(pattern, text);
}

fn is_spelt_in_one_way<T: FromStr + Display + PartialEq>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text);
    }
}

fn is_read_again<T: FromStr + Display + PartialEq>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let written = value.to_string();
        assert!(written.parse().is_ok_and(|again: T| again == value), "{text} is written as {written}");
    }
}

fn check_pattern(pattern: &str, text: &str) {
    let literal: String = text.chars().flat_map(|c| ['\\', c]).collect();
    assert!(Pattern::new(literal).matches(text), "a text matches itself with every character escaped");
    let (pattern_chars, text_chars): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    if pattern_chars.len() <= PATTERN_CHARS_MAX && text_chars.len() <= PATTERN_CHARS_MAX {
        let expected = fits(&pattern_chars, &text_chars);
        assert_eq!(Pattern::new(pattern).matches(text), expected, "`{pattern}` against `{text}`");
    }
}

fn fits(pattern: &[char], text: &[char]) -> bool {
    match (pattern, text) {
        ([], text) => text.is_empty(),
        (['*', rest @ ..], text) => (0..=text.len()).any(|taken| fits(rest, &text[taken..])),
        (['?', rest @ ..], [_, after @ ..]) => fits(rest, after),
        (['\\', escaped, rest @ ..], [c, after @ ..]) => escaped == c && fits(rest, after),
        (['\\'], text) => text == ['\\'],
        ([wanted, rest @ ..], [c, after @ ..]) if !matches!(wanted, '?' | '\\') => wanted == c && fits(rest, after),
        _ => false,
    }
}
