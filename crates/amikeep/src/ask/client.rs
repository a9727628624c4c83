//! Asking the daemon: for users who may not read the ledger.

use std::io;
use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::ask::wire::{REPLY_BYTES_MAX, REPLY_WITHIN, Reply, Request};
use crate::ctx::Records;

/// Why the daemon gave no answer. Each says where it was asked and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error(
        "this user may not read the ledger {database}, and `socket` under [daemon] is switched off: run this as root"
    )]
    Off { database: PathBuf },
    #[error(
        "this user may not read the ledger {database}, nor ask the daemon at {socket}: join the group of the socket \
         (`usermod -aG amikeep NAME` as root, then log in anew), or run this as root"
    )]
    Denied { database: PathBuf, socket: PathBuf },
    #[error(
        "this user may not read the ledger {database}, and no daemon answers at {socket}: start it (`systemctl start \
         amikeep`), or run this as root"
    )]
    NoDaemon { database: PathBuf, socket: PathBuf },
    #[error("the daemon at {socket} cannot be asked; its log may say why (`journalctl -u amikeep`)")]
    Broken { socket: PathBuf, source: io::Error },
    #[error("the daemon at {socket} gave no answer within {} s; ask again, or run this as root", REPLY_WITHIN.as_secs())]
    Silent { socket: PathBuf },
    #[error(
        "what answers at {socket} is no amikeep daemon of this release: restart the daemon after an upgrade (`systemctl \
         restart amikeep`)"
    )]
    NotUnderstood { socket: PathBuf, source: serde_json::Error },
}

/// Asks, and reads the reply.
pub(super) async fn ask(records: &Records, request: &Request) -> Result<Reply, AskError> {
    let database = records.database.clone();
    let Some(socket) = records.socket.clone() else { return Err(AskError::Off { database }) };
    let line = match timeout(REPLY_WITHIN, exchange(&socket, request)).await {
        Err(_) => return Err(AskError::Silent { socket }),
        Ok(Ok(line)) => line,
        Ok(Err(source)) => {
            return Err(match source.kind() {
                io::ErrorKind::PermissionDenied => AskError::Denied { database, socket },
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AskError::NoDaemon { database, socket },
                _ => AskError::Broken { socket, source },
            });
        }
    };
    serde_json::from_slice(&line).map_err(|source| AskError::NotUnderstood { socket, source })
}

async fn exchange(socket: &PathBuf, request: &Request) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket).await?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut reply = Vec::new();
    let bytes_max = u64::try_from(REPLY_BYTES_MAX).unwrap_or(u64::MAX);
    stream.take(bytes_max).read_to_end(&mut reply).await?;
    if reply.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection without an answer"));
    }
    Ok(reply)
}
