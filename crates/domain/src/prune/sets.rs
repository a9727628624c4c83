//! Snapshots that amikeep asked for by itself and that no image has: of a job that failed before its image was registered,
//! of a request that was carried out after its job had stopped looking, or of a hold of which nothing was proved.
//!
//! The rule is that of failed images: they go once a newer image of the series has succeeded, since until then they may be
//! the best there is; and they count towards the limit of deletions like images. What proves that they are ours is the same,
//! too: account, region, the tags of owner, job and instance, a row of the job in the ledger, and a description that no copy
//! has.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{AccountId, AccountName, ImageId, InstanceId, JobId, PolicyName, Region, SnapshotId};
use crate::pause::pause_at;
use crate::prune::listing::{EndedJob, KnownImage, ListedSnapshot, Listing, job_of};
use crate::prune::plan::{Clock, PruneInputs, counting, policy_of};
use crate::prune::strays::is_here;
use crate::retention::{Guard, Verdict, judge_failed, plan_series};
use crate::tags;

/// Snapshots of one job that no image has, and what becomes of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrunedSet {
    /// The job that asked for them.
    pub job: JobId,
    /// Its policy.
    pub policy: PolicyName,
    /// The account they are in.
    pub account: AccountId,
    /// The configured name of that account.
    pub account_name: AccountName,
    /// The region they are in.
    pub region: Region,
    /// The instance they were taken of.
    pub instance: InstanceId,
    /// The snapshots.
    pub snapshots: Vec<SnapshotId>,
    /// What becomes of them: kept is none, since no rule is asked.
    pub verdict: Verdict,
}

/// The jobs that such snapshots name; those that have ended are given to the plan.
pub(super) fn jobs_of_sets(listing: &Listing, known: &[KnownImage]) -> BTreeSet<JobId> {
    loose(listing, known).filter_map(|(_, snapshot)| job_of(&snapshot.tags)).collect()
}

/// Snapshots that neither an image of the listing nor a row of the ledger has, by what they say of themselves and what is
/// known of them.
fn without_image<'a>(
    listing: &'a Listing,
    known: &[KnownImage],
) -> impl Iterator<Item = (&'a SnapshotId, &'a ListedSnapshot)> {
    let mapped = listing.images.values().flat_map(|image| &image.snapshots);
    let recorded = known.iter().flat_map(|image| &image.snapshots);
    let taken: BTreeSet<SnapshotId> = mapped.chain(recorded).cloned().collect();
    listing.snapshots.iter().filter(move |(id, _)| !taken.contains(*id))
}

/// Those of them that were not made by `CreateImage`.
fn loose<'a>(listing: &'a Listing, known: &[KnownImage]) -> impl Iterator<Item = (&'a SnapshotId, &'a ListedSnapshot)> {
    without_image(listing, known).filter(|(_, snapshot)| snapshot.made_for().is_none())
}

/// Snapshots with our owner's tag that no image has, and of whose job the ledger knows nothing: it was summed up, or its row is
/// lost. They are never touched, and somebody pays for them.
pub(super) fn unknown_snapshots(inputs: &PruneInputs<'_>) -> Vec<SnapshotId> {
    let rows: BTreeSet<&ImageId> = inputs.known.iter().map(|image| &image.image).collect();
    let owner = inputs.policy_set.owner.as_str();
    let of_listing = |listing: &Listing| {
        let is_image_known = |image: &ImageId| rows.contains(image) || listing.images.contains_key(image);
        let is_job_known = |job: &JobId| inputs.open_jobs.contains(job) || inputs.ended_jobs.contains_key(job);
        let is_unknown = |snapshot: &ListedSnapshot| {
            snapshot.tags.get(tags::OWNER).is_some_and(|it| it == owner)
                && !snapshot.made_for().is_some_and(|(_, image)| is_image_known(&image))
                && !job_of(&snapshot.tags).is_some_and(|job| is_job_known(&job))
        };
        let unknown = without_image(listing, inputs.known).filter(|(_, snapshot)| is_unknown(snapshot));
        unknown.map(|(id, _)| id.clone()).collect::<Vec<_>>()
    };
    inputs.listings.iter().flat_map(of_listing).collect()
}

/// A verdict for each set, before the limit of deletions is asked.
pub(super) fn plan_sets(inputs: &PruneInputs<'_>) -> Vec<PrunedSet> {
    inputs.listings.iter().flat_map(|listing| plan_listing(inputs, listing)).collect()
}

fn plan_listing(inputs: &PruneInputs<'_>, listing: &Listing) -> Vec<PrunedSet> {
    let mut by_job: BTreeMap<JobId, Vec<(&SnapshotId, &ListedSnapshot)>> = BTreeMap::new();
    for (id, snapshot) in loose(listing, inputs.known) {
        let job_id = job_of(&snapshot.tags);
        let ended = job_id.and_then(|id| Some((id, inputs.ended_jobs.get(&id)?)));
        if let Some((job, _)) = ended.filter(|(_, job)| is_of(job, snapshot, listing, inputs)) {
            by_job.entry(job).or_default().push((id, snapshot));
        }
    }
    let set = |(job_id, snapshots): (JobId, Vec<(&SnapshotId, &ListedSnapshot)>)| {
        let job = inputs.ended_jobs.get(&job_id)?;
        if inputs.only.is_some_and(|only| *only != job.policy) {
            return None;
        }
        Some(PrunedSet {
            job: job_id,
            policy: job.policy.clone(),
            account: job.account.clone(),
            account_name: job.account_name.clone(),
            region: job.region.clone(),
            instance: job.instance.clone(),
            verdict: judge(inputs, listing, job, &snapshots),
            snapshots: snapshots.into_iter().map(|(id, _)| id.clone()).collect(),
        })
    };
    by_job.into_iter().filter_map(set).collect()
}

/// Whether everything says that the job had it made.
fn is_of(job: &EndedJob, snapshot: &ListedSnapshot, listing: &Listing, inputs: &PruneInputs<'_>) -> bool {
    let is = |tag: &str, value: &str| snapshot.tags.get(tag).is_some_and(|found| found == value);
    is_here(job, listing)
        && is(tags::OWNER, inputs.policy_set.owner.as_str())
        && is(tags::INSTANCE, job.instance.as_str())
        && snapshot.description == job.snapshot_description
}

fn judge(
    inputs: &PruneInputs<'_>,
    listing: &Listing,
    job: &EndedJob,
    snapshots: &[(&SnapshotId, &ListedSnapshot)],
) -> Verdict {
    // A job may have left several sets: all of them have to be older than what makes them superfluous.
    let begun = snapshots.iter().map(|(_, it)| it.started_at.unwrap_or(job.finished_at)).max();
    let key = (&job.policy, &job.account, &job.region, &job.instance);
    let mut verdict = match policy_of(inputs, key) {
        Some(policy) => {
            let series = counting(inputs, listing, key);
            let series = plan_series(&series, &policy.keep, policy.schedule.timezone(), inputs.now);
            judge_failed(begun.unwrap_or(job.finished_at), &series)
        }
        None => Verdict::Held(vec![Guard::PolicyGone]),
    };
    if snapshots.iter().any(|(_, snapshot)| snapshot.is_pinned()) {
        verdict.hold(Guard::Pinned);
    }
    if let Some(pause) = pause_at(inputs.pauses, &job.policy, Some(&job.instance), inputs.now) {
        verdict.hold(Guard::Paused { pause: pause.to_string() });
    }
    if let Clock::Unsound { why } = inputs.clock {
        verdict.hold(Guard::Clock { why: why.clone() });
    }
    verdict
}
