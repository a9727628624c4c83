//! Figures about all there is, for whoever asks every few seconds: what `/metrics` shows of the ledger.
//!
//! None of them may cost more the longer the ledger lives. What has ended is read from `tallies`, which triggers keep and
//! from which nothing is ever taken away; what is open is found by indices that hold little else; and of images an index
//! is read that has the existing ones alone. Each figure is right by itself. They are read one after another, so a job
//! that ends meanwhile may be in two of them or in none.

use std::fs;
use std::path::Path;

use amikeep_domain::class::Consistency;
use amikeep_domain::fire::FireOutcome;
use amikeep_domain::grade::Grade;
use amikeep_domain::id::{AccountName, PolicyName};
use amikeep_domain::job::StateName;
use amikeep_domain::prune::DeletionStateName;
use jiff::Timestamp;
use rustix::fs::statvfs;

use crate::accounts::AccountSeen;
use crate::error::{Failure, LedgerError};
use crate::field::Place;
use crate::ledger::Ledger;
use crate::open::with_suffix;
use crate::sql;

/// The figures of a ledger.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Everything that has ended, by how it ended.
    pub tallies: Vec<Tally>,
    /// The newest fire of each policy that was neither missed nor skipped.
    pub last_fires: Vec<LastFire>,
    /// The jobs of the newest fires that gave any, by state.
    pub last_jobs: Vec<LastJobs>,
    /// How many jobs are in each state that is not an end; states without any are left out.
    pub open_jobs: Vec<(StateName, u64)>,
    /// How many of them are stalled.
    pub stalled_jobs: u64,
    /// The images that retention keeps count of.
    pub images: Vec<ImageFigure>,
    /// How many deletions are under way in each state; states without any are left out.
    pub open_deletions: Vec<(DeletionStateName, u64)>,
    /// The accounts, as they answered last.
    pub accounts: Vec<AccountSeen>,
    /// How many holds left something that may still be frozen.
    pub left_frozen: u64,
    /// When retention was last applied.
    pub last_prune_at: Option<Timestamp>,
}

/// How many of one policy ended in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The policy.
    pub policy: PolicyName,
    /// The configured name of the account.
    pub account_name: AccountName,
    /// What ended, and how.
    pub ended: Ended,
    /// How many there were, ever.
    pub count: u64,
    /// When the last one ended, by the clock of the host; of fires, the last nominal time.
    pub last_at: Timestamp,
}

/// What ended, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// A fire; each nominal time of those that were missed in a row counts.
    Fire(FireOutcome),
    /// A job that succeeded. Both are unknown only of what very old rows no longer tell.
    Succeeded {
        /// How its image was taken.
        mode: Option<Consistency>,
        /// What the image is worth.
        grade: Option<Grade>,
    },
    /// A job that failed, with the code of its error; empty for those that were summed up before codes were counted.
    Failed(String),
    /// A job that was skipped, with the word for why.
    Skipped(String),
    /// A deletion: done, refused or withdrawn.
    Deletion(DeletionStateName),
}

/// A fire that ran, or that matched nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastFire {
    /// Its policy.
    pub policy: PolicyName,
    /// The configured name of the account.
    pub account_name: AccountName,
    /// Its nominal time.
    pub scheduled_at: Timestamp,
    /// How many instances it matched.
    pub matched: u64,
}

/// Jobs of the newest fire of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastJobs {
    /// The policy.
    pub policy: PolicyName,
    /// The configured name of the account.
    pub account_name: AccountName,
    /// Their state.
    pub state: StateName,
    /// How many.
    pub count: u64,
}

/// Images of one policy and grade that are available.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFigure {
    /// Their policy.
    pub policy: PolicyName,
    /// The configured name of the account.
    pub account_name: AccountName,
    /// Their grade.
    pub grade: Grade,
    /// How many.
    pub count: u64,
    /// When the newest was captured, by EC2's clock.
    pub newest_at: Timestamp,
}

/// What the files of a ledger take, and what is left for them, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Files {
    /// The ledger.
    pub ledger: u64,
    /// Its log, which is written first.
    pub log: u64,
    /// What this user may still write where they are.
    pub free: u64,
}

#[derive(sqlx::FromRow)]
struct TallyRow {
    kind: String,
    policy: String,
    account_name: String,
    outcome: String,
    detail: String,
    mode: String,
    ended: i64,
    last_at: i64,
}

impl TryFrom<TallyRow> for Tally {
    type Error = LedgerError;

    fn try_from(row: TallyRow) -> Result<Self, LedgerError> {
        let at = Place::new("tallies", &row.policy);
        let ended = match (row.kind.as_str(), row.outcome.as_str()) {
            ("fire", outcome) => Ended::Fire(at.word("outcome", outcome, &FireOutcome::ALL, FireOutcome::as_str)?),
            ("job", "succeeded") => Ended::Succeeded {
                mode: some(&row.mode)
                    .map(|mode| at.word("mode", mode, &Consistency::ALL, Consistency::as_str))
                    .transpose()?,
                grade: at.parse_some("detail", some(&row.detail))?,
            },
            ("job", "failed") => Ended::Failed(row.detail),
            ("job", "skipped") => Ended::Skipped(row.detail),
            ("deletion", outcome) => {
                Ended::Deletion(at.word("outcome", outcome, &DeletionStateName::ALL, DeletionStateName::as_str)?)
            }
            _ => return Err(at.inconsistent("kind")),
        };
        Ok(Self {
            policy: at.parse("policy", &row.policy)?,
            account_name: at.parse("account_name", &row.account_name)?,
            ended,
            count: at.number("ended", row.ended)?,
            last_at: at.time("last_at", row.last_at)?,
        })
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

impl Ledger {
    /// The figures as they are now.
    pub async fn figures(&self) -> Result<Figures, LedgerError> {
        let accounts = self.accounts().await?;
        let holds = self.open_holds().await?;
        let left_frozen = holds.iter().filter(|(_, record)| !record.left.is_empty()).count() as u64;
        let last_prune_at = self.prunes(1).await?.first().map(|prune| prune.planned_at);
        let result = async {
            let (open_jobs, stalled_jobs) = self.open_job_counts().await?;
            Ok(Figures {
                tallies: self.tallies().await?,
                last_fires: self.last_fires().await?,
                last_jobs: self.last_jobs().await?,
                open_jobs,
                stalled_jobs,
                images: self.image_figures().await?,
                open_deletions: self.open_deletion_counts().await?,
                accounts,
                left_frozen,
                last_prune_at,
            })
        };
        self.explain_read(result.await, "its figures")
    }

    /// How large the files of the ledger are.
    pub fn files(&self) -> Result<Files, LedgerError> {
        let size = |path: &Path| fs::metadata(path).map(|found| found.len());
        let free = || statvfs(self.path()).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        let files = || -> std::io::Result<Files> {
            // There is no log before the first write.
            let log = size(&with_suffix(self.path(), "-wal")).unwrap_or(0);
            Ok(Files { ledger: size(self.path())?, log, free: free()? })
        };
        let what = || "the size of its files".to_owned();
        files().map_err(|error| LedgerError::Read {
            what: what(),
            source: crate::error::FileError::from_io(self.path(), &error),
        })
    }

    async fn tallies(&self) -> Result<Vec<Tally>, Failure> {
        let rows: Vec<TallyRow> = sqlx::query_as(sql::TALLIES).fetch_all(self.readers()).await?;
        Ok(rows.into_iter().map(Tally::try_from).collect::<Result<_, _>>()?)
    }

    async fn last_fires(&self) -> Result<Vec<LastFire>, Failure> {
        let rows: Vec<(String, String, i64, i64)> = sqlx::query_as(sql::LAST_FIRES).fetch_all(self.readers()).await?;
        let fire = |(policy, account_name, scheduled_at, matched): (String, String, i64, i64)| {
            let at = Place::new("fires", &policy);
            Ok(LastFire {
                policy: at.parse("policy", &policy)?,
                account_name: at.parse("account_name", &account_name)?,
                scheduled_at: at.time("scheduled_at", scheduled_at)?,
                matched: at.number("matched", matched)?,
            })
        };
        Ok(rows.into_iter().map(fire).collect::<Result<_, LedgerError>>()?)
    }

    async fn last_jobs(&self) -> Result<Vec<LastJobs>, Failure> {
        let rows: Vec<(String, String, String, i64)> = sqlx::query_as(sql::LAST_JOBS).fetch_all(self.readers()).await?;
        let jobs = |(policy, account_name, state, count): (String, String, String, i64)| {
            let at = Place::new("jobs", &policy);
            Ok(LastJobs {
                policy: at.parse("policy", &policy)?,
                account_name: at.parse("account_name", &account_name)?,
                state: at.word("state", &state, &StateName::ALL, StateName::as_str)?,
                count: at.number("state", count)?,
            })
        };
        Ok(rows.into_iter().map(jobs).collect::<Result<_, LedgerError>>()?)
    }

    async fn open_job_counts(&self) -> Result<(Vec<(StateName, u64)>, u64), Failure> {
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(sql::OPEN_JOB_COUNTS).fetch_all(self.readers()).await?;
        let (mut counts, mut stalled) = (Vec::new(), 0);
        for (state, count, of_those_stalled) in rows {
            let at = Place::new("jobs", &state);
            let name = at.word("state", &state, &StateName::ALL, StateName::as_str)?;
            counts.push((name, at.number("state", count)?));
            stalled += at.number::<u64>("data", of_those_stalled)?;
        }
        Ok((counts, stalled))
    }

    async fn image_figures(&self) -> Result<Vec<ImageFigure>, Failure> {
        let query = sqlx::query_as(sql::IMAGE_COUNTS_BY_GRADE);
        let rows: Vec<(String, String, String, i64, i64)> = query.fetch_all(self.readers()).await?;
        let images = |(policy, account_name, grade, count, newest_at): (String, String, String, i64, i64)| {
            let at = Place::new("images", &policy);
            Ok(ImageFigure {
                policy: at.parse("policy", &policy)?,
                account_name: at.parse("account_name", &account_name)?,
                grade: at.parse("grade", &grade)?,
                count: at.number("counts", count)?,
                newest_at: at.time("captured_at", newest_at)?,
            })
        };
        Ok(rows.into_iter().map(images).collect::<Result<_, LedgerError>>()?)
    }

    async fn open_deletion_counts(&self) -> Result<Vec<(DeletionStateName, u64)>, Failure> {
        let query = sqlx::query_as(sql::OPEN_DELETION_COUNTS);
        let rows: Vec<(String, i64)> = query.fetch_all(self.readers()).await?;
        let count = |(state, count): (String, i64)| {
            let at = Place::new("deletions", &state);
            let name = at.word("state", &state, &DeletionStateName::ALL, DeletionStateName::as_str)?;
            Ok((name, at.number("state", count)?))
        };
        Ok(rows.into_iter().map(count).collect::<Result<_, LedgerError>>()?)
    }
}

#[cfg(test)]
mod tests;
