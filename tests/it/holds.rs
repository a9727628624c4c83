//! Held captures by commands: any user can run them, and what they did is in a file.

use amikeep_ec2_sim::{Action, Fault, FaultOutcome, WorldBuilder};
use jiff::SignedDuration;
use serde_json::Value;
use std::path::PathBuf;

use crate::site::{NEVER_NOW, Ran, Site, instance_id, policy, spec, world};

/// A site whose class `critical` is held still by commands that write into `held`.
struct Held {
    site: Site,
}

/// The configuration of the class and the freeze; `more` are further keys of the freeze.
fn critical(dir: &str, if_blocked: &str, freeze: &str, thaw: &str, more: &str) -> String {
    let nightly = policy("nightly", "critical", NEVER_NOW, "");
    format!(
        "{nightly}\n[classes.critical]\nfreeze = \"data\"\nif_blocked = \"{if_blocked}\"\n\n[freezes.data]\nvia = \"command\"\n\
         devices = [\"/dev/sdf\"]\nfreeze = [\"/bin/sh\", \"-c\", \"{freeze}\", \"freeze\", \"{{instance_id}}\"]\n\
         thaw = [\"/bin/sh\", \"-c\", \"{thaw}\"]\n{more}\n"
    )
    .replace("DIR", dir)
}

const FREEZE: &str = "echo frozen $1 >> DIR/held";
const THAW: &str = "echo thawed >> DIR/held";

impl Held {
    async fn new(world: WorldBuilder, if_blocked: &str, freeze: &str, thaw: &str, more: &str) -> Self {
        let site = Site::new(world.instance(spec(1)), "").await;
        let dir = site.dir().to_str().unwrap().to_owned();
        site.configure(&critical(&dir, if_blocked, freeze, thaw, more));
        Self { site }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.site.dir().join(name)
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.file("held")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    async fn wait_for_lines(&self, count: usize) {
        while self.lines().len() < count {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Backs the instance up; the job and how the command ended.
    async fn backup(&self) -> (Value, Ran) {
        let ran = self.site.run(&["backup", &instance_id(1), "--format", "json"]).await;
        let job = ran.json()["jobs"][0].clone();
        (job, ran)
    }

    async fn events(&self, job: &Value) -> Vec<(String, String)> {
        let story = self.site.run(&["show", job["id"].as_str().unwrap(), "--format", "json"]).await.json();
        let text = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
        story["events"].as_array().unwrap().iter().map(|it| (text(it, "event"), text(it, "detail"))).collect()
    }
}

fn grades(job: &Value) -> Vec<(&str, &str)> {
    let volumes = job["volumes"].as_array().unwrap();
    volumes.iter().map(|it| (it["device"].as_str().unwrap(), it["grade"].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_taken_in_a_proved_hold_is_consistent_and_its_root_is_shown_as_what_it_is() {
    let held = Held::new(world(), "fail", FREEZE, THAW, "").await;
    let (job, ran) = held.backup().await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!((job["state"].as_str(), job["grade"].as_str()), (Some("succeeded"), Some("filesystem")), "{job:#}");
    assert_eq!(grades(&job), [("/dev/sdf", "filesystem"), ("/dev/xvda", "crash")]);
    assert_eq!(held.lines(), [format!("frozen {}", instance_id(1)), "thawed".to_owned()]);
    assert!(job["hold_ms"].as_u64().is_some(), "{job:#}");
    let mut words: Vec<String> = held.events(&job).await.into_iter().map(|(event, _)| event).collect();
    // Snapshots are looked for while the reply is on its way, and may be seen first.
    if words.get(6).is_some_and(|word| word == "snapshots-seen") {
        words.swap(6, 7);
    }
    let want =
        ["queued", "started", "holding", "intended", "frozen", "sent", "answered", "snapshots-seen", "thawed", "held"];
    assert_eq!(words[..want.len()], want, "{words:?}");
    let image = &held.site.world.images()[0];
    assert_eq!(image.tags["amikeep:mode"], "freeze");
    assert_eq!(image.tags["amikeep:grade"], "filesystem");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thaw_that_found_nothing_frozen_is_no_proof() {
    for (if_blocked, code, state, grade) in [("fail", 1, "failed", None), ("no-reboot", 0, "succeeded", Some("crash"))]
    {
        let held = Held::new(world(), if_blocked, FREEZE, "exit 1", "").await;
        let (job, ran) = held.backup().await;
        assert_eq!((ran.code, job["state"].as_str(), job["grade"].as_str()), (code, Some(state), grade), "{job:#}");
        if if_blocked == "fail" {
            assert_eq!(job["error"]["code"], "freeze_unproved", "{job:#}");
            assert!(job["image_id"].is_string(), "the image stays until a newer one succeeds: {job:#}");
        }
        assert_eq!(held.site.world.images().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_freeze_that_cannot_be_had_does_what_the_class_says() {
    for (if_blocked, code, state, images) in [("fail", 1, "failed", 0), ("no-reboot", 0, "succeeded", 1)] {
        let held = Held::new(world(), if_blocked, "echo no >&2; exit 3", THAW, "").await;
        let (job, ran) = held.backup().await;
        assert_eq!((ran.code, job["state"].as_str()), (code, Some(state)), "{job:#}");
        assert_eq!(held.site.world.images().len(), images);
        if if_blocked == "fail" {
            assert_eq!(job["error"]["code"], "freeze_failed");
            let message = job["error"]["message"].as_str().unwrap();
            assert!(message.contains("ended with exit code 3: no"), "{message}");
        } else {
            assert_eq!(
                (job["mode"]["asked"].as_str(), job["mode"]["done"].as_str()),
                (Some("freeze"), Some("no-reboot"))
            );
            assert_eq!(job["grade"], "crash");
            assert_eq!(held.site.world.images()[0].tags["amikeep:mode"], "no-reboot");
        }
        assert_eq!(held.lines(), ["thawed"], "what may have been frozen in part is thawed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_hangs_ends_with_the_budget_and_is_settled_by_name_before_it_is_tried_again() {
    let hung = world().fault(Fault::on(Action::CreateImage, FaultOutcome::Hang));
    let held = Held::new(hung, "fail", FREEZE, THAW, "budget = \"2s\"\nlock_wait = \"1s\"").await;
    let (job, ran) = held.backup().await;
    assert_eq!(ran.code, 0, "{ran:?}");
    // The second hold is the one that counts.
    assert_eq!((job["state"].as_str(), job["grade"].as_str()), (Some("succeeded"), Some("filesystem")), "{job:#}");
    let events = held.events(&job).await;
    let words: Vec<&str> = events.iter().map(|(event, _)| event.as_str()).collect();
    assert!(words.contains(&"outcome-unknown"), "{events:#?}");
    assert_eq!(words.iter().filter(|it| **it == "held").count(), 2, "{events:#?}");
    assert_eq!(held.lines().len(), 4, "each hold was thawed once");
    assert_eq!(held.site.world.images().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_is_lost_or_hangs_takes_no_proof_from_snapshots_that_were_seen() {
    for outcome in [FaultOutcome::LostReplyAfterEffect, FaultOutcome::HangAfterEffect] {
        let lost = world().fault(Fault::on(Action::CreateImage, outcome.clone()));
        let held = Held::new(lost, "fail", FREEZE, THAW, "budget = \"60s\"").await;
        let (job, ran) = held.backup().await;
        assert_eq!((ran.code, job["grade"].as_str()), (0, Some("filesystem")), "{outcome:?}: {job:#} {ran:?}");
        assert!(job["hold_ms"].as_u64().unwrap() < 50_000, "it does not wait for the budget: {job:#}");
        let events = held.events(&job).await;
        let words: Vec<&str> = events.iter().map(|(event, _)| event.as_str()).collect();
        for word in ["snapshots-seen", "outcome-unknown", "adopted"] {
            assert!(words.contains(&word), "{word}: {events:#?}");
        }
        assert_eq!(held.lines().len(), 2, "frozen once and thawed once");
        assert_eq!((held.site.world.images().len(), held.site.world.count(Action::CreateImage)), (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_is_lost_is_thawed_soon_and_proves_nothing_if_no_snapshot_was_seen() {
    let late = world().snapshot_lag(SignedDuration::from_secs(4), SignedDuration::ZERO);
    let lost = late.fault(Fault::on(Action::CreateImage, FaultOutcome::LostReplyAfterEffect));
    let held = Held::new(lost, "no-reboot", FREEZE, THAW, "budget = \"60s\"").await;
    let (job, ran) = held.backup().await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!((job["state"].as_str(), job["grade"].as_str()), (Some("succeeded"), Some("crash")), "{job:#}");
    assert!(job["hold_ms"].as_u64().unwrap() < 50_000, "it does not wait for the budget: {job:#}");
    let events = held.events(&job).await;
    assert!(events.iter().any(|(event, _)| event == "adopted"), "{events:#?}");
    assert!(events.iter().any(|(event, detail)| event == "held" && detail.contains("not proved")), "{events:#?}");
    assert_eq!(held.lines().len(), 2, "frozen once and thawed once");
    assert_eq!(held.site.world.images().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_that_come_after_the_budget_prove_nothing() {
    let late = world().snapshot_lag(SignedDuration::from_secs(4), SignedDuration::ZERO);
    let held = Held::new(late, "fail", FREEZE, THAW, "budget = \"2s\"\nlock_wait = \"1s\"").await;
    let (job, ran) = held.backup().await;
    assert_eq!((ran.code, job["error"]["code"].as_str()), (1, Some("freeze_unproved")), "{job:#}");
    let message = job["error"]["message"].as_str().unwrap();
    assert!(message.contains("the budget was used up") || message.contains("no snapshot"), "{message}");
    assert_eq!(held.lines().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_run_before_and_after_whatever_happens_and_a_failed_one_takes_the_proof() {
    let hooks = |post: &str| {
        format!(
            "pre = [[\"/bin/sh\", \"-c\", \"echo pre >> DIR/held\"]]\npost = [[\"/bin/sh\", \"-c\", \"echo post >> DIR/held{post}\"]]"
        )
    };
    let held = Held::new(world(), "no-reboot", FREEZE, THAW, &hooks("")).await;
    let (job, _) = held.backup().await;
    assert_eq!(job["grade"], "filesystem", "{job:#}");
    assert_eq!(held.lines()[0], "pre");
    assert_eq!(held.lines()[3], "post");

    let held = Held::new(world(), "no-reboot", FREEZE, THAW, &hooks("; exit 1")).await;
    let (job, _) = held.backup().await;
    assert_eq!((job["state"].as_str(), job["grade"].as_str()), (Some("succeeded"), Some("crash")), "{job:#}");

    // Refused by EC2, thawed, and what was drained goes on.
    let refused = world().fault(Fault::on(Action::CreateImage, FaultOutcome::Throttle));
    let held = Held::new(refused, "fail", FREEZE, THAW, &hooks("")).await;
    let (job, _) = held.backup().await;
    assert_eq!((job["grade"].as_str(), held.lines().len()), (Some("filesystem"), 8), "{job:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_is_killed_in_a_hold_is_thawed_for_by_its_guard() {
    let late = world().snapshot_lag(SignedDuration::from_mins(2), SignedDuration::ZERO);
    let held = Held::new(late, "no-reboot", FREEZE, THAW, "budget = \"60s\"").await;
    let daemon = held.site.daemon().await;
    let queued = held.site.run(&["backup", &instance_id(1), "--no-wait"]).await;
    assert_eq!(queued.code, 0, "{queued:?}");
    held.wait_for_lines(1).await;
    daemon.kill();
    held.wait_for_lines(2).await;
    assert_eq!(held.lines()[1], "thawed", "by the guard, long before the budget");
    // The next start settles what it finds; its own look is harmless, and the job is honest.
    let thaw = held.site.run(&["thaw", "--format", "json"]).await;
    assert_eq!(thaw.code, 0, "{thaw:?}");
    assert_eq!(thaw.json()["holds"].as_array().unwrap().len(), 1, "{thaw:?}");
    let again = held.site.run(&["thaw", "--format", "json"]).await;
    assert_eq!(again.json()["holds"].as_array().unwrap().len(), 0, "settled: {again:?}");
}

/// Fails as long as the file is there.
const THAW_UNLESS_DOWN: &str = "test ! -e DIR/down && echo thawed >> DIR/held";

/// What a hold of this job could not thaw, as `show` tells it.
async fn may_be_frozen(held: &Held, job: &Value) -> Vec<Value> {
    let story = held.site.run(&["show", job["id"].as_str().unwrap(), "--format", "json"]).await.json();
    story["may_be_frozen"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thaw_that_failed_stays_on_record_until_one_succeeds() {
    let held = Held::new(world(), "no-reboot", "touch DIR/down; echo frozen >> DIR/held", THAW_UNLESS_DOWN, "").await;
    let (job, ran) = held.backup().await;
    assert_eq!((ran.code, job["grade"].as_str()), (0, Some("crash")), "{job:#} {ran:?}");
    assert_eq!(held.lines(), ["frozen"]);
    assert!(ran.stderr.contains("may still be frozen") && ran.stderr.contains("echo thawed"), "{ran:?}");
    let left = may_be_frozen(&held, &job).await;
    assert_eq!(left.len(), 1, "{left:#?}");
    assert!(left[0]["run"].as_str().unwrap().contains("echo thawed"), "the command to run is named: {left:#?}");

    // Tried again, and still in vain.
    let thaw = held.site.run(&["thaw", "--format", "json"]).await;
    assert_eq!((thaw.code, thaw.json()["holds"][0]["left"].as_array().unwrap().len()), (1, 1), "{thaw:?}");
    assert_eq!(may_be_frozen(&held, &job).await.len(), 1);

    std::fs::remove_file(held.file("down")).unwrap();
    let thaw = held.site.run(&["thaw", "--format", "json"]).await;
    assert_eq!(thaw.code, 0, "{thaw:?}");
    assert_eq!(held.lines(), ["frozen", "thawed"]);
    assert_eq!(may_be_frozen(&held, &job).await.len(), 0);
    assert_eq!(held.site.run(&["thaw"]).await.stdout, "Nothing was left frozen.\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemon_tries_to_thaw_what_a_hold_left_until_it_can() {
    let held = Held::new(world(), "no-reboot", "touch DIR/down; echo frozen >> DIR/held", THAW_UNLESS_DOWN, "").await;
    let daemon = held.site.daemon().await;
    let queued = held.site.run(&["backup", &instance_id(1), "--no-wait"]).await;
    assert_eq!(queued.code, 0, "{queued:?}");
    let jobs = held.site.wait_for_jobs("it ends", |jobs| jobs.iter().all(|job| job["state"] == "succeeded")).await;
    assert_eq!(may_be_frozen(&held, &jobs[0]).await.len(), 1);
    let listed = held.site.run(&["thaw", "--format", "json"]).await;
    assert_eq!((listed.code, listed.json()["holds"].as_array().unwrap().len()), (1, 1), "{listed:?}");
    std::fs::remove_file(held.file("down")).unwrap();
    held.wait_for_lines(2).await;
    assert_eq!(held.lines()[1], "thawed", "by the daemon");
    while !may_be_frozen(&held, &jobs[0]).await.is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(held.site.run(&["thaw"]).await.code, 0);
    daemon.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_thaw_settles_what_was_left_of_the_same_instance_and_of_no_other() {
    // One command for all instances, which are told apart by the environment alone. Like `fsfreeze --unfreeze` it fails
    // where nothing is frozen, as after the first freeze of all.
    let freeze = "test -e DIR/first || exec touch DIR/first; touch DIR/frozen-$1";
    let thaw = "rm DIR/frozen-$AMIKEEP_INSTANCE_ID";
    let held = Held::new(world().instance(spec(2)), "no-reboot", freeze, thaw, "").await;
    let (first, _) = held.backup().await;
    assert_eq!(may_be_frozen(&held, &first).await.len(), 1);
    let other = held.site.run(&["backup", &instance_id(2), "--format", "json"]).await;
    assert_eq!(other.json()["jobs"][0]["grade"], "filesystem", "{other:?}");
    assert_eq!(may_be_frozen(&held, &first).await.len(), 1, "that was another instance");
    let (again, _) = held.backup().await;
    assert_eq!(again["grade"], "filesystem", "{again:#}");
    assert_eq!(may_be_frozen(&held, &first).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_tried_again_forgets_nothing_that_it_left_frozen() {
    // Thawing fails, and later on so does the command before the hold: then nothing is frozen, and something still is.
    let more = "pre = [[\"/bin/sh\", \"-c\", \"test ! -e DIR/down\"]]";
    let throttled = world().fault(Fault::on(Action::CreateImage, FaultOutcome::Throttle));
    let held =
        Held::new(throttled, "no-reboot", "touch DIR/down; echo frozen >> DIR/held", THAW_UNLESS_DOWN, more).await;
    let (job, ran) = held.backup().await;
    assert_eq!((ran.code, job["grade"].as_str(), held.lines().len()), (0, Some("crash"), 1), "{job:#}");
    assert_eq!(job["mode"]["done"], "no-reboot", "the second try took no freeze: {job:#}");
    assert_eq!(may_be_frozen(&held, &job).await.len(), 1);
    let events = held.events(&job).await;
    let not_held = events.iter().find(|(event, _)| event == "not-held").unwrap();
    assert!(not_held.1.contains("an earlier hold of this job could not be thawed"), "{events:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_says_that_what_was_left_is_thawed() {
    let held = Held::new(world(), "no-reboot", FREEZE, "exit 1", "").await;
    let (job, _) = held.backup().await;
    let id = job["id"].as_str().unwrap();
    let daemon = held.site.daemon().await;
    let refused = held.site.run(&["thaw", "--settled", id]).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    daemon.kill();
    assert_eq!(may_be_frozen(&held, &job).await.len(), 1);
    let settled = held.site.run(&["thaw", "--settled", id]).await;
    assert_eq!(settled.code, 0, "{settled:?}");
    assert_eq!(may_be_frozen(&held, &job).await.len(), 0);
    let again = held.site.run(&["thaw", "--settled", id]).await;
    assert!(again.code == 1 && again.stderr.contains("left nothing frozen"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_is_killed_while_its_freeze_runs_leaves_nothing_frozen() {
    // The freeze outlives the daemon, and takes effect only after the first thaw.
    let freeze = "echo begun >> DIR/held; while ! grep -q thaw DIR/held; do sleep 0.05; done; touch DIR/frozen; \
                  echo frozen >> DIR/held";
    let thaw = "echo thaw >> DIR/held; test -e DIR/frozen || exit 46; rm DIR/frozen";
    let held = Held::new(world(), "no-reboot", freeze, thaw, "budget = \"60s\"").await;
    let daemon = held.site.daemon().await;
    let queued = held.site.run(&["backup", &instance_id(1), "--no-wait"]).await;
    assert_eq!(queued.code, 0, "{queued:?}");
    held.wait_for_lines(1).await;
    daemon.kill();
    // What ExecStopPost runs: it waits for the guard, which waits for the freeze.
    let thaw = held.site.run(&["thaw", "--format", "json"]).await;
    assert_eq!(thaw.code, 0, "{thaw:?}");
    assert!(!held.file("frozen").exists(), "{:?}", held.lines());
    let lines = held.lines();
    assert_eq!(lines[..4], ["begun", "thaw", "frozen", "thaw"], "by the guard: {lines:?}");
    assert!(held.site.world.images().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_host_is_never_frozen_for_an_instance() {
    let site = Site::new(world().instance(spec(1)), "").await;
    let nightly = policy("nightly", "critical", NEVER_NOW, "");
    let freeze = |more: &str| {
        format!(
            "{nightly}\n[classes.critical]\nfreeze = \"data\"\n[freezes.data]\nvia = \"local\"\nmounts = [\"/proc\"]\n{more}\n"
        )
    };
    let other = instance_id(2);
    for (more, want) in [
        (format!("instance = \"{other}\""), format!("this host is {other}, and `via = \"local\"` freezes no other")),
        (String::new(), "which instance this host is cannot be told".to_owned()),
        (format!("instance = \"{}\"", instance_id(1)), "`/proc` is proc, which cannot be frozen".to_owned()),
    ] {
        site.configure(&freeze(&more));
        let ran = site.run(&["backup", &instance_id(1), "--format", "json"]).await;
        let message = ran.json()["jobs"][0]["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(&want), "{message}");
        assert_eq!(ran.code, 1);
    }
    assert!(site.world.images().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsal_takes_no_image_and_says_how_long_it_took() {
    let held = Held::new(world(), "fail", FREEZE, THAW, "").await;
    let ran = held.site.run(&["hold", "--freeze", "data", "--test", "--format", "json"]).await;
    assert_eq!((ran.code, ran.json()["held"].as_bool()), (0, Some(true)), "{ran:?}");
    assert!(ran.json()["stall_ms"].is_u64(), "{ran:?}");
    assert_eq!(held.lines(), ["frozen", "thawed"]);
    let ran = held.site.run(&["hold", "--freeze", "date", "--test"]).await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("there are data"), "{ran:?}");
    assert!(held.site.world.images().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsal_that_is_interrupted_lets_everything_go_on_first() {
    let more = "pre = [[\"/bin/sh\", \"-c\", \"echo pre >> DIR/held; while test ! -e DIR/go; do sleep 0.05; done\"]]\n\
                post = [[\"/bin/sh\", \"-c\", \"echo post >> DIR/held\"]]";
    let held = Held::new(world(), "fail", FREEZE, THAW, more).await;
    for signal in ["INT", "TERM", "HUP"] {
        let _ = std::fs::remove_file(held.file("held"));
        let _ = std::fs::remove_file(held.file("go"));
        let mut rehearsal = held.site.command(&["hold", "--freeze", "data", "--test"]).spawn().unwrap();
        held.wait_for_lines(1).await;
        crate::disks::sh(&format!("kill -{signal} {}", rehearsal.id()));
        std::fs::write(held.file("go"), "").unwrap();
        let status = tokio::task::spawn_blocking(move || rehearsal.wait().unwrap()).await.unwrap();
        assert!(status.success(), "{signal}: {status}");
        assert_eq!(held.lines(), ["pre", "frozen", "thawed", "post"], "{signal}");
    }
}

const BY_SNAPSHOTS: &str = "capture = \"snapshots\"";

fn by_snapshots(builder: WorldBuilder) -> WorldBuilder {
    builder.image_duration(amikeep_ec2_sim::ImageDuration::Fixed(SignedDuration::from_secs(2)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_taken_in_a_hold_become_an_image_that_carries_the_instance() {
    let held = Held::new(by_snapshots(world()), "fail", FREEZE, THAW, BY_SNAPSHOTS).await;
    let (job, ran) = held.backup().await;
    assert_eq!((ran.code, job["grade"].as_str()), (0, Some("filesystem")), "{job:#} {ran:?}");
    assert_eq!(grades(&job), [("/dev/sdf", "filesystem"), ("/dev/xvda", "crash")]);
    assert_eq!(held.lines(), [format!("frozen {}", instance_id(1)), "thawed".to_owned()]);
    let world = &held.site.world;
    assert_eq!((world.count(Action::CreateSnapshots), world.count(Action::CreateImage)), (1, 0));
    let events = held.events(&job).await;
    let words: Vec<&str> = events.iter().map(|(event, _)| event.as_str()).collect();
    for word in ["snapshots-taken", "snapshots-completed", "registering", "accepted", "available"] {
        assert!(words.contains(&word), "{word}: {words:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_of_a_reply_that_never_came_are_adopted_if_they_were_surely_taken_in_the_hold() {
    let hung = by_snapshots(world()).fault(Fault::on(Action::CreateSnapshots, FaultOutcome::HangAfterEffect));
    let more = format!("{BY_SNAPSHOTS}\nbudget = \"6s\"\nlock_wait = \"1s\"");
    let held = Held::new(hung, "fail", FREEZE, THAW, &more).await;
    let (job, ran) = held.backup().await;
    assert_eq!((ran.code, job["grade"].as_str()), (0, Some("filesystem")), "{job:#} {ran:?}");
    let events = held.events(&job).await;
    let words: Vec<&str> = events.iter().map(|(event, _)| event.as_str()).collect();
    assert!(words.contains(&"outcome-unknown") && words.contains(&"snapshots-adopted"), "{events:#?}");
    assert_eq!(held.site.world.count(Action::CreateSnapshots), 1, "and never sent twice");
    assert_eq!(held.lines().len(), 2, "thawed before anything was looked up");
}
