//! What a step changed at EC2, so that its audit looks at that and at nothing else: a night has dozens of steps, and after a
//! month everything is long.

use std::collections::{BTreeMap, BTreeSet};

use amikeep_domain::tags;
use amikeep_ec2_sim::{Action, Call, Deletion, NewTag, Request, TagSpecification, World};

/// Calls that change something at EC2.
const MUTATIONS: [Action; 7] = [
    Action::CreateImage,
    Action::CreateSnapshots,
    Action::RegisterImage,
    Action::CreateTags,
    Action::DeleteTags,
    Action::DeregisterImage,
    Action::DeleteSnapshot,
];

/// Follows the calls of a world.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    calls: usize,
    deletions: usize,
    /// How often EC2 was asked for something in a hold of each job. What is known not to have arrived counts, too.
    pub(crate) in_holds: BTreeMap<String, usize>,
}

/// What was asked for and what went since the step before.
#[derive(Debug)]
pub(crate) struct Step {
    /// The jobs for which anything was asked, and those of images and snapshots that calls named.
    pub(crate) jobs: BTreeSet<String>,
    pub(crate) deletions: Vec<Deletion>,
}

impl Steps {
    /// What changed; none if nothing can have.
    pub(crate) fn next(&mut self, world: &World) -> Option<Step> {
        let mut calls = world.calls_from(self.calls);
        self.calls += calls.len();
        calls.retain(|call| MUTATIONS.contains(&call.action()));
        if calls.is_empty() {
            return None;
        }
        let mut jobs = BTreeSet::new();
        for call in &calls {
            jobs.extend(jobs_of(call, world));
            if let Some(specifications) = specifications(call).filter(|it| tag(it, tags::MODE) == Some("freeze")) {
                let job = tag(specifications, tags::JOB).unwrap().to_owned();
                *self.in_holds.entry(job).or_default() += 1;
            }
        }
        let deletions = world.deletions_from(self.deletions);
        self.deletions += deletions.len();
        Some(Step { jobs, deletions })
    }
}

/// The tags that a request for an image or for snapshots of an instance sets.
fn specifications(call: &Call) -> Option<&[TagSpecification]> {
    match &call.request {
        Request::CreateImage(request) => Some(&request.tag_specifications),
        Request::CreateSnapshots(request) => Some(&request.tag_specifications),
        _ => None,
    }
}

fn jobs_of(call: &Call, world: &World) -> Vec<String> {
    let by_resource = |id: &String| world.tags_of(id).and_then(|mut tags| tags.remove(tags::JOB));
    match &call.request {
        Request::RegisterImage(request) => {
            tag(&request.tag_specifications, tags::JOB).map(str::to_owned).into_iter().collect()
        }
        Request::CreateTags { resources, .. } | Request::DeleteTags { resources, .. } => {
            resources.iter().filter_map(by_resource).collect()
        }
        Request::DeregisterImage { image_id: id, .. } | Request::DeleteSnapshot { snapshot_id: id } => {
            by_resource(id).into_iter().collect()
        }
        _ => {
            let job = specifications(call).and_then(|it| tag(it, tags::JOB));
            job.map(str::to_owned).into_iter().collect()
        }
    }
}

fn tag<'a>(specifications: &'a [TagSpecification], key: &str) -> Option<&'a str> {
    let tags = specifications.iter().flat_map(|it| &it.tags);
    tags.into_iter().find(|NewTag { key: it, .. }| it == key).map(|it| it.value.as_str())
}
