//! `amikeep man`: the manual pages, made from the definition of the command line.
//!
//! It is hidden, since whoever installs amikeep has the pages already. It is a command, and not a chore of xtask alone,
//! because the definition is built from the domain's types and belongs to the binary: xtask would have to link all of it,
//! the AWS SDK included.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use clap_mangen::Man;

use crate::cli::{Cli, ManArgs};
use crate::exit::Exit;

/// In the last line of every page: which amikeep it is about.
const SOURCE: &str = concat!("amikeep ", env!("CARGO_PKG_VERSION"));

/// Writes a page for amikeep and for each of its commands.
pub(crate) fn run(args: &ManArgs) -> anyhow::Result<Exit> {
    let mut amikeep = Cli::command().disable_help_subcommand(true);
    amikeep.build();
    for command in amikeep.get_subcommands().filter(|command| !command.is_hide_set()) {
        write_page(command.clone(), &args.directory)?;
    }
    write_page(amikeep, &args.directory)?;
    Ok(Exit::Done)
}

fn write_page(command: clap::Command, directory: &Path) -> anyhow::Result<()> {
    let notes = command.get_after_help().map(ToString::to_string);
    let man = Man::new(command.after_help(None::<&str>)).source(SOURCE);
    let mut page = Vec::new();
    man.render(&mut page)?;
    page.extend(notes.as_deref().map(notes_section).unwrap_or_default().into_bytes());
    let path = directory.join(man.get_filename());
    fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))
}

/// What follows the options in the help: examples in columns, which must keep their line breaks and blanks.
fn notes_section(text: &str) -> String {
    let mut section = String::from(".SH NOTES\n.nf\n");
    for line in text.lines() {
        // Nothing that a line begins with may be taken for a request, and a hyphen must stay one that can be copied.
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(section, "{guard}{line}");
    }
    section.push_str(".fi\n");
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amikeep_and_each_of_its_commands_has_a_page() {
        let directory = tempfile::TempDir::new().unwrap();
        run(&ManArgs { directory: directory.path().to_owned() }).unwrap();
        let page = |name: &str| fs::read_to_string(directory.path().join(format!("{name}.1"))).unwrap();
        assert!(page("amikeep").contains("AMIKEEP_CONFIG"));
        assert!(
            page("amikeep-history").contains("\n  amikeep history \\-\\-state failed "),
            "examples keep their columns"
        );
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let about = command.get_long_about().unwrap().to_string();
            let first_words: Vec<&str> = about.split_whitespace().take(3).collect();
            let page = page(&format!("amikeep-{}", command.get_name()));
            assert!(page.contains(&first_words.join(" ")), "{about:?} in {page}");
        }
        assert!(!directory.path().join("amikeep-man.1").exists(), "what is hidden has none");
    }

    #[test]
    fn no_line_of_the_notes_is_a_request() {
        assert_eq!(notes_section(".x\n'y\na\\b"), ".SH NOTES\n.nf\n\\&.x\n\\&'y\na\\eb\n.fi\n");
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = run(&ManArgs { directory: "/nowhere/man1".into() }).unwrap_err();
        assert!(error.to_string().contains("/nowhere/man1"), "{error}");
    }
}
