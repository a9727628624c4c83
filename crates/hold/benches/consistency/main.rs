//! The experiment: what is in an image that was taken by reboot, without one, frozen, and frozen with the applications
//! locked.
//!
//! `cargo xtask experiment consistency` runs it and says what it is for; this is one cell of it. It must never judge: a
//! line for each image says what was found, and nothing is left out.
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
mod look;
#[path = "../../tests/it/server.rs"]
#[expect(dead_code, reason = "the tests' servers, of which less is needed here")]
mod server;
mod world;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use crate::cell::Cell;
use crate::look::Line;
use crate::world::World;

/// `CELL IMAGES DIRECTORY`: takes so many images more, and adds what was found to `DIRECTORY/CELL.tsv`.
fn main() {
    // `cargo bench` adds a word of its own.
    let mut args = std::env::args().skip(1).filter(|word| word != "--bench");
    let (Some(name), Some(images), Some(directory)) = (args.next(), args.next(), args.next()) else {
        // As one of all benchmarks it has nothing to do.
        eprintln!("not run: cargo xtask experiment consistency runs this");
        return;
    };
    let cell: Cell = name.parse().unwrap();
    let images: usize = images.parse().unwrap();
    fs::create_dir_all(&directory).unwrap();
    let path = PathBuf::from(directory).join(format!("{name}.tsv"));
    if !path.exists() {
        fs::write(&path, format!("{}\n", Line::HEAD)).unwrap();
    }
    let Some(mut world) = World::new(cell) else { return };
    for _ in 0..images {
        let line = world.image_and_look();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        // One write for each image: what is in the file is whole, whenever this ends.
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}
