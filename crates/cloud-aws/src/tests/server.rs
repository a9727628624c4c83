//! A server on loopback that says what it was told to say, in order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What it does with one request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Answers.
    Answer(u16, String),
    /// Answers, with a line more in the head.
    AnswerWith(&'static str, u16, String),
    /// Closes the connection without a word.
    Cut,
    /// Announces the whole body, and closes the connection after half of it.
    CutWithin(String),
    /// Answers as servers before HTTP/1.1 do: the end of the connection is the end of the body.
    UntilClosed(String),
    /// Never answers.
    Stall,
}

/// What it was asked: the form of a request, and who signed it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) form: BTreeMap<String, String>,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn get(&self, key: &str) -> &str {
        self.form.get(key).map_or("", String::as_str)
    }
}

#[derive(Debug, Default)]
struct Script {
    replies: VecDeque<Reply>,
    asked: Vec<Asked>,
}

/// The server. It ends with the value.
pub(crate) struct Server {
    script: Arc<Mutex<Script>>,
    address: std::net::SocketAddr,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let script = Script { replies: replies.into_iter().collect(), asked: Vec::new() };
        let script = Arc::new(Mutex::new(script));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&script)));
        Self { script, address, _tasks: tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn https_url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Everything it was asked, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.script.lock().unwrap().asked.clone()
    }
}

async fn accept(listener: TcpListener, script: Arc<Mutex<Script>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&script)));
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<Script>>) {
    let mut received = Vec::new();
    while let Some(asked) = read_request(&mut stream, &mut received).await {
        let reply = {
            let mut script = script.lock().unwrap();
            script.asked.push(asked);
            script.replies.pop_front().unwrap_or_else(|| error(400, "NothingLeftToSay", "the script has ended"))
        };
        let open = match reply {
            Reply::Answer(status, body) => write(&mut stream, &answer(status, &body)).await,
            Reply::AnswerWith(line, status, body) => {
                let answer = answer(status, &body).replacen("\r\n", &format!("\r\n{line}\r\n"), 1);
                write(&mut stream, &answer).await
            }
            Reply::Cut => false,
            Reply::CutWithin(body) => {
                let answer = answer(200, &body);
                write(&mut stream, &answer[..answer.len() - body.len() / 2]).await;
                false
            }
            Reply::UntilClosed(body) => {
                write(&mut stream, &format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}")).await;
                false
            }
            Reply::Stall => std::future::pending().await,
        };
        if !open {
            return;
        }
    }
}

fn answer(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} As Told\r\ncontent-type: text/xml\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn write(stream: &mut TcpStream, text: &str) -> bool {
    stream.write_all(text.as_bytes()).await.is_ok() && stream.flush().await.is_ok()
}

/// One request; `None` when the client has closed the connection, or does not speak HTTP.
async fn read_request(stream: &mut TcpStream, received: &mut Vec<u8>) -> Option<Asked> {
    let head_end = loop {
        if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(received).await.ok()? == 0 || !received[0].is_ascii_uppercase() {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&received[..head_end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok()).unwrap_or(0);
    while received.len() < head_end + length {
        if stream.read_buf(received).await.ok()? == 0 {
            return None;
        }
    }
    let rest = received.split_off(head_end + length);
    let form = form_urlencoded::parse(&received[head_end..]).into_owned().collect();
    let body = String::from_utf8_lossy(&received[head_end..]).into_owned();
    *received = rest;
    Some(Asked { form, head, body })
}

/// An answer of EC2: the fields of `action`'s response.
pub(crate) fn ec2(action: &str, fields: &str) -> Reply {
    Reply::Answer(200, ec2_body(action, fields))
}

pub(crate) fn ec2_body(action: &str, fields: &str) -> String {
    format!(
        "<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>req-1</requestId>{fields}\
         </{action}Response>"
    )
}

/// An error of EC2.
pub(crate) fn error(status: u16, code: &str, message: &str) -> Reply {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code>\
         <Message>{message}</Message></Error></Errors><RequestID>req-of-error</RequestID></Response>"
    );
    Reply::Answer(status, body)
}

/// An error of STS.
pub(crate) fn sts_error(status: u16, code: &str, message: &str) -> Reply {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>{message}</Message></Error><RequestId>req-of-sts</RequestId></ErrorResponse>"
    );
    Reply::Answer(status, body)
}
