//! `cargo xtask experiment consistency`: what is really in images that are taken by reboot, without one, and frozen.
//!
//! It runs `crates/hold/benches/consistency`, which takes images of all cells in turns and keeps a line for each in
//! `docs/consistency`, and writes the tables of `docs/consistency.md` from those files. Ended at any time, it goes on from
//! there. It must never leave out an image, and never judge: the page says what the figures mean.

mod share;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::experiment::table::Cell;
use crate::process;

/// Which cells, and how often.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// `consistency` is the only one.
    #[arg(value_parser = ["consistency"])]
    name: String,
    /// The cells; all without a name.
    cells: Vec<String>,
    /// Names the cells with the images that each has, and takes none.
    #[arg(long = "list")]
    lists_only: bool,
    /// How many images each cell is to have, instead of 100 of one volume and 30 of two.
    #[arg(long)]
    images: Option<usize>,
    /// How many are taken of one cell before the next one has its turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Ends after so many minutes, and goes on from there the next time.
    #[arg(long, default_value_t = 24 * 60)]
    minutes: u32,
    /// Takes no image, and makes the page from those that there are.
    #[arg(long = "page")]
    makes_page_only: bool,
}

const FILE_SYSTEMS: [&str; 2] = ["xfs", "ext4"];

/// One volume, and how often; two, whose snapshots may be so far apart, and how often.
const ONE_VOLUME: (usize, [&str; 4]) = (100, ["shutdown", "no-reboot", "freeze", "freeze-lock"]);
const TWO_VOLUMES: (usize, [&str; 6]) =
    (30, ["shutdown", "no-reboot", "no-reboot-100ms", "no-reboot-1000ms", "freeze", "freeze-lock"]);

/// Where the page has its tables.
const BEGIN: &str = "<!-- What follows is written by cargo xtask experiment consistency. -->\n";
const END: &str = "<!-- End of what is written. -->\n";

/// Every cell, with how many images it should have.
fn cells() -> Vec<(String, usize)> {
    let of = |volumes: usize, images: usize, modes: &[&str]| -> Vec<(String, usize)> {
        let named = |fs: &str, mode: &str| (format!("{fs}-{volumes}-{mode}"), images);
        FILE_SYSTEMS.iter().flat_map(|fs| modes.iter().map(move |mode| named(fs, mode))).collect()
    };
    [of(1, ONE_VOLUME.0, &ONE_VOLUME.1), of(2, TWO_VOLUMES.0, &TWO_VOLUMES.1)].concat()
}

/// Takes the images that are missing, and makes the page.
pub(crate) fn run(root: &Path, args: &Args) -> anyhow::Result<()> {
    let known = cells();
    if let Some(unknown) = args.cells.iter().find(|name| !known.iter().any(|(cell, _)| cell == *name)) {
        bail!("no cell is called `{unknown}`; `cargo xtask experiment {} --list` names them", args.name);
    }
    let wanted = |name: &str| args.cells.is_empty() || args.cells.iter().any(|cell| cell == name);
    let wanted: Vec<_> = known.iter().filter(|(name, _)| wanted(name)).collect();
    if args.lists_only {
        for (name, images) in wanted {
            println!("{name:<24} {} of {images} images", Cell::read(&directory(root), name)?.images());
        }
        return Ok(());
    }
    if !args.makes_page_only {
        let targets = wanted.iter().map(|(name, images)| format!("{name}={}", args.images.unwrap_or(*images)));
        take(root, args, targets.collect())?;
    }
    write_page(root, &known)
}

fn take(root: &Path, args: &Args, targets: Vec<String>) -> anyhow::Result<()> {
    let package = ["--package", "amikeep-hold", "--bench", "consistency"];
    let mut bench = process::cargo(root, &["bench", "--locked", "--quiet", "--profile", "dev"]);
    bench.args(package).arg("--").arg(directory(root));
    bench.args([args.batch.to_string(), args.minutes.to_string()]).args(targets);
    process::run(&mut bench)
}

fn write_page(root: &Path, known: &[(String, usize)]) -> anyhow::Result<()> {
    let path = root.join("docs/consistency.md");
    let page = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let cells = known.iter().map(|(name, _)| Cell::read(&directory(root), name)).collect::<anyhow::Result<Vec<_>>>()?;
    let parts = page.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    let Some((head, tail)) = parts else { bail!("{} has no place for the tables", path.display()) };
    let page =
        format!("{head}{BEGIN}\n{}\n{END}{tail}", table::render(&cells, known.iter().map(|(_, images)| images).sum()));
    fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))
}

fn directory(root: &Path) -> PathBuf {
    root.join("docs/consistency")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_eight_cells_of_one_volume_and_twelve_of_two() {
        let cells = cells();
        assert_eq!(cells.len(), 20);
        assert_eq!(cells.iter().map(|(_, images)| images).sum::<usize>(), 8 * 100 + 12 * 30);
        assert!(cells.contains(&("ext4-2-no-reboot-1000ms".to_owned(), 30)));
    }
}
