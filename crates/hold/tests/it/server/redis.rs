//! Redis of the distribution, and a client that counts on it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use amikeep_hold::apps::{Application, Prepared, Secret};
use rustix::process::Signal;

use crate::bench::PATIENCE;
use crate::client::Client;
use crate::server::Server;

/// A server, and where it listens.
pub(crate) struct Redis {
    #[allow(dead_code, reason = "the experiment shuts it down; the tests let it go")]
    pub(crate) server: Server,
    socket: PathBuf,
}

impl Redis {
    /// A server on a directory, with its socket elsewhere.
    pub(crate) fn on(data: &Path, place: &Path, name: &str, options: &str) -> Result<Self, String> {
        let socket = place.join(format!("{name}.socket"));
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--daemonize", "no"]).args(options.split(' '));
        command.arg("--dir").arg(data).arg("--unixsocket").arg(&socket);
        let is_ready = |_: &str| try_ask(&socket, "PING").is_some_and(|reply| reply == "+PONG");
        let log = place.join(format!("{name}.log"));
        let server = Server::start(&mut command, &log, Signal::KILL, is_ready)?;
        Ok(Self { server, socket })
    }

    pub(crate) fn ask(&self, question: &str) -> String {
        try_ask(&self.socket, question).unwrap()
    }

    pub(crate) fn address(&self, credentials: &str) -> Secret {
        Secret::new(format!("unix://{credentials}{}\n", self.socket.display()))
    }

    pub(crate) fn prepared(&self) -> Prepared {
        Application::Redis.prepare(Some(&self.address("")), PATIENCE).unwrap()
    }

    /// A client that counts this key up.
    pub(crate) fn client(&self, key: &str) -> Client {
        let question = format!("INCR {key}\r\n");
        let mut stream = BufReader::new(UnixStream::connect(&self.socket).unwrap());
        let mut line = String::new();
        Client::start(move |number| {
            line.clear();
            let is_sent = stream.get_mut().write_all(question.as_bytes()).is_ok();
            let is_read = is_sent && stream.read_line(&mut line).is_ok_and(|length| 0 < length);
            assert!(!is_read || line.trim_end() == format!(":{number}"), "{line}");
            is_read
        })
    }

    /// The number that a client has counted up to.
    pub(crate) fn count(&self, key: &str) -> u64 {
        match self.ask(&format!("GET {key}")) {
            nothing if nothing == "$-1" => 0,
            number => number.parse().unwrap(),
        }
    }
}

fn try_ask(socket: &Path, question: &str) -> Option<String> {
    let mut stream = BufReader::new(UnixStream::connect(socket).ok()?);
    stream.get_mut().write_all(format!("{question}\r\n").as_bytes()).ok()?;
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    if line.starts_with('$') && line.trim_end() != "$-1" {
        line.clear();
        stream.read_line(&mut line).ok()?;
    }
    Some(line.trim_end().to_owned())
}
