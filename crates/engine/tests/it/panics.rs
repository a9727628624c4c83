//! A panic is a bug in one action. It stops neither the others nor the daemon, and is not repeated for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use amikeep_domain::plan::Scope;
use amikeep_ec2_sim::Action;
use amikeep_engine::Options;

use crate::simulated::audit::{assert_all_succeeded, audit};
use crate::simulated::house::{House, account, policy, spec, world};
use crate::twisted::{PanicAt, Twisted};

fn two_instances() -> House {
    House::new(world().instance(spec(1)).instance(spec(2)), vec![policy("nightly", "stateful")])
}

/// Lives over a cloud that panics once, at this point.
async fn live(house: &mut House, at: PanicAt, until: &str) {
    let panics_at = Some((at, AtomicBool::new(false)));
    let cloud = Arc::new(Twisted { panics_at, ..Twisted::new(house.cloud()) });
    let options = Options::new(64, Scope::Everything);
    let mut engine = house.engine_with([(account(), Arc::clone(&cloud))].into(), options).await;
    house.run_until(&mut engine, until).await;
    let has_panicked = cloud.panics_at.as_ref().is_some_and(|(_, done)| done.load(Ordering::SeqCst));
    assert!(has_panicked, "the test proves nothing");
}

#[tokio::test]
async fn a_panic_in_one_job_stops_no_other_and_no_later_one() {
    let mut house = two_instances();
    live(&mut house, PanicAt::Ready, "2026-11-23T04:00:00Z").await;
    let mut lines = house.lines().await;
    lines.sort();
    let failed = lines.iter().filter(|line| line.ends_with("failed: internal_error")).count();
    let succeeded = lines.iter().filter(|line| line.contains("succeeded")).count();
    assert_eq!((failed, succeeded, lines.len()), (1, 3, 4), "{lines:?}");
    audit(&house).await;
}

#[tokio::test]
async fn a_panic_after_the_intent_is_settled_like_a_crash() {
    for at in [PanicAt::BeforeRequest, PanicAt::AfterRequest] {
        let mut house = two_instances();
        live(&mut house, at, "2026-11-22T04:00:00Z").await;
        assert_all_succeeded(&house, 2).await;
        assert_eq!((house.world.images().len(), house.world.count(Action::CreateImage)), (2, 2), "{at:?}");
        audit(&house).await;
    }
}

#[tokio::test]
async fn a_panic_in_a_listing_loses_no_fire() {
    let mut house = two_instances();
    live(&mut house, PanicAt::Listing, "2026-11-22T04:00:00Z").await;
    assert_all_succeeded(&house, 2).await;
    audit(&house).await;
}

#[tokio::test]
async fn a_panic_in_a_prune_is_made_up_for_by_the_next() {
    let mut house = two_instances();
    house.policy_set.policies.values_mut().for_each(|policy| policy.keep = "last=1".parse().unwrap());
    live(&mut house, PanicAt::Prune, "2026-11-25T04:00:00Z").await;
    let left = house.world.images().into_iter().filter(|image| image.deregistered_at.is_none()).count();
    assert_eq!(left, 2, "{:?}", house.lines().await);
    audit(&house).await;
}
