//! From a freeze to what the guard of another machine is told, and from what it says to what a hold was.

use std::sync::Arc;

use amikeep_domain::freeze::{Application, Freeze, HeldMount};
use amikeep_domain::job::HoldStep;
use amikeep_hold::Cause;
use amikeep_hold::apps::DataHere;
use amikeep_hold::ssm::{BudgetFrom, RemoteHolder, RemotePlan, RemoteReport, Shell};
use jiff::Timestamp;

use crate::hold::app::chain;
use crate::hold::facts::Purpose;
use crate::hold::ready::NotReady;
use crate::hold::told::{End, left_mount, signed, step};

/// Looks at the machine: what it refuses it refuses here, before anything is locked. `data` is what has to stand still
/// with its mounts, and how we are connected to whose it is. Nobody waits before the freeze, but for users of an application
/// that is locked by then.
pub(crate) fn prepare_remote(
    shell: Arc<dyn Shell>,
    freeze: &Freeze,
    purpose: &Purpose,
    facts: &[(String, String)],
    data: Option<DataHere>,
    now: Timestamp,
) -> Result<RemoteHolder, NotReady> {
    let (data, link) = data.map_or_else(Default::default, |here| (here.places, Some(here.link)));
    let is_locked = freeze.application != Application::None;
    let plan = RemotePlan {
        run: run_of(purpose, now),
        mounts: freeze.mounts.clone(),
        budget: freeze.budget.unsigned_abs(),
        budget_from: if is_locked { BudgetFrom::Order } else { BudgetFrom::Freeze },
        data,
        link,
        pre: freeze.pre.clone(),
        post: freeze.post.clone(),
        command_limit: freeze.command_limit.unsigned_abs(),
        facts: facts.to_vec(),
        base: None,
    };
    RemoteHolder::prepare(shell, plan, now).map_err(|error| NotReady::new(chain(&error)))
}

/// Each hold has an id of its own: a job may be held several times.
fn run_of(purpose: &Purpose, now: Timestamp) -> String {
    format!("{}-{}", purpose.job.as_deref().unwrap_or("rehearsal"), now.as_millisecond())
}

impl End {
    pub(crate) fn of_remote(report: &RemoteReport, freeze_sent_at: Timestamp) -> Self {
        let end = match (&report.doubt, report.cause) {
            (None, _) => "thawed when told".to_owned(),
            (Some(_), Cause::FreezeFailed) => "not frozen".to_owned(),
            (Some(why), _) => why.clone(),
        };
        let mounts: Vec<HeldMount> = report
            .mounts
            .iter()
            .map(|mount| HeldMount {
                path: mount.path.clone(),
                fs_type: mount.fs_type.clone(),
                options: mount.options.clone(),
                stall: report.stall.map(signed),
                end: end.clone(),
            })
            .collect();
        let stall = report.stall.map(|it| format!(" after {} ms", it.as_millis())).unwrap_or_default();
        let mut steps = Vec::new();
        if let (Some(from), Some(until)) = (report.held_from, report.held_until) {
            steps.extend(mounts.iter().map(|mount| {
                step(HoldStep::Frozen, format!("{} ({}, {})", mount.path.display(), mount.fs_type, mount.options), from)
            }));
            steps.extend(
                mounts.iter().rev().map(|it| step(HoldStep::Thawed, format!("{}{stall}", it.path.display()), until)),
            );
        } else if report.cause != Cause::FreezeFailed {
            steps.push(step(HoldStep::Thawed, end, freeze_sent_at));
        }
        let left = report.is_left_frozen.then(|| report.mounts.iter().map(|mount| left_mount(&mount.path)));
        Self {
            doubt: report.doubt.clone(),
            mounts,
            held_from: report.held_from,
            held_until: report.held_until,
            stall: report.stall.map(signed),
            left_frozen: left.into_iter().flatten().collect(),
            steps,
        }
    }
}
