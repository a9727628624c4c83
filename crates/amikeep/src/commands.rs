//! One module per command: it reads what it needs, asks the functions that decide, and prints what `view` makes of it.

pub(crate) mod backup;
mod capture;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod daemon;
pub(crate) mod demo;
pub(crate) mod explain;
pub(crate) mod history;
pub(crate) mod hold;
pub(crate) mod images;
mod known;
pub(crate) mod man;
pub(crate) mod operator;
mod order;
pub(crate) mod plan;
pub(crate) mod prune;
pub(crate) mod reconcile;
pub(crate) mod schema;
pub(crate) mod show;
pub(crate) mod simulate;
pub(crate) mod thaw;
