//! MySQL's server, which Debian has in its unstable distribution alone.
//!
//! It is unpacked with all that it needs, the C library among it, into a folder below `target/tools`, and started by that
//! folder's own loader: nothing is installed, and the machine's own libraries are not touched. Where packages are fetched
//! from is what the machine's own apt is set up for. What is there stays until somebody removes the folder, since that
//! distribution moves.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::process;

/// The variable that hands the program's path to the tests.
pub(crate) const VARIABLE: &str = "AMIKEEP_MYSQL";

const SUITE: &str = "sid";
const PACKAGE: &str = "mysql-server-core";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The `mysqld` of the folder, which is unpacked first if it is not there.
pub(crate) fn install(root: &Path) -> anyhow::Result<PathBuf> {
    let folder = root.join("target/tools/mysql");
    let program = folder.join("mysqld");
    if version(root, &program).is_none() {
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        unpack(root, &folder).with_context(|| format!("{PACKAGE} of Debian's {SUITE} cannot be had"))?;
        write_starter(&folder, &program)?;
    }
    let Some(version) = version(root, &program) else {
        bail!("{} does not run; remove {} to have it unpacked anew", program.display(), folder.display());
    };
    println!("{version}");
    Ok(program)
}

fn version(root: &Path, program: &Path) -> Option<String> {
    process::answer(process::command(program, root).args(["--no-defaults", "--version"]))
}

/// With an apt that knows of no package that is installed, so that it brings everything.
fn unpack(root: &Path, folder: &Path) -> anyhow::Result<()> {
    let question =
        ["indextargets", "--format", "$(REPO_URI)", "Label: Debian", "Component: main", "Created-By: Packages"];
    let mirrors = process::answer(process::command("apt-get", root).args(question));
    let mirror = mirrors.as_deref().and_then(|mirrors| mirrors.lines().next());
    let mirror = mirror.context("apt-get names no mirror of Debian; is this Debian, and was `apt-get update` run?")?;
    let (state, system) = (folder.join("apt"), folder.join("system"));
    for directory in [state.join("lists/partial"), state.join("cache/archives/partial"), system.clone()] {
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let sources = format!("deb [signed-by={KEYRING}] {mirror} {SUITE} main\n");
    for (name, text) in [("sources", sources.as_str()), ("status", "")] {
        fs::write(state.join(name), text).with_context(|| format!("cannot write {}", state.display()))?;
    }
    let apt = |words: &[&str]| {
        let mut apt = process::command("apt-get", root);
        for (name, file) in [
            ("Dir::Etc::SourceList", "sources"),
            ("Dir::Etc::SourceParts", "none"),
            ("Dir::State::Status", "status"),
            ("Dir::State::Lists", "lists"),
            ("Dir::Cache", "cache"),
        ] {
            apt.arg("--option").arg(format!("{name}={}", state.join(file).display()));
        }
        // The downloader's own user may not see this folder; and a mirror may be one of some weeks ago.
        apt.args(["--option", "APT::Sandbox::User=root", "--option", "Acquire::Check-Valid-Until=false"]);
        process::run(apt.args(["--quiet=2"]).args(words))
    };
    apt(&["update"])?;
    apt(&["install", "--yes", "--no-install-recommends", "--download-only", PACKAGE])?;
    for package in fs::read_dir(state.join("cache/archives")).context("apt-get fetched nothing")? {
        let package = package.context("cannot read what was fetched")?.path();
        if package.extension().is_some_and(|it| it == "deb") {
            process::run(process::command("dpkg-deb", root).arg("--extract").arg(&package).arg(&system))?;
        }
    }
    fs::remove_dir_all(&state).with_context(|| format!("cannot remove {}", state.display()))
}

/// A program that hands its words on. Options of MySQL that come last count.
fn write_starter(folder: &Path, program: &Path) -> anyhow::Result<()> {
    let usr = folder.join("system/usr");

    let libraries = usr.join(format!("lib/{}-linux-gnu", std::env::consts::ARCH));
    let loader = fs::read_dir(&libraries).context("no libraries were unpacked")?.flatten().map(|it| it.path());
    let loader =
        loader.into_iter().find(|it| it.file_name().is_some_and(|it| it.to_string_lossy().starts_with("ld-linux")));
    let loader = loader.context("no loader was unpacked")?;
    let (usr, libraries) = (usr.display(), libraries.display());
    let text = format!(
        "#!/bin/sh\nexec '{}' --library-path '{libraries}' '{usr}/sbin/mysqld' \"$@\" --basedir='{usr}' \\\n    \
         --lc-messages-dir='{usr}/share/mysql' --character-sets-dir='{usr}/share/mysql/charsets' \\\n    \
         --plugin-dir='{usr}/lib/mysql/plugin'\n",
        loader.display()
    );
    fs::write(program, text).with_context(|| format!("cannot write {}", program.display()))?;
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).context("cannot make it a program")
}
