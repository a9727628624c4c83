//! A client that counts up, and knows which number was acknowledged last.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use amikeep_hold::Moment;

use crate::bench::PATIENCE;

/// One writer, in a thread of its own.
pub(crate) struct Client {
    acknowledged: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    /// `write` writes a number, from 1 on, and returns whether that was acknowledged. Returns when writes flow.
    pub(crate) fn start(mut write: impl FnMut(u64) -> bool + Send + 'static) -> Self {
        let (acknowledged, ends) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut client = Self { acknowledged: Arc::clone(&acknowledged), ends: Arc::clone(&ends), thread: None };
        client.thread = Some(thread::spawn(move || {
            for number in 1.. {
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
}

#[allow(dead_code, reason = "the experiment waits for its clients; the tests let them go")]
impl Client {
    /// Ends it, and tells the last number that was acknowledged.
    pub(crate) fn stop(mut self) -> u64 {
        self.ends.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.now()
    }
}

impl Drop for Client {
    /// It is not waited for: it may hang in a freeze, out of which the janitor helps it later.
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
    }
}
