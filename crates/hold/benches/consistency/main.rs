//! The experiment: what is in an image that was taken by reboot, without one, frozen, and frozen with the applications
//! locked.
//!
//! `cargo xtask experiment consistency` runs it and says what it is for. It takes images of all cells in turns until each
//! has as many as it should, or its time is over. It must never judge: a line for each image says what was found, and
//! nothing is left out.
//!
//! A volume is a file of a host file system that shares blocks between files, so that a snapshot is taken at one moment,
//! as with EBS. What is not as with EBS: blocks that the guest's file system has handed down are all in the snapshot,
//! whether they were flushed or not.
#![expect(clippy::unwrap_used, reason = "an experiment that cannot go on may panic")]

#[path = "../../../../tests/alone.rs"]
mod alone;
#[path = "../../tests/it/bench.rs"]
#[expect(dead_code, reason = "the tests' file systems, of which less is needed here")]
mod bench;
mod cell;
#[path = "../../tests/it/client.rs"]
mod client;
mod files;
mod kernel;
mod look;
#[path = "../../tests/it/server.rs"]
#[expect(dead_code, reason = "the tests' servers, of which less is needed here")]
mod server;
mod world;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use amikeep_hold::Moment;

use crate::bench::Bench;
use crate::cell::Cell;
use crate::look::Line;
use crate::world::{Beginning, World};

/// The memory of the machine: what counts is what the kernel has handed down to a volume, and not how soon a disk has it.
const HOME: &str = "/dev/shm";

/// Room for what is written to the volumes and differs between their copies; the file is as large as what is in it.
const HOST_BYTES: u64 = 3 * 1024 * 1024 * 1024;

/// `DIRECTORY EACH MINUTES CELL=IMAGES…`: takes images until each cell has so many, each time EACH of a cell, but begins
/// none after so many minutes. What was found goes to `DIRECTORY/CELL.tsv`.
fn main() {
    // `cargo bench` adds a word of its own.
    let mut args = std::env::args().skip(1).filter(|word| word != "--bench");
    let (Some(directory), Some(each), Some(minutes)) = (args.next(), args.next(), args.next()) else {
        // As one of all benchmarks it has nothing to do.
        eprintln!("not run: cargo xtask experiment consistency runs this");
        return;
    };
    let (each, minutes): (usize, u64) = (each.parse().unwrap(), minutes.parse().unwrap());
    let until = Moment::now() + Duration::from_secs(60 * minutes);
    let files: Vec<(CellFile, usize)> = args.map(|arg| CellFile::parse(&directory, &arg)).collect();
    if !kernel::leave_the_others() {
        return;
    }
    kernel::note_signals();
    // What is freed there is given back to the machine.
    let mut bench = Bench::host_only(Path::new(HOME), HOST_BYTES, "rw,discard", None);
    let mut beginnings = Vec::new();
    while files.iter().any(|(file, images)| file.images() < *images) {
        for (file, images) in &files {
            let missing = images.saturating_sub(file.images()).min(each);
            if missing == 0 {
                continue;
            }
            let known = beginnings.iter().position(|beginning: &Beginning| beginning.is_of(file.cell));
            let known = known.unwrap_or_else(|| {
                beginnings.push(Beginning::make(&mut bench, file.cell));
                beginnings.len() - 1
            });
            if !take(&mut bench, &beginnings[known], file, missing, until) {
                return;
            }
        }
    }
}

/// Takes so many images. False once the time is over, or somebody wants it to end.
fn take(bench: &mut Bench, beginning: &Beginning, file: &CellFile, images: usize, until: Moment) -> bool {
    let (began, mut taken) = (Moment::now(), 0);
    while taken < images {
        if until < Moment::now() || kernel::is_to_end() {
            return false;
        }
        let mut world = World::start(bench, beginning, file.cell);
        while taken < images && world.is_at_work() {
            let (written, copies) = world.image();
            file.add(&Line::of(world.bench(), file.cell.fs, &written, &copies));
            taken += 1;
        }
        world.end();
    }
    let seconds = Moment::now().since(began).as_secs_f64();
    eprintln!("{}: {taken} images in {seconds:.1} s, {} in all", file.name, file.images());
    true
}

/// The lines of a cell.
struct CellFile {
    name: String,
    cell: Cell,
    path: PathBuf,
}

impl CellFile {
    /// Of `CELL=IMAGES`, with the number.
    fn parse(directory: &str, arg: &str) -> (Self, usize) {
        let (name, images) = arg.split_once('=').unwrap();
        let path = Path::new(directory).join(format!("{name}.tsv"));
        (Self { name: name.to_owned(), cell: name.parse().unwrap(), path }, images.parse().unwrap())
    }

    fn images(&self) -> usize {
        fs::read_to_string(&self.path).map_or(0, |text| text.lines().count().saturating_sub(1))
    }

    fn add(&self, line: &Line) {
        if !self.path.exists() {
            fs::create_dir_all(self.path.parent().unwrap()).unwrap();
            fs::write(&self.path, format!("{}\n", Line::HEAD)).unwrap();
        }
        let mut file = OpenOptions::new().append(true).open(&self.path).unwrap();
        // One write for each image: what is in the file is whole, whenever this ends.
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}
