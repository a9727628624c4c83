//! From listings and rows to a verdict for every image.
//!
//! The order of things: what a rule keeps is kept; what no rule keeps is proved to be ours; then the guards are asked, the
//! limit of deletions last. Each step can only hold more back. An image that nobody lists counts for nothing, so a listing
//! that lacks images can never make an older one superfluous, only the other way round.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::class::Class;
use crate::grade::Grade;
use crate::id::{AccountId, AccountName, ImageId, InstanceId, JobId, PolicyName, Region, SnapshotId};
use crate::pause::{Pause, pause_at};
use crate::policy::{Policy, PolicySet, saturating_add};
use crate::prune::listing::{EndedJob, KnownImage, KnownState, ListedImage, ListedState, Listing};
use crate::prune::owned::{NotProved, OurSnapshots, OwnedImage};
use crate::prune::sets::{PrunedSet, plan_sets, unknown_snapshots};
use crate::prune::strays::find_strays;
use crate::retention::{
    Candidate, DeleteLimit, DeleteReason, Guard, ImageFacts, OverLimit, Pin, Planned, Usage, Verdict, apply_guards,
    apply_image_guards, hold_all, hold_over_limit, plan_failed, plan_series,
};

/// How long the snapshots of an image are left that somebody else deregistered. Who did it by mistake finds them there,
/// and an image that lies in the Recycle Bin can be taken out again as long as its snapshots exist.
pub const MISSING_KEPT_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// All that a prune depends on.
#[derive(Debug, Clone, Copy)]
pub struct PruneInputs<'a> {
    /// The present moment.
    pub now: Timestamp,
    /// Whether `now` can be believed.
    pub clock: &'a Clock,
    /// What should be kept.
    pub policy_set: &'a PolicySet,
    /// The ids of the configured accounts, as far as they are known.
    pub account_ids: &'a BTreeMap<AccountName, AccountId>,
    /// The complete listings. Images elsewhere are not looked at.
    pub listings: &'a [Listing],
    /// The rows of the ledger for the places of the listings, but for those of images that are deleted.
    pub known: &'a [KnownImage],
    /// The jobs that have not ended.
    pub open_jobs: &'a BTreeSet<JobId>,
    /// The ended jobs of [`stray_jobs`](crate::prune::stray_jobs).
    pub ended_jobs: &'a BTreeMap<JobId, EndedJob>,
    /// What uses the images that would go; `None` if that was not asked yet, and then the plan is for [`wanted_usage`]
    /// alone.
    pub usage: Option<&'a BTreeMap<ImageId, Usage>>,
    /// What happened in the last 24 hours.
    pub day_counts: &'a BTreeMap<PolicyName, DayCounts>,
    /// What an operator let go beyond `max_deletes`.
    pub released: &'a Released,
    /// What is paused.
    pub pauses: &'a [Pause],
    /// Only this policy is of interest.
    pub only: Option<&'a PolicyName>,
}

/// What an operator let go beyond `max_deletes`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Released {
    /// Images.
    pub images: BTreeSet<ImageId>,
    /// Snapshots that no image has, by the jobs that asked for them.
    pub sets: BTreeSet<JobId>,
}

impl Released {
    /// How many deletions that is.
    pub fn len(&self) -> usize {
        self.images.len() + self.sets.len()
    }

    /// Whether it is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Whether the host's clock can be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clock {
    /// It agrees with EC2's, as far as EC2 told.
    Sound,
    /// It does not.
    Unsound {
        /// How that is known.
        why: String,
    },
}

/// What happened to the images of a policy in the last 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DayCounts {
    /// Deletions that were written down and not given up.
    pub deleted: u32,
    /// Images that succeeded.
    pub succeeded: u32,
}

/// One image and what becomes of it.
#[derive(Debug, Clone)]
pub struct PrunedImage {
    /// The image.
    pub known: KnownImage,
    /// What becomes of it.
    pub verdict: Verdict,
    /// The proof with which it can be deleted: there if and only if it is to be deleted now.
    pub target: Option<OwnedImage>,
    /// The ledger has no row of it yet: its job had given up when it appeared.
    pub is_stray: bool,
}

/// What becomes of every image.
#[derive(Debug, Clone, Default)]
pub struct PrunePlan {
    /// The images, by series and newest first.
    pub images: Vec<PrunedImage>,
    /// The policies of which more would be deleted than they allow.
    pub over_limit: Vec<(PolicyName, OverLimit)>,
    /// Snapshots that amikeep asked for by itself and that no image has.
    pub sets: Vec<PrunedSet>,
    /// Images that carry our owner tag and that the ledger knows nothing of. They are never touched.
    pub unknown: Vec<ImageId>,
    /// Snapshots that carry it, that no image has, and of whose job the ledger knows nothing. They are never touched.
    pub unknown_snapshots: Vec<SnapshotId>,
}

impl PrunePlan {
    /// What is to be deleted.
    pub fn targets(&self) -> impl Iterator<Item = (&PrunedImage, &OwnedImage)> {
        self.images.iter().filter_map(|image| Some((image, image.target.as_ref()?)))
    }

    /// The snapshots without an image that are to be deleted.
    pub fn sets_to_delete(&self) -> impl Iterator<Item = &PrunedSet> {
        self.sets.iter().filter(|set| matches!(set.verdict, Verdict::Delete(_)))
    }
}

/// The images that would go if nothing used them: what has to be asked before the plan is made.
pub fn wanted_usage(plan: &PrunePlan, listings: &[Listing]) -> BTreeMap<AccountName, Vec<ImageId>> {
    let mut wanted: BTreeMap<AccountName, Vec<ImageId>> = BTreeMap::new();
    for (_, target) in plan.targets() {
        let listing = listings.iter().find(|listing| listing.images.contains_key(target.image()));
        if let Some(listing) = listing {
            wanted.entry(listing.account_name.clone()).or_default().push(target.image().clone());
        }
    }
    wanted
}

pub(super) type SeriesKey<'a> = (&'a PolicyName, &'a AccountId, &'a Region, &'a InstanceId);

/// Plans. See the module.
pub fn plan_prune(inputs: &PruneInputs<'_>) -> PrunePlan {
    let strays = find_strays(inputs);
    let mut series: BTreeMap<SeriesKey<'_>, Vec<&KnownImage>> = BTreeMap::new();
    for image in inputs.known.iter().chain(&strays.images) {
        if inputs.only.is_none_or(|only| *only == image.policy) {
            let key = (&image.policy, &image.account, &image.region, &image.instance);
            series.entry(key).or_default().push(image);
        }
    }
    let owner = &inputs.policy_set.owner;
    let places: Vec<Place<'_>> =
        inputs.listings.iter().map(|listing| Place { listing, ours: OurSnapshots::of(listing, owner) }).collect();
    let mut images = Vec::new();
    for (key, rows) in series {
        if let Some(place) = places.iter().find(|it| it.listing.account == *key.1 && it.listing.region == *key.2) {
            images.extend(judge_series(inputs, place, key, &rows));
        }
    }
    let mut sets = plan_sets(inputs);
    let over_limit = if inputs.usage.is_some() { apply_limits(inputs, &mut images, &mut sets) } else { Vec::new() };
    PrunePlan {
        images: images.into_iter().map(|image| image.finish(&strays.images)).collect(),
        over_limit,
        sets,
        unknown: strays.unknown,
        unknown_snapshots: unknown_snapshots(inputs),
    }
}

/// One account and region, and which of its snapshots are ours.
struct Place<'a> {
    listing: &'a Listing,
    ours: OurSnapshots<'a>,
}

/// An image on its way to a verdict.
struct Judged<'a> {
    known: &'a KnownImage,
    planned: Planned<ImageId>,
    proof: Result<OwnedImage, NotProved>,
}

impl Judged<'_> {
    fn finish(self, strays: &[KnownImage]) -> PrunedImage {
        let is_stray = strays.as_ptr_range().contains(&std::ptr::from_ref(self.known));
        let target = match &self.planned.verdict {
            Verdict::Delete(DeleteReason::UnderWay) | Verdict::Keep(_) | Verdict::Held(_) => None,
            Verdict::Delete(_) => self.proof.ok(),
        };
        PrunedImage { known: self.known.clone(), verdict: self.planned.verdict, target, is_stray }
    }
}

/// How an image takes part in its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// It counts for the rules.
    Counts,
    /// It never counts: its job failed, or EC2 reports it failed.
    Failed,
    /// A complete listing does not contain it.
    Missing,
    /// Nothing is decided about it yet.
    Unfinished,
    /// It is being deleted.
    Going,
    /// Somebody disabled it.
    Disabled,
}

fn part(image: &KnownImage, listing: &Listing, inputs: &PruneInputs<'_>) -> Part {
    let listed = listing.images.get(&image.image).map(|it| it.state);
    match (image.state, listed) {
        (KnownState::Going, _) => Part::Going,
        _ if inputs.open_jobs.contains(&image.job) => Part::Unfinished,
        (_, Some(ListedState::Disabled)) => Part::Disabled,
        (_, Some(ListedState::Pending)) | (KnownState::Pending, None) => Part::Unfinished,
        (_, Some(ListedState::Available)) if image.counts => Part::Counts,
        (_, Some(ListedState::Available | ListedState::Failed)) | (KnownState::Failed, None) => Part::Failed,
        (KnownState::Available | KnownState::Missing, None) => Part::Missing,
    }
}

fn judge_series<'a>(
    inputs: &PruneInputs<'_>,
    place: &Place<'_>,
    key: SeriesKey<'_>,
    rows: &[&'a KnownImage],
) -> Vec<Judged<'a>> {
    let listing = place.listing;
    let by_id: BTreeMap<&ImageId, &'a KnownImage> = rows.iter().map(|row| (&row.image, *row)).collect();
    let parts: BTreeMap<&ImageId, Part> = rows.iter().map(|row| (&row.image, part(row, listing, inputs))).collect();
    let candidates = |wanted: &[Part]| -> Vec<Candidate<ImageId>> {
        let chosen = rows.iter().filter(|row| wanted.contains(&parts[&row.image]));
        chosen.map(|row| candidate(row, listing)).collect()
    };
    let facts = |id: &ImageId| facts(inputs, place, by_id.get(id).copied());
    let mut planned = match policy_of(inputs, key) {
        Some(policy) => {
            let timezone = policy.schedule.timezone();
            let mut planned = plan_series(&candidates(&[Part::Counts]), &policy.keep, timezone, inputs.now);
            apply_guards(&mut planned, facts);
            let mut failed = plan_failed(&candidates(&[Part::Failed, Part::Missing]), &planned);
            apply_image_guards(&mut failed, facts);
            for image in &mut failed {
                if parts[&image.id] == Part::Missing {
                    judge_missing(image, by_id[&image.id], inputs.now);
                }
            }
            planned.extend(failed);
            planned
        }
        None => hold_all(&candidates(&[Part::Counts, Part::Failed, Part::Missing]), &Guard::PolicyGone),
    };
    planned.extend(hold_all(&candidates(&[Part::Unfinished]), &Guard::Unfinished));
    let disabled = Guard::NotProved { why: NotProved::Disabled.to_string() };
    planned.extend(hold_all(&candidates(&[Part::Disabled]), &disabled));
    planned.extend(candidates(&[Part::Going]).into_iter().map(under_way));
    let judged = planned.into_iter().filter_map(|image| {
        let known = by_id.get(&image.id).copied()?;
        let proof = OwnedImage::prove_with(known, listing, &inputs.policy_set.owner, &place.ours);
        Some(Judged { known, planned: image, proof })
    });
    let mut judged: Vec<Judged<'a>> = judged.collect();
    hold_back(inputs, listing, key, &mut judged);
    judged
}

fn candidate(row: &KnownImage, listing: &Listing) -> Candidate<ImageId> {
    Candidate { id: row.image.clone(), captured_at: time_of(row, listing) }
}

/// The images of a series that count for its rules.
pub(super) fn counting(inputs: &PruneInputs<'_>, listing: &Listing, key: SeriesKey<'_>) -> Vec<Candidate<ImageId>> {
    let is_counting = |row: &&KnownImage| {
        key == (&row.policy, &row.account, &row.region, &row.instance) && part(row, listing, inputs) == Part::Counts
    };
    inputs.known.iter().filter(is_counting).map(|row| candidate(row, listing)).collect()
}

fn under_way(image: Candidate<ImageId>) -> Planned<ImageId> {
    let verdict = Verdict::Delete(DeleteReason::UnderWay);
    Planned { id: image.id, captured_at: image.captured_at, verdict }
}

/// The policy of a series, if it still covers the place the images are in.
pub(super) fn policy_of<'a>(inputs: &PruneInputs<'a>, key: SeriesKey<'_>) -> Option<&'a Policy> {
    let policy = inputs.policy_set.policies.get(key.0)?;
    let is_here = |name: &AccountName| {
        let region = inputs.policy_set.accounts.get(name).map(|rules| &rules.region);
        inputs.account_ids.get(name) == Some(key.1) && region == Some(key.2)
    };
    policy.accounts.iter().any(is_here).then_some(policy)
}

/// The time of an image: the earliest start of its snapshots, which the ledger noted, else when it was asked for.
fn time_of(row: &KnownImage, listing: &Listing) -> Timestamp {
    let created_at = listing.images.get(&row.image).and_then(|image| image.created_at);
    row.captured_at.or(created_at).unwrap_or(row.first_seen_at)
}

fn facts(inputs: &PruneInputs<'_>, place: &Place<'_>, row: Option<&KnownImage>) -> ImageFacts {
    let listed = row.and_then(|row| place.listing.images.get(&row.image));
    // What was not asked about is not held here, where that would put a guard before images that nobody wants to delete,
    // but below, where it is known that they are to go.
    let usage = row.and_then(|row| inputs.usage?.get(&row.image).cloned()).unwrap_or(Usage::Unused);
    let has_pinned = row.is_some_and(|row| place.ours.of_image(row).any(|(_, snapshot)| snapshot.is_pinned()));
    let is_pinned = has_pinned || listed.map_or_else(|| row.is_some_and(|row| row.pinned), ListedImage::is_pinned);
    // A class that is gone asks for the most that a class can ask for, so that the image of that grade stays.
    let class = row.and_then(|row| inputs.policy_set.classes.get(&row.class));
    ImageFacts {
        pin: if is_pinned { Pin::Pinned } else { Pin::Unpinned },
        usage,
        grade: row.and_then(|row| row.grade),
        grade_asked: class.map_or(Grade::Clean, Class::required_grade),
    }
}

fn judge_missing(image: &mut Planned<ImageId>, row: &KnownImage, now: Timestamp) {
    if matches!(image.verdict, Verdict::Delete(_)) {
        image.verdict = Verdict::Delete(DeleteReason::Abandoned { last_seen_at: row.last_seen_at });
    }
    // An absence that was never written down begins now: the last complete listing may be long ago.
    let until = saturating_add(row.missing_since.unwrap_or(now), MISSING_KEPT_FOR);
    if now < until {
        image.hold(Guard::Missing { until });
    }
}

/// The guards that look beyond the series: the proof, an answer about its use, pauses, and the clock. Nothing can be
/// launched from an image that is not listed, so its use is not asked.
fn hold_back(inputs: &PruneInputs<'_>, listing: &Listing, key: SeriesKey<'_>, images: &mut [Judged<'_>]) {
    let pause = pause_at(inputs.pauses, key.0, Some(key.3), inputs.now);
    for image in images {
        if matches!(image.planned.verdict, Verdict::Delete(DeleteReason::UnderWay)) {
            continue;
        }
        let is_told = image.planned.verdict.held_by().iter().any(|guard| matches!(guard, Guard::NotProved { .. }));
        if let Some(problem) = image.proof.as_ref().err().filter(|_| !is_told) {
            image.planned.hold(Guard::NotProved { why: problem.to_string() });
        }
        if let Some(pause) = pause {
            image.planned.hold(Guard::Paused { pause: pause.to_string() });
        }
        if let Clock::Unsound { why } = inputs.clock {
            image.planned.hold(Guard::Clock { why: why.clone() });
        }
        // What something else holds was not asked about either, and nobody needs to hear of that.
        let id = &image.planned.id;
        let is_asked = inputs.usage.is_none_or(|usage| usage.contains_key(id)) || !listing.images.contains_key(id);
        if !is_asked && matches!(image.planned.verdict, Verdict::Delete(_)) {
            image.planned.hold(Guard::InUseUnknown { why: "it was not asked".to_owned() });
        }
    }
}

/// Holds what is more than a policy allows; what an operator released is let go beyond it.
fn apply_limits(
    inputs: &PruneInputs<'_>,
    images: &mut [Judged<'_>],
    sets: &mut [PrunedSet],
) -> Vec<(PolicyName, OverLimit)> {
    let mut over_limit = Vec::new();
    let of_images = images.iter().map(|image| &image.known.policy);
    let policies: BTreeSet<PolicyName> = of_images.chain(sets.iter().map(|set| &set.policy)).cloned().collect();
    for name in policies {
        let counts = inputs.day_counts.get(&name).copied().unwrap_or_default();
        let configured = inputs.policy_set.policies.get(&name).and_then(|policy| policy.max_deletes);
        let max_deletes = configured.unwrap_or_else(|| DeleteLimit::default_max(counts.succeeded));
        let limit = DeleteLimit { max_deletes, deleted: counts.deleted };
        let is_meant = |image: &&mut Judged<'_>| {
            let is_new = image.planned.verdict != Verdict::Delete(DeleteReason::UnderWay);
            image.known.policy == name && is_new && !inputs.released.images.contains(&image.known.image)
        };
        let of_images = images.iter_mut().filter(is_meant).map(|image| &mut image.planned.verdict);
        let is_meant = |set: &&mut PrunedSet| set.policy == name && !inputs.released.sets.contains(&set.job);
        let of_sets = sets.iter_mut().filter(is_meant).map(|set| &mut set.verdict);
        if let Err(over) = hold_over_limit(of_images.chain(of_sets), limit) {
            over_limit.push((name, over));
        }
    }
    over_limit
}
