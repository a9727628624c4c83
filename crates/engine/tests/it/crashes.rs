//! The process dies around every single call of a night, and the next one makes it good.

use std::time::Duration;

use amikeep_ec2_sim::{Action, InstanceState};

use crate::audit::{assert_all_succeeded, audit};
use crate::crashing::{CrashingCloud, Side};
use crate::house::{House, policy, spec, world};

/// How long a killed engine is given to reach the call that kills it. It is real time, since a call that never returns is
/// noticed by nothing else; a machine that is slower than this makes the test weaker and never red.
const KILLED_WITHIN: Duration = Duration::from_millis(150);

fn house() -> House {
    let fleet = world()
        .instance(spec(1))
        .instance(spec(2).tag("amikeep:class", "stateless"))
        .instance(spec(3).state(InstanceState::Stopped));
    House::new(fleet, vec![policy("nightly", "production-database")])
}

#[tokio::test]
async fn killed_between_any_two_steps() {
    for side in [Side::Before, Side::After] {
        for nth in 1.. {
            let mut house = house();
            let cloud = CrashingCloud::new(house.cloud(), nth, side);
            let mut engine = house.engine_over(cloud).await;
            let night = house.run_until(&mut engine, "2026-11-22T02:45:00Z");
            let survived = tokio::time::timeout(KILLED_WITHIN, night).await.is_ok();
            drop(engine);
            house.live_until("2026-11-22T04:00:00Z").await;
            assert_all_succeeded(&mut house, 3).await;
            audit(&mut house).await;
            // Whatever was in doubt was looked up, so no name was refused as a duplicate.
            assert_eq!(house.world.images().len(), 3, "killed {side:?} call {nth}");
            if survived {
                assert!(10 < nth, "a night has more than {nth} calls");
                break;
            }
        }
    }
}

#[tokio::test]
async fn killed_again_and_again() {
    let mut house = house();
    // Each life ends two calls after it began, most of them in the middle of settling what the last one left.
    for _ in 0..20 {
        let cloud = CrashingCloud::new(house.cloud(), 3, Side::After);
        let mut engine = house.engine_over(cloud).await;
        let _killed = tokio::time::timeout(KILLED_WITHIN, house.run_until(&mut engine, "2026-11-22T02:40:00Z")).await;
    }
    house.live_until("2026-11-22T04:00:00Z").await;
    assert_all_succeeded(&mut house, 3).await;
    audit(&mut house).await;
    assert_eq!(house.world.count(Action::CreateImage), 3);
}
