//! The engine over a simulated EC2, on a clock that is moved to whenever it wants to be asked again.
//!
//! Two programs include this folder: the engine's own tests, which reach the simulator in process, and the end-to-end
//! tests, which reach it over HTTP through the adapter for AWS.

pub(crate) mod audit;
pub(crate) mod counts;
pub(crate) mod crashing;
pub(crate) mod dice;
pub(crate) mod fires;
pub(crate) mod held;
pub(crate) mod holds;
pub(crate) mod house;
pub(crate) mod nights;
pub(crate) mod people;
pub(crate) mod rules;
pub(crate) mod steps;
