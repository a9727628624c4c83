//! One scrape: what is known is copied, and written as text.
//!
//! Writing works on the copies alone, so it holds up neither the ledger nor the engine, however slow it is.

mod engine;
mod ledger;
mod policies;
mod sheet;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use amikeep_domain::policy::PolicySet;
use amikeep_ledger::{Figures, Files, Ledger, LedgerError};
use jiff::{SignedDuration, Timestamp};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text, text};
use prometheus_client::registry::Registry;
use tokio::time::timeout;
use tracing::debug;

use crate::board::{Board, CallFigure, HeldBack, Reloads, SkewFigure, Stand, WaitFigure};
use crate::metrics::sheet::Sheet;

/// The longest that the ledger is read for one scrape. Prometheus gives up after ten seconds unless told otherwise.
const READ_WITHIN: Duration = Duration::from_secs(8);
/// A time of the host further ahead than this was noted by a clock that was wrong. It is left out, since it would say
/// for as long that all is well.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(1);

/// The two ways in which Prometheus reads figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// What every reader understands.
    Prometheus,
    /// What a reader has to ask for.
    OpenMetrics,
}

impl Format {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Everything that one scrape shows.
#[derive(Debug)]
pub(crate) struct Scrape {
    board: Arc<Board>,
    now: Timestamp,
    policy_set: Arc<PolicySet>,
    heard: Option<(Duration, Stand)>,
    reloads: Reloads,
    held_back: HeldBack,
    calls: Vec<CallFigure>,
    waits: Vec<WaitFigure>,
    skews: Vec<SkewFigure>,
    /// None where the ledger could not be read.
    stored: Option<Stored>,
}

/// What is read from the ledger and its directory.
#[derive(Debug)]
struct Stored {
    figures: Figures,
    files: Files,
    last_backup_at: Option<Timestamp>,
}

impl Scrape {
    /// Looks at everything, once.
    pub(crate) async fn take(board: Arc<Board>, ledger: &Ledger) -> Self {
        let now = board.sources.now();
        let stored = match timeout(READ_WITHIN, read(ledger, now)).await {
            Ok(Ok(stored)) => Some(stored),
            // Whoever scrapes sees it by `amikeep_ledger_readable`, and the engine tells of its own troubles.
            Ok(Err(error)) => {
                debug!("the figures of the ledger could not be read: {error}");
                None
            }
            Err(_elapsed) => {
                debug!("the figures of the ledger were not read within {READ_WITHIN:?}");
                None
            }
        };
        Self {
            now,
            policy_set: board.policy_set(),
            heard: board.heard(),
            reloads: board.reloads(),
            held_back: board.held_back(),
            calls: board.sources.calls(),
            waits: board.sources.waits(),
            skews: board.sources.skews(),
            stored,
            board,
        }
    }

    /// Writes all of it. It takes some milliseconds for each thousand policies, during which nothing else is done.
    pub(crate) fn render(self, format: Format, page: &mut impl fmt::Write) -> fmt::Result {
        let mut registry = Registry::with_prefix("amikeep");
        registry.register_collector(Box::new(self));
        match format {
            Format::Prometheus => prometheus_text::encode(page, &registry),
            Format::OpenMetrics => text::encode(page, &registry),
        }
    }

    /// Seconds since 1970, unless it is too far ahead to be true.
    fn seen_at(&self, at: Timestamp) -> Option<f64> {
        (at.duration_since(self.now) <= AHEAD_MAX).then(|| seconds(at))
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut sheet = Sheet::new(encoder);
        engine::write(self, &mut sheet)?;
        ledger::write(self, &mut sheet)?;
        policies::write(self, &mut sheet)
    }
}

async fn read(ledger: &Ledger, now: Timestamp) -> Result<Stored, LedgerError> {
    let figures = ledger.figures().await?;
    let backups = ledger.backups()?;
    let last_backup_at = backups.into_iter().map(|backup| backup.taken_at).find(|at| *at <= now);
    Ok(Stored { figures, files: ledger.files()?, last_backup_at })
}

/// Seconds since 1970.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of thousands of years are far below 2^52")]
fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1e3
}

/// A count as a gauge.
#[expect(clippy::cast_precision_loss, reason = "nothing that is counted here comes near 2^52")]
fn number(count: u64) -> f64 {
    count as f64
}

fn flag(is_so: bool) -> f64 {
    if is_so { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests;
