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
mod url;

use std::time::Duration;

use rustix::event::poll;

use crate::apps::redis::resp::{Connection, Reply};
use crate::apps::{AppError, Position};
use crate::moment::{Moment, to_timespec};

pub use crate::apps::redis::url::RedisAddress;

/// For one answer while Redis is not asked to do anything long.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);

/// How often Redis is asked whether it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What is recorded, by the names of INFO.
const RECORDED: [&str; 6] =
    ["redis_version", "role", "master_replid", "master_repl_offset", "aof_enabled", "rdb_last_save_time"];

/// A connection to one Redis, opened before anything is locked.
#[derive(Debug)]
pub struct Redis {
    connection: Connection,
    is_paused: bool,
}

impl Redis {
    /// Connects, and makes sure that this Redis can be held still.
    pub fn connect(address: &RedisAddress) -> Result<Self, AppError> {
        let mut redis = Self { connection: Connection::open(address, ANSWER_WAIT_MAX)?, is_paused: false };
        if let Some(password) = &address.password {
            let user = address.user.as_deref();
            let words: Vec<&str> = ["AUTH"].into_iter().chain(user).chain([password.reveal()]).collect();
            redis.ask(&words, "authenticate")?;
        }
        check_info(&redis.info()?)?;
        Ok(redis)
    }

    /// Pauses writes and waits until all that was acknowledged is in files, at most for `lock_wait`.
    ///
    /// The pause ends by itself when `lock_wait` and `budget` have passed, whoever dies. If it does not stand still in
    /// time, writes go on before this returns.
    pub fn hold(&mut self, lock_wait: Duration, budget: Duration) -> Result<Position, AppError> {
        let end = Moment::now() + lock_wait;
        let millis = (lock_wait + budget).as_millis().to_string();
        self.ask(&["CLIENT", "PAUSE", &millis, "WRITE"], "pause writes")?;
        self.is_paused = true;
        let held = self.settle(end, lock_wait).and_then(|info| position(&info));
        if held.is_err() {
            self.release()?;
        }
        held
    }

    /// Still there, right before the capture. The pause itself ends at its time and not before.
    pub fn ping(&mut self) -> Result<(), AppError> {
        self.ask(&["PING"], "answer a ping").map(|_| ())
    }

    /// Lets writes go on. It may be called again.
    pub fn release(&mut self) -> Result<(), AppError> {
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

    fn ask(&mut self, words: &[&str], doing: &'static str) -> Result<Reply, AppError> {
        match self.connection.ask(words).map_err(|source| AppError::Connection { doing, source })? {
            Reply::Refusal(answer) => Err(AppError::Refused { doing, answer }),
            reply => Ok(reply),
        }
    }
}

impl Drop for Redis {
    /// One short question, bounded; should it fail, the pause ends at its time.
    fn drop(&mut self) {
        let _ = self.release();
    }
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

fn position(info: &str) -> Result<Position, AppError> {
    let fact = |name: &'static str| field(info, name).map(|value| (name, value.to_owned()));
    let facts: Vec<_> = RECORDED.into_iter().filter_map(fact).collect();
    if facts.is_empty() { Err(AppError::Answer { doing: "INFO" }) } else { Ok(Position { facts }) }
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
