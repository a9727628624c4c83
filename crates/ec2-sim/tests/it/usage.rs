//! amikeep's port: removing, and asking what is in use.

use std::collections::BTreeMap;

use amikeep_cloud::{
    Action as PortAction, Cloud, CloudErrorKind, ImageQuery, ImageRequest, ProbeOutcome, RemovedSnapshot, ResourceId,
    SnapshotQuery, SnapshotRemoval,
};
use amikeep_domain::id::{ImageId, SnapshotId};
use amikeep_domain::retention::Usage;
use amikeep_ec2_sim::{
    Action, Fault, FaultOutcome, FirstPage, InstanceSpec, LaunchTemplateSpec, Paging, Reboot, Request, SimCloud,
    SnapshotDeletion, World,
};
use jiff::Timestamp;

use crate::support::{ACCOUNT, DB, WEB, builder, call, images, place, register, secs, snapshots};

fn cloud() -> (World, SimCloud) {
    let world = builder().build().unwrap();
    (world.clone(), SimCloud::new(world, place()))
}

/// An available image of amikeep's.
async fn owned(world: &World, cloud: &SimCloud, instance: &str, name: &str) -> ImageId {
    let request = ImageRequest {
        name: name.parse().unwrap(),
        instance: instance.parse().unwrap(),
        reboot: Reboot::No,
        tags: BTreeMap::from([("amikeep:owner".to_owned(), "prod".to_owned())]),
        description: "nightly".to_owned(),
    };
    let id = cloud.request_image(request).await.unwrap();
    world.clock().advance(secs(600));
    id
}

fn snapshot_of(world: &World, image: &ImageId) -> SnapshotId {
    let image = world.images().into_iter().find(|it| it.id == *image).unwrap();
    image.snapshots[0].id.clone()
}

fn in_use(by: &[&str]) -> Usage {
    Usage::InUse { by: by.iter().map(ToString::to_string).collect() }
}

#[tokio::test]
async fn usage_is_the_same_with_and_without_describe_image_references() {
    let (world, cloud) = cloud();
    let mut all = Vec::new();
    for n in 0..12 {
        all.push(owned(&world, &cloud, DB, &format!("image-{n}")).await);
    }
    let instance = |id: &str, image: &ImageId| InstanceSpec::new(id).image(image.to_string());
    world.launch(&place(), instance("i-00000000000000001", &all[0])).unwrap();
    world.launch(&place(), instance("i-00000000000000002", &all[1])).unwrap();
    // The image is named by the oldest of twelve versions only.
    let template = LaunchTemplateSpec::new("web").id("lt-00000000000000001").version(all[11].to_string());
    let template = (0..11).fold(template, |spec, _| spec.version_without_image());
    world.add_launch_template(&place(), template).unwrap();
    call(&world, Request::TerminateInstances { ids: vec!["i-00000000000000002".into()] }).unwrap();
    world.clock().advance(secs(60));

    let told = cloud.observe_usage(all.clone()).await.unwrap();
    assert_eq!(world.count(Action::DescribeImageReferences), 2, "ten images a call");
    assert_eq!(told[&all[0]], in_use(&["i-00000000000000001"]));
    assert_eq!(told[&all[11]], in_use(&["lt-00000000000000001"]));
    assert_eq!(told.values().filter(|usage| **usage == Usage::Unused).count(), 10);
    world.forget_action(Action::DescribeImageReferences);
    assert_eq!(cloud.observe_usage(all.clone()).await.unwrap(), told);
    world.deny(&ACCOUNT.parse().unwrap(), Action::DescribeLaunchTemplates);
    let unknown = cloud.observe_usage(all.clone()).await.unwrap();
    assert!(unknown.len() == 12 && unknown.values().all(|usage| matches!(usage, Usage::Unknown { .. })));
}

#[tokio::test]
async fn a_template_that_names_its_image_by_a_parameter_leaves_doubt_where_references_are_not_known() {
    let (world, cloud) = cloud();
    let (used, free) = (owned(&world, &cloud, DB, "one").await, owned(&world, &cloud, DB, "two").await);
    world.launch(&place(), InstanceSpec::new("i-00000000000000001").image(used.to_string())).unwrap();
    let template = LaunchTemplateSpec::new("web").id("lt-00000000000000001").version("resolve:ssm:/golden");
    world.add_launch_template(&place(), template).unwrap();
    let asked = || vec![used.clone(), free.clone()];
    assert_eq!(cloud.observe_usage(asked()).await.unwrap()[&free], Usage::Unused, "EC2 tells nothing of it");
    world.forget_action(Action::DescribeImageReferences);
    let told = cloud.observe_usage(asked()).await.unwrap();
    assert_eq!(told[&used], in_use(&["i-00000000000000001"]));
    let why = "version 1 of launch template lt-00000000000000001 names its image as `resolve:ssm:/golden`";
    assert_eq!(told[&free], Usage::Unknown { why: why.to_owned() });
}

#[tokio::test]
async fn usage_that_may_not_be_asked_is_unknown_and_a_failure_is_an_error() {
    let (world, cloud) = cloud();
    let id = owned(&world, &cloud, DB, "one").await;
    world.deny(&ACCOUNT.parse().unwrap(), Action::DescribeImageReferences);
    let usage = cloud.observe_usage(vec![id.clone()]).await.unwrap();
    let Usage::Unknown { why } = &usage[&id] else { panic!("{usage:?}") };
    assert!(why.starts_with("DescribeImageReferences is not allowed: "), "{why}");
    world.allow(&ACCOUNT.parse().unwrap(), Action::DescribeImageReferences);
    world.plan_fault(Fault::on(Action::DescribeImageReferences, FaultOutcome::service_unavailable()));
    let error = cloud.observe_usage(vec![id]).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unavailable);
    assert!(cloud.observe_usage(vec![]).await.unwrap().is_empty());
}

#[tokio::test]
async fn retiring_tells_what_became_of_each_snapshot() {
    let (world, cloud) = cloud();
    let shared = owned(&world, &cloud, WEB, "shared").await;
    call(&world, register("second", &snapshot_of(&world, &shared))).unwrap();
    let locked = owned(&world, &cloud, WEB, "locked").await;
    world.lock_snapshot(&snapshot_of(&world, &locked));
    let broken = owned(&world, &cloud, WEB, "broken").await;
    world.fail_snapshot_deletion(&snapshot_of(&world, &broken), SnapshotDeletion::InternalError);
    let plain = owned(&world, &cloud, WEB, "plain").await;
    let failed = |code: &str| SnapshotRemoval::Failed { code: code.to_owned() };
    for (image, removal) in [
        (&shared, SnapshotRemoval::Shared),
        (&locked, failed("client-error")),
        (&broken, failed("internal-error")),
        (&plain, SnapshotRemoval::Deleted),
    ] {
        let snapshot = snapshot_of(&world, image);
        let removed = cloud.retire_image(image.clone()).await.unwrap();
        assert_eq!(removed, [RemovedSnapshot { snapshot, removal }]);
        assert_eq!(cloud.retire_image(image.clone()).await.unwrap_err().kind, CloudErrorKind::NotFound);
    }
    let denied = owned(&world, &cloud, WEB, "denied").await;
    world.deny(&ACCOUNT.parse().unwrap(), Action::DeleteSnapshot);
    assert_eq!(cloud.retire_image(denied.clone()).await.unwrap()[0].removal, SnapshotRemoval::Denied);
    let error = cloud.delete_snapshot(snapshot_of(&world, &denied)).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Denied);
}

#[tokio::test]
async fn snapshots_go_one_by_one_and_tags_by_their_keys() {
    let (world, cloud) = cloud();
    let id = owned(&world, &cloud, WEB, "one").await;
    let by_owner = || SnapshotQuery::Owner("prod".parse().unwrap());
    let seen = cloud.observe_snapshots(by_owner()).await.unwrap();
    assert_eq!(seen[0].description, format!("Created by CreateImage({WEB}) for {id}"));
    assert!(cloud.observe_snapshots(SnapshotQuery::Owner("other".parse().unwrap())).await.unwrap().is_empty());
    let snapshot = seen[0].id.clone();
    assert_eq!(cloud.delete_snapshot(snapshot.clone()).await.unwrap_err().kind, CloudErrorKind::InUse);

    cloud.remove_tags(vec![ResourceId::Image(id.clone())], vec![]).await.unwrap();
    assert_eq!(images(&world)[0].tags.len(), 1, "no key is not every key");
    let resources = vec![ResourceId::Image(id.clone()), ResourceId::Snapshot(snapshot.clone())];
    cloud.remove_tags(resources, vec!["amikeep:owner".into(), "not-there".into()]).await.unwrap();
    assert!(images(&world)[0].tags.is_empty() && snapshots(&world)[0].tags.is_empty());

    world.plan_fault(Fault::on(Action::DeregisterImage, FaultOutcome::CutInBody));
    assert_eq!(cloud.retire_image(id).await.unwrap_err().kind, CloudErrorKind::OutcomeUnknown);
    assert_eq!(cloud.delete_snapshot(snapshot).await.unwrap_err().kind, CloudErrorKind::NotFound);
    assert_eq!(world.deletions().len(), 2);
}

#[tokio::test]
async fn what_an_owner_has_is_listed_over_many_pages_or_not_at_all() {
    let paging = Paging { items_max: 2, first_page: FirstPage::Empty };
    let world = builder().paging(paging).build().unwrap();
    let cloud = SimCloud::new(world.clone(), place());
    for n in 0..5 {
        owned(&world, &cloud, DB, &format!("image-{n}")).await;
    }
    let owner = || "prod".parse().unwrap();
    assert_eq!(cloud.observe_images(ImageQuery::Owner(owner())).await.unwrap().len(), 5);
    assert_eq!(cloud.observe_snapshots(SnapshotQuery::Owner(owner())).await.unwrap().len(), 10);
    world.plan_fault(Fault::on(Action::DescribeSnapshots, FaultOutcome::CutInBody).page(4));
    world.plan_fault(Fault::on(Action::DescribeImages, FaultOutcome::service_unavailable()).page(4));
    let error = cloud.observe_snapshots(SnapshotQuery::Owner(owner())).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unavailable);
    assert!(cloud.observe_images(ImageQuery::Owner(owner())).await.is_err());
    assert_eq!(cloud.observe_images(ImageQuery::Owner(owner())).await.unwrap().len(), 5);
}

#[tokio::test]
async fn answers_tell_the_worlds_time_in_whole_seconds_and_lost_ones_tell_nothing() {
    let (world, cloud) = cloud();
    assert_eq!(cloud.answered_at(), None);
    world.plan_fault(Fault::on(Action::GetCallerIdentity, FaultOutcome::Hang));
    assert!(cloud.observe_identity().await.is_err());
    assert_eq!(cloud.answered_at(), None);
    let start = world.clock().now();
    world.clock().set(Timestamp::from_millisecond(start.as_millisecond() + 1999).unwrap());
    cloud.observe_identity().await.unwrap();
    assert_eq!(cloud.clone().answered_at(), Some(start + secs(1)));
    world.clock().advance(secs(60));
    assert!(cloud.retire_image("ami-00000000000000001".parse().unwrap()).await.is_err());
    assert_eq!(cloud.answered_at(), Some(start + secs(61)), "a refusal is an answer too");
}

#[tokio::test]
async fn every_removal_can_be_probed_and_nothing_is_removed_by_it() {
    let (world, cloud) = cloud();
    let removals = [PortAction::DeleteTags, PortAction::DeregisterImage, PortAction::DeleteSnapshot];
    for action in removals {
        assert!(matches!(cloud.probe(action, None).await.unwrap(), ProbeOutcome::NotChecked(_)), "{action}");
    }
    owned(&world, &cloud, WEB, "one").await;
    let unasked = ["AssumeRole", "SendCommand", "GetCommandInvocation", "CancelCommand"];
    for action in PortAction::ALL.into_iter().filter(|action| !unasked.contains(&action.as_str())) {
        let outcome = cloud.probe(action, Some(DB.parse().unwrap())).await.unwrap();
        assert_eq!(outcome, ProbeOutcome::Allowed, "{action}");
    }
    let (image, snapshot) = (images(&world)[0].clone(), snapshots(&world)[0].clone());
    assert!(image.tags.contains_key("amikeep:owner") && snapshot.tags.contains_key("amikeep:owner"));
    assert!(world.deletions().is_empty());
    world.deny(&ACCOUNT.parse().unwrap(), Action::DeleteSnapshot);
    assert!(matches!(cloud.probe(PortAction::DeleteSnapshot, None).await.unwrap(), ProbeOutcome::Denied(_)));
}
