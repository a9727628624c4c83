//! A socket replaces the dead and never the living, and clients that err disturb nobody.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use crate::ask::server::{Answerer, Serving};
use crate::ask::socket::SocketError;
use crate::ask::wire::{CONNECTIONS_MAX, LARGE_REPLIES_MAX, LARGE_REPLY_BYTES, REPLY_BYTES_MAX, REQUEST_BYTES_MAX};
use crate::wiring;

use super::*;

const NOW: &str = "2026-11-22T12:00:00Z";

/// A ledger without rows, and somebody who answers about it.
struct Place {
    dir: TempDir,
    serving: Serving,
}

impl Place {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let database = dir.path().join("amikeep.db");
        let lock = wiring::lock(&database, "a test", NOW.parse().unwrap()).unwrap();
        Ledger::open_for_engine(&database, &lock).await.unwrap().close().await;
        let answerer =
            Answerer::new(Ledger::open_read_only(&database).await.unwrap(), dir.path().join("none.toml")).impatient();
        let serving = answerer.start(Socket::bind(&socket_in(&dir)).await.unwrap());
        Self { dir, serving }
    }

    fn records(&self) -> Records {
        Records { database: self.dir.path().join("amikeep.db"), socket: Some(socket_in(&self.dir)), config: None }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(socket_in(&self.dir)).await.unwrap()
    }

    async fn ask(&self, question: Question) -> Reply {
        client::ask(&self.records(), &Request::new(Format::Json, question)).await.unwrap()
    }

    /// What comes back for these bytes.
    async fn send(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        reply
    }

    async fn assert_well(&self) {
        let Reply::Printed(answer) = self.ask(Question::Pauses).await else { panic!("no answer") };
        assert_eq!(answer.result, [Block::Document("{\n  \"pauses\": []\n}".to_owned())]);
    }
}

fn socket_in(dir: &TempDir) -> PathBuf {
    dir.path().join("amikeep.sock")
}

fn told(reply: &Reply) -> &str {
    match reply {
        Reply::Refused { told, .. } => told,
        reply => panic!("{reply:?}"),
    }
}

#[tokio::test]
async fn a_question_is_answered_and_one_about_an_unknown_job_ends_with_1() {
    let place = Place::new().await;
    place.assert_well().await;
    let Reply::Printed(answer) = place.ask(Question::Show(ShowQuestion { job: "0193509f".to_owned() })).await else {
        panic!("no answer")
    };
    let unknown = "error: there is no job `0193509f`; `amikeep history` lists jobs".to_owned();
    assert_eq!((answer.exit, answer.notes), (Exit::Failed, vec![unknown]));
}

#[tokio::test]
async fn it_ends_at_once_though_a_client_hangs_and_takes_its_socket_with_it() {
    let place = Place::new().await;
    let mut hanging = place.connect().await;
    hanging.write_all(b"{").await.unwrap();
    place.assert_well().await;
    let Place { dir, serving } = place;
    serving.end().await;
    assert!(!socket_in(&dir).exists());
    // Its connection is closed as well.
    let _ = hanging.read_to_end(&mut Vec::new()).await;
}

#[tokio::test]
async fn garbage_is_refused_and_what_comes_after_it_is_answered() {
    let place = Place::new().await;
    for garbage in [&b"\xff\xfe\n"[..], b"{}\n", b"[]\n", b"GET / HTTP/1.1\r\n\r\n", b"\n"] {
        let reply = place.send(garbage).await;
        assert!(reply.contains("does not understand"), "{garbage:?}: {reply}");
    }
    // Not even a line.
    assert!(place.send(b"{\"release\":").await.contains("one line"));
    assert!(place.send(b"").await.contains("one line"));
    place.assert_well().await;
}

#[tokio::test]
async fn what_is_no_question_is_refused() {
    let place = Place::new().await;
    let release = env!("CARGO_PKG_VERSION");
    for question in [r#"{"prune":{}}"#, r#"{"sql":"SELECT 1"}"#, r#"{"show":{"job":"x","more":1}}"#, r#""pause""#] {
        let line = format!("{{\"release\":\"{release}\",\"format\":\"json\",\"question\":{question}}}\n");
        let reply = place.send(line.as_bytes()).await;
        assert!(reply.contains("does not understand"), "{question}: {reply}");
    }
}

#[tokio::test]
async fn a_command_of_another_release_is_told_so() {
    let place = Place::new().await;
    let reply = place.send(b"{\"release\":\"99.0.0\",\"format\":\"json\",\"question\":{\"later\":{}}}\n").await;
    assert!(reply.contains("99.0.0") && reply.contains("restart the daemon"), "{reply}");
}

#[tokio::test]
async fn a_question_without_an_end_is_cut_off() {
    let place = Place::new().await;
    let mut stream = place.connect().await;
    let endless = vec![b'x'; 4 * REQUEST_BYTES_MAX];
    // It may be gone before all is written.
    let _ = stream.write_all(&endless).await;
    place.assert_well().await;
}

#[tokio::test]
async fn clients_that_hang_are_left_and_others_are_answered() {
    let place = Place::new().await;
    let mut hanging = Vec::new();
    for n in 0..2 * CONNECTIONS_MAX {
        let mut stream = place.connect().await;
        // Some begin, and some do not even that.
        stream.write_all(if n % 2 == 0 { b"{\"release\"" } else { b"" }).await.unwrap();
        hanging.push(stream);
    }
    place.assert_well().await;
    for mut stream in hanging {
        let mut rest = Vec::new();
        // It was closed by the other side, with or without a word.
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty() || rest.starts_with(b"{"), "{rest:?}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_before_its_answer_disturbs_nobody() {
    let place = Place::new().await;
    let request = Request::new(Format::Json, Question::Pauses);
    for _ in 0..2 * CONNECTIONS_MAX {
        let mut stream = place.connect().await;
        stream.write_all(&[serde_json::to_vec(&request).unwrap(), b"\n".to_vec()].concat()).await.unwrap();
    }
    place.assert_well().await;
}

#[tokio::test]
async fn long_answers_that_nobody_reads_are_few_and_short_ones_go_on() {
    let dir = TempDir::new().unwrap();
    let database = dir.path().join("amikeep.db");
    let lock = wiring::lock(&database, "a test", NOW.parse().unwrap()).unwrap();
    let ledger = Ledger::open_for_engine(&database, &lock).await.unwrap();
    let answerer = Arc::new(Answerer::new(ledger, dir.path().join("none.toml")));
    let long = vec![b'x'; LARGE_REPLY_BYTES + 1];
    let mut unread = Vec::new();
    let mut sending = JoinSet::new();
    for _ in 0..LARGE_REPLIES_MAX {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let (answerer, line) = (Arc::clone(&answerer), long.clone());
        sending.spawn(async move { answerer.send(&mut ours, line).await });
        // What has begun to come has its place.
        theirs.read_exact(&mut [0]).await.unwrap();
        unread.push(theirs);
    }
    for (line, expected) in [(long.clone(), "others are being sent long answers"), (b"short\n".to_vec(), "short")] {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        answerer.send(&mut ours, line).await.unwrap();
        drop(ours);
        let mut read = String::new();
        theirs.read_to_string(&mut read).await.unwrap();
        assert!(read.contains(expected), "{}", &read[..read.len().min(200)]);
    }
    // Those who left have given their places back.
    drop(unread);
    while let Some(sent) = sending.join_next().await {
        assert!(sent.unwrap().is_err(), "nobody read it");
    }
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    let mut read = Vec::new();
    let (sent, n) = tokio::join!(answerer.send(&mut ours, long.clone()), async {
        let mut limited = (&mut theirs).take(long.len() as u64);
        limited.read_to_end(&mut read).await.unwrap()
    });
    sent.unwrap();
    assert_eq!(n, long.len());
}

#[test]
fn an_answer_that_is_too_large_says_so_and_is_not_cut_off() {
    let document = Block::Document("x".repeat(REPLY_BYTES_MAX));
    let answer = Answer { exit: Exit::Done, result: vec![document], notes: Vec::new() };
    let line = Reply::Printed(answer).to_line();
    let reply: Reply = serde_json::from_slice(&line).unwrap();
    assert!(told(&reply).contains("--policy"), "{reply:?}");
}

#[tokio::test]
async fn without_a_daemon_the_error_says_where_it_was_looked_for_and_what_to_do() {
    let dir = TempDir::new().unwrap();
    let records = |socket| Records { database: "/nowhere/amikeep.db".into(), socket, config: None };
    let request = Request::new(Format::Json, Question::Pauses);
    let error = client::ask(&records(Some(socket_in(&dir))), &request).await.unwrap_err().to_string();
    assert!(error.contains("no daemon answers at") && error.contains("systemctl start amikeep"), "{error}");
    let error = client::ask(&records(None), &request).await.unwrap_err().to_string();
    assert!(error.contains("switched off"), "{error}");
    // One that takes the question and ends.
    let silent = tokio::net::UnixListener::bind(socket_in(&dir)).unwrap();
    let records = records(Some(socket_in(&dir)));
    let (asked, accepted) = tokio::join!(client::ask(&records, &request), async { drop(silent.accept().await) });
    let () = accepted;
    let error = asked.unwrap_err().to_string();
    assert!(error.contains("journalctl -u amikeep"), "{error}");
}

#[tokio::test]
async fn a_socket_is_for_user_and_group_and_goes_with_its_daemon() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("made").join("amikeep.sock");
    let socket = Socket::bind(&path).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    assert_eq!(socket.path(), path);
    drop(socket);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_dead_socket_is_replaced_and_a_living_one_never() {
    let dir = TempDir::new().unwrap();
    let path = socket_in(&dir);
    // As a daemon leaves it that was killed: the file stays, and nobody listens.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let living = Socket::bind(&path).await.unwrap();
    let error = Socket::bind(&path).await.unwrap_err();
    assert!(matches!(error, SocketError::InUse { .. }), "{error}");
    assert!(UnixStream::connect(&path).await.is_ok(), "the living one still answers");
    drop(living);
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let path = socket_in(&dir);
    fs::write(&path, "precious").unwrap();
    let error = Socket::bind(&path).await.unwrap_err();
    assert!(matches!(error, SocketError::NotASocket { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    let error = Socket::bind(Path::new("/nowhere/deep/amikeep.sock")).await.unwrap_err();
    assert!(matches!(error, SocketError::Io { .. }), "{error}");
}

#[test]
fn a_question_survives_the_wire() {
    let question = Question::History(HistoryQuestion {
        listed: Listed::Jobs,
        policy: Some("db-nightly".parse().unwrap()),
        instance: Some("i-0123456789abcdef0".parse().unwrap()),
        state: Some(amikeep_domain::job::StateName::Skipped),
        since: Some(NOW.parse().unwrap()),
        until: None,
        limit: 50,
        cursor: Some("c".to_owned()),
    });
    let request = Request::new(Format::Table, question);
    assert_eq!(Request::read(&serde_json::to_vec(&request).unwrap()), Ok(request));
}
