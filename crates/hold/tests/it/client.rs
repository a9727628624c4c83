//! A client that counts up, and knows which number was acknowledged last.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use amikeep_hold::Moment;

use crate::bench::PATIENCE;

/// One writer, in a thread of its own.
pub(crate) struct Client {
    acknowledged: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
}

impl Client {
    /// `write` writes a number, from 1 on, and returns whether that was acknowledged. Returns when writes flow.
    pub(crate) fn start(mut write: impl FnMut(u64) -> bool + Send + 'static) -> Self {
        let client = Self { acknowledged: Arc::default(), ends: Arc::default() };
        let (acknowledged, ends) = (Arc::clone(&client.acknowledged), Arc::clone(&client.ends));
        thread::spawn(move || {
            for number in 1.. {
                if ends.load(Ordering::SeqCst) || !write(number) {
                    break;
                }
                acknowledged.store(number, Ordering::SeqCst);
            }
        });
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

impl Drop for Client {
    /// It is not waited for: it may hang in a freeze, out of which the janitor helps it later.
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
    }
}
