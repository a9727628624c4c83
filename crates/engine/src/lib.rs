//! The loop: observe, plan, record, execute, record.
//!
//! A tick takes no input. A timer, a request of an operator, a reload and a finished call all do the same: they wake the
//! engine, which looks at the world, asks [`amikeep_domain::plan`] what is to be done, and does it. Effects are
//! started as tasks, so a call that hangs stops nothing but itself; what they found comes back as reports. No retry
//! is a loop here: a failure is written down with the time of the next try, and the next plan finds it.
//!
//! The engine never holds a transaction of the ledger across a call to EC2, and it calls EC2 for a mutation only after
//! the intent has been committed.

mod advice;
mod clock;
mod context;
mod doorbell;
mod engine;
mod error;
mod hold;
mod host;
mod judge;
mod ledger_backups;
mod outcome;
mod prune;
mod report;
mod requests;
mod run;
mod state;
mod task;
mod witness;

pub use advice::{next_step, next_step_once};
pub use clock::{Clock, ManualClock, OsRandom, Random, SeededRandom, SteadyTimer, SystemClock};
pub use doorbell::Doorbell;
pub use engine::{Engine, Options, Settled};
pub use error::EngineError;
pub use hold::recover::{Recovered, recover_holds};
pub use hold::rehearse::{Rehearsal, rehearse};
pub use hold::shell::command_shell;
pub use host::{Host, NoHost};
pub use prune::{PrunePreview, PruneScope, preview_prune};
pub use run::{Beat, Control, Handle};
pub use witness::{PruneSeen, Witness};
