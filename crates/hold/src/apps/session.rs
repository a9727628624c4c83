//! One application's thread: connected, locked, released.
//!
//! It owns the order of these, and that a lock ends: when it is released, dropped, or its time is over. It must never
//! wait for its thread beyond a limit, since that may wait for a server, which may wait for a frozen file system.

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use crate::apps::data::{DataHost, DataPlaces};
use crate::apps::mysql::Mysql;
use crate::apps::postgresql::Postgresql;
use crate::apps::redis::Redis;
use crate::apps::{AppError, Application, LockLimits, Recorded, Secret};
use crate::moment::Moment;

/// For an answer to a ping: one round trip, on a machine that is busy.
pub(crate) const PING_WAIT_MAX: Duration = Duration::from_secs(2);

/// For letting a lock go. After it the connection is closed, which ends the lock too.
pub(crate) const RELEASE_WAIT_MAX: Duration = Duration::from_secs(5);

/// For giving up a lock that did not come.
pub(crate) const GIVE_UP_WAIT_MAX: Duration = Duration::from_secs(5);

/// For telling where the data is, before anything is locked; a name may have to be looked up.
const DATA_WAIT_MAX: Duration = Duration::from_secs(10);

/// What a thread may take beyond the limits that it keeps itself, before it is left alone.
const SLACK: Duration = Duration::from_secs(2);

/// One kind of server, connected. Every call keeps its own limit.
pub(crate) trait Server: Send {
    /// Product and version.
    fn describe(&self) -> String;

    /// Where its data is, as it says itself. A server that refuses to tell is no error, but an answer.
    fn data(&mut self, of: DataHost) -> Result<DataPlaces, AppError>;

    /// Stops writes, and tells where the server stands. After an error nothing is stopped.
    fn lock(&mut self, limits: LockLimits) -> Result<Recorded, AppError>;

    /// Whether the connection that holds the lock is still there, at most for [`PING_WAIT_MAX`]. It must not need the
    /// server's files.
    fn ping(&mut self) -> Result<(), AppError>;

    /// Lets writes go on, at most for [`RELEASE_WAIT_MAX`].
    fn release(&mut self) -> Result<(), AppError>;
}

/// An application that is connected. Nothing is stopped.
#[derive(Debug)]
pub struct Prepared {
    thread: Thread,
    server: String,
}

/// An application that stands still, until this is released or dropped, or its time is over.
#[derive(Debug)]
#[must_use = "a lock that is dropped is released"]
pub struct Locked {
    thread: Thread,
    recorded: Recorded,
    asked: Moment,
    got: Moment,
    has_ended: bool,
}

/// The end of a lock that was held to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Released {
    /// From asking for the lock until writes went on: how long users can have waited for it.
    pub stall: Duration,
}

enum Order {
    Data(DataHost, SyncSender<Result<Option<DataPlaces>, AppError>>),
    Lock(LockLimits, SyncSender<Result<Recorded, AppError>>),
    Ping(SyncSender<Result<(), AppError>>),
    Release(SyncSender<Result<(), AppError>>),
}

impl Prepared {
    pub(crate) fn connect(
        application: Application,
        address: Option<&Secret>,
        limit: Duration,
    ) -> Result<Self, AppError> {
        let none = AppError::Address { why: "there is none; set `connection`" };
        let address = match (application, address) {
            (Application::None, _) => return Ok(Self { thread: Thread(None), server: String::new() }),
            (_, None) => return Err(none),
            (_, Some(address)) => address.clone(),
        };
        let (answer, answered) = sync_channel(1);
        let (orders, received) = channel();
        let work = move || {
            let server = match connect(application, &address, limit) {
                Ok(server) => server,
                // Nobody waits for it any longer.
                Err(error) => return drop(answer.send(Err(error))),
            };
            if answer.send(Ok(server.describe())).is_ok() {
                serve(server, &received);
            }
        };
        start("application", work)?;
        let server = wait(&answered, "connect", limit + SLACK)??;
        Ok(Self { thread: Thread(Some(orders)), server })
    }

    /// Product and version, as in `mariadb 10.11.19`; empty for [`Application::None`].
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Where the application's data is on the machine that will be held still, as it says itself; none for
    /// [`Application::None`].
    pub fn data(&self, of: DataHost) -> Result<Option<DataPlaces>, AppError> {
        self.thread.ask("tell where its data is", DATA_WAIT_MAX, |answer| Order::Data(of, answer))
    }

    /// Stops the application's writes and records where it stands.
    ///
    /// A lock that does not come within the limit is given up, and killed from a second connection where that takes one:
    /// whoever waits for it holds up every writer behind it. After an error writes go on.
    pub fn lock(self, limits: LockLimits) -> Result<Locked, AppError> {
        let asked = Moment::now();
        let limit = limits.wait + GIVE_UP_WAIT_MAX + SLACK;
        let recorded = self.thread.ask("stand still", limit, |answer| Order::Lock(limits, answer))?;
        Ok(Locked { thread: self.thread, recorded, asked, got: Moment::now(), has_ended: false })
    }
}

impl Locked {
    /// Where the application stands; empty for [`Application::None`].
    pub fn recorded(&self) -> &Recorded {
        &self.recorded
    }

    /// From asking for the lock until it was there.
    pub fn waited(&self) -> Duration {
        self.got.since(self.asked)
    }

    /// Proves that the lock is still held. It is meant for right after the freeze.
    pub fn ping(&self) -> Result<(), AppError> {
        self.thread.ask("answer a ping", PING_WAIT_MAX + SLACK, Order::Ping)
    }

    /// Lets the application go on. An error says that this could not be made sure of; its connection has ended all the
    /// same, and with it the lock.
    pub fn release(mut self) -> Result<Released, AppError> {
        self.end()?;
        Ok(Released { stall: Moment::now().since(self.asked) })
    }

    fn end(&mut self) -> Result<(), AppError> {
        if std::mem::replace(&mut self.has_ended, true) {
            return Ok(());
        }
        self.thread.ask("go on", RELEASE_WAIT_MAX + SLACK, Order::Release)
    }
}

impl Drop for Locked {
    /// For a panic, an early return or a cancelled task. It blocks for as long as a release takes, milliseconds as a rule.
    fn drop(&mut self) {
        // There is nobody to tell; the connection ends with this.
        let _ = self.end();
    }
}

/// The way to a thread that has a server; none where there is no application.
struct Thread(Option<std::sync::mpsc::Sender<Order>>);

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Thread")
    }
}

impl Thread {
    fn ask<T: Default>(
        &self,
        doing: &'static str,
        limit: Duration,
        order: impl FnOnce(SyncSender<Result<T, AppError>>) -> Order,
    ) -> Result<T, AppError> {
        let Some(orders) = &self.0 else { return Ok(T::default()) };
        let (answer, answered) = sync_channel(1);
        // A thread that is gone drops the other end, which is what the wait notices.
        let _ = orders.send(order(answer));
        wait(&answered, doing, limit)?
    }
}

fn wait<T>(answered: &Receiver<T>, doing: &'static str, limit: Duration) -> Result<T, AppError> {
    answered.recv_timeout(limit).map_err(|error| match error {
        RecvTimeoutError::Timeout => AppError::Silent { doing, limit },
        RecvTimeoutError::Disconnected => gone(doing),
    })
}

fn gone(doing: &'static str) -> AppError {
    AppError::Connection { doing, source: std::io::Error::from(std::io::ErrorKind::NotConnected) }
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), AppError> {
    let started = thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map(|_| ()).map_err(|source| AppError::Connection { doing: "start a thread", source })
}

fn connect(application: Application, address: &Secret, limit: Duration) -> Result<Box<dyn Server>, AppError> {
    Ok(match application {
        Application::Mysql(lock) => Box::new(Mysql::connect(address, lock, limit)?),
        Application::Postgresql => Box::new(Postgresql::connect(address, limit)?),
        Application::Redis => Box::new(Redis::connect(address, limit)?),
        Application::None => return Err(gone("connect")),
    })
}

/// A lock that is held, and until when at most.
struct Held {
    limit: Duration,
    until: Moment,
}

/// Carries out orders until nobody can give any, and then lets go.
fn serve(mut server: Box<dyn Server>, orders: &Receiver<Order>) {
    let mut held: Option<Held> = None;
    let mut expired = None;
    let mut failure = None;
    loop {
        let order = match &held {
            None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(held) => orders.recv_timeout(held.until.since(Moment::now())),
        };
        match order {
            Ok(Order::Lock(limits, answer)) => {
                let locked = server.lock(limits);
                held = locked.is_ok().then(|| Held { limit: limits.hold, until: Moment::now() + limits.hold });
                // Whoever asked has given up waiting: nobody would ever release it.
                if answer.send(locked).is_err() {
                    break;
                }
            }
            Ok(Order::Data(of, answer)) => {
                let _ = answer.send(server.data(of).map(Some));
            }
            Ok(Order::Ping(answer)) => {
                let _ = answer.send(still_held(held.as_ref(), expired).and_then(|()| server.ping()));
            }
            Ok(Order::Release(answer)) => {
                let was_held = still_held(held.as_ref(), expired);
                let released =
                    if held.take().is_some() { server.release() } else { failure.take().map_or(Ok(()), Err) };
                let _ = answer.send(released.and(was_held));
            }
            Err(RecvTimeoutError::Timeout) => {
                // Whoever pings or releases next hears of it.
                expired = held.take().map(|held| held.limit);
                failure = server.release().err();
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if held.is_some() {
        let _ = server.release();
    }
}

fn still_held(held: Option<&Held>, expired: Option<Duration>) -> Result<(), AppError> {
    match (held, expired) {
        (Some(_), _) => Ok(()),
        (None, Some(limit)) => Err(AppError::Expired { limit }),
        (None, None) => Err(gone("answer a ping")),
    }
}

#[cfg(test)]
mod tests;
