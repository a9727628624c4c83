//! The names of one and the same thing in MySQL and MariaDB, by version.
//!
//! It owns words and no connection. Sources: MySQL 8.0.22 renames SLAVE to REPLICA and 8.4 takes the old words away;
//! MariaDB keeps the old words in every version, and has BACKUP STAGE since 10.4.

use std::fmt;

/// Product and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dialect {
    is_mariadb: bool,
    version: (u16, u16, u16),
}

impl Dialect {
    /// From what `VERSION()` says: `10.11.19-MariaDB-0+deb12u1`, `8.0.36`, and from old MariaDB `5.5.5-10.3.1-MariaDB`.
    pub(super) fn of(version: &str) -> Option<Self> {
        let is_mariadb = version.contains("MariaDB");
        let numbers = version.strip_prefix("5.5.5-").filter(|_| is_mariadb).unwrap_or(version);
        let end = numbers.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(numbers.len());
        let mut parts = numbers.get(..end)?.split('.').map(|part| part.parse().ok());
        let version = (parts.next()??, parts.next()??, parts.next().flatten().unwrap_or(0));
        Some(Self { is_mariadb, version })
    }

    /// Whether the backup lock covers tables of every engine.
    pub(super) fn has_backup_stages(&self) -> bool {
        self.is_mariadb && (10, 4, 0) <= self.version
    }

    fn has_new_words(&self) -> bool {
        !self.is_mariadb && (8, 0, 22) <= self.version
    }

    /// The columns `File` and `Position`, or no row if there is no binary log.
    pub(super) fn binlog_status(&self) -> &'static str {
        if !self.is_mariadb && (8, 4, 0) <= self.version { "SHOW BINARY LOG STATUS" } else { "SHOW MASTER STATUS" }
    }

    /// The column `gtid`: all that is in the server's own binary log.
    pub(super) fn gtid(&self) -> &'static str {
        if self.is_mariadb {
            "SELECT @@GLOBAL.gtid_binlog_pos AS gtid"
        } else {
            "SELECT @@GLOBAL.gtid_executed AS gtid"
        }
    }

    /// One row for each source.
    pub(super) fn replica_status(&self) -> &'static str {
        if self.has_new_words() { "SHOW REPLICA STATUS" } else { "SHOW SLAVE STATUS" }
    }

    /// Our names, and the columns that say up to where the source was applied.
    pub(super) fn replica_columns(&self) -> [(&'static str, &'static str); 2] {
        let file = if self.has_new_words() { "Relay_Source_Log_File" } else { "Relay_Master_Log_File" };
        let position = if self.has_new_words() { "Exec_Source_Log_Pos" } else { "Exec_Master_Log_Pos" };
        [("source_log_file", file), ("source_log_position", position)]
    }

    /// `Yes` or `No`: whether the applier runs.
    pub(super) fn applier_column(&self) -> &'static str {
        if self.has_new_words() { "Replica_SQL_Running" } else { "Slave_SQL_Running" }
    }

    /// The applier alone is stopped: what receives from the source goes on and, where the source waits for that, keeps
    /// its users from waiting.
    pub(super) fn stop_applier(&self) -> &'static str {
        if self.has_new_words() { "STOP REPLICA SQL_THREAD" } else { "STOP SLAVE SQL_THREAD" }
    }

    pub(super) fn start_applier(&self) -> &'static str {
        if self.has_new_words() { "START REPLICA SQL_THREAD" } else { "START SLAVE SQL_THREAD" }
    }

    /// For a human: what is stopped, and what starts it.
    pub(super) fn left_stopped(&self) -> &'static str {
        if self.has_new_words() {
            "replication; start it by START REPLICA SQL_THREAD"
        } else {
            "replication; start it by START SLAVE SQL_THREAD"
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, patch) = self.version;
        write!(f, "{} {major}.{minor}.{patch}", if self.is_mariadb { "mariadb" } else { "mysql" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: &str) -> Dialect {
        Dialect::of(version).unwrap()
    }

    #[test]
    fn products_and_versions_are_told_apart() {
        assert_eq!(of("10.11.19-MariaDB-0+deb12u1-log").to_string(), "mariadb 10.11.19");
        assert_eq!(of("5.5.5-10.3.1-MariaDB").to_string(), "mariadb 10.3.1");
        assert_eq!(of("8.0.36-0ubuntu0.22.04.1").to_string(), "mysql 8.0.36");
        assert_eq!(of("8.4").to_string(), "mysql 8.4.0");
        assert_eq!(Dialect::of("unknown"), None);
    }

    #[test]
    fn only_mariadb_since_10_4_has_a_backup_lock_for_every_engine() {
        let versions = ["10.3.9-MariaDB", "10.4.0-MariaDB", "11.4.2-MariaDB", "5.7.44", "8.0.36", "9.1.0"];
        assert_eq!(versions.map(|version| of(version).has_backup_stages()), [false, true, true, false, false, false]);
    }

    #[test]
    fn the_words_are_those_that_the_version_knows() {
        let words = |version: &str| (of(version).binlog_status(), of(version).stop_applier());
        assert_eq!(words("5.7.44"), ("SHOW MASTER STATUS", "STOP SLAVE SQL_THREAD"));
        assert_eq!(words("8.0.36"), ("SHOW MASTER STATUS", "STOP REPLICA SQL_THREAD"));
        assert_eq!(words("8.4.1"), ("SHOW BINARY LOG STATUS", "STOP REPLICA SQL_THREAD"));
        assert_eq!(words("10.11.19-MariaDB"), ("SHOW MASTER STATUS", "STOP SLAVE SQL_THREAD"));
    }
}
