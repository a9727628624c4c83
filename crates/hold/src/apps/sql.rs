//! What MySQL and PostgreSQL have in common here: a client that is asynchronous, in a thread that is not.
//!
//! It owns that every question has a limit, that a certificate authority which an address names is asked, and that no error
//! of the client says more than it may. The client's own
//! logging is off: a question of amikeep's that takes long must not be written to a log that may be frozen.

use std::io;
use std::time::Duration;

use sqlx::{Database, Decode, Row};

use crate::apps::{AppError, Secret};

/// MySQL's `caching_sha2_password` is answered with the password itself, and so over TLS alone. Without that it would be
/// encrypted with a key of the server's, in a way that the client was built without.
pub(super) const IN_CLEAR: &str = "an account that logs in by caching_sha2_password takes an encrypted connection: \
    leave `ssl-mode=DISABLED` out of the address, or let the server speak TLS";

/// Whether an address names a certificate authority, under one of these keys. The client would not ask it unless the mode
/// says so too, and whoever names one means that it is asked.
pub(super) fn names_authority(address: &str, keys: &[&str]) -> bool {
    let query = address.split_once('?').map_or("", |(_, query)| query);
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.any(|(key, value)| keys.contains(&key) && !value.is_empty())
}

/// A runtime for one thread, and the secret that no error of its work may show.
#[derive(Debug)]
pub(super) struct Client {
    runtime: Option<tokio::runtime::Runtime>,
    address: Secret,
}

impl Client {
    pub(super) fn new(address: &Secret) -> Result<Self, AppError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| AppError::Connection { doing: "start a client", source })?;
        Ok(Self { runtime: Some(runtime), address: address.clone() })
    }

    /// Waits for some work, at most for `limit`. Work that was not done by then has left its connection in no state to
    /// be used.
    pub(super) fn wait<T>(
        &self,
        doing: &'static str,
        limit: Duration,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, AppError> {
        let Some(runtime) = &self.runtime else { return Err(AppError::Silent { doing, limit }) };
        let done = runtime.block_on(async { tokio::time::timeout(limit, work).await });
        match done {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.tell(doing, error)),
            Err(_) => Err(AppError::Silent { doing, limit }),
        }
    }

    fn tell(&self, doing: &'static str, error: sqlx::Error) -> AppError {
        match error {
            sqlx::Error::Database(error) => {
                let code = error.code().map(|code| format!(" ({code})")).unwrap_or_default();
                AppError::Refused { doing, answer: self.address.cover(&format!("{}{code}", error.message())) }
            }
            sqlx::Error::Io(source) => AppError::Connection { doing, source },
            sqlx::Error::RowNotFound | sqlx::Error::ColumnNotFound(_) | sqlx::Error::Decode(_) => {
                AppError::Answer { doing }
            }
            sqlx::Error::Configuration(why) if why.to_string().starts_with("RSA") => {
                AppError::Connection { doing, source: io::Error::other(IN_CLEAR) }
            }
            other => AppError::Connection { doing, source: io::Error::other(self.address.cover(&other.to_string())) },
        }
    }
}

impl Drop for Client {
    /// A name that is still being looked up would otherwise be waited for.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The text of a column by its name; none if the answer has no such column or nothing in it.
///
/// It is for answers to questions that were sent as plain text, in which every value is text whatever its type.
pub(super) fn text<'r, R>(row: &'r R, column: &str) -> Option<String>
where
    R: Row,
    String: Decode<'r, R::Database>,
    for<'c> &'c str: sqlx::ColumnIndex<R>,
    R::Database: Database,
{
    row.try_get_unchecked::<Option<String>, _>(column).ok().flatten()
}
