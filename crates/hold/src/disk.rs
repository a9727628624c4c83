//! Which disks a file system is on, by the names that a cloud knows them by.
//!
//! It owns how that is read from `/sys`, and must never guess: what it cannot follow is an error, and an image is then
//! not proved to be consistent.
//!
//! On a Nitro instance each EBS volume is an `NVMe` device whose serial number is the id of the volume without its dash, as
//! "Map EBS volumes to `NVMe` device names" in the EBS User Guide has it. On older instances the kernel's name of the disk is
//! all there is; EC2 shows the same disk as `/dev/sdf` or `xvdf` or whatever it was attached as.

use std::fs;
use std::path::{Path, PathBuf};

use crate::device::DeviceNumber;

/// Where the kernel shows its devices.
pub const SYS: &str = "/sys";

/// Volume upon volume upon partition: no machine is built deeper than this.
const DEPTH_MAX: usize = 16;

/// The name of one disk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disk {
    /// The id of an EBS volume, `vol-…`, from the serial number of an `NVMe` device.
    Volume(String),
    /// The letters of a Xen block device, `f` of `xvdf`.
    Xen(String),
}

/// The disks that a block device is on: itself, those below a logical volume or a RAID, or the disk of a partition.
pub fn disks_of(sys: &Path, device: DeviceNumber) -> Result<Vec<Disk>, String> {
    let link = sys.join("dev/block").join(device.to_string());
    let folder = fs::canonicalize(&link).map_err(|_| format!("{device} is not the number of a block device"))?;
    let mut disks = Vec::new();
    collect(&folder, &mut disks, DEPTH_MAX)?;
    disks.sort();
    disks.dedup();
    Ok(disks)
}

fn collect(folder: &Path, disks: &mut Vec<Disk>, depth: usize) -> Result<(), String> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if depth == 0 {
        return Err(format!("`{name}` is built of too many layers"));
    }
    if folder.join("partition").exists() {
        let whole = folder.parent().ok_or_else(|| format!("`{name}` is a partition of nothing"))?;
        return collect(whole, disks, depth - 1);
    }
    let below = slaves(folder);
    if !below.is_empty() {
        return below.iter().try_for_each(|folder| collect(folder, disks, depth - 1));
    }
    disks.push(name_of(folder, name).ok_or_else(|| format!("nothing tells which EBS volume `{name}` is"))?);
    Ok(())
}

/// The devices that a logical volume, a RAID or the like is made of.
fn slaves(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("slaves")).into_iter().flatten().flatten();
    entries.filter_map(|entry| fs::canonicalize(entry.path()).ok()).collect()
}

fn name_of(folder: &Path, name: &str) -> Option<Disk> {
    disk(name, fs::read_to_string(folder.join("device/serial")).ok().as_deref())
}

/// The disk that the kernel calls so, with what it says of itself.
pub(crate) fn disk(name: &str, serial: Option<&str>) -> Option<Disk> {
    if let Some(letters) = name.strip_prefix("xvd").filter(|it| !it.is_empty()) {
        return Some(Disk::Xen(letters.to_owned()));
    }
    let digits = serial?.trim().strip_prefix("vol")?.trim_start_matches('-');
    let is_id = matches!(digits.len(), 8 | 17) && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (name.starts_with("nvme") && is_id).then(|| Disk::Volume(format!("vol-{digits}")))
}

/// The instance that this machine is, as its firmware says: on Nitro the asset tag of the board is the instance's id
/// ("Detect whether a host is an EC2 instance" in the EC2 User Guide). None on anything else.
pub fn instance_of_firmware(sys: &Path) -> Option<String> {
    let tag = fs::read_to_string(sys.join("devices/virtual/dmi/id/board_asset_tag")).ok()?;
    let tag = tag.trim();
    tag.starts_with("i-").then(|| tag.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A little `/sys`: devices by number, path below `devices`, and files.
    struct Sys(tempfile::TempDir);

    impl Sys {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir_all(dir.path().join("dev/block")).unwrap();
            Self(dir)
        }

        fn device(self, number: &str, path: &str, files: &[(&str, &str)]) -> Self {
            let folder = self.0.path().join("devices").join(path);
            for (file, text) in files {
                fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
                fs::write(folder.join(file), text).unwrap();
            }
            fs::create_dir_all(&folder).unwrap();
            symlink(&folder, self.0.path().join("dev/block").join(number)).unwrap();
            self
        }

        fn slave(self, of: &str, path: &str) -> Self {
            let devices = self.0.path().join("devices");
            let slaves = devices.join(of).join("slaves");
            fs::create_dir_all(&slaves).unwrap();
            symlink(devices.join(path), slaves.join(Path::new(path).file_name().unwrap())).unwrap();
            self
        }

        fn disks(&self, major: u32, minor: u32) -> Result<Vec<Disk>, String> {
            disks_of(self.0.path(), DeviceNumber { major, minor })
        }
    }

    fn volume(id: &str) -> Disk {
        Disk::Volume(id.to_owned())
    }

    #[test]
    fn a_disk_and_a_partition_of_it_are_the_volume_of_its_serial_number() {
        let sys = Sys::new()
            .device("259:0", "nvme/nvme1/nvme1n1", &[("device/serial", "vol0123456789abcdef0\n")])
            .device("259:1", "nvme/nvme1/nvme1n1/nvme1n1p1", &[("partition", "1\n")]);
        assert_eq!(sys.disks(259, 0), Ok(vec![volume("vol-0123456789abcdef0")]));
        assert_eq!(sys.disks(259, 1), Ok(vec![volume("vol-0123456789abcdef0")]));
    }

    #[test]
    fn a_logical_volume_is_on_every_disk_below_it() {
        let sys = Sys::new()
            .device("259:0", "nvme1n1", &[("device/serial", "vol0123456789abcdef0")])
            .device("259:1", "nvme2n1", &[("device/serial", "vol12345678")])
            .device("9:0", "virtual/md0", &[])
            .device("253:0", "virtual/dm-0", &[])
            .slave("virtual/md0", "nvme1n1")
            .slave("virtual/md0", "nvme2n1")
            .slave("virtual/dm-0", "virtual/md0");
        assert_eq!(sys.disks(253, 0), Ok(vec![volume("vol-0123456789abcdef0"), volume("vol-12345678")]));
    }

    #[test]
    fn a_xen_disk_is_known_by_its_letters() {
        let sys = Sys::new().device("202:80", "vbd/xvdf", &[]);
        assert_eq!(sys.disks(202, 80), Ok(vec![Disk::Xen("f".to_owned())]));
    }

    #[test]
    fn what_cannot_be_told_is_said() {
        let sys = Sys::new()
            .device("7:0", "virtual/loop0", &[])
            .device("259:0", "nvme1n1", &[("device/serial", "AWS0123456789ABCDEF0\n")])
            .device("253:0", "virtual/dm-0", &[])
            .slave("virtual/dm-0", "virtual/dm-0");
        assert_eq!(sys.disks(7, 0).unwrap_err(), "nothing tells which EBS volume `loop0` is");
        assert_eq!(sys.disks(259, 0).unwrap_err(), "nothing tells which EBS volume `nvme1n1` is", "instance store");
        assert_eq!(sys.disks(8, 0).unwrap_err(), "8:0 is not the number of a block device");
        assert_eq!(sys.disks(253, 0).unwrap_err(), "`dm-0` is built of too many layers");
    }

    #[test]
    fn the_firmware_of_a_nitro_instance_tells_its_id_and_no_other_does() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(instance_of_firmware(dir.path()), None);
        let folder = dir.path().join("devices/virtual/dmi/id");
        fs::create_dir_all(&folder).unwrap();
        for (tag, want) in [("i-0123456789abcdef0\n", Some("i-0123456789abcdef0")), ("Not Specified\n", None)] {
            fs::write(folder.join("board_asset_tag"), tag).unwrap();
            assert_eq!(instance_of_firmware(dir.path()).as_deref(), want);
        }
    }
}
