//! Sums of jobs that are older than `history_keep`, by month.

use amikeep_domain::class::Consistency;
use amikeep_domain::grade::Grade;
use amikeep_ledger::{FireSummaryRow, SummaryRow};
use serde::Serialize;

use crate::table::{Cell, Column, Fit, Table, grade_cell};

/// The answer of `history --summary`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Jobs that are alike, a row for each month.
    pub months: Vec<Month>,
    /// Fires that are alike, a row for each month.
    pub fires: Vec<Fires>,
}

/// Jobs of one month that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Month {
    /// The month of their nominal times, in UTC: `2026-11`.
    pub month: String,
    /// Their policy.
    pub policy: String,
    /// The account, by its 12 digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// Their instance.
    pub instance_id: String,
    /// The class that applied.
    pub class: String,
    /// How the images were taken.
    pub mode: Option<&'static str>,
    /// The grade of the images.
    pub grade: Option<&'static str>,
    /// How they ended.
    pub state: &'static str,
    /// How many they are.
    pub jobs: u64,
    /// The average of their durations, in milliseconds.
    pub average_ms: Option<u64>,
    /// The longest of their durations, in milliseconds.
    pub max_ms: Option<u64>,
}

/// Fires of one month that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fires {
    /// The month of their nominal times, in UTC.
    pub month: String,
    /// Their policy.
    pub policy: String,
    /// The configured name of the account.
    pub account_name: String,
    /// What became of them.
    pub outcome: &'static str,
    /// How many they are.
    pub fires: u64,
    /// How many instances they matched in all.
    pub matched: u64,
}

impl Summary {
    /// From the rows of the ledger.
    pub fn new(jobs: &[SummaryRow], fires: &[FireSummaryRow]) -> Self {
        Self { months: jobs.iter().map(Month::from).collect(), fires: fires.iter().map(Fires::from).collect() }
    }
}

impl From<&SummaryRow> for Month {
    fn from(row: &SummaryRow) -> Self {
        Self {
            month: row.month.clone(),
            policy: row.policy.to_string(),
            account: row.account.to_string(),
            region: row.region.to_string(),
            instance_id: row.instance.to_string(),
            class: row.class.to_string(),
            mode: row.mode.map(Consistency::as_str),
            grade: row.grade.map(Grade::as_str),
            state: row.state.as_str(),
            jobs: row.jobs,
            average_ms: row.total_ms.checked_div(row.timed),
            max_ms: row.max_ms,
        }
    }
}

impl From<&FireSummaryRow> for Fires {
    fn from(row: &FireSummaryRow) -> Self {
        Self {
            month: row.month.clone(),
            policy: row.policy.to_string(),
            account_name: row.account_name.to_string(),
            outcome: row.outcome.as_str(),
            fires: row.fires,
            matched: row.matched,
        }
    }
}

/// One row for each sum of jobs.
pub fn table(months: &[Month]) -> Table {
    let columns = vec![
        Column::new("MONTH", Fit::Whole),
        Column::new("POLICY", Fit::Whole),
        Column::new("INSTANCE", Fit::Whole),
        Column::new("STATE", Fit::Whole),
        Column::new("JOBS", Fit::Whole),
        Column::new("GRADE", Fit::Optional(1)),
        Column::new("MODE", Fit::Optional(2)),
        Column::new("AVERAGE", Fit::Optional(3)),
    ];
    let row = |month: &Month| {
        vec![
            Cell::plain(&month.month),
            Cell::plain(&month.policy),
            Cell::plain(&month.instance_id),
            Cell::plain(month.state),
            Cell::plain(month.jobs.to_string()),
            grade_cell(month.grade),
            Cell::or_dash(month.mode),
            Cell::or_dash(month.average_ms.map(|ms| format!("{} s", ms / 1_000))),
        ]
    };
    Table { columns, rows: months.iter().map(row).collect() }
}

#[cfg(test)]
mod tests {
    use amikeep_domain::job::{StateName, Trigger};

    use super::*;

    #[test]
    fn a_sum_tells_the_average_of_what_was_timed() {
        let row = SummaryRow {
            month: "2025-03".to_owned(),
            policy: "db".parse().unwrap(),
            account: "111122223333".parse().unwrap(),
            region: "eu-central-1".parse().unwrap(),
            instance: "i-0123456789abcdef0".parse().unwrap(),
            trigger: Trigger::Schedule,
            class: "stateful".parse().unwrap(),
            mode: Some(Consistency::Reboot),
            grade: Some(Grade::Clean),
            state: StateName::Succeeded,
            jobs: 31,
            timed: 30,
            total_ms: 30 * 744_000,
            min_ms: Some(600_000),
            max_ms: Some(900_000),
            first_at: "2025-03-01T01:00:00Z".parse().unwrap(),
            last_at: "2025-03-31T00:00:00Z".parse().unwrap(),
        };
        let summary = Summary::new(std::slice::from_ref(&row), &[]);
        assert_eq!(summary.months[0].average_ms, Some(744_000));
        let cells: Vec<String> = table(&summary.months).rows.remove(0).into_iter().map(|cell| cell.text).collect();
        assert_eq!(cells, ["2025-03", "db", "i-0123456789abcdef0", "succeeded", "31", "clean", "reboot", "744 s"]);
        let untimed = SummaryRow { timed: 0, total_ms: 0, ..row };
        assert_eq!(Summary::new(&[untimed], &[]).months[0].average_ms, None);
    }
}
