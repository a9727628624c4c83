//! Pauses, as JSON and as a table.

use amikeep_domain::id::{InstanceId, PolicyName};
use amikeep_domain::pause::{Pause as DomainPause, PauseScope};
use serde::Serialize;

use crate::table::{Cell, Column, Fit, Table, Tone};
use crate::text::{Time, minute};

/// The answer of `pause` without a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pauses {
    /// What is paused now.
    pub pauses: Vec<Pause>,
}

/// What an operator has paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// `all`, `policy` or `instance`.
    pub scope: &'static str,
    /// The policy, if that is the scope.
    pub policy: Option<String>,
    /// The instance, if that is the scope.
    pub instance_id: Option<String>,
    /// From when on.
    pub since: Time,
    /// When it ends by itself.
    pub until: Option<Time>,
    /// Why, in the operator's words.
    pub reason: Option<String>,
}

impl From<&[DomainPause]> for Pauses {
    fn from(pauses: &[DomainPause]) -> Self {
        Self { pauses: pauses.iter().map(Pause::from).collect() }
    }
}

impl From<&DomainPause> for Pause {
    fn from(pause: &DomainPause) -> Self {
        let (scope, policy, instance_id) = match &pause.scope {
            PauseScope::All => ("all", None, None),
            PauseScope::Policy(policy) => ("policy", Some(policy.to_string()), None),
            PauseScope::Instance(instance) => ("instance", None, Some(instance.to_string())),
        };
        let (since, until) = (Time(pause.since), pause.until.map(Time));
        Self { scope, policy, instance_id, since, until, reason: pause.reason.clone() }
    }
}

impl Pause {
    /// What it means for what falls into it, as in `skipped until 2026-11-23 06:00: disk replacement`.
    pub(crate) fn note(&self) -> String {
        let until = self.until.map_or_else(|| "until it is resumed".to_owned(), |at| format!("until {}", minute(at.0)));
        let reason = self.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("skipped {until}{reason}")
    }
}

/// A line for each pause that stops something of what is looked at: of the policy and the instance, where one is named.
pub fn notes(pauses: &[DomainPause], policy: Option<&PolicyName>, instance: Option<&InstanceId>) -> Vec<String> {
    let is_meant = |scope: &PauseScope| match scope {
        PauseScope::All => true,
        PauseScope::Policy(paused) => policy.is_none_or(|policy| policy == paused),
        PauseScope::Instance(paused) => instance.is_none_or(|instance| instance == paused),
    };
    pauses.iter().filter(|pause| is_meant(&pause.scope)).map(ToString::to_string).collect()
}

/// One row for each.
pub fn table(pauses: &Pauses) -> Table {
    let columns = vec![
        Column::new("PAUSED", Fit::Whole),
        Column::new("SINCE (UTC)", Fit::Whole),
        Column::new("UNTIL (UTC)", Fit::Whole),
        Column::new("REASON", Fit::Wraps),
    ];
    let row = |pause: &Pause| {
        let what =
            pause.policy.clone().or_else(|| pause.instance_id.clone()).unwrap_or_else(|| "everything".to_owned());
        vec![
            Cell::new(what, Tone::Warning),
            Cell::plain(minute(pause.since.0)),
            Cell::or_dash(pause.until.map(|at| minute(at.0))),
            Cell::or_dash(pause.reason.clone()),
        ]
    };
    Table { columns, rows: pauses.pauses.iter().map(row).collect() }
}
