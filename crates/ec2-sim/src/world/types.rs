//! Instance types, as far as anybody asks: their instance-store disks.
//!
//! Rules: `DescribeInstanceTypes`.

use std::collections::BTreeMap;

use crate::reply::{InstanceType, Tags};
use crate::world::filters::{Attribute, Filterable};

/// A few types that every world knows, with disks as the instance type pages list them.
pub(crate) fn well_known() -> BTreeMap<String, InstanceType> {
    let types = [
        ("t3.micro", 0, 0),
        ("t4g.small", 0, 0),
        ("m5.large", 0, 0),
        ("m7g.large", 0, 0),
        ("r7g.xlarge", 0, 0),
        ("m5d.large", 1, 75),
        ("c5d.large", 1, 50),
        ("i4i.large", 1, 468),
        ("m3.medium", 1, 4),
    ];
    let described = |(name, disks, size): (&str, u32, u32)| {
        (name.to_owned(), InstanceType { name: name.to_owned(), disks, disk_size_gb: size })
    };
    types.map(described).into()
}

impl Filterable for InstanceType {
    const HAS_TAG_FILTERS: bool = false;

    fn attribute(name: &str) -> Option<Attribute<Self>> {
        let attribute: Attribute<Self> = match name {
            "instance-type" => |t| vec![t.name.clone()],
            "instance-storage-supported" => |t| vec![(0 < t.disks).to_string()],
            "instance-storage-info.disk.count" => |t| if 0 < t.disks { vec![t.disks.to_string()] } else { Vec::new() },
            _ => return None,
        };
        Some(attribute)
    }

    fn tags(&self) -> &Tags {
        const NONE: &Tags = &Tags::new();
        NONE
    }

    fn cursor(&self) -> &str {
        &self.name
    }
}
