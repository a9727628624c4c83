//! Images and snapshots that a job left behind without knowing.

use super::*;

/// A job that gave up, as the ledger has it: image 10 was asked for, and nobody knows whether it came to be.
fn ended_job(world: &mut World) -> Image {
    let image = image(10, at("2026-11-10T02:00:05Z"));
    let row = &image.known;
    let job = EndedJob {
        policy: row.policy.clone(),
        account: row.account.clone(),
        account_name: row.account_name.clone(),
        region: row.region.clone(),
        instance: row.instance.clone(),
        class: row.class.clone(),
        image_names: vec!["amikeep-test-first".to_owned(), row.name.clone()],
        snapshot_description: "amikeep: nightly".to_owned(),
        finished_at: at("2026-11-10T08:00:00Z"),
    };
    world.ended_jobs.insert(row.job, job);
    image
}

fn world() -> (World, Image) {
    let mut world = World::new("last=3").with_nights(2);
    let image = ended_job(&mut world);
    (world, image)
}

/// The image and its snapshot are in EC2, and no row is in the ledger.
fn with_stray() -> World {
    let (mut world, image) = world();
    world.add(image);
    world.known.retain(|row| row.image != image_id(10));
    world
}

/// Its snapshot alone is in EC2.
fn with_stray_snapshot() -> World {
    let mut world = with_stray();
    world.deregister(10);
    world
}

/// Whether image 10 is taken for a stray, as often as there is a verdict for it.
fn strays(world: &World) -> Vec<bool> {
    let images = world.plan().images;
    images.iter().filter(|it| it.known.image == image_id(10)).map(|it| it.is_stray).collect()
}

#[test]
fn an_image_that_appeared_after_its_job_gave_up_goes_once_a_newer_one_has_succeeded() {
    let mut world = with_stray();
    assert_eq!(world.snapshots_that_go_with(10), [snapshot_id(10)]);
    assert!(world.plan().images.iter().all(|it| it.is_stray == (it.known.image == image_id(10))));
    world.known.clear();
    world.listing.images.retain(|id, _| *id == image_id(10));
    assert_eq!(world.held_by(10), "held: no-newer-success");
}

#[test]
fn a_stray_image_that_is_pinned_or_not_ours_stays() {
    let mut world = with_stray();
    world.listed(10).tags.insert(tags::PIN.to_owned(), String::new());
    assert_eq!(world.held_by(10), "held: pinned");
    let mut world = with_stray();
    world.listed(10).source_instance = Some(instance_id(2));
    assert!(world.held_by(10).starts_with("held: not-proved (EC2 says that it was taken of"));
}

#[test]
fn an_image_with_the_tags_of_a_job_and_another_name_is_unknown() {
    let mut world = with_stray();
    world.listed(10).name = "copy of it".to_owned();
    assert!(world.goes().is_empty());
    assert_eq!(world.plan().unknown, [image_id(10)]);
    assert!(strays(&world).is_empty(), "nor does its snapshot make it one of ours");
}

#[test]
fn an_image_with_a_row_is_no_stray_whether_ec2_still_shows_it_or_not() {
    let (mut world, image) = world();
    world.add(image);
    assert_eq!(strays(&world), [false]);
    world.deregister(10);
    assert_eq!(strays(&world), [false]);
    assert_eq!(strays(&with_stray()), [true]);
    assert_eq!(strays(&with_stray_snapshot()), [true]);
}

#[test]
fn the_image_of_a_job_that_is_open_or_unknown_is_left_alone() {
    let mut world = with_stray();
    world.ended_jobs.clear();
    assert_eq!(world.plan().unknown, [image_id(10)]);
    world.open_jobs.insert(job_of_image(10));
    let plan = world.plan();
    assert!(plan.unknown.is_empty() && plan.targets().next().is_none(), "it is only not written down yet");
}

#[test]
fn snapshots_of_an_image_that_never_appeared_go_after_a_week() {
    let mut world = with_stray_snapshot();
    assert_eq!(world.snapshots_that_go_with(10), [snapshot_id(10)]);
    assert!(world.plan().images.iter().any(|it| it.is_stray));
    world.now = at("2026-11-17T07:59:59Z");
    world.known.clear();
    assert_eq!(world.held_by(10), "held: no-newer-success + missing (until 2026-11-17T08:00:00Z)");
}

#[test]
fn snapshots_with_the_tags_of_a_job_that_ec2_did_not_make_for_it_are_nobodys() {
    for description in [
        "[Copied snap-00000000000000010 from eu-central-1]".to_owned(),
        format!("Created by CreateImage({}) for {}", instance_id(2), image_id(10)),
    ] {
        let mut world = with_stray_snapshot();
        world.listing.snapshots.get_mut(&snapshot_id(10)).unwrap().description = description.clone();
        let plan = world.plan();
        assert!(plan.images.iter().all(|it| it.known.image != image_id(10)), "{description}");
    }
}

#[test]
fn a_snapshot_of_another_owner_is_never_looked_at() {
    let mut world = with_stray_snapshot();
    let snapshot = world.listing.snapshots.get_mut(&snapshot_id(10)).unwrap();
    snapshot.tags.insert(tags::OWNER.to_owned(), "other".to_owned());
    assert!(world.goes().is_empty());
}

/// A copy in another region, or in an account that was shared with: the job was never there.
#[test]
fn what_carries_the_tags_of_a_job_of_another_place_is_left_alone() {
    for (account, region) in [("111122223333", "us-east-1"), ("999988887777", "eu-central-1")] {
        let move_job = |world: &mut World| {
            let job = world.ended_jobs.get_mut(&job_of_image(10)).unwrap();
            (job.account, job.region) = (account.parse().unwrap(), region.parse().unwrap());
        };
        // Both places are listed, and the job's own has neither the image nor the snapshot.
        for mut world in [with_stray(), with_stray_snapshot()] {
            move_job(&mut world);
            let job = &world.ended_jobs[&job_of_image(10)];
            let home = Listing {
                account: job.account.clone(),
                region: job.region.clone(),
                account_name: "home".parse().unwrap(),
                images: BTreeMap::new(),
                snapshots: BTreeMap::new(),
                ..world.listing.clone()
            };
            let is_listed = world.listing.images.contains_key(&image_id(10));
            let listings = [home, world.listing.clone()];
            let inputs = PruneInputs {
                now: world.now,
                clock: &world.clock,
                policy_set: &world.policy_set,
                account_ids: &world.account_ids,
                listings: &listings,
                known: &world.known,
                open_jobs: &world.open_jobs,
                ended_jobs: &world.ended_jobs,
                usage: None,
                day_counts: &world.day_counts,
                released: &world.released,
                pauses: &world.pauses,
                only: None,
            };
            let plan = plan_prune(&inputs);
            assert!(plan.images.iter().all(|it| it.known.image != image_id(10)), "{account} {region}");
            assert_eq!(plan.unknown.len(), usize::from(is_listed));
        }
    }
}

#[test]
fn only_jobs_that_left_something_without_a_row_are_looked_up() {
    let listings = |world: &World| [world.listing.clone()];
    let known = World::new("last=3").with_nights(2);
    assert!(stray_jobs(&listings(&known), &known.known).is_empty());
    for world in [with_stray(), with_stray_snapshot()] {
        assert_eq!(stray_jobs(&listings(&world), &world.known), [job_of_image(10)].into());
    }
    // An image that somebody deregistered: its row knows of the snapshots that are left.
    let mut deregistered = known.clone();
    deregistered.deregister(22);
    assert!(stray_jobs(&listings(&deregistered), &deregistered.known).is_empty());
    // An image that was copied with its tags: its snapshots have another description.
    let mut copied = World::new("last=3").with_nights(2);
    for snapshot in copied.listing.snapshots.values_mut() {
        snapshot.description = "Copied for DestinationAmi ami-00000000000000001 from SourceAmi ami-2".to_owned();
    }
    assert!(stray_jobs(&listings(&copied), &copied.known).is_empty());
}
