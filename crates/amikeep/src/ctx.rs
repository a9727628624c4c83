//! What every command is given: where the configuration is, and what its output goes to.
//!
//! The one place where the environment is looked at.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use amikeep_config::{Color, LoadError, Loaded};
use amikeep_domain::id::PolicyName;
use amikeep_engine::{Clock, SystemClock};
use amikeep_ledger::Ledger;
use jiff::Timestamp;

use crate::cli::{Cli, Format};
use crate::exit::{Exit, Told};
use crate::output::Output;

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
                let config = loaded.config;
                let policies = Some(config.policy_set.policies.into_keys().collect());
                return Ok(Records { database: config.daemon.database, policies });
            }
            Err(error) => error,
        };
        let Some(database) = amikeep_config::database_of(&self.config_path) else { return Err(self.refuse(&error)) };
        self.tell(&format!("warning: {error} (see `amikeep check`); the ledger it names is read all the same"));
        Ok(Records { database, policies: None })
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
    /// The policies that are configured; `None` if the file does not say so.
    pub(crate) policies: Option<BTreeSet<PolicyName>>,
}

/// Opens the ledger to read from it, beside a daemon or without one.
pub(crate) async fn open_ledger(database: &Path) -> anyhow::Result<Ledger> {
    Ok(Ledger::open_read_only(database).await?)
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
