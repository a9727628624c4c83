//! End to end: the real binary, over HTTP, against the simulated EC2 in this process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod accidents;
mod accounts;
#[path = "../alone.rs"]
mod alone;
mod backup;
mod bad_input;
mod credentials;
mod daemon;
mod demo;
mod disk;
mod disks;
mod freezing;
mod holds;
mod kill;
mod moto;
mod nights;
mod notify;
mod pause;
mod prune;
mod rehearsing;
mod restore;
#[path = "../simulated/simulated.rs"]
#[allow(dead_code, reason = "the engine's own tests use the rest of it")]
mod simulated;
mod site;
mod socket;
mod web;
