//! A writer at full speed, and what its acknowledgements say about a freeze.
//!
//! It is a process of its own: a write to a frozen file system cannot be interrupted, and a thread that waits in one
//! would keep the whole test from ending.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
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
}

impl Writer {
    /// Returns when writes flow.
    pub(crate) fn on(mount: &Path) -> Self {
        let mut command = Command::new(FIXTURE);
        command.arg("write").arg(mount.join("rows")).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (sender, acknowledged) = channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if sender.send(Moment::from_nanos(line.parse().unwrap())).is_err() {
                    break;
                }
            }
        });
        let writer = Self { process, acknowledged };
        writer.acknowledged.recv_timeout(PATIENCE).expect("writes flow");
        writer
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
