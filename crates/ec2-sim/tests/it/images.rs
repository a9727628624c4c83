//! Images from `CreateImage` to the last snapshot.

use amikeep_ec2_sim::{
    Action, DeviceChange, ImageFailure, ImageState, InstanceSpec, InstanceState, MappedDevice, MappingChange, NewTag,
    Reboot, RebootCause, Reply, Request, SnapshotDeletion, SnapshotState,
};

use crate::support::{
    DB, WEB, builder, call, code, create_image, delete_snapshot, deliver, deregister, image, images, secs, snapshots,
};

#[test]
fn an_image_is_pending_until_its_time_and_its_snapshots_begin_after_the_call() {
    let world = builder().build().unwrap();
    let id = image(&world, DB, "one", Reboot::No);
    assert!(snapshots(&world).is_empty(), "no snapshot exists when CreateImage returns");
    let unmapped = |device: &MappedDevice| matches!(device, MappedDevice::Ebs { snapshot_id: None, .. });
    assert!(images(&world)[0].mappings.iter().all(|mapping| unmapped(&mapping.mapped)));

    world.clock().advance(secs(2));
    let begun = snapshots(&world);
    assert_eq!(begun.len(), 2);
    let description = format!("Created by CreateImage({DB}) for {id}");
    assert!(begun.iter().all(|snapshot| snapshot.facts.description == description));
    assert!(begun.iter().all(|snapshot| snapshot.state == SnapshotState::Pending && snapshot.tags["job"] == "one"));

    world.clock().advance(secs(597));
    assert_eq!(images(&world)[0].state, ImageState::Pending);
    world.clock().advance(secs(1));
    assert_eq!(images(&world)[0].state, ImageState::Available);
    assert!(snapshots(&world).iter().all(|snapshot| snapshot.state == SnapshotState::Completed));
    assert!(world.reboots(&DB.parse().unwrap()).is_empty());
}

#[test]
fn without_no_reboot_the_instance_is_restarted_and_stays_running() {
    let world = builder().build().unwrap();
    let id = image(&world, DB, "one", Reboot::Yes);
    let reboots = world.reboots(&DB.parse().unwrap());
    assert_eq!(reboots.len(), 1);
    assert_eq!(reboots[0].cause, RebootCause::CreateImage(id));
    world.clock().advance(secs(16));
    assert!(snapshots(&world).is_empty(), "the shutdown comes first");
    world.clock().advance(secs(1));
    assert_eq!(snapshots(&world).len(), 2);
    assert_eq!(world.images()[0].snapshots[0].instance_state, Some(InstanceState::Running));
}

#[test]
fn a_stopped_instance_is_imaged_without_a_restart() {
    let stopped = "i-00000000000000001";
    let world = builder().instance(InstanceSpec::new(stopped).state(InstanceState::Stopped)).build().unwrap();
    image(&world, stopped, "one", Reboot::Yes);
    assert!(world.reboots(&stopped.parse().unwrap()).is_empty());
    assert_eq!(world.images()[0].snapshots[0].instance_state, Some(InstanceState::Stopped));
}

#[test]
fn a_name_is_unique_until_its_image_is_deregistered_even_if_that_failed() {
    let world = builder().build().unwrap();
    world.fail_next_image(&DB.parse().unwrap(), ImageFailure::internal(secs(30)));
    let id = image(&world, DB, "one", Reboot::No);
    world.clock().advance(secs(60));
    assert_eq!(images(&world)[0].state, ImageState::Failed);
    let error = call(&world, Request::CreateImage(create_image(WEB, "one", Reboot::No))).unwrap_err();
    assert_eq!(error.code, "InvalidAMIName.Duplicate");
    assert_eq!(error.message, format!("AMI name one is already in use by AMI {id}"));
    call(&world, deregister(&id, false)).unwrap();
    image(&world, WEB, "one", Reboot::No);
}

#[test]
fn a_duplicate_name_restarts_nothing() {
    let world = builder().build().unwrap();
    image(&world, DB, "one", Reboot::No);
    assert_eq!(code(&world, Request::CreateImage(create_image(DB, "one", Reboot::Yes))), "InvalidAMIName.Duplicate");
    assert!(world.reboots(&DB.parse().unwrap()).is_empty());
}

#[test]
fn a_reboot_or_termination_fails_what_is_pending_of_that_instance_alone() {
    let world = builder().build().unwrap();
    let struck = image(&world, DB, "one", Reboot::No);
    image(&world, WEB, "two", Reboot::No);
    call(&world, Request::RebootInstances { ids: vec![DB.into()] }).unwrap();
    let (failed, rest): (Vec<_>, Vec<_>) = images(&world).into_iter().partition(|image| image.facts.id == struck);
    assert_eq!((failed[0].state, rest[0].state), (ImageState::Failed, ImageState::Pending));
    assert_eq!(failed[0].state_reason.as_ref().unwrap().code, "Client.InstanceTerminated");
    // The restart came before the snapshots were begun, so they never are.
    world.clock().advance(secs(900));
    assert_eq!(snapshots(&world).len(), 1);

    image(&world, DB, "three", Reboot::Yes);
    world.clock().advance(secs(30));
    call(&world, Request::TerminateInstances { ids: vec![DB.into()] }).unwrap();
    let states: Vec<_> = world.images().iter().map(|image| image.state).collect();
    assert_eq!(states.iter().filter(|state| **state == ImageState::Failed).count(), 2);
    assert_eq!(snapshots(&world).len(), 3, "snapshots that were begun stay");
}

#[test]
fn names_descriptions_tags_and_devices_are_checked_before_anything_is_done() {
    let world = builder().build().unwrap();
    let with = |change: &dyn Fn(&mut amikeep_ec2_sim::CreateImage)| {
        let mut request = create_image(DB, "good name", Reboot::Yes);
        change(&mut request);
        code(&world, Request::CreateImage(request))
    };
    assert_eq!(with(&|r| r.name = "ab".into()), "InvalidAMIName.Malformed");
    assert_eq!(with(&|r| r.name = "x".repeat(129)), "InvalidAMIName.Malformed");
    assert_eq!(with(&|r| r.name = "name:1".into()), "InvalidAMIName.Malformed");
    assert_eq!(with(&|r| r.description = Some("x".repeat(256))), "InvalidParameterValue");
    assert_eq!(with(&|r| r.tag_specifications[0].resource_type = "instance".into()), "InvalidParameterValue");
    assert_eq!(with(&|r| r.tag_specifications[0].tags[0].key = "aws:x".into()), "InvalidParameterValue");
    assert_eq!(with(&|r| r.instance_id = "db".into()), "InvalidInstanceID.Malformed");
    assert_eq!(with(&|r| r.instance_id = "i-00000000000000009".into()), "InvalidInstanceID.NotFound");
    let drop = |device: &str| MappingChange { device: device.into(), change: DeviceChange::Drop };
    assert_eq!(with(&|r| r.mappings = vec![drop("/dev/xvda")]), "InvalidBlockDeviceMapping");
    let fifty_one = |n| NewTag { key: format!("k{n}"), value: String::new() };
    assert_eq!(with(&|r| r.tag_specifications[0].tags = (0..51).map(fifty_one).collect()), "TagLimitExceeded");
    assert!(world.images().is_empty() && world.reboots(&DB.parse().unwrap()).is_empty());

    let mut request = create_image(DB, "good name", Reboot::No);
    request.mappings = vec![drop("/dev/sdf")];
    call(&world, Request::CreateImage(request)).unwrap();
    assert_eq!(images(&world)[0].mappings.len(), 1);
}

#[test]
fn instances_that_cannot_be_imaged_are_refused() {
    let world = builder()
        .instance(InstanceSpec::new("i-00000000000000001").instance_store_root("/dev/sda1"))
        .instance(InstanceSpec::new("i-00000000000000002").state(InstanceState::Pending))
        .build()
        .unwrap();
    let refused = |id: &str| code(&world, Request::CreateImage(create_image(id, "one", Reboot::No)));
    assert_eq!(refused("i-00000000000000001"), "UnsupportedOperation");
    assert_eq!(refused("i-00000000000000002"), "InvalidParameterValue");
}

#[test]
fn the_sixth_pending_snapshot_of_a_volume_is_refused() {
    let world = builder().build().unwrap();
    for n in 0..5 {
        image(&world, DB, &format!("image-{n}"), Reboot::No);
    }
    let sixth = Request::CreateImage(create_image(DB, "image-5", Reboot::No));
    assert_eq!(code(&world, sixth.clone()), "ConcurrentSnapshotLimitExceeded");
    world.clock().advance(secs(600));
    assert!(call(&world, sixth).is_ok());
}

#[test]
fn a_volume_on_a_disk_that_turns_has_one_pending_snapshot() {
    let spec = InstanceSpec::new("i-00000000000000001").volume("/dev/xvda", 8).volume_of("/dev/sdf", 500, "st1".into());
    let world = builder().instance(spec).build().unwrap();
    image(&world, "i-00000000000000001", "image-0", Reboot::No);
    let second = Request::CreateImage(create_image("i-00000000000000001", "image-1", Reboot::No));
    assert_eq!(code(&world, second.clone()), "ConcurrentSnapshotLimitExceeded");
    world.clock().advance(secs(600));
    assert!(call(&world, second).is_ok());
}

#[test]
fn deregistering_keeps_the_snapshots_unless_it_is_told_to_delete_them() {
    let world = builder().build().unwrap();
    let id = image(&world, WEB, "one", Reboot::No);
    world.clock().advance(secs(600));
    let snapshot = snapshots(&world)[0].facts.id.clone();
    let error = call(&world, delete_snapshot(&snapshot)).unwrap_err();
    assert_eq!(error.message, format!("The snapshot {snapshot} is currently in use by {id}"));
    assert_eq!(error.code, "InvalidSnapshot.InUse");

    assert_eq!(call(&world, deregister(&id, false)).unwrap(), Reply::ImageDeregistered(vec![]));
    assert_eq!(snapshots(&world).len(), 1);
    call(&world, delete_snapshot(&snapshot)).unwrap();
    assert_eq!(code(&world, delete_snapshot(&snapshot)), "InvalidSnapshot.NotFound");
    assert_eq!(code(&world, deregister(&id, false)), "InvalidAMIID.Unavailable");
    world.clock().advance(secs(3600));
    assert_eq!(code(&world, deregister(&id, false)), "InvalidAMIID.NotFound");
}

#[test]
fn snapshots_that_may_not_be_deleted_are_reported_and_the_image_is_gone_all_the_same() {
    let world = builder().build().unwrap();
    let id = image(&world, DB, "one", Reboot::No);
    world.clock().advance(secs(600));
    world.deny(&"111122223333".parse().unwrap(), Action::DeleteSnapshot);
    let Reply::ImageDeregistered(deletions) = call(&world, deregister(&id, true)).unwrap() else { panic!() };
    assert!(deletions.iter().all(|(_, deletion)| *deletion == SnapshotDeletion::MissingPermissions));
    assert_eq!((deletions.len(), images(&world).len(), snapshots(&world).len()), (2, 0, 2));
}

#[test]
fn tag_on_create_needs_the_permission_to_tag() {
    let world = builder().build().unwrap();
    world.deny(&"111122223333".parse().unwrap(), Action::CreateTags);
    let tagged = create_image(DB, "one", Reboot::Yes);
    let error = call(&world, Request::CreateImage(tagged.clone())).unwrap_err();
    assert_eq!((error.status, error.code.as_ref()), (403, "UnauthorizedOperation"));
    let untagged = amikeep_ec2_sim::CreateImage { tag_specifications: vec![], ..tagged };
    call(&world, Request::CreateImage(untagged)).unwrap();
}

#[test]
fn a_dry_run_does_nothing_and_tells_permissions_first() {
    let world = builder().build().unwrap();
    let request = Request::CreateImage(create_image(DB, "one", Reboot::Yes));
    let refused = |world: &_| match deliver(world, request.clone(), true) {
        amikeep_ec2_sim::Delivery::Refusal(error) => (error.status, error.code.into_owned()),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&world), (412, "DryRunOperation".into()));
    world.deny(&"111122223333".parse().unwrap(), Action::CreateImage);
    assert_eq!(refused(&world), (403, "UnauthorizedOperation".into()));
    assert!(world.images().is_empty() && world.reboots(&DB.parse().unwrap()).is_empty());
}

#[test]
fn a_disabled_image_is_shown_only_to_who_asks_for_it() {
    let world = builder().build().unwrap();
    let id = image(&world, DB, "one", Reboot::No);
    world.clock().advance(secs(600));
    world.disable_image(&id);
    assert!(images(&world).is_empty());
    let request = amikeep_ec2_sim::DescribeImages { include_disabled: true, ..Default::default() };
    let Reply::Images(page) = call(&world, Request::DescribeImages(request)).unwrap() else { panic!() };
    assert_eq!(page.items[0].state, ImageState::Disabled);
}
