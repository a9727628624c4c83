//! Collects what is wrong while a file is read, so that all of it is reported at once.
//!
//! Reading never stops at an error: a value that is wrong is reported here and then absent. Whoever looks at values
//! afterwards must therefore tell "absent" from "wrong", which [`crate::section::Field`] does.

use std::ops::Range;

use crate::diagnostic::{Diagnostic, Place, Report, Severity};

/// What a finding is about: a key with its tables, and the bytes that show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) key: String,
    pub(crate) span: Range<usize>,
}

impl At {
    /// The file as a whole: its first line, without a key.
    pub(crate) fn root() -> Self {
        Self { key: String::new(), span: 0..0 }
    }

    /// A key inside this one. A name that TOML would quote is quoted.
    pub(crate) fn child(&self, name: &str, span: Range<usize>) -> Self {
        let is_bare = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let name = if !name.is_empty() && name.bytes().all(is_bare) { name.to_owned() } else { format!("{name:?}") };
        let key = if self.key.is_empty() { name } else { format!("{}.{name}", self.key) };
        Self { key, span }
    }

    /// An item of a list under this key.
    pub(crate) fn item(&self, index: usize, span: Range<usize>) -> Self {
        Self { key: format!("{}[{index}]", self.key), span }
    }
}

/// The findings of one file.
pub(crate) struct Findings<'a> {
    file: &'a str,
    text: &'a str,
    /// Where each line begins.
    line_starts: Vec<usize>,
    found: Vec<Diagnostic>,
    secrets: Vec<Range<usize>>,
}

impl<'a> Findings<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        let breaks = text.match_indices('\n').map(|(index, _)| index + 1);
        Self {
            file,
            text,
            line_starts: std::iter::once(0).chain(breaks).collect(),
            found: Vec::new(),
            secrets: Vec::new(),
        }
    }

    /// Reports what the file is refused for.
    pub(crate) fn error(&mut self, at: &At, message: impl Into<String>) -> &mut Diagnostic {
        self.report(Severity::Error, at, &message.into())
    }

    /// Reports what is accepted and doubtful.
    pub(crate) fn warn(&mut self, at: &At, message: impl Into<String>) -> &mut Diagnostic {
        self.report(Severity::Warning, at, &message.into())
    }

    /// Keeps the value at these bytes out of every excerpt, whatever finding it is next to.
    pub(crate) fn hide(&mut self, span: &Range<usize>) {
        self.secrets.push(span.clone());
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.found.iter().any(|it| it.severity == Severity::Error)
    }

    /// The report, in the order of the file.
    pub(crate) fn into_report(mut self) -> Report {
        self.found.sort_by_key(|it| it.place.as_ref().map_or(0, |place| place.span.start));
        Report { source: mask(self.text, &self.secrets), diagnostics: self.found }
    }

    fn report(&mut self, severity: Severity, at: &At, message: &str) -> &mut Diagnostic {
        let diagnostic = Diagnostic {
            severity,
            file: self.file.to_owned(),
            place: Some(self.place(&at.span)),
            key: at.key.clone(),
            message: printable(message),
            allowed: None,
            suggestion: None,
        };
        // The index of what is pushed now: `push` itself gives no reference, and an empty list cannot be unwrapped here.
        let index = self.found.len();
        self.found.push(diagnostic);
        &mut self.found[index]
    }

    /// Line and column; a span over several lines is cut to its first.
    fn place(&self, span: &Range<usize>) -> Place {
        let start = floor(self.text, span.start);
        let line = self.line_starts.partition_point(|line_start| *line_start <= start).max(1);
        let line_start = self.line_starts[line - 1];
        let rest = &self.text[start..];
        let line_end = start + rest.find(['\r', '\n']).unwrap_or(rest.len());
        let end = floor(self.text, span.end).clamp(start, line_end);
        Place { line, column: self.text[line_start..start].chars().count() + 1, span: start..end }
    }
}

/// The nearest boundary of a character at or before `index`.
fn floor(text: &str, index: usize) -> usize {
    (0..=index.min(text.len())).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0)
}

/// The words of the file are repeated in messages; a terminal must not obey them, and a log line must stay one line.
fn printable(message: &str) -> String {
    let is_printable = |c: char| !c.is_control() && !matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut printed = String::with_capacity(message.len());
    for character in message.chars() {
        if is_printable(character) {
            printed.push(character);
        } else {
            printed.extend(character.escape_default());
        }
    }
    printed
}

/// The text with every byte of the secrets as an asterisk. Bytes and lines stay where they were, so every other span
/// still holds.
fn mask(text: &str, secrets: &[Range<usize>]) -> String {
    let mut masked = String::with_capacity(text.len());
    for (index, character) in text.char_indices() {
        if character != '\n' && secrets.iter().any(|secret| secret.contains(&index)) {
            masked.extend(std::iter::repeat_n('*', character.len_utf8()));
        } else if matches!(character, '\u{80}'..='\u{9f}') {
            // Some terminals obey these; the renderer makes the other control characters visible. The dot is as long.
            masked.push('·');
        } else {
            masked.push(character);
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_characters_from_one() {
        let findings = Findings::new("f", "ä = 1\r\nbé = 2\n");
        let place = |span: Range<usize>| {
            let place = findings.place(&span);
            (place.line, place.column, place.span)
        };
        assert_eq!(place(0..2), (1, 1, 0..2));
        assert_eq!(place(3..4), (1, 3, 3..4));
        assert_eq!(place(8..11), (2, 1, 8..11));
        assert_eq!(place(12..13), (2, 4, 12..13));
        assert_eq!(place(16..99), (3, 1, 16..16));
        assert_eq!(place(0..16), (1, 1, 0..6), "cut to its first line, without the line break");
        assert_eq!(place(1..2), (1, 1, 0..2), "inside a character");
    }

    #[test]
    fn a_masked_text_keeps_its_bytes_and_lines() {
        assert_eq!(mask("a\nbéc\nd", std::slice::from_ref(&(2..5))), "a\n***c\nd");
        assert_eq!(mask("ab\ncd", &[0..1, 1..4]), "**\n*d");
        assert_eq!(mask("a\u{9b}b", &[]), "a·b");
    }
}
