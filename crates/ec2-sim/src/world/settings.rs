//! How long things take in this world, and which images fail.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use amikeep_domain::id::InstanceId;
use jiff::SignedDuration;

use crate::reply::StateReason;
use crate::request::{Action, Reboot};
use crate::rng::Rng;
use crate::world::limits::{RequestLimits, SpecialLimits};
use crate::world::paging::Paging;

/// How long images are pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageDuration {
    /// Drawn around the published medians: 8.2 minutes without a reboot and 12.4 with one.
    Drawn,
    /// Always the same.
    Fixed(SignedDuration),
}

const MEDIAN_WITHOUT_REBOOT: SignedDuration = SignedDuration::from_secs(492);
const MEDIAN_WITH_REBOOT: SignedDuration = SignedDuration::from_secs(744);
/// The spread of the drawn durations: one image in twenty takes nearly twice the median.
const SIGMA: f64 = 0.35;

/// An image that fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFailure {
    /// How long after `CreateImage`.
    pub after: SignedDuration,
    /// EC2's reason.
    pub reason: StateReason,
}

impl ImageFailure {
    /// `Server.InternalError` after that time.
    pub fn internal(after: SignedDuration) -> Self {
        Self { after, reason: StateReason::new("Server.InternalError", "Internal error while creating the image") }
    }
}

/// What may happen to any image, in a thousand of them, drawn from the world's seed. At most one of these happens to one
/// image; its snapshots linger or go for themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mishaps {
    /// Fail half-way, with `Server.InternalError`.
    pub failing_per_mille: u16,
    /// Are pending for `slow_takes`.
    pub slow_per_mille: u16,
    /// How long the slow ones take: hours, as EC2 documents that they may.
    pub slow_takes: SignedDuration,
    /// Lose their instance: it is terminated half-way, which fails the image.
    pub vanishing_per_mille: u16,
    /// Of snapshots that are to go with their image: stay, which the answer reports as `internal-error`.
    pub lingering_per_mille: u16,
}

/// What happens to one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    Fails,
    Slow(SignedDuration),
    InstanceVanishes,
}

impl Mishaps {
    /// Draws only where something can happen, so that a world without mishaps keeps its chance.
    pub(crate) fn draw(&self, rng: &mut Rng) -> Option<Mishap> {
        let failing = self.failing_per_mille;
        let slow = failing.saturating_add(self.slow_per_mille);
        let vanishing = slow.saturating_add(self.vanishing_per_mille);
        if vanishing == 0 {
            return None;
        }
        let drawn = per_mille(rng);
        match drawn {
            _ if drawn < failing => Some(Mishap::Fails),
            _ if drawn < slow => Some(Mishap::Slow(self.slow_takes)),
            _ if drawn < vanishing => Some(Mishap::InstanceVanishes),
            _ => None,
        }
    }

    /// Whether a snapshot stays when its image goes. Draws only where it can.
    pub(crate) fn lingers(&self, rng: &mut Rng) -> bool {
        self.lingering_per_mille != 0 && per_mille(rng) < self.lingering_per_mille
    }
}

/// Less than 1000.
fn per_mille(rng: &mut Rng) -> u16 {
    u16::try_from(rng.next() % 1000).unwrap_or(u16::MAX)
}

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// How far reads are behind writes.
    pub(crate) describe_lag: SignedDuration,
    /// How much later new images, new snapshots and tags show.
    pub(crate) new_image_lag: SignedDuration,
    pub(crate) new_snapshot_lag: SignedDuration,
    pub(crate) tag_lag: SignedDuration,
    /// Actions that the endpoint does not know.
    pub(crate) unknown_actions: BTreeSet<Action>,
    /// What images that are registered come out as.
    pub(crate) registered_platform: Option<String>,
    pub(crate) mishaps: Mishaps,
    /// How long a call over HTTP takes, there and back.
    pub(crate) latency: Duration,
    /// From `CreateImage` to the first snapshot.
    pub(crate) snapshot_lag: SignedDuration,
    /// From one snapshot of an image to the next.
    pub(crate) snapshot_spread: SignedDuration,
    /// How long an orderly shutdown takes before the snapshots of a rebooted instance.
    pub(crate) shutdown: SignedDuration,
    /// From `StartInstances` to running.
    pub(crate) start: SignedDuration,
    /// From `StopInstances` to stopped, and from `TerminateInstances` to terminated.
    pub(crate) stop: SignedDuration,
    pub(crate) image_duration: ImageDuration,
    pub(crate) image_durations: BTreeMap<InstanceId, SignedDuration>,
    pub(crate) image_failures: BTreeMap<InstanceId, VecDeque<ImageFailure>>,
    pub(crate) paging: Paging,
    pub(crate) request_limits: RequestLimits,
    /// Limits that are not as documented.
    pub(crate) special_limits: SpecialLimits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            describe_lag: SignedDuration::ZERO,
            new_image_lag: SignedDuration::ZERO,
            new_snapshot_lag: SignedDuration::ZERO,
            tag_lag: SignedDuration::ZERO,
            unknown_actions: BTreeSet::new(),
            registered_platform: None,
            mishaps: Mishaps::default(),
            latency: Duration::ZERO,
            snapshot_lag: SignedDuration::from_secs(2),
            snapshot_spread: SignedDuration::ZERO,
            shutdown: SignedDuration::from_secs(15),
            start: SignedDuration::from_secs(20),
            stop: SignedDuration::from_secs(30),
            image_duration: ImageDuration::Drawn,
            image_durations: BTreeMap::new(),
            image_failures: BTreeMap::new(),
            paging: Paging::default(),
            request_limits: RequestLimits::Documented,
            special_limits: SpecialLimits::new(),
        }
    }
}

impl Settings {
    pub(crate) fn draw_image_duration(&self, instance: &InstanceId, reboot: Reboot, rng: &mut Rng) -> SignedDuration {
        match (self.image_durations.get(instance), self.image_duration, reboot) {
            (Some(duration), _, _) => *duration,
            (None, ImageDuration::Fixed(duration), _) => duration,
            (None, ImageDuration::Drawn, Reboot::Yes) => rng.around(MEDIAN_WITH_REBOOT, SIGMA),
            (None, ImageDuration::Drawn, Reboot::No) => rng.around(MEDIAN_WITHOUT_REBOOT, SIGMA),
        }
    }
}
