//! `/proc/self/mountinfo`, read into lines with names.
//!
//! It owns the format and nothing of what follows from it. A line that it does not understand is left out: a mount that
//! is not there is refused later, which is the safe side.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::device::DeviceNumber;

/// One mount, as the kernel tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountLine {
    /// The kernel's number of the mount.
    pub id: u64,
    /// The file system, as far as freezing is concerned: subvolumes of one btrfs share it, other than `st_dev`.
    pub device: DeviceNumber,
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// `xfs`, `ext4` and so on.
    pub fs_type: String,
    /// What is mounted, a device as a rule.
    pub source: String,
    /// The options of the file system, not those of this mount of it.
    pub options: String,
}

impl MountLine {
    /// The file system itself takes no writes, at no mount of it.
    pub fn is_read_only(&self) -> bool {
        self.options.split(',').any(|option| option == "ro")
    }
}

/// All mounts, in the order of the kernel: the last of several at one place is the one that is seen.
pub fn parse(text: &str) -> Vec<MountLine> {
    // Nothing but a line feed ends a line: the kernel writes a carriage return as it is.
    text.split('\n').filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<MountLine> {
    let (of_mount, of_file_system) = line.split_once(" - ")?;
    let mut of_mount = of_mount.split(' ');
    let id = of_mount.next()?.parse().ok()?;
    let device = of_mount.nth(1)?.parse().ok()?;
    let mount_point = PathBuf::from(unescape(of_mount.nth(1)?));
    let mut of_file_system = of_file_system.split(' ');
    let fs_type = of_file_system.next()?.to_owned();
    let source = unescape(of_file_system.next()?).to_string_lossy().into_owned();
    let options = of_file_system.next()?.to_owned();
    Some(MountLine { id, device, mount_point, fs_type, source, options })
}

/// The kernel writes space, tab, line feed and backslash as a backslash and three octal digits.
fn unescape(text: &str) -> OsString {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        // Digits alone: the reader of numbers would take a sign too.
        let digits = tail.get(..3).filter(|it| *first == b'\\' && it.iter().all(u8::is_ascii_digit));
        let octal = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(byte);
            rest = &tail[3..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
36 27 7:3 / /srv/my\\040data rw,noatime shared:1 master:2 - xfs /dev/loop3 rw,attr2,inode64
37 27 0:45 /@db /srv/db ro,relatime shared:7 - btrfs /dev/sdb ro,space_cache=v2
38 27 0:99 / /broken
";

    #[test]
    fn a_line_is_read_with_and_without_optional_fields_and_with_spaces_in_its_path() {
        let mounts = parse(TEXT);
        assert_eq!(mounts.len(), 3, "the line that ends early is left out");
        assert_eq!((mounts[0].id, mounts[0].device.to_string()), (27, "254:0".to_owned()));
        assert_eq!(mounts[1].mount_point, PathBuf::from("/srv/my data"));
        assert_eq!((mounts[1].fs_type.as_str(), mounts[1].source.as_str()), ("xfs", "/dev/loop3"));
        assert_eq!(mounts[1].options, "rw,attr2,inode64");
    }

    #[test]
    fn read_only_is_what_the_file_system_is_and_not_the_mount() {
        let of_mount = "37 27 7:1 / /srv ro,relatime - xfs /dev/loop1 rw\n";
        assert!(!parse(of_mount)[0].is_read_only());
        assert!(parse(TEXT)[2].is_read_only());
    }

    #[test]
    fn a_carriage_return_belongs_to_the_line() {
        let mounts = parse("27 1 254:0 / /data rw - xfs /dev/vda rw,label=a\r\n");
        assert_eq!(mounts[0].options, "rw,label=a\r");
    }

    #[test]
    fn a_backslash_that_escapes_nothing_stays() {
        assert_eq!(unescape("a\\b\\134c\\"), OsString::from("a\\b\\c\\"));
        assert_eq!(unescape("\\+12 \\189 \\400"), OsString::from("\\+12 \\189 \\400"));
    }
}
