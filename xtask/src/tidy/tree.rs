//! The files of the project as the rules see them: paths from the root with `/`, and the text of those that have any.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;

/// Files with these endings are read; of all others only the path is known.
const TEXT_ENDINGS: [&str; 6] = [".rs", ".toml", ".md", ".sql", ".lock", ".service"];

/// Every file below the root that belongs to the project.
#[derive(Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// Reads the tree; what git and cargo keep for themselves is left out.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut tree = Self::default();
        tree.read_directory(root, "")?;
        Ok(tree)
    }

    /// A tree of these paths and texts, for the tests of the rules.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let owned = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        Self { files: owned.collect() }
    }

    fn read_directory(&mut self, directory: &Path, prefix: &str) -> anyhow::Result<()> {
        let entries = fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
        for entry in entries {
            let entry = entry?;
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                // Cargo marks every target directory with this file, whatever the directory is called.
                let is_cache = entry.path().join("CACHEDIR.TAG").exists();
                if path != ".git" && path != "target" && !is_cache {
                    self.read_directory(&entry.path(), &format!("{path}/"))?;
                }
            } else {
                let is_text = TEXT_ENDINGS.iter().any(|ending| path.ends_with(ending));
                let text = if is_text {
                    fs::read_to_string(entry.path()).with_context(|| format!("cannot read {path}"))?
                } else {
                    String::new()
                };
                self.files.insert(path, text);
            }
        }
        Ok(())
    }

    /// How many files there are.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// The text of one file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Every path, sorted.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Paths and texts of the files with this ending.
    pub(crate) fn with_ending(&self, ending: &str) -> impl Iterator<Item = (&str, &str)> {
        let ending = ending.to_owned();
        self.files.iter().filter(move |(path, _)| path.ends_with(&ending)).map(|(p, t)| (p.as_str(), t.as_str()))
    }
}

/// The folder's name for a file of `crates/…`, and the first component for all others (`xtask`, `tests`).
pub(crate) fn crate_of(path: &str) -> &str {
    let inside = path.strip_prefix("crates/").unwrap_or(path);
    inside.split('/').next().unwrap_or(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projects_own_tree_is_read_without_its_target_directory() {
        let tree = Tree::read(&crate::root()).expect("the workspace can be read");
        assert!(tree.text("xtask/src/tidy/tree.rs").is_some_and(|text| text.starts_with("//!")));
        assert_eq!(tree.paths().find(|path| path.starts_with("target/") || path.starts_with(".git/")), None);
    }

    #[test]
    fn a_file_belongs_to_the_folder_below_crates() {
        assert_eq!(crate_of("crates/cloud-aws/src/lib.rs"), "cloud-aws");
        assert_eq!(crate_of("xtask/src/main.rs"), "xtask");
    }
}
