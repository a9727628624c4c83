//! What must hold of ledger and world after any amount of bad luck.

use std::collections::{BTreeMap, BTreeSet};

use amikeep_domain::id::ImageId;
use amikeep_domain::job::{Job, JobState};
use amikeep_domain::tags;
use amikeep_ec2_sim::{ImageRecord, ImageState, RebootCause};

use crate::house::House;

fn tag<'a>(image: &'a ImageRecord, key: &str) -> Option<&'a str> {
    image.tags.get(key).map(String::as_str)
}

/// One image per fire and instance, none that the ledger does not know, no second reboot for a fire, tags as promised.
pub(crate) async fn audit(house: &mut House) {
    audit_but(house, &BTreeSet::new()).await;
}

/// The same in a world in which others take images too.
pub(crate) async fn audit_but(house: &mut House, foreign: &BTreeSet<ImageId>) {
    let jobs: BTreeMap<String, Job> = house.jobs().await.into_iter().map(|job| (job.id.to_string(), job)).collect();
    let mut per_job: BTreeMap<String, Vec<ImageRecord>> = BTreeMap::new();
    for image in house.world.images().into_iter().filter(|image| !foreign.contains(&image.id)) {
        let job = tag(&image, tags::JOB).expect("every image carries the job that made it").to_owned();
        assert!(jobs.contains_key(&job), "{} was made by job {job}, which the ledger does not know", image.id);
        for key in [tags::OWNER, tags::POLICY, tags::INSTANCE, tags::SCHEDULED_AT, tags::CLASS, tags::MODE] {
            assert!(tag(&image, key).is_some(), "{} lacks {key}", image.id);
        }
        per_job.entry(job).or_default().push(image);
    }
    let rows = house.images().await;
    let failed: BTreeSet<ImageId> = rows.iter().filter(|row| !row.counts).map(|row| row.image.clone()).collect();
    for (id, job) in &jobs {
        let images = per_job.remove(id).unwrap_or_default();
        // An image that failed is deregistered when a newer one has succeeded, and then looks like any other.
        let has_failed = |image: &&ImageRecord| image.state == ImageState::Failed || failed.contains(&image.id);
        let good = images.iter().filter(|image| !has_failed(image)).count();
        assert!(good <= 1, "job {id} has {good} images: {images:?}");
        if let JobState::Succeeded { image, .. } = &job.state {
            let made = images.iter().find(|it| it.id == image.image).expect("a succeeded job has its image");
            assert_eq!(tag(made, tags::GRADE), Some(image.grade.as_str()), "{id}");
        }
        let names: BTreeSet<&str> = images.iter().map(|image| image.name.as_str()).collect();
        assert_eq!(names.len(), images.len(), "job {id} used a name twice");
        let ids: BTreeSet<_> = images.iter().map(|image| &image.id).collect();
        let reboots = house.world.reboots(&job.key.instance);
        let of_this_fire =
            reboots.iter().filter(|it| matches!(&it.cause, RebootCause::CreateImage(image) if ids.contains(image)));
        assert!(of_this_fire.count() <= 1, "job {id} rebooted its instance twice");
    }
}

/// Every job has ended, and each one well.
pub(crate) async fn assert_all_succeeded(house: &mut House, jobs_expected: usize) {
    let jobs = house.jobs().await;
    assert_eq!(jobs.len(), jobs_expected, "{:?}", house.lines().await);
    for job in jobs {
        assert!(matches!(job.state, JobState::Succeeded { .. }), "{:?}", house.lines().await);
    }
}
