//! What an image carries beside the data on its volumes, for images that are registered from snapshots.
//!
//! `CreateImage` carries all of this over by itself. Where an image is made in two steps it is read before anything is held
//! still and kept with the intent, so that the image is what the instance was then, whatever becomes of it meanwhile.

use std::fmt;

use crate::id::VolumeId;

/// The `PlatformDetails` of an instance without a licence ("AMI billing information fields" in the EC2 User Guide).
pub const PLAIN_LINUX: &str = "Linux/UNIX";
/// Its `UsageOperation`. Every licence is a suffix to it, such as `RunInstances:0010`.
const PLAIN_OPERATION: &str = "RunInstances";

/// What of an instance belongs into an image of it, beside the data on its volumes: every parameter of `RegisterImage`.
/// Texts are EC2's own words, which are passed on and not judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageAttributes {
    /// `x86_64`, `arm64` and others.
    pub architecture: String,
    /// `hvm` or `paravirtual`.
    pub virtualization: String,
    /// The kernel of a paravirtual instance.
    pub kernel: Option<String>,
    /// The RAM disk of a paravirtual instance.
    pub ramdisk: Option<String>,
    /// Such as `/dev/xvda`.
    pub root_device_name: String,
    /// What the instance's image said: `legacy-bios`, `uefi` or `uefi-preferred`.
    pub boot_mode: Option<String>,
    /// `v2.0` for an instance with a `NitroTPM`.
    pub tpm_support: Option<String>,
    /// The variables of its UEFI, in Base64, for an instance that booted by UEFI.
    pub uefi_data: Option<String>,
    /// Whether its network card may be an ENA.
    pub ena_support: bool,
    /// `simple` where its network card may be an Intel 82599.
    pub sriov_net_support: Option<String>,
    /// `v2.0` where instances of the image must use version 2 of the metadata service.
    pub imds_support: Option<String>,
    /// Its EBS volumes, by device.
    pub volumes: Vec<VolumeAttributes>,
    /// Its instance-store disks, as far as its image named them. No data of theirs is in any image.
    pub instance_store: Vec<InstanceStoreDevice>,
    /// What the instance is billed as.
    pub billing: Billing,
}

impl ImageAttributes {
    /// Why an image registered with these would not be an image of the instance, in words; none if it would.
    pub fn unfit_because(&self) -> Option<String> {
        if let Some(why) = self.billing.unfit_because() {
            return Some(why);
        }
        if self.architecture.ends_with("_mac") {
            return Some("the instance is a Mac, and only CreateImage makes images of those".to_owned());
        }
        let root = &self.root_device_name;
        if self.volumes.iter().all(|volume| volume.device != *root) {
            return Some(format!("its root device {root} is no EBS volume"));
        }
        None
    }

    /// What an image registered with these has of the instance, by name and in EC2's own words, for people. The variables
    /// of its UEFI are told to be there, and not shown: they may hold keys.
    pub fn carried(&self) -> Vec<(&'static str, String)> {
        let volumes = self.volumes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let stores = self.instance_store.iter().map(|it| format!("{} {}", it.device, it.virtual_name));
        let carried = [
            ("architecture", Some(self.architecture.clone())),
            ("virtualization", Some(self.virtualization.clone())),
            ("kernel", self.kernel.clone()),
            ("ramdisk", self.ramdisk.clone()),
            ("root_device_name", Some(self.root_device_name.clone())),
            ("boot_mode", self.boot_mode.clone()),
            ("tpm_support", self.tpm_support.clone()),
            ("uefi_data", self.uefi_data.as_ref().map(|_| "its variables".to_owned())),
            ("ena_support", self.ena_support.then(|| "true".to_owned())),
            ("sriov_net_support", self.sriov_net_support.clone()),
            ("imds_support", self.imds_support.clone()),
            ("volumes", Some(volumes)),
            ("instance_store", Some(stores.collect::<Vec<_>>().join("; ")).filter(|it| !it.is_empty())),
            ("platform_details", Some(self.billing.platform_details.clone())),
        ];
        carried.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// One EBS volume of an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VolumeAttributes {
    /// Such as `/dev/xvda`.
    pub device: String,
    /// The volume.
    pub volume: VolumeId,
    /// Whether a volume made from the image goes with its instance.
    pub delete_on_termination: bool,
    /// Such as `gp3`.
    pub volume_type: String,
    /// Where it can be chosen.
    pub iops: Option<u32>,
    /// In MiB/s, where it can be chosen.
    pub throughput: Option<u32>,
}

impl VolumeAttributes {
    /// Drops what EC2 tells of a volume of this type and takes of none: `Iops` can be set of `gp3`, `io1` and `io2`,
    /// `Throughput` of `gp3` alone (`EbsBlockDevice` in the API Reference).
    #[must_use]
    pub fn settable(mut self) -> Self {
        if !matches!(self.volume_type.as_str(), "gp3" | "io1" | "io2") {
            self.iops = None;
        }
        if self.volume_type != "gp3" {
            self.throughput = None;
        }
        self
    }
}

impl fmt::Display for VolumeAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.device, self.volume_type)?;
        if let Some(iops) = self.iops {
            write!(f, ", {iops} IOPS")?;
        }
        if let Some(throughput) = self.throughput {
            write!(f, ", {throughput} MiB/s")?;
        }
        f.write_str(if self.delete_on_termination { ", goes with its instance" } else { ", stays" })
    }
}

/// An instance-store disk that an image names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceStoreDevice {
    /// Such as `/dev/sdb`.
    pub device: String,
    /// Such as `ephemeral0`.
    pub virtual_name: String,
}

/// What is paid for with an instance, beside the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Billing {
    /// Such as `Linux/UNIX` or `Red Hat Enterprise Linux`.
    pub platform_details: String,
    /// Such as `RunInstances` or `RunInstances:0010`; none where EC2 does not say.
    pub usage_operation: Option<String>,
    /// Products of the AWS Marketplace.
    pub product_codes: Vec<String>,
}

impl Billing {
    /// Why an image registered from snapshots of such an instance would not be billed as the instance is, in words;
    /// none if it is plain Linux. "The AMI creation was unsuccessful" is what `RegisterImage` in the API Reference says
    /// of an image whose platform details come out wrong.
    pub fn unfit_because(&self) -> Option<String> {
        if self.platform_details != PLAIN_LINUX {
            return Some(format!(
                "the instance is billed as \"{}\", and an image registered from snapshots would not be",
                self.platform_details
            ));
        }
        if let Some(operation) = self.usage_operation.as_deref().filter(|operation| *operation != PLAIN_OPERATION) {
            return Some(format!(
                "the instance is billed by the operation {operation}, and an image registered from snapshots would not be"
            ));
        }
        let code = self.product_codes.first()?;
        Some(format!(
            "the instance has the product code {code} of the AWS Marketplace, and only CreateImage keeps those"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn billing(platform: &str, operation: Option<&str>, codes: &[&str]) -> Billing {
        Billing {
            platform_details: platform.to_owned(),
            usage_operation: operation.map(str::to_owned),
            product_codes: codes.iter().map(|code| (*code).to_owned()).collect(),
        }
    }

    #[test]
    fn only_plain_linux_is_billed_rightly_by_an_image_from_snapshots() {
        assert_eq!(billing("Linux/UNIX", Some("RunInstances"), &[]).unfit_because(), None);
        assert_eq!(billing("Linux/UNIX", None, &[]).unfit_because(), None);
        for (platform, operation, codes) in [
            ("Windows", "RunInstances:0002", &[][..]),
            ("Red Hat Enterprise Linux", "RunInstances:0010", &[]),
            ("SUSE Linux", "RunInstances:000g", &[]),
            ("SQL Server Standard", "RunInstances:0004", &[]),
            ("Linux/UNIX", "RunInstances:0010", &[]),
            ("Linux/UNIX", "RunInstances", &["8ky0bmwvc0xa3xc0dznr2tkbr"]),
            ("", "RunInstances", &[]),
        ] {
            assert!(billing(platform, Some(operation), codes).unfit_because().is_some(), "{platform} {operation}");
        }
    }

    fn attributes() -> ImageAttributes {
        ImageAttributes { boot_mode: Some("uefi".to_owned()), ..crate::fixture::attributes() }
    }

    #[test]
    fn an_instance_is_fit_if_nothing_of_it_is_lost() {
        assert_eq!(attributes().unfit_because(), None);
        let windows = ImageAttributes { billing: billing("Windows", None, &[]), ..attributes() };
        assert!(windows.unfit_because().unwrap().contains("Windows"));
        let mac = ImageAttributes { architecture: "arm64_mac".to_owned(), ..attributes() };
        assert!(mac.unfit_because().unwrap().contains("Mac"));
        let rootless = ImageAttributes { root_device_name: "/dev/sda1".to_owned(), ..attributes() };
        assert_eq!(rootless.unfit_because().as_deref(), Some("its root device /dev/sda1 is no EBS volume"));
    }

    #[test]
    fn what_a_volume_type_does_not_take_is_dropped() {
        let of = |volume_type: &str| {
            let volume = "vol-00000000000000001".parse().unwrap();
            let (device, volume_type) = ("/dev/xvda".to_owned(), volume_type.to_owned());
            let (iops, throughput) = (Some(3000), Some(125));
            let all = VolumeAttributes { device, volume, delete_on_termination: true, volume_type, iops, throughput };
            let it = all.settable();
            (it.iops.is_some(), it.throughput.is_some())
        };
        assert_eq!(of("gp3"), (true, true));
        assert_eq!(of("io2"), (true, false));
        assert_eq!(of("gp2"), (false, false));
        assert_eq!(of("st1"), (false, false));
    }

    #[test]
    fn what_is_carried_is_told_and_secrets_of_the_firmware_are_not() {
        let volume = |device: &str, volume_type: &str, iops, throughput| VolumeAttributes {
            device: device.to_owned(),
            volume: "vol-0123456789abcdef0".parse().unwrap(),
            delete_on_termination: device == "/dev/xvda",
            volume_type: volume_type.to_owned(),
            iops,
            throughput,
        };
        let attributes = ImageAttributes {
            architecture: "x86_64".to_owned(),
            virtualization: "hvm".to_owned(),
            kernel: None,
            ramdisk: None,
            root_device_name: "/dev/xvda".to_owned(),
            boot_mode: Some("uefi".to_owned()),
            tpm_support: None,
            uefi_data: Some("a2V5cw==".to_owned()),
            ena_support: true,
            sriov_net_support: None,
            imds_support: Some("v2.0".to_owned()),
            volumes: vec![volume("/dev/xvda", "gp3", Some(3000), Some(125)), volume("/dev/sdf", "st1", None, None)],
            instance_store: vec![InstanceStoreDevice {
                device: "/dev/sdb".to_owned(),
                virtual_name: "ephemeral0".to_owned(),
            }],
            billing: billing("Linux/UNIX", Some("RunInstances"), &[]),
        };
        let told: Vec<String> = attributes.carried().iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let want = [
            "architecture: x86_64",
            "virtualization: hvm",
            "root_device_name: /dev/xvda",
            "boot_mode: uefi",
            "uefi_data: its variables",
            "ena_support: true",
            "imds_support: v2.0",
            "volumes: /dev/xvda gp3, 3000 IOPS, 125 MiB/s, goes with its instance; /dev/sdf st1, stays",
            "instance_store: /dev/sdb ephemeral0",
            "platform_details: Linux/UNIX",
        ];
        assert_eq!(told, want);
    }
}
