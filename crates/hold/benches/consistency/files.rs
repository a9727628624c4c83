//! A program that has no database: it makes, renames and deletes files at full speed, and keeps a journal that it flushes.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::client::Client;

const FOLDERS: u64 = 8;

/// So many files are there at a time; one that was deleted stays open for a while, as programs do.
const FILES: u64 = 200;

fn journal(mount: &Path) -> PathBuf {
    mount.join("files/journal")
}

/// Starts it. Each of its acknowledged numbers was flushed.
pub(crate) fn client(mount: &Path) -> Client {
    let root = mount.join("files");
    for folder in 0..FOLDERS {
        fs::create_dir_all(root.join(folder.to_string())).unwrap();
    }
    let mut journal = OpenOptions::new().create_new(true).append(true).open(journal(mount)).unwrap();
    // The name is as durable as the directory that it is in.
    File::open(&root).and_then(|root| root.sync_all()).unwrap();
    let mut deleted: Vec<File> = Vec::new();
    Client::start(move |number| {
        let done = step(&root, number, &mut deleted).and_then(|()| journal.write_all(&number.to_le_bytes()));
        done.and_then(|()| journal.sync_data()).is_ok()
    })
}

fn step(root: &Path, number: u64, deleted: &mut Vec<File>) -> std::io::Result<()> {
    let place = |number: u64| root.join((number % FOLDERS).to_string()).join(number.to_string());
    let half = root.join(format!("{number}.half"));
    let size = usize::try_from(number * 7919 % 16_384).unwrap_or(0);
    fs::write(&half, vec![b'x'; size])?;
    fs::rename(&half, place(number))?;
    if let Some(old) = number.checked_sub(FILES).filter(|old| 0 < *old) {
        deleted.push(File::open(place(old))?);
        fs::remove_file(place(old))?;
        if 20 < deleted.len() {
            deleted.remove(0);
        }
    }
    Ok(())
}

/// How many of the first numbers are in the journal, without a gap.
pub(crate) fn found(mount: &Path) -> u64 {
    let Ok(file) = File::open(journal(mount)) else { return 0 };
    let mut found = 0;
    let mut bytes = [0; 8];
    while file.read_exact_at(&mut bytes, found * 8).is_ok() && u64::from_le_bytes(bytes) == found + 1 {
        found += 1;
    }
    found
}
