//! The daemon's side: reads a question, answers it, and closes.
//!
//! It must never disturb the backups. It has a handle of its own on the ledger, opened for reading, so that the engine's
//! connections are not waited for; every wait has an end; and whatever a client does, sends or leaves out costs one of a
//! few places for some seconds. Nothing of what clients send is logged above debug: whoever may ask must not be able to
//! fill the journal.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use amikeep_engine::{Clock, SystemClock};
use amikeep_ledger::Ledger;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::debug;

use crate::ask::socket::Socket;
use crate::ask::wire::{
    ANSWER_WITHIN, ANSWERS_MAX, CONNECTIONS_MAX, LARGE_REPLIES_MAX, LARGE_REPLY_BYTES, REQUEST_BYTES_MAX,
    REQUEST_WITHIN, Reply, Request, SEND_WITHIN,
};
use crate::ask::{Source, answer};
use crate::exit;

/// A daemon that has run out of descriptors gets some back when a call ends.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Who answers.
#[derive(Debug)]
pub(crate) struct Answerer {
    /// Opened for reading.
    ledger: Ledger,
    /// Read anew for each question, as a command would.
    config_path: PathBuf,
    /// How many may be answered at once.
    turns: Semaphore,
    /// How many large replies may wait for their readers at once.
    large: Semaphore,
    request_within: Duration,
}

impl Answerer {
    /// From this ledger, which must be opened for reading, and this configuration.
    pub(crate) fn new(ledger: Ledger, config_path: PathBuf) -> Self {
        let (turns, large) = (Semaphore::new(ANSWERS_MAX), Semaphore::new(LARGE_REPLIES_MAX));
        Self { ledger, config_path, turns, large, request_within: REQUEST_WITHIN }
    }

    /// Gives clients less time, for a test that waits for its end.
    #[cfg(test)]
    pub(super) fn impatient(self) -> Self {
        Self { request_within: Duration::from_millis(200), ..self }
    }

    /// Answers whoever asks, until it is told to end.
    pub(crate) fn start(self, socket: Socket) -> Serving {
        let (ledger, mut task) = (self.ledger.clone(), JoinSet::new());
        task.spawn(self.serve(socket));
        Serving { ledger, task }
    }

    async fn serve(self, socket: Socket) {
        let answerer = Arc::new(self);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            // It is never closed, so there is always a place some time.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let stream = match socket.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    debug!("a connection to the socket was not accepted: {error}");
                    tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                    continue;
                }
            };
            while connections.try_join_next().is_some() {}
            let answerer = Arc::clone(&answerer);
            connections.spawn(async move {
                if let Err(error) = answerer.handle(stream).await {
                    debug!("a client of the socket was left: {error}");
                }
                drop(place);
            });
        }
    }

    async fn handle(&self, mut stream: UnixStream) -> io::Result<()> {
        let reply = match timeout(self.request_within, read_line(&mut stream)).await?? {
            Some(line) => timeout(ANSWER_WITHIN, self.reply(&line)).await.unwrap_or_else(|_| {
                Reply::failed("error: the daemon has too much to do to answer now; ask again, or for less")
            }),
            None => Reply::failed(format!("error: a question has one line of at most {REQUEST_BYTES_MAX} bytes")),
        };
        self.send(&mut stream, reply.to_line()).await
    }

    /// A large reply that finds no place is given up at once: to wait for one would be to hold it all the same.
    pub(super) async fn send(&self, stream: &mut UnixStream, mut line: Vec<u8>) -> io::Result<()> {
        let is_large = LARGE_REPLY_BYTES < line.len();
        let place = if is_large { self.large.try_acquire().ok() } else { None };
        if is_large && place.is_none() {
            line = Reply::failed("error: others are being sent long answers; ask again, or for less").to_line();
        }
        timeout(SEND_WITHIN, stream.write_all(&line)).await?
    }

    async fn reply(&self, line: &[u8]) -> Reply {
        let request = match Request::read(line) {
            Ok(request) => request,
            Err(told) => return Reply::failed(told),
        };
        let Ok(_turn) = self.turns.acquire().await else { return Reply::failed("error: the daemon is stopping") };
        let config = amikeep_config::load(&self.config_path).ok().map(|loaded| loaded.config);
        let now = SystemClock.now();
        let source = Source { ledger: &self.ledger, config: config.as_ref(), format: request.format, now };
        answer(&request.question, &source).await.unwrap_or_else(|error| {
            let (exit, told) = exit::told(&error);
            Reply::Refused { exit, told }
        })
    }
}

/// Somebody who answers.
#[derive(Debug)]
pub(crate) struct Serving {
    ledger: Ledger,
    task: JoinSet<()>,
}

impl Serving {
    /// Ends it, whoever still waits for an answer. Its handle is closed before the engine's, since a reader that is left
    /// keeps the last writer from putting everything into the one file that is copied as a backup.
    pub(crate) async fn end(mut self) {
        self.task.shutdown().await;
        self.ledger.close().await;
    }
}

/// The line, without its end; `None` if it is too long, or ends in the middle.
async fn read_line(stream: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    while line.len() <= REQUEST_BYTES_MAX {
        if stream.read_buf(&mut line).await? == 0 {
            return Ok(None);
        }
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            line.truncate(end);
            return Ok(Some(line));
        }
    }
    Ok(None)
}
