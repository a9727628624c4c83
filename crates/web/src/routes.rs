//! What is answered at which address.
//!
//! A status page gets its place here, at `/`, which until then names the two addresses there are.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use amikeep_ledger::Ledger;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;

use crate::board::Board;
use crate::health;
use crate::metrics::{Format, Scrape};
use crate::written::written_aside;

/// Two Prometheus servers that watch each other are usual. Each scrape has its figures in memory for as long as it is sent.
const SCRAPES_MAX: usize = 2;

/// What every answer is made from.
#[derive(Debug)]
pub(crate) struct Desk {
    board: Arc<Board>,
    ledger: Ledger,
    scrapes: Arc<Semaphore>,
    /// Where it listens.
    address: SocketAddr,
}

impl Desk {
    pub(crate) fn new(board: Arc<Board>, ledger: Ledger, address: SocketAddr) -> Self {
        Self { board, ledger, scrapes: Arc::new(Semaphore::new(SCRAPES_MAX)), address }
    }
}

/// `HEAD` is answered wherever `GET` is.
pub(crate) fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .layer(middleware::from_fn_with_state(Arc::clone(&desk), for_this_host))
        .with_state(desk)
}

async fn index(State(desk): State<Arc<Desk>>) -> String {
    let about = &desk.board.about;
    format!(
        "amikeep {} of {}\n\n/metrics   figures for Prometheus\n/healthz   whether it works: 200 or 503, and one line\n",
        about.version, about.owner
    )
}

async fn healthz(State(desk): State<Arc<Desk>>) -> Response {
    let (status, line) = match health::judge(desk.board.heard().as_ref()) {
        Ok(line) => (StatusCode::OK, line),
        Err(line) => (StatusCode::SERVICE_UNAVAILABLE, line),
    };
    (status, [(header::CACHE_CONTROL, "no-store")], format!("{line}\n")).into_response()
}

async fn metrics(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Response {
    let format = format(&headers);
    // It is never closed.
    let Ok(place) = Arc::clone(&desk.scrapes).acquire_owned().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let scrape = Scrape::take(Arc::clone(&desk.board), &desk.ledger).await;
    let body = written_aside(move |page| {
        let _place = place;
        scrape.render(format, page)
    });
    ([(header::CONTENT_TYPE, format.content_type())], body).into_response()
}

fn format(headers: &HeaderMap) -> Format {
    let accepts = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let asks = |accept: &str| accept.contains("application/openmetrics-text");
    if accepts.into_iter().any(asks) { Format::OpenMetrics } else { Format::Prometheus }
}

/// A page in somebody's browser can be given an address of its own that leads here, and would then read what only this
/// host should. Its requests carry the page's name, so a listener for this host alone answers to this host's names.
async fn for_this_host(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    if desk.address.ip().is_loopback() && !host.is_some_and(is_this_host) {
        let line = "this is answered to requests for localhost alone, since it listens for this host alone\n";
        return (StatusCode::MISDIRECTED_REQUEST, line).into_response();
    }
    next.run(request).await
}

fn is_this_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(name, _)| name),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_host_are_this_host() {
        for host in ["localhost", "LOCALHOST:8484", "127.0.0.1:8484", "127.1.2.3", "[::1]", "[::1]:8484"] {
            assert!(is_this_host(host), "{host}");
        }
        for host in
            ["", "localhost.example.com", "127.0.0.1.example.com:8484", "10.0.0.1", "[::2]", "[::1", "::1", "[]"]
        {
            assert!(!is_this_host(host), "{host}");
        }
    }
}
