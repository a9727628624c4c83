//! What a hold was, in the words of the domain.

use std::path::Path;
use std::time::Duration;

use amikeep_domain::freeze::{HeldMount, LeftFrozen};
use amikeep_domain::job::{HoldStep, JobEvent};
use amikeep_hold::command::{CommandReport, ThawOutcome};
use amikeep_hold::{Cause, HoldReport, HookOutcome, MountEnd, MountReport};
use jiff::{SignedDuration, Timestamp};

/// Something that happened at a moment, to be written down later.
pub(crate) type Told = (JobEvent, Timestamp);

/// The end of a freeze, however it was done.
#[derive(Debug, Clone)]
pub(crate) struct End {
    /// Why it proves nothing: it was not unbroken, or did not end because we said so.
    pub(crate) doubt: Option<String>,
    /// Every mount.
    pub(crate) mounts: Vec<HeldMount>,
    pub(crate) held_from: Option<Timestamp>,
    pub(crate) held_until: Option<Timestamp>,
    pub(crate) stall: Option<SignedDuration>,
    /// What may still be frozen, and a human must know of.
    pub(crate) left_frozen: Vec<LeftFrozen>,
    /// What happened, in order.
    pub(crate) steps: Vec<Told>,
}

/// A step, at its time.
pub(crate) fn step(step: HoldStep, detail: impl Into<String>, at: Timestamp) -> Told {
    (JobEvent::HoldStep { step, detail: detail.into() }, at)
}

pub(crate) fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// A mount that may still be frozen.
pub(crate) fn left_mount(mount: &Path) -> LeftFrozen {
    let mount = mount.display();
    LeftFrozen { what: format!("{mount} may still be frozen"), run: format!("fsfreeze --unfreeze {mount}") }
}

/// What a command froze, and another could not thaw.
pub(crate) fn left_by_command(thaw: &[String], why: &ThawOutcome) -> LeftFrozen {
    let what = format!("what a command froze may still be frozen, since the one that thaws {why}");
    LeftFrozen { what, run: thaw.join(" ") }
}

impl End {
    /// Nobody knows what it was. The record of it says what may be frozen.
    pub(crate) fn unknown(why: &str) -> Self {
        let what = format!("something may still be frozen, since {why}");
        Self {
            doubt: Some(why.to_owned()),
            mounts: Vec::new(),
            held_from: None,
            held_until: None,
            stall: None,
            left_frozen: vec![LeftFrozen { what, run: "amikeep thaw".to_owned() }],
            steps: Vec::new(),
        }
    }

    pub(crate) fn of_mounts(report: &HoldReport) -> Self {
        let frozen = report.mounts.iter().filter_map(|mount| {
            let detail = format!("{} ({}, {})", mount.path.display(), mount.fs_type, mount.options);
            Some(step(HoldStep::Frozen, detail, mount.frozen_at?))
        });
        // Thawed in reverse.
        let thawed = report.mounts.iter().rev().filter_map(|mount| {
            let stall = mount.stall.map(|it| format!(" after {} ms", it.as_millis())).unwrap_or_default();
            Some(step(HoldStep::Thawed, format!("{}{stall}", mount.path.display()), mount.thawed_at?))
        });
        Self {
            doubt: (!report.proves_hold()).then(|| doubt_of(report)),
            mounts: report.mounts.iter().map(held_mount).collect(),
            held_from: report.held_from,
            held_until: report.held_until,
            stall: report.stall.map(signed),
            left_frozen: report.left_frozen().into_iter().map(left_mount).collect(),
            steps: frozen.chain(thawed).collect(),
        }
    }

    pub(crate) fn of_commands(report: &CommandReport) -> Self {
        let is_frozen = report.freeze.outcome == HookOutcome::Succeeded;
        let doubt = match (&report.thaw, is_frozen) {
            _ if report.proves_hold() => None,
            (_, false) => Some(report.freeze.to_string()),
            (ThawOutcome::Thawed, true) => Some(report.cause.as_str().to_owned()),
            (outcome, true) => Some(format!("the command that thaws {outcome}")),
        };
        let left = report.may_be_frozen().then(|| left_by_command(&report.thaw_argv, &report.thaw));
        let thawed = match (&left, &report.thaw) {
            (Some(left), _) => left.to_string(),
            (None, ThawOutcome::Thawed) => format!("by command, after {} ms", report.stall.as_millis()),
            (None, outcome) => format!("the command that thaws {outcome}"),
        };
        Self {
            doubt,
            mounts: Vec::new(),
            held_from: is_frozen.then_some(report.held_from),
            held_until: is_frozen.then_some(report.held_until),
            stall: is_frozen.then(|| signed(report.stall)),
            left_frozen: left.into_iter().collect(),
            steps: vec![
                step(HoldStep::Frozen, report.freeze.to_string(), report.held_from),
                step(HoldStep::Thawed, thawed, report.thawed_at),
            ],
        }
    }
}

fn doubt_of(report: &HoldReport) -> String {
    let broken = report.mounts.iter().find(|mount| !matches!(mount.end, MountEnd::Thawed | MountEnd::Untouched));
    match broken {
        Some(mount) if matches!(report.cause, Cause::Told | Cause::FreezeFailed) => {
            format!("`{}`: {}", mount.path.display(), mount.end)
        }
        _ => report.cause.as_str().to_owned(),
    }
}

fn held_mount(mount: &MountReport) -> HeldMount {
    HeldMount {
        path: mount.path.clone(),
        fs_type: mount.fs_type.clone(),
        options: mount.options.clone(),
        stall: mount.stall.map(signed),
        end: mount.end.to_string(),
    }
}
