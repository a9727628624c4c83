//! Cron expressions and time zones: the first line of the input, and its second. The third is where to begin.

use amikeep_domain::schedule::{Due, Schedule};
use jiff::Timestamp;

use crate::head;

/// How many occurrences are looked at.
const OCCURRENCES_MAX: usize = 12;

/// Where to begin if the input does not say so.
const START: Timestamp = Timestamp::UNIX_EPOCH;

/// A schedule that is accepted is the same when it is read again, and its four ways of telling when it fires agree.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let ([expression, zone, start], _) = head(text);
    let schedule = match Schedule::parse(expression, zone) {
        Ok(schedule) => schedule,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let again = Schedule::parse(schedule.expression(), schedule.timezone_name()).expect("it was accepted before");
    assert_eq!(again, schedule);
    assert_eq!(again.fingerprint(), schedule.fingerprint());
    check_occurrences(&schedule, start.parse().unwrap_or(START));
}

fn check_occurrences(schedule: &Schedule, start: Timestamp) {
    let occurrences: Vec<Timestamp> = schedule.between(start, Timestamp::MAX).take(OCCURRENCES_MAX).collect();
    let mut before = start;
    for (index, at) in occurrences.iter().enumerate() {
        assert!(before < *at, "{at} comes after {before}");
        assert_eq!(schedule.next_after(before), Some(*at), "after {before}");
        assert_eq!(schedule.latest_between(start, *at), Some(*at));
        let due = Due { first: occurrences[0], latest: *at, count: index as u64 + 1 };
        assert_eq!(schedule.summary(start, *at), Some(due));
        before = *at;
    }
    if let Some(first) = occurrences.first() {
        let just_before = *first - jiff::SignedDuration::from_nanos(1);
        assert_eq!(schedule.latest_between(start, just_before), None);
    }
}
