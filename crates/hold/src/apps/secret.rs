//! Text that is never shown: the address of a connection, with its password.
//!
//! It owns the two ways in which such a text could come to light, and closes both: printing it, and an error of a client
//! library that repeats a part of it.

use std::fmt;

/// What stands where a secret would.
const COVER: &str = "(hidden)";

/// A text that no log, error or debug output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that sends it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// An address, without the blanks and line ends that editors leave in files.
    pub(crate) fn address(&self) -> &str {
        self.0.trim()
    }

    /// A message of somebody else, without the address and without its password.
    pub(crate) fn cover(&self, message: &str) -> String {
        let mut covered = message.to_owned();
        let password = password_of(self.address());
        let decoded = password.and_then(decode);
        for part in [Some(self.address()), password, decoded.as_deref()].into_iter().flatten() {
            if !part.is_empty() {
                covered = covered.replace(part, COVER);
            }
        }
        covered
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What stands between the first colon of the credentials and the last `@`.
fn password_of(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    let (credentials, _) = rest.rsplit_once('@')?;
    credentials.split_once(':').map(|(_, password)| password)
}

/// `%2F` and the like, for passwords that hold what an address is made of; none if it is no such text.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first != b'%' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        // Digits alone: the reader of numbers would take a sign too.
        let digits = tail.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        let digits = std::str::from_utf8(digits).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown_when_it_is_printed_for_debugging() {
        assert!(!format!("{:?}", Secret::new("mysql://a:hunter2@h/")).contains("hunter2"));
    }

    #[test]
    fn a_message_is_told_without_the_address_and_the_password_however_it_is_written() {
        let secret = Secret::new(" mysql://backup:hunter%322@db/\n");
        let message = "cannot use mysql://backup:hunter%322@db/: `hunter%322`, that is hunter22, is wrong";
        assert_eq!(secret.cover(message), "cannot use (hidden): `(hidden)`, that is (hidden), is wrong");
    }

    #[test]
    fn a_message_about_an_address_without_a_password_stays_readable() {
        assert_eq!(Secret::new("redis://h").cover("connection refused"), "connection refused");
        assert_eq!(Secret::new("redis://u:@h").cover("connection refused"), "connection refused");
    }
}
