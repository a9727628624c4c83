//! Snapshots that amikeep asked for by itself and that no image has: of a job that failed before its image was registered,
//! or of a request that was carried out after its job had stopped looking.
//!
//! The rule is that of failed images: they go once a newer image of the series has succeeded, since until then they may be
//! the best there is. What proves that they are ours is the same, too: account, region, the tags of owner, job and instance,
//! a row of the job in the ledger, and a description that no copy has.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::id::{AccountId, AccountName, ImageId, InstanceId, JobId, PolicyName, Region, SnapshotId};
use crate::pause::pause_at;
use crate::policy::AccountRules;
use crate::prune::listing::{EndedJob, KnownImage, ListedSnapshot, ListedState, Listing, job_of};
use crate::prune::plan::{Clock, PruneInputs};
use crate::retention::{DeleteReason, Guard, Verdict};
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

/// Snapshots that were not made by `CreateImage`, and that neither an image of the listing nor a row of the ledger has.
fn loose<'a>(listing: &'a Listing, known: &[KnownImage]) -> impl Iterator<Item = (&'a SnapshotId, &'a ListedSnapshot)> {
    let mapped = listing.images.values().flat_map(|image| &image.snapshots);
    let recorded = known.iter().flat_map(|image| &image.snapshots);
    let taken: BTreeSet<SnapshotId> = mapped.chain(recorded).cloned().collect();
    listing.snapshots.iter().filter(move |(id, snapshot)| snapshot.made_for().is_none() && !taken.contains(*id))
}

/// A verdict for each set. `over_limit`: the policies of which nothing is deleted.
pub(super) fn plan_sets(inputs: &PruneInputs<'_>, over_limit: &BTreeSet<PolicyName>) -> Vec<PrunedSet> {
    inputs.listings.iter().flat_map(|listing| plan_listing(inputs, listing, over_limit)).collect()
}

fn plan_listing(inputs: &PruneInputs<'_>, listing: &Listing, over_limit: &BTreeSet<PolicyName>) -> Vec<PrunedSet> {
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
            verdict: judge(inputs, listing, job, &snapshots, over_limit),
            snapshots: snapshots.into_iter().map(|(id, _)| id.clone()).collect(),
        })
    };
    by_job.into_iter().filter_map(set).collect()
}

/// Whether everything says that the job had it made.
fn is_of(job: &EndedJob, snapshot: &ListedSnapshot, listing: &Listing, inputs: &PruneInputs<'_>) -> bool {
    let is = |tag: &str, value: &str| snapshot.tags.get(tag).is_some_and(|found| found == value);
    job.account == listing.account
        && job.region == listing.region
        && is(tags::OWNER, inputs.policy_set.owner.as_str())
        && is(tags::INSTANCE, job.instance.as_str())
        && snapshot.description == job.snapshot_description
}

fn judge(
    inputs: &PruneInputs<'_>,
    listing: &Listing,
    job: &EndedJob,
    snapshots: &[(&SnapshotId, &ListedSnapshot)],
    over_limit: &BTreeSet<PolicyName>,
) -> Verdict {
    let begun = snapshots.iter().filter_map(|(_, it)| it.started_at).min().unwrap_or(job.finished_at);
    let mut guards = Vec::new();
    let newer = newer_success(inputs, listing, job, begun);
    if newer.is_none() {
        guards.push(Guard::NoNewerSuccess);
    }
    if !is_covered(inputs, job) {
        guards.push(Guard::PolicyGone);
    }
    if snapshots.iter().any(|(_, snapshot)| snapshot.is_pinned()) {
        guards.push(Guard::Pinned);
    }
    if let Some(pause) = pause_at(inputs.pauses, &job.policy, Some(&job.instance), inputs.now) {
        guards.push(Guard::Paused { pause: pause.to_string() });
    }
    if let Clock::Unsound { why } = inputs.clock {
        guards.push(Guard::Clock { why: why.clone() });
    }
    if over_limit.contains(&job.policy) {
        guards.push(Guard::MaxDeletes);
    }
    match newer.filter(|_| guards.is_empty()) {
        Some(by) => Verdict::Delete(DeleteReason::Superseded { by: by.to_string() }),
        None => Verdict::Held(guards),
    }
}

/// An image of the same series that counts, is there, and was captured later.
fn newer_success<'a>(
    inputs: &PruneInputs<'a>,
    listing: &Listing,
    job: &EndedJob,
    begun: Timestamp,
) -> Option<&'a ImageId> {
    let is_newer = |image: &&KnownImage| {
        let is_there = listing.images.get(&image.image).is_some_and(|it| it.state == ListedState::Available);
        let is_same = image.policy == job.policy && image.account == job.account && image.region == job.region;
        image.counts
            && is_there
            && is_same
            && image.instance == job.instance
            && image.captured_at.is_some_and(|at| begun < at && at <= inputs.now)
    };
    inputs.known.iter().find(is_newer).map(|image| &image.image)
}

/// Whether the policy is still in force where the job was.
fn is_covered(inputs: &PruneInputs<'_>, job: &EndedJob) -> bool {
    let Some(policy) = inputs.policy_set.policies.get(&job.policy) else { return false };
    let is_here = |rules: &AccountRules| rules.region == job.region;
    policy.accounts.iter().any(|name| {
        inputs.account_ids.get(name) == Some(&job.account) && inputs.policy_set.accounts.get(name).is_some_and(is_here)
    })
}
