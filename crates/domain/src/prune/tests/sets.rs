//! Snapshots that amikeep asked for by itself and that no image has: which are ours, and when they go.

use super::*;
use crate::retention::Guard;

/// The job that asked for them ended on 10 November.
const JOB: u32 = 10;

fn snapshot(started_at: &str) -> ListedSnapshot {
    ListedSnapshot {
        started_at: Some(at(started_at)),
        description: "snapshots of job 10".to_owned(),
        tags: our_tags(job_of_image(JOB), &name("nightly"), &instance_id(1)),
    }
}

/// Two snapshots of that job, and two images of the nights of the 21st and the 22nd.
fn world() -> World {
    let mut world = World::new("last=5").with_nights(2);
    for n in [110, 111] {
        world.listing.snapshots.insert(snapshot_id(n), snapshot("2026-11-10T02:00:05Z"));
    }
    let job = EndedJob {
        policy: name("nightly"),
        account: account_id(),
        account_name: account_name(),
        region: "eu-central-1".parse().unwrap(),
        instance: instance_id(1),
        class: "critical".parse().unwrap(),
        image_names: Vec::new(),
        snapshot_description: "snapshots of job 10".to_owned(),
        finished_at: at("2026-11-10T03:00:00Z"),
    };
    world.ended_jobs.insert(job_of_image(JOB), job);
    world
}

/// The sets that are found, each with its snapshots and its verdict.
fn told(world: &World) -> Vec<String> {
    let set = |set: &PrunedSet| {
        let why = match &set.verdict {
            Verdict::Keep(_) => "kept".to_owned(),
            Verdict::Delete(reason) => reason.to_string(),
            Verdict::Held(guards) => guards.iter().map(Guard::as_str).collect::<Vec<_>>().join(" "),
        };
        let snapshots: Vec<&str> =
            set.snapshots.iter().map(|id| id.as_str().trim_start_matches("snap-0000000000000")).collect();
        format!("{}: {}: {why}", snapshots.join(" "), set.verdict.as_str())
    };
    world.plan().sets.iter().map(set).collect()
}

fn with(change: impl FnOnce(&mut World)) -> Vec<String> {
    let mut world = world();
    change(&mut world);
    told(&world)
}

fn job(world: &mut World) -> &mut EndedJob {
    world.ended_jobs.get_mut(&job_of_image(JOB)).unwrap()
}

fn tagged(world: &mut World, key: &str, value: Option<&str>) {
    for n in [110, 111] {
        let tags = &mut world.listing.snapshots.get_mut(&snapshot_id(n)).unwrap().tags;
        match value {
            Some(value) => drop(tags.insert(key.to_owned(), value.to_owned())),
            None => drop(tags.remove(key)),
        }
    }
}

#[test]
fn a_set_goes_once_a_newer_image_of_its_series_has_succeeded() {
    let world = world();
    let [set] = &world.plan().sets[..] else { panic!("{:?}", world.plan().sets) };
    assert_eq!((set.job, &set.policy, &set.instance), (job_of_image(JOB), &name("nightly"), &instance_id(1)));
    assert_eq!((&set.account, &set.account_name), (&account_id(), &account_name()));
    assert_eq!(set.snapshots, [snapshot_id(110), snapshot_id(111)]);
    assert_eq!(told(&world), [format!("0110 0111: delete: it failed, and {} is newer and succeeded", image_id(22))]);
    let asked_for = stray_jobs(std::slice::from_ref(&world.listing), &world.known);
    assert_eq!(asked_for, [job_of_image(JOB)].into(), "whose rows the plan needs");
}

#[test]
fn a_snapshot_of_which_one_thing_is_not_ours_is_in_no_set() {
    for key in [tags::OWNER, tags::INSTANCE, tags::JOB] {
        assert!(with(|world| tagged(world, key, None)).is_empty(), "{key}");
    }
    assert!(with(|world| tagged(world, tags::OWNER, Some("other"))).is_empty());
    assert!(with(|world| tagged(world, tags::INSTANCE, Some("i-00000000000000002"))).is_empty());
    let other_job = job_of_image(11).to_string();
    assert!(with(|world| tagged(world, tags::JOB, Some(&other_job))).is_empty());
    assert!(with(|world| world.ended_jobs.clear()).is_empty());
    assert!(with(|world| job(world).snapshot_description.push('!')).is_empty(), "a copy has another description");
    assert!(with(|world| job(world).account = "999988887777".parse().unwrap()).is_empty());
    assert!(with(|world| job(world).region = "eu-north-1".parse().unwrap()).is_empty());
    // What CreateImage made belongs to an image, here or gone.
    let made = |world: &mut World| {
        for n in [110, 111] {
            let description = format!("Created by CreateImage({}) for {}", instance_id(1), image_id(77));
            world.listing.snapshots.get_mut(&snapshot_id(n)).unwrap().description.clone_from(&description);
            job(world).snapshot_description = description;
        }
    };
    assert!(with(made).is_empty());
}

#[test]
fn a_snapshot_that_an_image_or_a_row_has_is_in_no_set() {
    let mapped = |world: &mut World| world.listed(22).snapshots.push(snapshot_id(110));
    assert!(with(mapped)[0].starts_with("0111: "), "{:?}", with(mapped));
    let recorded = |world: &mut World| world.row(21).snapshots.push(snapshot_id(111));
    assert!(with(recorded)[0].starts_with("0110: "), "{:?}", with(recorded));
}

#[test]
fn a_set_is_held_until_an_image_that_counts_is_newer_and_there() {
    let held = ["0110 0111: held: no-newer-success"];
    let both = |change: &dyn Fn(&mut World, u32)| {
        with(|world| {
            change(world, 21);
            change(world, 22);
        })
    };
    assert_eq!(both(&|world, n| world.row(n).counts = false), held);
    assert_eq!(both(&|world, n| world.deregister(n)), held);
    assert_eq!(both(&|world, n| world.listed(n).state = ListedState::Pending), held);
    assert_eq!(both(&|world, n| world.row(n).policy = name("weekly")), held);
    assert_eq!(both(&|world, n| world.row(n).instance = instance_id(2)), held);
    assert_eq!(both(&|world, n| world.row(n).account = "999988887777".parse().unwrap()), held);
    assert_eq!(both(&|world, n| world.row(n).region = "eu-north-1".parse().unwrap()), held);
    assert_eq!(both(&|world, n| world.row(n).state = KnownState::Going), held, "it is being deleted itself");
    // Newer than the latest of its snapshots, and not from the future.
    let captured = |time: &'static str| both(&move |world, n| world.row(n).captured_at = Some(at(time)));
    assert_eq!(captured("2026-11-10T02:00:05Z"), held);
    assert_ne!(captured("2026-11-10T02:00:05.001Z"), held);
    assert_ne!(captured("2026-11-22T03:30:00Z"), held);
    assert_eq!(captured("2026-11-22T03:30:00.001Z"), ["0110 0111: held: future-in-series"]);
    // A job may have left one set before an image was taken by hand, and another after it.
    let second = |world: &mut World| {
        world.listing.snapshots.get_mut(&snapshot_id(111)).unwrap().started_at = Some(at("2026-11-22T02:10:00Z"));
    };
    assert_eq!(with(second), held);
    // Where EC2 does not say when a snapshot was begun, the end of the job stands for it.
    let unknown = |time: &'static str| {
        both(&move |world, n| {
            world.row(n).captured_at = Some(at(time));
            world.listing.snapshots.get_mut(&snapshot_id(110)).unwrap().started_at = None;
            world.listing.snapshots.get_mut(&snapshot_id(111)).unwrap().started_at = None;
        })
    };
    assert_eq!(unknown("2026-11-10T03:00:00Z"), held);
    assert_ne!(unknown("2026-11-10T03:00:00.001Z"), held);
}

#[test]
fn guards_hold_a_set_as_they_hold_an_image() {
    let pin = |world: &mut World| {
        let pinned = world.listing.snapshots.get_mut(&snapshot_id(111)).unwrap();
        pinned.tags.insert(tags::PIN.to_owned(), String::new());
    };
    assert_eq!(with(pin), ["0110 0111: held: pinned"]);
    assert_eq!(with(|world| world.policy_set.policies.clear()), ["0110 0111: held: policy-gone"]);
    assert_eq!(with(|world| world.policy().accounts.clear()), ["0110 0111: held: policy-gone"]);
    assert_eq!(with(|world| world.account_ids.clear()), ["0110 0111: held: policy-gone"]);
    let moved = |world: &mut World| {
        let rules = world.policy_set.accounts.get_mut(&account_name()).unwrap();
        rules.region = "eu-north-1".parse().unwrap();
    };
    assert_eq!(with(moved), ["0110 0111: held: policy-gone"]);
    assert_eq!(with(|world| world.pauses.push(pause(PauseScope::All))), ["0110 0111: held: paused"]);
    assert_eq!(
        with(|world| world.clock = Clock::Unsound { why: "it is a year ahead".to_owned() }),
        ["0110 0111: held: clock"]
    );
}

#[test]
fn a_set_counts_towards_max_deletes_as_an_image_does() {
    let mut world = world();
    world.policy().keep = "last=1".parse().unwrap();
    world.policy().max_deletes = Some(1);
    assert_eq!(told(&world), ["0110 0111: held: max-deletes"], "an image and a set are two");
    assert_eq!(world.plan().sets_to_delete().count(), 0);
    assert!(world.goes().is_empty());
    let (policy, over) = world.plan().over_limit.remove(0);
    assert_eq!((policy, over.planned), (name("nightly"), 2));
    world.released.sets = [job_of_image(JOB)].into();
    assert!(told(&world)[0].starts_with("0110 0111: delete"), "{:?}", told(&world));
    assert_eq!(world.plan().sets_to_delete().map(|set| set.job).collect::<Vec<_>>(), [job_of_image(JOB)]);
    assert_eq!(world.goes(), [21], "and the image is within the limit again");
    // Without an image that goes it is counted all the same.
    world.released = Released::default();
    world.policy().keep = "last=-1".parse().unwrap();
    world.day_counts.insert(name("nightly"), DayCounts { deleted: 1, succeeded: 0 });
    assert_eq!(told(&world), ["0110 0111: held: max-deletes"]);
    assert_eq!(world.plan().over_limit.len(), 1);
}

#[test]
fn images_and_sets_that_are_released_are_counted_together() {
    let released = |images: &[u32], sets: &[u32]| Released {
        images: images.iter().map(|n| image_id(*n)).collect(),
        sets: sets.iter().map(|n| job_of_image(*n)).collect(),
    };
    for (released, n) in [(released(&[], &[]), 0), (released(&[1, 2, 3], &[]), 3), (released(&[1, 2, 3], &[1, 2]), 5)] {
        assert_eq!((released.len(), released.is_empty()), (n, n == 0), "{released:?}");
    }
}

#[test]
fn what_carries_the_owners_tag_and_is_nobodys_is_named_and_left_alone() {
    let unknown = |change: &dyn Fn(&mut World)| {
        let mut world = world();
        change(&mut world);
        world.plan().unknown_snapshots
    };
    assert!(unknown(&|_| {}).is_empty(), "the job is in the ledger");
    let both = [snapshot_id(110), snapshot_id(111)];
    let lost = |world: &mut World| world.ended_jobs.clear();
    assert_eq!(unknown(&lost), both);
    assert_eq!(unknown(&|world| tagged(world, tags::JOB, None)), both);
    assert_eq!(unknown(&|world| tagged(world, tags::JOB, Some("no job"))), both);
    let of_another = |world: &mut World| {
        lost(world);
        tagged(world, tags::OWNER, Some("other"));
    };
    assert!(unknown(&of_another).is_empty());
    let open = |world: &mut World| {
        lost(world);
        world.open_jobs.insert(job_of_image(JOB));
    };
    assert!(unknown(&open).is_empty(), "its image may be registered any moment");
    let mapped = |world: &mut World| {
        lost(world);
        world.listed(22).snapshots.push(snapshot_id(110));
    };
    assert_eq!(unknown(&mapped), [snapshot_id(111)]);
    let made_for = |world: &mut World, image: u32| {
        lost(world);
        for n in [110, 111] {
            let snapshot = world.listing.snapshots.get_mut(&snapshot_id(n)).unwrap();
            snapshot.description = format!("Created by CreateImage({}) for {}", instance_id(1), image_id(image));
        }
    };
    assert_eq!(unknown(&|world| made_for(world, 77)), both, "of an image that is gone");
    assert!(unknown(&|world| made_for(world, 22)).is_empty(), "of one that is there");
    let unlisted = |world: &mut World| {
        made_for(world, 22);
        world.listing.images.remove(&image_id(22));
    };
    assert!(unknown(&unlisted).is_empty(), "of one that only the ledger has");
    let unrecorded = |world: &mut World| {
        made_for(world, 22);
        world.known.retain(|row| row.image != image_id(22));
    };
    assert!(unknown(&unrecorded).is_empty(), "of one that only EC2 has");
}

#[test]
fn a_prune_of_another_policy_leaves_a_set_alone() {
    assert_eq!(with(|world| world.only = Some(name("nightly"))).len(), 1);
    assert!(with(|world| world.only = Some(name("weekly"))).is_empty());
}
