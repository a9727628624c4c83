//! Applications that hold their own writes still around a freeze.
//!
//! It owns what is common to them: secrets, what is recorded of where an application stood, and what can go wrong. An
//! application is asked over one connection, opened before anything is locked. Nothing here may wait without a limit, and
//! whatever an application was told to stop must start again by itself if nobody tells it to.

pub mod redis;

use std::fmt;
use std::time::Duration;

/// Text that no log, error or debug output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that sends it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where an application stood at the capture, for the job and a tag: names and values in the application's own words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    /// In the order in which they are told.
    pub facts: Vec<(&'static str, String)>,
}

impl Position {
    /// One fact by its name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.facts.iter().find(|(fact, _)| *fact == name).map(|(_, value)| value.as_str())
    }
}

/// The application could not be held still; it is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The connection's address cannot be read. The text is not told: it may hold a password.
    #[error("the address of the connection cannot be read: {why}")]
    Address {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The connection failed.
    #[error("failed to {doing}")]
    Connection {
        /// What was being done.
        doing: &'static str,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The application said no.
    #[error("the application refused to {doing}: {answer}")]
    Refused {
        /// What was asked of it.
        doing: &'static str,
        /// Its words.
        answer: String,
    },
    /// An answer that does not fit the question.
    #[error("the application's answer to {doing} cannot be understood")]
    Answer {
        /// What was asked of it.
        doing: &'static str,
    },
    /// It did not stand still in time, and was let go.
    #[error("the application did not stand still within {} ms", limit.as_millis())]
    LockWait {
        /// How long it was waited for.
        limit: Duration,
    },
    /// It is in no state to be imaged.
    #[error("the application is in no state to be imaged: {why}")]
    Unfit {
        /// Why, and what to do.
        why: String,
    },
}
