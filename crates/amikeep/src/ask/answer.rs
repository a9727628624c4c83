//! An answer before it is printed: what goes to stdout, what is told besides, and the exit code.

use amikeep_view::Table;
use amikeep_view::table::Fact;
use serde::{Deserialize, Serialize};

use crate::cli::Format;
use crate::ctx::Ctx;
use crate::exit::Exit;
use crate::output::{facts, heading};

/// What a command prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    /// The code to end with.
    pub(crate) exit: Exit,
    /// What goes to stdout.
    pub(crate) result: Vec<Block>,
    /// What is told on stderr besides, a line each.
    pub(crate) notes: Vec<String>,
}

/// A piece of a result. Its width and colours are up to the terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Block {
    /// A JSON document as it is printed.
    Document(String),
    /// What heads the next piece.
    Heading(String),
    /// A description.
    Facts(Vec<Fact>),
    /// A table.
    Table(Table),
    /// Lines of text.
    Text(String),
    /// An empty line.
    Gap,
}

impl Answer {
    /// A result, as JSON or as the pieces that are made only if they are wanted.
    pub(crate) fn new(
        format: Format,
        document: &impl Serialize,
        blocks: impl FnOnce() -> Vec<Block>,
    ) -> anyhow::Result<Self> {
        let result = match format {
            Format::Json => vec![Block::Document(serde_json::to_string_pretty(document)?)],
            Format::Table => blocks(),
        };
        Ok(Self { exit: Exit::Done, result, notes: Vec::new() })
    }

    /// Nothing but a line that says why.
    pub(crate) fn failed(why: String) -> Self {
        Self { exit: Exit::Failed, result: Vec::new(), notes: vec![why] }
    }

    /// Prints it.
    pub(crate) fn print(&self, ctx: &Ctx) -> anyhow::Result<Exit> {
        for block in &self.result {
            match block {
                Block::Document(text) | Block::Text(text) => ctx.output.line(text)?,
                Block::Heading(text) => ctx.output.line(&heading(text, ctx.color))?,
                Block::Facts(given) => ctx.output.line(&facts(given, ctx.width, ctx.color))?,
                Block::Table(table) => ctx.output.table(ctx, table)?,
                Block::Gap => ctx.output.line("")?,
            }
        }
        for note in &self.notes {
            ctx.tell(note);
        }
        Ok(self.exit)
    }
}
