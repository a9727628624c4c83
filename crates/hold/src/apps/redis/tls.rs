//! TLS to Redis: the server has to prove that it is the host of the address, always.
//!
//! It owns certificates and no protocol. Who is asked is the authority that the address names, or those that the host
//! knows.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::apps::AppError;

/// What `rediss://` names beside its host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TlsFiles {
    /// The authority; without it those of the host.
    pub(super) authority: Option<PathBuf>,
    /// A certificate of our own, and its key.
    pub(super) own: Option<(PathBuf, PathBuf)>,
}

/// A connection that is encrypted.
pub(super) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// What connections begin with, read once: it may not be read while a disk is frozen.
pub(super) fn settings(files: &TlsFiles) -> Result<Arc<ClientConfig>, AppError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| failed("set TLS up", io::Error::other(error)))?;
    let builder = builder.with_root_certificates(authorities(files.authority.as_deref())?);
    let Some((certificate, key)) = &files.own else { return Ok(Arc::new(builder.with_no_client_auth())) };
    let chain = certificates("read `ssl_certfile`", certificate)?;
    let key =
        PrivateKeyDer::from_pem_file(key).map_err(|error| failed("read `ssl_keyfile`", io::Error::other(error)))?;
    let settings = builder.with_client_auth_cert(chain, key);
    settings.map(Arc::new).map_err(|error| failed("use `ssl_certfile` and `ssl_keyfile`", io::Error::other(error)))
}

fn authorities(named: Option<&Path>) -> Result<RootCertStore, AppError> {
    let doing = if named.is_some() { "read `ssl_ca_certs`" } else { "read the authorities that this host knows" };
    let found = match named {
        Some(file) => certificates(doing, file)?,
        // What cannot be read of them is left out, as by every program; none at all is an error below.
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found);
    if added == 0 {
        return Err(failed(doing, io::Error::new(ErrorKind::InvalidData, "there is no certificate of an authority")));
    }
    Ok(roots)
}

fn certificates(doing: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, AppError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    read.map_err(|error| failed(doing, io::Error::other(error)))
}

/// Greets the server, which has to prove who it is. The limits of `stream` hold for each wait.
pub(super) fn greet(settings: Arc<ClientConfig>, host: &str, mut stream: TcpStream) -> io::Result<TlsStream> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let mut connection = ClientConnection::new(settings, name).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(connection, stream))
}

fn failed(doing: &'static str, source: io::Error) -> AppError {
    AppError::Connection { doing, source }
}
