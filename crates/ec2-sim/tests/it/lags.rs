//! What is new shows late, and its tags by a time of their own.

use amikeep_ec2_sim::{DescribeImages, Filter, NewTag, Query, Reboot, Reply, Request, World};

use crate::support::{DB, builder, call, code, filtered, image, images, secs, snapshots};

fn tagged_images(world: &World) -> usize {
    let query = filtered(vec![Filter::new("tag:job", ["one"])]);
    match call(world, Request::DescribeImages(DescribeImages { query, ..Default::default() })).unwrap() {
        Reply::Images(page) => page.items.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_image_its_snapshots_and_its_tags_show_at_their_own_times() {
    let world = builder().newcomer_lag(secs(30), secs(60), secs(120)).build().unwrap();
    let id = image(&world, DB, "one", Reboot::No);
    world.clock().advance(secs(29));
    assert!(images(&world).is_empty());
    let by_id = DescribeImages { ids: vec![id.to_string()], ..Default::default() };
    assert_eq!(code(&world, Request::DescribeImages(by_id)), "InvalidAMIID.NotFound");
    world.clock().advance(secs(1));
    assert_eq!((images(&world).len(), images(&world)[0].tags.len(), tagged_images(&world)), (1, 0, 0));
    world.clock().advance(secs(31));
    assert!(snapshots(&world).is_empty(), "the image maps what DescribeSnapshots does not show yet");
    world.clock().advance(secs(1));
    assert_eq!((snapshots(&world).len(), snapshots(&world)[0].tags.len()), (2, 0));
    world.clock().advance(secs(58));
    assert_eq!(tagged_images(&world), 1);
    assert!(snapshots(&world)[0].tags.is_empty(), "it was begun and tagged two seconds later");
    world.clock().advance(secs(2));
    assert_eq!(snapshots(&world)[0].tags["job"], "one");
}

#[test]
fn what_does_not_show_yet_cannot_be_tagged_and_a_tag_shows_late() {
    let world = builder().build().unwrap();
    world.set_newcomer_lag(secs(30), secs(30), secs(10));
    let id = image(&world, DB, "one", Reboot::No);
    let tag = || Request::CreateTags {
        resources: vec![id.to_string()],
        tags: vec![NewTag { key: "k".into(), value: "v".into() }],
    };
    assert_eq!(code(&world, tag()), "InvalidAMIID.NotFound");
    world.clock().advance(secs(30));
    call(&world, tag()).unwrap();
    assert!(!images(&world)[0].tags.contains_key("k"));
    world.clock().advance(secs(10));
    assert_eq!(images(&world)[0].tags["k"], "v");
    let untag = Request::DeleteTags { resources: vec![id.to_string()], tags: vec![("k".into(), None)] };
    call(&world, untag).unwrap();
    assert!(images(&world)[0].tags.contains_key("k"));
    let Reply::Tags(page) = call(&world, Request::DescribeTags { query: Query::default() }).unwrap() else { panic!() };
    assert!(page.items.iter().any(|line| line.key == "k"));
}
