//! What fuzzers and tests hold against any bytes: one function for each thing that reads untrusted input.
//!
//! A function panics if a promise is broken, and returns otherwise. The fuzzers in `fuzz/` call them on a nightly
//! toolchain with coverage; the tests of this crate call them on every seed and on small changes of it, so that no
//! target can rot. `docs/fuzzing.md` says what each one promises.
//!
//! Must never do I/O, look at a clock or draw a random number: the same bytes are judged the same on every machine, but
//! for the time zones that it knows.

pub mod config;
#[cfg(feature = "ec2")]
pub mod ec2_replies;
#[cfg(feature = "hold")]
pub mod guard_message;
#[cfg(feature = "hold")]
pub mod mountinfo;
pub mod names;
#[cfg(feature = "hold")]
pub mod redis;
pub mod schedule;
pub mod sim_request;
#[cfg(feature = "simulate")]
pub mod simulate;
mod xml;

/// A name and what it holds against its input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, by the name of its file in `fuzz/fuzz_targets` and of its folder in `fuzz/seeds`.
pub const TARGETS: &[Target] = &[
    ("config", config::run),
    #[cfg(feature = "ec2")]
    ("ec2_replies", ec2_replies::run),
    #[cfg(feature = "hold")]
    ("guard_message", guard_message::run),
    #[cfg(feature = "hold")]
    ("mountinfo", mountinfo::run),
    ("names", names::run),
    #[cfg(feature = "hold")]
    ("redis", redis::run),
    ("schedule", schedule::run),
    ("sim_request", sim_request::run),
    #[cfg(feature = "simulate")]
    ("simulate", simulate::run),
];

/// The first lines of an input that begins with some, and the rest. Lines that are not there are empty.
fn head<const N: usize>(text: &str) -> ([&str; N], &str) {
    let mut rest = text;
    let lines = [(); N].map(|()| {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        rest = after;
        line
    });
    (lines, rest)
}
