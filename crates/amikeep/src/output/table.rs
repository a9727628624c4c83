//! A table on a terminal: which columns there is room for, which are broken into lines, and colours.

use amikeep_config::Color;
use amikeep_view::Table;
use amikeep_view::table::{Cell, Fit, Tone};
use comfy_table::{Attribute, ColumnConstraint, ContentArrangement};

/// Between two columns.
const GAP: u16 = 2;
/// Text in a narrower column is a ladder that nobody reads.
const WRAPPED_WIDTH_MIN: usize = 11;

/// A table as text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rendered {
    /// Without a line break at its end.
    pub(crate) text: String,
    /// Whether there was no room for columns that say something.
    pub(crate) is_cut: bool,
}

/// The text of a table. Without a width every column is there and nothing is broken,
/// which is what programs that read lines want.
pub(crate) fn render(table: &Table, width: Option<u16>, color: Color) -> Rendered {
    let shown = shown_columns(table, width.map(usize::from));
    let mut text = comfy_table::Table::new();
    text.force_no_tty();
    if color == Color::Ansi {
        text.enforce_styling().style_text_only();
    }
    if let Some(width) = width {
        text.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
    }
    text.load_style(comfy_table::presets::NOTHING);
    text.set_header(shown.iter().map(|index| header(&table.columns[*index].title)));
    for row in &table.rows {
        text.add_row(shown.iter().filter_map(|index| row.get(*index)).map(cell));
    }
    for (place, index) in shown.iter().enumerate() {
        let Some(column) = text.column_mut(place) else { continue };
        let is_last = place + 1 == shown.len();
        column.set_padding((0, if is_last { 0 } else { GAP }));
        if matches!(table.columns[*index].fit, Fit::Whole | Fit::Optional(_)) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    Rendered { text: text.trim_fmt(), is_cut: shown.len() < shown_columns(table, None).len() }
}

/// The columns there is room for. Optional ones go in the order of their ranks, and at once where they are empty.
fn shown_columns(table: &Table, width: Option<usize>) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..table.columns.len()).filter(|index| !is_empty(table, *index)).collect();
    let Some(width) = width else { return shown };
    while width < width_min(table, &shown) {
        let ranked = shown.iter().enumerate().filter_map(|(place, index)| Some((rank(table, *index)?, place)));
        let Some((_, place)) = ranked.max() else { break };
        shown.remove(place);
    }
    shown
}

fn rank(table: &Table, index: usize) -> Option<u8> {
    match table.columns[index].fit {
        Fit::Optional(rank) | Fit::OptionalWraps(rank) => Some(rank),
        Fit::Whole | Fit::Wraps => None,
    }
}

fn is_empty(table: &Table, index: usize) -> bool {
    rank(table, index).is_some() && table.rows.iter().all(|row| row.get(index).is_none_or(|cell| cell.text.is_empty()))
}

/// The least width in which these columns can be read.
fn width_min(table: &Table, shown: &[usize]) -> usize {
    let gaps = usize::from(GAP) * shown.len().saturating_sub(1);
    let column = |index: &usize| {
        let title = table.columns[*index].title.len();
        let cells = table.rows.iter().filter_map(|row| row.get(*index)).map(|cell| cell.text.chars().count());
        let natural = cells.max().unwrap_or(0).max(title);
        match table.columns[*index].fit {
            Fit::Whole | Fit::Optional(_) => natural,
            Fit::Wraps | Fit::OptionalWraps(_) => natural.min(WRAPPED_WIDTH_MIN.max(title)),
        }
    };
    shown.iter().map(column).sum::<usize>() + gaps
}

fn header(title: &str) -> comfy_table::Cell {
    comfy_table::Cell::new(title).add_attribute(Attribute::Bold)
}

fn cell(cell: &Cell) -> comfy_table::Cell {
    let text = comfy_table::Cell::new(&cell.text);
    match cell.tone {
        Tone::Plain => text,
        Tone::Good => text.fg(comfy_table::Color::DarkGreen),
        Tone::Warning => text.fg(comfy_table::Color::DarkYellow),
        Tone::Bad => text.fg(comfy_table::Color::DarkRed),
        Tone::Quiet => text.add_attribute(Attribute::Dim),
    }
}

#[cfg(test)]
mod tests;
