//! TCP connections that can be cut. A lost answer must look to the client as it does in the wild: the connection ends
//! and not one byte of an answer has come, or its head and the beginning of its body have.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// What ends the head of an answer.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// Where a connection is cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Cut {
    /// Nowhere.
    #[default]
    Never,
    /// Before the next byte.
    Now,
    /// After the head of the next answer and this much of its body.
    InBody(usize),
    /// After this much.
    After(usize),
}

/// The scissors of one connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scissors(Arc<Mutex<Cut>>);

impl Scissors {
    /// From now on nothing more is written; the connection ends with the next write.
    pub(crate) fn cut(&self) {
        self.set(Cut::Now);
    }

    /// Of the next answer only the head and this much of its body are written.
    pub(crate) fn cut_in_body(&self, len: usize) {
        self.set(Cut::InBody(len));
    }

    fn set(&self, cut: Cut) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = cut;
    }

    /// How much of `bytes` may be written.
    fn allowed(&self, bytes: &[u8]) -> io::Result<usize> {
        let cut = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Cut::InBody(len) = *cut
            && let Some(at) = bytes.windows(HEAD_END.len()).position(|window| window == HEAD_END)
        {
            *cut = Cut::After(at + HEAD_END.len() + len);
        }
        match *cut {
            Cut::Now | Cut::After(0) => Err(io::ErrorKind::ConnectionReset.into()),
            Cut::After(left) => Ok(left.min(bytes.len())),
            Cut::Never | Cut::InBody(_) => Ok(bytes.len()),
        }
    }

    fn written(&self, len: usize) {
        let cut = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Cut::After(left) = cut {
            *left = left.saturating_sub(len);
        }
    }
}

/// A listener whose connections can be cut.
#[derive(Debug)]
pub(crate) struct CuttableListener(pub(crate) TcpListener);

/// One connection.
#[derive(Debug)]
pub(crate) struct Cuttable {
    stream: TcpStream,
    scissors: Scissors,
}

impl Listener for CuttableListener {
    type Io = Cuttable;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        (Cuttable { stream, scissors: Scissors::default() }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, CuttableListener>> for Scissors {
    fn connect_info(stream: IncomingStream<'_, CuttableListener>) -> Self {
        stream.io().scissors.clone()
    }
}

impl AsyncRead for Cuttable {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let allowed = self.scissors.allowed(buf)?;
        let polled = Pin::new(&mut self.stream).poll_write(cx, &buf[..allowed]);
        if let Poll::Ready(Ok(len)) = &polled {
            self.scissors.written(*len);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.scissors.allowed(&[])?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
