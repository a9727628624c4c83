//! What must hold of ledger and world after any amount of bad luck, and after every single step of it.

use std::collections::{BTreeMap, BTreeSet};

use amikeep_domain::id::{ImageId, JobId};
use amikeep_domain::job::{Job, JobState};
use amikeep_domain::tags;
use amikeep_ec2_sim::{Deletion, ImageRecord, ImageState, RebootCause, Resource, ResourceRecord};
use amikeep_ledger::{ImageRow, ImageRowState};

use crate::simulated::house::House;

fn tag<'a>(image: &'a ImageRecord, key: &str) -> Option<&'a str> {
    image.tags.get(key).map(String::as_str)
}

/// One image per fire and instance, none that the ledger does not know, no second reboot for a fire, tags as promised,
/// and nothing gone that the ledger did not say would go.
pub(crate) async fn audit(house: &House) {
    audit_but(house, &BTreeSet::new()).await;
}

/// The same in a world in which others take images too.
pub(crate) async fn audit_but(house: &House, foreign: &BTreeSet<ImageId>) {
    let (images, resources) = (house.world.images(), house.world.resources());
    let rows = house.images().await;
    audit_all(house, foreign, Seen { jobs: house.jobs().await, images, resources, rows }).await;
}

/// The same of some jobs alone, for after a step that touched no other.
pub(crate) async fn audit_jobs(house: &House, foreign: &BTreeSet<ImageId>, ids: &BTreeSet<String>) {
    let parsed: Vec<JobId> = ids.iter().map(|id| id.parse().unwrap()).collect();
    let reader = house.reader().await;
    let jobs = reader.jobs_by_ids(&parsed).await.unwrap();
    let (images, resources) = (house.world.images_tagged(tags::JOB, ids), house.world.resources_tagged(tags::JOB, ids));
    let mut rows = Vec::new();
    for record in &resources {
        if let Resource::Image(id) = &record.resource {
            rows.extend(reader.images_by_id(id).await.unwrap());
        }
    }
    audit_all(house, foreign, Seen { jobs, images, resources, rows }).await;
}

/// What is looked at: jobs, and all that was made for them.
struct Seen {
    jobs: Vec<Job>,
    images: Vec<ImageRecord>,
    resources: Vec<ResourceRecord>,
    rows: Vec<ImageRow>,
}

async fn audit_all(house: &House, foreign: &BTreeSet<ImageId>, seen: Seen) {
    let jobs: BTreeMap<String, Job> = seen.jobs.into_iter().map(|job| (job.id.to_string(), job)).collect();
    let mut per_job: BTreeMap<String, Vec<ImageRecord>> = BTreeMap::new();
    for image in seen.images.into_iter().filter(|image| !foreign.contains(&image.id)) {
        let id = tag(&image, tags::JOB).expect("every image carries the job that made it").to_owned();
        assert!(jobs.contains_key(&id), "{} was made by job {id}, which the ledger does not know", image.id);
        for key in [tags::OWNER, tags::POLICY, tags::INSTANCE, tags::SCHEDULED_AT, tags::CLASS, tags::MODE] {
            assert!(tag(&image, key).is_some(), "{} lacks {key}", image.id);
        }
        per_job.entry(id).or_default().push(image);
    }
    let failed: BTreeSet<&ImageId> = seen.rows.iter().filter(|row| !row.counts).map(|row| &row.image).collect();
    // Those that were registered from snapshots are told by their tags alone.
    let mut made: BTreeMap<ImageId, ResourceRecord> = BTreeMap::new();
    for record in seen.resources {
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

/// What is known of the images of the jobs.
struct Known<'a> {
    /// Those of jobs that did not succeed.
    failed: &'a BTreeSet<&'a ImageId>,
    /// All that were ever made of them.
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
    for deletion in house.world.deletions() {
        audit_deletion(house, by_others, &deletion, |image| rows.get(image).cloned()).await;
    }
}

/// The same of what went in a step.
pub(crate) async fn audit_new_deletions(house: &House, by_others: &BTreeSet<ImageId>, deletions: &[Deletion]) {
    for deletion in deletions {
        let row = match &deletion.resource {
            Resource::Image(image) => house.reader().await.images_by_id(image).await.unwrap().into_iter().next(),
            _ => None,
        };
        audit_deletion(house, by_others, deletion, |_| row).await;
    }
}

async fn audit_deletion(
    house: &House,
    by_others: &BTreeSet<ImageId>,
    deletion: &Deletion,
    row_of: impl FnOnce(&ImageId) -> Option<ImageRow>,
) {
    let Resource::Image(image) = &deletion.resource else {
        let owner = house.policy_set.owner.to_string();
        assert_eq!(deletion.tags.get(tags::OWNER), Some(&owner), "{deletion:?}");
        return;
    };
    if by_others.contains(image) {
        return;
    }
    let row = row_of(image).unwrap_or_else(|| panic!("{image} went without a row"));
    let told = [ImageRowState::Deleting, ImageRowState::SnapshotsLeft, ImageRowState::Deleted];
    if !told.contains(&row.state) {
        let deletions = house.reader().await.deletions_of_image(image).await.unwrap();
        let events = house.reader().await.events(row.job).await.unwrap();
        panic!("{deletion:#?} and {row:?} says otherwise: {deletions:#?} {events:#?}");
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
