//! How the process ends: three documented codes, and what is told of an error before it does.

use serde::{Deserialize, Serialize};

use crate::ctx::Ctx;

/// The exit codes of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Exit {
    /// 0: done.
    Done,
    /// 1: it ran, and something failed.
    Failed,
    /// 2: the command line or the configuration is wrong.
    Usage,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Failed => Self::from(1),
            Exit::Usage => Self::from(2),
        }
    }
}

/// What was asked for cannot be meant. It ends the process with [`Exit::Usage`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// Everything was told already: only the code is left.
#[derive(Debug, thiserror::Error)]
#[error("told already")]
pub(crate) struct Told(pub(crate) Exit);

/// Tells of an error, once and with its whole chain of causes, and gives the code to end with.
pub(crate) fn settle(result: anyhow::Result<Exit>, ctx: &Ctx) -> Exit {
    let error = match result {
        Ok(exit) => return exit,
        Err(error) => error,
    };
    if let Some(Told(exit)) = error.downcast_ref() {
        return *exit;
    }
    let (exit, told) = told(&error);
    ctx.tell(&told);
    exit
}

/// What is told of an error, and the code to end with.
pub(crate) fn told(error: &anyhow::Error) -> (Exit, String) {
    let exit = if error.is::<UsageError>() { Exit::Usage } else { Exit::Failed };
    (exit, chain(error))
}

/// The error and its causes, one a line. A cause that only repeats the line above it is left out.
fn chain(error: &anyhow::Error) -> String {
    let mut lines = vec![format!("error: {error}")];
    let mut last = error.to_string();
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        if text != last {
            lines.push(format!("  caused by: {text}"));
        }
        last = text;
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn the_whole_chain_is_told_once() {
        let error = Err::<(), _>(std::io::Error::other("disk on fire"))
            .context("failed to read the ledger")
            .context("failed to list jobs")
            .unwrap_err();
        assert_eq!(
            chain(&error),
            "error: failed to list jobs\n  caused by: failed to read the ledger\n  caused by: disk on fire"
        );
    }

    #[test]
    fn a_cause_that_repeats_is_left_out() {
        let error = anyhow::Error::msg("no room").context("no room");
        assert_eq!(chain(&error), "error: no room");
    }
}
