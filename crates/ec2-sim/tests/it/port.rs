//! amikeep's port on the world.

use std::collections::BTreeMap;

use amikeep_cloud::{
    Action as PortAction, Cloud, CloudErrorKind, ImageQuery, ImageRequest, ImageState, InstanceQuery, ProbeOutcome,
    ResourceId, SnapshotQuery,
};
use amikeep_domain::instance::Hibernation;
use amikeep_ec2_sim::{
    Action, Fault, FaultOutcome, FirstPage, InstanceSpec, Paging, Reboot, SimCloud, World, WorldBuilder,
};

use crate::support::{DB, builder, place, secs};

fn cloud(world: WorldBuilder) -> (World, SimCloud) {
    let world = world.build().unwrap();
    (world.clone(), SimCloud::new(world, place()))
}

fn request(name: &str) -> ImageRequest {
    ImageRequest {
        name: name.parse().unwrap(),
        instance: DB.parse().unwrap(),
        reboot: Reboot::No,
        tags: BTreeMap::from([("amikeep:owner".to_owned(), "prod".to_owned())]),
        description: "nightly".to_owned(),
    }
}

#[tokio::test]
async fn the_port_sees_what_the_wire_would_tell() {
    let sleepy = "i-00000000000000001";
    let more = builder()
        .instance(InstanceSpec::new(sleepy).instance_type("m5d.large").hibernated())
        .paging(Paging { items_max: 1, first_page: FirstPage::Empty });
    let (world, cloud) = cloud(more);
    assert_eq!(cloud.observe_identity().await.unwrap().account, place().account);
    let all = cloud.observe_instances(InstanceQuery::All).await.unwrap();
    let disks: Vec<_> = all.iter().map(|instance| instance.instance_store_disks).collect();
    assert_eq!(disks, [Some(1), Some(0), Some(0)]);
    assert_eq!(all[0].hibernation, Hibernation::Hibernated);
    assert_eq!(all[1].volumes.len(), 2);
    let ids = vec![DB.parse().unwrap(), "i-00000000000000009".parse().unwrap()];
    assert_eq!(cloud.observe_instances(InstanceQuery::Ids(ids)).await.unwrap().len(), 1);
    assert!(cloud.observe_instances(InstanceQuery::Ids(vec![])).await.unwrap().is_empty());

    let id = cloud.request_image(request("one")).await.unwrap();
    let by_name = || ImageQuery::Names(vec!["one".parse().unwrap(), "two".parse().unwrap()]);
    let seen = cloud.observe_images(by_name()).await.unwrap();
    assert_eq!((seen[0].id.clone(), seen[0].state.clone()), (id.clone(), ImageState::Pending));
    assert!(seen[0].devices.iter().all(|device| device.snapshot.is_none()));
    world.clock().advance(secs(600));
    let tags = BTreeMap::from([("amikeep:grade".to_owned(), "crash".to_owned())]);
    cloud.request_tags(vec![ResourceId::Image(id)], tags).await.unwrap();
    let seen = cloud.observe_images(ImageQuery::Owner("prod".parse().unwrap())).await.unwrap();
    assert_eq!((seen[0].state.clone(), seen[0].tags["amikeep:grade"].as_str()), (ImageState::Available, "crash"));
    let snapshots = seen[0].devices.iter().filter_map(|device| device.snapshot.clone()).collect();
    assert_eq!(cloud.observe_snapshots(SnapshotQuery::Ids(snapshots)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn errors_have_the_class_of_their_code() {
    let (world, cloud) = cloud(builder());
    cloud.request_image(request("one")).await.unwrap();
    assert_eq!(cloud.request_image(request("one")).await.unwrap_err().kind, CloudErrorKind::NameInUse);
    for (outcome, write, read) in [
        (FaultOutcome::Throttle, CloudErrorKind::Throttled, CloudErrorKind::Throttled),
        (FaultOutcome::LostReplyAfterEffect, CloudErrorKind::OutcomeUnknown, CloudErrorKind::Unavailable),
        (FaultOutcome::Hang, CloudErrorKind::OutcomeUnknown, CloudErrorKind::Unavailable),
        (FaultOutcome::Garbage, CloudErrorKind::OutcomeUnknown, CloudErrorKind::Unavailable),
    ] {
        world.plan_fault(Fault::on(Action::CreateImage, outcome.clone()));
        world.plan_fault(Fault::on(Action::DescribeInstances, outcome));
        let error = cloud.request_image(request("two")).await;
        assert_eq!(error.map_err(|error| error.kind), Err(write));
        let error = cloud.observe_instances(InstanceQuery::All).await.map(|_| ());
        assert_eq!(error.map_err(|error| error.kind), Err(read));
        world.clear_faults();
    }
}

#[tokio::test]
async fn a_listing_that_fails_on_its_second_page_is_an_error_and_not_half_an_answer() {
    let (world, cloud) = cloud(builder().paging(Paging { items_max: 1, first_page: FirstPage::Full }));
    world.plan_fault(Fault::on(Action::DescribeInstances, FaultOutcome::Throttle).nth(2));
    assert!(cloud.observe_instances(InstanceQuery::All).await.is_err());
}

#[tokio::test]
async fn a_probe_tells_what_is_allowed_and_does_nothing() {
    let (world, cloud) = cloud(builder());
    let db = || Some(DB.parse().unwrap());
    assert_eq!(cloud.probe(PortAction::CreateImage, db()).await.unwrap(), ProbeOutcome::Allowed);
    assert_eq!(cloud.probe(PortAction::DescribeImages, None).await.unwrap(), ProbeOutcome::Allowed);
    assert!(matches!(cloud.probe(PortAction::CreateTags, db()).await.unwrap(), ProbeOutcome::NotChecked(_)));
    world.deny(&place().account, Action::CreateImage);
    assert!(matches!(cloud.probe(PortAction::CreateImage, db()).await.unwrap(), ProbeOutcome::Denied(_)));
    assert!(world.images().is_empty());
}

#[tokio::test]
async fn disks_stay_unknown_where_types_may_not_be_described() {
    let (world, cloud) = cloud(builder());
    world.deny(&place().account, Action::DescribeInstanceTypes);
    let all = cloud.observe_instances(InstanceQuery::All).await.unwrap();
    assert!(all.iter().all(|instance| instance.instance_store_disks.is_none()) && all.len() == 2);
}
