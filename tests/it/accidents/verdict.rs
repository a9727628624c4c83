//! What became of the jobs: one image each, and no grade that its copies do not bear out.

use std::collections::BTreeSet;

use amikeep_domain::id::JobId;
use amikeep_ec2_sim::Resource;
use serde_json::Value;
use tokio::task::block_in_place;

use crate::accidents::accident::{Accident, Capture, Plan};
use crate::accidents::stage::Stage;
use crate::accidents::{BUDGET, NOISE};
use crate::simulated::counts::Counts;

impl Stage {
    /// Judges every job that has ended since.
    pub(super) async fn judge_ended(&mut self, counts: &mut Counts) {
        for (id, plan) in self.ended().await {
            self.judge(id, &plan, counts).await;
        }
        let open: BTreeSet<String> = self.open.keys().map(ToString::to_string).collect();
        let wanted: BTreeSet<String> = self.there(|job| open.contains(job), snapshot).into_iter().collect();
        self.copies.discard(|snapshot| wanted.contains(snapshot));
    }

    async fn judge(&mut self, id: JobId, plan: &Plan, counts: &mut Counts) {
        let story = self.site.run(&["show", &id.to_string(), "--format", "json"]).await.json();
        let job = &story["job"];
        let doubt = block_in_place(|| self.copies.doubt(&self.disks, &snapshots_of(job)));
        if let Some(what) = self.wrong(id, job, plan, doubt.as_deref()) {
            panic!("{what}; hold {}: {plan:?}\n{story:#}", plan.number);
        }
        match job["grade"].as_str() {
            Some("filesystem") => counts.add(format!("images in a proved hold, by {}", call(plan)), 1),
            _ => counts.add("images of grade crash", 1),
        }
        counts.add("images of grade crash whose disks differ", u64::from(doubt.is_some()));
        self.of_images.extend(snapshots_of(job));
        self.judged += 1;
    }

    /// What is wrong with a job that has ended.
    fn wrong(&self, id: JobId, job: &Value, plan: &Plan, doubt: Option<&str>) -> Option<String> {
        if job["state"] != "succeeded" {
            return Some("it did not succeed".to_owned());
        }
        let images = self.there(|job| job == id.to_string(), image);
        if images.len() != 1 || job["image_id"] != images[0] {
            return Some(format!("its images are {images:?}"));
        }
        let grade = job["grade"].as_str()?;
        let proves_nothing = matches!(plan.accident, Accident::PreHangs | Accident::PostHangs);
        match (grade, doubt) {
            ("filesystem", Some(doubt)) => Some(format!("its grade is better than its copies: {doubt}")),
            ("filesystem", None) if proves_nothing => Some("it is consistent although a command failed".to_owned()),
            ("filesystem" | "crash", _) => implausible(job, grade, plan).map(str::to_owned),
            _ => Some(format!("no image of this freeze is of grade {grade}")),
        }
    }

    /// What is there of jobs of which this holds.
    fn there<T>(&self, holds: impl Fn(&str) -> bool, of: impl Fn(Resource) -> Option<T>) -> Vec<T> {
        let there = self.site.world.resources().into_iter().filter(|it| it.removed_at.is_none());
        let there = there.filter(|it| it.tags.get("amikeep:job").is_some_and(|job| holds(job)));
        there.filter_map(|it| of(it.resource)).collect()
    }

    /// Nothing is open, frozen, or left over.
    pub(super) async fn end(&mut self, counts: &mut Counts) {
        self.wait_for_the_rest().await;
        self.judge_ended(counts).await;
        // What showed after its job had stopped looking goes at a prune.
        let pruned = self.site.run(&["prune", "--yes"]).await;
        assert_eq!(pruned.code, 0, "{pruned:?}");
        self.close().await;
        assert_eq!(self.there(|_| true, image).len(), self.judged, "one image for each job");
        let left: Vec<String> = self.there(|_| true, snapshot);
        let left: Vec<&String> = left.iter().filter(|it| !self.of_images.contains(*it)).collect();
        assert!(left.is_empty(), "snapshots without an image: {left:?}");
        counts.add("images made", u64::try_from(self.judged).unwrap());
        counts.add_calls(&self.site.world);
    }
}

fn image(it: Resource) -> Option<String> {
    let Resource::Image(id) = it else { return None };
    Some(id.to_string())
}

fn snapshot(it: Resource) -> Option<String> {
    let Resource::Snapshot(id) = it else { return None };
    Some(id.to_string())
}

fn call(plan: &Plan) -> &'static str {
    match plan.capture {
        Capture::Image => "CreateImage",
        Capture::Snapshots => "CreateSnapshots",
    }
}

fn snapshots_of(job: &Value) -> Vec<String> {
    let volumes = job["volumes"].as_array().unwrap();
    volumes.iter().filter_map(|it| Some(it["snapshot_id"].as_str()?.to_owned())).collect()
}

/// What is wrong with how long it says that writes stood still: longer than they can have, or shorter than it took until
/// snapshots began.
fn implausible(job: &Value, grade: &str, plan: &Plan) -> Option<&'static str> {
    let held = job["hold_ms"].as_u64().map(u128::from);
    if held.is_some_and(|held| (BUDGET + NOISE).as_millis() <= held) {
        return Some("it was held for longer than it may be");
    }
    let least = if plan.capture == Capture::Image { plan.lag.as_millis() } else { 1 };
    (grade == "filesystem" && held.is_none_or(|held| held < least))
        .then_some("its snapshots were not seen in so short a hold")
}
