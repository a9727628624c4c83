//! The engine over the simulated EC2, in process and on a clock that the tests move: nights, bad luck and crashes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod bad_luck;
mod corners;
mod crashes;
mod nights;
mod panics;
mod pauses;
mod pruning;
mod sets;
#[path = "../../../../tests/simulated/simulated.rs"]
mod simulated;
mod simulation;
mod twisted;
mod unheld;
