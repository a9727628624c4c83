//! The command line: every command, its options, and the help by which a person finds the right one.
//!
//! Owns names and texts. What an option means to a command is the command's business.

mod args;
mod help;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::output::Output;

pub(crate) use crate::cli::args::{
    BackupArgs, CancelArgs, CheckArgs, CompletionsArgs, DaemonArgs, DemoArgs, ExplainArgs, HistoryArgs, HoldArgs,
    ImagesArgs, ManArgs, PauseArgs, PinArgs, PlanArgs, PruneArgs, ReconcileArgs, ResumeArgs, SchemaArgs, ScopeArgs,
    ShowArgs, SimulateArgs, ThawArgs,
};

/// Above the options that every command has.
const GLOBAL: &str = "Options of every command";

/// Backs up EC2 instances as AMIs, in the mode each workload calls for, and can say what happened.
#[derive(Debug, Parser)]
#[command(name = "amikeep", version, about, long_about = help::LONG_ABOUT, after_help = help::AFTER_HELP)]
#[command(max_term_width = 100)]
pub(crate) struct Cli {
    /// The configuration file
    #[arg(long, value_name = "FILE", global = true, help_heading = GLOBAL, help = config_help())]
    pub(crate) config: Option<PathBuf>,

    /// How results are printed on stdout
    #[arg(long, value_enum, global = true, help_heading = GLOBAL, default_value_t = Format::Table)]
    pub(crate) format: Format,

    /// Logs more on stderr; twice for even more
    #[arg(short, long, global = true, help_heading = GLOBAL, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Names the variable and the default by hand, since clap is not told of them; `Ctx` says why.
fn config_help() -> String {
    format!("The configuration file [env: AMIKEEP_CONFIG] [default: {}]", amikeep_config::DEFAULT_PATH)
}

impl Cli {
    /// Reads the command line, and ends the process where it asks for help or cannot be meant. Without a command the whole
    /// help is shown: whoever types the bare name wants to know what there is.
    pub(crate) fn read() -> Self {
        match Self::try_parse() {
            Ok(cli) => cli,
            Err(error) if error.kind() == ErrorKind::MissingSubcommand => {
                Output::default().tell(&Self::command().render_help().to_string());
                std::process::exit(error.exit_code());
            }
            Err(error) => error.exit(),
        }
    }
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs: stdout carries one JSON document and nothing else
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the service in the foreground
    #[command(long_about = help::DAEMON)]
    Daemon(DaemonArgs),
    /// Checks the configuration, and with --online the credentials and permissions
    #[command(long_about = help::CHECK, after_help = help::CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Lists what will run, by default in the next 24 hours
    #[command(long_about = help::PLAN, after_help = help::PLAN_EXAMPLES)]
    Plan(PlanArgs),
    /// Says how an instance is backed up, by which policies, and why
    #[command(long_about = help::EXPLAIN, after_help = help::EXPLAIN_EXAMPLES)]
    Explain(ExplainArgs),
    /// Backs up instances now
    #[command(long_about = help::BACKUP, after_help = help::BACKUP_EXAMPLES)]
    Backup(BackupArgs),
    /// Lists jobs that ran, failed or are under way, newest first
    #[command(long_about = help::HISTORY, after_help = help::HISTORY_EXAMPLES)]
    History(HistoryArgs),
    /// Tells all about one job: what happened when, why it failed, what to do next
    #[command(long_about = help::SHOW, after_help = help::SHOW_EXAMPLES)]
    Show(ShowArgs),
    /// Lists the images that are kept, since when, how good they are, and why they are kept
    #[command(long_about = help::IMAGES, after_help = help::IMAGES_EXAMPLES)]
    Images(ImagesArgs),
    /// Applies retention now: shows what goes and why, and deletes it if that is wanted
    #[command(long_about = help::PRUNE, after_help = help::PRUNE_EXAMPLES)]
    Prune(PruneArgs),
    /// Takes images of this owner that the ledger does not know into it, after it was restored or lost
    #[command(long_about = help::RECONCILE)]
    Reconcile(ReconcileArgs),
    /// Stops backups and pruning of a policy, an instance or everything for a while, or lists what is stopped
    #[command(long_about = help::PAUSE, after_help = help::PAUSE_EXAMPLES)]
    Pause(PauseArgs),
    /// Ends a pause; what fell into it stays skipped
    #[command(long_about = help::RESUME)]
    Resume(ResumeArgs),
    /// Cancels a job whose image was not asked for yet
    #[command(long_about = help::CANCEL)]
    Cancel(CancelArgs),
    /// Keeps an image whatever the rules say, until it is unpinned
    #[command(long_about = help::PIN)]
    Pin(PinArgs),
    /// Lets the rules decide about an image again
    #[command(long_about = help::UNPIN)]
    Unpin(PinArgs),
    /// Rehearses a freeze on this machine: locks, freezes, thaws, and takes no image
    #[command(long_about = help::HOLD, after_help = help::HOLD_EXAMPLES)]
    Hold(HoldArgs),
    /// Thaws what an amikeep that died in a hold may have left frozen
    #[command(long_about = help::THAW)]
    Thaw(ThawArgs),
    /// Tries retention rules on a list of times, without EC2 and without a configuration
    #[command(long_about = help::SIMULATE, after_help = help::SIMULATE_EXAMPLES)]
    Simulate(SimulateArgs),
    /// Shows a week of backup nights in about a minute, without an AWS account
    #[command(long_about = help::DEMO)]
    Demo(DemoArgs),
    /// Prints the JSON Schema of the configuration file
    #[command(long_about = help::SCHEMA, after_help = help::SCHEMA_EXAMPLES)]
    Schema(SchemaArgs),
    /// Prints what a shell needs to complete amikeep's commands and options
    #[command(long_about = help::COMPLETIONS, after_help = help::COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
    /// Writes the manual pages of all commands
    #[command(long_about = help::MAN, hide = true)]
    Man(ManArgs),
}
