//! The lines of the experiment's images, and the tables that are made of them.
//!
//! It owns the form of `docs/consistency/CELL.tsv`: a head that names the columns, and a line for each image.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::experiment::share::Share;

/// One cell, with its images.
#[derive(Debug)]
pub(super) struct Cell {
    name: String,
    columns: Vec<String>,
    lines: Vec<Vec<u64>>,
}

/// The writers, by the beginning of their columns' names, and as the page calls them.
const WRITERS: [(&str, &str); 5] = [
    ("innodb", "MariaDB, InnoDB"),
    ("myisam", "MariaDB, MyISAM"),
    ("postgresql", "PostgreSQL"),
    ("redis", "Redis, AOF everysec"),
    ("files", "files, fsync"),
];

/// The rows below the cells.
const MODES: [&str; 4] = ["shutdown", "no-reboot", "freeze", "freeze-lock"];

impl Cell {
    /// A cell of which no image was taken yet has no file.
    pub(super) fn read(directory: &Path, name: &str) -> anyhow::Result<Self> {
        let path = directory.join(format!("{name}.tsv"));
        if !path.exists() {
            return Ok(Self { name: name.to_owned(), columns: Vec::new(), lines: Vec::new() });
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(name, &text).with_context(|| format!("{} was not written by this", path.display()))
    }

    fn parse(name: &str, text: &str) -> anyhow::Result<Self> {
        let mut lines = text.lines();
        let columns: Vec<String> = lines.next().unwrap_or_default().split('\t').map(str::to_owned).collect();
        let mut images = Vec::new();
        for line in lines {
            let values = line.split('\t').map(str::parse).collect::<Result<Vec<u64>, _>>()?;
            if values.len() != columns.len() {
                bail!("a line has {} values and there are {} columns", values.len(), columns.len());
            }
            images.push(values);
        }
        Ok(Self { name: name.to_owned(), columns, lines: images })
    }

    pub(super) fn images(&self) -> usize {
        self.lines.len()
    }

    /// What the name says of how its images are taken.
    fn mode(&self) -> &str {
        let mode = self.name.splitn(3, '-').nth(2).unwrap_or_default();
        if mode.starts_with("no-reboot") { "no-reboot" } else { mode }
    }

    /// All images of one mode, whatever they are images of.
    fn all_of(mode: &str, cells: &[&Self]) -> Option<Self> {
        let mut of_mode = cells.iter().filter(|cell| cell.mode() == mode);
        let first = of_mode.next()?;
        let mut all = Self { name: format!("all {mode}"), columns: first.columns.clone(), lines: first.lines.clone() };
        let alike = of_mode.filter(|cell| cell.columns == first.columns);
        all.lines.extend(alike.flat_map(|cell| cell.lines.iter().cloned()));
        Some(all)
    }

    fn values(&self, column: &str) -> Vec<u64> {
        let index = self.columns.iter().position(|name| name == column);
        index.map_or_else(Vec::new, |index| self.lines.iter().map(|line| line[index]).collect())
    }

    /// The images in which this is not zero.
    fn share(&self, column: &str) -> Share {
        let values = self.values(column);
        Share { count: values.iter().filter(|value| 0 < **value).count(), of: values.len() }
    }

    /// Of the images in which this is not zero, the middle value.
    fn median_of_losses(&self, column: &str) -> Option<u64> {
        let mut losses: Vec<u64> = self.values(column).into_iter().filter(|value| 0 < *value).collect();
        losses.sort_unstable();
        losses.get(losses.len() / 2).copied()
    }
}

/// The tables, of the cells that have images, and how many of all images these are.
pub(super) fn render(cells: &[Cell], wanted: usize) -> String {
    let cells: Vec<&Cell> = cells.iter().filter(|cell| 0 < cell.images()).collect();
    let images: usize = cells.iter().map(|cell| cell.images()).sum();
    let all: Vec<Cell> = MODES.iter().filter_map(|mode| Cell::all_of(mode, &cells)).collect();
    let rows: Vec<&Cell> = cells.iter().copied().chain(&all).collect();
    let mut text = format!(
        "{images} of {wanted} images are taken.\n\n### File systems\n\n\
         | cell | dirty log | findings before replay | findings after replay | not mountable |\n|---|---|---|---|---|\n"
    );
    for cell in &rows {
        let shares = ["dirty-log", "before", "after", "unmountable"].map(|column| cell.share(column).to_string());
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {} | {} |", cell.name, shares.join(" | "));
    }
    for (what, suffix) in [("Images whose data needs repair", "repair"), ("Images that lost acknowledged rows", "lost")]
    {
        let names = WRITERS.map(|(_, name)| name).join(" | ");
        let _ = write!(text, "\n### {what}\n\n| cell | {names} |\n|---|---|---|---|---|---|\n");
        for cell in &rows {
            let shares = WRITERS.map(|(writer, _)| told(cell, &format!("{writer}-{suffix}"), suffix));
            let _ = writeln!(text, "| {} | {} |", cell.name, shares.join(" | "));
        }
    }
    text
}

/// A share, and how many rows it was where rows were lost.
fn told(cell: &Cell, column: &str, suffix: &str) -> String {
    let share = cell.share(column).to_string();
    match cell.median_of_losses(column).filter(|_| suffix == "lost") {
        Some(median) => format!("{share}; median {median}"),
        None => share,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "dirty-log\tafter\tredis-lost\n1\t0\t0\n1\t0\t30\n1\t1\t10\n1\t0\t20\n";

    #[test]
    fn shares_and_medians_are_those_of_the_lines() {
        let cell = Cell::parse("xfs-1-no-reboot", TEXT).expect("well formed");
        assert_eq!(cell.images(), 4);
        assert_eq!(cell.share("dirty-log"), Share { count: 4, of: 4 });
        assert_eq!(cell.share("after"), Share { count: 1, of: 4 });
        assert_eq!(told(&cell, "redis-lost", "lost"), "3/4: 75 % (30–95); median 20");
        assert_eq!(cell.share("unknown"), Share { count: 0, of: 0 });
    }

    #[test]
    fn the_page_says_how_many_images_there_are_and_names_no_cell_without_any() {
        let cells =
            [Cell::parse("one", TEXT).expect("well formed"), Cell::parse("none", "after\n").expect("well formed")];
        let page = render(&cells, 100);
        assert!(page.starts_with("4 of 100 images are taken.\n"), "{page}");
        assert!(page.contains("| one | 4/4: 100 %") && !page.contains("| none |"), "{page}");
    }

    #[test]
    fn all_images_of_a_mode_are_a_row_of_their_own() {
        let cell = |name: &str| Cell::parse(name, TEXT).expect("well formed");
        let page = render(&[cell("xfs-1-no-reboot"), cell("ext4-2-no-reboot-100ms"), cell("xfs-1-freeze")], 100);
        assert!(page.contains("| all no-reboot | 8/8: 100 %") && page.contains("| all freeze | 4/4: 100 %"), "{page}");
        assert!(!page.contains("all shutdown"), "{page}");
    }

    #[test]
    fn a_line_that_was_cut_off_is_an_error() {
        assert!(Cell::parse("cell", "a\tb\n1\t2\n1\n").is_err());
        assert!(Cell::parse("cell", "a\n1\nx\n").is_err());
    }
}
