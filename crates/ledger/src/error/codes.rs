//! What result codes of `SQLite` and errors of the operating system mean for whoever runs amikeep.

use std::io;
use std::path::Path;

use crate::error::FileError;

/// `SQLite`'s result codes, <https://www.sqlite.org/rescode.html>.
mod code {
    pub(super) const PERM: i32 = 3;
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const READONLY: i32 = 8;
    pub(super) const IOERR: i32 = 10;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const AUTH: i32 = 23;
    pub(super) const NOTADB: i32 = 26;

    /// The file `-shm` could not be made longer, which is how opening a ledger on a full disk ends.
    pub(super) const IOERR_SHMSIZE: i32 = IOERR | (19 << 8);
}

/// The result code, with its details in the higher bits.
fn extended_code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

fn primary_code(error: &sqlx::Error) -> Option<i32> {
    extended_code(error).map(|code| code & 0xff)
}

/// Whether `SQLite` does not recognise the file at all.
pub(crate) fn is_not_a_database(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(code::NOTADB)
}

impl FileError {
    /// Says what an error of the driver means for whoever runs amikeep.
    pub(crate) fn from_sql(path: &Path, error: sqlx::Error) -> Self {
        let path = path.to_path_buf();
        let detail = error.as_database_error().map(|it| it.message().to_owned()).unwrap_or_default();
        if extended_code(&error) == Some(code::IOERR_SHMSIZE) {
            return Self::DiskFull { path };
        }
        match primary_code(&error) {
            Some(code::CORRUPT | code::NOTADB) => Self::Corrupt { path, detail },
            Some(code::READONLY) => Self::ReadOnly { path },
            Some(code::FULL) => Self::DiskFull { path },
            Some(code::BUSY | code::LOCKED) => Self::Locked { path },
            Some(code::PERM | code::AUTH) => Self::Permission { path },
            Some(code::CANTOPEN) => Self::CannotOpen { path, detail },
            Some(code::IOERR) => Self::Disk { path, detail },
            _ => Self::Unexpected { path, source: Box::new(error) },
        }
    }

    /// The same for an error of the operating system.
    pub(crate) fn from_io(path: &Path, error: &io::Error) -> Self {
        let path = path.to_path_buf();
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::Permission { path },
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::CannotOpen { path, detail: error.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_operating_system_keeps_its_meaning() {
        let path = Path::new("/var/lib/amikeep/amikeep.db");
        let text = |errno: rustix::io::Errno| FileError::from_io(path, &errno.into()).to_string();
        assert!(text(rustix::io::Errno::ROFS).contains("is read-only"));
        assert!(text(rustix::io::Errno::ACCESS).starts_with("permission denied on /var/lib/amikeep/amikeep.db"));
        assert!(text(rustix::io::Errno::NOSPC).contains("is full"));
        assert!(text(rustix::io::Errno::DQUOT).contains("is full"));
        assert!(text(rustix::io::Errno::MFILE).contains("cannot be opened"));
    }
}
