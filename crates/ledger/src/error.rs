//! Every way in which the ledger can fail, each with the operation, its ids, and what to do about it.
//!
//! Nothing here shows a type of the database driver: [`FileError`] says what became of the file in the words of an
//! operator, and keeps the driver's own error only as an opaque source. What `SQLite`'s codes mean is in `codes`.

mod codes;

use std::path::{Path, PathBuf};

use amikeep_domain::id::{AccountId, AccountName, DeletionId, ImageId, JobId, PolicyName, Region, RequestId};
use amikeep_domain::job::IllegalTransition;
use amikeep_domain::prune::IllegalDeletion;

pub(crate) use crate::error::codes::is_not_a_database;

/// What the file or its disk refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// What is in the file contradicts itself, or could not be read: `SQLite` reports an error of the disk while it reads as
    /// damage.
    #[error(
        "the ledger {path} is damaged, or cannot be read ({detail}): stop amikeep and look into the kernel's log for errors \
         of its disk; a ledger is whole again once its disk is; else keep the file and those beside it for inspection, and \
         restore a backup as docs/ledger.md describes"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// Another file is at its path now, or none.
    #[error(
        "{path} is no longer the file that amikeep opened: it was moved, deleted or replaced meanwhile, and nothing more is \
         written; restart amikeep, which says what is missing, and stop it before you touch the ledger or the files beside it"
    )]
    Moved {
        /// The ledger, or the file of its lock.
        path: PathBuf,
    },
    /// Reading works, writing does not.
    #[error("the ledger {path} is read-only: remount its file system writable, or correct the mode of the file")]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// No room on the disk, or in the quota.
    #[error("the disk that holds the ledger {path} is full: free some space; all that was committed is safe")]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// No room on the disk for a second one.
    #[error(
        "the disk that holds the ledger {path} has no room for a copy of it: {free} bytes are free, and it takes {needed}: \
         free some space; what is left was not touched, and is the ledger's own"
    )]
    NoRoomToCopy {
        /// The ledger.
        path: PathBuf,
        /// Bytes that a copy takes, and those that have to stay free meanwhile.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// Another program held its lock longer than amikeep waits.
    #[error(
        "the ledger {path} is locked by another program: end it (`fuser {path}` names it; an open sqlite3 shell or a \
         copying tool is the usual one)"
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The operating system says no.
    #[error("permission denied on {path}: give the user that amikeep runs as access to the ledger and its directory")]
    Permission {
        /// The file or directory.
        path: PathBuf,
    },
    /// It cannot be opened, for a reason that `SQLite` does not tell.
    #[error(
        "the ledger {path} cannot be opened ({detail}): amikeep keeps two files beside it, -wal and -shm, and must be \
         allowed to create them in its directory"
    )]
    CannotOpen {
        /// The file.
        path: PathBuf,
        /// What was said.
        detail: String,
    },
    /// The disk failed.
    #[error(
        "reading or writing the ledger {path} failed ({detail}): look for a quota that is used up, and into the \
         kernel's log for errors of its disk"
    )]
    Disk {
        /// The file.
        path: PathBuf,
        /// What was said.
        detail: String,
    },
    /// Anything else: most likely a bug.
    #[error("the ledger {path} refused the operation")]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// What was said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Everything that the ledger's methods return as an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// There is no such file.
    #[error(
        "there is no ledger at {path}: the first start of `amikeep daemon` or `amikeep backup` creates it; if there should \
         be one, look at `database` under [daemon]"
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// There is no such file, and there was one.
    #[error(
        "there is no ledger at {path}, but {left} is left of one: restore a backup as docs/ledger.md describes, or move \
         {left} away to begin anew"
    )]
    Lost {
        /// Where it should be.
        path: PathBuf,
        /// What is left.
        left: PathBuf,
    },
    /// A new ledger has no directory to be in.
    #[error("the ledger {path} cannot be created: create its directory first, for the user that amikeep runs as")]
    NoDirectory {
        /// Where it should be.
        path: PathBuf,
    },
    /// The file is something else. It is left as it is.
    #[error(
        "{path} is no amikeep ledger: {detail}; it is left untouched: restore a backup, move it away, or set \
         `database` under [daemon] to another file"
    )]
    NotALedger {
        /// The file.
        path: PathBuf,
        /// What it seems to be.
        detail: String,
    },
    /// Written by a newer release.
    #[error(
        "the ledger {path} has schema {found}, and this amikeep knows {known} at most: install the newer release that \
         wrote it, or restore a backup from before the upgrade"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The schema of the file.
        found: i64,
        /// The newest schema that this release knows.
        known: i64,
    },
    /// Written by an older release, and only the engine may migrate it.
    #[error(
        "the ledger {path} has schema {found}, and this amikeep needs {known}: restart the daemon, which migrates it"
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// The schema of the file.
        found: i64,
        /// The schema that this release needs.
        known: i64,
    },
    /// A migration did not go through. The file is as it was before.
    #[error("the ledger {path} could not be migrated: {detail}")]
    Migrate {
        /// The file.
        path: PathBuf,
        /// What was said.
        detail: String,
    },
    /// The lock that was given belongs to another ledger.
    #[error("the engine's lock is on {locked}, and not on the ledger {path}")]
    OtherLock {
        /// The ledger.
        path: PathBuf,
        /// The ledger whose lock it is.
        locked: PathBuf,
    },
    /// The ledger was not opened for this.
    #[error("the ledger {path} was opened by a command that may not write this")]
    NotForWriting {
        /// The file.
        path: PathBuf,
    },
    /// What became of the file while it was opened or checked.
    #[error(transparent)]
    File(#[from] FileError),

    /// A value that this release cannot have written.
    #[error("table {table}, row {row}: the value of {column} cannot be read")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The key of the row.
        row: String,
    },
    /// An event that cannot follow.
    #[error(transparent)]
    IllegalTransition(#[from] IllegalTransition),
    /// The stored job is not the one that the event was meant for.
    #[error("job {job} was changed by somebody else, so the event `{event}` was not recorded")]
    Conflict {
        /// The job.
        job: JobId,
        /// The event.
        event: &'static str,
    },
    /// There is no such job.
    #[error("there is no job {job}")]
    UnknownJob {
        /// The job.
        job: JobId,
    },
    /// An event that cannot follow.
    #[error(transparent)]
    IllegalDeletion(#[from] IllegalDeletion),
    /// The stored deletion is not the one that the event was meant for.
    #[error("deletion {deletion} was changed by somebody else, so the event `{event}` was not recorded")]
    DeletionConflict {
        /// The deletion.
        deletion: DeletionId,
        /// The event.
        event: &'static str,
    },
    /// There is no such deletion.
    #[error("there is no deletion {deletion}")]
    UnknownDeletion {
        /// The deletion.
        deletion: DeletionId,
    },
    /// No image of this id was ever made by a job.
    #[error("there is no image {image}")]
    UnknownImage {
        /// The image.
        image: ImageId,
    },
    /// There is no such request.
    #[error("there is no request {request}")]
    UnknownRequest {
        /// The request.
        request: RequestId,
    },
    /// The request was planned, done or refused before.
    #[error("request {request} is settled already")]
    RequestSettled {
        /// The request.
        request: RequestId,
    },
    /// Every nominal time that a manual job could have had is taken.
    #[error("request {request} finds no free second for its job")]
    NoFreeTime {
        /// The request.
        request: RequestId,
    },

    /// A start or a stop was not recorded.
    #[error("failed to record the {what} of the engine")]
    RecordRun {
        /// Which of the two.
        what: &'static str,
        /// Why.
        source: FileError,
    },
    /// What was learnt of an account was not recorded.
    #[error("failed to record what was learnt of account {account}")]
    RecordAccount {
        /// The account.
        account: AccountName,
        /// Why.
        source: FileError,
    },
    /// An inventory was not recorded.
    #[error("failed to record an inventory of account {account}")]
    RecordInventory {
        /// The account.
        account: AccountName,
        /// Why.
        source: FileError,
    },
    /// A cursor was not recorded.
    #[error("failed to record how far policy {policy} is planned in account {account}")]
    RecordCursor {
        /// The policy.
        policy: PolicyName,
        /// The account.
        account: AccountName,
        /// Why.
        source: FileError,
    },
    /// Some cursors were not recorded.
    #[error("failed to record how far {count} policies are planned")]
    RecordCursors {
        /// How many.
        count: usize,
        /// Why.
        source: FileError,
    },
    /// A fire was not recorded.
    #[error("failed to record a fire of policy {policy} in account {account}")]
    RecordFire {
        /// The policy.
        policy: PolicyName,
        /// The account.
        account: AccountName,
        /// Why.
        source: FileError,
    },
    /// A request, or what became of it, was not recorded.
    #[error("failed to record request {request}")]
    RecordRequest {
        /// The request.
        request: RequestId,
        /// Why.
        source: FileError,
    },
    /// An event was not recorded.
    #[error("failed to record the event `{event}` of job {job}")]
    RecordEvent {
        /// The job.
        job: JobId,
        /// The event.
        event: &'static str,
        /// Why.
        source: FileError,
    },
    /// Several events were not recorded; none of them was.
    #[error("failed to record {count} events")]
    RecordEvents {
        /// How many.
        count: usize,
        /// Why.
        source: FileError,
    },
    /// A listing was not recorded.
    #[error("failed to record the images seen in account {account}, {region}")]
    RecordImagesSeen {
        /// The account.
        account: AccountId,
        /// The region.
        region: Region,
        /// Why.
        source: FileError,
    },
    /// A prune was not recorded, and nothing may be deleted for it.
    #[error("failed to record a prune with {deletions} deletions")]
    RecordPrune {
        /// How many deletions it had.
        deletions: usize,
        /// Why.
        source: FileError,
    },
    /// An event of a deletion was not recorded.
    #[error("failed to record the event `{event}` of deletion {deletion}")]
    RecordDeletion {
        /// The deletion.
        deletion: DeletionId,
        /// The event.
        event: &'static str,
        /// Why.
        source: FileError,
    },
    /// A pin, or that it is gone, was not recorded.
    #[error("failed to record whether image {image} is pinned")]
    RecordPinned {
        /// The image.
        image: ImageId,
        /// Why.
        source: FileError,
    },
    /// Images whose rows were lost were not taken in; none of them was.
    #[error("failed to take in {count} images")]
    RecordLost {
        /// How many.
        count: usize,
        /// Why.
        source: FileError,
    },
    /// No copy of the ledger was made. Those that were there still are.
    #[error("failed to back up the ledger {path}")]
    BackUp {
        /// The ledger.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
    /// Old jobs were not summarised. All of them are still there.
    #[error("failed to summarise old jobs")]
    Summarise {
        /// Why.
        source: FileError,
    },
    /// A question was not answered.
    #[error("failed to read {what}")]
    Read {
        /// What was asked for.
        what: String,
        /// Why.
        source: FileError,
    },
}

impl FileError {
    /// Whether waiting mends nothing, and what is there now should be left as it is.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Moved { .. })
    }

    /// Whether the disk itself refuses. When it is back, what was opened before may be of no use any more.
    pub fn is_of_disk(&self) -> bool {
        matches!(self, Self::Disk { .. })
    }
}

impl LedgerError {
    /// What the file or its disk refused, where that is the cause: a full disk is waited out, a damaged file is not.
    pub fn file_error(&self) -> Option<&FileError> {
        match self {
            Self::File(source)
            | Self::RecordRun { source, .. }
            | Self::RecordAccount { source, .. }
            | Self::RecordInventory { source, .. }
            | Self::RecordCursor { source, .. }
            | Self::RecordCursors { source, .. }
            | Self::RecordFire { source, .. }
            | Self::RecordRequest { source, .. }
            | Self::RecordEvent { source, .. }
            | Self::RecordEvents { source, .. }
            | Self::RecordImagesSeen { source, .. }
            | Self::RecordPrune { source, .. }
            | Self::RecordDeletion { source, .. }
            | Self::RecordPinned { source, .. }
            | Self::RecordLost { source, .. }
            | Self::BackUp { source, .. }
            | Self::Summarise { source }
            | Self::Read { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// An error inside a use-case, before it is known which one: the driver's own, or one that is complete already.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The driver's, still without the operation.
    Sql(sqlx::Error),
    /// Complete.
    Ledger(LedgerError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl Failure {
    /// Completes the error by the operation during which it came.
    pub(crate) fn during(self, path: &Path, operation: impl FnOnce(FileError) -> LedgerError) -> LedgerError {
        match self {
            Self::Sql(error) => operation(FileError::from_sql(path, error)),
            Self::Ledger(error) => error,
        }
    }
}
