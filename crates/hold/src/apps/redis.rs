//! Redis, held still: writes paused, and everything acknowledged handed to the file system.
//!
//! It owns which commands that takes. It must never use SAVE, which stops all clients and cannot be called back, and never
//! pause without an end: a pause ends by itself when whoever asked for it is gone.
//!
//! With an append-only file an acknowledged write can be in Redis's own buffer for two seconds, while an earlier flush of
//! the file is under way. So writes are paused and the buffer is waited for; the freeze brings the file itself to disk.
//! Without one nothing is on disk but the last snapshot, so one is made (BGSAVE) while writes are paused, and the image
//! holds every acknowledged write.
//!
//! Redis 6.2 or later is needed, where a pause can be of writes alone and can be ended.

mod resp;
mod tls;
mod url;

use std::io::{self, BufRead};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::poll;

use crate::apps::data::{DataHere, DataHost, DataPlace, DataPlaces, away};
use crate::apps::owner::Link;
use crate::apps::redis::resp::{Connection, Reply};
use crate::apps::redis::url::{Place, RedisAddress};
use crate::apps::session::{PING_WAIT_MAX, Server};
use crate::apps::{AppError, LockLimits, Recorded, Secret};
use crate::moment::{Moment, to_timespec};

/// For one answer while Redis is not asked to do anything long.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);

/// How often Redis is asked whether it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What is recorded: our name, and the one in INFO.
const RECORDED: [(&str, &str); 4] = [
    ("replication_id", "master_replid"),
    ("replication_offset", "master_repl_offset"),
    ("aof", "aof_enabled"),
    ("last_save", "rdb_last_save_time"),
];

/// A connection to one Redis.
#[derive(Debug)]
pub(super) struct Redis {
    connection: Connection,
    version: String,
    is_paused: bool,
    place: Place,
    /// What no error may show.
    address: Secret,
}

/// Reads one answer, and tells it in words: the reader alone, for those who try it with anything.
pub(crate) fn answer_in_words(from: &mut impl BufRead) -> io::Result<String> {
    resp::read_reply(from).map(|reply| format!("{reply:?}"))
}

/// Where and as whom.
pub(crate) fn read_address(address: &Secret) -> Result<RedisAddress, AppError> {
    address.address().parse()
}

impl Redis {
    /// Connects, and makes sure that this Redis can be held still.
    pub(super) fn connect(address: &Secret, limit: Duration) -> Result<Self, AppError> {
        let RedisAddress { place, user, password } = read_address(address)?;
        let connection = Connection::open(&place, limit.min(ANSWER_WAIT_MAX))?;
        let version = String::new();
        let mut redis = Self { connection, version, is_paused: false, place, address: address.clone() };
        if let Some(password) = &password {
            let user = user.as_deref();
            let words: Vec<&str> = ["AUTH"].into_iter().chain(user).chain([password.reveal()]).collect();
            redis.ask(&words, "authenticate")?;
        }
        let info = redis.info()?;
        check_info(&info)?;
        redis.version = field(&info, "redis_version").unwrap_or_default().into();
        Ok(redis)
    }

    fn unpause(&mut self) -> Result<(), AppError> {
        if self.is_paused {
            self.ask(&["CLIENT", "UNPAUSE"], "let writes go on")?;
            self.is_paused = false;
        }
        Ok(())
    }

    fn settle(&mut self, end: Moment, limit: Duration) -> Result<String, AppError> {
        let info = self.info()?;
        check_info(&info)?;
        if field(&info, "aof_enabled") == Some("1") {
            return self.wait_until(end, limit, |info| is_zero(info, "aof_buffer_length"));
        }
        // A snapshot that was begun before the pause does not have the last writes.
        self.wait_until(end, limit, |info| is_zero(info, "rdb_bgsave_in_progress"))?;
        self.ask(&["BGSAVE"], "save a snapshot")?;
        let info = self.wait_until(end, limit, |info| is_zero(info, "rdb_bgsave_in_progress"))?;
        match field(&info, "rdb_last_bgsave_status") {
            Some("ok") => Ok(info),
            _ => Err(AppError::Unfit { why: "saving a snapshot failed; Redis's own log says why".into() }),
        }
    }

    fn wait_until(&mut self, end: Moment, limit: Duration, enough: impl Fn(&str) -> bool) -> Result<String, AppError> {
        loop {
            let info = self.info()?;
            if enough(&info) {
                return Ok(info);
            }
            if end <= Moment::now() {
                return Err(AppError::LockWait { limit });
            }
            let _ = poll(&mut [], Some(&to_timespec(LOOK_EVERY)));
        }
    }

    fn info(&mut self) -> Result<String, AppError> {
        match self.ask(&["INFO"], "tell of itself")? {
            Reply::Text(info) => Ok(info),
            _ => Err(AppError::Answer { doing: "INFO" }),
        }
    }

    /// The value of a key of its configuration; none if it has no such key, or nothing in it.
    fn setting(&mut self, key: &str) -> Result<Option<String>, AppError> {
        let doing = "tell where its data is";
        match self.ask(&["CONFIG", "GET", key], doing)? {
            Reply::List(words) => Ok(words.into_iter().nth(1).filter(|value| !value.is_empty())),
            _ => Err(AppError::Answer { doing }),
        }
    }

    /// Where Redis sees us, or, where it will not say, where we do.
    fn link(&mut self) -> Result<Link, AppError> {
        if let Place::Unix(path) = &self.place {
            return Ok(Link::Socket(path.clone()));
        }
        let told = match self.ask(&["CLIENT", "INFO"], "tell where it sees this host") {
            Ok(Reply::Text(info)) => client_of(&info),
            Ok(_) | Err(AppError::Refused { .. }) => None,
            Err(error) => return Err(error),
        };
        let own = || self.connection.own_address();
        Ok(match told.map(|client| (client, true)).or_else(|| Some((own()?, false))) {
            Some((client, is_told)) => Link::Tcp { clients: vec![client], is_told },
            None => Link::Untold("Redis tells where it sees this host to users who may run CLIENT INFO".to_owned()),
        })
    }

    fn ask(&mut self, words: &[&str], doing: &'static str) -> Result<Reply, AppError> {
        match self.connection.ask(words).map_err(|source| AppError::Connection { doing, source })? {
            // Redis repeats what it does not know: of an `AUTH` that was renamed, the password.
            Reply::Refusal(answer) => Err(AppError::Refused { doing, answer: self.address.cover(&answer) }),
            reply => Ok(reply),
        }
    }
}

impl Server for Redis {
    fn describe(&self) -> String {
        format!("redis {}", self.version)
    }

    /// Its directory, and in it the one of the append-only files, where Redis 7 has one.
    fn data(&mut self, of: DataHost) -> Result<DataPlaces, AppError> {
        if let Some(away) = away(self.place.host(), of)? {
            return Ok(away);
        }
        let directory = match self.setting("dir") {
            Err(AppError::Refused { answer, .. }) => {
                let what = "Redis tells where its data is to users who may run CONFIG GET";
                return Ok(DataPlaces::Unknown(format!("{what}: {answer}")));
            }
            told => told?.map(PathBuf::from),
        };
        let directory = directory.ok_or(AppError::Answer { doing: "tell where its data is" })?;
        let of_files = self.setting("appenddirname")?.map(|name| directory.join(name)).filter(|it| it.is_dir());
        let places = [("the data", Some(directory)), ("the append-only file", of_files)];
        let place = |(what, path): (&'static str, Option<PathBuf>)| Some(DataPlace { what, path: path? });
        let places = places.into_iter().filter_map(place).collect();
        Ok(DataPlaces::Here(DataHere { places, link: self.link()? }))
    }

    /// The pause ends by itself when the times to wait and to hold have passed, whoever dies.
    fn lock(&mut self, limits: LockLimits) -> Result<Recorded, AppError> {
        let end = Moment::now() + limits.wait;
        let millis = (limits.wait + limits.hold).as_millis().to_string();
        self.ask(&["CLIENT", "PAUSE", &millis, "WRITE"], "pause writes")?;
        self.is_paused = true;
        let settled = self.settle(end, limits.wait);
        match settled {
            Ok(info) => Ok(record(&info, self.describe())),
            Err(error) => {
                self.unpause()?;
                Err(error)
            }
        }
    }

    /// The pause itself ends at its time and not before; that Redis answers shows that it was not started anew, which
    /// would have ended it.
    fn ping(&mut self) -> Result<(), AppError> {
        self.connection
            .limit(PING_WAIT_MAX)
            .map_err(|source| AppError::Connection { doing: "answer a ping", source })?;
        self.ask(&["PING"], "answer a ping").map(|_| ())
    }

    fn release(&mut self) -> Result<(), AppError> {
        self.unpause()
    }
}

/// From one line of words such as `addr=10.0.3.9:51234`.
fn client_of(info: &str) -> Option<SocketAddr> {
    info.split_ascii_whitespace().find_map(|word| word.strip_prefix("addr="))?.parse().ok()
}

/// The value of one line of INFO.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':');
    info.lines().find_map(value).map(str::trim_end)
}

/// A field that this version does not have says nothing against it.
fn is_zero(info: &str, name: &str) -> bool {
    field(info, name).is_none_or(|value| value == "0")
}

fn check_info(info: &str) -> Result<(), AppError> {
    let unfit = |why: &str| Err(AppError::Unfit { why: why.into() });
    let version = field(info, "redis_version").unwrap_or_default();
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < (6, 2) {
        return Err(AppError::Unfit { why: format!("Redis {version} cannot pause writes alone; 6.2 can") });
    }
    if field(info, "loading") == Some("1") {
        return unfit("it is still loading its data");
    }
    if field(info, "aof_enabled") == Some("1") && field(info, "aof_last_write_status") != Some("ok") {
        return unfit("it cannot write its append-only file; Redis's own log says why");
    }
    Ok(())
}

fn record(info: &str, server: String) -> Recorded {
    let mut recorded = Recorded::default();
    recorded.add("server", Some(server));
    recorded.add("role", field(info, "role").map(|role| if role == "slave" { "replica" } else { "primary" }));
    recorded.add("lock", Some("writes paused"));
    for (name, of_redis) in RECORDED {
        recorded.add(name, field(info, of_redis));
    }
    recorded
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nloading:0\r\naof_enabled:1\r\naof_last_write_status:ok\r\n";

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        assert_eq!(field(INFO, "redis_version"), Some("7.0.15"));
        assert_eq!(field(INFO, "version"), None);
        assert_eq!(field(INFO, "redis"), None);
    }

    #[test]
    fn where_redis_sees_us_is_a_word_of_its_own() {
        let info = "id=7 addr=10.0.3.9:51234 laddr=10.0.3.7:6379 fd=8 name= db=0\n";
        assert_eq!(client_of(info), Some("10.0.3.9:51234".parse().unwrap()));
        assert_eq!(client_of("id=7 addr=[::1]:51234 laddr=[::1]:6379"), Some("[::1]:51234".parse().unwrap()));
        assert_eq!((client_of("id=7 laddr=10.0.3.7:6379"), client_of("addr=/run/redis:0")), (None, None));
    }

    #[test]
    fn a_redis_that_cannot_be_held_still_is_refused_with_the_reason() {
        assert!(check_info(INFO).is_ok());
        let why = |from: &str, to: &str| check_info(&INFO.replace(from, to)).unwrap_err().to_string();
        assert!(why("7.0.15", "6.0.9").ends_with("Redis 6.0.9 cannot pause writes alone; 6.2 can"));
        assert!(why("7.0.15", "").contains("6.2 can"));
        assert!(why("loading:0", "loading:1").ends_with("still loading its data"));
        assert!(why("status:ok", "status:err").contains("append-only file"));
    }

    #[test]
    fn a_field_that_a_version_does_not_have_is_no_obstacle() {
        assert!(is_zero(INFO, "aof_buffer_length") && is_zero(INFO, "loading") && !is_zero(INFO, "aof_enabled"));
    }
}
