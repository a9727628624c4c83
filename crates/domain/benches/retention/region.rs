//! A whole prune: proofs, strays, rules, guards and the limit of deletions, over one region with 50,000 images, which is
//! the most that EC2 allows ("Amazon Machine Image quotas" in the EC2 User Guide).

use std::collections::{BTreeMap, BTreeSet};

use amikeep_domain::class::built_in;
use amikeep_domain::grade::Grade;
use amikeep_domain::id::{AccountName, ImageId, InstanceId, JobId, SnapshotId};
use amikeep_domain::policy::{AccountRules, Enabled, Policy, PolicySet, Selector};
use amikeep_domain::prune::{
    Clock, DayCounts, KnownImage, KnownState, ListedImage, ListedSnapshot, ListedState, Listing, PruneInputs, Released,
    plan_prune, wanted_usage,
};
use amikeep_domain::retention::Usage;
use amikeep_domain::schedule::Schedule;
use amikeep_domain::tags;
use jiff::{SignedDuration, Timestamp};

use crate::figure::{self, Stopwatch};

const SERIES: u32 = 500;
const IMAGES: u32 = 100;

/// Both passes of a prune: for what is to be asked about, and with the answers.
pub(crate) fn measure(now: Timestamp) {
    let policy_set = policy_set();
    let (listing, known) = region(now);
    let listings = [listing];
    let counts = DayCounts { deleted: 0, succeeded: SERIES };
    let inputs = PruneInputs {
        now,
        clock: &Clock::Sound,
        policy_set: &policy_set,
        account_ids: &BTreeMap::from([(account_name(), parsed("111122223333"))]),
        listings: &listings,
        known: &known,
        open_jobs: &BTreeSet::new(),
        ended_jobs: &BTreeMap::new(),
        usage: None,
        day_counts: &BTreeMap::from([(parsed("nightly"), counts)]),
        released: &Released::default(),
        pauses: &[],
        only: None,
    };
    let stopwatch = Stopwatch::start();
    let asked: Vec<ImageId> = wanted_usage(&plan_prune(&inputs), &listings).into_values().flatten().collect();
    let usage: BTreeMap<ImageId, Usage> = asked.into_iter().map(|image| (image, Usage::Unused)).collect();
    let plan = plan_prune(&PruneInputs { usage: Some(&usage), ..inputs });
    let took = stopwatch.elapsed();
    assert!(!usage.is_empty(), "a prune in which nothing goes measures nothing");
    assert_eq!(plan.images.len(), (SERIES * IMAGES) as usize, "an image without a verdict");
    figure::print("a whole prune of 50,000 images", took.as_secs_f64(), "s");
}

fn policy_set() -> PolicySet {
    let policy = Policy {
        name: parsed("nightly"),
        accounts: vec![account_name()],
        class: parsed("production-database"),
        schedule: Schedule::parse("0 2 * * *", "Europe/Berlin").expect("a schedule"),
        jitter: SignedDuration::ZERO,
        start_within: SignedDuration::from_hours(6),
        enabled: Enabled::Yes,
        select: Selector::default(),
        class_tag_allows: BTreeSet::new(),
        copy_tags: Vec::new(),
        keep: parsed("last=3,daily=7,weekly=4,monthly=12"),
        tags: BTreeMap::new(),
        deadline: SignedDuration::from_hours(24),
        max_deletes: None,
    };
    let visibility_lag = SignedDuration::from_mins(5);
    let rules = AccountRules { region: parsed("eu-central-1"), expected_id: None, visibility_lag };
    PolicySet {
        owner: parsed("bench"),
        policies: BTreeMap::from([(policy.name.clone(), policy)]),
        classes: built_in(),
        freezes: BTreeMap::new(),
        accounts: BTreeMap::from([(account_name(), rules)]),
        prune_schedule: Schedule::parse("30 * * * *", "UTC").expect("a schedule"),
        history_keep: SignedDuration::from_hours(400 * 24),
    }
}

/// Every image with two snapshots, as EC2 lists it and as the ledger knows it.
fn region(now: Timestamp) -> (Listing, Vec<KnownImage>) {
    let mut listing = Listing {
        account: parsed("111122223333"),
        account_name: account_name(),
        region: parsed("eu-central-1"),
        began_at: now,
        images: BTreeMap::new(),
        snapshots: BTreeMap::new(),
    };
    let mut known = Vec::new();
    for series in 0..SERIES {
        for night in 0..IMAGES {
            let captured_at = now - SignedDuration::from_hours(24 * i64::from(night) + 1);
            known.push(add_image(&mut listing, series, series * IMAGES + night, captured_at));
        }
    }
    (listing, known)
}

fn add_image(listing: &mut Listing, series: u32, n: u32, captured_at: Timestamp) -> KnownImage {
    let instance: InstanceId = parsed(&format!("i-{series:017x}"));
    let image: ImageId = parsed(&format!("ami-{n:017x}"));
    let mut random = [0; 10];
    random[6..].copy_from_slice(&n.to_be_bytes());
    let job = JobId::new(captured_at, random);
    let name = format!("amikeep-bench-nightly-{instance}-{n}");
    let tags = BTreeMap::from([
        (tags::OWNER.to_owned(), "bench".to_owned()),
        (tags::JOB.to_owned(), job.to_string()),
        (tags::POLICY.to_owned(), "nightly".to_owned()),
        (tags::INSTANCE.to_owned(), instance.to_string()),
    ]);
    let snapshots: Vec<SnapshotId> = (0..2).map(|volume| parsed(&format!("snap-{:017x}", 2 * n + volume))).collect();
    for snapshot in &snapshots {
        let listed = ListedSnapshot {
            started_at: Some(captured_at),
            description: format!("Created by CreateImage({instance}) for {image}"),
            tags: tags.clone(),
        };
        listing.snapshots.insert(snapshot.clone(), listed);
    }
    let listed = ListedImage {
        state: ListedState::Available,
        name: name.clone(),
        created_at: Some(captured_at),
        source_instance: Some(instance.clone()),
        snapshots: snapshots.clone(),
        tags,
    };
    listing.images.insert(image.clone(), listed);
    KnownImage {
        image,
        name,
        job,
        policy: parsed("nightly"),
        account: listing.account.clone(),
        account_name: account_name(),
        region: listing.region.clone(),
        instance,
        class: parsed("production-database"),
        captured_at: Some(captured_at),
        grade: Some(Grade::Clean),
        snapshots,
        state: KnownState::Available,
        counts: true,
        pinned: false,
        missing_since: None,
        first_seen_at: captured_at,
        last_seen_at: captured_at,
    }
}

fn account_name() -> AccountName {
    parsed("default")
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a text of this benchmark")
}
