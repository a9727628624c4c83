//! A fire that was: what `history --fires` shows.

use amikeep_ledger::FireRow;
use serde::Serialize;

use crate::table::{Cell, Column, Fit, Table, Tone};
use crate::text::{Precision, Time};

/// A fire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fire {
    /// The policy.
    pub policy: String,
    /// The configured name of the account.
    pub account_name: String,
    /// Its nominal time; of several that were missed in a row, the last.
    pub scheduled_at: Time,
    /// `ran`, `no-match`, `missed` or `skipped`.
    pub outcome: &'static str,
    /// How many instances it matched.
    pub matched: u32,
    /// The first of those that were missed in a row.
    pub missed_from: Option<Time>,
    /// How many were missed.
    pub missed_count: Option<u64>,
    /// Why, where that is known.
    pub note: Option<String>,
    /// When it was written down.
    pub recorded_at: Time,
}

/// The answer of `history --fires`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fires {
    /// The fires, newest first.
    pub fires: Vec<Fire>,
    /// Where the next page begins; null on the last one.
    pub next_cursor: Option<String>,
}

impl From<&FireRow> for Fire {
    fn from(row: &FireRow) -> Self {
        Self {
            policy: row.policy.to_string(),
            account_name: row.account_name.to_string(),
            scheduled_at: Time(row.scheduled_at),
            outcome: row.outcome.as_str(),
            matched: row.matched,
            missed_from: row.missed_from.map(Time),
            missed_count: row.missed_count,
            note: row.note.clone(),
            recorded_at: Time(row.recorded_at),
        }
    }
}

/// A list of fires.
pub fn table(fires: &[Fire]) -> Table {
    let columns = vec![
        Column::new("SCHEDULED (UTC)", Fit::Whole),
        Column::new("POLICY", Fit::Wraps),
        Column::new("ACCOUNT", Fit::Optional(2)),
        Column::new("OUTCOME", Fit::Whole),
        Column::new("MATCHED", Fit::Whole),
        Column::new("NOTE", Fit::OptionalWraps(3)),
    ];
    let times = |fire: &Fire| [Some(fire.scheduled_at), fire.missed_from];
    let precision = Precision::of(fires.iter().flat_map(times).flatten().map(|time| time.0));
    let row = |fire: &Fire| {
        let tone = if fire.outcome == "ran" { Tone::Good } else { Tone::Bad };
        vec![
            Cell::plain(precision.write(fire.scheduled_at.0)),
            Cell::plain(&fire.policy),
            Cell::plain(&fire.account_name),
            Cell::new(fire.outcome, tone),
            Cell::plain(fire.matched.to_string()),
            Cell::plain(note(fire, precision)),
        ]
    };
    Table { columns, rows: fires.iter().map(row).collect() }
}

fn note(fire: &Fire, precision: Precision) -> String {
    let missed = match (fire.missed_count, fire.missed_from) {
        (Some(count), Some(from)) if 1 < count => Some(format!("{count} times since {}", precision.write(from.0))),
        _ => None,
    };
    let no_match = (fire.outcome == "no-match").then(|| "its selector matched no instance: no backup".to_owned());
    let parts: Vec<_> = missed.into_iter().chain(no_match).chain(fire.note.clone()).collect();
    parts.join("; ")
}

#[cfg(test)]
mod tests;
