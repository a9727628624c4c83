//! What `check` found: in the file, and online.

use serde::Serialize;

use crate::table::{Cell, Column, Fit, Table, Tone};

/// The answer of `check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Check {
    /// What is wrong.
    pub errors: Vec<Finding>,
    /// What is doubtful.
    pub warnings: Vec<Finding>,
    /// What each account said; absent unless it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<Account>>,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// The line, from 1; null where no line is to blame.
    pub line: Option<usize>,
    /// The column in characters, from 1.
    pub column: Option<usize>,
    /// The key with the tables it is in; empty where no key is meant.
    pub key: String,
    /// What it is, and what is allowed.
    pub message: String,
    /// What to do.
    pub suggestion: Option<String>,
}

/// What one account said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// The configured name.
    pub account_name: String,
    /// The account of the credentials; null if they do not work.
    pub account: Option<String>,
    /// The region.
    pub region: String,
    /// The user or role, as an ARN.
    pub arn: Option<String>,
    /// Why the account cannot be used, where it cannot.
    pub error: Option<String>,
    /// How many instances each policy that is switched on matches there now; empty if they could not be listed.
    pub matches: Vec<Matches>,
    /// The calls that amikeep makes.
    pub permissions: Vec<Permission>,
}

/// What a policy finds in an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Matches {
    /// The policy.
    pub policy: String,
    /// How many instances it matches.
    pub instances: usize,
}

/// Whether one call is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Permission {
    /// The action, as IAM policies name it.
    pub action: String,
    /// `allowed`, `denied`, `not-checked` or `error`.
    pub outcome: &'static str,
    /// EC2's words, or why it was not checked.
    pub detail: Option<String>,
}

/// Whether the calls of an account are allowed.
pub fn table(account: &Account) -> Table {
    let columns =
        vec![Column::new("ACTION", Fit::Whole), Column::new("OUTCOME", Fit::Whole), Column::new("DETAIL", Fit::Wraps)];
    let row = |permission: &Permission| {
        let tone = match permission.outcome {
            "allowed" => Tone::Good,
            "not-checked" => Tone::Quiet,
            _ => Tone::Bad,
        };
        vec![
            Cell::plain(&permission.action),
            Cell::new(permission.outcome, tone),
            Cell::plain(permission.detail.clone().unwrap_or_default()),
        ]
    };
    Table { columns, rows: account.permissions.iter().map(row).collect() }
}

/// How many instances each policy matches in an account.
pub fn matches(account: &Account) -> Table {
    let columns = vec![Column::new("POLICY", Fit::Wraps), Column::new("INSTANCES IT MATCHES NOW", Fit::Whole)];
    let row = |matches: &Matches| {
        let tone = if matches.instances == 0 { Tone::Warning } else { Tone::Good };
        vec![Cell::plain(&matches.policy), Cell::new(matches.instances.to_string(), tone)]
    };
    Table { columns, rows: account.matches.iter().map(row).collect() }
}
