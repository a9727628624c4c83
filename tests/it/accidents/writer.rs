//! Writers at full speed: what they had acknowledged when, and what of it is in a copy.
//!
//! Each is a process of its own, since a write to a frozen file system cannot be interrupted and would keep this process
//! from ending.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use amikeep_hold::Moment;

const SCRIPT: &str = include_str!("writer.py");
/// As in the script.
const PLACE_BYTES: u64 = 4096;
const PLACES: u64 = 512;

/// A write takes a millisecond or two; a machine that is busy is given this much.
const PATIENCE: Duration = Duration::from_mins(1);

/// What was acknowledged so far.
#[derive(Debug, Clone, Copy)]
struct Tally {
    number: u64,
    at: Moment,
    /// The longest time between two acknowledgements since it was taken last.
    longest: Duration,
}

pub(super) struct Writer {
    process: Child,
    tally: Arc<(Mutex<Tally>, Condvar)>,
}

impl Writer {
    /// Writes to these files in turn. Returns when writes flow.
    pub(super) fn on(files: &[PathBuf]) -> Self {
        let mut command = Command::new("python3");
        command.args(["-I", "-S", "-c", SCRIPT]).args(files).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let began = Tally { number: 0, at: Moment::now(), longest: Duration::ZERO };
        let tally = Arc::new((Mutex::new(began), Condvar::new()));
        let kept = Arc::clone(&tally);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let (number, at) = line.split_once(' ').unwrap();
                let at = Moment::from_nanos(at.parse().unwrap());
                let mut tally = kept.0.lock().unwrap();
                let longest = tally.longest.max(at.since(tally.at));
                *tally = Tally { number: number.parse().unwrap(), at, longest };
                kept.1.notify_all();
            }
        });
        let writer = Self { process, tally };
        writer.wait_for_flow();
        writer.take_longest_gap();
        writer
    }

    /// The last number of which we know that it was acknowledged, on the first of its files.
    pub(super) fn acknowledged(&self) -> u64 {
        self.tally.0.lock().unwrap().number
    }

    /// Until something is acknowledged that was written after now.
    pub(super) fn wait_for_flow(&self) {
        let now = Moment::now();
        let tally = self.tally.0.lock().unwrap();
        let waited = self.tally.1.wait_timeout_while(tally, PATIENCE, |tally| tally.at <= now).unwrap().1;
        assert!(!waited.timed_out(), "nothing is acknowledged for {PATIENCE:?}: writes do not flow again");
    }

    /// The longest time between two acknowledgements since this was asked last.
    pub(super) fn take_longest_gap(&self) -> Duration {
        std::mem::take(&mut self.tally.0.lock().unwrap().longest)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Not waited for here: it may hang in a freeze, out of which the janitor helps it later.
        let _ = self.process.kill();
        let mut process = std::mem::replace(&mut self.process, Command::new("true").spawn().unwrap());
        thread::spawn(move || process.wait());
        let _ = self.process.wait();
    }
}

/// The numbers in a file.
pub(super) struct Kept(Vec<u64>);

impl Kept {
    pub(super) fn read(path: &Path) -> Self {
        let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let length = file.metadata().unwrap().len();
        let read = |place: u64| {
            let mut bytes = [0; 8];
            // The file ends where nothing was written yet.
            if place * PLACE_BYTES + 8 <= length {
                file.read_exact_at(&mut bytes, place * PLACE_BYTES).unwrap();
            }
            u64::from_le_bytes(bytes)
        };
        Self((0..PLACES).map(read).collect())
    }

    pub(super) fn highest(&self) -> u64 {
        self.0.iter().copied().max().unwrap_or_default()
    }

    /// Whether every number up to this one is there that was not written over by a later one.
    pub(super) fn has_all_up_to(&self, last: u64) -> bool {
        let first = last.saturating_sub(PLACES - 1).max(1);
        (first..=last).all(|number| {
            let kept = usize::try_from(number % PLACES).ok().and_then(|place| self.0.get(place)).copied();
            kept.is_some_and(|kept| kept == number || kept == number + PLACES)
        })
    }
}

#[test]
fn a_number_that_is_missing_in_the_middle_is_missed() {
    let mut kept = Kept((0..PLACES).collect());
    kept.0[0] = PLACES;
    assert!(kept.has_all_up_to(PLACES) && kept.has_all_up_to(7) && !kept.has_all_up_to(PLACES + 1));
    assert_eq!(kept.highest(), PLACES);
    kept.0[3] = 0;
    assert!(!kept.has_all_up_to(PLACES) && kept.has_all_up_to(2));
}
