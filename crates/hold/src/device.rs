//! The number by which the kernel tells file systems apart, whatever their paths are.

use std::fmt;
use std::str::FromStr;

/// Major and minor number, as in `/proc/self/mountinfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNumber {
    /// The driver.
    pub major: u32,
    /// The device of that driver.
    pub minor: u32,
}

impl DeviceNumber {
    /// From what `stat` calls `st_dev`.
    pub fn from_raw(raw: u64) -> Self {
        Self { major: rustix::fs::major(raw), minor: rustix::fs::minor(raw) }
    }
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// What was expected to be `major:minor`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a device number")]
pub struct NoDeviceNumber(String);

impl FromStr for DeviceNumber {
    type Err = NoDeviceNumber;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = |part: &str| part.parse().map_err(|_| NoDeviceNumber(text.to_owned()));
        let (major, minor) = text.split_once(':').ok_or_else(|| NoDeviceNumber(text.to_owned()))?;
        Ok(Self { major: parse(major)?, minor: parse(minor)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_as_it_is_written() {
        let number = DeviceNumber { major: 259, minor: 3 };
        assert_eq!(number.to_string().parse(), Ok(number));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "8", "8:", ":1", "8:1:2", "-8:1", "a:b"] {
            assert!(text.parse::<DeviceNumber>().is_err(), "{text}");
        }
    }
}
