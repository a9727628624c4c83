//! Every way in which an image is not proved to be ours.

use expect_test::expect;

use super::*;

/// The worlds in which one thing about image 18, which no rule keeps, is not as amikeep made it.
fn flaws() -> Vec<(&'static str, World)> {
    let world = || World::new("last=3").with_nights(5);
    let with = |change: &dyn Fn(&mut World)| {
        let mut world = world();
        change(&mut world);
        world
    };
    let tag = |key: &'static str, value: &'static str| {
        with(&move |world| drop(world.listed(18).tags.insert(key.to_owned(), value.to_owned())))
    };
    let no_source = |tag: Option<&'static str>| {
        with(&move |world| {
            world.listed(18).source_instance = None;
            match tag {
                Some(tag) => drop(world.listed(18).tags.insert(tags::INSTANCE.to_owned(), tag.to_owned())),
                None => drop(world.listed(18).tags.remove(tags::INSTANCE)),
            }
        })
    };
    vec![
        ("another owner's tag", tag(tags::OWNER, "other")),
        ("no owner's tag", with(&|world| drop(world.listed(18).tags.remove(tags::OWNER)))),
        ("an owner's tag in capitals", tag(tags::OWNER, "TEST")),
        ("another job's tag", tag(tags::JOB, "0193509f-6e00-7c3a-9b1e-5d2f8a4c6e10")),
        ("no tags", with(&|world| world.listed(18).tags.clear())),
        ("taken of another instance", with(&|world| world.listed(18).source_instance = Some(instance_id(9)))),
        ("no source instance, and no tag of it", no_source(None)),
        ("no source instance, and a wrong tag of it", no_source(Some("i-00000000000000009"))),
        ("a copy under another name", with(&|world| world.listed(18).name.push_str("-copy"))),
        ("maps a snapshot of nobody", with(&|world| world.listed(18).snapshots.push(snapshot_id(99)))),
        ("maps a snapshot of another job", with(&|world| world.listed(18).snapshots.push(snapshot_id(22)))),
        ("disabled", with(&|world| world.listed(18).state = ListedState::Disabled)),
    ]
}

#[test]
fn an_image_of_which_one_thing_is_not_ours_stays() {
    let lines = flaws().into_iter().map(|(flaw, world)| {
        assert_eq!(world.goes(), [19], "{flaw}");
        format!("{flaw}: {}\n", world.held_by(18))
    });
    expect![[r#"
        another owner's tag: held: not-proved (its tag amikeep:owner is `other`, not `test`)
        no owner's tag: held: not-proved (its tag amikeep:owner is missing, not `test`)
        an owner's tag in capitals: held: not-proved (its tag amikeep:owner is `TEST`, not `test`)
        another job's tag: held: not-proved (its tag amikeep:job is `0193509f-6e00-7c3a-9b1e-5d2f8a4c6e10`, not `01a19467-e800-7000-8000-000000000012`)
        no tags: held: not-proved (its tag amikeep:owner is missing, not `test`)
        taken of another instance: held: not-proved (EC2 says that it was taken of i-00000000000000009, not of i-00000000000000001)
        no source instance, and no tag of it: held: not-proved (its tag amikeep:instance is missing, not `i-00000000000000001`)
        no source instance, and a wrong tag of it: held: not-proved (its tag amikeep:instance is `i-00000000000000009`, not `i-00000000000000001`)
        a copy under another name: held: not-proved (its name is `amikeep-test-nightly-i-00000000000000001-18-copy`, not `amikeep-test-nightly-i-00000000000000001-18`)
        maps a snapshot of nobody: held: not-proved (it maps snap-00000000000000099, which amikeep did not have made)
        maps a snapshot of another job: held: not-proved (it maps snap-00000000000000022, which amikeep did not have made)
        disabled: held: not-proved (somebody has disabled it)
    "#]]
    .assert_eq(&lines.collect::<String>());
}

#[test]
fn an_image_that_is_ours_in_everything_goes() {
    assert_eq!(World::new("last=3").with_nights(5).goes(), [18, 19]);
}

#[test]
fn where_ec2_names_no_source_instance_the_tag_does() {
    let mut world = World::new("last=3").with_nights(5);
    world.listed(18).source_instance = None;
    assert_eq!(world.goes(), [18, 19]);
}

#[test]
fn a_tag_that_somebody_changed_does_not_matter_where_ec2_names_the_source_instance() {
    let mut world = World::new("last=3").with_nights(5);
    for key in [tags::INSTANCE, tags::POLICY] {
        world.listed(18).tags.insert(key.to_owned(), "something else".to_owned());
    }
    assert_eq!(world.goes(), [18, 19]);
}

#[test]
fn a_row_of_another_place_proves_nothing() {
    let world = World::new("last=3").with_nights(1);
    let owner = "test".parse().unwrap();
    let row = &world.known[0];
    assert!(OwnedImage::prove(row, &world.listing, &owner).is_ok());
    let elsewhere = [
        KnownImage { region: "us-east-1".parse().unwrap(), ..row.clone() },
        KnownImage { account: "999988887777".parse().unwrap(), ..row.clone() },
    ];
    for row in elsewhere {
        assert_eq!(OwnedImage::prove(&row, &world.listing, &owner), Err(NotProved::OtherPlace));
    }
}

#[test]
fn rows_of_a_place_that_was_not_listed_are_not_judged() {
    let mut world = World::new("last=1").with_nights(3);
    for row in &mut world.known {
        row.region = "us-east-1".parse().unwrap();
    }
    let plan = world.plan();
    assert!(plan.images.is_empty(), "{:?}", plan.images);
    // Without a row each of them is an image that the ledger knows nothing of in this place.
    world.known.clear();
    assert_eq!(world.plan().unknown.len(), 3);
}

#[test]
fn an_image_of_another_owner_with_our_policys_name_is_not_ours() {
    let mut world = World::new("last=1").with_nights(2);
    let theirs = image(10, at("2026-11-10T02:00:05Z"));
    // EC2 lists it if somebody asks for it, and it has everything but our owner and a row.
    let mut listed = theirs.listed;
    listed.tags.insert(tags::OWNER.to_owned(), "other".to_owned());
    world.listing.images.insert(image_id(10), listed);
    assert_eq!(world.goes(), [21]);
    assert!(world.plan().unknown.is_empty());
}

#[test]
fn an_image_with_our_tags_that_the_ledger_does_not_know_is_told_and_never_touched() {
    let mut world = World::new("last=1").with_nights(2);
    world.listing.images.insert(image_id(10), image(10, at("2026-11-10T02:00:05Z")).listed);
    let plan = world.plan();
    assert_eq!(plan.unknown, [image_id(10)]);
    assert_eq!(world.goes(), [21]);
}

/// `CopySnapshot` takes tags along if it is told to. The description tells the copy from what `CreateImage` made.
#[test]
fn a_copied_snapshot_with_our_tags_stays() {
    let mut world = World::new("last=1").with_nights(2);
    let mut copy = world.listing.snapshots[&snapshot_id(21)].clone();
    copy.description = format!("[Copied {} from eu-central-1]", snapshot_id(21));
    world.listing.snapshots.insert(snapshot_id(77), copy);
    assert_eq!(world.snapshots_that_go_with(21), [snapshot_id(21)]);
}

/// The tags are those of the job, so only its description tells for what EC2 made it.
#[test]
fn a_snapshot_that_ec2_made_for_another_instance_or_another_image_stays() {
    for (instance, image) in [(instance_id(2), image_id(21)), (instance_id(1), image_id(77))] {
        let mut world = World::new("last=1").with_nights(2);
        let mut other = world.listing.snapshots[&snapshot_id(21)].clone();
        other.description = format!("Created by CreateImage({instance}) for {image}");
        world.listing.snapshots.insert(snapshot_id(77), other);
        assert_eq!(world.snapshots_that_go_with(21), [snapshot_id(21)], "{instance} {image}");
    }
}

/// A volume more than the ledger wrote down, as when the attempt to read them was cut short.
#[test]
fn a_snapshot_that_ec2_made_for_the_image_goes_with_it_whether_or_not_it_is_written_down() {
    let mut world = World::new("last=1").with_nights(2);
    let second = world.listing.snapshots[&snapshot_id(21)].clone();
    world.listing.snapshots.insert(snapshot_id(77), second);
    world.listed(21).snapshots.push(snapshot_id(77));
    assert_eq!(world.snapshots_that_go_with(21), [snapshot_id(21), snapshot_id(77)]);
}

/// EC2 itself refuses to delete a snapshot that an image maps, so ours loses nothing when theirs goes first or last.
#[test]
fn of_two_images_that_share_a_snapshot_only_ours_goes() {
    let mut world = World::new("last=1").with_nights(2);
    let mut theirs = image(10, at("2026-11-21T09:00:00Z")).listed;
    theirs.snapshots = vec![snapshot_id(21)];
    world.listing.images.insert(image_id(10), theirs);
    assert_eq!(world.goes(), [21]);
    assert_eq!(world.snapshots_that_go_with(21), [snapshot_id(21)]);
}

#[test]
fn an_image_that_maps_a_snapshot_of_another_job_stays_also_if_both_are_ours() {
    let mut world = World::new("last=1").with_nights(3);
    world.listed(20).snapshots = vec![snapshot_id(22)];
    assert_eq!(world.goes(), [21]);
    assert!(world.held_by(20).contains("which amikeep did not have made"));
}

#[test]
fn a_snapshot_that_lost_its_tags_goes_with_its_image_and_never_alone() {
    let mut world = World::new("last=1").with_nights(2);
    world.listing.snapshots.clear();
    assert_eq!(world.snapshots_that_go_with(21), [snapshot_id(21)], "the ledger and the image name it");
    world.deregister(21);
    world.now = at("2026-12-22T02:30:00Z");
    assert_eq!(world.goes(), [21]);
    assert!(world.snapshots_that_go_with(21).is_empty(), "nothing that EC2 says now proves it to be ours");
}

#[test]
fn right_before_the_call_the_tags_are_compared_once_more() {
    let world = World::new("last=1").with_nights(2);
    let row = &world.known[0];
    let deletion = super::deletion::planned(row);
    let owner = "test".parse().unwrap();
    let listed = &world.listing.images[&row.image];
    assert_eq!(OwnedImage::still_holds(&deletion, listed, &owner), Ok(()));
    let other = ListedImage { tags: BTreeMap::new(), ..listed.clone() };
    assert!(OwnedImage::still_holds(&deletion, &other, &owner).is_err());
    let disabled = ListedImage { state: ListedState::Disabled, ..listed.clone() };
    assert_eq!(OwnedImage::still_holds(&deletion, &disabled, &owner), Err(NotProved::Disabled));
}

#[test]
fn only_the_description_that_ec2_writes_names_an_image() {
    let made_for = |description: &str| {
        let snapshot = ListedSnapshot { started_at: None, description: description.to_owned(), tags: BTreeMap::new() };
        snapshot.made_for().map(|(instance, image)| format!("{instance} {image}"))
    };
    let told = made_for("Created by CreateImage(i-0123456789abcdef0) for ami-0123456789abcdef0");
    assert_eq!(told.as_deref(), Some("i-0123456789abcdef0 ami-0123456789abcdef0"));
    let old =
        made_for("Created by CreateImage(i-0123456789abcdef0) for ami-0123456789abcdef0 from vol-0123456789abcdef0");
    assert_eq!(old, told);
    for other in [
        "",
        "Created by CreateImage(i-0123456789abcdef0)",
        "Created by CreateImage(i-0123456789abcdef0) for nothing",
        "[Copied snap-0123456789abcdef0 from eu-central-1]",
        "Copied for DestinationAmi ami-0123456789abcdef0 from SourceAmi ami-00000000000000001 for SourceSnapshot snap-1",
        "copy of: Created by CreateImage(i-0123456789abcdef0) for ami-0123456789abcdef0",
    ] {
        assert_eq!(made_for(other), None, "{other}");
    }
}
