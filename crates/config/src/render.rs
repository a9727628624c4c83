//! A report for people: every finding with the line it is about and a caret, as rustc shows them.
//!
//! It must never decide anything: what is said is in the report already.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Report, Severity};

/// Whether a text may carry colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// For files, pipes and journals.
    Plain,
    /// For terminals.
    Ansi,
}

impl Report {
    /// Every finding with its excerpt, a blank line between them and a line break at the end; empty without findings.
    pub fn render(&self, color: Color) -> String {
        let renderer = match color {
            Color::Plain => Renderer::plain(),
            Color::Ansi => Renderer::styled(),
        };
        let texts: Vec<_> = self.diagnostics.iter().map(|it| renderer.render(&[group(it, &self.source)])).collect();
        if texts.is_empty() { String::new() } else { texts.join("\n\n") + "\n" }
    }
}

fn group<'a>(diagnostic: &'a Diagnostic, source: &'a str) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = match diagnostic.key.as_str() {
        "" => diagnostic.message.clone(),
        key => format!("{key}: {}", diagnostic.message),
    };
    let title = level.primary_title(title);
    let group = match &diagnostic.place {
        Some(place) => title.element(
            Snippet::source(source)
                .path(diagnostic.file.as_str())
                .annotation(AnnotationKind::Primary.span(place.span.clone())),
        ),
        None => title.element(Origin::path(diagnostic.file.as_str())),
    };
    let allowed = diagnostic.allowed.iter().map(|text| Level::NOTE.message(format!("allowed: {text}")));
    let suggestion = diagnostic.suggestion.iter().map(|text| Level::HELP.message(text));
    group.elements(allowed).elements(suggestion)
}
