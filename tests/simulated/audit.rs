//! What must hold of ledger and world after any amount of bad luck, and after every single step of it.

use std::collections::{BTreeMap, BTreeSet};

use amikeep_domain::id::ImageId;
use amikeep_domain::job::{Job, JobState};
use amikeep_domain::tags;
use amikeep_ec2_sim::{ImageRecord, ImageState, RebootCause, Resource, ResourceRecord};
use amikeep_ledger::{ImageRow, ImageRowState};
use jiff::Timestamp;

use crate::simulated::house::House;

fn tag<'a>(image: &'a ImageRecord, key: &str) -> Option<&'a str> {
    image.tags.get(key).map(String::as_str)
}

/// One image per fire and instance, none that the ledger does not know, no second reboot for a fire, tags as promised,
/// and nothing gone that the ledger did not say would go.
pub(crate) async fn audit(house: &House) {
    audit_but(house, &BTreeSet::new(), None).await;
}

/// The same in a world in which others take images too; of jobs since a time alone, if one is given, and of all images
/// that were made since then.
pub(crate) async fn audit_but(house: &House, foreign: &BTreeSet<ImageId>, since: Option<Timestamp>) {
    let jobs = house.jobs_since(since).await.into_iter();
    let jobs: BTreeMap<String, Job> = jobs.map(|job| (job.id.to_string(), job)).collect();
    let mut per_job: BTreeMap<String, Vec<ImageRecord>> = BTreeMap::new();
    for image in house.world.images().into_iter().filter(|image| !foreign.contains(&image.id)) {
        let id = tag(&image, tags::JOB).expect("every image carries the job that made it").to_owned();
        if !jobs.contains_key(&id) {
            if since.is_none_or(|since| since <= image.created_at) {
                let job = house.reader().await.job(id.parse().unwrap()).await.unwrap();
                assert!(job.is_some(), "{} was made by job {id}, which the ledger does not know", image.id);
            }
            continue;
        }
        for key in [tags::OWNER, tags::POLICY, tags::INSTANCE, tags::SCHEDULED_AT, tags::CLASS, tags::MODE] {
            assert!(tag(&image, key).is_some(), "{} lacks {key}", image.id);
        }
        per_job.entry(id).or_default().push(image);
    }
    let rows = house.images().await;
    let failed: BTreeSet<&ImageId> = rows.iter().filter(|row| !row.counts).map(|row| &row.image).collect();
    // Those that were registered from snapshots are told by their tags alone.
    let mut made: BTreeMap<ImageId, ResourceRecord> = BTreeMap::new();
    for record in house.world.resources() {
        if let Resource::Image(id) = &record.resource {
            made.insert(id.clone(), record);
        }
    }
    let by_call: BTreeSet<&ImageId> = per_job.values().flatten().map(|image| &image.id).collect();
    let mut registered: BTreeMap<String, usize> = BTreeMap::new();
    for (id, record) in made.iter().filter(|(id, _)| !foreign.contains(*id) && !by_call.contains(id)) {
        let job = record.tags.get(tags::JOB).unwrap_or_else(|| panic!("{id} does not carry the job that made it"));
        *registered.entry(job.clone()).or_default() += usize::from(!failed.contains(id));
    }
    for (id, job) in &jobs {
        let known = Known { failed: &failed, made: &made, registered: registered.get(id).copied().unwrap_or(0) };
        audit_job(house, job, &per_job.remove(id).unwrap_or_default(), &known).await;
    }
}

/// What is known of all images.
struct Known<'a> {
    /// Those of jobs that did not succeed.
    failed: &'a BTreeSet<&'a ImageId>,
    /// All that were ever made.
    made: &'a BTreeMap<ImageId, ResourceRecord>,
    /// How many were registered for this job.
    registered: usize,
}

async fn audit_job(house: &House, job: &Job, images: &[ImageRecord], known: &Known<'_>) {
    let id = job.id;
    // An image that failed is deregistered when a newer one has succeeded, and then looks like any other.
    let has_failed = |image: &&ImageRecord| image.state == ImageState::Failed || known.failed.contains(&image.id);
    let good = images.iter().filter(|image| !has_failed(image)).count() + known.registered;
    assert!(good <= 1, "job {id} has {good} images: {images:?}");
    if !images.is_empty() {
        assert!(job.intent.is_some(), "{images:?} was asked for without an intent of job {id}");
    }
    if let JobState::Succeeded { image, .. } = &job.state {
        let made = known.made.get(&image.image).expect("a succeeded job has its image");
        assert_eq!(made.tags.get(tags::JOB), Some(&id.to_string()), "{made:?}");
        if made.tags.get(tags::GRADE).map(String::as_str) != Some(image.grade.as_str()) {
            // What EC2 refused for good is told instead.
            let events = house.reader().await.events(id).await.unwrap();
            let graded = events.iter().find(|event| event.event == "graded").unwrap();
            assert!(graded.detail.contains("tag"), "{graded:?} {job:#?} made {made:#?}");
        }
    }
    let names: BTreeSet<&str> = images.iter().map(|image| image.name.as_str()).collect();
    assert_eq!(names.len(), images.len(), "job {id} used a name twice");
    let ids: BTreeSet<_> = images.iter().map(|image| &image.id).collect();
    let reboots = house.world.reboots(&job.key.instance);
    let of_this_fire =
        reboots.iter().filter(|it| matches!(&it.cause, RebootCause::CreateImage(image) if ids.contains(image)));
    assert!(of_this_fire.count() <= 1, "job {id} rebooted its instance twice");
}

/// Whatever went was ours, and the ledger had said before that it would; `by_others` is what people deregistered.
pub(crate) async fn audit_deletions(house: &House, by_others: &BTreeSet<ImageId>) {
    let rows = house.images().await.into_iter();
    let rows: BTreeMap<ImageId, ImageRow> = rows.map(|row| (row.image.clone(), row)).collect();
    let owner = house.policy_set.owner.to_string();
    for deletion in house.world.deletions() {
        let Resource::Image(image) = &deletion.resource else {
            assert_eq!(deletion.tags.get(tags::OWNER), Some(&owner), "{deletion:?}");
            continue;
        };
        if by_others.contains(image) {
            continue;
        }
        let row = rows.get(image).unwrap_or_else(|| panic!("{image} went without a row"));
        let told = [ImageRowState::Deleting, ImageRowState::SnapshotsLeft, ImageRowState::Deleted];
        if !told.contains(&row.state) {
            let deletions = house.reader().await.deletions_of_image(image).await.unwrap();
            let events = house.reader().await.events(row.job).await.unwrap();
            panic!("{deletion:#?} and {row:?} says otherwise: {deletions:#?} {events:#?}");
        }
    }
}

/// Every job has ended, and each one well.
pub(crate) async fn assert_all_succeeded(house: &House, jobs_expected: usize) {
    let jobs = house.jobs().await;
    assert_eq!(jobs.len(), jobs_expected, "{:?}", house.lines().await);
    for job in jobs {
        assert!(matches!(job.state, JobState::Succeeded { .. }), "{:?}", house.lines().await);
    }
}
