//! Who freezes and thaws: the guard of mounts, the guard of commands, or the guard on another machine.

use std::sync::Arc;
use std::time::Duration;

use amikeep_hold::command::{CommandGuard, CommandHold};
use amikeep_hold::ssm::{RemoteHold, RemoteHolder, RemoteMount};
use amikeep_hold::{Cause, Guard, Hold, Hook};

use jiff::Timestamp;

use crate::clock::Clock;
use crate::hold::told::End;

/// Started and heard; nothing is frozen.
#[derive(Debug)]
pub(crate) enum Holder {
    /// Freezes mounts of this machine.
    Mounts(Guard),
    /// Runs the operator's commands.
    Commands {
        /// Who sees to the command that thaws.
        guard: CommandGuard,
        /// The command that freezes.
        freeze: Hook,
        /// What it is told.
        facts: Vec<(String, String)>,
    },
    /// Freezes mounts of another machine.
    Remote(Box<RemoteHolder>),
}

/// Everything is frozen. Dropped, it is thawed.
#[derive(Debug)]
pub(crate) enum Frozen {
    /// By the guard of mounts.
    Mounts(Hold),
    /// By commands.
    Commands(CommandHold),
    /// On another machine.
    Remote {
        /// The hold.
        hold: RemoteHold,
        /// When the freeze was sent.
        sent_at: Timestamp,
    },
}

impl Holder {
    /// The mounts of another machine.
    pub(crate) fn remote_mounts(&self) -> &[RemoteMount] {
        match self {
            Self::Remote(holder) => holder.mounts(),
            Self::Mounts(_) | Self::Commands { .. } => &[],
        }
    }

    /// Freezes. Whatever happens, all is thawed again when `budget` has passed from now on. If it could not be frozen, it is
    /// thawed by now, and the end says what became of it.
    pub(crate) fn freeze(self, budget: Duration, clock: &Arc<dyn Clock>) -> Result<Frozen, Box<End>> {
        match self {
            Self::Mounts(guard) => match guard.freeze(budget, clock.now()) {
                Ok(hold) => Ok(Frozen::Mounts(hold)),
                Err(error) => Err(Box::new(End::of_mounts(&error.report))),
            },
            Self::Commands { guard, freeze, facts } => match guard.freeze(&freeze, &facts, budget, clock.now()) {
                Ok(hold) => Ok(Frozen::Commands(hold)),
                Err(report) => Err(Box::new(End::of_commands(&report))),
            },
            Self::Remote(holder) => {
                let sent_at = clock.now();
                match holder.freeze(budget, sent_at) {
                    Ok(hold) => Ok(Frozen::Remote { hold, sent_at }),
                    Err(report) => Err(Box::new(End::of_remote(&report, sent_at))),
                }
            }
        }
    }
}

impl Frozen {
    /// Why the hold is over, if it is. It never waits.
    pub(crate) fn ended(&self) -> Option<Cause> {
        match self {
            Self::Mounts(hold) => hold.ended(),
            Self::Commands(hold) => hold.ended(),
            Self::Remote { hold, .. } => hold.ended(),
        }
    }

    /// Thaws, and tells what it was.
    pub(crate) fn thaw(self) -> End {
        match self {
            Self::Mounts(hold) => End::of_mounts(&hold.thaw()),
            Self::Commands(hold) => End::of_commands(&hold.thaw()),
            Self::Remote { hold, sent_at } => End::of_remote(&hold.thaw(), sent_at),
        }
    }
}
