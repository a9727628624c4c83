//! A client that errs costs a place for a while, and nobody else anything.

use amikeep_ledger::{EngineLock, Holder};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::fixture::{board, now};

const GET: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Somebody who answers at a free port, from a ledger without a row.
async fn serving(patience: Patience) -> (TempDir, SocketAddr, JoinSet<()>) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("amikeep.db");
    let holder = Holder { pid: 1, command: "amikeep daemon".to_owned(), started_at: now() };
    let lock = EngineLock::acquire(&path, &holder).unwrap();
    Ledger::open_for_engine(&path, &lock).await.unwrap().close().await;
    let ledger = Ledger::open_read_only(&path).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut task = JoinSet::new();
    let router = router(Arc::new(Desk::new(board(&["nightly"]), ledger, address)));
    task.spawn(async move { accept(listener, &router, patience).await });
    (dir, address, task)
}

async fn answer_to(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may be refused before all of it was sent.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// One who can wait for ever would let nobody else in.
const ENDLESS: Patience = Patience { head: Duration::from_hours(1), whole: Duration::from_hours(1) };

#[tokio::test]
async fn those_who_say_nothing_make_room_and_the_next_one_is_answered() {
    let (_dir, address, _task) = serving(ENDLESS).await;
    let mut silent = Vec::new();
    for n in 0..3 * CONNECTIONS_MAX {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Some begin a request and do not go on.
        stream.write_all(&GET[..n % GET.len()]).await.unwrap();
        silent.push(stream);
    }
    for _ in 0..3 {
        let answer = answer_to(address, GET).await;
        assert!(answer.starts_with("HTTP/1.1 503"), "no loop has ever beaten here: {answer}");
    }
    // The one who has waited longest was left, and the one who came last may go on.
    let mut rest = Vec::new();
    let _ = silent.remove(0).read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    let mut last = silent.pop().unwrap();
    last.write_all(&GET[(3 * CONNECTIONS_MAX - 1) % GET.len()..]).await.unwrap();
    last.read_to_end(&mut rest).await.unwrap();
    assert!(rest.starts_with(b"HTTP/1.1 503"), "{}", String::from_utf8_lossy(&rest));
}

#[tokio::test]
async fn those_who_are_too_slow_are_left() {
    let patience = Patience { head: Duration::from_millis(50), ..ENDLESS };
    let (_dir, address, _task) = serving(patience).await;
    // All that was sent before its time was up is no request.
    let answer = answer_to(address, &GET[..10]).await;
    assert!(!answer.contains("200") && !answer.contains("503"), "{answer}");
    let patience = Patience { whole: Duration::from_millis(50), ..ENDLESS };
    let (_dir, address, _task) = serving(patience).await;
    assert_eq!(answer_to(address, &GET[..10]).await, "");
}

#[tokio::test]
async fn a_head_without_end_is_refused_and_a_body_is_not_read() {
    let (_dir, address, _task) = serving(PATIENCE).await;
    let endless = [b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ".to_vec(), vec![b'a'; 64 * 1024]].concat();
    let answer = answer_to(address, &endless).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    let with_body = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n";
    assert!(answer_to(address, with_body).await.starts_with("HTTP/1.1 503"));
    let tls = answer_to(address, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc").await;
    assert!(tls.is_empty() || tls.starts_with("HTTP/1.1 400"), "{tls}");
    assert!(answer_to(address, GET).await.contains("the engine has not begun yet"), "it goes on");
}

#[tokio::test]
async fn figures_of_a_ledger_without_a_row_are_figures() {
    let (_dir, address, _task) = serving(PATIENCE).await;
    let answer = answer_to(address, b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    assert!(answer.contains("\namikeep_ledger_readable 1.0\n"), "{answer}");
}
