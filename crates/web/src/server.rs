//! The listener: few connections, one request each, and an end to every wait.
//!
//! An address that cannot be had is no reason to take no backups: it is told loudly and tried again, since the usual cause
//! is a process that goes away. Nothing that a client sends or leaves out is logged above debug.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amikeep_ledger::Ledger;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, error, info};

use crate::board::Board;
use crate::routes::{Desk, router};

/// Connections at a time; further ones wait in the kernel.
const CONNECTIONS_MAX: usize = 16;
/// How long the head of a request may take to arrive.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// How large it may be.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long a connection may last in all: the figures of ten thousand policies over a slow line.
const CONNECTION_FOR_MAX: Duration = Duration::from_secs(30);
/// How often an address that cannot be had is tried again.
const BIND_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// A daemon that has run out of descriptors gets some back when a call ends.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(200);

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
    accept(listener, &router(Arc::new(Desk::new(board, ledger, address)))).await;
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

async fn accept(listener: TcpListener, router: &Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        // It is never closed, so there is always a place some time.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                debug!("a connection was not accepted: {error}");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let router = router.clone();
        connections.spawn(async move {
            answer(stream, router).await;
            drop(place);
        });
    }
}

async fn answer(stream: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX)
        // One request each, so that a place is soon free again.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match timeout(CONNECTION_FOR_MAX, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!("a client was left: {error}"),
        Err(_elapsed) => debug!("a client was left: it took longer than {CONNECTION_FOR_MAX:?}"),
    }
}

#[cfg(test)]
mod tests;
