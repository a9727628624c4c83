//! From rows of the ledger and the configuration in force to verdicts.

use std::collections::BTreeMap;

use amikeep_domain::grade::Grade;
use amikeep_domain::id::{AccountId, ImageId, InstanceId, PolicyName, Region};
use amikeep_domain::pause::{Pause, pause_at};
use amikeep_domain::policy::{Policy, PolicySet};
use amikeep_domain::retention::{
    Candidate, Guard, ImageFacts, Pin, Planned, Usage, Verdict, apply_guards, apply_image_guards, hold_all,
    plan_failed, plan_series, reach,
};
use amikeep_ledger::{ImageRow, ImageRowState};
use jiff::Timestamp;

use crate::image::{Image, Reason};
use crate::job::Volume;
use crate::text::Time;

type SeriesKey<'a> = (&'a PolicyName, &'a AccountId, &'a Region, &'a InstanceId);

/// The images that are there or should be, with their verdicts. Those that EC2 still makes, that failed before there was
/// an image to keep, or that are deleted, are left out. `rows` has whole series, since rules look at a series as a whole.
pub fn judge(rows: &[ImageRow], set: &PolicySet, pauses: &[Pause], now: Timestamp) -> Vec<Image> {
    let mut images = Vec::new();
    for (key, series) in group(rows) {
        let pause = pause_at(pauses, key.0, Some(key.3), now);
        let verdicts = verdicts(&series, set, pause, now);
        let listed = series.into_iter().filter(|row| is_listed(row.state));
        images.extend(listed.map(|row| of_row(row, verdicts.get(&row.image))));
    }
    images
}

/// How far back each rule reaches, in words, if the rows are one series of a policy that is configured.
pub fn reaches(rows: &[ImageRow], set: &PolicySet, now: Timestamp) -> Vec<String> {
    let mut series = group(rows).into_iter();
    let (Some((key, rows)), None) = (series.next(), series.next()) else { return Vec::new() };
    let Some(policy) = set.policies.get(key.0) else { return Vec::new() };
    let planned = plan_series(&candidates(&rows, is_counted), &policy.keep, policy.schedule.timezone(), now);
    reach(&planned, &policy.keep).iter().map(ToString::to_string).collect()
}

fn group(rows: &[ImageRow]) -> BTreeMap<SeriesKey<'_>, Vec<&ImageRow>> {
    let mut groups: BTreeMap<SeriesKey<'_>, Vec<&ImageRow>> = BTreeMap::new();
    for row in rows {
        groups.entry((&row.policy, &row.account, &row.region, &row.instance)).or_default().push(row);
    }
    groups
}

fn is_listed(state: ImageRowState) -> bool {
    match state {
        ImageRowState::Available | ImageRowState::Missing | ImageRowState::Deleting | ImageRowState::SnapshotsLeft => {
            true
        }
        ImageRowState::Pending | ImageRowState::Failed | ImageRowState::Deleted => false,
    }
}

fn is_counted(row: &ImageRow) -> bool {
    row.counts && row.state == ImageRowState::Available
}

/// Left behind by a job that failed.
fn is_leftover(row: &ImageRow) -> bool {
    !row.counts && row.state == ImageRowState::Available
}

fn candidates(series: &[&ImageRow], is_meant: fn(&ImageRow) -> bool) -> Vec<Candidate<ImageId>> {
    let time = |row: &ImageRow| row.captured_at.unwrap_or(row.first_seen_at);
    let candidate = |row: &&ImageRow| Candidate { id: row.image.clone(), captured_at: time(row) };
    series.iter().filter(|row| is_meant(row)).map(candidate).collect()
}

fn verdicts(
    series: &[&ImageRow],
    set: &PolicySet,
    pause: Option<&Pause>,
    now: Timestamp,
) -> BTreeMap<ImageId, Verdict> {
    let counted = candidates(series, is_counted);
    let leftover = candidates(series, is_leftover);
    let policy = series.first().and_then(|row| set.policies.get(&row.policy));
    let mut planned = match policy {
        Some(policy) => plan(series, &counted, &leftover, policy, set, now),
        None => hold_all(&[counted, leftover].concat(), &Guard::PolicyGone),
    };
    if let Some(pause) = pause {
        for image in &mut planned {
            image.hold(Guard::Paused { pause: pause.to_string() });
        }
    }
    planned.into_iter().map(|image| (image.id, image.verdict)).collect()
}

fn plan(
    series: &[&ImageRow],
    counted: &[Candidate<ImageId>],
    leftover: &[Candidate<ImageId>],
    policy: &Policy,
    set: &PolicySet,
    now: Timestamp,
) -> Vec<Planned<ImageId>> {
    let rows: BTreeMap<&ImageId, &ImageRow> = series.iter().map(|row| (&row.image, *row)).collect();
    let facts = |id: &ImageId| image_facts(rows.get(id).copied(), set);
    let mut planned = plan_series(counted, &policy.keep, policy.schedule.timezone(), now);
    apply_guards(&mut planned, facts);
    let mut failed = plan_failed(leftover, &planned);
    apply_image_guards(&mut failed, facts);
    planned.extend(failed);
    planned
}

fn image_facts(row: Option<&ImageRow>, set: &PolicySet) -> ImageFacts {
    // A class that is gone asks for the most a class can ask for, so that the image of that grade stays.
    let class = row.and_then(|row| set.classes.get(&row.class));
    ImageFacts {
        pin: if row.is_some_and(|row| row.pinned) { Pin::Pinned } else { Pin::Unpinned },
        // Nobody was asked, and "unknown" would hold every image and so say nothing.
        usage: Usage::Unused,
        grade: row.and_then(|row| row.grade),
        grade_asked: class.map_or(Grade::Clean, amikeep_domain::class::Class::required_grade),
    }
}

/// An image of the ledger, with its verdict.
pub(crate) fn of_row(row: &ImageRow, verdict: Option<&Verdict>) -> Image {
    let is_going = matches!(row.state, ImageRowState::Deleting | ImageRowState::SnapshotsLeft);
    let delete_reason = match verdict {
        Some(Verdict::Delete(reason)) => Some(reason.to_string()),
        _ => is_going.then(|| "its deletion is under way".to_owned()),
    };
    Image {
        image_id: row.image.to_string(),
        image_name: row.name.to_string(),
        job_id: row.job.to_string(),
        policy: row.policy.to_string(),
        account: row.account.to_string(),
        account_name: row.account_name.to_string(),
        region: row.region.to_string(),
        instance_id: row.instance.to_string(),
        class: row.class.to_string(),
        captured_at: row.captured_at.map(Time),
        grade: row.grade.map(Grade::as_str),
        volumes: row.volumes.iter().map(Volume::from).collect(),
        state: row.state.as_str(),
        pinned: row.pinned,
        verdict: verdict.map(Verdict::as_str).or(is_going.then_some("delete")),
        reasons: verdict.map(|it| it.reasons().iter().map(Reason::from).collect()).unwrap_or_default(),
        held_by: verdict.map(|it| it.held_by().iter().map(Guard::as_str).collect()).unwrap_or_default(),
        held_because: verdict.map(|it| it.held_by().iter().map(ToString::to_string).collect()).unwrap_or_default(),
        delete_reason,
    }
}
