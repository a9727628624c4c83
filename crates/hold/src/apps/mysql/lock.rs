//! What each way of holding MySQL still consists of: statements, in order.
//!
//! It owns no connection and no limit.

use std::time::Duration;

use crate::apps::mysql::dialect::Dialect;
use crate::apps::{AppError, MysqlLock};

/// A way of holding, chosen by what was asked for and what the server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    BackupStages,
    ReadLock,
    InnodbOnly,
    Replication,
}

/// The server's code for a lock that did not come in its own limit.
const LOCK_WAIT_TIMEOUT: &str = "Lock wait timeout exceeded";

impl Method {
    pub(super) fn of(lock: MysqlLock, dialect: &Dialect) -> Self {
        match lock {
            MysqlLock::EveryEngine if dialect.has_backup_stages() => Self::BackupStages,
            MysqlLock::EveryEngine | MysqlLock::ReadLock => Self::ReadLock,
            MysqlLock::InnodbOnly => Self::InnodbOnly,
            MysqlLock::Replication => Self::Replication,
        }
    }

    /// As it is recorded.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::BackupStages => "backup stage",
            Self::ReadLock => "read lock",
            Self::InnodbOnly => "none",
            Self::Replication => "replication stopped",
        }
    }

    pub(super) fn lock(self, dialect: &Dialect) -> Vec<&'static str> {
        match self {
            // FLUSH closes tables without a log and stops writes to them, BLOCK_DDL waits for those under way, and
            // BLOCK_COMMIT stops commits and the binary log. Long queries that only read are waited for by none.
            Self::BackupStages => {
                vec!["BACKUP STAGE START", "BACKUP STAGE FLUSH", "BACKUP STAGE BLOCK_DDL", "BACKUP STAGE BLOCK_COMMIT"]
            }
            Self::ReadLock => vec!["FLUSH TABLES WITH READ LOCK"],
            // With innodb_flush_log_at_trx_commit = 0 a commit is in memory for up to a second.
            Self::InnodbOnly => vec!["FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS"],
            Self::Replication => vec![dialect.stop_applier(), "FLUSH NO_WRITE_TO_BINLOG TABLES"],
        }
    }

    pub(super) fn unlock(self) -> Option<&'static str> {
        match self {
            Self::BackupStages => Some("BACKUP STAGE END"),
            Self::ReadLock => Some("UNLOCK TABLES"),
            Self::InnodbOnly | Self::Replication => None,
        }
    }
}

/// Whoever's limit it was that passed first, it was the lock that did not come.
pub(super) fn in_words_of_the_lock(error: AppError, limit: Duration) -> AppError {
    match error {
        AppError::Silent { doing: "stand still", .. } => AppError::LockWait { limit },
        AppError::Refused { answer, .. } if answer.starts_with(LOCK_WAIT_TIMEOUT) => AppError::LockWait { limit },
        other => other,
    }
}
