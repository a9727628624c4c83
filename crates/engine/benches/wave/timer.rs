//! The pacer's time in a simulated world: it stands still until it is moved, and tells how many wait for that.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amikeep_cloud::Timer;
use amikeep_ec2_sim::SimClock;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, oneshot};

/// Clones are the same timer.
#[derive(Clone)]
pub(crate) struct WaveTimer {
    clock: SimClock,
    began_at: Timestamp,
    sleepers: Arc<Mutex<Sleepers>>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct Sleepers {
    waiting: BTreeMap<(Duration, u64), oneshot::Sender<()>>,
    number: u64,
}

impl WaveTimer {
    pub(crate) fn new(clock: SimClock) -> Self {
        let began_at = clock.now();
        Self { clock, began_at, sleepers: Arc::default(), changed: Arc::default() }
    }

    /// How many wait for a moment.
    pub(crate) fn waiting(&self) -> usize {
        let sleepers = &mut *self.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
        sleepers.waiting.retain(|_, sender| !sender.is_closed());
        sleepers.waiting.len()
    }

    /// The first moment that somebody waits for.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        let sleepers = self.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
        let (moment, _) = sleepers.waiting.first_key_value()?.0;
        Some(self.began_at + SignedDuration::try_from(*moment).expect("a night"))
    }

    /// Returns when somebody has begun to wait since the last time this was asked.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Moves the clock, and wakes everybody whose moment has come.
    pub(crate) fn move_to(&self, at: Timestamp) {
        self.clock.set(at);
        let now = self.now();
        let sleepers = &mut *self.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(first) = sleepers.waiting.first_entry().filter(|first| first.key().0 <= now) {
            // Whoever gave up waiting is not there to be told.
            let _ = first.remove().send(());
        }
    }
}

impl Timer for WaveTimer {
    fn now(&self) -> Duration {
        self.clock.now().duration_since(self.began_at).max(SignedDuration::ZERO).unsigned_abs()
    }

    async fn sleep_until(&self, moment: Duration) {
        let woken = {
            let sleepers = &mut *self.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
            if moment <= self.now() {
                return;
            }
            sleepers.number += 1;
            let (sender, receiver) = oneshot::channel();
            sleepers.waiting.insert((moment, sleepers.number), sender);
            receiver
        };
        self.changed.notify_one();
        let _ = woken.await;
    }
}
