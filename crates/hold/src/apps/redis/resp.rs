//! Redis's protocol, as much of it as a few questions take.
//!
//! It owns bytes and limits: no answer is waited for beyond its time or kept beyond its size. It knows no command.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::apps::AppError;
use crate::apps::redis::tls::{self, TlsStream};
use crate::apps::redis::url::Place;

/// INFO is a few kilobytes; it has a line for each database.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// A key of the configuration and its value are two.
const LIST_WORDS_MAX: usize = 16;

/// An answer to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// Text, short or long.
    Text(String),
    /// A number.
    Number(i64),
    /// There is nothing.
    Nothing,
    /// Several texts.
    List(Vec<String>),
    /// Redis says no, and why.
    Refusal(String),
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream>),
    Unix(UnixStream),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Stream {
    fn limit(&self, limit: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => limit_tcp(stream, limit),
            Self::Tls(stream) => limit_tcp(&stream.sock, limit),
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))
            }
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Self::Unix(stream) => stream.write_all(bytes),
        }
    }
}

/// One connection, on which one question is asked at a time.
#[derive(Debug)]
pub(super) struct Connection {
    stream: BufReader<Stream>,
    /// After a failure nobody knows which answer belongs to which question.
    is_broken: bool,
}

impl Connection {
    /// `limit` is for connecting, and for each wait for a part of an answer.
    pub(super) fn open(place: &Place, limit: Duration) -> Result<Self, AppError> {
        let failed = |source| AppError::Connection { doing: "connect to Redis", source };
        let stream = match place {
            Place::Unix(path) => UnixStream::connect(path).map(Stream::Unix).map_err(failed)?,
            Place::Tcp { host, port } => Stream::Tcp(connect(host, *port, limit).map_err(failed)?),
            Place::Tls { host, port, files } => {
                let settings = tls::settings(files)?;
                let stream = connect(host, *port, limit).and_then(|stream| {
                    limit_tcp(&stream, limit)?;
                    tls::greet(settings, host, stream)
                });
                Stream::Tls(Box::new(stream.map_err(failed)?))
            }
        };
        stream.limit(limit).map_err(failed)?;
        Ok(Self { stream: BufReader::new(stream), is_broken: false })
    }

    /// Another limit from here on.
    pub(super) fn limit(&self, limit: Duration) -> io::Result<()> {
        self.stream.get_ref().limit(limit)
    }

    /// Where this host sees itself; none on a socket of its own.
    pub(super) fn own_address(&self) -> Option<SocketAddr> {
        match self.stream.get_ref() {
            Stream::Tcp(stream) => stream.local_addr().ok(),
            Stream::Tls(stream) => stream.sock.local_addr().ok(),
            Stream::Unix(_) => None,
        }
    }

    pub(super) fn ask(&mut self, words: &[&str]) -> io::Result<Reply> {
        if self.is_broken {
            return Err(io::Error::from(ErrorKind::NotConnected));
        }
        self.is_broken = true;
        self.stream.get_mut().write_all(&question(words))?;
        let reply = read_reply(&mut self.stream)?;
        self.is_broken = false;
        Ok(reply)
    }
}

fn limit_tcp(stream: &TcpStream, limit: Duration) -> io::Result<()> {
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))
}

fn connect(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
    for place in std::net::ToSocketAddrs::to_socket_addrs(&(host, port))? {
        match TcpStream::connect_timeout(&place, limit) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Words with their lengths, so that no word can be taken for a command.
fn question(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

pub(super) fn read_reply(from: &mut impl BufRead) -> io::Result<Reply> {
    let garbage = || io::Error::from(ErrorKind::InvalidData);
    let line = read_line(from)?;
    let (kind, rest) = line.split_at_checked(1).ok_or_else(garbage)?;
    match kind {
        "+" => Ok(Reply::Text(rest.to_owned())),
        "-" => Ok(Reply::Refusal(rest.to_owned())),
        ":" => rest.parse().map(Reply::Number).map_err(|_| garbage()),
        "$" if rest == "-1" => Ok(Reply::Nothing),
        "$" => {
            let length: u64 = rest.parse().map_err(|_| garbage())?;
            if ANSWER_BYTES_MAX < length {
                return Err(garbage());
            }
            let mut bytes = Vec::new();
            from.take(length).read_to_end(&mut bytes)?;
            let end = read_line(from)?;
            if bytes.len() as u64 != length || !end.is_empty() {
                return Err(garbage());
            }
            Ok(Reply::Text(String::from_utf8_lossy(&bytes).into_owned()))
        }
        "*" => {
            let count: usize = rest.parse().map_err(|_| garbage())?;
            if LIST_WORDS_MAX < count {
                return Err(garbage());
            }
            read_words(from, count).map(Reply::List)
        }
        _ => Err(garbage()),
    }
}

/// The texts of a list, which are texts with their lengths. A list in a list is no answer to anything that is asked here.
fn read_words(from: &mut impl BufRead, count: usize) -> io::Result<Vec<String>> {
    let mut words = Vec::new();
    for _ in 0..count {
        if from.fill_buf()?.first() != Some(&b'$') {
            return Err(io::Error::from(ErrorKind::InvalidData));
        }
        match read_reply(from)? {
            Reply::Text(word) => words.push(word),
            _ => return Err(io::Error::from(ErrorKind::InvalidData)),
        }
    }
    Ok(words)
}

fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    from.take(ANSWER_BYTES_MAX).read_until(b'\n', &mut line)?;
    let text = line.strip_suffix(b"\r\n").ok_or_else(|| io::Error::from(ErrorKind::UnexpectedEof))?;
    Ok(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> io::Result<Reply> {
        read_reply(&mut BufReader::new(bytes))
    }

    #[test]
    fn answers_are_read_as_they_are() {
        assert_eq!(read(b"+OK\r\n").unwrap(), Reply::Text("OK".into()));
        assert_eq!(read(b"-ERR no\r\n").unwrap(), Reply::Refusal("ERR no".into()));
        assert_eq!(read(b":-12\r\n").unwrap(), Reply::Number(-12));
        assert_eq!(read(b"$5\r\na\r\nbc\r\n").unwrap(), Reply::Text("a\r\nbc".into()));
        assert_eq!(read(b"$0\r\n\r\n").unwrap(), Reply::Text(String::new()));
        assert_eq!(read(b"$-1\r\n").unwrap(), Reply::Nothing);
        assert_eq!(
            read(b"*2\r\n$3\r\ndir\r\n$5\r\n/data\r\n").unwrap(),
            Reply::List(vec!["dir".into(), "/data".into()])
        );
        assert_eq!(read(b"*0\r\n").unwrap(), Reply::List(Vec::new()));
    }

    #[test]
    fn what_is_cut_off_too_long_or_unknown_is_an_error() {
        for bytes in [
            &b""[..],
            b"+OK",
            b"$5\r\nab",
            b"$2\r\nabc\r\n",
            b"$9999999\r\n",
            b"$x\r\n",
            b"*1\r\n+a\r\n",
            b"*1\r\n*1\r\n$1\r\na\r\n",
            b"*1\r\n$-1\r\n",
            b"*2\r\n$1\r\na\r\n",
            b"*17\r\n",
            b"HTTP/1.1\r\n",
        ] {
            assert!(read(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_word_is_sent_with_its_length_and_cannot_become_a_command() {
        assert_eq!(question(&["AUTH", "a\r\nFLUSHALL"]), b"*2\r\n$4\r\nAUTH\r\n$11\r\na\r\nFLUSHALL\r\n");
    }
}
