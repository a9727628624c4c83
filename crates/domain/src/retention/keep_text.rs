//! `keep` as text on one line, `last=3,daily=7,within=30d`: the argument of `simulate --keep`, and how a log names
//! the rules that were applied.

use std::fmt;
use std::str::FromStr;

use crate::retention::keep::{
    Count, EmptyKeep, InvalidCount, InvalidWithin, Keep, KeepRules, Limit, Rule, UnknownRule, Within,
};

/// Why a text is no `keep`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeepText {
    /// There is no rule in it.
    #[error(transparent)]
    Empty(#[from] EmptyKeep),
    /// A part is not `rule=value`.
    #[error("`{part}` is not a rule and its value, such as daily=7 or within=30d")]
    NoValue {
        /// The part between two commas.
        part: String,
    },
    /// A part names something that is no rule.
    #[error(transparent)]
    UnknownRule(#[from] UnknownRule),
    /// A rule is given twice, and it cannot be told which is meant.
    #[error("{rule} is given twice")]
    Twice {
        /// The rule.
        rule: Rule,
    },
    /// The value of a count rule is no count.
    #[error("{rule} takes a count")]
    Count {
        /// The rule.
        rule: Rule,
        /// What is wrong with the value.
        source: InvalidCount,
    },
    /// The value of a `within` rule is no duration.
    #[error("{rule} takes a duration")]
    Within {
        /// The rule.
        rule: Rule,
        /// What is wrong with the value.
        source: InvalidWithin,
    },
}

impl FromStr for Keep {
    type Err = InvalidKeepText;

    fn from_str(text: &str) -> Result<Self, InvalidKeepText> {
        let mut rules = KeepRules::default();
        if !text.trim().is_empty() {
            for part in text.split(',') {
                add_part(&mut rules, part.trim())?;
            }
        }
        Ok(Self::new(rules)?)
    }
}

fn add_part(rules: &mut KeepRules, part: &str) -> Result<(), InvalidKeepText> {
    let Some((name, value)) = part.split_once('=') else {
        return Err(InvalidKeepText::NoValue { part: part.to_owned() });
    };
    let rule: Rule = name.trim().parse()?;
    if rules.limit(rule).is_some() {
        return Err(InvalidKeepText::Twice { rule });
    }
    let value = value.trim();
    let count = || value.parse::<Count>().map(Some).map_err(|source| InvalidKeepText::Count { rule, source });
    let within = || value.parse::<Within>().map(Some).map_err(|source| InvalidKeepText::Within { rule, source });
    match rule {
        Rule::Last => rules.last = count()?,
        Rule::Hourly => rules.hourly = count()?,
        Rule::Daily => rules.daily = count()?,
        Rule::Weekly => rules.weekly = count()?,
        Rule::Monthly => rules.monthly = count()?,
        Rule::Yearly => rules.yearly = count()?,
        Rule::Within => rules.within = within()?,
        Rule::WithinHourly => rules.within_hourly = within()?,
        Rule::WithinDaily => rules.within_daily = within()?,
        Rule::WithinWeekly => rules.within_weekly = within()?,
        Rule::WithinMonthly => rules.within_monthly = within()?,
        Rule::WithinYearly => rules.within_yearly = within()?,
    }
    Ok(())
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |(rule, limit): (Rule, Limit)| format!("{rule}={limit}");
        f.write_str(&self.limits().map(part).collect::<Vec<_>>().join(","))
    }
}
