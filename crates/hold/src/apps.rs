//! Applications that hold their own writes still around a freeze.
//!
//! It owns which applications there are, what is common to them, and the order in which one is held. Nothing here may
//! wait without a limit, log, or show an address; and whatever an application was told to stop must start again by itself
//! if nobody tells it to.
//!
//! In the order of a hold, with the steps of the crate's own documentation between them:
//!
//! | call | when |
//! |---|---|
//! | [`Application::prepare`] | before anything is locked or frozen |
//! | [`Prepared::data`] | then, too: whether what will be frozen is all of this application's data, and no other's |
//! | [`Prepared::lock`] | after [`crate::Guard::prepare`] and the `pre` commands, right before [`crate::Guard::freeze`] |
//! | [`Locked::ping`] | right after the freeze, and before the capture |
//! | [`Locked::release`] | right after the thaw |
//!
//! The first may take seconds, and nobody notices. From the second on users wait. An answer to the third proves that the
//! lock was held through the freeze; it needs no file of the server. In the hold nothing else is asked of an application:
//! one that hangs in the freeze is left to hang.
//!
//! Like the rest of this crate, calls block: between the lock and its release the fewer parts must work the better, and a
//! lock that is dropped on any path, a panic or a cancelled task among them, has to be let go there and then, which only
//! a call that blocks can do. Each prepared application has a thread of its own, with a small runtime in it where a
//! database's client needs one, so no runtime of the caller has to be idle, or even there. That thread is also the
//! watchdog: when the time of the lock is over it lets go by itself. Should this process die or be stopped, the server
//! lets go when the connection ends, or when it has been silent for as long as the hold can last.

mod data;
mod mysql;
pub(crate) mod owner;
mod postgresql;
mod recorded;
pub(crate) mod redis;
mod secret;
mod session;
mod sql;

use std::io;
use std::time::Duration;

pub use crate::apps::data::{DataHeld, DataHere, DataHost, DataPlace, DataPlaces, Outside};
pub use crate::apps::owner::Link;
pub use crate::apps::recorded::{Recorded, tag_of};
pub use crate::apps::secret::Secret;
pub use crate::apps::session::{Locked, Prepared, Released};

/// Which application is held, and how: what a configuration says, but for the address, which is a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Application {
    /// None: the file systems alone are held.
    None,
    /// MySQL or MariaDB, at `mysql://user:password@host/` or `mysql://user:password@localhost/?socket=/run/mysqld/mysqld.sock`.
    Mysql(MysqlLock),
    /// PostgreSQL, at `postgresql://user:password@host/database`; `?host=/run/postgresql` is its socket.
    Postgresql,
    /// Redis, at `redis://user:password@host:port`, `rediss://` with TLS, or `unix://user:password@/path/of/socket`.
    Redis,
}

/// How MySQL and MariaDB are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MysqlLock {
    /// The lightest lock that covers tables of every engine: `BACKUP STAGE` on MariaDB 10.4 and later, elsewhere
    /// `FLUSH TABLES WITH READ LOCK`. The binary log's position is exact.
    #[default]
    EveryEngine,
    /// `FLUSH TABLES WITH READ LOCK`, wherever that is asked for.
    ReadLock,
    /// No lock: right where every table is InnoDB, which recovers from the image by its own log. The position is a lower
    /// bound.
    InnodbOnly,
    /// A replica: its applier is stopped and started again, and tables are flushed, instead of a lock.
    Replication,
}

impl MysqlLock {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::EveryEngine, Self::ReadLock, Self::InnodbOnly, Self::Replication];

    /// As the configuration calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EveryEngine => "every-engine",
            Self::ReadLock => "read-lock",
            Self::InnodbOnly => "innodb-only",
            Self::Replication => "replication",
        }
    }
}

/// How long a lock may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockLimits {
    /// The longest that is waited for the lock. Whoever waits for it holds up users too, so it is given up then.
    pub wait: Duration,
    /// The longest that it is held, from when it was got: the budget of the freeze and what comes around it. Whatever
    /// happens, it is let go then.
    pub hold: Duration,
}

impl Application {
    /// Connects, asks for the version, and finds out what can be found out before anything is locked.
    ///
    /// `address` is not needed for [`Application::None`]. It takes at most `limit`.
    pub fn prepare(self, address: Option<&Secret>, limit: Duration) -> Result<Prepared, AppError> {
        Prepared::connect(self, address, limit)
    }

    /// Whether an address can be read, without connecting to it.
    pub fn check_address(self, address: &Secret) -> Result<(), AppError> {
        match self {
            Self::None => Ok(()),
            Self::Mysql(_) => mysql::read_address(address).map(|_| ()),
            Self::Postgresql => postgresql::read_address(address).map(|_| ()),
            Self::Redis => redis::read_address(address).map(|_| ()),
        }
    }

    /// What is stopped stays stopped when this process dies, unlike any lock: after a crash in the hold
    /// [`Application::start_again`] has to be called.
    pub fn outlives_us(self) -> bool {
        matches!(self, Self::Mysql(MysqlLock::Replication))
    }

    /// Starts what a hold has stopped that ended in a crash. It does nothing where locks end by themselves, and where
    /// all is running. True if anything had to be started.
    pub fn start_again(self, address: &Secret, limit: Duration) -> Result<bool, AppError> {
        match self {
            Self::Mysql(MysqlLock::Replication) => mysql::start_again(address, limit),
            _ => Ok(false),
        }
    }

    /// As the configuration and a job's history call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Mysql(_) => "mysql",
            Self::Postgresql => "postgresql",
            Self::Redis => "redis",
        }
    }
}

/// The application could not be held still. Unless it says otherwise, it is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The connection's address cannot be read. The text is not told: it may hold a password.
    #[error("the address of the connection cannot be read: {why}")]
    Address {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The connection failed.
    #[error("failed to {doing}")]
    Connection {
        /// What was being done.
        doing: &'static str,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The application said no.
    #[error("the application refused to {doing}: {answer}")]
    Refused {
        /// What was asked of it.
        doing: &'static str,
        /// Its words.
        answer: String,
    },
    /// An answer that does not fit the question.
    #[error("the application's answer cannot be understood when asked to {doing}")]
    Answer {
        /// What was asked of it.
        doing: &'static str,
    },
    /// No answer.
    #[error("the application did not {doing} within {} ms", limit.as_millis())]
    Silent {
        /// What was asked of it.
        doing: &'static str,
        /// How long it was waited for.
        limit: Duration,
    },
    /// It did not stand still in time, and was let go.
    #[error("the application did not stand still within {} ms", limit.as_millis())]
    LockWait {
        /// How long it was waited for.
        limit: Duration,
    },
    /// The time of the lock was over before it was released, and it was let go.
    #[error("the application's lock was let go after {} ms, when its time was over", limit.as_millis())]
    Expired {
        /// How long it was held.
        limit: Duration,
    },
    /// Something that was stopped could not be started again. A human has to.
    #[error("the application is still stopped: {what}")]
    LeftStopped {
        /// What is stopped, and the command that starts it.
        what: &'static str,
        /// Why it could not be.
        #[source]
        source: Box<AppError>,
    },
    /// It is in no state to be imaged.
    #[error("the application is in no state to be imaged: {why}")]
    Unfit {
        /// Why, and what to do.
        why: String,
    },
}
