//! Pages by key: each begins after the last row of the one before, so that rows which come in meanwhile shift nothing.

use std::fmt;
use std::str::FromStr;

use amikeep_domain::id::JobId;
use jiff::Timestamp;

use crate::error::LedgerError;
use crate::field::millis;

/// The most rows of a page.
pub const PAGE_ROWS_MAX: u32 = 1_000;

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, C = JobCursor> {
    /// Its rows.
    pub rows: Vec<T>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// From one row more than the page holds, if there were as many.
    pub(crate) fn from_rows<R>(mut rows: Vec<R>, limit: u32, cursor: impl Fn(&R) -> C) -> Result<Self, LedgerError>
    where
        T: TryFrom<R, Error = LedgerError>,
    {
        let limit = usize::try_from(limit_rows(limit)).unwrap_or(usize::MAX);
        let next = if limit < rows.len() { rows.get(limit - 1).map(cursor) } else { None };
        rows.truncate(limit);
        Ok(Self { rows: rows.into_iter().map(T::try_from).collect::<Result<_, _>>()?, next })
    }
}

/// At least one row, or a caller that asks for none would never get to the end.
pub(crate) fn limit_rows(limit: u32) -> i64 {
    i64::from(limit.clamp(1, PAGE_ROWS_MAX))
}

/// A text that is no cursor of this list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a cursor: give the `next_cursor` of the page before, unchanged")]
pub struct InvalidCursor {
    text: String,
}

/// A place in the history of jobs. Its text is opaque to everybody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobCursor {
    pub(crate) scheduled_at: i64,
    pub(crate) id: String,
}

impl JobCursor {
    /// Everything that follows lies before both the cursor and `until`.
    pub(crate) fn bound(after: Option<&Self>, until: Option<Timestamp>) -> Self {
        // No id sorts before the empty text, so this means: earlier than `until`.
        let until = Self { scheduled_at: until.map_or(i64::MAX, millis), id: String::new() };
        match after {
            Some(after) if (after.scheduled_at, &after.id) < (until.scheduled_at, &until.id) => after.clone(),
            _ => until,
        }
    }
}

impl fmt::Display for JobCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "j{:x}.{}", self.scheduled_at, self.id)
    }
}

impl FromStr for JobCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let cursor = || {
            let (scheduled_at, id) = text.strip_prefix('j')?.split_once('.')?;
            let id: JobId = id.parse().ok()?;
            Some(Self { scheduled_at: from_hex(scheduled_at)?, id: id.to_string() })
        };
        cursor().ok_or_else(|| InvalidCursor { text: text.to_owned() })
    }
}

/// A place in the list of fires. Its text is opaque to everybody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FireCursor {
    pub(crate) scheduled_at: i64,
    pub(crate) id: i64,
}

impl FireCursor {
    /// Everything that follows lies before both the cursor and `until`.
    pub(crate) fn bound(after: Option<&Self>, until: Option<Timestamp>) -> Self {
        let until = Self { scheduled_at: until.map_or(i64::MAX, millis), id: i64::MIN };
        match after {
            Some(after) if (after.scheduled_at, after.id) < (until.scheduled_at, until.id) => after.clone(),
            _ => until,
        }
    }
}

impl fmt::Display for FireCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "f{:x}.{:x}", self.scheduled_at, self.id)
    }
}

impl FromStr for FireCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let cursor = || {
            let (scheduled_at, id) = text.strip_prefix('f')?.split_once('.')?;
            Some(Self { scheduled_at: from_hex(scheduled_at)?, id: from_hex(id)? })
        };
        cursor().ok_or_else(|| InvalidCursor { text: text.to_owned() })
    }
}

/// The bits of the number, as `{:x}` writes them.
fn from_hex(text: &str) -> Option<i64> {
    u64::from_str_radix(text, 16).ok().map(u64::cast_signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text() {
        let id = "0193f5a0-0000-7000-8000-000000000001";
        let job = JobCursor { scheduled_at: -1_500, id: id.to_owned() };
        assert_eq!(job.to_string().parse(), Ok(job));
        let fire = FireCursor { scheduled_at: 1_763_772_000_000, id: 7 };
        assert_eq!(fire.to_string().parse(), Ok(fire));
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let fire = FireCursor { scheduled_at: 1_763_772_000_000, id: 7 };
        for text in [fire.to_string().as_str(), "", "j", "j12.", "jzz.0193f5a0-0000-7000-8000-000000000001"] {
            assert!(text.parse::<JobCursor>().is_err(), "{text:?}");
        }
        assert!("j0.0193f5a0-0000-7000-8000-000000000001".parse::<FireCursor>().is_err());
    }

    #[test]
    fn until_and_the_cursor_both_bound_a_page() {
        let until: Timestamp = "2026-11-22T01:00:00Z".parse().unwrap();
        let earlier = FireCursor { scheduled_at: millis(until) - 1_000, id: 7 };
        let later = FireCursor { scheduled_at: millis(until) + 1_000, id: 7 };
        assert_eq!(FireCursor::bound(Some(&earlier), Some(until)), earlier);
        assert_eq!(FireCursor::bound(Some(&later), Some(until)).scheduled_at, millis(until));
        assert_eq!(FireCursor::bound(Some(&later), None), later);
    }
}
