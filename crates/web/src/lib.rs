//! What a running daemon shows of itself over HTTP: metrics for Prometheus, and whether it works.
//!
//! Owns the listener, its limits, and how figures are written. It reads the ledger through a handle of its own that cannot
//! write, takes what only the process knows from a [`Board`] that the daemon keeps, and changes nothing. It must never make
//! the engine wait: the board is locked for the copy of a few values, every connection has an end, and there are few of
//! them. Nobody is asked who they are, so nothing is shown here that may not be known to whoever reaches the address: no
//! instance, no image, nothing that AWS said, no credential.
//!
//! # Where the figures come from
//!
//! A counter that only this process keeps begins at 0 with each start, which Prometheus makes up for, except for what
//! happened between the last scrape and the end: of a backup that failed right before a crash nobody would hear. So
//! whatever has a row comes from the ledger: fires, jobs, images, deletions, holds that are not over. Counting those rows
//! takes a third of a second for each million, so ends are tallied as they are written
//! ([`amikeep_ledger::Figures`]), and the rest is found by indices of what is open or exists. What has no row is counted
//! here: calls to EC2 and the waits for them, how long writes stood still in a hold, and reloads.
//!
//! Labels are names of the configuration and words of the contract, and never ids of instances, jobs or images: the number
//! of series follows from the configuration alone. Series of a policy end with it, but for those of its images and
//! deletions, which outlive it. Nothing is kept between scrapes, and the text, some megabytes for ten thousand policies, is
//! sent as it is written.

mod board;
#[cfg(test)]
mod fixture;
mod health;
mod holds;
mod metrics;
mod routes;
mod server;
mod written;

pub use crate::board::{About, Board, CallFigure, HeldBack, SkewFigure, Sources, Stand, WaitFigure};
pub use crate::server::{Serving, Trouble};
