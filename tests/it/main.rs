//! End to end: the real binary, over HTTP, against the simulated EC2 in this process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod accounts;
mod backup;
mod bad_input;
mod credentials;
mod daemon;
mod demo;
mod kill;
mod notify;
mod prune;
mod site;
mod socket;
