//! Time and randomness, as arguments. The two places where the real ones are asked are here.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use amikeep_cloud::Timer;
use jiff::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The clock of the host.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the host's clock is read")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands still until it is moved, for tests.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Stands at `now`, to the millisecond.
    pub fn new(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.as_millisecond()))
    }

    /// Moves to `now`, forwards or back.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_millisecond(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// Time that only passes and that nobody sets, for pacing.
#[derive(Debug, Clone, Copy)]
pub struct SteadyTimer {
    started: tokio::time::Instant,
}

impl SteadyTimer {
    /// Begins now.
    pub fn start() -> Self {
        Self { started: tokio::time::Instant::now() }
    }
}

impl Timer for SteadyTimer {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    async fn sleep_until(&self, moment: Duration) {
        tokio::time::sleep_until(self.started + moment).await;
    }
}

/// Gives random bytes, for ids.
pub trait Random: Send + Sync + 'static {
    /// Ten of them.
    fn bytes(&self) -> [u8; 10];
}

/// The randomness of the host.
#[derive(Debug, Default)]
pub struct OsRandom {
    /// Where the host gives none, ids must still differ; their time part and this do that.
    fallback: AtomicU64,
}

impl Random for OsRandom {
    fn bytes(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        if getrandom::fill(&mut bytes).is_err() {
            let count = self.fallback.fetch_add(1, Ordering::Relaxed);
            bytes[2..].copy_from_slice(&count.to_be_bytes());
        }
        bytes
    }
}

/// The same bytes for the same seed, for tests and the demo.
#[derive(Debug)]
pub struct SeededRandom(Mutex<u64>);

impl SeededRandom {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }
}

impl Random for SeededRandom {
    fn bytes(&self) -> [u8; 10] {
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (first, second) = (split_mix(&mut state), split_mix(&mut state));
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&first.to_be_bytes());
        bytes[8..].copy_from_slice(&second.to_be_bytes()[..2]);
        bytes
    }
}

/// `SplitMix64`, the generator that seeds others: Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", OOPSLA 2014.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
