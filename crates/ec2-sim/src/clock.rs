//! The simulator's time. The world has no clock of its own: it asks this handle, which is either moved by hand or
//! follows the machine's clock, faster if wanted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// A shared handle on simulated time; clones show the same time.
#[derive(Debug, Clone)]
pub struct SimClock(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    Manual(Mutex<Timestamp>),
    Wall { started: Instant, origin: Timestamp, speed: f64 },
}

impl SimClock {
    /// A clock that stands still until [`set`](Self::set) or [`advance`](Self::advance) moves it.
    pub fn manual(now: Timestamp) -> Self {
        Self(Arc::new(Kind::Manual(Mutex::new(now))))
    }

    /// Starts at the machine's time and runs `speed` times as fast.
    #[expect(clippy::disallowed_methods, reason = "this is the simulator's own clock, the one place that asks")]
    pub fn wall(speed: f64) -> Self {
        Self::wall_from(Timestamp::now(), speed)
    }

    /// Starts at `origin` and runs `speed` times as fast as the machine's clock.
    #[expect(clippy::disallowed_methods, reason = "this is the simulator's own clock, the one place that asks")]
    pub fn wall_from(origin: Timestamp, speed: f64) -> Self {
        Self(Arc::new(Kind::Wall { started: Instant::now(), origin, speed }))
    }

    /// The simulated time.
    pub fn now(&self) -> Timestamp {
        match &*self.0 {
            Kind::Manual(now) => *now.lock().unwrap_or_else(PoisonError::into_inner),
            Kind::Wall { started, origin, speed } => {
                let elapsed = started.elapsed().as_secs_f64() * speed;
                let elapsed = SignedDuration::try_from_secs_f64(elapsed).unwrap_or(SignedDuration::MAX);
                later(*origin, elapsed)
            }
        }
    }

    /// Moves a manual clock, backwards too: clocks of real machines jump. A wall clock is not moved.
    pub fn set(&self, now: Timestamp) {
        if let Kind::Manual(time) = &*self.0 {
            *time.lock().unwrap_or_else(PoisonError::into_inner) = now;
        }
    }

    /// Moves a manual clock forward and gives the new time. A wall clock is not moved.
    pub fn advance(&self, by: SignedDuration) -> Timestamp {
        if let Kind::Manual(time) = &*self.0 {
            let mut time = time.lock().unwrap_or_else(PoisonError::into_inner);
            *time = later(*time, by);
        }
        self.now()
    }
}

/// `at` and `by` more, held at the ends of time: a simulated image may well take "for ever".
pub(crate) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// `at` less `by`, held at the ends of time.
pub(crate) fn earlier(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_sub(by).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand_and_clones_share_it() {
        let clock = SimClock::manual(Timestamp::UNIX_EPOCH);
        let other = clock.clone();
        clock.advance(SignedDuration::from_hours(2));
        assert_eq!(other.now().as_second(), 7200);
        other.set(Timestamp::UNIX_EPOCH);
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn a_wall_clock_cannot_be_moved_and_never_goes_back() {
        let clock = SimClock::wall_from(Timestamp::UNIX_EPOCH, 1000.0);
        clock.set(Timestamp::MAX);
        let first = clock.now();
        assert!(first < Timestamp::from_second(1_000_000).unwrap());
        assert!(first <= clock.now());
    }

    #[test]
    fn for_ever_is_the_end_of_time_and_no_overflow() {
        assert_eq!(later(Timestamp::UNIX_EPOCH, SignedDuration::MAX), Timestamp::MAX);
        assert_eq!(earlier(Timestamp::UNIX_EPOCH, SignedDuration::MAX), Timestamp::MIN);
    }
}
