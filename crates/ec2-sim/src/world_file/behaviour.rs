//! How the world of a file behaves: what is limited, what lags, and what goes wrong.

use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;

use crate::error::ApiError;
use crate::fault::{Fault, FaultOutcome};
use crate::request::Action;
use crate::world::builder::WorldBuilder;
use crate::world::limits::RequestLimits;
use crate::world::settings::{ImageDuration, Mishaps};

/// Everything is as EC2 documents it, at its best, where nothing is said.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BehaviourEntry {
    request_limits: LimitsEntry,
    special_limits: Vec<SpecialLimitEntry>,
    /// How long every image is pending; drawn where it is not said.
    image_seconds: Option<u32>,
    /// How long a call over HTTP takes, there and back, in real time.
    latency_ms: u32,
    /// From `CreateImage` to its snapshots; 2 where it is not said.
    snapshot_lag_seconds: Option<u32>,
    describe_lag_seconds: u32,
    new_image_lag_seconds: u32,
    new_snapshot_lag_seconds: u32,
    tag_lag_seconds: u32,
    mishaps: MishapsEntry,
    /// Actions that nobody may call.
    pub(super) denied: Vec<ActionName>,
    /// Actions that the endpoint does not know.
    unknown: Vec<ActionName>,
    faults: Vec<FaultEntry>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LimitsEntry {
    #[default]
    Documented,
    Off,
}

/// A limit that is not the documented one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpecialLimitEntry {
    on: ActionName,
    capacity: f64,
    /// Tokens a second.
    refill: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct MishapsEntry {
    failing_per_mille: u16,
    slow_per_mille: u16,
    slow_seconds: u32,
    vanishing_per_mille: u16,
    lingering_per_mille: u16,
}

/// Where it is not said when, the first call is struck, and none after it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultEntry {
    on: ActionName,
    outcome: OutcomeEntry,
    touching: Option<String>,
    page: Option<u32>,
    #[serde(default)]
    when: TriggerEntry,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TriggerEntry {
    #[default]
    Once,
    Always,
    Nth(u32),
    Times(u32),
    PerMille(u16),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OutcomeEntry {
    Throttle,
    InternalError,
    InternalErrorAfterEffect,
    ServiceUnavailable,
    ServiceUnavailableAfterEffect,
    /// Any refusal, with nothing done.
    Error {
        status: u16,
        code: String,
        message: String,
    },
    LostBeforeEffect,
    LostAfterEffect,
    CutInBody,
    Hang,
    HangAfterEffect,
    Garbage,
}

/// An action by its name on the wire.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct ActionName(pub(super) Action);

impl TryFrom<String> for ActionName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Action::parse(&name).map(Self).ok_or_else(|| format!("the simulator knows no action `{name}`"))
    }
}

fn seconds(seconds: u32) -> SignedDuration {
    SignedDuration::from_secs(i64::from(seconds))
}

impl BehaviourEntry {
    /// All but the denials, which belong to accounts.
    pub(super) fn apply(self, mut builder: WorldBuilder) -> WorldBuilder {
        builder = builder
            .request_limits(match self.request_limits {
                LimitsEntry::Documented => RequestLimits::Documented,
                LimitsEntry::Off => RequestLimits::Off,
            })
            .describe_lag(seconds(self.describe_lag_seconds))
            .newcomer_lag(
                seconds(self.new_image_lag_seconds),
                seconds(self.new_snapshot_lag_seconds),
                seconds(self.tag_lag_seconds),
            )
            .mishaps(self.mishaps.into_mishaps())
            .latency(Duration::from_millis(u64::from(self.latency_ms)));
        if let Some(lag) = self.snapshot_lag_seconds {
            builder = builder.snapshot_lag(seconds(lag), SignedDuration::ZERO);
        }
        builder = self
            .special_limits
            .into_iter()
            .fold(builder, |builder, limit| builder.request_limit(limit.on.0, limit.capacity, limit.refill));
        if let Some(image_seconds) = self.image_seconds {
            builder = builder.image_duration(ImageDuration::Fixed(seconds(image_seconds)));
        }
        builder = self.unknown.into_iter().fold(builder, |builder, action| builder.unknown_action(action.0));
        self.faults.into_iter().map(FaultEntry::into_fault).fold(builder, WorldBuilder::fault)
    }
}

impl MishapsEntry {
    fn into_mishaps(self) -> Mishaps {
        Mishaps {
            failing_per_mille: self.failing_per_mille,
            slow_per_mille: self.slow_per_mille,
            slow_takes: seconds(self.slow_seconds),
            vanishing_per_mille: self.vanishing_per_mille,
            lingering_per_mille: self.lingering_per_mille,
        }
    }
}

impl FaultEntry {
    fn into_fault(self) -> Fault {
        let mut fault = Fault::on(self.on.0, self.outcome.into_outcome());
        fault = match self.when {
            TriggerEntry::Once => fault,
            TriggerEntry::Always => fault.always(),
            TriggerEntry::Nth(nth) => fault.nth(nth),
            TriggerEntry::Times(times) => fault.times(times),
            TriggerEntry::PerMille(per_mille) => fault.per_mille(per_mille),
        };
        fault = self.touching.into_iter().fold(fault, Fault::touching);
        self.page.into_iter().fold(fault, Fault::page)
    }
}

impl OutcomeEntry {
    fn into_outcome(self) -> FaultOutcome {
        match self {
            Self::Throttle => FaultOutcome::Throttle,
            Self::InternalError => FaultOutcome::internal_error(),
            Self::InternalErrorAfterEffect => FaultOutcome::internal_error_after_effect(),
            Self::ServiceUnavailable => FaultOutcome::service_unavailable(),
            Self::ServiceUnavailableAfterEffect => FaultOutcome::service_unavailable_after_effect(),
            Self::Error { status, code, message } => FaultOutcome::Error(ApiError::new(status, code, message)),
            Self::LostBeforeEffect => FaultOutcome::LostBeforeEffect,
            Self::LostAfterEffect => FaultOutcome::LostReplyAfterEffect,
            Self::CutInBody => FaultOutcome::CutInBody,
            Self::Hang => FaultOutcome::Hang,
            Self::HangAfterEffect => FaultOutcome::HangAfterEffect,
            Self::Garbage => FaultOutcome::Garbage,
        }
    }
}
