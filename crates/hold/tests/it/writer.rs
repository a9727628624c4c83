//! A writer at full speed, and what its acknowledgements say about a freeze.
//!
//! It is a process of its own: a write to a frozen file system cannot be interrupted, and a thread that waits in one
//! would keep the whole test from ending.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use amikeep_hold::Moment;

use crate::bench::{FIXTURE, PATIENCE};

/// Long enough for hundreds of writes if there were no freeze.
const QUIET: Duration = Duration::from_millis(300);

pub(crate) struct Writer {
    process: Child,
    acknowledged: Receiver<Moment>,
    last: Arc<AtomicU64>,
}

/// The file that a writer writes to, and how far apart its numbers are; after the last place comes the first again.
const FILE: &str = "rows";
const PLACE_BYTES: u64 = 4096;
const PLACES: u64 = 512;

/// The highest number that is in a writer's file.
pub(crate) fn highest_in(mount: &Path) -> u64 {
    let file = File::open(mount.join(FILE)).unwrap();
    let mut highest = 0;
    for place in 0..PLACES {
        let mut bytes = [0; 8];
        // The file ends where nothing was written yet.
        if file.read_exact_at(&mut bytes, place * PLACE_BYTES).is_err() {
            break;
        }
        highest = highest.max(u64::from_le_bytes(bytes));
    }
    highest
}

impl Writer {
    /// Returns when writes flow.
    pub(crate) fn on(mount: &Path) -> Self {
        let mut command = Command::new(FIXTURE);
        command.arg("write").arg(mount.join(FILE)).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (sender, acknowledged) = channel();
        let last = Arc::new(AtomicU64::new(0));
        let newest = Arc::clone(&last);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let (number, at) = line.split_once(' ').unwrap();
                newest.store(number.parse().unwrap(), Ordering::SeqCst);
                if sender.send(Moment::from_nanos(at.parse().unwrap())).is_err() {
                    break;
                }
            }
        });
        let writer = Self { process, acknowledged, last };
        writer.acknowledged.recv_timeout(PATIENCE).expect("writes flow");
        writer
    }

    /// The last number of which we know that it was acknowledged.
    pub(crate) fn last(&self) -> u64 {
        self.last.load(Ordering::SeqCst)
    }

    /// The longest time without an acknowledgement since this was asked last, up to the first after now; none if there is
    /// no such one.
    pub(crate) fn longest_gap(&self) -> Option<Duration> {
        let now = Moment::now();
        let mut longest = Duration::ZERO;
        let mut before = None;
        loop {
            let at = self.acknowledged.recv_timeout(PATIENCE).ok()?;
            longest = longest.max(before.map_or(Duration::ZERO, |before| at.since(before)));
            before = Some(at);
            if now < at {
                return Some(longest);
            }
        }
    }

    /// Nothing is acknowledged for as long as hundreds of writes would take, but for one that was complete before.
    pub(crate) fn is_still(&self, since: Moment) -> bool {
        let mut late = 0;
        while let Ok(at) = self.acknowledged.recv_timeout(QUIET) {
            // The time is read after the write: one that was complete before the freeze may be told with a later time.
            late += usize::from(since < at);
            if 1 < late {
                return false;
            }
        }
        true
    }

    /// Waits until a write is acknowledged that ended after now.
    pub(crate) fn flows_again(&self) -> bool {
        let now = Moment::now();
        loop {
            match self.acknowledged.recv_timeout(PATIENCE) {
                Ok(at) if now < at => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Not waited for: it may hang in a freeze, out of which the janitor helps it later.
        let _ = self.process.kill();
        let mut process = std::mem::replace(&mut self.process, Command::new("true").spawn().unwrap());
        thread::spawn(move || process.wait());
        let _ = self.process.wait();
    }
}
