//! Images and snapshots that EC2 has of jobs that have ended, and that the ledger has no row for.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::id::{ImageId, JobId};
use crate::prune::listing::{EndedJob, KnownImage, KnownState, Listing, job_of};
use crate::prune::plan::PruneInputs;
use crate::prune::sets::jobs_of_sets;
use crate::tags;

/// The jobs that images or snapshots of the listings name, for which no row of an image is known. Those that have ended
/// are looked up in the ledger and given to the plan: they left something behind without knowing.
pub fn stray_jobs(listings: &[Listing], known: &[KnownImage]) -> BTreeSet<JobId> {
    let rows: BTreeSet<&ImageId> = known.iter().map(|image| &image.image).collect();
    let mut jobs = BTreeSet::new();
    for listing in listings {
        let images = listing.images.iter().filter(|(id, _)| !rows.contains(id));
        jobs.extend(images.filter_map(|(_, image)| job_of(&image.tags)));
        for snapshot in listing.snapshots.values() {
            let image = snapshot.made_for().map(|(_, image)| image);
            if image.is_some_and(|image| !rows.contains(&image) && !listing.images.contains_key(&image)) {
                jobs.extend(job_of(&snapshot.tags));
            }
        }
        jobs.extend(jobs_of_sets(listing, known));
    }
    jobs
}

/// What EC2 has of jobs that have ended, and the ledger has no row for.
pub(super) struct Strays {
    pub(super) images: Vec<KnownImage>,
    /// Images that carry our owner's tag, and that nothing is known of.
    pub(super) unknown: Vec<ImageId>,
}

/// An image that appeared after its job had given up, or snapshots of an image that never appeared.
pub(super) fn find_strays(inputs: &PruneInputs<'_>) -> Strays {
    let rows: BTreeSet<&ImageId> = inputs.known.iter().map(|image| &image.image).collect();
    let owner = inputs.policy_set.owner.as_str();
    let (mut images, mut unknown) = (BTreeMap::new(), Vec::new());
    for listing in inputs.listings {
        let is_ours = |tags: &BTreeMap<String, String>| tags.get(tags::OWNER).is_some_and(|it| it == owner);
        for (id, listed) in listing.images.iter().filter(|(id, image)| !rows.contains(id) && is_ours(&image.tags)) {
            let job_id = job_of(&listed.tags);
            let job = job_id.and_then(|id| Some((id, inputs.ended_jobs.get(&id)?)));
            match job.filter(|(_, job)| is_here(job, listing) && job.image_names.contains(&listed.name)) {
                Some((job_id, job)) => {
                    let seen_at = listed.created_at.unwrap_or(job.finished_at);
                    let stray = stray(id, job_id, job, KnownState::Failed, (seen_at, listing.began_at));
                    images.insert(id.clone(), KnownImage { name: listed.name.clone(), ..stray });
                }
                // The image of a job that is under way is not unknown, it is only not written down yet.
                None if job_id.is_some_and(|id| inputs.open_jobs.contains(&id)) => {}
                None => unknown.push(id.clone()),
            }
        }
        for snapshot in listing.snapshots.values().filter(|snapshot| is_ours(&snapshot.tags)) {
            let Some((instance, image)) = snapshot.made_for() else { continue };
            if rows.contains(&image) || listing.images.contains_key(&image) || images.contains_key(&image) {
                continue;
            }
            let job = job_of(&snapshot.tags).and_then(|id| Some((id, inputs.ended_jobs.get(&id)?)));
            if let Some((job_id, job)) = job.filter(|(_, job)| is_here(job, listing) && job.instance == instance) {
                let seen_at = snapshot.started_at.unwrap_or(job.finished_at);
                let stray = stray(&image, job_id, job, KnownState::Missing, (seen_at, job.finished_at));
                images.insert(image, stray);
            }
        }
    }
    Strays { images: images.into_values().collect(), unknown }
}

/// Whether a job made its images where this listing is from. Tags can be copied to other places.
pub(super) fn is_here(job: &EndedJob, listing: &Listing) -> bool {
    job.account == listing.account && job.region == listing.region
}

fn stray(
    image: &ImageId,
    job_id: JobId,
    job: &EndedJob,
    state: KnownState,
    (first_seen_at, last_seen_at): (Timestamp, Timestamp),
) -> KnownImage {
    KnownImage {
        image: image.clone(),
        name: job.image_names.first().cloned().unwrap_or_default(),
        job: job_id,
        policy: job.policy.clone(),
        account: job.account.clone(),
        account_name: job.account_name.clone(),
        region: job.region.clone(),
        instance: job.instance.clone(),
        class: job.class.clone(),
        captured_at: None,
        grade: None,
        snapshots: Vec::new(),
        state,
        counts: false,
        pinned: false,
        missing_since: Some(last_seen_at),
        first_seen_at,
        last_seen_at,
    }
}
