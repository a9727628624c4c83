//! How images and snapshots go, what holds them, and what is recorded of it.

use amikeep_domain::id::{ImageId, SnapshotId};
use amikeep_ec2_sim::{
    Action, Fault, FaultOutcome, ImageState, NewTag, Reboot, Reply, Request, Resource, SnapshotDeletion, World,
    default_identity,
};

use crate::support::{
    ACCOUNT, DB, WEB, builder, call, code, delete_snapshot, deliver, deregister, image, images, place, register, secs,
    snapshots,
};

/// A world with an available image of one snapshot.
fn world() -> (World, ImageId, SnapshotId) {
    let world = builder().build().unwrap();
    let id = image(&world, WEB, "one", Reboot::No);
    world.clock().advance(secs(600));
    let snapshot = snapshots(&world)[0].facts.id.clone();
    (world, id, snapshot)
}

fn deletions(world: &World, image: &ImageId) -> Vec<(SnapshotId, SnapshotDeletion)> {
    match call(world, deregister(image, true)).unwrap() {
        Reply::ImageDeregistered(deletions) => deletions,
        other => panic!("{other:?}"),
    }
}

fn protect(id: &ImageId, with_cooldown: bool) -> Request {
    Request::EnableImageDeregistrationProtection { image_id: id.to_string(), with_cooldown }
}

fn unprotect(id: &ImageId) -> Request {
    Request::DisableImageDeregistrationProtection { image_id: id.to_string() }
}

#[test]
fn a_protected_image_stays_until_its_protection_is_taken_away() {
    let (world, id, _) = world();
    call(&world, protect(&id, false)).unwrap();
    assert_eq!(code(&world, deregister(&id, true)), "OperationNotPermitted");
    assert_eq!((images(&world)[0].protection.as_str(), snapshots(&world).len()), ("enabled-without-cooldown", 1));
    call(&world, unprotect(&id)).unwrap();
    call(&world, deregister(&id, true)).unwrap();
    assert_eq!(code(&world, protect(&id, false)), "InvalidAMIID.Unavailable");
}

#[test]
fn a_cooldown_protects_for_a_day_after_the_protection_has_gone() {
    let (world, id, _) = world();
    call(&world, protect(&id, true)).unwrap();
    call(&world, unprotect(&id)).unwrap();
    world.clock().advance(secs(24 * 3600 - 1));
    call(&world, unprotect(&id)).unwrap();
    assert_eq!(code(&world, deregister(&id, true)), "OperationNotPermitted");
    world.clock().advance(secs(1));
    assert!(call(&world, deregister(&id, true)).is_ok());
}

#[test]
fn a_locked_snapshot_survives_its_image_and_every_deletion() {
    let (world, id, snapshot) = world();
    world.lock_snapshot(&snapshot);
    assert_eq!(deletions(&world, &id), [(snapshot.clone(), SnapshotDeletion::ClientError)]);
    assert_eq!(code(&world, delete_snapshot(&snapshot)), "OperationNotPermitted");
    world.unlock_snapshot(&snapshot);
    call(&world, delete_snapshot(&snapshot)).unwrap();
}

#[test]
fn a_snapshot_can_be_made_to_outlive_its_image_once() {
    let (world, id, snapshot) = world();
    world.fail_snapshot_deletion(&snapshot, SnapshotDeletion::InternalError);
    assert_eq!(deletions(&world, &id), [(snapshot.clone(), SnapshotDeletion::InternalError)]);
    assert_eq!((images(&world).len(), snapshots(&world).len()), (0, 1));
    call(&world, delete_snapshot(&snapshot)).unwrap();
}

#[test]
fn a_snapshot_that_two_images_share_goes_with_the_second() {
    let (world, id, snapshot) = world();
    let Reply::ImageCreated(second) = call(&world, register("two", &snapshot)).unwrap() else { panic!() };
    let registered = images(&world).into_iter().find(|image| image.facts.id == second).unwrap();
    assert_eq!((registered.state, registered.facts.source_instance()), (ImageState::Available, None));
    assert_eq!(deletions(&world, &id), [(snapshot.clone(), SnapshotDeletion::Skipped)]);
    assert_eq!(code(&world, delete_snapshot(&snapshot)), "InvalidSnapshot.InUse");
    assert_eq!(deletions(&world, &second), [(snapshot, SnapshotDeletion::Success)]);
    assert_eq!(world.images().len(), 1, "only images of instances are listed with their instance");
}

#[test]
fn what_cannot_be_registered_is_refused() {
    let (world, _, snapshot) = world();
    let with = |change: &dyn Fn(&mut amikeep_ec2_sim::RegisterImage)| {
        let Request::RegisterImage(mut call) = register("two", &snapshot) else { panic!() };
        change(&mut call);
        code(&world, Request::RegisterImage(call))
    };
    assert_eq!(with(&|r| r.name = "one".into()), "InvalidAMIName.Duplicate");
    assert_eq!(with(&|r| r.name = "x".into()), "InvalidAMIName.Malformed");
    assert_eq!(with(&|r| r.root_device_name = "/dev/sda1".into()), "InvalidBlockDeviceMapping");
    assert_eq!(with(&|r| r.mappings[0].snapshot_id = "snap-1".into()), "InvalidSnapshotID.Malformed");
    assert_eq!(with(&|r| r.mappings[0].snapshot_id = "snap-00000000000000009".into()), "InvalidSnapshot.NotFound");
    image(&world, DB, "three", Reboot::No);
    world.clock().advance(secs(10));
    let pending = snapshots(&world).into_iter().find(|it| it.completed_at.is_none()).unwrap().facts.id;
    assert_eq!(with(&|r| r.mappings[0].snapshot_id = pending.to_string()), "IncorrectState");
}

#[test]
fn every_removal_is_recorded_with_its_caller_and_tags_and_a_refused_one_is_not() {
    let (world, id, snapshot) = world();
    let kept = image(&world, DB, "two", Reboot::No);
    world.clock().advance(secs(600));
    world.plan_fault(Fault::on(Action::DeregisterImage, FaultOutcome::internal_error_after_effect()));
    assert_eq!(code(&world, deregister(&id, true)), "InternalError");
    assert_eq!(code(&world, delete_snapshot(&snapshot)), "InvalidSnapshot.NotFound");
    call(&world, protect(&kept, false)).unwrap();
    assert_eq!(code(&world, deregister(&kept, true)), "OperationNotPermitted");
    deliver(&world, deregister(&kept, true), true);

    let removed = world.deletions();
    let resources: Vec<_> = removed.iter().map(|it| it.resource.clone()).collect();
    assert_eq!(resources, [Resource::Image(id), Resource::Snapshot(snapshot)]);
    assert_eq!((world.deletions_from(1), world.deletions_from(3)), (removed[1..].to_vec(), vec![]));
    for deletion in removed {
        assert_eq!((deletion.action, deletion.tags["job"].as_str()), (Action::DeregisterImage, "one"));
        assert_eq!((deletion.caller, deletion.at), (default_identity(&place().account).arn, world.clock().now()));
    }
}

#[test]
fn every_resource_is_listed_with_its_tags_even_when_it_is_gone() {
    let (world, id, snapshot) = world();
    let owner = NewTag { key: "amikeep:owner".into(), value: "prod".into() };
    call(&world, Request::CreateTags { resources: vec![id.to_string()], tags: vec![owner] }).unwrap();
    call(&world, deregister(&id, false)).unwrap();
    let (owned, others): (Vec<_>, Vec<_>) =
        world.resources().into_iter().partition(|it| it.tags.contains_key("amikeep:owner"));
    assert_eq!(world.resources_tagged("amikeep:owner", &["prod".into(), "other".into()].into()), owned);
    assert_eq!(world.tags_of(id.as_str()).as_ref(), Some(&owned[0].tags));
    let of_one: Vec<_> = world.images_tagged("job", &["one".into()].into()).into_iter().map(|it| it.id).collect();
    assert_eq!((of_one, world.images_tagged("job", &["two".into()].into())), (vec![id.clone()], vec![]));
    assert_eq!(owned.len(), 1);
    assert_eq!((owned[0].resource.id(), owned[0].removed_at), (id.as_str(), Some(world.clock().now())));
    let snapshot = others.iter().find(|it| it.resource == Resource::Snapshot(snapshot.clone())).unwrap();
    assert_eq!((snapshot.removed_at, snapshot.account.as_str()), (None, ACCOUNT));
    // Two instances with three volumes, and the snapshot.
    assert_eq!(others.len(), 6);
}
