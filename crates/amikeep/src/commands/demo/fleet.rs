//! The simulated fleet of the demo and the configuration that backs it up.
//!
//! The configuration is the text of a real file, read by the same code as any other.

use std::collections::BTreeMap;
use std::path::Path;

use amikeep_domain::id::InstanceId;
use amikeep_ec2_sim::{InstanceSpec, InstanceState, InvalidWorld, SimClock, World, WorldBuilder};
use jiff::SignedDuration;

/// The account that all of it is in.
pub(super) const ACCOUNT: &str = "111122223333";
/// The region that all of it is in.
pub(super) const REGION: &str = "eu-central-1";
/// The policy whose fires the night of the clock change is about.
pub(super) const DATABASES: &str = "databases";
/// The instance whose answer is lost when the daemon is killed.
pub(super) const KILLED_AT: &str = "i-0db00000000000002";
/// The instance that carries a class which its policy does not allow, until somebody removes the tag.
pub(super) const MISTAGGED: &str = "i-0db00000000000003";
/// The tag by which it does.
pub(super) const CLASS_TAG: &str = "amikeep:class";

/// Where every id and duration of the week comes from.
const SEED: u64 = 20_261_019;

/// The file, with words in place of what differs each time.
pub(super) const CONFIG: &str = r#"[daemon]
owner    = "demo"
database = "DATABASE"

[accounts.demo]
region       = "eu-central-1"
endpoint_url = "ENDPOINT"   # the simulator

[policies.databases]
account  = "demo"
class    = "production-database"    # shut down and booted for each image
schedule = "30 2 * * *"             # every night at 02:30 ...
timezone = "Europe/Berlin"          # ... by the clocks of Berlin
jitter   = "10m"                    # not all at the same second
select   = { tags = { Role = "database" } }
keep     = { last = 3, weekly = 2 }

[policies.servers]
account  = "demo"
class    = "stateless"              # imaged while they run
schedule = "0 3 * * *"
timezone = "Europe/Berlin"
jitter   = "20m"
select   = { tags = { Role = ["web", "build"] } }
class_tag_allows = ["stateful"]     # an instance may choose it by a tag
keep     = { last = 2, weekly = 2 }

[policies.payments]
account  = "demo"
class    = "critical"               # held still while it is imaged, and never restarted
schedule = "0 4 * * Thu-Sun"
timezone = "Europe/Berlin"
select   = { tags = { Role = "payments" } }
keep     = { last = 3 }

[classes.critical]
freeze   = "payments"

[freezes.payments]                  # a simulated instance has no disk that could be frozen:
via      = "command"                # these only write down that they were run
freeze   = ["/bin/sh", "-c", "echo frozen >> 'SCRATCH/holds'", "{instance_id}"]
thaw     = ["/bin/sh", "-c", "echo thawed >> 'SCRATCH/holds'"]
devices  = ["/dev/sdf"]             # the volume that they would hold still
"#;

/// One instance of the fleet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    role: &'static str,
    /// The class that it chooses by its tag.
    class: Option<&'static str>,
    /// What is particular about it, for people.
    pub(super) remark: &'static str,
}

/// The fleet.
pub(super) const FLEET: [Member; 8] = [
    Member { id: "i-0db00000000000001", name: "db-1", role: "database", class: None, remark: "two volumes" },
    Member { id: KILLED_AT, name: "db-2", role: "database", class: None, remark: "" },
    Member {
        id: MISTAGGED,
        name: "reports",
        role: "database",
        class: Some("temporary"),
        remark: "not allowed by its policy",
    },
    Member { id: "i-0eb00000000000001", name: "web-1", role: "web", class: None, remark: "" },
    Member {
        id: "i-0eb00000000000002",
        name: "web-2",
        role: "web",
        class: Some("stateful"),
        remark: "allowed by its policy",
    },
    Member { id: "i-0ca00000000000001", name: "payments", role: "payments", class: None, remark: "must not restart" },
    Member { id: "i-0bd00000000000001", name: "build-1", role: "build", class: None, remark: "stopped" },
    Member {
        id: "i-01e00000000000001",
        name: "legacy",
        role: "web",
        class: None,
        remark: "root on the instance store",
    },
];

impl Member {
    /// Its tags, as they are at the beginning.
    pub(super) fn tags(&self) -> Vec<(&'static str, &'static str)> {
        let class = self.class.map(|class| (CLASS_TAG, class));
        [("Name", self.name), ("Role", self.role)].into_iter().chain(class).collect()
    }

    fn spec(&self) -> InstanceSpec {
        let tagged =
            self.tags().into_iter().fold(InstanceSpec::new(self.id), |spec, (key, value)| spec.tag(key, value));
        match self.name {
            "db-1" => tagged.instance_type("r7g.xlarge").volume("/dev/xvda", 16).volume("/dev/sdf", 500),
            "payments" => tagged.volume("/dev/xvda", 16).volume("/dev/sdf", 200),
            "build-1" => tagged.volume("/dev/xvda", 30).state(InstanceState::Stopped),
            "legacy" => tagged.instance_type("m3.medium").architecture("x86_64").instance_store_root("/dev/sda1"),
            _ => tagged.volume("/dev/xvda", 16),
        }
    }
}

/// The world at the beginning of the week. The same seed gives the same week each time.
pub(super) fn world(clock: SimClock) -> Result<World, InvalidWorld> {
    // The clock stands still while a call is waited for, so what begins later than its call would never begin in a hold.
    let at_once = SignedDuration::ZERO;
    let builder =
        World::builder().clock(clock).seed(SEED).snapshot_lag(at_once, at_once).account(ACCOUNT).region(REGION);
    FLEET.iter().map(Member::spec).fold(builder, WorldBuilder::instance).build()
}

/// The configuration file for a ledger and a simulator.
pub(super) fn config_text(database: &Path, endpoint: &str) -> String {
    // A path in TOML may need its backslashes and quotes escaped.
    let database = database.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
    let scratch = database.rsplit_once('/').map_or("", |(folder, _)| folder);
    CONFIG.replace("DATABASE", &database).replace("SCRATCH", scratch).replace("ENDPOINT", endpoint)
}

/// The names of the instances.
pub(super) fn names() -> BTreeMap<InstanceId, &'static str> {
    FLEET.iter().filter_map(|member| Some((member.id.parse().ok()?, member.name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_one_that_the_daemon_accepts() {
        let text = config_text(Path::new("/nowhere/amikeep.db"), "http://127.0.0.1:1");
        let loaded = amikeep_config::parse(&text, "demo.toml").unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        assert_eq!(loaded.config.policy_set.policies.len(), 3);
    }

    fn instance(member: &Member) -> amikeep_domain::instance::Instance {
        amikeep_domain::instance::Instance {
            id: member.id.parse().unwrap(),
            state: InstanceState::Running,
            launched_at: jiff::Timestamp::UNIX_EPOCH,
            root_device: amikeep_ec2_sim::RootDevice::Ebs,
            root_device_name: None,
            volumes: Vec::new(),
            instance_store_disks: None,
            hibernation: amikeep_domain::instance::Hibernation::No,
            tags: member.tags().into_iter().collect(),
        }
    }

    #[test]
    fn every_instance_is_in_one_policy_and_has_an_id_of_its_own() {
        let text = config_text(Path::new("/nowhere/amikeep.db"), "http://127.0.0.1:1");
        let set = amikeep_config::parse(&text, "demo.toml").unwrap().config.policy_set;
        for member in FLEET {
            let instance = instance(&member);
            let matching = set.policies.values().filter(|policy| policy.select.matches(&instance));
            assert_eq!(matching.count(), 1, "{}", member.name);
        }
        assert_eq!(names().len(), FLEET.len());
        assert!(world(SimClock::manual(jiff::Timestamp::UNIX_EPOCH)).is_ok());
    }

    #[test]
    fn no_two_jobs_of_a_policy_start_at_the_same_instant() {
        // Or the order of their calls would be chance, and the demo another one each time.
        let text = config_text(Path::new("/nowhere/amikeep.db"), "http://127.0.0.1:1");
        let set = amikeep_config::parse(&text, "demo.toml").unwrap().config.policy_set;
        for policy in set.policies.values() {
            let at = jiff::Timestamp::UNIX_EPOCH;
            let members = FLEET.iter().map(instance).filter(|instance| policy.select.matches(instance));
            let mut starts: Vec<_> = members.map(|instance| policy.start_window(&instance.id, at).start_at).collect();
            starts.sort();
            assert!(starts.windows(2).all(|pair| pair[0].as_second() + 1 < pair[1].as_second()), "{starts:?}");
        }
    }
}
