//! The JSON types of the contract and what tables show, made from ledger rows once for both.
//!
//! Every command and the status page show the same things in the same words, since both are made here. Must never decide
//! anything (that is `domain`), read anything (that is `ledger`), or know a terminal or a browser: a [`Table`] says what
//! is in its cells and how bad it is, and whoever shows it chooses widths and colours. Fields of the JSON types may be
//! added and never removed.

pub mod capture;
pub mod check;
pub mod explain;
pub mod fire;
pub mod image;
pub mod job;
pub mod pause;
pub mod plan;
pub mod prune;
pub mod simulate;
pub mod summary;
pub mod table;
mod text;

pub use crate::table::Table;
pub use crate::text::{Time, minute};
