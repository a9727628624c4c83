//! Corners where two things meet: several accounts, reloads, commands without a daemon, slow answers, set clocks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amikeep_domain::id::AccountName;
use amikeep_domain::plan::Scope;
use amikeep_domain::policy::Selector;
use amikeep_domain::schedule::Schedule;
use amikeep_ec2_sim::{Action, Place, SimCloud};
use amikeep_engine::Options;
use jiff::SignedDuration;
use tokio::sync::Notify;

use crate::simulated::audit::audit;
use crate::simulated::house::{House, REGION, account, at, instance_id, policy, spec, world};
use crate::twisted::Twisted;

fn daemon() -> Options {
    Options::new(64, Scope::Everything)
}

fn name(text: &str) -> AccountName {
    text.parse().unwrap()
}

/// A second name for the same account, as somebody configures it who wants two profiles.
fn with_second_name(house: &mut House) {
    let rules = house.policy_set.accounts[&account()].clone();
    house.policy_set.accounts.insert(name("second"), rules);
}

fn both_names(house: &House) -> BTreeMap<AccountName, Arc<Twisted>> {
    [account(), name("second")].map(|name| (name, Arc::new(Twisted::new(house.cloud())))).into()
}

#[tokio::test]
async fn a_command_without_a_daemon_first_finishes_the_image_that_is_in_its_way() {
    let mut house = House::new(world().instance(spec(1)), vec![policy("nightly", "stateless")]);
    house.live_until("2026-11-22T02:00:10Z").await;
    // The daemon is gone; its image is long available, and nobody has looked.
    house.world.clock().set(at("2026-11-22T02:30:00Z"));
    let request = house.request(1).await;
    let clouds = BTreeMap::from([(account(), Arc::new(house.cloud()))]);
    let options = Options::new(64, Scope::Requests([request].into()));
    let mut engine = house.engine_with(clouds, options).await;
    house.run_until(&mut engine, "2026-11-22T02:45:00Z").await;
    drop(engine);
    assert_eq!(house.lines().await, ["1 succeeded: no-reboot crash", "1 succeeded: no-reboot crash"]);
    audit(&house).await;
}

#[tokio::test]
async fn a_request_that_nobody_took_up_in_time_is_refused_and_not_carried_out_days_later() {
    let mut house = House::new(world().instance(spec(1)), vec![policy("nightly", "stateful")]);
    let request = house.request(1).await;
    house.world.clock().set(at("2026-11-24T12:00:00Z"));
    house.live_until("2026-11-24T13:00:00Z").await;
    assert!(house.world.reboots(&instance_id(1)).is_empty());
    let status = house.ledger().await.request(request).await.unwrap().unwrap();
    assert_eq!(status.refused.map(|error| error.code).as_deref(), Some("start_within_passed"));
}

#[tokio::test]
async fn an_account_that_cannot_be_read_takes_no_room_from_the_others() {
    let fleet = (1..=70).fold(world(), |fleet, n| fleet.instance(spec(n)));
    let mut healthy = policy("healthy", "stateless");
    healthy.select = Selector { instances: [instance_id(70)].into(), ..Selector::default() };
    healthy.schedule = Schedule::parse("5 2 * * *", "UTC").unwrap();
    let mut broken = policy("broken", "stateless");
    broken.accounts = vec![name("second")];
    broken.jitter = SignedDuration::from_mins(4);
    let mut house = House::new(fleet, vec![healthy, broken]);
    with_second_name(&mut house);
    let mut clouds = both_names(&house);
    let refusing = Twisted { refuses_instances: true, ..Twisted::new(house.cloud()) };
    clouds.insert(name("second"), Arc::new(refusing));
    let mut engine = house.engine_with(clouds, daemon()).await;
    house.run_until(&mut engine, "2026-11-22T02:20:00Z").await;
    drop(engine);
    let jobs = house.jobs().await;
    let healthy = jobs.iter().find(|job| job.key.policy.as_str() == "healthy").unwrap();
    assert_eq!(healthy.state.name().as_str(), "succeeded", "{:?}", healthy.state);
    assert!(jobs.iter().any(|job| job.key.policy.as_str() == "broken" && !job.state.name().is_terminal()));
}

#[tokio::test]
async fn two_names_of_one_account_never_image_an_instance_at_the_same_time() {
    let mut second = policy("second", "stateful");
    second.accounts = vec![name("second")];
    second.schedule = Schedule::parse("1 2 * * *", "UTC").unwrap();
    let mut house = House::new(world().instance(spec(1)), vec![policy("first", "stateful"), second]);
    with_second_name(&mut house);
    let clouds = both_names(&house);
    let mut engine = house.engine_with(clouds, daemon()).await;
    house.run_until(&mut engine, "2026-11-22T02:30:00Z").await;
    drop(engine);
    assert_eq!(house.lines().await, ["1 succeeded: reboot clean", "1 succeeded: reboot clean"]);
    audit(&house).await;
}

#[tokio::test]
async fn jobs_of_an_account_that_is_configured_no_longer_fail_in_time() {
    let mut house = House::new(world().instance(spec(1)), vec![policy("nightly", "stateless")]);
    let cloud = Arc::new(house.cloud());
    let clouds = BTreeMap::from([(account(), Arc::clone(&cloud))]);
    let no_room = Options { jobs_max: 0, ..daemon() };
    let mut engine = house.engine_with(clouds, no_room).await;
    house.run_until(&mut engine, "2026-11-22T02:00:10Z").await;
    let mut renamed = house.policy_set.clone();
    let rules = renamed.accounts.remove(&account()).unwrap();
    renamed.accounts.insert(name("renamed"), rules);
    renamed.policies.clear();
    engine.replace(Arc::new(renamed), BTreeMap::from([(name("renamed"), cloud)]));
    house.run_until(&mut engine, "2026-11-22T09:00:00Z").await;
    drop(engine);
    assert_eq!(house.lines().await, ["1 failed: start_within_passed"]);
}

#[tokio::test]
async fn what_the_old_connection_answers_after_a_reload_does_not_count() {
    const OTHER: &str = "999988887777";
    let fleet = world().instance(spec(1)).account(OTHER).region(REGION).instance(spec(2));
    let mut house = House::new(fleet, vec![policy("nightly", "stateless")]);
    let gate = Arc::new(Notify::new());
    let old = Twisted { identity_after: Some(Arc::clone(&gate)), ..Twisted::new(house.cloud()) };
    let place = Place { account: OTHER.parse().unwrap(), region: REGION.parse().unwrap() };
    let new = Twisted::new(SimCloud::new(house.world.clone(), place));
    let mut engine = house.engine_over(old).await;
    // The policy is new and starts from now; then its fire asks for the identity, which hangs.
    engine.settle().await.unwrap();
    house.world.clock().set(at("2026-11-22T02:00:00Z"));
    assert_eq!(engine.tick().await.unwrap().actions.len(), 1);
    engine.replace(Arc::new(house.policy_set.clone()), BTreeMap::from([(account(), Arc::new(new))]));
    gate.notify_one();
    house.run_until(&mut engine, "2026-11-22T02:20:00Z").await;
    drop(engine);
    let jobs = house.jobs().await;
    let seen: Vec<_> = jobs.iter().map(|job| (job.key.account.as_str(), job.key.instance.clone())).collect();
    assert_eq!(seen, [(OTHER, instance_id(2))]);
    assert_eq!(house.lines().await, ["2 succeeded: no-reboot crash"]);
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_stop_the_watch_on_an_image() {
    let mut house = House::new(world().instance(spec(1)), vec![policy("nightly", "stateless")]);
    house.live_until("2026-11-22T02:01:00Z").await;
    house.world.clock().set(at("2026-11-21T02:01:00Z"));
    let looks = house.world.count(Action::DescribeImages);
    house.live_until("2026-11-21T02:05:00Z").await;
    assert!(looks < house.world.count(Action::DescribeImages));
}

/// Listings take this long on the world's clock, while the driver lets a second pass between two ticks.
async fn images_with_slow_listings(schedule: &str, seconds: i64) -> usize {
    let mut policy = policy("nightly", "stateless");
    policy.schedule = Schedule::parse(schedule, "UTC").unwrap();
    let mut house = House::new(world().instance(spec(1)), vec![policy]);
    let slow = Twisted { instances_take: SignedDuration::from_secs(seconds), ..Twisted::new(house.cloud()) };
    let mut engine = house.engine_over(slow).await;
    house.world.clock().set(at("2026-11-22T01:59:30Z"));
    while house.now() < at("2026-11-22T02:15:00Z") {
        // Time passes with every listing, so an engine with a quick schedule always has something to do.
        let _busy = tokio::time::timeout(Duration::from_millis(50), engine.settle()).await;
        house.world.clock().advance(SignedDuration::from_secs(1));
    }
    house.world.images().len()
}

#[tokio::test]
async fn a_schedule_that_is_quicker_than_a_listing_still_fires() {
    assert!(1 <= images_with_slow_listings("*/10 * * * * *", 12).await);
}

#[tokio::test]
async fn facts_that_take_long_to_read_are_still_fresh_when_they_come() {
    assert_eq!(images_with_slow_listings("0 2 * * *", 45).await, 1);
}
