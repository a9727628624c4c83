//! Nights on which nothing goes wrong.

use amikeep_domain::tags;
use amikeep_ec2_sim::{Action, InstanceState, Reboot};
use jiff::SignedDuration;

use crate::simulated::audit::{assert_all_succeeded, audit};
use crate::simulated::house::{House, instance_id, policy, spec, world};

#[tokio::test]
async fn each_instance_is_imaged_in_the_mode_of_its_class() {
    let fleet = world()
        .instance(spec(1))
        .instance(spec(2).tag("amikeep:class", "stateless"))
        .instance(spec(3).state(InstanceState::Stopped))
        .instance(spec(4).tag("amikeep:class", "development"))
        .instance(spec(5).tag("Env", "test"));
    let mut house = House::new(fleet, vec![policy("nightly", "production-database")]);
    house.live_until("2026-11-22T03:00:00Z").await;
    assert_eq!(
        house.lines().await,
        [
            "1 succeeded: reboot clean",
            "2 succeeded: no-reboot crash",
            "3 succeeded: no-reboot offline",
            "4 failed: class_tag_not_allowed",
        ]
    );
    audit(&house).await;
    let rebooted: Vec<_> = house.world.images().into_iter().filter(|it| it.reboot == Reboot::Yes).collect();
    assert_eq!(rebooted.len(), 1);
    assert_eq!(rebooted[0].instance_id, instance_id(1));
    let snapshot_tags = &rebooted[0].tags;
    assert_eq!(snapshot_tags.get(tags::GRADE).map(String::as_str), Some("clean"));
}

#[tokio::test]
async fn a_week_of_nights_gives_one_image_a_night() {
    let mut house = House::new(world().instance(spec(1)).instance(spec(2)), vec![policy("nightly", "stateless")]);
    house.live_until("2026-11-29T01:00:00Z").await;
    assert_all_succeeded(&house, 14).await;
    audit(&house).await;
}

#[tokio::test]
async fn a_settled_engine_asks_nothing_and_wakes_for_what_is_next() {
    let mut house = House::new(world().instance(spec(1)), vec![policy("nightly", "stateless")]);
    let mut engine = house.engine().await;
    house.run_until(&mut engine, "2026-11-22T03:00:00Z").await;
    let calls = house.world.calls().len();
    let settled = engine.settle().await.unwrap();
    assert_eq!(house.world.calls().len(), calls);
    // The next thing to do is to prune, half an hour later.
    assert_eq!(settled.wake_at, Some("2026-11-22T03:30:00Z".parse().unwrap()));
}

#[tokio::test]
async fn a_thousand_instances_cost_few_calls_beside_their_own() {
    let fleet = (1..=200).fold(world(), |fleet, n| fleet.instance(spec(n)));
    let mut house = House::new(fleet, vec![policy("nightly", "stateless")]);
    house.live_until("2026-11-22T03:00:00Z").await;
    assert_all_succeeded(&house, 200).await;
    assert_eq!(house.world.count(Action::CreateImage), 200);
    assert!(house.world.count(Action::DescribeInstances) <= 3, "{}", house.world.count(Action::DescribeInstances));
    // 200 images of two volumes: polls of one call each, snapshots in two, grades in three.
    assert!(house.world.count(Action::DescribeImages) <= 40, "{}", house.world.count(Action::DescribeImages));
    assert!(house.world.count(Action::CreateTags) <= 12, "{}", house.world.count(Action::CreateTags));
}

#[tokio::test]
async fn two_policies_of_one_instance_are_two_series_and_never_overlap() {
    let mut hourly = policy("hourly", "stateless");
    hourly.schedule = amikeep_domain::schedule::Schedule::parse("0 * * * *", "UTC").unwrap();
    let mut house = House::new(world().instance(spec(1)), vec![hourly, policy("nightly", "stateful")]);
    house.live_until("2026-11-22T03:00:00Z").await;
    audit(&house).await;
    let images = house.world.images();
    let [first, second, third] = images.as_slice() else { panic!("{:?}", house.lines().await) };
    // 02:00 of both policies, one after the other; 03:00 is about to be asked for.
    let gap = second.created_at.duration_since(first.created_at);
    assert!(SignedDuration::from_mins(5) <= gap, "{} {}", first.created_at, second.created_at);
    assert!(third.created_at >= "2026-11-22T03:00:00Z".parse().unwrap());
}

#[tokio::test]
async fn jitter_spreads_starts_and_is_the_same_every_night() {
    let mut spread = policy("nightly", "stateless");
    spread.jitter = SignedDuration::from_mins(30);
    let fleet = (1..=5).fold(world(), |fleet, n| fleet.instance(spec(n)));
    let mut house = House::new(fleet, vec![spread]);
    house.live_until("2026-11-24T01:00:00Z").await;
    let starts = |day: &str| {
        let images = house.world.images();
        let of_day = images.into_iter().filter(|it| it.created_at.to_string().starts_with(day));
        let mut starts: Vec<_> =
            of_day.map(|it| (it.instance_id.clone(), it.created_at.to_string()[10..].to_owned())).collect();
        starts.sort();
        starts
    };
    let first = starts("2026-11-22");
    assert_eq!(first.len(), 5);
    assert_eq!(first, starts("2026-11-23"));
}
