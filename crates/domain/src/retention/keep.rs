//! What a policy asks to be kept: the rules of `keep`, each valid by construction.
//!
//! An empty `keep` cannot be made. There is no default either: to keep everything must be said (`last = -1`).

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use jiff::SignedDuration;

use crate::retention::bucket::Period;

/// One rule of `keep`, in the order in which reasons are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The newest images.
    Last,
    /// The newest image of each hour.
    Hourly,
    /// The newest image of each day.
    Daily,
    /// The newest image of each ISO week.
    Weekly,
    /// The newest image of each month.
    Monthly,
    /// The newest image of each year.
    Yearly,
    /// Every image of a span of time.
    Within,
    /// The newest image of each hour of a span of time.
    WithinHourly,
    /// The newest image of each day of a span of time.
    WithinDaily,
    /// The newest image of each ISO week of a span of time.
    WithinWeekly,
    /// The newest image of each month of a span of time.
    WithinMonthly,
    /// The newest image of each year of a span of time.
    WithinYearly,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 12] = [
        Self::Last,
        Self::Hourly,
        Self::Daily,
        Self::Weekly,
        Self::Monthly,
        Self::Yearly,
        Self::Within,
        Self::WithinHourly,
        Self::WithinDaily,
        Self::WithinWeekly,
        Self::WithinMonthly,
        Self::WithinYearly,
    ];

    /// The key of the configuration file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
            Self::Within => "within",
            Self::WithinHourly => "within_hourly",
            Self::WithinDaily => "within_daily",
            Self::WithinWeekly => "within_weekly",
            Self::WithinMonthly => "within_monthly",
            Self::WithinYearly => "within_yearly",
        }
    }

    /// The calendar bucket of which the rule keeps the newest image; `None` where every image counts for itself.
    pub(crate) fn period(self) -> Option<Period> {
        match self {
            Self::Last | Self::Within => None,
            Self::Hourly | Self::WithinHourly => Some(Period::Hour),
            Self::Daily | Self::WithinDaily => Some(Period::Day),
            Self::Weekly | Self::WithinWeekly => Some(Period::Week),
            Self::Monthly | Self::WithinMonthly => Some(Period::Month),
            Self::Yearly | Self::WithinYearly => Some(Period::Year),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no rule of `keep`. Whoever shows it may look for the nearest name in [`Rule::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a rule of keep: {}", rule_names())]
pub struct UnknownRule {
    /// The text that was given.
    pub text: String,
}

fn rule_names() -> String {
    Rule::ALL.map(Rule::as_str).join(", ")
}

impl FromStr for Rule {
    type Err = UnknownRule;

    fn from_str(text: &str) -> Result<Self, UnknownRule> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == text).ok_or_else(|| UnknownRule { text: text.to_owned() })
    }
}

/// How many images a count rule keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// At most so many.
    Limited(NonZeroU32),
    /// No end, written `-1`.
    All,
}

/// A number that is no count. Zero is refused, since it could be read as "none" and as "no limit".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a count: 1 or more, or -1 for all (leave the rule out to switch it off)")]
pub struct InvalidCount {
    /// The text that was given.
    pub text: String,
}

impl Count {
    /// The number as it is written in the configuration file: 1 or more, or -1.
    pub fn new(number: i64) -> Result<Self, InvalidCount> {
        if number == -1 {
            return Ok(Self::All);
        }
        let limit = u32::try_from(number).ok().and_then(NonZeroU32::new);
        limit.map(Self::Limited).ok_or_else(|| InvalidCount { text: number.to_string() })
    }

    /// The limit, where there is one: the `of` of a reason.
    pub fn limit(self) -> Option<u32> {
        match self {
            Self::Limited(limit) => Some(limit.get()),
            Self::All => None,
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limited(limit) => limit.fmt(f),
            Self::All => f.write_str("-1"),
        }
    }
}

impl FromStr for Count {
    type Err = InvalidCount;

    fn from_str(text: &str) -> Result<Self, InvalidCount> {
        let invalid = || InvalidCount { text: text.to_owned() };
        text.parse().ok().and_then(|number| Self::new(number).ok()).ok_or_else(invalid)
    }
}

/// How far back a `within` rule reaches from the newest image: whole seconds, at least one. A day is 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within(SignedDuration);

/// A text or a duration that is no reach of a `within` rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a duration: a whole number above zero and one of s, m, h, d, such as 90s, 15m, 6h or 7d")]
pub struct InvalidWithin {
    /// The text that was given.
    pub text: String,
}

/// The units of a duration in seconds, the largest first.
const UNITS: [(char, i64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

impl Within {
    /// A reach of whole seconds, at least one.
    pub fn new(reach: SignedDuration) -> Result<Self, InvalidWithin> {
        if reach.is_positive() && reach.subsec_nanos() == 0 {
            Ok(Self(reach))
        } else {
            Err(InvalidWithin { text: reach.to_string() })
        }
    }

    /// The reach.
    pub fn duration(self) -> SignedDuration {
        self.0
    }
}

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.as_secs();
        let (unit, size) = UNITS.into_iter().find(|(_, size)| secs % size == 0).unwrap_or(('s', 1));
        write!(f, "{}{unit}", secs / size)
    }
}

impl FromStr for Within {
    type Err = InvalidWithin;

    fn from_str(text: &str) -> Result<Self, InvalidWithin> {
        let parse = || {
            let (unit, size) = UNITS.into_iter().find(|(unit, _)| text.ends_with(*unit))?;
            let digits = text.strip_suffix(unit)?;
            // `i64` would accept a sign, which a duration does not have.
            let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i64>().ok())??;
            Self::new(SignedDuration::from_secs(number.checked_mul(size)?)).ok()
        };
        parse().ok_or_else(|| InvalidWithin { text: text.to_owned() })
    }
}

/// The rules as they are written down; `None` switches a rule off. The default keeps nothing and is therefore
/// refused by [`Keep::new`], so nothing is lost by forgetting to fill it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeepRules {
    /// `last`.
    pub last: Option<Count>,
    /// `hourly`.
    pub hourly: Option<Count>,
    /// `daily`.
    pub daily: Option<Count>,
    /// `weekly`.
    pub weekly: Option<Count>,
    /// `monthly`.
    pub monthly: Option<Count>,
    /// `yearly`.
    pub yearly: Option<Count>,
    /// `within`.
    pub within: Option<Within>,
    /// `within_hourly`.
    pub within_hourly: Option<Within>,
    /// `within_daily`.
    pub within_daily: Option<Within>,
    /// `within_weekly`.
    pub within_weekly: Option<Within>,
    /// `within_monthly`.
    pub within_monthly: Option<Within>,
    /// `within_yearly`.
    pub within_yearly: Option<Within>,
}

/// What ends a rule's walk back from the newest image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// A number of images.
    Count(Count),
    /// A span of time before the newest image.
    Within(Within),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Within(within) => within.fmt(f),
        }
    }
}

impl KeepRules {
    /// The limit of one rule, if it is on.
    pub fn limit(&self, rule: Rule) -> Option<Limit> {
        let count = |count: Option<Count>| count.map(Limit::Count);
        let within = |within: Option<Within>| within.map(Limit::Within);
        match rule {
            Rule::Last => count(self.last),
            Rule::Hourly => count(self.hourly),
            Rule::Daily => count(self.daily),
            Rule::Weekly => count(self.weekly),
            Rule::Monthly => count(self.monthly),
            Rule::Yearly => count(self.yearly),
            Rule::Within => within(self.within),
            Rule::WithinHourly => within(self.within_hourly),
            Rule::WithinDaily => within(self.within_daily),
            Rule::WithinWeekly => within(self.within_weekly),
            Rule::WithinMonthly => within(self.within_monthly),
            Rule::WithinYearly => within(self.within_yearly),
        }
    }
}

/// What a policy keeps: at least one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    rules: KeepRules,
}

/// A `keep` without a rule. It is an error and not "keep everything", which must be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("keep has no rule: give at least one, or last = -1 to keep everything")]
pub struct EmptyKeep;

impl Keep {
    /// Refuses rules that are all off.
    pub fn new(rules: KeepRules) -> Result<Self, EmptyKeep> {
        let keep = Self { rules };
        if keep.limits().next().is_some() { Ok(keep) } else { Err(EmptyKeep) }
    }

    /// The rules that are on, in their order.
    pub fn limits(&self) -> impl Iterator<Item = (Rule, Limit)> + '_ {
        Rule::ALL.into_iter().filter_map(|rule| Some((rule, self.rules.limit(rule)?)))
    }
}
