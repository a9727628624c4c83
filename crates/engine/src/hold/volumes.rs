//! From mounts to EBS volumes: what EC2 attached, and what this machine says of its disks.
//!
//! It must never guess. A freeze whose volumes are not known proves nothing about any snapshot, so it is not even tried.

use std::path::Path;

use amikeep_domain::freeze::{Freeze, Via};
use amikeep_domain::id::VolumeId;
use amikeep_domain::instance::AttachedVolume;
use amikeep_hold::ssm::RemoteMount;
use amikeep_hold::{CheckedMount, Disk, disks_of};

/// The volumes that hold what is frozen.
pub(crate) fn volumes_of(
    freeze: &Freeze,
    mounts: &[CheckedMount],
    attached: &[AttachedVolume],
    sys: &Path,
) -> Result<Vec<VolumeId>, String> {
    let found = match freeze.via {
        Via::Local => Some(find(mounts, attached, sys)),
        Via::Ssm | Via::Command => None,
    };
    settled(freeze, found, attached)
}

/// The same of another machine, whose guard has told of its disks.
pub(crate) fn volumes_of_remote(
    freeze: &Freeze,
    mounts: &[RemoteMount],
    attached: &[AttachedVolume],
) -> Result<Vec<VolumeId>, String> {
    let of_mount = |mount: &RemoteMount| {
        let path = mount.path.display();
        let disks = mount.disks.clone().ok_or_else(|| format!("the volume of `{path}` is not known"))?;
        volumes_of_disks(&path.to_string(), &disks, attached)
    };
    let found: Result<Vec<Vec<VolumeId>>, String> = mounts.iter().map(of_mount).collect();
    settled(freeze, Some(found.map(|found| sorted(found.concat()))), attached)
}

/// What was found out and what is stated must agree, and one of them is needed.
fn settled(
    freeze: &Freeze,
    found: Option<Result<Vec<VolumeId>, String>>,
    attached: &[AttachedVolume],
) -> Result<Vec<VolumeId>, String> {
    if freeze.devices.is_empty() {
        let found = found.unwrap_or_else(|| Err("nobody said which volumes are held still".to_owned()));
        return found.map_err(|why| format!("{why}; name its volumes in `devices` of the freeze"));
    }
    let stated = stated(&freeze.devices, attached)?;
    match found {
        Some(Ok(found)) if found != stated => {
            Err(format!("`devices` of the freeze are {}, and the mounts are on {}", join(&stated), join(&found)))
        }
        // What this machine cannot tell, the operator may state.
        Some(Ok(_) | Err(_)) | None => Ok(stated),
    }
}

fn stated(devices: &[String], attached: &[AttachedVolume]) -> Result<Vec<VolumeId>, String> {
    let of_device = |device: &String| {
        let volume = attached.iter().find(|it| letters(&it.device) == letters(device));
        volume.map(|it| it.volume.clone()).ok_or_else(|| format!("EC2 shows no volume of the instance as `{device}`"))
    };
    devices.iter().map(of_device).collect::<Result<_, _>>().map(sorted)
}

fn find(mounts: &[CheckedMount], attached: &[AttachedVolume], sys: &Path) -> Result<Vec<VolumeId>, String> {
    let mut volumes = Vec::new();
    for mount in mounts {
        let path = mount.path.display();
        let disks = disks_of(sys, mount.device).map_err(|why| format!("the volume of `{path}` is not known: {why}"))?;
        volumes.extend(volumes_of_disks(&path.to_string(), &disks, attached)?);
    }
    Ok(sorted(volumes))
}

fn volumes_of_disks(path: &str, disks: &[Disk], attached: &[AttachedVolume]) -> Result<Vec<VolumeId>, String> {
    let volume = |disk: &Disk| {
        let volume = attached.iter().find(|it| is_same(disk, it)).map(|it| it.volume.clone());
        volume.ok_or_else(|| format!("EC2 shows no volume of the instance that is the disk of `{path}`"))
    };
    disks.iter().map(volume).collect()
}

fn is_same(disk: &Disk, attached: &AttachedVolume) -> bool {
    match disk {
        Disk::Volume(id) => attached.volume.as_str() == id,
        Disk::Xen(name) => letters(&attached.device) == name.as_str(),
    }
}

/// The part of a device name that EC2 and the kernel of an instance agree upon: `f` of `/dev/sdf`, `xvdf` and `/dev/xvdf`.
fn letters(device: &str) -> &str {
    let name = device.strip_prefix("/dev/").unwrap_or(device);
    name.strip_prefix("xvd").or_else(|| name.strip_prefix("sd")).unwrap_or(name)
}

fn sorted(mut volumes: Vec<VolumeId>) -> Vec<VolumeId> {
    volumes.sort();
    volumes.dedup();
    volumes
}

fn join(volumes: &[VolumeId]) -> String {
    volumes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use amikeep_hold::DeviceNumber;

    use super::*;
    use crate::hold::facts::tests::freeze;

    fn attached() -> Vec<AttachedVolume> {
        let volume = |device: &str, id: &str| AttachedVolume { device: device.to_owned(), volume: id.parse().unwrap() };
        vec![
            volume("/dev/xvda", "vol-00000001"),
            volume("/dev/sdf", "vol-00000002"),
            volume("/dev/sdg", "vol-00000003"),
        ]
    }

    /// A machine on which `/data` is on the `NVMe` device with this serial number.
    fn machine(serial: &str) -> (tempfile::TempDir, Vec<CheckedMount>) {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("devices/nvme1n1");
        fs::create_dir_all(folder.join("device")).unwrap();
        fs::create_dir_all(dir.path().join("dev/block")).unwrap();
        fs::write(folder.join("device/serial"), serial).unwrap();
        symlink(&folder, dir.path().join("dev/block/259:0")).unwrap();
        let (path, device) = ("/data".into(), DeviceNumber { major: 259, minor: 0 });
        let mount = CheckedMount { path, device, mount_id: None, fs_type: "xfs".into(), options: "rw".into() };
        (dir, vec![mount])
    }

    fn ask(via: Via, devices: &[&str], serial: &str) -> Result<String, String> {
        let (sys, mounts) = machine(serial);
        let devices = devices.iter().map(|it| (*it).to_owned()).collect();
        let freeze = Freeze { via, devices, ..freeze() };
        volumes_of(&freeze, &mounts, &attached(), sys.path()).map(|it| join(&it))
    }

    #[test]
    fn the_machine_tells_and_what_is_stated_must_agree() {
        assert_eq!(ask(Via::Local, &[], "vol00000002"), Ok("vol-00000002".to_owned()));
        assert_eq!(ask(Via::Local, &["xvdf"], "vol00000002"), Ok("vol-00000002".to_owned()));
        let error = ask(Via::Local, &["/dev/sdg"], "vol00000002").unwrap_err();
        assert_eq!(error, "`devices` of the freeze are vol-00000003, and the mounts are on vol-00000002");
    }

    #[test]
    fn another_machine_tells_through_its_guard() {
        let ask = |disks: Option<Vec<Disk>>, devices: &[&str]| {
            let devices = devices.iter().map(|it| (*it).to_owned()).collect();
            let freeze = Freeze { via: Via::Ssm, devices, ..freeze() };
            let (fs_type, options) = ("xfs".to_owned(), "rw".to_owned());
            let mount = RemoteMount { path: "/data".into(), number: 1, fs_type, options, disks };
            volumes_of_remote(&freeze, &[mount], &attached()).map(|it| join(&it))
        };
        let volume = || Some(vec![Disk::Volume("vol-00000002".to_owned())]);
        assert_eq!(ask(volume(), &[]), Ok("vol-00000002".to_owned()));
        assert_eq!(ask(Some(vec![Disk::Xen("g".to_owned())]), &[]), Ok("vol-00000003".to_owned()));
        assert!(ask(volume(), &["/dev/sdg"]).unwrap_err().contains("the mounts are on vol-00000002"));
        assert!(ask(None, &[]).unwrap_err().contains("name its volumes in `devices`"));
        assert_eq!(ask(None, &["/dev/sdf"]), Ok("vol-00000002".to_owned()));
        assert!(ask(Some(vec![Disk::Xen("z".to_owned())]), &[]).unwrap_err().contains("no volume of the instance"));
    }

    #[test]
    fn what_the_machine_cannot_tell_must_be_stated() {
        let error = ask(Via::Local, &[], "something").unwrap_err();
        assert!(
            error.ends_with("which EBS volume `nvme1n1` is; name its volumes in `devices` of the freeze"),
            "{error}"
        );
        assert_eq!(
            ask(Via::Local, &["/dev/sdf", "/dev/xvdg"], "other"),
            Ok("vol-00000002 and vol-00000003".to_owned())
        );
        assert!(
            ask(Via::Local, &["/dev/sdz"], "other").unwrap_err().contains("no volume of the instance as `/dev/sdz`")
        );
    }

    #[test]
    fn a_disk_of_another_instance_is_not_one_of_this() {
        let error = ask(Via::Local, &[], "vol0000000a").unwrap_err();
        assert!(error.starts_with("EC2 shows no volume of the instance that is the disk of `/data`"), "{error}");
    }

    #[test]
    fn by_commands_only_what_is_stated_counts() {
        assert_eq!(ask(Via::Command, &["/dev/sdf"], "vol0000000a"), Ok("vol-00000002".to_owned()));
        assert!(ask(Via::Command, &[], "vol00000002").is_err());
    }
}
