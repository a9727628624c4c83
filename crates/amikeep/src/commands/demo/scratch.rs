//! The directory of the demo: the ledger and the configuration, readable for its owner alone, and gone at the end.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Names that are tried. More than one is taken only if somebody keeps the files of many demos.
const TRIES_MAX: u32 = 1_000;

/// What becomes of the files at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Files {
    Remove,
    Keep,
}

/// The directory.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    files: Files,
}

impl Scratch {
    /// Makes a new one. One that is there already is somebody else's, and never used.
    pub(super) fn new(files: Files) -> io::Result<Self> {
        let parent = std::env::temp_dir();
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for number in 0..TRIES_MAX {
            let path = parent.join(format!("amikeep-demo-{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path, files }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What becomes of it.
    pub(super) fn files(&self) -> Files {
        self.files
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.files == Files::Remove {
            // What cannot be removed now goes with the other temporary files of this host.
            drop(fs::remove_dir_all(&self.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_private_and_goes_unless_it_is_to_stay() {
        use std::os::unix::fs::PermissionsExt;
        let (gone, kept) = (Scratch::new(Files::Remove).unwrap(), Scratch::new(Files::Keep).unwrap());
        assert_ne!(gone.path(), kept.path());
        assert_eq!(fs::metadata(gone.path()).unwrap().permissions().mode() & 0o777, 0o700);
        let (gone_path, kept_path) = (gone.path().to_path_buf(), kept.path().to_path_buf());
        fs::write(gone_path.join("file"), "x").unwrap();
        drop((gone, kept));
        assert!(!gone_path.exists() && kept_path.exists());
        fs::remove_dir(kept_path).unwrap();
    }
}
