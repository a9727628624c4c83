//! Backups of the ledger: one a day, by the daemon, beside everything else.
//!
//! What is due follows from the backups that are there, so restarts and nights without power neither skip nor repeat one.
//! A backup that fails stops nothing: it is told until one succeeds, and tried again within the hour.

use amikeep_domain::policy::saturating_add;
use amikeep_ledger::{Backup, FileError, Ledger, LedgerError};
use jiff::{SignedDuration, Timestamp};
use tracing::{error, info};

use crate::error::Told;

/// The time from one backup to the next: nothing older than this is lost with a disk that keeps its files.
const EVERY: SignedDuration = SignedDuration::from_hours(24);
/// A disk that was full may have room by then.
const RETRY_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// When the next backup of the ledger is due, and what became of the last.
#[derive(Debug, Default)]
pub(crate) struct LedgerBackups {
    /// How many are kept; none are made for 0.
    kept: usize,
    /// Unknown until the backups that are there were looked at.
    due_at: Option<Timestamp>,
    is_under_way: bool,
    trouble: Option<String>,
}

impl LedgerBackups {
    pub(crate) fn keeping(kept: usize) -> Self {
        Self { kept, ..Self::default() }
    }

    /// How many are kept, if one is to be made now. It counts as under way from then on.
    pub(crate) fn begin(&mut self, ledger: &Ledger, now: Timestamp) -> Option<usize> {
        if self.kept == 0 || self.is_under_way {
            return None;
        }
        let due_at = self.due_at.unwrap_or_else(|| first_due_at(ledger, now));
        self.due_at = Some(due_at);
        // One that is further off than a day was computed by a clock that has been set back.
        let is_due = due_at <= now || saturating_add(now, EVERY) < due_at;
        self.is_under_way = is_due;
        is_due.then_some(self.kept)
    }

    /// Takes in how it ended. Damage that it found is handed back: it concerns everybody.
    pub(crate) fn take(&mut self, result: Result<Backup, LedgerError>, now: Timestamp) -> Result<(), LedgerError> {
        self.is_under_way = false;
        match result {
            Ok(backup) => {
                info!("the ledger was copied to {}", backup.path.display());
                self.due_at = Some(saturating_add(backup.taken_at, EVERY));
                self.trouble = None;
                Ok(())
            }
            Err(error) => {
                error!("{}; it is tried again within the hour", Told(&error));
                self.fail(&Told(&error), now);
                if error.file_error().is_some_and(FileError::is_final) { Err(error) } else { Ok(()) }
            }
        }
    }

    pub(crate) fn panicked(&mut self, now: Timestamp) {
        self.is_under_way = false;
        self.fail(&"a task panicked", now);
    }

    fn fail(&mut self, why: &dyn std::fmt::Display, now: Timestamp) {
        self.due_at = Some(saturating_add(now, RETRY_AFTER));
        self.trouble = Some(why.to_string());
    }

    /// Why the last one failed, until one succeeds.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }
}

/// A backup from the future was named by a clock that was wrong, and says nothing. Backups that cannot be listed are a
/// reason to make one: what is wrong shows then.
fn first_due_at(ledger: &Ledger, now: Timestamp) -> Timestamp {
    let backups = ledger.backups().unwrap_or_default();
    let newest = backups.into_iter().map(|backup| backup.taken_at).find(|taken_at| *taken_at <= now);
    newest.map_or(now, |taken_at| saturating_add(taken_at, EVERY))
}

#[cfg(test)]
mod tests {
    use amikeep_ledger::{EngineLock, Holder};

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    async fn ledger(dir: &tempfile::TempDir) -> (EngineLock, Ledger) {
        let path = dir.path().join("amikeep.db");
        let holder = Holder { pid: 1, command: "amikeep daemon".to_owned(), started_at: at("2026-11-22T00:00:00Z") };
        let lock = EngineLock::acquire(&path, &holder).unwrap();
        let ledger = Ledger::open_for_engine(&path, &lock).await.unwrap();
        (lock, ledger)
    }

    #[tokio::test]
    async fn one_is_made_a_day_whatever_was_restarted_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let (_lock, ledger) = ledger(&dir).await;
        let mut made = Vec::new();
        let mut backups = LedgerBackups::keeping(7);
        for hour in 0..72 {
            if hour % 5 == 0 {
                backups = LedgerBackups::keeping(7);
            }
            let now = at("2026-11-22T01:00:00Z") + SignedDuration::from_hours(hour);
            if let Some(kept) = backups.begin(&ledger, now) {
                assert_eq!(backups.begin(&ledger, now), None, "it is under way");
                backups.take(ledger.back_up(now, kept).await, now).unwrap();
                made.push(hour);
            }
        }
        assert_eq!(made, [0, 24, 48]);
        assert_eq!(LedgerBackups::keeping(0).begin(&ledger, at("2030-01-01T00:00:00Z")), None);
    }

    #[tokio::test]
    async fn a_clock_that_was_ahead_holds_none_up() {
        let dir = tempfile::tempdir().unwrap();
        let (_lock, ledger) = ledger(&dir).await;
        let ahead = at("2027-11-22T01:00:00Z");
        let mut backups = LedgerBackups::keeping(7);
        let kept = backups.begin(&ledger, ahead).unwrap();
        backups.take(ledger.back_up(ahead, kept).await, ahead).unwrap();
        let now = at("2026-11-22T01:00:00Z");
        assert_eq!(backups.begin(&ledger, now), Some(7), "in the same process");
        assert_eq!(LedgerBackups::keeping(7).begin(&ledger, now), Some(7), "and after a restart");
    }

    #[tokio::test]
    async fn one_that_fails_is_told_and_tried_again_within_the_hour() {
        let dir = tempfile::tempdir().unwrap();
        let (_lock, ledger) = ledger(&dir).await;
        std::fs::write(dir.path().join("amikeep.db.backups"), "no directory").unwrap();
        let mut backups = LedgerBackups::keeping(7);
        let now = at("2026-11-22T01:00:00Z");
        let kept = backups.begin(&ledger, now).unwrap();
        backups.take(ledger.back_up(now, kept).await, now).unwrap();
        assert!(backups.trouble().unwrap().starts_with("failed to back up the ledger"), "{:?}", backups.trouble());
        assert_eq!(backups.begin(&ledger, at("2026-11-22T01:59:59Z")), None);
        std::fs::remove_file(dir.path().join("amikeep.db.backups")).unwrap();
        let later = at("2026-11-22T02:00:00Z");
        let kept = backups.begin(&ledger, later).unwrap();
        backups.take(ledger.back_up(later, kept).await, later).unwrap();
        assert_eq!(backups.trouble(), None);
    }
}
