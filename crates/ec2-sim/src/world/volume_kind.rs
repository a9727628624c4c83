//! The types of EBS volumes: what can be provisioned of each, what a description tells, and how many snapshots of one may
//! be pending at a time.
//!
//! Rules: `Volume` and `EbsBlockDevice` of the API Reference; "Amazon EBS volume types" and "Quotas for Amazon EBS" of the
//! EBS User Guide.

use crate::world::builder::InvalidWorld;

const GP3_IOPS: u32 = 3_000;
const GP3_THROUGHPUT_MIB: u32 = 125;

/// The type of a volume, and what is provisioned of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeKind {
    pub(crate) volume_type: String,
    pub(crate) iops: Option<u32>,
    pub(crate) throughput_mib: Option<u32>,
}

/// What a description tells of a volume's performance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Performance {
    pub(crate) iops: Option<u32>,
    pub(crate) throughput_mib: Option<u32>,
}

impl From<&str> for VolumeKind {
    fn from(volume_type: &str) -> Self {
        Self::new(volume_type)
    }
}

impl Default for VolumeKind {
    fn default() -> Self {
        Self::new("gp3")
    }
}

impl VolumeKind {
    /// Such as `gp3`, with what it has at least.
    pub fn new(volume_type: impl Into<String>) -> Self {
        Self { volume_type: volume_type.into(), iops: None, throughput_mib: None }
    }

    /// Operations a second, of `gp3`, `io1` and `io2`.
    #[must_use]
    pub fn iops(mut self, iops: u32) -> Self {
        self.iops = Some(iops);
        self
    }

    /// In MiB/s, of `gp3`.
    #[must_use]
    pub fn throughput(mut self, mib: u32) -> Self {
        self.throughput_mib = Some(mib);
        self
    }

    /// `io1` and `io2` have no least: what they do has to be said. Of `gp2` the baseline is told, three operations a second
    /// for each GiB; of disks that turn, nothing.
    pub(crate) fn performance(&self, size_gib: u32) -> Result<Performance, InvalidWorld> {
        let refused =
            |problem: &'static str| Err(InvalidWorld::VolumeKind { volume_type: self.volume_type.clone(), problem });
        let has = Performance { iops: self.iops, throughput_mib: self.throughput_mib };
        match self.volume_type.as_str() {
            "gp3" => Ok(Performance {
                iops: has.iops.or(Some(GP3_IOPS)),
                throughput_mib: has.throughput_mib.or(Some(GP3_THROUGHPUT_MIB)),
            }),
            "io1" | "io2" if has.iops.is_none() => refused("needs `iops`"),
            "io1" | "io2" if has.throughput_mib.is_some() => refused("takes no `throughput`"),
            "gp2" | "st1" | "sc1" | "standard" if has.iops.or(has.throughput_mib).is_some() => {
                refused("takes neither `iops` nor `throughput`")
            }
            "gp2" => {
                Ok(Performance { iops: Some(size_gib.saturating_mul(3).clamp(100, 16_000)), throughput_mib: None })
            }
            "io1" | "io2" | "st1" | "sc1" | "standard" => Ok(has),
            _ => refused("is none of gp2, gp3, io1, io2, st1, sc1 and standard"),
        }
    }
}

/// The most snapshots of one volume that may be pending.
pub(crate) fn pending_snapshots_max(volume_type: &str) -> usize {
    match volume_type {
        "st1" | "sc1" => 1,
        _ => 5,
    }
}
