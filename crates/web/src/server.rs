//! The listener: few connections, one request each, and an end to every wait.
//!
//! Whoever connects and says nothing costs nobody anything: once all places are taken, the one who has been there longest
//! without a request makes room for the next. So only requests that are being answered can keep others waiting, and
//! health is answered at once.
//!
//! An address that cannot be had is no reason to take no backups: it is told loudly and tried again, since the usual cause
//! is a process that goes away. Nothing that a client sends or leaves out is logged above debug.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amikeep_ledger::Ledger;
use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tracing::{debug, error, info};

use crate::board::Board;
use crate::routes::{Desk, router};

/// Connections at a time. Further ones take the places of those who have not asked for anything, or wait in the kernel.
const CONNECTIONS_MAX: usize = 32;
/// How large it may be.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How often an address that cannot be had is tried again.
const BIND_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// A daemon that has run out of descriptors gets some back when a call ends.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// How long clients are waited for.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For the head of a request to arrive.
    head: Duration,
    /// For a connection in all: the figures of ten thousand policies over a slow line.
    whole: Duration,
}

const PATIENCE: Patience = Patience { head: Duration::from_secs(5), whole: Duration::from_secs(30) };

/// Somebody who answers, or tries to.
#[derive(Debug)]
pub struct Serving {
    task: JoinSet<()>,
    trouble: Trouble,
}

/// Why nothing listens, as it is at the moment. Clones tell the same.
#[derive(Debug, Clone, Default)]
pub struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    /// `None` while somebody answers.
    pub fn now(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Serving {
    /// Answers at this address from what is on the board and in the ledger, which should be opened for reading. The first
    /// try to listen is over when this returns.
    pub async fn start(address: SocketAddr, board: Arc<Board>, ledger: Ledger) -> Self {
        let (mut task, trouble) = (JoinSet::new(), Trouble::default());
        let listener = bind(address, &trouble).await;
        task.spawn(serve(address, listener, board, ledger, trouble.clone()));
        Self { task, trouble }
    }

    /// Where it is told why nothing listens.
    pub fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }

    /// Ends it, whoever still waits for an answer.
    pub async fn end(mut self) {
        self.task.shutdown().await;
    }
}

async fn serve(
    address: SocketAddr,
    mut listener: Option<TcpListener>,
    board: Arc<Board>,
    ledger: Ledger,
    trouble: Trouble,
) {
    let listener = loop {
        match listener.take() {
            Some(listener) => break listener,
            None => tokio::time::sleep(BIND_AGAIN_AFTER).await,
        }
        listener = bind(address, &trouble).await;
    };
    accept(listener, &router(Arc::new(Desk::new(board, ledger, address))), PATIENCE).await;
}

/// A new trouble is worth a line, and so is its end.
async fn bind(address: SocketAddr, trouble: &Trouble) -> Option<TcpListener> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        io::Result::Ok((listener.local_addr()?, listener))
    };
    let (listener, now) = match bound.await {
        Ok((at, listener)) => {
            info!("metrics and health are answered at http://{at}");
            (Some(listener), None)
        }
        Err(error) => (None, Some(format!("nothing listens at {address}: {error}"))),
    };
    let mut told = trouble.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(why) = now.as_ref().filter(|_| *told != now) {
        let every = BIND_AGAIN_AFTER.as_secs();
        error!(
            "{why}, so there are no metrics; backups go on, and it is tried again every {every} s: free the address, or set \
             `listen` under [daemon]"
        );
    }
    *told = now;
    listener
}

/// Somebody who is connected.
#[derive(Debug)]
struct Guest {
    task: AbortHandle,
    /// Whether the head of a request has come.
    has_asked: Arc<AtomicBool>,
}

async fn accept(listener: TcpListener, router: &Router, patience: Patience) {
    let (mut connections, mut guests) = (JoinSet::new(), VecDeque::new());
    loop {
        make_room(&mut guests, &mut connections).await;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                debug!("a connection was not accepted: {error}");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                continue;
            }
        };
        let has_asked = Arc::new(AtomicBool::new(false));
        let task = connections.spawn(answer(stream, router.clone(), Arc::clone(&has_asked), patience));
        guests.push_back(Guest { task, has_asked });
    }
}

/// Returns when there is a place. Those who wait for an answer keep theirs, and each of them has an end.
async fn make_room(guests: &mut VecDeque<Guest>, connections: &mut JoinSet<()>) {
    while connections.try_join_next().is_some() {}
    guests.retain(|guest| !guest.task.is_finished());
    while CONNECTIONS_MAX <= guests.len() {
        match guests.iter().position(|guest| !guest.has_asked.load(Ordering::Relaxed)) {
            Some(silent) => guests.remove(silent).into_iter().for_each(|guest| guest.task.abort()),
            None => drop(connections.join_next().await),
        }
        guests.retain(|guest| !guest.task.is_finished());
    }
}

async fn answer(stream: TcpStream, router: Router, has_asked: Arc<AtomicBool>, patience: Patience) {
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        has_asked.store(true, Ordering::Relaxed);
        service.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_buf_size(HEAD_BYTES_MAX)
        // One request each, so that a place is soon free again.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(patience.whole, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!("a client was left: {error}"),
        Err(_elapsed) => debug!("a client was left: it took longer than {:?}", patience.whole),
    }
}

#[cfg(test)]
mod tests;
