//! Letting go: what retention deletes, what it must not, and what bad luck does to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use amikeep_domain::id::{AccountName, ImageId, SnapshotId};
use amikeep_domain::plan::Scope;
use amikeep_domain::prune::{DeletionStateName, Released};
use amikeep_ec2_sim::{
    Action, ApiError, Fault, FaultOutcome, ImageState, InstanceSpec, Invocation, LaunchTemplateSpec, MachineAttributes,
    NewTag, Place, RegisterImage, Request as Ec2Request, SnapshotDeletion, SnapshotMapping, World, default_identity,
};
use amikeep_engine::{Options, PruneScope, SeededRandom, preview_prune};
use amikeep_ledger::{ImageRow, ImageRowState, Ledger, RequestKind};
use jiff::SignedDuration;

use crate::simulated::house::{ACCOUNT, House, REGION, account, policy, spec, world};
use crate::twisted::Twisted;

fn keeping(keep: &str) -> Vec<amikeep_domain::policy::Policy> {
    let mut policy = policy("nightly", "stateless");
    policy.keep = keep.parse().unwrap();
    vec![policy]
}

fn house(keep: &str) -> House {
    House::new(world().instance(spec(1)), keeping(keep))
}

fn set_keep(house: &mut House, keep: &str) {
    for policy in house.policy_set.policies.values_mut() {
        policy.keep = keep.parse().unwrap();
    }
}

/// Images that are registered, by the day of their fire, each with the snapshots that are left of it.
fn left(house: &House) -> Vec<(String, usize)> {
    let images = house.world.images().into_iter().filter(|image| image.deregistered_at.is_none());
    let day = |name: &str| name.rsplit('-').next().unwrap()[6..8].to_owned();
    images
        .map(|image| (day(&image.name), image.snapshots.iter().filter(|it| it.deleted_at.is_none()).count()))
        .collect()
}

/// Snapshots whose image is gone.
fn orphans(house: &House) -> usize {
    let gone = house.world.images().into_iter().filter(|image| image.deregistered_at.is_some());
    gone.flat_map(|image| image.snapshots).filter(|snapshot| snapshot.deleted_at.is_none()).count()
}

async fn row(house: &mut House, image: &ImageId) -> ImageRow {
    house.images().await.into_iter().find(|row| row.image == *image).unwrap()
}

async fn words(house: &mut House, row: &ImageRow) -> Vec<String> {
    let ledger: Ledger = house.reader().await;
    ledger.events(row.job).await.unwrap().into_iter().map(|event| event.event).collect()
}

#[tokio::test]
async fn what_no_rule_keeps_goes_with_its_snapshots_and_history_says_why() {
    let mut house = house("last=2");
    house.live_until("2026-11-26T01:00:00Z").await;
    assert_eq!(left(&house), [("24".to_owned(), 2), ("25".to_owned(), 2)]);
    assert_eq!(orphans(&house), 0);
    let first = house.world.images()[0].id.clone();
    let row = row(&mut house, &first).await;
    assert_eq!(row.state, ImageRowState::Deleted);
    let words = words(&mut house, &row).await;
    assert_eq!(words[words.len() - 3..], ["deletion-planned", "deregistered", "deleted"]);
}

#[tokio::test]
async fn a_deletion_is_in_the_ledger_before_it_is_asked_for() {
    let mut house = house("last=1");
    house.live_until("2026-11-23T02:15:00Z").await;
    house.world.plan_fault(Fault::on(Action::DeregisterImage, FaultOutcome::LostBeforeEffect).always());
    house.live_until("2026-11-23T02:40:00Z").await;
    let first = house.world.images()[0].id.clone();
    assert_eq!(row(&mut house, &first).await.state, ImageRowState::Deleting);
    assert!(house.world.deletions().is_empty());
}

#[tokio::test]
async fn a_deletion_that_was_cut_off_is_looked_at_before_anything_is_said_of_it_however_late() {
    let mut house = house("last=1");
    house.live_until("2026-11-23T02:15:00Z").await;
    let first = house.world.images()[0].id.clone();
    house.world.plan_fault(Fault::on(Action::DeregisterImage, FaultOutcome::LostReplyAfterEffect));
    house.live_until("2026-11-23T02:30:00Z").await;
    assert_eq!(row(&mut house, &first).await.state, ImageRowState::Deleting);
    // Longer than the decision may be acted upon.
    house.world.clock().advance(SignedDuration::from_hours(5));
    house.live_until("2026-11-23T07:35:00Z").await;
    let row = row(&mut house, &first).await;
    assert_eq!((row.state, orphans(&house)), (ImageRowState::Deleted, 0));
    let words = words(&mut house, &row).await;
    assert_eq!(words[words.len() - 4..], ["deletion-planned", "deletion-deferred", "deregistered", "deleted"]);
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_deleted_is_reported_and_tried_again() {
    let mut house = house("last=1");
    house.live_until("2026-11-23T02:15:00Z").await;
    let first = house.world.images()[0].clone();
    house.world.lock_snapshot(&first.snapshots[0].id);
    house.live_until("2026-11-23T05:00:00Z").await;
    assert_eq!(left(&house), [("23".to_owned(), 2)]);
    assert_eq!((orphans(&house), row(&mut house, &first.id).await.state), (1, ImageRowState::SnapshotsLeft));
    let open = house.reader().await.open_deletions().await.unwrap();
    assert_eq!(open[0].state.name(), DeletionStateName::SnapshotsLeft);
    house.world.unlock_snapshot(&first.snapshots[0].id);
    house.live_until("2026-11-24T12:00:00Z").await;
    assert_eq!(orphans(&house), 0);
    assert_eq!(row(&mut house, &first.id).await.state, ImageRowState::Deleted);
}

#[tokio::test]
async fn without_permission_for_half_of_it_the_other_half_is_done_when_allowed() {
    let mut house = house("last=1");
    house.world.deny(&ACCOUNT.parse().unwrap(), Action::DeleteSnapshot);
    house.live_until("2026-11-23T03:00:00Z").await;
    assert_eq!((left(&house).len(), orphans(&house)), (1, 2));
    house.world.allow(&ACCOUNT.parse().unwrap(), Action::DeleteSnapshot);
    house.live_until("2026-11-24T12:00:00Z").await;
    assert_eq!(orphans(&house), 0);
}

#[tokio::test]
async fn without_permission_to_deregister_the_image_stays_and_history_says_so() {
    let mut house = house("last=1");
    house.world.deny(&ACCOUNT.parse().unwrap(), Action::DeregisterImage);
    house.live_until("2026-11-23T03:00:00Z").await;
    assert!(house.world.deletions().is_empty());
    let first = house.world.images()[0].id.clone();
    let row = row(&mut house, &first).await;
    assert_eq!(row.state, ImageRowState::Available);
    assert_eq!(words(&mut house, &row).await.last().unwrap(), "deletion-refused");
    house.world.allow(&ACCOUNT.parse().unwrap(), Action::DeregisterImage);
    house.live_until("2026-11-23T04:00:00Z").await;
    assert_eq!((left(&house).len(), orphans(&house)), (1, 0));
}

#[tokio::test]
async fn what_somebody_else_deregistered_keeps_its_snapshots_for_a_week() {
    let mut house = house("last=-1");
    house.live_until("2026-11-23T01:00:00Z").await;
    let first = house.world.images()[0].id.clone();
    house.deregister(&first);
    house.live_until("2026-11-29T01:00:00Z").await;
    assert_eq!(orphans(&house), 2, "they are left for a week");
    assert_eq!(row(&mut house, &first).await.state, ImageRowState::Missing);
    house.live_until("2026-12-01T01:00:00Z").await;
    assert_eq!(orphans(&house), 0);
    assert_eq!(row(&mut house, &first).await.state, ImageRowState::Deleted);
    assert_eq!(house.world.deletions().iter().filter(|it| it.action == Action::DeregisterImage).count(), 1);
}

#[tokio::test]
async fn the_snapshots_of_the_only_image_stay_for_ever() {
    let mut house = House::new(world().instance(spec(1)), keeping("last=1"));
    house.live_until("2026-11-23T01:00:00Z").await;
    let first = house.world.images()[0].id.clone();
    house.terminate(1);
    house.deregister(&first);
    house.live_until("2026-12-22T01:00:00Z").await;
    assert_eq!(orphans(&house), 2);
}

#[tokio::test]
async fn a_snapshot_that_another_image_uses_goes_when_that_one_has_gone() {
    let mut house = house("last=1");
    house.live_until("2026-11-23T01:00:00Z").await;
    let first = house.world.images()[0].clone();
    let shared = register(&house, "somebody-elses", &first.snapshots[0].id);
    house.live_until("2026-11-24T01:00:00Z").await;
    assert_eq!(row(&mut house, &first.id).await.state, ImageRowState::SnapshotsLeft);
    assert_eq!(orphans(&house), 1);
    house.deregister(&shared);
    house.live_until("2026-11-26T01:00:00Z").await;
    assert_eq!(row(&mut house, &first.id).await.state, ImageRowState::Deleted);
    let gone: BTreeSet<_> = house.world.deletions().iter().map(|it| it.resource.id().to_owned()).collect();
    assert!(first.snapshots.iter().all(|snapshot| gone.contains(snapshot.id.as_str())));
}

fn register(house: &House, name: &str, snapshot: &SnapshotId) -> ImageId {
    let before: BTreeSet<_> = house.world.resources().into_iter().map(|it| it.resource).collect();
    house.call(Ec2Request::RegisterImage(RegisterImage {
        name: name.to_owned(),
        description: None,
        architecture: "x86_64".to_owned(),
        root_device_name: "/dev/xvda".to_owned(),
        mappings: vec![SnapshotMapping::new("/dev/xvda", snapshot.as_str())],
        instance_store: Vec::new(),
        machine: MachineAttributes::default(),
        tag_specifications: Vec::new(),
    }));
    let made = house.world.resources().into_iter().find(|it| !before.contains(&it.resource)).unwrap();
    made.resource.id().parse().unwrap()
}

#[tokio::test]
async fn a_listing_that_breaks_off_deletes_nothing() {
    for action in [Action::DescribeImages, Action::DescribeSnapshots] {
        let mut house = house("last=1");
        house.live_until("2026-11-23T02:15:00Z").await;
        house.world.plan_fault(Fault::on(action, FaultOutcome::CutInBody).always());
        house.live_until("2026-11-23T06:00:00Z").await;
        assert!(house.world.deletions().is_empty(), "{action:?}");
        house.world.clear_faults();
        house.live_until("2026-11-23T07:00:00Z").await;
        assert_eq!((left(&house).len(), orphans(&house)), (1, 0), "{action:?}");
    }
}

#[tokio::test]
async fn a_keep_edited_to_almost_nothing_stops_at_max_deletes_until_it_is_released() {
    let mut house = house("last=-1");
    house.policy_set.policies.values_mut().for_each(|policy| policy.max_deletes = Some(5));
    house.live_until("2026-12-01T01:00:00Z").await;
    set_keep(&mut house, "last=1");
    house.live_until("2026-12-01T01:50:00Z").await;
    assert!(house.world.deletions().is_empty(), "eight are more than five, so none goes");
    let held: Vec<ImageId> = house.world.images().iter().take(8).map(|image| image.id.clone()).collect();
    let mut engine = house.engine().await;
    // Released by name, and only what was named.
    let policy = Some("nightly".parse().unwrap());
    let request = house
        .ask(
            1,
            RequestKind::Prune {
                policy,
                released: Released { images: held[..3].iter().cloned().collect(), ..Released::default() },
            },
        )
        .await;
    house.run_until(&mut engine, "2026-12-01T01:55:00Z").await;
    drop(engine);
    assert!(house.status(request).await.done);
    // With the three that were released, five more are within the limit again.
    let gone: BTreeSet<_> =
        house.world.images().into_iter().filter(|it| it.deregistered_at.is_some()).map(|it| it.id).collect();
    assert_eq!(gone, held.into_iter().collect());
    assert_eq!(orphans(&house), 0);
}

#[tokio::test]
async fn an_account_that_is_given_another_name_keeps_its_retention_and_its_pins() {
    let mut house = house("last=-1");
    house.live_until("2026-11-24T03:00:00Z").await;
    set_keep(&mut house, "last=1");
    let name: AccountName = "renamed".parse().unwrap();
    let rules = house.policy_set.accounts.remove(&account()).unwrap();
    house.policy_set.accounts.insert(name.clone(), rules);
    house.policy_set.policies.values_mut().for_each(|policy| policy.accounts = vec![name.clone()]);
    let clouds = BTreeMap::from([(name, Arc::new(house.cloud()))]);
    let pinned = house.images().await[1].image.clone();
    let pin = house.ask(1, RequestKind::Pin { image: pinned.clone(), account: None }).await;
    let mut engine = house.engine_with(clouds, Options::new(64, Scope::Everything)).await;
    house.run_until(&mut engine, "2026-11-24T05:00:00Z").await;
    drop(engine);
    assert!(house.status(pin).await.done, "{:?}", house.status(pin).await);
    assert!(row(&mut house, &pinned).await.pinned);
    assert_eq!((left(&house).len(), orphans(&house)), (2, 0), "the newest and the pinned one");
    assert!(house.reader().await.open_deletions().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_clock_a_year_ahead_deletes_nothing() {
    let mut house = house("last=-1");
    house.live_until("2026-11-27T01:00:00Z").await;
    set_keep(&mut house, "last=1");
    house.policy_set.policies.values_mut().for_each(|policy| policy.enabled = amikeep_domain::policy::Enabled::No);
    house.clock_ahead.set(SignedDuration::from_hours(365 * 24));
    let mut engine = house.engine().await;
    for _ in 0..48 {
        engine.settle().await.unwrap();
        house.world.clock().advance(SignedDuration::from_mins(5));
    }
    drop(engine);
    assert!(1 < house.world.count(Action::DescribeImages), "it did look");
    assert!(house.world.deletions().is_empty());
    // Put right, it goes on at its next time, although its cursor is a year ahead.
    house.clock_ahead.set(SignedDuration::ZERO);
    house.live_until("2026-11-27T07:00:00Z").await;
    assert_eq!(left(&house).len(), 1);
}

#[tokio::test]
async fn an_image_of_another_owner_with_our_names_is_never_touched() {
    let mut house = house("last=1");
    house.live_until("2026-11-22T02:30:00Z").await;
    let ours = house.world.images()[0].clone();
    let tags: Vec<(String, String)> = ours.tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    // One with our policy's tags and another owner, and one that is a copy of our image with all of its tags.
    let with = |owner: &'static str| -> Vec<(&str, &str)> {
        let value = |key: &str, value: &'static str| if key == "amikeep:owner" { owner } else { value };
        tags.iter().map(|(key, it)| (key.as_str(), value(key, it.clone().leak()))).collect()
    };
    house.take_image(1, "amikeep-other-nightly", &with("other"));
    house.take_image(1, "a-copy-of-ours", &with("test"));
    house.live_until("2026-12-10T01:00:00Z").await;
    let foreign: Vec<_> = house.world.images().into_iter().filter(|it| !it.name.starts_with("amikeep-test")).collect();
    assert_eq!(foreign.len(), 2);
    for image in foreign {
        assert_eq!((image.state, image.deregistered_at), (ImageState::Available, None), "{}", image.name);
        assert!(image.snapshots.iter().all(|snapshot| snapshot.deleted_at.is_none()), "{}", image.name);
    }
    let ours = house.world.images().into_iter().filter(|it| it.name.starts_with("amikeep-test"));
    assert_eq!(ours.filter(|it| it.deregistered_at.is_none()).count(), 1);
}

#[tokio::test]
async fn an_image_in_use_is_held_until_nothing_uses_it() {
    let mut house = house("last=1");
    house.live_until("2026-11-22T02:30:00Z").await;
    let first = house.world.images()[0].id.clone();
    let place = Place { account: ACCOUNT.parse().unwrap(), region: REGION.parse().unwrap() };
    house.world.add_launch_template(&place, LaunchTemplateSpec::new("web").version(first.as_str())).unwrap();
    house.live_until("2026-11-23T03:00:00Z").await;
    let second = house.world.images()[1].id.clone();
    let launched = InstanceSpec::new("i-0000000000000beef").volume("/dev/xvda", 8).image(second.as_str());
    house.world.launch(&place, launched).unwrap();
    house.live_until("2026-11-25T01:00:00Z").await;
    let days: Vec<String> = left(&house).into_iter().map(|(day, _)| day).collect();
    assert_eq!(days, ["22", "23", "24"], "the template holds the first, the instance the second");
    house.call(Ec2Request::TerminateInstances { ids: vec!["i-0000000000000beef".to_owned()] });
    house.live_until("2026-11-25T03:45:00Z").await;
    let days: Vec<String> = left(&house).into_iter().map(|(day, _)| day).collect();
    assert_eq!(days, ["22", "25"]);
}

#[tokio::test]
async fn what_may_not_be_asked_counts_as_in_use() {
    let mut house = house("last=1");
    house.world.deny(&ACCOUNT.parse().unwrap(), Action::DescribeImageReferences);
    house.live_until("2026-11-25T01:00:00Z").await;
    assert!(house.world.deletions().is_empty());
    let preview = preview(&mut house).await;
    let held: Vec<_> = preview.iter().filter(|(_, why)| why.starts_with("in-use-unknown")).collect();
    assert_eq!(held.len(), 2, "{preview:?}");
}

/// Each image with what holds it, or its verdict.
pub(crate) async fn preview(house: &mut House) -> Vec<(ImageId, String)> {
    let ledger = house.reader().await;
    let clouds = BTreeMap::from([(account(), Arc::new(house.cloud()))]);
    let scope = PruneScope { accounts: [account()].into(), ..PruneScope::default() };
    let random = Arc::new(SeededRandom::new(2));
    let policy_set = Arc::new(house.policy_set.clone());
    let preview = preview_prune(ledger, policy_set, clouds, house.clock(), random, &scope).await.unwrap();
    let why = |image: &amikeep_domain::prune::PrunedImage| {
        let guards: Vec<_> = image.verdict.held_by().iter().map(ToString::to_string).collect();
        if guards.is_empty() { image.verdict.as_str().to_owned() } else { guards.join(", ") }
    };
    preview.plan.images.iter().map(|image| (image.known.image.clone(), why(image))).collect()
}

#[tokio::test]
async fn a_preview_says_what_the_next_prune_does_and_changes_nothing() {
    let mut house = house("last=-1");
    house.live_until("2026-11-25T01:00:00Z").await;
    set_keep(&mut house, "last=1");
    let verdicts: Vec<String> = preview(&mut house).await.into_iter().map(|(_, why)| why).collect();
    assert_eq!(verdicts, ["keep", "delete", "delete"]);
    assert!(house.world.deletions().is_empty());
    house.live_until("2026-11-25T01:45:00Z").await;
    assert_eq!(left(&house).len(), 1);
    assert_eq!(preview(&mut house).await.len(), 1);
}

fn there(world: &World) -> Vec<ImageId> {
    world.images().into_iter().filter(|it| it.deregistered_at.is_none()).map(|it| it.id).collect()
}

#[tokio::test]
async fn images_that_are_pinned_while_others_go_slowly_stay() {
    let mut house = house("last=-1");
    house.live_until("2026-11-26T03:00:00Z").await;
    set_keep(&mut house, "last=1");
    // The first call takes a minute, in which somebody pins what is left.
    let pins = |world: &World| {
        let pin = NewTag { key: "amikeep:pin".to_owned(), value: String::new() };
        let resources = there(world).iter().map(ToString::to_string).collect();
        let request = Ec2Request::CreateTags { resources, tags: vec![pin] };
        let caller = default_identity(&ACCOUNT.parse().unwrap());
        world.call(&Invocation { caller, region: REGION.parse().unwrap(), request, dry_run: false });
        world.clock().advance(SignedDuration::from_mins(1));
    };
    assert_eq!(there(&house.world).len(), 5);
    let cloud = Twisted { while_retiring: Some(Box::new(pins)), ..Twisted::new(house.cloud()) };
    let mut engine = house.engine_over(cloud).await;
    house.run_until(&mut engine, "2026-11-26T04:00:00Z").await;
    drop(engine);
    assert_eq!(there(&house.world).len(), 4, "the first one was on its way");
    let withdrawn = house.images().await.into_iter().filter(|row| row.state == ImageRowState::Available);
    assert_eq!(withdrawn.count(), 4);
}

#[tokio::test]
async fn a_pinned_image_stays_until_it_is_unpinned() {
    let mut house = house("last=1");
    let mut engine = house.engine().await;
    house.run_until(&mut engine, "2026-11-22T02:20:00Z").await;
    let first = house.world.images()[0].id.clone();
    let pin = house.ask(1, RequestKind::Pin { image: first.clone(), account: None }).await;
    house.run_until(&mut engine, "2026-11-25T01:00:00Z").await;
    drop(engine);
    assert!(house.status(pin).await.done);
    assert!(row(&mut house, &first).await.pinned);
    let days: Vec<String> = left(&house).into_iter().map(|(day, _)| day).collect();
    assert_eq!(days, ["22", "24"]);
    let mut engine = house.engine().await;
    house.ask(2, RequestKind::Unpin { image: first.clone(), account: None }).await;
    house.run_until(&mut engine, "2026-11-25T01:50:00Z").await;
    let days: Vec<String> = left(&house).into_iter().map(|(day, _)| day).collect();
    assert_eq!(days, ["24"]);
}

#[tokio::test]
async fn an_image_that_is_pinned_after_the_decision_stays() {
    let mut house = house("last=1");
    house.live_until("2026-11-23T02:15:00Z").await;
    house.world.plan_fault(Fault::on(Action::DeregisterImage, FaultOutcome::Throttle));
    let mut engine = house.engine().await;
    house.run_until(&mut engine, "2026-11-23T02:30:00Z").await;
    let first = house.world.images()[0].id.clone();
    assert_eq!(row(&mut house, &first).await.state, ImageRowState::Deleting, "it is decided and not done");
    let tag = NewTag { key: "amikeep:pin".to_owned(), value: "by hand".to_owned() };
    house.call(Ec2Request::CreateTags { resources: vec![first.to_string()], tags: vec![tag] });
    house.run_until(&mut engine, "2026-11-23T06:00:00Z").await;
    drop(engine);
    assert!(house.world.deletions().is_empty());
    let row = row(&mut house, &first).await;
    assert_eq!((row.state, row.pinned), (ImageRowState::Available, true));
    assert!(words(&mut house, &row).await.contains(&"deletion-withdrawn".to_owned()));
}

#[tokio::test]
async fn an_image_protected_from_deregistration_stays_and_is_asked_for_at_each_prune() {
    let mut house = house("last=1");
    house.live_until("2026-11-23T02:15:00Z").await;
    let first = house.world.images()[0].id.clone();
    let refusal = ApiError { status: 400, code: "OperationNotPermitted".into(), message: "protected".to_owned() };
    house
        .world
        .plan_fault(Fault::on(Action::DeregisterImage, FaultOutcome::Error(refusal)).times(2).touching(first.as_str()));
    house.live_until("2026-11-23T03:40:00Z").await;
    assert!(house.world.deletions().is_empty());
    house.live_until("2026-11-23T04:40:00Z").await;
    assert_eq!((left(&house).len(), orphans(&house)), (1, 0));
}

#[tokio::test]
async fn snapshots_that_ec2_could_not_delete_with_the_image_are_deleted_alone() {
    let mut house = house("last=1");
    house.live_until("2026-11-23T02:15:00Z").await;
    let first = house.world.images()[0].clone();
    house.world.fail_snapshot_deletion(&first.snapshots[1].id, SnapshotDeletion::InternalError);
    house.live_until("2026-11-23T04:40:00Z").await;
    assert_eq!((left(&house).len(), orphans(&house)), (1, 0));
}

#[tokio::test]
async fn an_image_that_appears_after_its_job_gave_up_goes_once_a_newer_one_succeeded() {
    let mut house = house("last=-1");
    house.policy_set.policies.values_mut().for_each(|policy| policy.start_within = SignedDuration::from_mins(1));
    house.world.set_newcomer_lag(
        SignedDuration::from_mins(40),
        SignedDuration::from_mins(40),
        SignedDuration::from_mins(40),
    );
    house.world.plan_fault(Fault::on(Action::CreateImage, FaultOutcome::LostReplyAfterEffect));
    house.live_until("2026-11-22T04:00:00Z").await;
    house.world.set_newcomer_lag(SignedDuration::ZERO, SignedDuration::ZERO, SignedDuration::ZERO);
    assert_eq!(house.lines().await, ["1 failed: start_within_passed"]);
    assert_eq!(left(&house).len(), 1, "nothing newer has succeeded");
    house.live_until("2026-11-23T04:00:00Z").await;
    assert_eq!(left(&house), [("23".to_owned(), 2)]);
    assert_eq!(orphans(&house), 0);
}

#[tokio::test]
async fn copied_tags_prove_nothing_without_the_ledger() {
    let mut house = house("last=1");
    let tags = [("amikeep:owner", "test"), ("amikeep:job", "0193509f-6e00-7c3a-9b1e-5d2f8a4c6e10")];
    house.take_image(1, "somebody-elses", &tags);
    house.live_until("2026-12-10T01:00:00Z").await;
    assert!(house.world.images().iter().any(|it| it.name == "somebody-elses" && it.deregistered_at.is_none()));
}
