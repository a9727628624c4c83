//! PostgreSQL, held still: a checkpoint right before the freeze, and nothing more.
//!
//! It owns that there is no lock. An image of frozen file systems is what the server would find after a power cut, and it
//! recovers from that by its own log, provided that data and log are frozen together. The checkpoint makes that short. No
//! `backup_label` belongs into such an image: with one, recovery would ask for a log that was written after it.
//!
//! Commits that were acknowledged under `synchronous_commit = off` may be missing, as after any crash.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection, Executor};

use crate::apps::data::{DataHere, DataHost, DataPlace, DataPlaces, away};
use crate::apps::owner::Link;
use crate::apps::session::{PING_WAIT_MAX, Server};
use crate::apps::sql::{Client, names_authority, text};
use crate::apps::{AppError, LockLimits, Recorded, Secret};

/// For an answer that needs no work.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);

const DESCRIBE: &str = "SELECT current_setting('server_version') AS version, pg_is_in_recovery()::text AS is_replica";

/// `pg_current_wal_insert_lsn` is where the next record goes: all that was ever acknowledged is before it.
const PRIMARY: &str = "SELECT pg_current_wal_insert_lsn()::text AS wal_lsn, \
    (SELECT timeline_id::text FROM pg_control_checkpoint()) AS timeline, \
    (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier";

const REPLICA: &str = "SELECT pg_last_wal_replay_lsn()::text AS wal_lsn, \
    (SELECT timeline_id::text FROM pg_control_checkpoint()) AS timeline, \
    (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier";

/// The data directory first, then every tablespace that is not in it.
const PLACES: &str = "SELECT path FROM (SELECT 0 AS rank, current_setting('data_directory') AS path \
    UNION ALL SELECT 1, pg_tablespace_location(oid) FROM pg_tablespace) AS places WHERE path <> '' ORDER BY rank, path";

/// Where it sees us; nothing on a socket.
const CLIENT: &str = "SELECT host(inet_client_addr()) AS host, inet_client_port()::text AS port";

/// The server's code for a statement that took longer than its limit.
const CANCELLED: &str = "(57014)";

/// A connection to one PostgreSQL.
pub(super) struct Postgresql {
    client: Client,
    connection: PgConnection,
    version: String,
    is_replica: bool,
    /// None for a socket.
    host: Option<String>,
    /// The one, if it is one of a path.
    socket: Option<PathBuf>,
}

/// Where and as whom. Environment variables and password files of the daemon's user count for what it leaves open, as
/// with every client of PostgreSQL.
pub(super) fn read_address(address: &Secret) -> Result<PgConnectOptions, AppError> {
    let text = address.address();
    if !text.starts_with("postgresql://") && !text.starts_with("postgres://") {
        return Err(AppError::Address { why: "it must begin with `postgresql://`" });
    }
    let wrong = AppError::Address { why: "it is not of the form postgresql://user:password@host/database" };
    let options = PgConnectOptions::from_str(text).map_err(|_| wrong)?;
    // As with PostgreSQL's own client, for which `require` with an authority is `verify-ca`.
    let is_lax = matches!(options.get_ssl_mode(), PgSslMode::Allow | PgSslMode::Prefer | PgSslMode::Require);
    let options = if is_lax && names_authority(text, &["sslrootcert", "ssl-root-cert", "ssl-ca"]) {
        options.ssl_mode(PgSslMode::VerifyCa)
    } else {
        options
    };
    Ok(options.application_name("amikeep").disable_statement_logging())
}

impl Postgresql {
    pub(super) fn connect(address: &Secret, limit: Duration) -> Result<Self, AppError> {
        let options = read_address(address)?;
        let client = Client::new(address)?;
        let (connection, row) = client.wait("connect", limit, async {
            let mut connection = options.connect().await?;
            let row = connection.fetch_one(sqlx::raw_sql(DESCRIBE)).await?;
            Ok((connection, row))
        })?;
        let version = text(&row, "version").ok_or(AppError::Answer { doing: "tell of itself" })?;
        let is_replica = text(&row, "is_replica").as_deref() == Some("true");
        // A host that begins with `/` is the directory of the socket.
        let is_socket = options.get_socket().is_some() || options.get_host().starts_with('/');
        let host = (!is_socket).then(|| options.get_host().to_owned());
        let directory = options.get_socket().cloned().or_else(|| is_socket.then(|| options.get_host().into()));
        let socket = directory.map(|directory| directory.join(format!(".s.PGSQL.{}", options.get_port())));
        Ok(Self { client, connection, version, is_replica, host, socket })
    }

    fn link(&mut self) -> Result<Link, AppError> {
        if let Some(path) = &self.socket {
            return Ok(Link::Socket(path.clone()));
        }
        let connection = &mut self.connection;
        let row = self.client.wait("tell where it sees this host", ANSWER_WAIT_MAX, async {
            connection.fetch_one(sqlx::raw_sql(CLIENT)).await
        })?;
        let told = text(&row, "host").zip(text(&row, "port").and_then(|port| port.parse().ok()));
        let pooler = || Link::Untold("the server sees a connection on a socket: a pooler is in between".to_owned());
        Ok(told.map_or_else(pooler, |(client, port)| Link::told(&client, port, "")))
    }

    fn checkpoint(&mut self, limit: Duration) -> Result<(), AppError> {
        let connection = &mut self.connection;
        let millis = limit.as_millis().max(1).to_string();
        let asked = self.client.wait("write a checkpoint", limit + ANSWER_WAIT_MAX, async {
            // The server's own limit comes first, so that the connection stays usable for the next hold's error.
            let limited = sqlx::query("SELECT set_config('statement_timeout', $1, false)").bind(millis);
            connection.execute(limited).await?;
            connection.execute("CHECKPOINT").await
        });
        match asked {
            Err(AppError::Refused { answer, .. }) if answer.ends_with(CANCELLED) => Err(AppError::LockWait { limit }),
            Err(AppError::Silent { .. }) => Err(AppError::LockWait { limit }),
            other => other.map(|_| ()),
        }
    }
}

impl Server for Postgresql {
    fn describe(&self) -> String {
        format!("postgresql {}", self.version)
    }

    fn data(&mut self, of: DataHost) -> Result<DataPlaces, AppError> {
        if let Some(away) = away(self.host.as_deref(), of)? {
            return Ok(away);
        }
        let connection = &mut self.connection;
        let told = self.client.wait("tell where its data is", ANSWER_WAIT_MAX, async {
            connection.fetch_all(sqlx::raw_sql(PLACES)).await
        });
        let rows = match told {
            Err(AppError::Refused { answer, .. }) => {
                let what = "PostgreSQL tells where its data is to members of pg_read_all_settings";
                return Ok(DataPlaces::Unknown(format!("{what}: {answer}")));
            }
            told => told?,
        };
        let mut places: Vec<DataPlace> = Vec::new();
        for directory in rows.iter().filter_map(|row| text(row, "path")).map(PathBuf::from) {
            if places.is_empty() {
                // Its links to other disks are one level down: the log, and the links to tablespaces.
                places.push(DataPlace { what: "the log", path: directory.join("pg_wal") });
                places.push(DataPlace { what: "a tablespace", path: directory.join("pg_tblspc") });
                places.insert(0, DataPlace { what: "the data", path: directory });
            } else {
                places.push(DataPlace { what: "a tablespace", path: directory });
            }
        }
        if places.is_empty() {
            return Err(AppError::Answer { doing: "tell where its data is" });
        }
        Ok(DataPlaces::Here(DataHere { places, link: self.link()? }))
    }

    fn lock(&mut self, limits: LockLimits) -> Result<Recorded, AppError> {
        self.checkpoint(limits.wait)?;
        let question = if self.is_replica { REPLICA } else { PRIMARY };
        let connection = &mut self.connection;
        let row = self.client.wait("tell its position", ANSWER_WAIT_MAX, async {
            connection.fetch_one(sqlx::raw_sql(question)).await
        })?;
        let mut recorded = Recorded::default();
        recorded.add("server", Some(self.describe()));
        recorded.add("role", Some(if self.is_replica { "replica" } else { "primary" }));
        recorded.add("lock", Some("none, after a checkpoint"));
        for name in ["wal_lsn", "timeline", "system_identifier"] {
            recorded.add(name, text(&row, name));
        }
        Ok(recorded)
    }

    fn ping(&mut self) -> Result<(), AppError> {
        let connection = &mut self.connection;
        self.client.wait("answer a ping", PING_WAIT_MAX, connection.ping())
    }

    fn release(&mut self) -> Result<(), AppError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_something_else_is_refused_and_never_quoted() {
        for text in
            ["hunter2", "mysql://u:hunter2@h/", "postgresql://u:hunter2@h:port/", "postgres://u:hunter2@h/?sslmode=x"]
        {
            let error = read_address(&Secret::new(text)).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn an_authority_that_is_named_is_asked() {
        let mode = |query: &str| {
            let address = Secret::new(format!("postgres://u:p@h/?{query}"));
            format!("{:?}", read_address(&address).unwrap().get_ssl_mode())
        };
        assert_eq!(mode("sslmode=require"), "Require");
        assert_eq!(mode("sslmode=require&sslrootcert=/ca.pem"), "VerifyCa");
        assert_eq!(mode("sslrootcert=/ca.pem&sslmode=verify-full"), "VerifyFull");
        assert_eq!(mode("sslmode=disable&sslrootcert=/ca.pem"), "Disable");
    }

    #[test]
    fn an_address_is_read_with_a_host_or_a_socket() {
        let options = read_address(&Secret::new("postgresql://keeper:p%40ss@db.internal:5433/app")).unwrap();
        assert_eq!((options.get_host(), options.get_port(), options.get_username()), ("db.internal", 5433, "keeper"));
        let options = read_address(&Secret::new("postgres://keeper@localhost/app?host=/run/postgresql")).unwrap();
        assert_eq!(options.get_socket().unwrap().to_str(), Some("/run/postgresql"));
    }
}
