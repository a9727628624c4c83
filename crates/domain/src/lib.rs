//! What should happen, and nothing else.
//!
//! Ids, schedules, workload classes, the decision, job states, retention and plans. Everything here is a pure
//! function of its arguments: there is no async, no I/O, no clock, no randomness and no serde in this crate, so that
//! every rule can be read and tested alone.

pub mod class;
pub mod decision;
pub mod fire;
pub mod freeze;
pub mod grade;
pub mod id;
pub mod image_attributes;
pub mod image_name;
pub mod instance;
pub mod jitter;
pub mod job;
pub mod pattern;
pub mod pause;
pub mod plan;
pub mod policy;
pub mod prune;
pub mod retention;
pub mod schedule;
pub mod tags;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod words;
