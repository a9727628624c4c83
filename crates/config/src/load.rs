//! From a file to a [`Config`], or to everything that is wrong with it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use toml::de::{DeTable, DeValue};

use crate::build;
use crate::config::{Config, Records};
use crate::diagnostic::{Diagnostic, Report, Severity};
use crate::findings::{At, Findings};
use crate::keys::{DaemonKeys, RootKeys};
use crate::section::{self, Field};

/// Where the configuration is, if nothing else is said.
pub const DEFAULT_PATH: &str = "/etc/amikeep/amikeep.toml";

/// The largest file that is read. Ten thousand policies fit into a quarter of it; what is larger is something else.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A configuration that is accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// What is doubtful in it.
    pub warnings: Report,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("failed to read {file}")]
    Read {
        /// The file.
        file: String,
        /// The same in words, with what to do.
        report: Report,
        /// What the system said.
        source: io::Error,
    },
    /// The file was read, and is wrong.
    #[error("{file} is not a valid configuration")]
    Invalid {
        /// The file.
        file: String,
        /// All errors, and the warnings besides.
        report: Report,
    },
}

impl LoadError {
    /// All that is wrong.
    pub fn report(&self) -> &Report {
        match self {
            Self::Read { report, .. } | Self::Invalid { report, .. } => report,
        }
    }
}

/// Reads and checks a file.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    let file = path.display().to_string();
    match read(path) {
        Ok(bytes) => parse_bytes(&bytes, &file),
        Err(source) => Err(LoadError::Read { report: unreadable(&file, &source), file, source }),
    }
}

/// Checks the text of a file; `file` is its name in reports.
pub fn parse(text: &str, file: &str) -> Result<Loaded, LoadError> {
    let mut findings = Findings::new(file, text);
    let config = match DeTable::parse(text) {
        Ok(table) => {
            let root: RootKeys = section::read_table(table.get_ref(), &At::root(), &mut findings);
            build::build(&root, &mut findings)
        }
        Err(error) => {
            let span = error.span().unwrap_or_default();
            findings.error(&At { span, ..At::root() }, format!("not TOML: {}", error.message()));
            None
        }
    };
    let is_refused = findings.has_errors();
    let report = findings.into_report();
    match config {
        Some(config) if !is_refused => Ok(Loaded { config, warnings: report }),
        _ => Err(LoadError::Invalid { file: file.to_owned(), report }),
    }
}

/// Where the ledger is, by a file that may be wrong elsewhere. `None` if the file cannot be read or does not surely say.
/// A socket about which it does not surely say is none.
pub fn records_of(path: &Path) -> Option<Records> {
    let bytes = read(path).ok()?;
    records_in(std::str::from_utf8(&bytes).ok()?)
}

pub(crate) fn records_in(text: &str) -> Option<Records> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let DeValue::Table(daemon) = table.get_ref().get("daemon")?.get_ref() else { return None };
    let mut findings = Findings::new("", text);
    let keys: DaemonKeys = section::read_table(daemon, &At::root(), &mut findings);
    // The parser mends a string that is not closed by guessing where it ends.
    let is_closed = |at: &At| text.get(at.span.clone()).is_some_and(|it| it.ends_with(['"', '\'']));
    // A key that is misspelt or lost in broken syntax must not lead to another place.
    let is_whole = errors.is_empty() && !findings.has_errors();
    let database = match &keys.database {
        Field::Given(database) if is_closed(&database.at) => database.value.0.clone(),
        Field::Default(database) if is_whole => database.value.0.clone(),
        Field::Given(_) | Field::Default(_) | Field::Absent | Field::Wrong => return None,
    };
    let is_sure = match &keys.socket {
        Field::Given(socket) => is_closed(&socket.at),
        _ => is_whole,
    };
    Some(Records { database, socket: is_sure.then(|| build::socket(&keys)).flatten().and_then(|socket| socket.0) })
}

/// Checks the bytes of a file, which may be anything; `file` is its name in reports.
pub fn parse_bytes(bytes: &[u8], file: &str) -> Result<Loaded, LoadError> {
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return parse(text, file),
        Err(error) => error,
    };
    // Up to the first bad byte the replaced text is the same, so the place is right in both.
    let text = String::from_utf8_lossy(bytes);
    let mut findings = Findings::new(file, &text);
    let start = error.valid_up_to();
    let at = At { span: start..start + char::REPLACEMENT_CHARACTER.len_utf8(), ..At::root() };
    findings
        .error(&at, "not UTF-8 text")
        .suggest("save the file as UTF-8; comments and tag values may hold any character then");
    Err(LoadError::Invalid { file: file.to_owned(), report: findings.into_report() })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    let is_too_large = u64::try_from(bytes.len()).is_ok_and(|len| FILE_BYTES_MAX < len);
    if is_too_large { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

pub(crate) fn unreadable(file: &str, error: &io::Error) -> Report {
    let (message, suggestion) = match error.kind() {
        io::ErrorKind::NotFound => (
            "there is no such file".to_owned(),
            "name another with --config or AMIKEEP_CONFIG, or write one: config/minimal.toml of the source tree is the smallest",
        ),
        io::ErrorKind::PermissionDenied => (
            "this user may not read the file".to_owned(),
            "the installed file is for the group amikeep: join it (`usermod -aG amikeep NAME` as root, then log in anew), \
             or make this file readable with `chgrp amikeep` and `chmod 0640`",
        ),
        io::ErrorKind::IsADirectory => ("this is a directory".to_owned(), "name the file in it"),
        io::ErrorKind::FileTooLarge => {
            ("the file is too large to be a configuration".to_owned(), "check that the path is the right one")
        }
        _ => (format!("the file cannot be read: {error}"), "check the path and the disk it is on"),
    };
    let diagnostic = Diagnostic {
        severity: Severity::Error,
        file: file.to_owned(),
        place: None,
        key: String::new(),
        message,
        allowed: None,
        suggestion: Some(suggestion.to_owned()),
    };
    Report { source: String::new(), diagnostics: vec![diagnostic] }
}
