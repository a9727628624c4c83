//! What a run of nights went through, for people who ask how much was tried.

use std::collections::BTreeMap;
use std::fmt;

use amikeep_domain::tags;
use amikeep_ec2_sim::{Action, Call, CallOutcome, Query, World};

/// How often each thing happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts(BTreeMap<String, u64>);

impl Counts {
    pub(crate) fn add(&mut self, what: impl Into<String>, n: u64) {
        *self.0.entry(what.into()).or_default() += n;
    }

    pub(crate) fn get(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }

    /// The calls that arrived, by what became of them. A refusal may be EC2's own, such as that of a permission.
    pub(crate) fn add_calls(&mut self, world: &World) {
        for call in world.calls() {
            self.add("calls", 1);
            self.add("prunes", u64::from(begins_prune(&call)));
            match call.outcome {
                CallOutcome::Answered => {}
                CallOutcome::Refused(code) => self.add(format!("faults: {code}"), 1),
                CallOutcome::RefusedAfterEffect(code) => self.add(format!("faults: {code} although it was done"), 1),
                CallOutcome::CutInBody => self.add("faults: answer cut in its body", 1),
                CallOutcome::LostBeforeEffect => self.add("faults: request lost", 1),
                CallOutcome::LostAfterEffect => self.add("faults: answer lost", 1),
                CallOutcome::Hung | CallOutcome::HungAfterEffect => self.add("faults: hung call", 1),
                CallOutcome::Garbage => self.add("faults: HTML for an answer", 1),
            }
        }
    }

    /// All faults of calls together.
    pub(crate) fn faults(&self) -> u64 {
        self.0.iter().filter(|(what, _)| what.starts_with("faults: ")).map(|(_, n)| n).sum()
    }
}

/// Whether it is the listing of all our snapshots, of which every prune makes one.
fn begins_prune(call: &Call) -> bool {
    let is_ours = |query: &Query| {
        query.next_token.is_none() && query.filters.iter().any(|it| it.name == format!("tag:{}", tags::OWNER))
    };
    call.action() == Action::DescribeSnapshots
        && call.outcome == CallOutcome::Answered
        && call.request.query().is_some_and(is_ours)
}

/// One line for each, which `cargo xtask torture` reads and sums up.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, n) in &self.0 {
            writeln!(f, "counted\t{what}\t{n}")?;
        }
        Ok(())
    }
}
