//! Where things are: paths, addresses and roles.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use amikeep_domain::id::AccountId;
use serde_json::{Value as Json, json};

use crate::config::Listen;
use crate::value::{Refusal, Secrecy, Text};

/// A path that means the same file whatever directory a command is run from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AbsolutePath(pub(crate) PathBuf);

impl Text for AbsolutePath {
    const EXPECTED: &'static str = "an absolute path";

    fn constraints() -> Json {
        json!({ "pattern": "^/" })
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let path = Path::new(text);
        if !path.is_absolute() || text.contains('\0') {
            return Err(Refusal::new(format!("`{text}` is not an absolute path"))
                .allow("a path that begins with /, so that it is the same file from every directory"));
        }
        Ok(Self(path.to_owned()))
    }
}

/// The path of a Unix socket, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SocketPath(pub(crate) Option<PathBuf>);

/// What fits into the address of a Unix socket on Linux (`unix(7)`): 108 bytes, of which the last is a zero.
pub(crate) const SOCKET_PATH_BYTES_MAX: usize = 107;

impl Text for SocketPath {
    const EXPECTED: &'static str = "an absolute path, or \"\" for none";

    fn constraints() -> Json {
        json!({ "pattern": "^(/|$)", "maxLength": SOCKET_PATH_BYTES_MAX })
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let AbsolutePath(path) = AbsolutePath::parse(text)?;
        if SOCKET_PATH_BYTES_MAX < text.len() {
            return Err(Refusal::new(format!("the path has {} bytes, which is too long for a socket", text.len()))
                .allow(format!("a path of at most {SOCKET_PATH_BYTES_MAX} bytes, such as /run/amikeep/amikeep.sock")));
        }
        Ok(Self(Some(path)))
    }
}

impl Text for Listen {
    const EXPECTED: &'static str = "an address and port in quotes";

    fn parse(text: &str) -> Result<Self, Refusal> {
        if text.is_empty() {
            return Ok(Self::Off);
        }
        text.parse::<SocketAddr>().map(Self::On).map_err(|_| {
            Refusal::new(format!("`{text}` is not an address and port"))
                .allow("an IP address and a port, such as 127.0.0.1:8484 or [::1]:8484, or \"\" for none")
        })
    }
}

/// The URL of something that answers in place of AWS. Never one with a password in it: this file is read by more
/// people than credentials are, and its lines are shown in reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndpointUrl(pub(crate) String);

impl Text for EndpointUrl {
    const EXPECTED: &'static str = "a URL";

    fn constraints() -> Json {
        json!({ "pattern": "^https?://[^@\\s]+$" })
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        if text.contains('@') {
            return Err(Refusal {
                message: "a URL with a user or password in it is refused: this file holds no secrets".to_owned(),
                suggestion: Some(
                    "leave out everything up to the `@`; credentials come from the SDK's chain".to_owned(),
                ),
                secrecy: Secrecy::Secret,
                ..Refusal::default()
            });
        }
        if is_http_url(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Refusal::new(format!("`{text}` is not a URL")).allow("https://host, or http://host:port, and a path"))
    }
}

fn is_http_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let authority = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_host_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
    !host.is_empty()
        && host.chars().all(is_host_char)
        && port.is_none_or(|port| port.parse::<u16>().is_ok())
        && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '?' | '#'))
}

/// A role to assume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoleArn {
    pub(crate) arn: String,
    /// The account that the role is in.
    pub(crate) account: AccountId,
}

impl Text for RoleArn {
    const EXPECTED: &'static str = "the ARN of a role";

    fn constraints() -> Json {
        json!({ "pattern": "^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$" })
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        role_account(text).map(|account| Self { arn: text.to_owned(), account }).ok_or_else(|| {
            Refusal::new(format!("`{text}` is not the ARN of a role"))
                .allow("arn:aws:iam:: and the account id, :role/ and the role's name")
        })
    }
}

fn role_account(text: &str) -> Option<AccountId> {
    let (partition, rest) = text.strip_prefix("arn:")?.split_once(":iam::")?;
    let (account, role) = rest.split_once(":role/")?;
    let is_partition = partition.starts_with("aws") && partition.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    let is_role = !role.is_empty() && role.chars().all(|c| c.is_ascii_graphic());
    if is_partition && is_role { account.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_plain_http_url() {
        for (text, want) in [
            ("http://127.0.0.1:4566", true),
            ("http://[::1]:4566/ec2", true),
            ("http://[::1]", true),
            ("https://ec2.eu-central-1.amazonaws.com", true),
            ("ftp://host", false),
            ("https://", false),
            ("https://host:port", false),
            ("https://host:70000", false),
            ("https://ho st", false),
            ("https://host?x=1", false),
            ("localhost:4566", false),
        ] {
            assert_eq!(EndpointUrl::parse(text).is_ok(), want, "{text}");
        }
    }

    #[test]
    fn a_password_in_an_endpoint_is_never_repeated() {
        for text in ["http://user:hunter2@host", "user:hunter2@host", "https://host/?p=hunter2@x"] {
            let refusal = EndpointUrl::parse(text).unwrap_err();
            assert_eq!(refusal.secrecy, Secrecy::Secret, "{text}");
            assert!(!format!("{refusal:?}").contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_role_names_its_account() {
        let role = RoleArn::parse("arn:aws-cn:iam::123456789012:role/path/amikeep").unwrap();
        assert_eq!(role.account.as_str(), "123456789012");
        for text in
            ["arn:aws:iam::123:role/x", "arn:aws:iam::123456789012:user/x", "arn:aws:iam::123456789012:role/", "x"]
        {
            assert!(RoleArn::parse(text).is_err(), "{text}");
        }
    }
}
