//! A small fleet with a bit of everything, for the demo, for trying the `aws` CLI, and as an example of a world.

use amikeep_domain::instance::InstanceState;

use crate::world::World;
use crate::world::builder::WorldBuilder;
use crate::world::spec::InstanceSpec;

/// The account of the small fleet.
pub const FLEET_ACCOUNT: &str = "111122223333";
/// The region of the small fleet.
pub const FLEET_REGION: &str = "eu-central-1";

impl World {
    /// A database with a data volume, a pair of web servers, a stopped box, a member of an Auto Scaling group, a machine
    /// whose root is in the instance store, one with an instance-store data volume, and a hibernated one.
    pub fn small_fleet() -> WorldBuilder {
        let named = |id: &str, name: &str, role: &str| {
            InstanceSpec::new(id).tag("Name", name).tag("Role", role).tag("Env", "prod").tag("CostCenter", "42")
        };
        World::builder()
            .account(FLEET_ACCOUNT)
            .region(FLEET_REGION)
            .role("amikeep", Some("prod-fra"))
            .instance(
                named("i-0db00000000000001", "db-1", "mysql")
                    .instance_type("r7g.xlarge")
                    .volume("/dev/xvda", 16)
                    .volume("/dev/sdf", 500),
            )
            .instance(named("i-0e000000000000001", "web-1", "web").volume("/dev/xvda", 8))
            .instance(named("i-0e000000000000002", "web-2", "web").zone('b').volume("/dev/xvda", 8))
            .instance(
                InstanceSpec::new("i-0de00000000000001")
                    .tag("Name", "old-build-box")
                    .tag("Env", "dev")
                    .instance_type("m5.large")
                    .architecture("x86_64")
                    .volume("/dev/sda1", 30)
                    .state(InstanceState::Stopped),
            )
            .instance(
                named("i-0a500000000000001", "api-asg", "api")
                    .tag("aws:autoscaling:groupName", "api")
                    .volume("/dev/xvda", 8),
            )
            .instance(
                InstanceSpec::new("i-01500000000000001")
                    .tag("Name", "legacy")
                    .tag("Env", "prod")
                    .instance_type("m3.medium")
                    .architecture("x86_64")
                    .instance_store_root("/dev/sda1"),
            )
            .instance(
                named("i-0ca00000000000001", "cache-1", "cache")
                    .instance_type("m5d.large")
                    .architecture("x86_64")
                    .volume("/dev/xvda", 20)
                    .instance_store("/dev/sdb", "ephemeral0"),
            )
            .instance(
                InstanceSpec::new("i-0bed0000000000001")
                    .tag("Name", "desktop")
                    .tag("Env", "dev")
                    .volume("/dev/xvda", 40)
                    .hibernated(),
            )
    }
}
