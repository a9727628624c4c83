//! A writer that writes a row and flushes it a thousand times a second, and knows when each was acknowledged.
//!
//! A write is acknowledged once `fdatasync` has returned, which is when a database tells its client that a transaction is
//! kept. One that is late is not caught up with: what counts is the time between two acknowledgements.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// Between two writes.
const PACE: Duration = Duration::from_millis(1);

/// Rows and their places in the file; after the last comes the first again.
const ROW: [u8; 512] = [b'x'; 512];
const ROWS: u64 = 1024;

/// Longer than any budget of a freeze.
const PATIENCE: Duration = Duration::from_mins(1);

/// Writes until it is dropped.
pub(super) struct Writer {
    acknowledged: Arc<Mutex<Vec<Instant>>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Returns when writes flow.
    pub(super) fn start(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        let (acknowledged, ends) = (Arc::<Mutex<Vec<Instant>>>::default(), Arc::new(AtomicBool::new(false)));
        let (told, stops) = (Arc::clone(&acknowledged), Arc::clone(&ends));
        let thread = thread::spawn(move || write(&file, &told, &stops));
        let writer = Self { acknowledged, ends, thread: Some(thread) };
        writer.wait_for_one_after(now())?;
        Ok(writer)
    }

    /// The longest time between two acknowledgements while this is done, in milliseconds. It counts from the last before
    /// it began to the first after it ended.
    pub(super) fn longest_gap_during(&self, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<f64> {
        let began = now();
        work()?;
        let ended = now();
        self.wait_for_one_after(ended)?;
        let mut acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        let longest = longest_gap(&acknowledged, began, ended).context("too few writes were acknowledged")?;
        // The last stays: it is the one before whatever comes next.
        let last = acknowledged.len() - 1;
        acknowledged.drain(..last);
        Ok(longest.as_secs_f64() * 1e3)
    }

    fn wait_for_one_after(&self, moment: Instant) -> anyhow::Result<()> {
        while now() < moment + PATIENCE {
            let last = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).last().copied();
            if last.is_some_and(|last| moment < last) {
                return Ok(());
            }
            thread::sleep(PACE);
        }
        bail!("nothing was acknowledged for {} s", PATIENCE.as_secs())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        // It was waited for before, so it is not in a freeze.
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn write(file: &File, acknowledged: &Mutex<Vec<Instant>>, ends: &AtomicBool) {
    let mut due = now();
    let places = (0..ROWS).map(|number| number * ROW.len() as u64);
    for place in places.cycle() {
        let is_kept = file.write_all_at(&ROW, place).and_then(|()| file.sync_data()).is_ok();
        if !is_kept || ends.load(Ordering::SeqCst) {
            return;
        }
        let at = now();
        acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(at);
        due = (due + PACE).max(at);
        thread::sleep(due.saturating_duration_since(now()));
    }
}

/// Between the last before `from` and the first after `to`; none without both.
fn longest_gap(times: &[Instant], from: Instant, to: Instant) -> Option<Duration> {
    let first = times.iter().rposition(|at| *at <= from)?;
    let last = times.iter().position(|at| to < *at)?;
    let within = times.get(first..=last)?;
    within.windows(2).map(|pair| pair[1].duration_since(pair[0])).max()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark in real time")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_counts_from_before_the_beginning_to_after_the_end() {
        let begin = now();
        let at = |ms: u64| begin + Duration::from_millis(ms);
        let times = [at(0), at(1), at(2), at(30), at(31), at(90)];
        let ms = |from, to| longest_gap(&times, at(from), at(to)).map(|gap| gap.as_millis());
        assert_eq!(ms(10, 20), Some(28));
        assert_eq!(ms(2, 40), Some(59));
        assert_eq!(ms(0, 1), Some(1));
        assert_eq!(ms(40, 90), None, "nothing was acknowledged after it");
    }
}
