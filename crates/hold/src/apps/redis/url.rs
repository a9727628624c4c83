//! Where a Redis is, and as whom to speak to it: `redis://user:password@host:port`, `unix://user:password@/path`, or
//! `rediss://` with TLS, and the files for that under the names that redis-py reads in such an address: `ssl_ca_certs`,
//! `ssl_certfile` and `ssl_keyfile`.
//!
//! It owns the form of the address. Its errors must never quote it, since it holds a password.

use std::path::PathBuf;
use std::str::FromStr;

use crate::apps::redis::tls::TlsFiles;
use crate::apps::secret;
use crate::apps::{AppError, Secret};

/// Where Redis listens unless told otherwise.
const PORT: u16 = 6379;

/// An address with its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RedisAddress {
    pub(super) place: Place,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Tcp { host: String, port: u16 },
    Tls { host: String, port: u16, files: TlsFiles },
    Unix(PathBuf),
}

impl Place {
    /// None for a socket.
    pub(super) fn host(&self) -> Option<&str> {
        match self {
            Self::Tcp { host, .. } | Self::Tls { host, .. } => Some(host),
            Self::Unix(_) => None,
        }
    }
}

impl FromStr for RedisAddress {
    type Err = AppError;

    fn from_str(text: &str) -> Result<Self, AppError> {
        let wrong = |why| AppError::Address { why };
        let (scheme, rest) = text.split_once("://").ok_or(wrong("it has no `://`"))?;
        let (credentials, place) = match rest.rsplit_once('@') {
            Some((credentials, place)) => (credentials, place),
            None => ("", rest),
        };
        let place = match scheme {
            "redis" => tcp(place).map(|(host, port)| Place::Tcp { host, port })?,
            "rediss" => {
                let (place, query) = place.split_once('?').unwrap_or((place, ""));
                let (host, port) = tcp(place)?;
                Place::Tls { host, port, files: files(query)? }
            }
            "unix" if place.starts_with('/') => Place::Unix(decode(place)?.into()),
            "unix" => return Err(wrong("the path of the socket must begin with `/`")),
            _ => return Err(wrong("it must begin with `redis://`, `rediss://` or `unix://`")),
        };
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let given = |text: &str| if text.is_empty() { Ok(None) } else { decode(text).map(Some) };
        let (user, password) = (given(user)?, given(password)?.map(Secret::new));
        if user.is_some() && password.is_none() {
            return Err(wrong("it has a user and no password"));
        }
        Ok(Self { place, user, password })
    }
}

/// The files of TLS. What is not one of them is refused: it may ask for less than is done.
fn files(query: &str) -> Result<TlsFiles, AppError> {
    let wrong = |why| Err(AppError::Address { why });
    let (mut files, mut certificate, mut key) = (TlsFiles::default(), None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let path = PathBuf::from(decode(value)?);
        match name {
            _ if !path.is_absolute() => return wrong("a file of TLS must be an absolute path"),
            "ssl_ca_certs" => files.authority = Some(path),
            "ssl_certfile" => certificate = Some(path),
            "ssl_keyfile" => key = Some(path),
            _ => return wrong("beside its host it may name `ssl_ca_certs`, `ssl_certfile` and `ssl_keyfile` alone"),
        }
    }
    files.own = match (certificate, key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some((certificate, key)),
        _ => return wrong("`ssl_certfile` and `ssl_keyfile` go together"),
    };
    Ok(files)
}

fn tcp(place: &str) -> Result<(String, u16), AppError> {
    let wrong = |why| AppError::Address { why };
    let place = place.strip_suffix('/').unwrap_or(place);
    let (host, port) = match place.rsplit_once(':') {
        // The colons of an address in brackets are its own.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| wrong("the port is no number"))?),
        _ => (place, PORT),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || host.contains('/') {
        return Err(wrong("it names no host, or more than that"));
    }
    Ok((host.to_owned(), port))
}

fn decode(text: &str) -> Result<String, AppError> {
    let why = "a `%` is not followed by two hexadecimal digits of a text";
    secret::decode(text).ok_or(AppError::Address { why })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> RedisAddress {
        text.parse().unwrap()
    }

    fn at(host: &str, port: u16) -> Place {
        Place::Tcp { host: host.into(), port }
    }

    #[test]
    fn an_address_is_read_with_and_without_port_and_credentials() {
        assert_eq!(read("redis://db.internal").place, at("db.internal", 6379));
        assert_eq!(read("redis://[::1]:7000/").place, at("::1", 7000));
        assert_eq!(read("redis://[::1]").place, at("::1", 6379));
        assert_eq!(read("unix:///run/redis.sock").place, Place::Unix("/run/redis.sock".into()));
        let full = read("redis://backup:p%40ss%3A%2F@localhost:1");
        assert_eq!((full.user.as_deref(), full.password), (Some("backup"), Some(Secret::new("p@ss:/"))));
        let alone = read("unix://:a@b@/run/r");
        assert_eq!((alone.user, alone.password), (None, Some(Secret::new("a@b"))));
    }

    #[test]
    fn an_address_with_tls_names_its_files() {
        let tls = |host: &str, port, files| Place::Tls { host: host.into(), port, files };
        assert_eq!(read("rediss://:p@db.internal").place, tls("db.internal", 6379, TlsFiles::default()));
        let authority = Some("/etc/a ca.pem".into());
        let files = TlsFiles { authority: authority.clone(), own: None };
        assert_eq!(read("rediss://[::1]:7000/?ssl_ca_certs=/etc/a%20ca.pem").place, tls("::1", 7000, files));
        let own = Some(("/c".into(), "/k".into()));
        let query = "ssl_certfile=/c&ssl_ca_certs=/etc/a%20ca.pem&ssl_keyfile=/k";
        assert_eq!(read(&format!("rediss://h?{query}")).place, tls("h", 6379, TlsFiles { authority, own }));
    }

    #[test]
    fn a_wrong_address_is_refused_and_never_quoted() {
        for text in [
            "hunter2",
            "http://hunter2",
            "redis://hunter2@h",
            "redis://:hunter2@",
            "redis://:hunter2@h:x",
            "unix://hunter2",
            "redis://:%zzhunter2@h",
            "redis://:%+fhunter2@h",
            "rediss://:hunter2@h?ssl_cert_reqs=none",
            "rediss://:hunter2@h?ssl_ca_certs=",
            "rediss://:hunter2@h?ssl_certfile=/a",
            "rediss://:hunter2@h?ssl_keyfile=a/b",
            "rediss://:hunter2@?ssl_ca_certs=/a",
            "redis://:hunter2@h/1",
        ] {
            let error = text.parse::<RedisAddress>().unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_password_is_not_shown_when_an_address_is_printed_for_debugging() {
        assert!(!format!("{:?}", read("redis://:hunter2@h")).contains("hunter2"));
    }
}
