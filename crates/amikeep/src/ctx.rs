//! What every command is given: where the configuration is, and what its output goes to.
//!
//! The one place where the environment is looked at, apart from what clap reads for its options.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use amikeep_config::{Color, Config, Loaded};
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
            config_path: cli.config.clone(),
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

    /// Reads the configuration. What is wrong with it is told on stderr at once, and so are warnings.
    pub(crate) fn load_config(&self) -> anyhow::Result<Loaded> {
        match amikeep_config::load(&self.config_path) {
            Ok(loaded) => {
                self.tell(&loaded.warnings.render(self.stderr_color));
                Ok(loaded)
            }
            Err(error) => {
                self.tell(&error.report().render(self.stderr_color));
                Err(Told(Exit::Usage).into())
            }
        }
    }
}

/// Opens the ledger to read from it, beside a daemon or without one.
pub(crate) async fn open_ledger(config: &Config) -> anyhow::Result<Ledger> {
    Ok(Ledger::open_read_only(&config.daemon.database).await?)
}

/// <https://no-color.org>: any text but an empty one switches colours off. A dumb terminal has none.
#[expect(clippy::disallowed_methods, reason = "the binary reads the environment, here and nowhere else")]
fn wants_color() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    !is_set("NO_COLOR") && !is_dumb
}
