//! What is known of an instance, as EC2 describes it.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use crate::id::{InstanceId, VolumeId};

/// The tag by which an instance chooses a class of its own, where its policy allows it.
pub const CLASS_TAG: &str = "amikeep:class";
/// The tag that AWS puts on the members of an Auto Scaling group.
pub const AUTO_SCALING_TAG: &str = "aws:autoscaling:groupName";

/// The life of an instance, in EC2's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstanceState {
    /// Starting.
    Pending,
    /// Up. Also throughout a reboot that `CreateImage` makes.
    Running,
    /// On the way to `Stopped`.
    Stopping,
    /// Off, volumes kept.
    Stopped,
    /// On the way to `Terminated`.
    ShuttingDown,
    /// Gone; still described for about an hour.
    Terminated,
}

impl InstanceState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Running, Self::Stopping, Self::Stopped, Self::ShuttingDown, Self::Terminated];

    /// EC2's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
        }
    }
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where the root file system lives. `CreateImage` works for EBS alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootDevice {
    /// An EBS volume.
    Ebs,
    /// The instance store: nothing `CreateImage` could image.
    InstanceStore,
}

/// Whether the instance went to sleep with its memory on the root volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hibernation {
    /// Running, or stopped in the ordinary way.
    No,
    /// Stopped by hibernation: file systems were not unmounted.
    Hibernated,
}

/// An EBS volume attached to an instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttachedVolume {
    /// The device name in the block device mapping, `/dev/xvda`.
    pub device: String,
    /// The volume.
    pub volume: VolumeId,
}

/// The tags of an instance, in the order of their keys. There are ten thousand instances in an account with a few tags each,
/// and a map has room for eleven.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InstanceTags(Box<[(Box<str>, Box<str>)]>);

impl InstanceTags {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        let index = self.0.binary_search_by(|(it, _)| (**it).cmp(key)).ok()?;
        Some(&self.0[index].1)
    }

    /// Whether there is such a key.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// Takes one in, in the place of one with the same key.
    pub fn insert(&mut self, key: String, value: String) {
        *self = std::mem::take(&mut self.0).into_iter().chain([(key.into(), value.into())]).collect();
    }
}

/// Of two with the same key the later one stays.
impl<K: Into<Box<str>>, V: Into<Box<str>>> FromIterator<(K, V)> for InstanceTags {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(tags: I) -> Self {
        let tags = tags.into_iter().map(|(key, value)| (key.into(), value.into()));
        Self(tags.collect::<BTreeMap<_, _>>().into_iter().collect())
    }
}

/// An instance as it was described at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Its state.
    pub state: InstanceState,
    /// When it was last started. A stop and start in between shows as a change of this time.
    pub launched_at: Timestamp,
    /// What its root is on.
    pub root_device: RootDevice,
    /// The device name of its root volume.
    pub root_device_name: Option<String>,
    /// Its EBS volumes, sorted by device.
    pub volumes: Vec<AttachedVolume>,
    /// The number of instance-store disks of its type; `None` when EC2 would not say. No image captures them.
    pub instance_store_disks: Option<u32>,
    /// Whether it is hibernated.
    pub hibernation: Hibernation,
    /// Its tags.
    pub tags: InstanceTags,
}

impl Instance {
    /// The tag `Name`, where there is one.
    pub fn name(&self) -> Option<&str> {
        self.tags.get("Name")
    }

    /// The Auto Scaling group it belongs to.
    pub fn auto_scaling_group(&self) -> Option<&str> {
        self.tags.get(AUTO_SCALING_TAG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_by_their_keys_and_come_in_their_order() {
        let mut tags: InstanceTags = [("b", "1"), ("Name", "x"), ("b", "2"), ("a", "")].into_iter().collect();
        assert_eq!(tags.iter().collect::<Vec<_>>(), [("Name", "x"), ("a", ""), ("b", "2")]);
        assert_eq!((tags.get("b"), tags.get("B"), tags.contains_key("a")), (Some("2"), None, true));
        tags.insert("b".to_owned(), "3".to_owned());
        tags.insert("aa".to_owned(), "4".to_owned());
        assert_eq!(tags.iter().collect::<Vec<_>>(), [("Name", "x"), ("a", ""), ("aa", "4"), ("b", "3")]);
        assert_eq!(InstanceTags::default().get("a"), None);
        assert!(!tags.contains_key("c"));
    }

    #[test]
    fn an_instance_is_called_by_its_tag_name_and_by_nothing_else() {
        let mut instance = crate::fixture::instance(1);
        instance.tags = [("name", "no"), ("Name", "db-1")].into_iter().collect();
        assert_eq!(instance.name(), Some("db-1"));
        instance.tags = [("name", "no")].into_iter().collect();
        assert_eq!(instance.name(), None);
    }
}
