//! A client that counts up, and knows which number was acknowledged last.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use amikeep_hold::Moment;

use crate::bench::PATIENCE;

/// Whether a client may write at present.
#[derive(Default)]
struct Gate {
    is_shut: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn set(&self, is_shut: bool) {
        *self.is_shut.lock().unwrap() = is_shut;
        self.changed.notify_all();
    }

    fn pass(&self) {
        drop(self.changed.wait_while(self.is_shut.lock().unwrap(), |is_shut| *is_shut).unwrap());
    }
}

/// One writer, in a thread of its own.
pub(crate) struct Client {
    acknowledged: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
    gate: Arc<Gate>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    /// `write` writes a number, from 1 on, and returns whether that was acknowledged. Returns when writes flow.
    pub(crate) fn start(mut write: impl FnMut(u64) -> bool + Send + 'static) -> Self {
        let (acknowledged, ends) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let gate: Arc<Gate> = Arc::default();
        let (counts, stops, passes) = (Arc::clone(&acknowledged), Arc::clone(&ends), Arc::clone(&gate));
        let mut client = Self { acknowledged: counts, ends: stops, gate, thread: None };
        client.thread = Some(thread::spawn(move || {
            for number in 1.. {
                passes.pass();
                if ends.load(Ordering::SeqCst) || !write(number) {
                    break;
                }
                acknowledged.store(number, Ordering::SeqCst);
            }
        }));
        client.waits_for(20);
        client
    }

    /// The last number that was acknowledged.
    pub(crate) fn now(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Until so many more are acknowledged.
    pub(crate) fn waits_for(&self, more: u64) {
        let until = self.now() + more;
        let give_up = Moment::now() + PATIENCE;
        while self.now() < until {
            assert!(Moment::now() < give_up, "writes do not flow");
            thread::yield_now();
        }
    }

    fn end(&self) {
        self.ends.store(true, Ordering::SeqCst);
        self.gate.set(false);
    }
}

#[allow(dead_code, reason = "the experiment stops its clients and waits for them; the tests let them go")]
impl Client {
    /// Lets it write nothing more until it goes on; what is under way comes to its end.
    pub(crate) fn pause(&self) {
        self.gate.set(true);
    }

    pub(crate) fn go_on(&self) {
        self.gate.set(false);
    }

    /// Ends it, and tells the last number that was acknowledged.
    pub(crate) fn stop(mut self) -> u64 {
        self.end();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.now()
    }
}

impl Drop for Client {
    /// It is not waited for: it may hang in a freeze, out of which the janitor helps it later.
    fn drop(&mut self) {
        self.end();
    }
}
