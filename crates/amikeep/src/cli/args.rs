//! The options of each command, parsed once into the types of the domain.

use std::path::PathBuf;

use amikeep_domain::class::Consistency;
use amikeep_domain::id::{AccountName, FreezeName, ImageId, InstanceId, PolicyName};
use amikeep_domain::job::StateName;
use amikeep_domain::retention::Keep;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap_complete::Shell;
use jiff::tz::TimeZone;

use crate::time_arg::TimeArg;

/// The most rows that one page of `history` has. A program that wants more follows `next_cursor`.
const HISTORY_ROWS_MAX: u32 = 1_000;

/// Options of `daemon`.
#[derive(Debug, Args)]
pub(crate) struct DaemonArgs {}

/// Options of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Asks AWS as well: whose credentials these are, and what they may do (by `DryRun`, nothing is changed)
    #[arg(long)]
    pub(crate) online: bool,
}

/// Options of `plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// The first time of interest: RFC 3339, a date, or a span from now such as 12h
    #[arg(long, value_name = "T")]
    pub(crate) from: Option<TimeArg>,
    /// The end, itself not included [default: 24 hours after --from]
    #[arg(long, value_name = "T")]
    pub(crate) to: Option<TimeArg>,
}

/// Options of `explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The instance, such as i-0123456789abcdef0
    #[arg(value_name = "INSTANCE")]
    pub(crate) instance: InstanceId,
}

/// Options of `backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The instances
    #[arg(value_name = "INSTANCE", required = true)]
    pub(crate) instances: Vec<InstanceId>,
    /// The policy whose class, tags and retention apply [default: the only one that matches the instance]
    #[arg(long, value_name = "P")]
    pub(crate) policy: Option<PolicyName>,
    /// How the image is made consistent [default: as the class of the instance says]
    #[arg(long, value_name = "M", value_parser = consistency())]
    pub(crate) consistency: Option<Consistency>,
    /// Ends as soon as the jobs are queued
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// Options of `history`.
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Only this policy
    #[arg(long, value_name = "P")]
    pub(crate) policy: Option<PolicyName>,
    /// Only this instance
    #[arg(long, value_name = "I")]
    pub(crate) instance: Option<InstanceId>,
    /// Only jobs in this state
    #[arg(long, value_name = "S", value_parser = state())]
    pub(crate) state: Option<StateName>,
    /// Not before this time: RFC 3339, a date, or a span such as 24h or 7d ago
    #[arg(long, value_name = "T")]
    pub(crate) since: Option<TimeArg>,
    /// Before this time, itself not included
    #[arg(long, value_name = "T")]
    pub(crate) until: Option<TimeArg>,
    /// At most so many rows, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(HISTORY_ROWS_MAX)))]
    pub(crate) limit: u32,
    /// Goes on where a page ended: its `next_cursor`
    #[arg(long, value_name = "C")]
    pub(crate) cursor: Option<String>,
    /// Lists fires in place of jobs: also those that matched no instance, or were missed
    #[arg(long, conflicts_with_all = ["instance", "state"])]
    pub(crate) fires: bool,
    /// Lists sums by month of the jobs that are older than `history_keep`
    #[arg(long, conflicts_with_all = ["fires", "state", "since", "until", "cursor"])]
    pub(crate) summary: bool,
}

/// Options of `show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The job: its id, or the last part of it as tables show it
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
}

/// Options of `images`.
#[derive(Debug, Args)]
pub(crate) struct ImagesArgs {
    /// Only this policy
    #[arg(long, value_name = "P")]
    pub(crate) policy: Option<PolicyName>,
    /// Only this instance
    #[arg(long, value_name = "I")]
    pub(crate) instance: Option<InstanceId>,
}

/// Options of `prune`.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Only shows every image with its verdict and the reasons
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    /// Only this policy; with --yes its images go even beyond its `max_deletes`
    #[arg(long, value_name = "P")]
    pub(crate) policy: Option<PolicyName>,
    /// Deletes without asking
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Options of `reconcile`.
#[derive(Debug, Args)]
pub(crate) struct ReconcileArgs {
    /// Only shows the images
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    /// Takes them in without asking
    #[arg(long)]
    pub(crate) yes: bool,
}

/// What a pause is about.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct ScopeArgs {
    /// One policy
    #[arg(long, value_name = "P")]
    pub(crate) policy: Option<PolicyName>,
    /// One instance, in every policy
    #[arg(long, value_name = "I")]
    pub(crate) instance: Option<InstanceId>,
    /// Everything
    #[arg(long)]
    pub(crate) all: bool,
}

/// Options of `pause`.
#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    /// When it ends by itself: RFC 3339, a date, or a span from now such as 6h [default: when it is resumed]
    #[arg(long, value_name = "T")]
    pub(crate) until: Option<TimeArg>,
    /// Why, for whoever finds it
    #[arg(long, value_name = "R")]
    pub(crate) reason: Option<String>,
}

/// Options of `resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// Options of `cancel`.
#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// The job: its id, or the last part of it as tables show it
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
}

/// Options of `pin` and `unpin`.
#[derive(Debug, Args)]
pub(crate) struct PinArgs {
    /// The image, such as ami-0123456789abcdef0
    #[arg(value_name = "IMAGE")]
    pub(crate) image: ImageId,
    /// The configured name of its account, where that is not clear
    #[arg(long, value_name = "A")]
    pub(crate) account: Option<AccountName>,
}

/// Options of `simulate`.
#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// The rules, such as last=3,daily=7,weekly=4 or within=30d
    #[arg(long, value_name = "RULES")]
    pub(crate) keep: Keep,
    /// The zone whose days, weeks and months count: an IANA name such as Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = amikeep_domain::schedule::timezone)]
    pub(crate) timezone: TimeZone,
    /// A JSON array of RFC 3339 times; - is stdin
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Does not pause for a reader
    #[arg(long)]
    pub(crate) fast: bool,
    /// Keeps configuration and ledger, to look around in them with history, show, images and plan
    #[arg(long)]
    pub(crate) keep_files: bool,
}

/// Options of `schema`.
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {}

/// Options of `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell that is to complete
    #[arg(value_name = "SHELL", value_enum)]
    pub(crate) shell: Shell,
}

/// Options of `man`.
#[derive(Debug, Args)]
pub(crate) struct HoldArgs {
    /// Which of [freezes.NAME]
    #[arg(long, value_name = "NAME")]
    pub(crate) freeze: FreezeName,

    /// Says that this is a rehearsal: without it nothing is frozen
    #[arg(long, required = true)]
    pub(crate) test: bool,

    /// The instance, for a freeze through Systems Manager and for what an image by its snapshots would carry
    #[arg(long, value_name = "INSTANCE")]
    pub(crate) instance: Option<InstanceId>,

    /// Its account, if there are several
    #[arg(long, value_name = "NAME", requires = "instance")]
    pub(crate) account: Option<AccountName>,
}

#[derive(Debug, Args)]
pub(crate) struct ThawArgs {
    /// What this job left frozen was thawed by hand: nothing is tried any more
    #[arg(long, value_name = "JOB")]
    pub(crate) settled: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Where the pages go; it must exist
    #[arg(value_name = "DIRECTORY")]
    pub(crate) directory: PathBuf,
}

fn consistency() -> impl TypedValueParser<Value = Consistency> {
    let find = |word: String| Consistency::ALL.into_iter().find(|it| it.as_str() == word).ok_or("no such mode");
    PossibleValuesParser::new(Consistency::ALL.map(Consistency::as_str)).try_map(find)
}

fn state() -> impl TypedValueParser<Value = StateName> {
    PossibleValuesParser::new(StateName::ALL.map(StateName::as_str)).try_map(|word| word.parse::<StateName>())
}
