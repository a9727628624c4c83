//! What goes wrong in a hold, drawn from a seed.

use std::time::Duration;

use amikeep_ec2_sim::{Action, Fault, FaultOutcome};

use crate::simulated::dice::Dice;

/// Once everything is ready nearly every hold is over within this; the strike falls anywhere in it.
const MOMENT_MS_MAX: u64 = 900;
/// Until EC2 begins the first snapshot.
const LAG_MS_MAX: u64 = 500;

/// Something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Accident {
    Nothing,
    DaemonKilled,
    GuardKilled,
    GuardThenDaemonKilled,
    DaemonThenGuardKilled,
    DaemonStopped,
    CallHangs,
    CallHangsAfterEffect,
    ReplyLost,
    RequestLost,
    ReplyCut,
    PreHangs,
    PostHangs,
    LedgerFull,
}

/// What is rare costs much time.
const DRAWN: [Accident; 26] = [
    Accident::Nothing,
    Accident::DaemonKilled,
    Accident::DaemonKilled,
    Accident::DaemonKilled,
    Accident::GuardKilled,
    Accident::GuardKilled,
    Accident::GuardKilled,
    Accident::GuardThenDaemonKilled,
    Accident::GuardThenDaemonKilled,
    Accident::DaemonThenGuardKilled,
    Accident::DaemonThenGuardKilled,
    Accident::DaemonStopped,
    Accident::CallHangs,
    Accident::CallHangsAfterEffect,
    Accident::CallHangsAfterEffect,
    Accident::ReplyLost,
    Accident::ReplyLost,
    Accident::ReplyLost,
    Accident::RequestLost,
    Accident::RequestLost,
    Accident::ReplyCut,
    Accident::ReplyCut,
    Accident::PreHangs,
    Accident::PostHangs,
    Accident::LedgerFull,
    Accident::LedgerFull,
];

impl Accident {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing goes wrong",
            Self::DaemonKilled => "daemon killed",
            Self::GuardKilled => "guard killed",
            Self::GuardThenDaemonKilled => "guard and daemon killed",
            Self::DaemonThenGuardKilled => "daemon and guard killed",
            Self::DaemonStopped => "daemon stopped",
            Self::CallHangs => "call hangs, nothing done",
            Self::CallHangsAfterEffect => "call hangs, done",
            Self::ReplyLost => "reply lost",
            Self::RequestLost => "request lost",
            Self::ReplyCut => "reply cut",
            Self::PreHangs => "command before hangs",
            Self::PostHangs => "command after hangs",
            Self::LedgerFull => "ledger's disk full",
        }
    }

    /// Whether it comes from outside, at its moment.
    pub(super) fn is_strike(self) -> bool {
        matches!(
            self,
            Self::DaemonKilled
                | Self::GuardKilled
                | Self::GuardThenDaemonKilled
                | Self::DaemonThenGuardKilled
                | Self::DaemonStopped
                | Self::LedgerFull
        )
    }

    /// What EC2 does to the call.
    pub(super) fn fault(self, call: Action) -> Option<Fault> {
        let outcome = match self {
            Self::CallHangs => FaultOutcome::Hang,
            Self::CallHangsAfterEffect => FaultOutcome::HangAfterEffect,
            Self::ReplyLost => FaultOutcome::LostReplyAfterEffect,
            Self::RequestLost => FaultOutcome::LostBeforeEffect,
            Self::ReplyCut => FaultOutcome::CutInBody,
            _ => return None,
        };
        Some(Fault::on(call, outcome))
    }
}

/// Who comes after daemon and guard are both dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Successor {
    /// `amikeep thaw`, as `ExecStopPost` runs it, and the daemon after it.
    Thaw,
    /// The next start of the daemon.
    Daemon,
}

/// By which call of EC2 it is captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Capture {
    Image,
    Snapshots,
}

impl Capture {
    /// The policy, and the key of the freeze.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Snapshots => "snapshots",
        }
    }

    pub(super) fn call(self) -> Action {
        match self {
            Self::Image => Action::CreateImage,
            Self::Snapshots => Action::CreateSnapshots,
        }
    }
}

/// One hold.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) number: u64,
    pub(super) accident: Accident,
    pub(super) capture: Capture,
    /// From when everything is ready, in whoever is struck.
    pub(super) moment: Duration,
    pub(super) lag: Duration,
    pub(super) successor: Successor,
}

impl Plan {
    /// The same for the same seed and number, whatever came before.
    pub(super) fn draw(seed: u64, number: u64) -> Self {
        // Not the number that the dice themselves go on by: the draws of one hold would be those of the next.
        let mut dice = Dice::new(seed ^ number.wrapping_mul(0xD1B5_4A32_D192_ED03));
        let ms = |dice: &mut Dice, max: u64| Duration::from_millis(dice.draw(max));
        Self {
            number,
            accident: *dice.pick(&DRAWN),
            capture: *dice.pick(&[Capture::Image, Capture::Snapshots]),
            moment: ms(&mut dice, MOMENT_MS_MAX),
            lag: ms(&mut dice, LAG_MS_MAX),
            successor: *dice.pick(&[Successor::Thaw, Successor::Daemon]),
        }
    }
}
