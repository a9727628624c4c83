//! What every benchmark prints: one figure per line, as JSON on stdout, which `cargo xtask bench` collects and renders.
//!
//! Included by path in the benchmarks of each crate, since it is too small for a crate of its own. It measures and
//! prints; whether a figure is good enough is said by its goal and judged by nobody here, because the machines that
//! this runs on are shared. Names are plain words, so that they need no more quoting than Rust's own.

#![allow(dead_code, reason = "no benchmark uses all of it")]

use std::time::{Duration, Instant};

/// A span of real time that has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins now.
    #[expect(clippy::disallowed_methods, reason = "benchmarks measure real time, and only here")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// How long ago it began.
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// The time that one call takes.
pub(crate) async fn time<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let stopwatch = Stopwatch::start();
    let value = work.await;
    (value, stopwatch.elapsed())
}

/// Times of the same thing, done again and again.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    /// One more.
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The time that `percent` of the samples do not exceed, in milliseconds.
    pub(crate) fn percentile_ms(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    }
}

/// A figure without a goal.
pub(crate) fn print(name: &str, value: f64, unit: &str) {
    print_line(&format!(r#"{{"figure":{name:?},"value":{value},"unit":{unit:?}}}"#));
}

/// A figure with the most that it should be.
pub(crate) fn print_goal(name: &str, value: f64, unit: &str, at_most: f64) {
    print_line(&format!(r#"{{"figure":{name:?},"value":{value},"unit":{unit:?},"at_most":{at_most}}}"#));
}

#[expect(clippy::print_stdout, reason = "figures go to stdout")]
fn print_line(line: &str) {
    println!("{line}");
}

/// Tells how far a long preparation is, on stderr.
pub(crate) fn tell(text: &str) {
    use std::io::Write as _;
    // Nobody can be told that telling failed.
    drop(writeln!(std::io::stderr(), "{text}"));
}
