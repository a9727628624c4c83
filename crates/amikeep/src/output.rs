//! Where results go: stdout, as tables or as JSON, and what is told besides: stderr.
//!
//! The only writer of both apart from the log. A reader that goes away (`amikeep history | head`) is no error: what comes
//! later is let go without a word, and the command ends with the code it would have had.

mod facts;
mod table;

use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use amikeep_config::Color;
use amikeep_view::Table;
use amikeep_view::table::Tone;
use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::cli::Format;
use crate::ctx::Ctx;

pub(crate) use crate::output::facts::facts;

/// Standard output and standard error.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// Nobody reads stdout any more.
    is_closed: AtomicBool,
    /// It was said that columns are missing. Once is enough for all tables.
    is_cut_told: AtomicBool,
}

impl Output {
    /// Prints an answer: as JSON, or as the table that is only made if it is wanted.
    pub(crate) fn print(
        &self,
        ctx: &Ctx,
        answer: &impl Serialize,
        table: impl FnOnce() -> Table,
    ) -> anyhow::Result<()> {
        match ctx.format {
            Format::Json => Ok(self.json(answer)?),
            Format::Table => self.table(ctx, &table()),
        }
    }

    /// Prints a table that fits the terminal. One without rows is not printed.
    pub(crate) fn table(&self, ctx: &Ctx, table: &Table) -> anyhow::Result<()> {
        if table.rows.is_empty() {
            return Ok(());
        }
        let rendered = table::render(table, ctx.width, ctx.color);
        self.line(&rendered.text)?;
        if rendered.is_cut && !self.is_cut_told.swap(true, Ordering::Relaxed) {
            self.tell("a wider terminal shows more columns");
        }
        Ok(())
    }

    /// Prints one JSON document.
    pub(crate) fn json(&self, answer: &impl Serialize) -> io::Result<()> {
        self.line(&serde_json::to_string_pretty(answer)?)
    }

    /// Prints a line, or several.
    pub(crate) fn line(&self, text: &str) -> io::Result<()> {
        if self.is_closed() {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_closed.store(true, Ordering::Relaxed);
                Ok(())
            }
            written => {
                written.map_err(|error| io::Error::new(error.kind(), format!("stdout cannot be written to: {error}")))
            }
        }
    }

    /// Whether nobody reads stdout any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// Tells something on stderr. Nobody can be told that telling failed, so that is let go.
    #[expect(clippy::unused_self, reason = "stderr belongs to the output as stdout does")]
    pub(crate) fn tell(&self, text: &str) {
        let text = text.trim_end();
        if !text.is_empty() {
            drop(writeln!(io::stderr(), "{text}"));
        }
    }
}

/// A text in the colour of its tone.
pub(crate) fn paint(text: &str, tone: Tone, color: Color) -> String {
    let style = style(tone);
    if color == Color::Plain || style.is_plain() {
        return text.to_owned();
    }
    format!("{style}{text}{style:#}")
}

/// A text that heads what follows.
pub(crate) fn heading(text: &str, color: Color) -> String {
    let style = Style::new().bold();
    if color == Color::Plain { text.to_owned() } else { format!("{style}{text}{style:#}") }
}

fn style(tone: Tone) -> Style {
    let color = |color: AnsiColor| Style::new().fg_color(Some(color.into()));
    match tone {
        Tone::Plain => Style::new(),
        Tone::Good => color(AnsiColor::Green),
        Tone::Warning => color(AnsiColor::Yellow),
        Tone::Bad => color(AnsiColor::Red),
        Tone::Quiet => Style::new().dimmed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_has_no_escapes() {
        for tone in [Tone::Plain, Tone::Good, Tone::Warning, Tone::Bad, Tone::Quiet] {
            assert_eq!(paint("crash", tone, Color::Plain), "crash");
        }
        assert_eq!(paint("crash", Tone::Warning, Color::Ansi), "\u{1b}[33mcrash\u{1b}[0m");
        assert_eq!(heading("Why", Color::Plain), "Why");
    }
}
