//! What the rules say of everything that ever succeeded, computed from the world alone: a second way to the verdicts that
//! the engine came to, night by night, from its ledger.

use std::collections::{BTreeMap, BTreeSet};

use amikeep_domain::id::ImageId;
use amikeep_domain::job::JobState;
use amikeep_domain::retention::{Candidate, Verdict, plan_series};
use amikeep_ec2_sim::ImageRecord;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::simulated::house::House;

/// The images of one series that ever succeeded, with the rules of its policy.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// Its `keep`, as `amikeep simulate` takes it.
    pub(crate) keep: String,
    /// The zone of its schedule.
    pub(crate) timezone: String,
    /// The images, oldest first, each with the earliest start of its snapshots.
    pub(crate) images: Vec<(ImageId, Timestamp)>,
}

impl Series {
    /// What the rules keep when they are applied once, to everything.
    pub(crate) fn kept(&self) -> BTreeSet<ImageId> {
        let images = self.images.iter();
        let candidates: Vec<Candidate<ImageId>> =
            images.map(|(id, captured_at)| Candidate { id: id.clone(), captured_at: *captured_at }).collect();
        let newest = self.images.last().map_or(Timestamp::MIN, |(_, captured_at)| *captured_at);
        let timezone = TimeZone::get(&self.timezone).unwrap();
        let planned = plan_series(&candidates, &self.keep.parse().unwrap(), &timezone, newest);
        planned.into_iter().filter(|it| matches!(it.verdict, Verdict::Keep(_))).map(|it| it.id).collect()
    }
}

fn captured_at(image: &ImageRecord) -> Timestamp {
    image.snapshots.iter().map(|snapshot| snapshot.started_at).min().unwrap_or(image.created_at)
}

/// Every series of the policies whose `keep` is given. Only whether a job succeeded is asked of the ledger.
pub(crate) async fn series(house: &House, keeps: &[(&str, &str)]) -> Vec<Series> {
    let jobs = house.jobs().await;
    let succeeded: BTreeMap<ImageId, String> = jobs
        .iter()
        .filter_map(|job| match &job.state {
            JobState::Succeeded { image, .. } => Some((image.image.clone(), job.key.policy.to_string())),
            _ => None,
        })
        .collect();
    let mut images = house.world.images();
    images.sort_by_key(captured_at);
    let mut all: BTreeMap<(String, String), Series> = BTreeMap::new();
    for image in images {
        let Some(policy) = succeeded.get(&image.id) else { continue };
        let Some((_, keep)) = keeps.iter().find(|(name, _)| name == policy) else { continue };
        let schedule = &house.policy_set.policies[&policy.parse().unwrap()].schedule;
        let series = all.entry((policy.clone(), image.instance_id.to_string())).or_insert_with(|| Series {
            keep: (*keep).to_owned(),
            timezone: schedule.timezone_name().to_owned(),
            images: Vec::new(),
        });
        series.images.push((image.id.clone(), captured_at(&image)));
    }
    all.into_values().collect()
}
