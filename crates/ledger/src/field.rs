//! Reading single values of a row: every text, word and time goes through a constructor of the domain.
//!
//! What a constructor refuses becomes [`LedgerError::Inconsistent`] with table, column and row, so that whoever repairs
//! it knows where to look.

use std::str::FromStr;

use jiff::Timestamp;

use crate::error::LedgerError;

/// A stored value that this release cannot have written. The caller knows where it stands.
#[derive(Debug)]
pub(crate) struct Unreadable;

/// So that `?` works on whatever a constructor returns; the place says more than the reason would.
impl<E: std::error::Error> From<E> for Unreadable {
    fn from(_: E) -> Self {
        Self
    }
}

/// A row that is being read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    table: &'static str,
    row: &'a str,
}

impl<'a> Place<'a> {
    pub(crate) fn new(table: &'static str, row: &'a str) -> Self {
        Self { table, row }
    }

    pub(crate) fn inconsistent(self, column: &'static str) -> LedgerError {
        LedgerError::Inconsistent { table: self.table, column, row: self.row.to_owned() }
    }

    /// Adds the place to a value that could not be read.
    pub(crate) fn read<T>(self, column: &'static str, value: Result<T, Unreadable>) -> Result<T, LedgerError> {
        value.map_err(|Unreadable| self.inconsistent(column))
    }

    /// An id, or anything else that the domain parses.
    pub(crate) fn parse<T: FromStr>(self, column: &'static str, text: &str) -> Result<T, LedgerError> {
        text.parse().map_err(|_| self.inconsistent(column))
    }

    /// The same where there may be none.
    pub(crate) fn parse_some<T: FromStr>(
        self,
        column: &'static str,
        text: Option<&str>,
    ) -> Result<Option<T>, LedgerError> {
        text.map(|text| self.parse(column, text)).transpose()
    }

    /// One of the words of an enum.
    pub(crate) fn word<T: Copy>(
        self,
        column: &'static str,
        text: &str,
        all: &[T],
        as_str: fn(T) -> &'static str,
    ) -> Result<T, LedgerError> {
        self.read(column, word(text, all, as_str))
    }

    pub(crate) fn time(self, column: &'static str, millis: i64) -> Result<Timestamp, LedgerError> {
        self.read(column, Timestamp::from_millisecond(millis).map_err(Unreadable::from))
    }

    pub(crate) fn time_some(self, column: &'static str, millis: Option<i64>) -> Result<Option<Timestamp>, LedgerError> {
        millis.map(|millis| self.time(column, millis)).transpose()
    }

    pub(crate) fn number<T: TryFrom<i64>>(self, column: &'static str, number: i64) -> Result<T, LedgerError> {
        T::try_from(number).map_err(|_| self.inconsistent(column))
    }
}

/// One of the words of an enum.
pub(crate) fn word<T: Copy>(text: &str, all: &[T], as_str: fn(T) -> &'static str) -> Result<T, Unreadable> {
    all.iter().copied().find(|it| as_str(*it) == text).ok_or(Unreadable)
}

/// How columns hold a time. Milliseconds are finer than any clock that EC2 shows, and fit an integer beyond any date. The
/// last second of the calendar has no milliseconds to be read back, so the end of time is the beginning of that second.
pub(crate) fn millis(at: Timestamp) -> i64 {
    at.as_millisecond().min(Timestamp::MAX.as_second() * 1_000)
}
