//! A small world to prune, and how its verdicts read. The tests are in the modules below.

mod deletion;
mod laws;
mod lost;
mod proof;
mod sets;
mod strays;
mod verdicts;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::fixture::{account_id, at, instance_id, policy, policy_set};
use crate::grade::Grade;
use crate::id::{AccountName, ImageId, InstanceId, JobId, PolicyName, SnapshotId};
use crate::pause::{Pause, PauseScope};
use crate::policy::{Policy, PolicySet};
use crate::retention::{Usage, Verdict};
use crate::tags;

fn account_name() -> AccountName {
    "default".parse().unwrap()
}

fn name(text: &str) -> PolicyName {
    text.parse().unwrap()
}

fn image_id(n: u32) -> ImageId {
    format!("ami-{n:017}").parse().unwrap()
}

fn snapshot_id(n: u32) -> SnapshotId {
    format!("snap-{n:017}").parse().unwrap()
}

fn job_of_image(n: u32) -> JobId {
    let mut random = [0; 10];
    random[6..].copy_from_slice(&n.to_be_bytes());
    JobId::new(at("2026-11-01T00:00:00Z"), random)
}

fn days(n: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * n)
}

/// The tags of an image or a snapshot of that job.
fn our_tags(job: JobId, policy: &PolicyName, instance: &InstanceId) -> BTreeMap<String, String> {
    let tags = [
        (tags::OWNER, "test".to_owned()),
        (tags::JOB, job.to_string()),
        (tags::POLICY, policy.to_string()),
        (tags::INSTANCE, instance.to_string()),
    ];
    tags.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// An image that is in the ledger and in EC2, with one snapshot.
#[derive(Debug, Clone)]
struct Image {
    known: KnownImage,
    listed: ListedImage,
    snapshot: ListedSnapshot,
}

/// Image `n` of instance 1 of the policy `nightly`, available and graded `clean`.
fn image(n: u32, captured_at: Timestamp) -> Image {
    image_of(n, captured_at, &name("nightly"), &instance_id(1))
}

fn image_of(n: u32, captured_at: Timestamp, policy: &PolicyName, instance: &InstanceId) -> Image {
    let job = job_of_image(n);
    let image_name = format!("amikeep-test-{policy}-{instance}-{n}");
    let tags = our_tags(job, policy, instance);
    let known = KnownImage {
        image: image_id(n),
        name: image_name.clone(),
        job,
        policy: policy.clone(),
        account: account_id(),
        account_name: account_name(),
        region: "eu-central-1".parse().unwrap(),
        instance: instance.clone(),
        class: "production-database".parse().unwrap(),
        captured_at: Some(captured_at),
        grade: Some(Grade::Clean),
        snapshots: vec![snapshot_id(n)],
        state: KnownState::Available,
        counts: true,
        pinned: false,
        missing_since: Some(captured_at),
        first_seen_at: captured_at,
        last_seen_at: captured_at,
    };
    let listed = ListedImage {
        state: ListedState::Available,
        name: image_name,
        created_at: Some(captured_at),
        source_instance: Some(instance.clone()),
        snapshots: vec![snapshot_id(n)],
        tags: tags.clone(),
    };
    let snapshot = ListedSnapshot {
        started_at: Some(captured_at),
        description: format!("Created by CreateImage({instance}) for {}", image_id(n)),
        tags,
    };
    Image { known, listed, snapshot }
}

/// Everything that a prune depends on.
#[derive(Debug, Clone)]
struct World {
    now: Timestamp,
    clock: Clock,
    policy_set: PolicySet,
    account_ids: BTreeMap<AccountName, crate::id::AccountId>,
    listing: Listing,
    known: Vec<KnownImage>,
    open_jobs: BTreeSet<JobId>,
    ended_jobs: BTreeMap<JobId, EndedJob>,
    /// What uses images; nothing uses the others.
    uses: BTreeMap<ImageId, Usage>,
    day_counts: BTreeMap<PolicyName, DayCounts>,
    released: Released,
    pauses: Vec<Pause>,
    /// The policy that is pruned alone.
    only: Option<PolicyName>,
}

impl World {
    /// The policy `nightly` with this `keep`, and nothing made by it yet. It is half past two on 22 November 2026.
    fn new(keep: &str) -> Self {
        let now = at("2026-11-22T02:30:00Z");
        let listing = Listing {
            account: account_id(),
            account_name: account_name(),
            region: "eu-central-1".parse().unwrap(),
            began_at: now,
            images: BTreeMap::new(),
            snapshots: BTreeMap::new(),
        };
        Self {
            now,
            clock: Clock::Sound,
            policy_set: policy_set(vec![Policy { keep: keep.parse().unwrap(), ..policy("nightly") }]),
            account_ids: BTreeMap::from([(account_name(), account_id())]),
            listing,
            known: Vec::new(),
            open_jobs: BTreeSet::new(),
            ended_jobs: BTreeMap::new(),
            uses: BTreeMap::new(),
            day_counts: BTreeMap::new(),
            released: Released::default(),
            pauses: Vec::new(),
            only: None,
        }
    }

    /// One image for each of the last `n` nights up to the 22nd, numbered by their day: 22 is the newest.
    fn with_nights(mut self, n: u32) -> Self {
        for day in 23 - n..=22 {
            self.add(image(day, at(&format!("2026-11-{day:02}T02:00:05Z"))));
        }
        self
    }

    fn add(&mut self, image: Image) {
        for id in &image.listed.snapshots {
            self.listing.snapshots.insert(id.clone(), image.snapshot.clone());
        }
        self.listing.images.insert(image.known.image.clone(), image.listed);
        self.known.push(image.known);
    }

    fn row(&mut self, n: u32) -> &mut KnownImage {
        self.known.iter_mut().find(|row| row.image == image_id(n)).unwrap()
    }

    fn listed(&mut self, n: u32) -> &mut ListedImage {
        self.listing.images.get_mut(&image_id(n)).unwrap()
    }

    /// EC2 has no such image any more; its snapshots are still there.
    fn deregister(&mut self, n: u32) {
        self.listing.images.remove(&image_id(n)).unwrap();
    }

    fn policy(&mut self) -> &mut Policy {
        self.policy_set.policies.get_mut(&name("nightly")).unwrap()
    }

    fn plan_with(&self, usage: Option<&BTreeMap<ImageId, Usage>>) -> PrunePlan {
        plan_prune(&PruneInputs {
            now: self.now,
            clock: &self.clock,
            policy_set: &self.policy_set,
            account_ids: &self.account_ids,
            listings: std::slice::from_ref(&self.listing),
            known: &self.known,
            open_jobs: &self.open_jobs,
            ended_jobs: &self.ended_jobs,
            usage,
            day_counts: &self.day_counts,
            released: &self.released,
            pauses: &self.pauses,
            only: self.only.as_ref(),
        })
    }

    /// What EC2 answers when it is asked about the images that would go.
    fn answers(&self) -> BTreeMap<ImageId, Usage> {
        let wanted = wanted_usage(&self.plan_with(None), std::slice::from_ref(&self.listing));
        let wanted = wanted.into_values().flatten();
        wanted.map(|id| (id.clone(), self.uses.get(&id).cloned().unwrap_or(Usage::Unused))).collect()
    }

    /// Plans as a prune does: first to learn what to ask, then with the answers.
    fn plan(&self) -> PrunePlan {
        self.plan_with(Some(&self.answers()))
    }

    /// Every image with its verdict, and the policies that are over their limit.
    fn table(&self) -> String {
        let plan = self.plan();
        let images = plan.images.iter().map(|image| format!("{} {}\n", short(&image.known.image), verdict(image)));
        let over = plan.over_limit.iter().map(|(policy, over)| format!("{policy}: {over}\n"));
        let unknown = plan.unknown.iter().map(|id| format!("{} is unknown\n", short(id)));
        images.chain(over).chain(unknown).collect()
    }

    /// The numbers of the images that go.
    fn goes(&self) -> Vec<u32> {
        let mut gone: Vec<u32> = self.plan().targets().map(|(_, target)| number(target.image())).collect();
        gone.sort_unstable();
        gone
    }

    /// The snapshots that go with an image.
    fn snapshots_that_go_with(&self, n: u32) -> Vec<SnapshotId> {
        let plan = self.plan();
        let target = plan.targets().find(|(_, target)| *target.image() == image_id(n));
        target.map(|(_, target)| target.snapshots().to_vec()).unwrap_or_default()
    }

    /// The guards before one image.
    fn held_by(&self, n: u32) -> String {
        let plan = self.plan();
        let image = plan.images.iter().find(|image| image.known.image == image_id(n)).unwrap();
        assert!(image.target.is_none(), "{}", verdict(image));
        verdict(image)
    }

    /// Does what the plan says: images and snapshots are gone, and so are their rows.
    fn carry_out(&mut self, plan: &PrunePlan) {
        for (image, target) in plan.targets() {
            self.listing.images.remove(target.image());
            self.listing.snapshots.retain(|id, _| !target.snapshots().contains(id));
            self.known.retain(|row| row.image != *target.image());
            self.day_counts.entry(image.known.policy.clone()).or_default().deleted += 1;
        }
    }
}

fn number(id: &ImageId) -> u32 {
    id.as_str().trim_start_matches("ami-").parse().unwrap()
}

fn short(id: &ImageId) -> String {
    format!("#{}", number(id))
}

fn verdict(image: &PrunedImage) -> String {
    let why: Vec<String> = match &image.verdict {
        Verdict::Keep(reasons) => reasons.iter().map(ToString::to_string).collect(),
        Verdict::Delete(reason) => vec![reason.to_string()],
        Verdict::Held(guards) => guards.iter().map(ToString::to_string).collect(),
    };
    format!("{}: {}", image.verdict.as_str(), why.join(" + "))
}

fn pause(scope: PauseScope) -> Pause {
    Pause {
        id: "0193509f-6e00-7c3a-9b1e-5d2f8a4c6e10".parse().unwrap(),
        scope,
        since: at("2026-11-22T01:00:00Z"),
        until: None,
        reason: None,
        ended_at: None,
    }
}
