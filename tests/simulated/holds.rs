//! What must hold of instances that were held still, whatever went wrong with it: asked of the machine and the simulated
//! EC2, which know what really happened.

use std::collections::{BTreeMap, BTreeSet};

use amikeep_domain::grade::Grade;
use amikeep_domain::id::{ImageId, JobId, SnapshotId};
use amikeep_domain::job::{Job, JobState};
use amikeep_domain::tags;
use amikeep_ec2_sim::{Resource, ResourceRecord};
use amikeep_ledger::ImageRowState;
use jiff::{SignedDuration, Timestamp};

use crate::simulated::held::{BY_SNAPSHOTS, DEVICE, Machine};
use crate::simulated::house::House;

/// How long a hold that is over may stay on record as if it were under way. It does where the ledger could not be told, and
/// is looked at again some seconds later, and less and less often.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_mins(40);

/// The holds on record of which the ledger says that they are under way, with the time at which that was seen first.
pub(crate) type UnderWay = BTreeMap<JobId, Timestamp>;

/// What must hold whenever the engine rests: nothing is frozen but what is on record, and what is on record as under way,
/// although nothing is, is looked at again.
pub(crate) async fn audit_rest(house: &House, machine: &Machine, under_way: &mut UnderWay) {
    let holds = house.reader().await.open_holds().await.unwrap();
    let now = house.now();
    under_way.retain(|job, _| holds.iter().any(|(of, record)| of == job && record.left.is_empty()));
    for (job, record) in holds.iter().filter(|(_, record)| record.left.is_empty()) {
        let since = *under_way.entry(*job).or_insert(now);
        if FORGOTTEN_AFTER < now.duration_since(since) {
            let events = house.reader().await.events(*job).await.unwrap();
            panic!("the hold of job {job} is over, and forgotten: {record:?} {events:#?}");
        }
    }
    if let Some(job) = machine.frozen_by() {
        let is_known = holds.iter().any(|(of, _)| of.to_string() == job);
        assert!(is_known, "frozen by job {job}, and on record are {holds:?}");
    }
}

/// What must hold of what was asked for in holds, `in_holds` times for each job, and of what was said of it.
pub(crate) async fn audit_holds(house: &House, machine: &Machine, in_holds: &BTreeMap<String, usize>) {
    let runs = machine.log();
    let count = |command: &str, job: &str| runs.get(&(command.to_owned(), job.to_owned())).copied().unwrap_or(0);
    for (job, asked) in in_holds {
        let frozen = count("freeze", job);
        assert!(*asked <= frozen, "job {job} was asked for {asked} times in {frozen} holds");
    }
    for job in house.jobs().await {
        audit_grades(&job, machine);
    }
}

/// Each volume that is said to be consistent was frozen by a hold of its own job when its contents were fixed, and no other
/// volume is said to be.
fn audit_grades(job: &Job, machine: &Machine) {
    let JobState::Succeeded { image, .. } = &job.state else { return };
    let held = job.intent.as_ref().is_some_and(|intent| intent.hold.is_some());
    if !held {
        return;
    }
    for volume in &image.volumes {
        let (Some(snapshot), Some(grade)) = (&volume.snapshot, volume.grade) else { continue };
        if Grade::Crash < grade {
            let hold = machine.hold_of(snapshot);
            let by_own = hold.as_ref().is_some_and(|hold| hold.split_whitespace().next() == Some(&job.id.to_string()));
            assert!(by_own, "{snapshot} of job {} is said to be {grade}, and was frozen by {hold:?}", job.id);
            assert_eq!(volume.device, DEVICE, "{volume:?}");
        }
    }
}

/// What must hold at the end, after quiet nights: nothing is frozen or on record, and whatever was stopped before a hold
/// was started again after it. Says how many holds were proved.
pub(crate) async fn check_end(house: &House, machine: &Machine) -> u64 {
    assert_eq!(machine.frozen_by(), None);
    assert_eq!(house.reader().await.open_holds().await.unwrap(), []);
    let runs = machine.log();
    for (command, job) in runs.keys() {
        let is_ended = runs.contains_key(&("post".to_owned(), job.clone()));
        assert!(command != "pre" || is_ended, "what was stopped for job {job} was never started again: {runs:?}");
    }
    let jobs = house.jobs().await;
    let proved = jobs
        .iter()
        .filter(|job| matches!(&job.state, JobState::Succeeded { image, .. } if image.volumes.iter().any(is_proved)));
    u64::try_from(proved.count()).unwrap()
}

fn is_proved(volume: &amikeep_domain::job::CapturedVolume) -> bool {
    volume.grade == Some(Grade::Filesystem)
}

/// The images that are there and were registered from snapshots, with the snapshots that they consist of as the ledger
/// knows them: the newest of their policy, and each of its job alone.
pub(crate) async fn check_registered(house: &House, kept: usize) -> BTreeSet<SnapshotId> {
    let is_there =
        |it: &ResourceRecord| it.removed_at.is_none() && it.tags.get(tags::CLASS).is_some_and(|it| it == BY_SNAPSHOTS);
    let there = house.world.resources().into_iter().filter(is_there);
    let there: BTreeSet<ImageId> = there
        .filter_map(|it| match it.resource {
            Resource::Image(id) => Some(id),
            _ => None,
        })
        .collect();
    let mut rows: Vec<_> =
        house.images().await.into_iter().filter(|row| row.class.as_str() == BY_SNAPSHOTS && row.counts).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.captured_at));
    let newest: BTreeSet<ImageId> = rows.iter().take(kept).map(|row| row.image.clone()).collect();
    assert_eq!(there, newest);
    let available = rows.iter().filter(|row| row.state == ImageRowState::Available);
    available.flat_map(|row| &row.volumes).filter_map(|it| it.snapshot.clone()).collect()
}
