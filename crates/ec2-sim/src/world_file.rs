//! A world as a JSON file: accounts, regions, instances and launch templates, and how it all behaves, for people who try
//! the simulator with their own fleet, or their own program with a bad night.

mod behaviour;

use std::collections::BTreeMap;

use amikeep_domain::instance::InstanceState;
use serde::Deserialize;

use crate::world::World;
use crate::world::builder::WorldBuilder;
use crate::world::spec::InstanceSpec;
use crate::world::template_changes::LaunchTemplateSpec;
use crate::world::volume_kind::VolumeKind;
use crate::world_file::behaviour::BehaviourEntry;

/// Why a file describes no world.
#[derive(Debug, thiserror::Error)]
#[error("the world file cannot be read")]
pub struct InvalidWorldFile(#[source] serde_json::Error);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorldFile {
    accounts: Vec<AccountEntry>,
    #[serde(default)]
    behaviour: BehaviourEntry,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountEntry {
    id: String,
    regions: BTreeMap<String, Vec<InstanceEntry>>,
    /// By region; a region without instances may have some too.
    #[serde(default)]
    launch_templates: BTreeMap<String, Vec<LaunchTemplateEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InstanceEntry {
    id: String,
    #[serde(default)]
    state: StateEntry,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    /// Devices with their sizes in GiB.
    #[serde(default)]
    volumes: Vec<VolumeEntry>,
    instance_type: Option<String>,
    architecture: Option<String>,
    platform: Option<String>,
    /// The image that it was launched from.
    image: Option<String>,
    /// The device of a root in the instance store.
    instance_store_root: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LaunchTemplateEntry {
    name: String,
    id: Option<String>,
    /// The image of each version; `null` for a version that names none.
    #[serde(default)]
    images: Vec<Option<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VolumeEntry {
    device: String,
    size: u32,
    /// `gp3` without it.
    #[serde(rename = "type")]
    volume_type: Option<String>,
    iops: Option<u32>,
    throughput: Option<u32>,
}

impl VolumeEntry {
    fn add_to(spec: InstanceSpec, entry: Self) -> InstanceSpec {
        let kind = entry.volume_type.map_or_else(VolumeKind::default, VolumeKind::new);
        let kind = entry.iops.into_iter().fold(kind, VolumeKind::iops);
        let kind = entry.throughput.into_iter().fold(kind, VolumeKind::throughput);
        spec.volume_of(entry.device, entry.size, kind)
    }
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StateEntry {
    Pending,
    #[default]
    Running,
    Stopping,
    Stopped,
    Hibernated,
    ShuttingDown,
    Terminated,
}

impl World {
    /// The world that `json` describes:
    /// `{"accounts": [{"id": "111122223333", "regions": {"eu-central-1": [{"id": "i-0123456789abcdef0"}]}}]}`.
    /// `docs/ec2-sim.md` has all of it.
    pub fn from_json(json: &str) -> Result<WorldBuilder, InvalidWorldFile> {
        let file: WorldFile = serde_json::from_str(json).map_err(InvalidWorldFile)?;
        let mut builder = World::builder();
        for account in file.accounts {
            builder = builder.account(&account.id);
            builder = file.behaviour.denied.iter().fold(builder, |builder, action| builder.deny(action.0));
            for (region, instances) in account.regions {
                builder = builder.region(&region);
                builder = instances.into_iter().map(InstanceEntry::into_spec).fold(builder, WorldBuilder::instance);
            }
            for (region, templates) in account.launch_templates {
                let specs = templates.into_iter().map(LaunchTemplateEntry::into_spec);
                builder = specs.fold(builder.region(&region), WorldBuilder::launch_template);
            }
        }
        Ok(file.behaviour.apply(builder))
    }
}

impl LaunchTemplateEntry {
    fn into_spec(self) -> LaunchTemplateSpec {
        let spec = self.id.into_iter().fold(LaunchTemplateSpec::new(self.name), LaunchTemplateSpec::id);
        self.images.into_iter().fold(spec, |spec, image| match image {
            Some(image) => spec.version(image),
            None => spec.version_without_image(),
        })
    }
}

impl InstanceEntry {
    fn into_spec(self) -> InstanceSpec {
        let mut spec = InstanceSpec::new(self.id);
        spec = match self.state {
            StateEntry::Pending => spec.state(InstanceState::Pending),
            StateEntry::Running => spec.state(InstanceState::Running),
            StateEntry::Stopping => spec.state(InstanceState::Stopping),
            StateEntry::Stopped => spec.state(InstanceState::Stopped),
            StateEntry::Hibernated => spec.hibernated(),
            StateEntry::ShuttingDown => spec.state(InstanceState::ShuttingDown),
            StateEntry::Terminated => spec.state(InstanceState::Terminated),
        };
        spec = self.tags.into_iter().fold(spec, |spec, (key, value)| spec.tag(key, value));
        spec = self.volumes.into_iter().fold(spec, VolumeEntry::add_to);
        spec = self.instance_type.into_iter().fold(spec, InstanceSpec::instance_type);
        spec = self.architecture.into_iter().fold(spec, InstanceSpec::architecture);
        spec = self.image.into_iter().fold(spec, InstanceSpec::image);
        spec = self.platform.into_iter().fold(spec, InstanceSpec::platform_details);
        self.instance_store_root.into_iter().fold(spec, InstanceSpec::instance_store_root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::audit::Resource;
    use crate::world::identity::{Service, access_key_id};

    #[test]
    fn a_file_becomes_a_world_and_a_typo_does_not() {
        let json = r#"{"accounts": [{"id": "111122223333", "regions": {"eu-west-1": [
            {"id": "i-0123456789abcdef0", "state": "hibernated", "tags": {"Name": "x"},
             "volumes": [{"device": "/dev/xvda", "size": 8}, {"device": "/dev/sdf", "size": 9, "type": "io2", "iops": 500}],
             "instance_type": "t3.micro", "image": "ami-00000000000000001"}]},
            "launch_templates": {"eu-west-1": [{"name": "web", "images": ["ami-00000000000000001", null]}]}}]}"#;
        let world = World::from_json(json).unwrap().build().unwrap();
        let key = access_key_id(&"111122223333".parse().unwrap());
        assert!(world.authenticate(Service::Ec2, &key, None).is_ok());
        assert!(World::from_json(&json.replace("\"size\"", "\"sice\"")).is_err());
        let templates = world.resources().into_iter().filter(|it| matches!(it.resource, Resource::LaunchTemplate(_)));
        assert_eq!(templates.count(), 1);
        assert!(World::from_json(&json.replace("ami-00000000000000001", "ami-x")).unwrap().build().is_err());
        assert!(World::from_json(&json.replace("i-0123456789abcdef0", "i-x")).unwrap().build().is_err());
        let error = World::from_json(&json.replace(", \"iops\": 500", "")).unwrap().build().unwrap_err();
        assert_eq!(error.to_string(), "a volume of type io2 needs `iops`");
    }

    #[test]
    fn a_file_says_how_its_world_behaves_and_a_typo_does_not() {
        let json = r#"{"accounts": [{"id": "111122223333", "regions": {"eu-west-1": []}}], "behaviour": {
            "request_limits": "off", "image_seconds": 60,
            "special_limits": [{"on": "StopInstances", "capacity": 9, "refill": 0.5}],
            "latency_ms": 150, "snapshot_lag_seconds": 5, "describe_lag_seconds": 2, "new_image_lag_seconds": 5,
            "mishaps": {"failing_per_mille": 40, "slow_per_mille": 30, "slow_seconds": 7200, "lingering_per_mille": 9},
            "denied": ["DeleteSnapshot"], "unknown": ["DescribeImageReferences"], "faults": [
                {"on": "CreateImage", "outcome": "lost-after-effect", "when": {"per-mille": 40}},
                {"on": "DeregisterImage", "outcome": {"error": {"status": 400, "code": "OperationNotPermitted",
                 "message": "It is protected."}}, "touching": "ami-00000000000000001", "when": {"times": 2}},
                {"on": "DescribeImages", "outcome": "cut-in-body", "page": 2}]}}"#;
        assert!(World::from_json(json).unwrap().build().is_ok());
        for (right, wrong) in [
            ("CreateImage", "CreateImages"),
            ("cut-in-body", "cut"),
            ("failing_per_mille", "failing"),
            ("per-mille", "per-million"),
            ("StopInstances", "StopTheWorld"),
        ] {
            let error = World::from_json(&json.replace(right, wrong));
            assert!(error.is_err(), "{wrong}");
        }
    }
}
