//! What every command is given: where the configuration is, and what its output goes to.
//!
//! The one place where the environment is looked at.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use amikeep_config::{Color, Config, LoadError, Loaded};
use amikeep_engine::{Clock, SystemClock};
use amikeep_ledger::{FileError, Ledger, LedgerError};
use jiff::Timestamp;

use crate::cli::{Cli, Format};
use crate::exit::{Exit, Told};
use crate::output::Output;

/// What is told to users who may only ask.
pub(crate) const NOT_FOR_ALL: &str = "this command works on the ledger itself, which is for root and the user that \
                                      amikeep runs as";

/// What every command is given.
#[derive(Debug)]
pub(crate) struct Ctx {
    /// The configuration file.
    pub(crate) config_path: PathBuf,
    /// How results are printed.
    pub(crate) format: Format,
    /// How often `-v` was given.
    pub(crate) verbose: u8,
    /// Whether results may carry colours.
    pub(crate) color: Color,
    /// Whether what is told on stderr may carry colours.
    pub(crate) stderr_color: Color,
    /// The width of the terminal; `None` if results do not go to one.
    pub(crate) width: Option<u16>,
    /// Where results go.
    pub(crate) output: Output,
    clock: SystemClock,
}

impl Ctx {
    /// From the command line, the terminal and `NO_COLOR`.
    pub(crate) fn new(cli: &Cli) -> Self {
        let colored = |is_terminal: bool| if is_terminal && wants_color() { Color::Ansi } else { Color::Plain };
        Self {
            config_path: config_path(cli),
            format: cli.format,
            verbose: cli.verbose,
            color: colored(io::stdout().is_terminal()),
            stderr_color: colored(io::stderr().is_terminal()),
            width: comfy_table::Table::new().width(),
            output: Output::default(),
            clock: SystemClock,
        }
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Tells something on stderr: what is no result.
    pub(crate) fn tell(&self, text: &str) {
        self.output.tell(text);
    }

    /// Reads the configuration. What is wrong with it is told on stderr at once; of warnings only how many there are,
    /// since they are the same before every command.
    pub(crate) fn load_config(&self) -> anyhow::Result<Loaded> {
        match amikeep_config::load(&self.config_path) {
            Ok(loaded) => {
                self.tell_warnings(loaded.warnings.warnings().count());
                Ok(loaded)
            }
            Err(error) => Err(self.refuse(&error)),
        }
    }

    /// Reads what is needed to look into the ledger. Whoever asks what happened is answered though the file is wrong,
    /// as long as it says where the ledger is: that is the hour in which they ask.
    pub(crate) fn load_records(&self) -> anyhow::Result<Records> {
        let error = match amikeep_config::load(&self.config_path) {
            Ok(loaded) => {
                self.tell_warnings(loaded.warnings.warnings().count());
                return Ok(Records::new(loaded.config));
            }
            Err(error) => error,
        };
        let Some(records) = amikeep_config::records_of(&self.config_path) else { return Err(self.refuse(&error)) };
        self.tell(&format!("warning: {error} (see `amikeep check`); the ledger it names is read all the same"));
        Ok(Records { database: records.database, socket: records.socket, config: None })
    }

    fn tell_warnings(&self, count: usize) {
        let warnings = match count {
            0 => return,
            1 => "1 warning".to_owned(),
            count => format!("{count} warnings"),
        };
        self.tell(&format!("{warnings} in {}: see `amikeep check`", self.config_path.display()));
    }

    fn refuse(&self, error: &LoadError) -> anyhow::Error {
        self.tell(&error.report().render(self.stderr_color));
        Told(Exit::Usage).into()
    }
}

/// What is needed to look into the ledger.
#[derive(Debug)]
pub(crate) struct Records {
    /// Where the ledger is.
    pub(crate) database: PathBuf,
    /// Where the daemon answers users who may not read it; `None` if it does not.
    pub(crate) socket: Option<PathBuf>,
    /// What is configured; `None` if the file is wrong.
    pub(crate) config: Option<Config>,
}

impl Records {
    /// By a file that is right.
    pub(crate) fn new(config: Config) -> Self {
        let daemon = &config.daemon;
        Self { database: daemon.database.clone(), socket: daemon.socket.clone(), config: Some(config) }
    }
}

/// Opens the ledger to read from it, beside a daemon or without one. Users who may not have its daemon to ask; a command
/// that has to work on the file itself tells them for whom it is.
pub(crate) async fn open_ledger(database: &Path) -> anyhow::Result<Ledger> {
    let opened = Ledger::open_read_only(database).await;
    opened.map_err(|error| match error {
        error if is_denied(&error) => anyhow::Error::new(error).context(NOT_FOR_ALL),
        error => error.into(),
    })
}

/// Whether the file is for others. `SQLite` cannot always tell a missing permission from other reasons not to open it.
pub(crate) fn is_denied(error: &LedgerError) -> bool {
    matches!(error, LedgerError::File(FileError::Permission { .. } | FileError::CannotOpen { .. }))
}

/// As it was named, else by the environment, in which an empty text names nothing. clap would take a variable for an
/// option that was typed, and show it in the usage line of every error.
fn config_path(cli: &Cli) -> PathBuf {
    let from_environment = || std::env::var_os("AMIKEEP_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    cli.config.clone().or_else(from_environment).unwrap_or_else(|| amikeep_config::DEFAULT_PATH.into())
}

/// <https://no-color.org>: any text but an empty one switches colours off. A dumb terminal has none.
#[expect(clippy::disallowed_methods, reason = "the binary reads the environment, here and nowhere else")]
fn wants_color() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    !is_set("NO_COLOR") && !is_dumb
}
