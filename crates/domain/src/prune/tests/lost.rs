//! What is taken in by its tags, and what is not.

use super::*;
use crate::class::Consistency;
use crate::id::Owner;

const SCHEDULED_AT: &str = "2026-11-10T02:00:00Z";

fn owner() -> Owner {
    "test".parse().unwrap()
}

/// A listing with image 10, which amikeep made, and its snapshot.
fn world() -> World {
    let mut world = World::new("last=1").with_nights(2);
    let Image { mut listed, mut snapshot, .. } = image(10, at("2026-11-10T02:00:05Z"));
    listed.name = "amikeep-test-nightly-i-00000000000000001-20261110T020000Z".to_owned();
    let more =
        [(tags::SCHEDULED_AT, SCHEDULED_AT), (tags::CLASS, "stateful"), (tags::MODE, "reboot"), (tags::GRADE, "clean")];
    listed.tags.extend(more.map(|(key, value)| (key.to_owned(), value.to_owned())));
    listed.snapshots = vec![snapshot_id(10)];
    snapshot.tags = our_tags(job_of_image(10), &name("nightly"), &instance_id(1));
    world.listing.images.insert(image_id(10), listed);
    world.listing.snapshots.insert(snapshot_id(10), snapshot);
    world
}

fn read(world: &World) -> Result<LostImage, NotReadable> {
    LostImage::read(&image_id(10), &world.listing, &owner())
}

#[test]
fn an_image_whose_tags_fit_together_is_what_they_say() {
    let world = world();
    let lost = read(&world).unwrap();
    assert_eq!((lost.job, lost.key.scheduled_at), (job_of_image(10), at(SCHEDULED_AT)));
    assert_eq!((lost.key.policy, lost.key.instance), (name("nightly"), instance_id(1)));
    assert_eq!((lost.class.as_str(), lost.mode), ("stateful", Consistency::Reboot));
    let finished = lost.finished.unwrap();
    assert_eq!((finished.grade, finished.captured_at), (Grade::Clean, at("2026-11-10T02:00:05Z")));
    assert_eq!(finished.volumes[0].snapshot, Some(snapshot_id(10)));
}

#[test]
fn each_mode_is_read_from_its_word() {
    for mode in Consistency::ALL {
        let mut world = world();
        world.listed(10).tags.insert(tags::MODE.to_owned(), mode.as_str().to_owned());
        assert_eq!(read(&world).unwrap().mode, mode);
    }
}

#[test]
fn the_second_image_of_a_job_is_taken_in_by_its_own_name() {
    for suffix in ["", "-a2", "-a3"] {
        let mut world = world();
        world.listed(10).name.push_str(suffix);
        assert_eq!(read(&world).unwrap().name.as_str(), world.listed(10).name);
    }
    let mut world = world();
    world.listed(10).name.push_str("-a4");
    assert_eq!(read(&world), Err(NotReadable::Name));
}

#[test]
fn an_image_without_its_grade_or_still_pending_has_to_go_on() {
    let mut ungraded = world();
    ungraded.listed(10).tags.remove(tags::GRADE);
    let mut pending = world();
    pending.listed(10).state = ListedState::Pending;
    for world in [ungraded, pending] {
        assert_eq!(read(&world).unwrap().finished, None);
    }
}

#[test]
fn an_image_of_which_one_thing_does_not_fit_is_not_taken_in() {
    let with = |change: &dyn Fn(&mut World)| {
        let mut world = world();
        change(&mut world);
        read(&world).unwrap_err()
    };
    for key in [tags::OWNER, tags::JOB, tags::POLICY, tags::INSTANCE, tags::SCHEDULED_AT, tags::CLASS, tags::MODE] {
        assert_eq!(with(&|world| drop(world.listed(10).tags.remove(key))), NotReadable::Tag(key));
    }
    let other_tag = |key: &'static str, value: &'static str| {
        with(&move |world| drop(world.listed(10).tags.insert(key.to_owned(), value.to_owned())))
    };
    assert_eq!(other_tag(tags::OWNER, "other"), NotReadable::Tag(tags::OWNER));
    assert_eq!(other_tag(tags::GRADE, "perfect"), NotReadable::Tag(tags::GRADE));
    assert_eq!(other_tag(tags::POLICY, "weekly"), NotReadable::Name);
    assert_eq!(other_tag(tags::SCHEDULED_AT, "2026-11-11T02:00:00Z"), NotReadable::Name);
    assert_eq!(other_tag(tags::INSTANCE, "i-00000000000000002"), NotReadable::OtherInstance);
    assert_eq!(with(&|world| world.listed(10).name.push_str("-copy")), NotReadable::Name);
    assert_eq!(with(&|world| world.listed(10).state = ListedState::Failed), NotReadable::State);
    assert_eq!(with(&|world| world.listed(10).state = ListedState::Disabled), NotReadable::State);
    let foreign = with(&|world| {
        let snapshot = world.listing.snapshots.get_mut(&snapshot_id(10)).unwrap();
        snapshot.tags = our_tags(job_of_image(11), &name("nightly"), &instance_id(1));
    });
    assert_eq!(foreign, NotReadable::ForeignSnapshot);
    let absent = with(&|world| drop(world.listing.snapshots.remove(&snapshot_id(10))));
    assert_eq!(absent, NotReadable::ForeignSnapshot);
    assert_eq!(LostImage::read(&image_id(77), &world().listing, &owner()), Err(NotReadable::NotListed));
}
