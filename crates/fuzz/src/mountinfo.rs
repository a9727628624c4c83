//! The kernel's list of mounts.

use std::os::unix::ffi::OsStrExt;

use amikeep_hold::{MountLine, parse_mountinfo};

/// No line makes the reader panic, and what it reads is written and read again as the same.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mounts = parse_mountinfo(text);
    assert!(mounts.len() <= text.lines().count());
    let written: String = mounts.iter().map(line).collect();
    assert_eq!(parse_mountinfo(&written), mounts);
}

fn line(mount: &MountLine) -> String {
    let MountLine { id, device, mount_point, fs_type, source, options } = mount;
    let mount_point = escape(mount_point.as_os_str().as_bytes());
    let source = escape(source.as_bytes());
    format!("{id} 1 {device} / {mount_point} rw - {fs_type} {source} {options}\n")
}

/// As the kernel does, and whatever is not ASCII too, since a path need not be text.
fn escape(bytes: &[u8]) -> String {
    let escaped = |byte: &u8| match byte {
        b'\\' | b' ' | 0..=31 | 127.. => format!("\\{byte:03o}"),
        byte => char::from(*byte).to_string(),
    };
    bytes.iter().map(escaped).collect()
}
