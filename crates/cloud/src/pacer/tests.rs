//! The pacer before a server with EC2's buckets, in simulated time.

mod joining;
mod sharing;
mod verbs;
mod waves;
pub(super) mod world;
