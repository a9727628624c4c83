//! When a policy fires: a cron expression on the wall clock of an IANA time zone.
//!
//! Owns the two rules that a cron library leaves open: which expressions are accepted (`schedule/syntax.rs`), and what
//! happens to a wall-clock time that a change of offset skips or repeats (`schedule/stretch.rs`). Matching the fields
//! of an expression against a calendar is left to croner, which is only ever run on the civil time line, where no time
//! is skipped or repeated.
//!
//! Must never ask what time it is: every question is put with the instants it is about. The one thing read from outside
//! is the time zone database, in [`timezone`].

mod occurrences;
mod stretch;
mod syntax;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, LazyLock};

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{self, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, tz};

pub use crate::schedule::occurrences::Occurrences;
use crate::schedule::syntax::Kind;

/// The largest number of occurrences that [`Schedule::summary`] counts: two months of minutes, a day of seconds. Beyond
/// it the number says "down for long" and more digits would help nobody, while a count without end could hold up the
/// planner for the length of the downtime.
pub const COUNT_MAX: u64 = 100_000;

/// Where the search for a first occurrence begins when an expression is parsed. Any date would do, since the calendar
/// repeats every 400 years and croner searches for longer than that.
const SEARCH_FROM: DateTime = civil::date(2000, 1, 1).at(0, 0, 0, 0);

/// The calendar part that all our expressions have in common. croner keeps a byte for each of ten thousand years, which
/// ten thousand policies need not do.
static EVERY_YEAR: LazyLock<Option<Cron>> = LazyLock::new(|| parser().parse("* * * * *").ok());

/// Why a schedule or a time zone was refused. The messages say what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The text is not a cron expression.
    #[error("`{expression}` is not a schedule: {message}")]
    Cron {
        /// The text that was given.
        expression: String,
        /// Which field is wrong, and what is allowed there.
        message: String,
    },
    /// The time zone database has no such name.
    #[error("`{name}` is not a time zone: an IANA name such as Europe/Berlin, or UTC, is expected")]
    UnknownZone {
        /// The name that was given.
        name: String,
    },
    /// The expression is well formed, but names a date that no calendar has, such as 31 February.
    #[error("`{expression}` never fires: no year has a day that it names")]
    NeverFires {
        /// The text that was given.
        expression: String,
    },
}

/// A cron expression in a time zone. A value of this type fires sooner or later: [`Schedule::parse`] refuses the rest.
///
/// Two schedules are equal if expression and zone are, not if they happen to fire at the same times. A clone is the same
/// schedule once more and not a copy: thousands of policies fire at one time, and each parsed expression is a kilobyte.
#[derive(Clone)]
pub struct Schedule(Arc<Parsed>);

/// An expression that was accepted.
struct Parsed {
    expression: String,
    timezone_name: String,
    timezone: TimeZone,
    kind: Kind,
    fingerprint: String,
    /// Without its years: see [`EVERY_YEAR`].
    cron: Cron,
}

/// What fell due in a span of time, as [`Schedule::summary`] tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The earliest occurrence.
    pub first: Timestamp,
    /// The latest occurrence; exact, however many there were.
    pub latest: Timestamp,
    /// How many occurrences there were, or [`COUNT_MAX`] if there were at least that many.
    pub count: u64,
}

impl Schedule {
    /// Reads a cron expression of five fields, or six with leading seconds, or a nickname such as `@daily`.
    pub fn parse(expression: &str, timezone_name: &str) -> Result<Self, ScheduleError> {
        let refused = |message: String| ScheduleError::Cron { expression: expression.to_owned(), message };
        let accepted = syntax::check(expression).map_err(refused)?;
        let mut cron = parser().parse(accepted.fields).map_err(|error| refused(error.to_string()))?;
        if cron.find_next_occurrence(&SEARCH_FROM, true).is_err() {
            return Err(ScheduleError::NeverFires { expression: expression.to_owned() });
        }
        drop(std::mem::take(&mut cron.pattern.years));
        let timezone = timezone(timezone_name)?;
        let expression = expression.split_whitespace().collect::<Vec<_>>().join(" ");
        // The database knows how the name is spelt: names are found without regard to case.
        let timezone_name = timezone.iana_name().unwrap_or(timezone_name).to_owned();
        let fingerprint = format!("{} {timezone_name}", expression.to_ascii_lowercase());
        Ok(Self(Arc::new(Parsed { expression, timezone_name, timezone, kind: accepted.kind, fingerprint, cron })))
    }

    /// The expression as it was written, with single spaces between its fields.
    pub fn expression(&self) -> &str {
        &self.0.expression
    }

    /// The IANA name of the zone whose wall clock the expression is about, as the database spells it.
    pub fn timezone_name(&self) -> &str {
        &self.0.timezone_name
    }

    /// The zone whose wall clock the expression is about.
    pub fn timezone(&self) -> &TimeZone {
        &self.0.timezone
    }

    /// Whether the expression names times of day (no `*` in minute and hour) rather than an interval. It decides what
    /// happens when clocks change: a named time fires once on every day, an interval at every real time.
    pub fn is_fixed(&self) -> bool {
        self.0.kind == Kind::Fixed
    }

    /// The first occurrence strictly after an instant; `None` only at the end of the calendar.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        self.between(after, Timestamp::MAX).next()
    }

    /// Every occurrence `t` with `after < t <= until`, ascending, one at a time.
    pub fn between(&self, after: Timestamp, until: Timestamp) -> Occurrences<'_> {
        Occurrences::new(self, after, until)
    }

    /// The last occurrence `t` with `after < t <= until`, found from the end and so as fast after a year as after a
    /// minute.
    pub fn latest_between(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        occurrences::latest(self, after, until)
    }

    /// First, latest and number of the occurrences `t` with `after < t <= until`; `None` if there are none. The work is
    /// bounded by [`COUNT_MAX`], so a schedule of seconds may be asked about a year of downtime.
    pub fn summary(&self, after: Timestamp, until: Timestamp) -> Option<Due> {
        let latest = self.latest_between(after, until)?;
        let mut occurrences = self.between(after, until);
        let first = occurrences.next()?;
        let mut count = 1;
        while count < COUNT_MAX && occurrences.next().is_some() {
            count += 1;
        }
        Some(Due { first, latest, count })
    }

    /// A text that changes exactly when expression or zone do. The ledger keeps it beside its cursor, so that a changed
    /// schedule starts from now instead of catching up on times that it did not have.
    pub fn fingerprint(&self) -> &str {
        &self.0.fingerprint
    }

    /// The whole expression, as croner searches with it.
    fn cron(&self) -> Option<Cron> {
        let mut cron = self.0.cron.clone();
        cron.pattern.years = EVERY_YEAR.as_ref()?.pattern.years.clone();
        Some(cron)
    }
}

/// Day of month and weekday are alternatives, as in every cron since Vixie's; croner could be told otherwise.
fn parser() -> CronParser {
    CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).dom_and_dow(false).build()
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        (self.expression(), self.timezone_name()) == (other.expression(), other.timezone_name())
    }
}

impl Eq for Schedule {}

// By hand, since the parsed expression is thousands of numbers long.
impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schedule({} {})", self.0.expression, self.0.timezone_name)
    }
}

/// Looks up an IANA time zone. The one place that does, so that no two parts of amikeep accept different names.
pub fn timezone(name: &str) -> Result<TimeZone, ScheduleError> {
    let unknown = || ScheduleError::UnknownZone { name: name.to_owned() };
    if !is_portable(name) {
        return Err(unknown());
    }
    let timezone = TimeZone::get(name).map_err(|_| unknown())?;
    if timezone.is_unknown() { Err(unknown()) } else { Ok(timezone) }
}

/// Every name that [`timezone`] accepts, sorted; for suggestions when one is misspelt.
pub fn timezone_names() -> impl Iterator<Item = String> {
    let mut names: Vec<String> =
        tz::db().available().map(|name| name.as_str().to_owned()).filter(|name| is_portable(name)).collect();
    names.sort_unstable();
    names.into_iter()
}

/// A zoneinfo directory also holds names that mean something else on each machine, or count leap seconds.
fn is_portable(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let machine_bound = matches!(lower.as_str(), "" | "localtime" | "posixrules" | "factory" | "etc/unknown");
    !machine_bound && !lower.starts_with("posix/") && !lower.starts_with("right/")
}
