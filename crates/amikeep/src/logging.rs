//! Where log lines go, and which.
//!
//! Owns the choice between three forms: text for a person at a terminal, the journal with its own fields where systemd
//! reads stderr, and else one JSON object a line. Log lines always go to stderr or the journal, never to stdout, which
//! belongs to results. No line may be written by a module that does not also handle what it tells.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use amikeep_cloud_aws::REPLACED_ERRORS_TARGET;
use amikeep_config::Color;
use tracing::level_filters::LevelFilter;
use tracing::warn;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::ctx::Ctx;
use crate::progress::Bars;

/// By this name `journalctl -t` finds the lines.
const SYSLOG_IDENTIFIER: &str = "amikeep";
/// The crates of amikeep all begin with this, and no other crate does.
const OWN_CRATES: &str = "amikeep";
/// A command shows how its jobs ended as its result, so the lines that a daemon writes about them would tell it twice.
const OUTCOMES: &str = "amikeep_engine::outcome";

/// The crates of the AWS SDK begin with this. What they warn of, a command tells as its error.
const SDK_CRATES: &str = "aws_";

/// For whom the lines are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The daemon: what happens is told, step by step.
    Service,
    /// A command: only what its result does not show.
    Command,
    /// The demo, which tells everything itself.
    Story,
}

/// The form of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Journal,
    Json,
}

/// Starts logging. Lines on a terminal pass above the progress bars. May be called once in a process; a second call
/// changes nothing.
pub(crate) fn start(purpose: Purpose, ctx: &Ctx, bars: &Bars) {
    let filter = filter(purpose, ctx.verbose);
    let (layer, trouble) = match form(purpose) {
        Form::Text => (text(ctx.stderr_color, bars), None),
        Form::Json => (json(), None),
        Form::Journal => match tracing_journald::layer() {
            Ok(journal) => {
                let journal = journal.with_syslog_identifier(SYSLOG_IDENTIFIER.to_owned()).with_field_prefix(None);
                (journal.boxed(), None)
            }
            Err(error) => (json(), Some(error)),
        },
    };
    let is_first = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init().is_ok();
    if let Some(error) = trouble.filter(|_| is_first) {
        warn!("the journal cannot be written to, so lines go to stderr: {error}");
    }
}

/// What is logged at which `-v`. The SDK stays at warnings, since below that it logs requests; so does the scheduler,
/// whose errors mean that a wake was lost.
fn filter(purpose: Purpose, verbose: u8) -> Targets {
    let levels = [LevelFilter::OFF, LevelFilter::WARN, LevelFilter::INFO, LevelFilter::DEBUG, LevelFilter::TRACE];
    let quiet = match purpose {
        Purpose::Story => 0,
        Purpose::Command => 1,
        Purpose::Service => 2,
    };
    let own = levels.get(quiet + usize::from(verbose)).copied().unwrap_or(LevelFilter::TRACE);
    let others = own.min(LevelFilter::WARN);
    let filter = Targets::new().with_default(others).with_target(OWN_CRATES, own);
    let filter = if verbose == 0 { filter.with_target(REPLACED_ERRORS_TARGET, LevelFilter::OFF) } else { filter };
    if purpose == Purpose::Command && verbose == 0 {
        filter.with_target(OUTCOMES, LevelFilter::OFF).with_target(SDK_CRATES, LevelFilter::ERROR)
    } else {
        filter
    }
}

/// A command always talks to a person, whatever reads its stderr.
fn form(purpose: Purpose) -> Form {
    match purpose {
        Purpose::Command | Purpose::Story => Form::Text,
        Purpose::Service if stderr_is_the_journal() => Form::Journal,
        Purpose::Service if io::stderr().is_terminal() => Form::Text,
        Purpose::Service => Form::Json,
    }
}

fn text(color: Color, bars: &Bars) -> Box<dyn Layer<Registry> + Send + Sync> {
    let writer = AboveBars(bars.clone());
    fmt::layer().with_writer(writer).with_ansi(color == Color::Ansi).with_target(false).boxed()
}

fn json() -> Box<dyn Layer<Registry> + Send + Sync> {
    fmt::layer()
        .with_writer(io::stderr)
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .boxed()
}

/// systemd names the device and inode of the journal's socket. The variable is inherited by children whose stderr is
/// something else, so it alone proves nothing: `systemd.exec(5)`, `JOURNAL_STREAM`.
#[expect(clippy::disallowed_methods, reason = "the binary reads the environment; this variable is about logging alone")]
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = io::stderr().as_fd().try_clone_to_owned() else { return false };
    let Ok(metadata) = std::fs::File::from(stderr).metadata() else { return false };
    names_file(&stream, metadata.dev(), metadata.ino())
}

/// Whether `stream`, as in `8:1234`, names this device and inode.
fn names_file(stream: &str, device: u64, inode: u64) -> bool {
    let parsed = stream.split_once(':').and_then(|(dev, ino)| Some((dev.parse().ok()?, ino.parse().ok()?)));
    parsed == Some((device, inode))
}

/// Writes lines to stderr so that progress bars stay below them.
struct AboveBars(Bars);

impl<'a> MakeWriter<'a> for AboveBars {
    type Writer = AboveBars;

    fn make_writer(&'a self) -> Self::Writer {
        AboveBars(self.0.clone())
    }
}

impl Write for AboveBars {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write_all(line)).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn the_journal_is_only_what_stderr_really_is() {
        assert!(names_file("8:1234", 8, 1234));
        assert!(!names_file("8:1234", 8, 1235));
        assert!(!names_file("8", 8, 0));
        assert!(!names_file("8:x", 8, 0));
    }

    #[test]
    fn the_daemon_tells_what_happens_and_others_only_what_is_wrong() {
        let daemon = filter(Purpose::Service, 0);
        assert!(daemon.would_enable("amikeep_engine::outcome", &Level::INFO));
        assert!(!daemon.would_enable("amikeep_engine::outcome", &Level::DEBUG));
        assert!(daemon.would_enable("tokio_cron_scheduler::job", &Level::ERROR));
        for verbose in 0..5 {
            assert!(!filter(Purpose::Service, verbose).would_enable("hyper_util::client", &Level::INFO));
        }
    }

    #[test]
    fn a_command_does_not_tell_twice_how_its_jobs_ended() {
        assert!(!filter(Purpose::Command, 0).would_enable(OUTCOMES, &Level::ERROR));
        assert!(filter(Purpose::Command, 0).would_enable("amikeep_engine::report", &Level::ERROR));
        assert!(filter(Purpose::Command, 1).would_enable(OUTCOMES, &Level::INFO));
    }

    #[test]
    fn a_command_does_not_tell_what_the_sdk_warns_of() {
        assert!(!filter(Purpose::Command, 0).would_enable("aws_anything::credentials::chain", &Level::WARN));
        assert!(filter(Purpose::Command, 1).would_enable("aws_anything::credentials::chain", &Level::WARN));
        assert!(filter(Purpose::Service, 0).would_enable("aws_anything::credentials::chain", &Level::WARN));
    }

    #[test]
    fn errors_that_the_sdk_replaces_by_others_are_no_lines_of_the_log() {
        for purpose in [Purpose::Command, Purpose::Service] {
            assert!(!filter(purpose, 0).would_enable(REPLACED_ERRORS_TARGET, &Level::ERROR));
            assert!(filter(purpose, 0).would_enable("aws_anything::client", &Level::ERROR));
            assert!(filter(purpose, 1).would_enable(REPLACED_ERRORS_TARGET, &Level::ERROR));
        }
    }

    #[test]
    fn the_demo_is_silent_until_it_is_asked() {
        assert!(!filter(Purpose::Story, 0).would_enable("amikeep_engine::report", &Level::ERROR));
        assert!(!filter(Purpose::Story, 0).would_enable("tokio_cron_scheduler", &Level::ERROR));
        assert!(filter(Purpose::Story, 2).would_enable("amikeep_engine::report", &Level::INFO));
    }
}
