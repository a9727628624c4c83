//! What happened: the `SQLite` file, and the only SQL.
//!
//! The public methods of [`Ledger`] are use-cases of the engine, of the commands and of the status page, each one short
//! transaction, and none shows that `SQLite` is below. What is stored comes back through the constructors of the domain;
//! a row that they refuse is an error, never a guess. This crate must never decide what should happen, never ask a
//! clock, and never overwrite a file that it does not know. `docs/ledger.md` lists the promises and what enforces them.

mod accounts;
mod backups;
mod deletions;
mod error;
mod field;
mod figures;
mod fires;
#[cfg(test)]
mod fixture;
mod history;
mod holds;
mod images;
mod jobs;
mod ledger;
mod lock;
mod lost;
mod open;
mod page;
mod pauses;
mod place;
mod prunes;
mod requests;
mod row;
mod runs;
mod sets;
mod sql;
mod stored;
mod summaries;
#[cfg(test)]
mod tests;

pub use crate::accounts::{AccountSeen, InstanceSeen};
pub use crate::backups::Backup;
pub use crate::error::{FileError, LedgerError};
pub use crate::figures::{Ended, Figures, Files, ImageFigure, LastFire, LastJobs, Tally};
pub use crate::fires::{FireFilter, FirePlan, FireRow, FireRun, RecordedFire};
pub use crate::history::HistoryFilter;
pub use crate::images::{ImageRow, ImageRowState, PinRecord};
pub use crate::jobs::{EventRow, NewJob};
pub use crate::ledger::{Ledger, WriteGate};
pub use crate::lock::{EngineLock, Holder, LockError};
pub use crate::page::{FireCursor, InvalidCursor, JobCursor, PAGE_ROWS_MAX, Page};
pub use crate::prunes::{
    ListingRecord, NewDeletion, PruneId, PruneRecord, PruneRow, RecordedPrune, StrayImage, StrayState,
};
pub use crate::requests::{Request, RequestKind, RequestStatus};
pub use crate::runs::LastStop;
pub use crate::summaries::{FireSummaryRow, Summarised, SummaryRow};
