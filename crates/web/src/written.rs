//! A body that is sent while it is written, so that it is never there as a whole.
//!
//! Writing is done beside the tasks of the runtime, which must not wait for it, and waits itself whenever the client reads
//! more slowly. It ends when the client is left. A body that is not written to its end is cut, and never looks whole.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::Frame;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

/// What is sent at once.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that wait to be sent.
const PIECES_MAX: usize = 2;

/// A body that `write` writes.
pub(crate) fn written_aside(write: impl FnOnce(&mut Page) -> fmt::Result + Send + 'static) -> Body {
    let (pieces, sent) = mpsc::channel(PIECES_MAX);
    // It ends with the body, whose receiver is gone when the connection is.
    drop(spawn_blocking(move || {
        let mut page = Page { piece: String::with_capacity(PIECE_BYTES), pieces };
        if write(&mut page).is_ok() && page.send().is_ok() {
            // Nobody can be told that the end was not heard.
            drop(page.pieces.blocking_send(Piece::End));
        }
    }));
    Body::new(Pieces(sent))
}

/// Something that is written.
#[derive(Debug)]
enum Piece {
    Text(Bytes),
    End,
}

/// What is written on.
#[derive(Debug)]
pub(crate) struct Page {
    piece: String,
    pieces: mpsc::Sender<Piece>,
}

impl Page {
    fn send(&mut self) -> fmt::Result {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, String::with_capacity(PIECE_BYTES));
        self.pieces.blocking_send(Piece::Text(piece.into())).map_err(|_| fmt::Error)
    }
}

impl fmt::Write for Page {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if PIECE_BYTES < self.piece.len() + text.len() {
            self.send()?;
        }
        self.piece.push_str(text);
        Ok(())
    }
}

/// What is left to send.
struct Pieces(mpsc::Receiver<Piece>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(context).map(|piece| match piece {
            Some(Piece::Text(text)) => Some(Ok(Frame::data(text))),
            Some(Piece::End) => None,
            None => Some(Err(io::Error::other("it was not written to its end"))),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use hyper::body::Body as _;

    use super::*;

    async fn read(mut body: Body) -> Result<String, axum::Error> {
        let mut text = String::new();
        loop {
            match std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                None => return Ok(text),
                Some(frame) => text.push_str(std::str::from_utf8(&frame?.into_data().unwrap()).unwrap()),
            }
        }
    }

    #[tokio::test]
    async fn what_is_written_arrives_whole_and_in_order() {
        let body = written_aside(|page| (0..100_000).try_for_each(|n| writeln!(page, "{n}")));
        let lines: String = (0..100_000).map(|n| n.to_string() + "\n").collect();
        assert_eq!(read(body).await.unwrap(), lines);
        assert_eq!(read(written_aside(|_| Ok(()))).await.unwrap(), "");
    }

    #[tokio::test]
    async fn what_is_not_written_to_its_end_is_an_error() {
        read(written_aside(|page| page.write_str("half").and(Err(fmt::Error)))).await.unwrap_err();
    }

    #[tokio::test]
    async fn writing_ends_when_nobody_reads_any_more() {
        let (told, ended) = tokio::sync::oneshot::channel();
        let body = written_aside(move |page| {
            let result = (0..).try_for_each(|n| writeln!(page, "{n}"));
            told.send(()).unwrap();
            result
        });
        drop(body);
        ended.await.unwrap();
    }
}
