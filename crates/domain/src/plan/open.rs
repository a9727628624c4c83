//! The jobs that have not ended, and which of them have to do with each other.
//!
//! Ten thousand jobs are looked at in every tick, and one instance has one image in the making at a time. Nearly no
//! instance has two open jobs, so those that do are known beforehand, and nobody else's place is compared with anything.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{InstanceId, JobId};
use crate::job::Job;

/// Every job that has not ended, by its id.
#[derive(Debug, Clone, Default)]
pub struct OpenJobs {
    jobs: BTreeMap<JobId, Job>,
    /// How many jobs each instance has, whatever account it is in.
    per_instance: BTreeMap<InstanceId, usize>,
    /// Instances that have more than one.
    shared: BTreeSet<InstanceId>,
}

impl OpenJobs {
    /// Takes a job in, in the place of what was known of it before.
    pub fn insert(&mut self, job: Job) {
        let instance = job.key.instance.clone();
        // The instance is part of what a job is, so it is the same as before.
        if self.jobs.insert(job.id, job).is_none() {
            let count = self.per_instance.entry(instance.clone()).or_default();
            *count += 1;
            if *count == 2 {
                self.shared.insert(instance);
            }
        }
    }

    /// Forgets a job.
    pub fn remove(&mut self, id: JobId) {
        let Some(job) = self.jobs.remove(&id) else { return };
        let instance = &job.key.instance;
        if let Some(count) = self.per_instance.get_mut(instance) {
            *count -= 1;
            if *count == 1 {
                self.shared.remove(instance);
            }
            if *count == 0 {
                self.per_instance.remove(instance);
            }
        }
    }

    /// One of them.
    pub fn get(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(&id)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Whether some other job may have to do with the instance of this one.
    pub(super) fn shares_instance(&self, job: &Job) -> bool {
        self.shared.contains(&job.key.instance)
    }

    /// One of them, to be changed, but for its id and its instance.
    #[cfg(test)]
    pub(crate) fn get_mut(&mut self, id: JobId) -> Option<&mut Job> {
        self.jobs.get_mut(&id)
    }
}

impl FromIterator<Job> for OpenJobs {
    fn from_iter<I: IntoIterator<Item = Job>>(jobs: I) -> Self {
        let mut open = Self::default();
        open.extend(jobs);
        open
    }
}

impl Extend<Job> for OpenJobs {
    fn extend<I: IntoIterator<Item = Job>>(&mut self, jobs: I) {
        for job in jobs {
            self.insert(job);
        }
    }
}

impl IntoIterator for OpenJobs {
    type Item = Job;
    type IntoIter = std::collections::btree_map::IntoValues<JobId, Job>;

    fn into_iter(self) -> Self::IntoIter {
        self.jobs.into_values()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixture::{instance, job, job_id, policy};

    #[test]
    fn jobs_are_gathered_and_handed_out_again() {
        let jobs: Vec<Job> = (1..=3).map(|n| job(n, &policy("nightly"))).collect();
        let mut open: OpenJobs = jobs[..2].iter().cloned().collect();
        open.extend(jobs[2..].iter().cloned());
        assert_eq!(open.into_iter().collect::<Vec<_>>(), jobs);
    }

    proptest! {
        #[test]
        fn an_instance_is_shared_exactly_while_it_has_two_jobs(
            steps in prop::collection::vec((0_u8..12, 0_u8..4, any::<bool>()), 0..80),
        ) {
            let policy = policy("nightly");
            let (mut open, mut known) = (OpenJobs::default(), BTreeSet::new());
            for (n, on, comes) in steps {
                if comes && open.get(job_id(n)).is_none() {
                    let mut job = job(n, &policy);
                    job.key.instance = instance(u32::from(on)).id;
                    open.insert(job);
                    known.insert(job_id(n));
                } else if comes {
                    // What is known already is put in its own place.
                    open.insert(open.get(job_id(n)).unwrap().clone());
                } else {
                    open.remove(job_id(n));
                    known.remove(&job_id(n));
                }
                prop_assert_eq!(open.iter().map(|job| job.id).collect::<BTreeSet<_>>(), known.clone());
                prop_assert_eq!((open.len(), open.is_empty()), (known.len(), known.is_empty()));
                for job in open.iter() {
                    let others = open.iter().filter(|other| other.key.instance == job.key.instance).count();
                    prop_assert_eq!(open.shares_instance(job), 1 < others);
                }
                let instances: BTreeSet<&InstanceId> = open.iter().map(|job| &job.key.instance).collect();
                prop_assert_eq!(open.per_instance.len(), instances.len(), "nothing is kept of what has gone");
            }
        }
    }
}
