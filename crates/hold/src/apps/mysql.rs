//! MySQL and MariaDB, held still by a lock on one connection, with a second one to kill the first.
//!
//! It owns that a lock never outlives its time. Three things end it: we do; the second connection kills it when it does
//! not come; and the server itself closes the connection when that has been silent for as long as a hold can last
//! (`wait_timeout`), should this process be stopped or its machine hang.
//!
//! Why a lock at all, when the freeze stops every write: a table without a log of its own (MyISAM) is marked as open on
//! disk while it is in use, and its changes are in the server's memory. The lock flushes and closes such tables, and keeps
//! them closed until the file system stands still. InnoDB needs none of that: it recovers from any image of a moment.
//!
//! On MySQL `LOCK INSTANCE FOR BACKUP` is not used: it stops changes of definitions, and writes to MyISAM go on under it.

mod dialect;
mod lock;
mod places;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow, MySqlSslMode};
use sqlx::{ConnectOptions, Connection, Executor};

use crate::apps::data::{DataHere, DataHost, DataPlaces, away};
use crate::apps::mysql::dialect::Dialect;
use crate::apps::mysql::lock::Method;
use crate::apps::owner::Link;
use crate::apps::session::{GIVE_UP_WAIT_MAX, PING_WAIT_MAX, RELEASE_WAIT_MAX, Server};
use crate::apps::sql::{Client, IN_CLEAR, names_authority, text};
use crate::apps::{AppError, LockLimits, MysqlLock, Recorded, Secret};
use crate::moment::Moment;

/// For an answer that needs no work.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);

/// What the server waits beyond the longest hold before it closes a connection that says nothing.
const SILENCE_SLACK: Duration = Duration::from_secs(5);

const DESCRIBE: &str = "SELECT VERSION() AS version, CAST(CONNECTION_ID() AS CHAR) AS id";

/// Two connections to one server.
pub(super) struct Mysql {
    client: Client,
    dialect: Dialect,
    method: Method,
    /// Holds the lock, and says nothing else. None when it was given up.
    holder: Option<MySqlConnection>,
    holder_id: u64,
    /// Opened before anything is locked, when the server still has room for it.
    second: MySqlConnection,
    /// None for a socket.
    host: Option<String>,
    /// None for a host.
    socket: Option<PathBuf>,
}

/// Where and as whom.
pub(super) fn read_address(address: &Secret) -> Result<MySqlConnectOptions, AppError> {
    let text = address.address();
    if !text.starts_with("mysql://") && !text.starts_with("mariadb://") {
        return Err(AppError::Address { why: "it must begin with `mysql://`" });
    }
    let wrong = AppError::Address { why: "it is not of the form mysql://user:password@host/" };
    let options = MySqlConnectOptions::from_str(text).map_err(|_| wrong)?;
    let is_lax = matches!(options.get_ssl_mode(), MySqlSslMode::Preferred | MySqlSslMode::Required);
    let options = if is_lax && names_authority(text, &["ssl-ca", "sslca"]) {
        options.ssl_mode(MySqlSslMode::VerifyCa)
    } else {
        options
    };
    Ok(options.disable_statement_logging())
}

impl Mysql {
    /// Connects, and asks what will be asked in the lock, so that a missing privilege is found before anybody waits.
    pub(super) fn connect(address: &Secret, lock: MysqlLock, limit: Duration) -> Result<Self, AppError> {
        let mut server = Self::open(address, lock, limit)?;
        server.record(&mut Recorded::default())?;
        if server.method == Method::Replication && !server.is_applying()? {
            let why = "it is to be held by stopping replication, which does not run; start it, or take another `lock`";
            return Err(AppError::Unfit { why: why.into() });
        }
        Ok(server)
    }

    fn open(address: &Secret, lock: MysqlLock, limit: Duration) -> Result<Self, AppError> {
        let options = read_address(address)?;
        let client = Client::new(address)?;
        let connected = client.wait("connect", limit, async {
            let mut holder = options.connect().await?;
            let row = holder.fetch_one(sqlx::raw_sql(DESCRIBE)).await?;
            Ok((holder, options.connect().await?, row))
        });
        let (holder, second, row) = connected.map_err(|error| in_words_of_login(error, &options))?;
        let answer = || AppError::Answer { doing: "tell of itself" };
        let dialect = text(&row, "version").and_then(|version| Dialect::of(&version)).ok_or_else(answer)?;
        let holder_id = text(&row, "id").and_then(|id| id.parse().ok()).ok_or_else(answer)?;
        let method = Method::of(lock, &dialect);
        let socket = options.get_socket().cloned();
        let host = socket.is_none().then(|| options.get_host().to_owned());
        Ok(Self { client, dialect, method, holder: Some(holder), holder_id, second, host, socket })
    }

    /// How the connection that will hold the lock ends at the server. An account may see its own.
    fn link(&mut self, variables: &BTreeMap<String, String>) -> Result<Link, AppError> {
        if let Some(path) = &self.socket {
            return Ok(Link::Socket(path.clone()));
        }
        let (second, id) = (&mut self.second, self.holder_id.to_string());
        let rows = self.client.wait("tell where it sees this host", ANSWER_WAIT_MAX, async {
            second.fetch_all(sqlx::raw_sql("SHOW PROCESSLIST")).await
        })?;
        let row = rows.iter().find(|row| text(*row, "Id").as_ref() == Some(&id));
        let client = row.and_then(|row| text(row, "Host")).unwrap_or_default();
        Ok(places::link_of_client(&client, self.host.as_deref().unwrap_or_default(), variables))
    }

    /// Whether a replica's applier runs. More than one source is more than this can put back as it was.
    fn is_applying(&mut self) -> Result<bool, AppError> {
        let (second, statement) = (&mut self.second, self.dialect.replica_status());
        let rows = self.client.wait("tell of its replication", ANSWER_WAIT_MAX, async {
            second.fetch_all(sqlx::raw_sql(statement)).await
        })?;
        match rows.as_slice() {
            [] => Ok(false),
            [row] => Ok(text(row, self.dialect.applier_column()).as_deref() == Some("Yes")),
            _ => Err(AppError::Unfit { why: "it replicates from several sources; take another `lock`".into() }),
        }
    }

    fn get_lock(&mut self, limits: LockLimits) -> Result<Recorded, AppError> {
        let end = Moment::now() + limits.wait;
        self.set_limits(limits)?;
        let statements = self.method.lock(&self.dialect);
        for statement in statements {
            self.say("stand still", statement, end.since(Moment::now()))?;
        }
        let mut recorded = Recorded::default();
        recorded.add("server", Some(self.describe()));
        recorded.add("lock", Some(self.method.as_str()));
        self.record(&mut recorded)?;
        Ok(recorded)
    }

    /// The server's own limits, for when nobody here is left to keep ours. Whole seconds are all it knows.
    fn set_limits(&mut self, limits: LockLimits) -> Result<(), AppError> {
        let holder = self.holder.as_mut().ok_or(AppError::Answer { doing: "stand still" })?;
        let wait = limits.wait.as_secs().saturating_add(1);
        let silence = (limits.wait + limits.hold + SILENCE_SLACK).as_secs();
        self.client.wait("keep its limits", ANSWER_WAIT_MAX, async {
            let limit = sqlx::query("SET SESSION lock_wait_timeout = ?, SESSION wait_timeout = ?");
            holder.execute(limit.bind(wait).bind(silence)).await.map(|_| ())
        })
    }

    fn say(&mut self, doing: &'static str, statement: &'static str, limit: Duration) -> Result<(), AppError> {
        let holder = self.holder.as_mut().ok_or(AppError::Answer { doing })?;
        self.client.wait(doing, limit, async { holder.execute(sqlx::raw_sql(statement)).await.map(|_| ()) })
    }

    fn record(&mut self, recorded: &mut Recorded) -> Result<(), AppError> {
        let doing = "tell its position";
        let holder = self.holder.as_mut().ok_or(AppError::Answer { doing })?;
        let dialect = &self.dialect;
        let (binlog, gtid, replica) = self.client.wait(doing, ANSWER_WAIT_MAX, async {
            let binlog = holder.fetch_optional(sqlx::raw_sql(dialect.binlog_status())).await?;
            let gtid = holder.fetch_one(sqlx::raw_sql(dialect.gtid())).await?;
            let replica = match self.method {
                Method::Replication => holder.fetch_optional(sqlx::raw_sql(dialect.replica_status())).await?,
                _ => None,
            };
            Ok((binlog, gtid, replica))
        })?;
        recorded.add("role", Some(if replica.is_some() { "replica" } else { "primary" }));
        for (name, column) in [("binlog_file", "File"), ("binlog_position", "Position")] {
            recorded.add(name, binlog.as_ref().and_then(|row| text(row, column)));
        }
        recorded.add("gtid", text(&gtid, "gtid"));
        for (name, column) in dialect.replica_columns() {
            recorded.add(name, replica.as_ref().and_then(|row| text(row, column)));
        }
        Ok(())
    }

    /// Ends the holder's connection and whatever it waits for or holds, from the other connection.
    fn give_up(&mut self) -> Result<(), AppError> {
        let was_there = self.holder.take().is_some();
        let (second, id) = (&mut self.second, self.holder_id);
        if !was_there {
            return Ok(());
        }
        self.client.wait("give up the lock", GIVE_UP_WAIT_MAX, async {
            // That the connection has gone by itself is as good.
            let _ = second.execute(sqlx::query("KILL CONNECTION ?").bind(id)).await;
            let is_it = |row: &MySqlRow| text(row, "Id").is_some_and(|it| it == id.to_string());
            // A statement and no table, since where that table is changes: it is to leave `information_schema`.
            while second.fetch_all(sqlx::raw_sql("SHOW PROCESSLIST")).await?.iter().any(is_it) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        })
    }

    /// Starts a replica's applier, on the connection that is there.
    fn start_replication(&mut self) -> Result<(), AppError> {
        let statement = self.dialect.start_applier();
        let left = |source| AppError::LeftStopped { what: self.dialect.left_stopped(), source: Box::new(source) };
        let second = &mut self.second;
        let started = self.client.wait("start replication", RELEASE_WAIT_MAX, async {
            second.execute(sqlx::raw_sql(statement)).await.map(|_| ())
        });
        started.map_err(left)
    }
}

/// A server takes what comes over a socket for the password of `caching_sha2_password`, and the client sends that over TLS
/// alone: what the server then says is no more than that the password is wrong.
fn in_words_of_login(error: AppError, options: &MySqlConnectOptions) -> AppError {
    match error {
        AppError::Refused { doing, answer } if matches!(options.get_ssl_mode(), MySqlSslMode::Disabled) => {
            AppError::Refused { doing, answer: format!("{answer}; {IN_CLEAR}") }
        }
        other => other,
    }
}

impl Server for Mysql {
    fn describe(&self) -> String {
        self.dialect.to_string()
    }

    fn data(&mut self, of: DataHost) -> Result<DataPlaces, AppError> {
        if let Some(away) = away(self.host.as_deref(), of)? {
            return Ok(away);
        }
        let second = &mut self.second;
        let rows = self.client.wait("tell where its data is", ANSWER_WAIT_MAX, async {
            second.fetch_all(sqlx::raw_sql(places::QUESTION)).await
        })?;
        let told = rows.iter().filter_map(|row| Some((text(row, "Variable_name")?, text(row, "Value")?)));
        let variables = told.collect();
        let (places, link) = (places::of_variables(&variables)?, self.link(&variables)?);
        Ok(DataPlaces::Here(DataHere { places, link }))
    }

    fn lock(&mut self, limits: LockLimits) -> Result<Recorded, AppError> {
        let locked = self.get_lock(limits);
        let Err(error) = locked else { return locked };
        self.give_up()?;
        // Whether the order to stop was carried out before its connection was killed nobody can tell.
        if self.method == Method::Replication {
            self.start_replication()?;
        }
        Err(lock::in_words_of_the_lock(error, limits.wait))
    }

    fn ping(&mut self) -> Result<(), AppError> {
        let doing = "answer a ping";
        let holder = self.holder.as_mut().ok_or(AppError::Answer { doing })?;
        self.client.wait(doing, PING_WAIT_MAX, holder.ping())
    }

    fn release(&mut self) -> Result<(), AppError> {
        if self.method == Method::Replication {
            return self.start_replication();
        }
        let Some(statement) = self.method.unlock() else { return Ok(()) };
        let unlocked = self.say("go on", statement, RELEASE_WAIT_MAX);
        // A connection that does not answer is ended, and with it the lock.
        if unlocked.is_err() { self.give_up() } else { Ok(()) }
    }
}

/// Starts the applier of a replica that a hold has left stopped; true if it was.
pub(super) fn start_again(address: &Secret, limit: Duration) -> Result<bool, AppError> {
    let mut server = Mysql::open(address, MysqlLock::Replication, limit)?;
    if server.is_applying()? {
        return Ok(false);
    }
    server.start_replication().map(|()| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_something_else_is_refused_and_never_quoted() {
        for text in
            ["hunter2", "postgres://u:hunter2@h/", "mysql://u:hunter2@h:port/", "mysql://u:hunter2@h/?ssl-mode=x"]
        {
            let error = read_address(&Secret::new(text)).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn an_authority_that_is_named_is_asked() {
        let mode = |query: &str| {
            let address = Secret::new(format!("mysql://u:p@h/?{query}"));
            format!("{:?}", read_address(&address).unwrap().get_ssl_mode())
        };
        assert_eq!(mode(""), "Preferred");
        assert_eq!(mode("ssl-mode=REQUIRED"), "Required");
        assert_eq!(mode("ssl-ca=/ca.pem"), "VerifyCa");
        assert_eq!(mode("ssl-mode=REQUIRED&ssl-ca=/ca.pem"), "VerifyCa");
        assert_eq!(mode("ssl-ca=/ca.pem&ssl-mode=VERIFY_IDENTITY"), "VerifyIdentity");
        assert_eq!(mode("ssl-mode=DISABLED&ssl-ca=/ca.pem"), "Disabled");
    }

    #[test]
    fn an_address_is_read_with_a_host_or_a_socket() {
        let options = read_address(&Secret::new("mysql://keeper:p%40ss@db.internal:3307/")).unwrap();
        assert_eq!((options.get_host(), options.get_port(), options.get_username()), ("db.internal", 3307, "keeper"));
        let options = read_address(&Secret::new("mysql://keeper:x@localhost/?socket=/run/mysqld/mysqld.sock")).unwrap();
        assert_eq!(options.get_socket().unwrap().to_str(), Some("/run/mysqld/mysqld.sock"));
    }
}
