//! The fires to come: what `plan` shows.

use amikeep_domain::pause::{Pause as DomainPause, pause_at};
use amikeep_domain::policy::{Enabled, PolicySet};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::pause::Pause;
use crate::table::{Cell, Column, Fit, Table, Tone};
use crate::text::{Precision, Time, duration, local};

/// A fire to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedFire {
    /// The policy.
    pub policy: String,
    /// Its nominal time.
    pub scheduled_at: Time,
    /// The same on the policy's wall clock, with its offset.
    pub local_time: String,
    /// The policy's time zone.
    pub timezone: String,
    /// Over how long the starts of its instances are spread.
    pub jitter_max: String,
    /// The accounts in which it fires.
    pub accounts: Vec<String>,
    /// The class of its instances, unless their own tag says otherwise.
    pub class: String,
    /// The pause of everything or of the policy that it falls into, by which it is skipped; null if it runs. A pause of
    /// one instance stops no whole fire.
    pub paused: Option<Pause>,
}

/// The fires `t` of enabled policies with from ≤ t < to, in the order of time. `None` if they are more than `fires_max`.
pub fn planned_fires(
    set: &PolicySet,
    pauses: &[DomainPause],
    (from, to): (Timestamp, Timestamp),
    fires_max: usize,
) -> Option<Vec<PlannedFire>> {
    /// The schedule answers for what is after one instant and up to another; here the first counts and the last does not.
    const STEP: SignedDuration = SignedDuration::from_nanos(1);
    let after = from.checked_sub(STEP).unwrap_or(from);
    let until = to.checked_sub(STEP).unwrap_or(to);
    let mut fires = Vec::new();
    for policy in set.policies.values().filter(|policy| policy.enabled == Enabled::Yes) {
        for at in policy.schedule.between(after, until) {
            if fires.len() == fires_max {
                return None;
            }
            fires.push(PlannedFire {
                policy: policy.name.to_string(),
                scheduled_at: Time(at),
                local_time: local(at, policy.schedule.timezone()),
                timezone: policy.schedule.timezone_name().to_owned(),
                jitter_max: duration(policy.jitter),
                accounts: policy.accounts.iter().map(ToString::to_string).collect(),
                class: policy.class.to_string(),
                paused: pause_at(pauses, &policy.name, None, at).map(Pause::from),
            });
        }
    }
    fires.sort_by(|a, b| a.scheduled_at.cmp(&b.scheduled_at).then_with(|| a.policy.cmp(&b.policy)));
    Some(fires)
}

/// The names of the policies that are switched off.
pub fn disabled_policies(set: &PolicySet) -> Vec<String> {
    let disabled = set.policies.values().filter(|policy| policy.enabled == Enabled::No);
    disabled.map(|policy| policy.name.to_string()).collect()
}

/// A list of fires to come.
pub fn table(fires: &[PlannedFire]) -> Table {
    let columns = vec![
        Column::new("TIME (UTC)", Fit::Whole),
        Column::new("LOCAL TIME", Fit::Whole),
        Column::new("ZONE", Fit::Optional(2)),
        Column::new("POLICY", Fit::Wraps),
        Column::new("CLASS", Fit::Optional(1)),
        Column::new("JITTER", Fit::Optional(3)),
        Column::new("ACCOUNTS", Fit::OptionalWraps(4)),
        // Empty where nothing is paused, and then left out.
        Column::new("PAUSED", Fit::OptionalWraps(0)),
    ];
    let precision = Precision::of(fires.iter().map(|fire| fire.scheduled_at.0));
    let row = |fire: &PlannedFire| {
        vec![
            Cell::plain(precision.write(fire.scheduled_at.0)),
            Cell::plain(local_short(&fire.local_time, precision)),
            Cell::plain(&fire.timezone),
            Cell::plain(&fire.policy),
            Cell::plain(&fire.class),
            Cell::plain(&fire.jitter_max),
            Cell::plain(fire.accounts.join(", ")),
            Cell::new(fire.paused.as_ref().map(Pause::note).unwrap_or_default(), Tone::Warning),
        ]
    };
    Table { columns, rows: fires.iter().map(row).collect() }
}

/// Without seconds where no fire has some, and with the offset, as in `2026-11-22 02:00 +01:00`.
fn local_short(local_time: &str, precision: Precision) -> String {
    let end = match precision {
        Precision::Minute => 16,
        Precision::Second => 19,
    };
    match (local_time.get(..end), local_time.get(19..)) {
        (Some(time), Some(offset)) => format!("{} {offset}", time.replace('T', " ")),
        _ => local_time.to_owned(),
    }
}

#[cfg(test)]
mod tests;
