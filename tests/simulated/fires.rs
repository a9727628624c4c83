//! Whether every night has its fire, by the calendar: neither a clock change nor a restart loses one or makes two.

use std::collections::BTreeMap;

use amikeep_domain::fire::FireOutcome;
use amikeep_ledger::{FireFilter, FireRow};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::simulated::house::House;

/// Of policies that fire once a day: each date of their zone since `begins_at` has been accounted for, and ran once at most.
pub(crate) async fn check(house: &House, daily: &[&str], begins_at: Timestamp) {
    for policy in daily {
        let rows = rows(house, policy).await;
        let timezone = house.policy_set.policies[&policy.parse().unwrap()].schedule.timezone().clone();
        let mut ran: BTreeMap<Date, u32> = BTreeMap::new();
        let mut told: BTreeMap<Date, u32> = BTreeMap::new();
        for row in &rows {
            for date in dates(row, &timezone) {
                *told.entry(date).or_default() += 1;
                *ran.entry(date).or_default() += u32::from(row.outcome == FireOutcome::Ran);
            }
        }
        let now = house.now().to_zoned(timezone.clone()).date();
        let first = begins_at.to_zoned(timezone.clone()).date().tomorrow().unwrap();
        let last = *told.keys().rfind(|date| **date <= now).unwrap();
        assert!(now.yesterday().unwrap() <= last, "{policy} fired last on {last}, and it is {now}");
        for date in first.series(1.day()).take_while(|date| *date <= last) {
            assert!(told.contains_key(&date), "the fire of {policy} on {date} is lost: {:#?}", lines(&rows));
            assert!(ran[&date] <= 1, "{policy} ran twice on {date}: {:#?}", lines(&rows));
        }
    }
}

/// One line for each row.
fn lines(rows: &[FireRow]) -> Vec<String> {
    let from = |row: &FireRow| row.missed_from.map(|from| format!(" from {from}")).unwrap_or_default();
    rows.iter()
        .map(|row| format!("{} {:?}{} at {}", row.scheduled_at, row.outcome, from(row), row.recorded_at))
        .collect()
}

async fn rows(house: &House, policy: &str) -> Vec<FireRow> {
    let filter = FireFilter { policy: Some(policy.parse().unwrap()), ..FireFilter::default() };
    let (mut rows, mut cursor) = (Vec::new(), None);
    loop {
        let page = house.reader().await.fires(&filter, 1_000, cursor.as_ref()).await.unwrap();
        rows.extend(page.rows);
        cursor = page.next;
        if cursor.is_none() {
            return rows;
        }
    }
}

/// The dates that a row stands for.
fn dates(row: &FireRow, timezone: &TimeZone) -> Vec<Date> {
    let date = |at: Timestamp| at.to_zoned(timezone.clone()).date();
    let (first, last) = (date(row.missed_from.unwrap_or(row.scheduled_at)), date(row.scheduled_at));
    first.series(1.day()).take_while(|date| *date <= last).collect()
}
