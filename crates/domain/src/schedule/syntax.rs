//! Which cron expressions are accepted, and what is wrong with the others.
//!
//! Owns the grammar and its messages. It is stricter than croner, which takes the name of a weekday in the month field
//! for a number, skips empty items of a list, and ignores marks that it does not expect: each of these is a backup that
//! quietly runs at another time than its author believes. Must never decide when anything fires.

/// What an expression asks of the days on which clocks change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Minute and hour are named, without a `*`: the times of day at which to fire.
    Fixed,
    /// A `*` in minute or hour, `*/n` included: fire at every such time that really passes.
    Interval,
}

/// An expression that passed, in the form that croner reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepted<'a> {
    /// Five or six fields; nicknames are spelt out.
    pub(crate) fields: &'a str,
    /// Judged by the minute and hour fields alone.
    pub(crate) kind: Kind,
}

/// Marks beyond numbers, names, lists, ranges and steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marks {
    None,
    /// `L`, `LW`, `15W`, and `?` for `*`.
    DayOfMonth,
    /// `5L`, `5#2`, and `?` for `*`.
    Weekday,
}

#[derive(Debug)]
struct Field {
    name: &'static str,
    min: u8,
    max: u8,
    /// The names of the values from `min` on; a weekday's last value, 7, is Sunday again.
    names: &'static [&'static str],
    marks: Marks,
}

const MONTHS: &[&str] = &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const SUNDAY_AT_THE_END: u8 = 7;

const FIELDS: [Field; 6] = [
    Field { name: "second", min: 0, max: 59, names: &[], marks: Marks::None },
    Field { name: "minute", min: 0, max: 59, names: &[], marks: Marks::None },
    Field { name: "hour", min: 0, max: 23, names: &[], marks: Marks::None },
    Field { name: "day of month", min: 1, max: 31, names: &[], marks: Marks::DayOfMonth },
    Field { name: "month", min: 1, max: 12, names: MONTHS, marks: Marks::None },
    Field { name: "weekday", min: 0, max: 7, names: WEEKDAYS, marks: Marks::Weekday },
];

/// Checks every field of an expression; the error is the message for its author.
pub(crate) fn check(expression: &str) -> Result<Accepted<'_>, String> {
    let expression = expression.trim();
    let fields = if expression.starts_with('@') { spell_out(expression)? } else { expression };
    let texts: Vec<&str> = fields.split_whitespace().collect();
    let checked = match texts.len() {
        5 => &FIELDS[1..],
        6 => &FIELDS[..],
        n => {
            return Err(format!(
                "it has {n} field{}; allowed are 5 (minute, hour, day of month, month, weekday), 6 with seconds in \
                 front, or a nickname such as @daily",
                if n == 1 { "" } else { "s" }
            ));
        }
    };
    for (field, text) in checked.iter().zip(&texts) {
        field.check(text).map_err(|why| format!("{}: {why}", field.name))?;
    }
    // Counted from the end, minute and hour are the same fields with seconds and without.
    let (minute, hour) = (texts[texts.len() - 5], texts[texts.len() - 4]);
    let kind = if minute.contains('*') || hour.contains('*') { Kind::Interval } else { Kind::Fixed };
    Ok(Accepted { fields, kind })
}

fn spell_out(nickname: &str) -> Result<&'static str, String> {
    match nickname.to_ascii_lowercase().as_str() {
        "@hourly" => Ok("0 * * * *"),
        "@daily" | "@midnight" => Ok("0 0 * * *"),
        "@weekly" => Ok("0 0 * * 0"),
        "@monthly" => Ok("0 0 1 * *"),
        "@yearly" | "@annually" => Ok("0 0 1 1 *"),
        _ => Err("the nicknames are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually".to_owned()),
    }
}

impl Field {
    fn check(&self, text: &str) -> Result<(), String> {
        let text = text.to_ascii_uppercase();
        if text == "*" || (text == "?" && self.marks != Marks::None) {
            return Ok(());
        }
        let items: Vec<&str> = text.split(',').collect();
        if items.contains(&"L") && items.contains(&"LW") {
            return Err("`L` and `LW` cannot stand in one list".to_owned());
        }
        items.into_iter().try_for_each(|item| self.check_item(item))
    }

    fn check_item(&self, item: &str) -> Result<(), String> {
        if item == "*" {
            return Err("`*` stands alone, not in a list".to_owned());
        }
        if self.is_marked(item) {
            return Ok(());
        }
        let (values, step) = match item.split_once('/') {
            Some((values, step)) => (values, Some(step)),
            None => (item, None),
        };
        let (first, last) = if values == "*" { (self.min, self.max) } else { self.range(values)? };
        match step {
            None => Ok(()),
            Some(_) if first == last => Err(format!(
                "`{item}` steps from a single value; write `*/n`, or a range such as `{first}-{}/n`",
                self.max
            )),
            Some(step) => match number(step) {
                Some(step) if 1 <= step && step <= last - first => Ok(()),
                _ => Err(format!("`{item}` steps by `{step}`; a step here is 1 to {}", last - first)),
            },
        }
    }

    fn range(&self, text: &str) -> Result<(u8, u8), String> {
        let Some((first_text, last_text)) = text.split_once('-') else {
            let value = self.value(text)?;
            return Ok((value, value));
        };
        let (first, mut last) = (self.value(first_text)?, self.value(last_text)?);
        if last_text == WEEKDAYS[0] && first_text != last_text {
            last = SUNDAY_AT_THE_END;
        }
        if first < last { Ok((first, last)) } else { Err(format!("`{text}` does not run upwards; write it as a list")) }
    }

    fn value(&self, text: &str) -> Result<u8, String> {
        let named = self.names.iter().zip(self.min..).find(|(name, _)| **name == text).map(|(_, value)| value);
        let numbered = number(text).filter(|value| (self.min..=self.max).contains(value));
        named.or(numbered).ok_or_else(|| match text {
            "" => format!("a value is missing; it is {}", self.allowed()),
            _ => format!("`{text}` is not {}", self.allowed()),
        })
    }

    fn is_marked(&self, item: &str) -> bool {
        let is_value = |text: &str| self.value(text).is_ok();
        match self.marks {
            Marks::None => false,
            Marks::DayOfMonth => item == "L" || item == "LW" || item.strip_suffix('W').is_some_and(is_value),
            Marks::Weekday => {
                item.strip_suffix('L').is_some_and(is_value)
                    || item.split_once('#').is_some_and(|(day, nth)| {
                        is_value(day) && number(nth).is_some_and(|nth| (1..=5).contains(&nth))
                    })
            }
        }
    }

    fn allowed(&self) -> String {
        let numbers = format!("a number from {} to {}", self.min, self.max);
        match (self.names, self.marks) {
            ([first, .., last], Marks::None) => format!("{numbers} or a name from {first} to {last}"),
            ([first, .., last], _) => format!("{numbers}, a name from {first} to {last}, `5L` or `5#2`"),
            (_, Marks::DayOfMonth) => format!("{numbers}, `L`, `LW` or `15W`"),
            _ => numbers,
        }
    }
}

/// Digits only: `u8::from_str` would take `+5`.
fn number(text: &str) -> Option<u8> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}
