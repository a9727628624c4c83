//! A table before anybody knows how wide the paper is: titles, cells, and how bad each cell is.
//!
//! The daemon sends tables to commands as they are here, so they can be written as JSON and read back; that form is
//! between programs of one release and no part of the contract.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// What a list shows to a person.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows, each with a cell for every column.
    pub rows: Vec<Vec<Cell>>,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its title.
    pub title: Cow<'static, str>,
    /// What becomes of it where there is little room.
    pub fit: Fit,
}

/// What becomes of a column where there is little room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fit {
    /// It is shown whole: an id that somebody copies.
    Whole,
    /// It may be broken into lines.
    Wraps,
    /// It may be left out, the highest rank first, and is never broken.
    Optional(u8),
    /// It may be broken into lines, and left out, the highest rank first.
    OptionalWraps(u8),
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cell {
    /// The text, without control characters.
    pub text: String,
    /// How bad it is.
    pub tone: Tone,
}

/// How bad something is. A terminal makes a colour of it, a page a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Tone {
    /// Neither good nor bad.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// To be looked at.
    Warning,
    /// Wrong.
    Bad,
    /// Of less interest.
    Quiet,
}

impl Column {
    /// A column of this title.
    pub const fn new(title: &'static str, fit: Fit) -> Self {
        Self { title: Cow::Borrowed(title), fit }
    }
}

impl Cell {
    /// A text in a tone. Tags and messages of EC2 may hold anything, and a terminal must not obey them.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        let text: String = text.into();
        let text = if text.contains(char::is_control) { text.replace(char::is_control, " ") } else { text };
        Self { text, tone }
    }

    /// A text that is neither good nor bad.
    pub fn plain(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Plain)
    }

    /// A text, or a dash where nothing is known.
    pub fn or_dash(text: Option<impl Into<String>>) -> Self {
        text.map_or_else(|| Self::new("-", Tone::Quiet), Self::plain)
    }
}

/// One line of a description: what it is about, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is about, in a word or two.
    pub label: Cow<'static, str>,
    /// What it is.
    pub value: Cell,
}

impl Fact {
    /// From its parts.
    pub fn new(label: &'static str, value: Cell) -> Self {
        Self { label: Cow::Borrowed(label), value }
    }
}

/// The tone of a grade. `crash` is a warning wherever it is seen.
pub(crate) fn grade_cell(grade: Option<&str>) -> Cell {
    match grade {
        None => Cell::new("-", Tone::Quiet),
        Some("crash") => Cell::new("crash", Tone::Warning),
        Some(grade) => Cell::new(grade, Tone::Good),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_commands_no_terminal() {
        assert_eq!(Cell::plain("db\u{1b}[31m\nred").text, "db [31m red");
    }
}
