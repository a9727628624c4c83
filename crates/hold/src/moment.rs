//! Points in time that only ever move forward, the same in every process of this machine.
//!
//! They are readings of `CLOCK_BOOTTIME`: it does not jump when somebody sets the clock, and goes on while the machine is
//! suspended, when writes are stalled just the same. It must never be mixed with the wall clock; `Anchor` translates.

use std::ops::Add;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds since the machine started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(u64);

impl Moment {
    /// The present. It allocates nothing and enters the kernel seldom, so that the guard may ask while it holds.
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
        Self(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    /// From nanoseconds since the machine started.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the machine started.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; nothing when it is not after it.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// For a timer that goes by absolute time.
    pub(crate) fn to_timespec(self) -> Timespec {
        to_timespec(Duration::from_nanos(self.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// The kernel's form of a length of time, for `poll`.
pub(crate) fn to_timespec(length: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(length.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(length.subsec_nanos()) }
}

/// One instant read on both clocks, by which moments become wall time.
///
/// All moments of a hold are translated by one anchor, so that a clock set in between cannot change their order or
/// distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Anchor {
    moment: Moment,
    wall: Timestamp,
}

impl Anchor {
    /// `wall` must have been read just now, by the caller's clock.
    pub(crate) fn at(wall: Timestamp) -> Self {
        Self { moment: Moment::now(), wall }
    }

    /// The wall time of a moment.
    pub(crate) fn wall(&self, moment: Moment) -> Timestamp {
        let ahead = SignedDuration::try_from(moment.since(self.moment)).unwrap_or(SignedDuration::MAX);
        let behind = SignedDuration::try_from(self.moment.since(moment)).unwrap_or(SignedDuration::MAX);
        self.wall.saturating_add(ahead).and_then(|wall| wall.saturating_sub(behind)).unwrap_or(self.wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_become_wall_times_of_the_same_distance() {
        let anchor = Anchor { moment: Moment(5_000_000_000), wall: "2026-11-01T00:00:10Z".parse().unwrap() };
        assert_eq!(anchor.wall(Moment(5_250_000_000)).to_string(), "2026-11-01T00:00:10.25Z");
        assert_eq!(anchor.wall(Moment(2_000_000_000)).to_string(), "2026-11-01T00:00:07Z");
    }

    #[test]
    fn a_length_is_never_negative_and_never_wraps() {
        assert_eq!(Moment(3).since(Moment(5)), Duration::ZERO);
        assert_eq!(Moment(3) + Duration::MAX, Moment(u64::MAX));
    }
}
