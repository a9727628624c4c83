//! One module per command: it reads what it needs, asks the functions that decide, and prints what `view` makes of it.

pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod daemon;
pub(crate) mod demo;
pub(crate) mod explain;
pub(crate) mod history;
pub(crate) mod images;
pub(crate) mod plan;
pub(crate) mod schema;
pub(crate) mod show;
pub(crate) mod simulate;
