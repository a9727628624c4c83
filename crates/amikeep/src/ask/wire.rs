//! What goes over the socket: one line of JSON from the command, one line of JSON back, and the end.
//!
//! The two sides are programs of one release; the line names it, so that a command that was upgraded before the daemon
//! was restarted says so and shows nothing wrong. Everything has a limit, since whoever may ask may also err.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ask::answer::Answer;
use crate::ask::known::Known;
use crate::ask::question::Question;
use crate::cli::Format;
use crate::exit::Exit;

/// The release of this program.
pub(super) const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// The longest question. One of `explain` names the policies that match an instance, 64 bytes each.
pub(super) const REQUEST_BYTES_MAX: usize = 128 * 1024;
/// The longest reply: a thousand jobs take 2 MB, and twenty thousand images 20 MB.
pub(super) const REPLY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Replies above this are large: few of them wait for their readers at once, so that clients that ask for much and read
/// nothing cannot make the daemon hold it all.
pub(super) const LARGE_REPLY_BYTES: usize = 1024 * 1024;
/// Large replies that are sent at once.
pub(super) const LARGE_REPLIES_MAX: usize = 2;
/// Connections at once. Whoever comes when all are taken waits in the kernel's queue until one is free.
pub(super) const CONNECTIONS_MAX: usize = 16;
/// Answers that are made at once. They share the disk and the processor with the backups, which come first.
pub(super) const ANSWERS_MAX: usize = 2;
/// How long a question may take to arrive.
pub(super) const REQUEST_WITHIN: Duration = Duration::from_secs(5);
/// How long an answer may take to be made, waiting for its turn included.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How long a reply may take to be read by who asked.
pub(super) const SEND_WITHIN: Duration = Duration::from_secs(20);
/// How long a command waits for all of that.
pub(super) const REPLY_WITHIN: Duration = Duration::from_mins(1);

/// A question as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// The release of the command.
    release: String,
    /// How the answer is to be shown.
    pub(super) format: Format,
    /// The question.
    pub(super) question: Question,
}

impl Request {
    /// From this program.
    pub(super) fn new(format: Format, question: Question) -> Self {
        Self { release: RELEASE.to_owned(), format, question }
    }

    /// Reads one. What comes from another release is not guessed at.
    pub(super) fn read(line: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Release {
            release: String,
        }
        let not_understood = |error: serde_json::Error| format!("error: the daemon does not understand this: {error}");
        let Release { release } = serde_json::from_slice(line).map_err(not_understood)?;
        if release != RELEASE {
            return Err(format!(
                "error: this command is of release {release:?} and the daemon of {RELEASE:?}: restart the daemon after an \
                 upgrade, or run the command of its release"
            ));
        }
        serde_json::from_slice(line).map_err(not_understood)
    }
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Reply {
    /// Something to print.
    Printed(Answer),
    /// Something to go on with.
    Known(Box<Known>),
    /// There is no answer.
    Refused {
        /// The code to end with.
        exit: Exit,
        /// Why, as it is told.
        told: String,
    },
}

impl Reply {
    /// That it cannot be answered.
    pub(super) fn failed(told: impl Into<String>) -> Self {
        Self::Refused { exit: Exit::Failed, told: told.into() }
    }

    /// As it is sent.
    pub(super) fn to_line(&self) -> Vec<u8> {
        let line = serde_json::to_vec(self).ok().filter(|line| line.len() < REPLY_BYTES_MAX);
        let mut line = line.unwrap_or_else(|| {
            let told = format!(
                "error: the answer is larger than the {} MiB that go over the socket: ask for less, with --policy, \
                 --instance or --limit, or as root",
                REPLY_BYTES_MAX / (1024 * 1024)
            );
            // It is short and has only texts in it, so it can be written.
            serde_json::to_vec(&Self::failed(told)).unwrap_or_default()
        });
        line.push(b'\n');
        line
    }
}
