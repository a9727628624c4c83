//! Pauses, as JSON and as a table.

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
