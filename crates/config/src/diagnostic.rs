//! What is wrong with a configuration file, and where: the data behind `amikeep check` and behind a refused reload.
//!
//! Owns the report and the order of its entries. It must never show a secret: the text that a report keeps for its
//! excerpts has them masked already.

use std::fmt;
use std::ops::Range;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is accepted, and probably does not say what its author means.
    Warning,
}

/// A place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The bytes of the file that are meant, all on that line. Empty where something is missing.
    pub span: Range<usize>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file.
    pub file: String,
    /// Where in it; `None` if the file could not be read at all.
    pub place: Option<Place>,
    /// The key with the tables it is in, `policies.db.schedule`; empty where no key is meant.
    pub key: String,
    /// What is wrong, as a fragment.
    pub message: String,
    /// What is allowed, where the message does not say it already.
    pub allowed: Option<String>,
    /// What to do: the nearest name for a typo, or the next step.
    pub suggestion: Option<String>,
}

impl Diagnostic {
    /// The line, where there is one.
    pub fn line(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.line)
    }

    /// The column, where there is one.
    pub fn column(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.column)
    }

    /// The message with what is allowed, for readers that have one field for both.
    pub fn full_message(&self) -> String {
        match &self.allowed {
            Some(allowed) => format!("{}; allowed: {allowed}", self.message),
            None => self.message.clone(),
        }
    }

    pub(crate) fn allow(&mut self, allowed: impl Into<String>) -> &mut Self {
        self.allowed = Some(allowed.into());
        self
    }

    pub(crate) fn suggest(&mut self, suggestion: impl Into<String>) -> &mut Self {
        self.suggestion = Some(suggestion.into());
        self
    }
}

/// One line, without an excerpt: `file:line:column: key: message`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(place) = &self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.full_message())?;
        match &self.suggestion {
            Some(suggestion) => write!(f, " ({suggestion})"),
            None => Ok(()),
        }
    }
}

/// Everything that was found in one file, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The text of the file with secrets masked, for excerpts.
    pub(crate) source: String,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// Everything, in the order of the file.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// What the file is refused for.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|it| it.severity == Severity::Error)
    }

    /// What is accepted and doubtful.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|it| it.severity == Severity::Warning)
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }
}
