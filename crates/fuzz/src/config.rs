//! The configuration file.

use std::sync::LazyLock;

use amikeep_config::{Color, Diagnostic, Report, parse_bytes, schema};
use serde_json::Value as Json;
use toml::Value as Toml;

pub mod json_schema;

static SCHEMA: LazyLock<Json> = LazyLock::new(schema);

/// A refusal has a reason and an acceptance has none, each with a place in the file; a terminal obeys no file; what the
/// reader accepts the published schema accepts too; and a line of comment before the file changes nothing but lines.
pub fn run(bytes: &[u8]) {
    let (report, is_accepted) = judged(bytes);
    assert_eq!(is_accepted, report.errors().next().is_none(), "refused without a reason, or accepted with an error");
    // Of what is no text, the part before the first wrong byte is shown.
    let text = String::from_utf8_lossy(bytes);
    for diagnostic in report.diagnostics() {
        check_place(diagnostic, &text);
        assert!(!diagnostic.message.is_empty());
    }
    let rendered = report.render(Color::Plain);
    assert!(!rendered.contains('\u{1b}'), "a terminal would obey the file");
    assert_eq!(rendered.is_empty(), report.is_empty());
    drop(report.render(Color::Ansi));
    if is_accepted {
        check_schema(&text);
    }
    // A mark of the byte order may only be at the very beginning.
    if !bytes.starts_with("\u{feff}".as_bytes()) {
        check_moved(bytes, &report);
    }
}

fn judged(bytes: &[u8]) -> (Report, bool) {
    match parse_bytes(bytes, "f") {
        Ok(loaded) => (loaded.warnings, true),
        Err(error) => (error.report().clone(), false),
    }
}

fn check_place(diagnostic: &Diagnostic, text: &str) {
    let place = diagnostic.place.as_ref().expect("what is wrong with a file has a place in it");
    let line = text.split('\n').nth(place.line - 1).expect("the line exists");
    assert!(place.column <= line.chars().count() + 1, "{diagnostic}");
    assert!(text.get(place.span.clone()).is_some_and(|spanned| !spanned.contains('\n')), "{diagnostic}");
}

fn check_schema(text: &str) {
    let table: toml::Table = text.parse().expect("an accepted file is TOML");
    assert_eq!(json_schema::violations(&SCHEMA, &Toml::Table(table)), [] as [String; 0], "{text}");
}

fn by_message(report: &Report) -> Vec<&Diagnostic> {
    let mut diagnostics: Vec<&Diagnostic> = report.diagnostics().iter().collect();
    diagnostics.sort_by_key(|it| (&it.message, it.line(), it.column()));
    diagnostics
}

fn check_moved(bytes: &[u8], report: &Report) {
    let (moved, _) = judged(&[b"#\n", bytes].concat());
    assert_eq!(moved.diagnostics().len(), report.diagnostics().len());
    // They are told in the order of their places, and what is missing as a whole is at the beginning, which does not move.
    let (moved, told) = (by_message(&moved), by_message(report));
    for (moved, diagnostic) in moved.into_iter().zip(told) {
        assert_eq!(moved.message, diagnostic.message);
        assert_eq!(moved.column(), diagnostic.column(), "{diagnostic}");
        // What is missing as a whole is told at the beginning, which stays where it is.
        let is_of_the_whole = (diagnostic.line(), diagnostic.column()) == (Some(1), Some(1));
        let has_moved = moved.line() == diagnostic.line().map(|line| line + 1);
        assert!(has_moved || (is_of_the_whole && moved.line() == Some(1)), "{diagnostic}");
    }
}
