//! The socket's file: made for the daemon's group, and taken away with the daemon.
//!
//! The file of a daemon that died stays behind and is replaced. It is known to be dead by asking: only a socket at which
//! nobody listens refuses a connection. Anything else at that path is left alone, and the daemon goes on without.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// For the daemon's user and group, and nobody else.
const SOCKET_MODE: u32 = 0o660;
/// Of the directory, where it has to be made. Who may use the socket is said by the socket.
const DIRECTORY_MODE: u32 = 0o755;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    /// Another daemon answers there.
    #[error("another daemon answers at {path}: give each its own `socket` under [daemon]")]
    InUse { path: PathBuf },
    /// Something else is there.
    #[error("{path} is there and is no socket; it is left untouched: move it away, or set `socket` under [daemon]")]
    NotASocket { path: PathBuf },
    /// The operating system says no.
    #[error("the socket {path} cannot be made: set `socket` under [daemon] to where this user may make it")]
    Io { path: PathBuf, source: io::Error },
}

/// A socket that listens. Its file goes with it.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(super) listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Makes it, in place of one that a dead daemon left.
    pub(crate) async fn bind(path: &Path) -> Result<Self, SocketError> {
        make_directory(path).map_err(|source| SocketError::Io { path: path.to_owned(), source })?;
        remove_dead(path).await?;
        let bound = UnixListener::bind(path);
        let listener = bound.map_err(|source| SocketError::Io { path: path.to_owned(), source })?;
        let socket = Self { listener, path: path.to_owned() };
        // Before this it is as the umask left it, which is never more than others may do with it in the end.
        let opened = fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE));
        opened.map_err(|source| SocketError::Io { path: path.to_owned(), source })?;
        Ok(socket)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Whatever stays behind is replaced by the next daemon.
        let _ = fs::remove_file(&self.path);
    }
}

/// The last directory alone: one in the middle of the path that is missing is a mistake in the path.
fn make_directory(path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent().filter(|it| !it.exists()) else { return Ok(()) };
    DirBuilder::new().mode(DIRECTORY_MODE).create(parent)
}

async fn remove_dead(path: &Path) -> Result<(), SocketError> {
    let failed = |source| SocketError::Io { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(SocketError::NotASocket { path: path.to_owned() }),
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(failed),
        // Also one that is too busy to answer at once.
        _ => Err(SocketError::InUse { path: path.to_owned() }),
    }
}
