//! The week of the demo: seven nights in Berlin, with the one in which the clocks go back.

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// Monday evening before the first night.
const BEGINS_ON: Date = date(2026, 10, 19);
const NIGHTS: i8 = 7;
/// The number of the night in which 02:30 comes twice: from Saturday 24 to Sunday 25 October 2026.
pub(super) const CLOCK_CHANGE: i8 = 6;

/// One night.
#[derive(Debug, Clone)]
pub(super) struct Night {
    /// From 1.
    pub(super) number: i8,
    /// The day on which it ends.
    pub(super) date: Date,
    /// The noon before.
    pub(super) begins_at: Timestamp,
    /// Its noon.
    pub(super) ends_at: Timestamp,
}

/// The zone of the policies.
pub(super) fn zone() -> anyhow::Result<TimeZone> {
    Ok(amikeep_domain::schedule::timezone("Europe/Berlin")?)
}

/// When the week begins.
pub(super) fn begins_at() -> anyhow::Result<Timestamp> {
    Ok(zone()?.to_timestamp(BEGINS_ON.at(18, 0, 0, 0))?)
}

/// The nights, in their order.
pub(super) fn nights() -> anyhow::Result<Vec<Night>> {
    let zone = zone()?;
    let noon = |date: Date| zone.to_timestamp(date.at(12, 0, 0, 0));
    let mut nights = Vec::new();
    for number in 1..=NIGHTS {
        let date = BEGINS_ON.checked_add(Span::new().days(number))?;
        nights.push(Night { number, date, begins_at: noon(date.yesterday()?)?, ends_at: noon(date)? });
    }
    Ok(nights)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_past_two_comes_twice_in_the_night_of_the_clock_change_alone() {
        for night in nights().unwrap() {
            let civil = night.date.at(2, 30, 0, 0);
            let is_twice = zone().unwrap().to_ambiguous_timestamp(civil).is_ambiguous();
            assert_eq!(is_twice, night.number == CLOCK_CHANGE, "{civil}");
        }
    }
}
