//! `kill -9` at any time of waves and prunes, a hundred times: every fire has exactly one image per instance, in the right
//! mode, with the right tags; what was let go is gone with its snapshots; and nothing is stuck.
//!
//! `AMIKEEP_KILLS` says how often the daemon is killed, and `AMIKEEP_KILL_SEED` from which seed the times are drawn. When a
//! kill falls, relative to what the daemon does, is the host's matter, so a seed need not fail twice.

use std::collections::BTreeMap;
use std::time::Duration;

use amikeep_domain::prune::DeletionState;
use amikeep_ec2_sim::{Action, ImageRecord, ImageState, InstanceState, Reboot, RebootCause};
use amikeep_ledger::{ImageRowState, Ledger};
use serde_json::Value;

use crate::simulated::counts::Counts;
use crate::simulated::dice::Dice;
use crate::site::{PATIENCE, Site, instance_id, is_open, policy, spec, world};

const KILLS: u64 = 100;
/// A life is shorter than this, after its start or after it was ready. A fire comes every three seconds and its images take
/// one, so that most lives see part of a wave.
const LIFE_MS_MAX: u64 = 900;
const SCHEDULE: &str = "*/3 * * * * *";

#[expect(clippy::disallowed_methods, reason = "a longer run is asked for by the environment")]
pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// The policy; prunes come every two seconds.
fn configure(site: &Site, more: &str) {
    let often = policy("often", "production-database", SCHEDULE, &format!("max_deletes = 1000\n{more}"));
    site.configure_with("prune_schedule = \"*/2 * * * * *\"\n", &often);
}

/// Kills it after a time that has nothing to do with what it does.
async fn kill_again_and_again(site: &Site, kills: u64, seed: u64) {
    let mut dice = Dice::new(seed);
    for _ in 0..kills {
        // Every fourth one dies while it starts.
        let daemon = if dice.one_in(4) { site.start(&mut site.command(&["daemon"])) } else { site.daemon().await };
        tokio::time::sleep(Duration::from_millis(dice.draw(LIFE_MS_MAX))).await;
        daemon.kill();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_is_killed_a_hundred_times_images_every_instance_once_per_fire() {
    let (kills, seed) = (number("AMIKEEP_KILLS").unwrap_or(KILLS), number("AMIKEEP_KILL_SEED").unwrap_or(1));
    eprintln!("the times of {kills} kills are drawn from AMIKEEP_KILL_SEED={seed}");
    let fleet = world()
        .instance(spec(1).tag("CostCenter", "42"))
        .instance(spec(2).tag("amikeep:class", "stateless"))
        .instance(spec(3).state(InstanceState::Stopped));
    let more = "class_tag_allows = [\"stateless\"]\ncopy_tags = [\"CostCenter\"]\ntags = { Team = \"ops\" }\n";
    let site = Site::new(fleet, "").await;
    configure(&site, more);
    kill_again_and_again(&site, kills, seed).await;
    let daemon = site.daemon().await;
    let fires_before = site.jobs().await.len();
    site.wait_for_jobs("fires go on after the last kill", |jobs| fires_before + 6 <= jobs.len()).await;
    // No further fires, so that what is open can come to its end.
    configure(&site, &format!("{more}enabled = false"));
    daemon.signal("HUP");
    let jobs = site.wait_for_jobs("every job ends", |jobs| !jobs.iter().any(is_open)).await;
    wait_for_deletions(&site).await;
    daemon.signal("TERM");
    assert!(daemon.wait().await.success());
    assert_once_per_fire(&site, &jobs).await;
    assert_let_go(&site).await;
    count(&site, kills, jobs.len());
}

/// Until everything that the rules let go is gone: three images of each instance stay.
async fn wait_for_deletions(site: &Site) {
    let ledger = Ledger::open_read_only(site.database()).await.unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let open = ledger.open_deletions().await.unwrap();
        let left = site.images_left();
        if open.is_empty() && left <= 9 {
            return ledger.close().await;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{left} images are left, and these deletions are open: {open:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Every image that went was written down with a reason, and its snapshots went too.
async fn assert_let_go(site: &Site) {
    let ledger = Ledger::open_read_only(site.database()).await.unwrap();
    let rows = ledger.images(None, None).await.unwrap().into_iter();
    let rows: BTreeMap<_, _> = rows.map(|row| (row.image.clone(), row)).collect();
    for image in site.world.images().iter().filter(|image| image.deregistered_at.is_some()) {
        assert_eq!(rows[&image.id].state, ImageRowState::Deleted, "{image:?}");
        assert!(image.snapshots.iter().all(|snapshot| snapshot.deleted_at.is_some()), "{image:?}");
        let deletions = ledger.deletions_of_image(&image.id).await.unwrap();
        let done = deletions.iter().filter(|it| matches!(it.state, DeletionState::Done { .. }));
        assert_eq!(done.map(|it| it.reason.as_str()).collect::<Vec<_>>(), ["no rule keeps it"], "{deletions:?}");
    }
    ledger.close().await;
}

fn count(site: &Site, kills: u64, jobs: usize) {
    let mut counts = Counts::default();
    counts.add("kills", kills);
    counts.add("jobs", u64::try_from(jobs).unwrap());
    counts.add_calls(&site.world);
    let images = site.world.images();
    counts.add("images made", u64::try_from(images.len()).unwrap());
    let gone = images.iter().filter(|image| image.deregistered_at.is_some()).count();
    counts.add("images deleted", u64::try_from(gone).unwrap());
    eprint!("{counts}");
}

/// Images before the prunes of the test below, and those that the rules want of them.
const IMAGES: usize = 8;
const KEPT: usize = 2;
/// After how many deregistrations of its life the daemon is killed each time.
const KILL_AFTER_CALLS: [usize; 4] = [1, 1, 2, 1];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_is_killed_while_it_deletes_leaves_nothing_over() {
    let nightly = policy("nightly", "stateless", "0 0 29 2 *", "").replace("last = 3", "last = -1");
    let site = Site::new(world().instance(spec(1)), &nightly).await;
    for _ in 0..IMAGES {
        assert_eq!(site.run(&["backup", &instance_id(1)]).await.code, 0);
    }
    // From here on the daemon prunes every second, whenever it lives.
    site.configure(&nightly.replace("last = -1", &format!("last = {KEPT}")));
    let text = site.config_text().replace("[daemon]\n", "[daemon]\nprune_schedule = \"* * * * * *\"\n");
    site.write_config(&text);
    let mut killed_in_the_middle = 0;
    for calls in KILL_AFTER_CALLS {
        let until = site.world.count(Action::DeregisterImage) + calls;
        let daemon = site.daemon().await;
        let is_time = || until <= site.world.count(Action::DeregisterImage) || site.images_left() == KEPT;
        site.wait_until("it deletes", is_time).await;
        daemon.kill();
        killed_in_the_middle += usize::from((KEPT + 1..IMAGES).contains(&site.images_left()) || 0 < site.orphans());
    }
    let daemon = site.daemon().await;
    site.wait_until("the rest goes", || site.images_left() == KEPT && site.orphans() == 0).await;
    wait_for_verdicts(&site, &["keep"; KEPT]).await;
    daemon.signal("TERM");
    assert!(daemon.wait().await.success());
    assert!(0 < killed_in_the_middle, "no kill fell between the first and the last deletion");
    for job in site.jobs().await.into_iter().skip(KEPT) {
        let shown = site.run(&["show", job["id"].as_str().unwrap(), "--format", "json"]).await.json();
        let events = shown["events"].as_array().unwrap();
        let deleted = events.iter().filter(|event| event["event"] == "deleted").count();
        assert_eq!(deleted, 1, "its end is in its history, once: {shown:#}");
    }
}

/// The ledger follows EC2 when it has looked once more.
async fn wait_for_verdicts(site: &Site, wanted: &[&str]) {
    let deadline = tokio::time::Instant::now() + Duration::from_mins(2);
    loop {
        let images = site.run(&["images", "--format", "json"]).await.json()["images"].clone();
        let verdicts = images.as_array().unwrap().iter().filter_map(|image| image["verdict"].as_str());
        if verdicts.eq(wanted.iter().copied()) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{images:#}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn assert_once_per_fire(site: &Site, jobs: &[Value]) {
    let mut images: BTreeMap<String, Vec<ImageRecord>> = BTreeMap::new();
    for image in site.world.images() {
        images.entry(image.tags["amikeep:job"].clone()).or_default().push(image);
    }
    let fires = site.history("fires", &["--fires"]).await;
    let ran: Vec<&Value> = fires.iter().filter(|fire| fire["outcome"] == "ran").collect();
    assert!(3 <= ran.len(), "{fires:#?}");
    assert_eq!(jobs.len(), ran.len() * 3, "three instances a fire");
    for job in jobs {
        let id = job["id"].as_str().unwrap();
        let of_job = images.remove(id).unwrap_or_default();
        match job["state"].as_str().unwrap() {
            "succeeded" => assert_image(job, &of_job),
            // The instance was still busy with the image of an earlier fire for as long as this one might have started.
            "skipped" => assert!(of_job.is_empty(), "{job:#?}"),
            _ => panic!("{job:#?}"),
        }
    }
    assert!(images.is_empty(), "images that no job of the ledger made: {images:?}");
    for n in 1..=3 {
        let reboots = site.world.reboots(&instance_id(n).parse().unwrap());
        let mut causes: Vec<String> = reboots.iter().map(|it| format!("{:?}", it.cause)).collect();
        assert!(reboots.iter().all(|it| matches!(it.cause, RebootCause::CreateImage(_))));
        causes.sort();
        causes.dedup();
        assert_eq!(causes.len(), reboots.len(), "no image rebooted its instance twice");
        assert_eq!(reboots.is_empty(), n != 1, "only the database is rebooted");
    }
}

fn assert_image(job: &Value, images: &[ImageRecord]) {
    let [image] = images else { panic!("{} images of {job:#?}", images.len()) };
    assert!(image.state == ImageState::Available || image.deregistered_at.is_some(), "{image:?}");
    assert_eq!(job["image_id"], image.id.as_str());
    let (class, mode, reboot, grade) = match job["instance_id"].as_str().unwrap() {
        id if id == instance_id(1) => ("production-database", "reboot", Reboot::Yes, "clean"),
        id if id == instance_id(2) => ("stateless", "no-reboot", Reboot::No, "crash"),
        _ => ("production-database", "no-reboot", Reboot::No, "offline"),
    };
    assert_eq!((image.reboot, job["grade"].as_str()), (reboot, Some(grade)), "{job:#?}");
    assert_eq!((job["mode"]["done"].as_str(), job["class"].as_str()), (Some(mode), Some(class)));
    let scheduled_at = job["scheduled_at"].as_str().unwrap();
    for (key, want) in [
        ("amikeep:owner", "e2e"),
        ("amikeep:policy", "often"),
        ("amikeep:instance", job["instance_id"].as_str().unwrap()),
        ("amikeep:scheduled-at", scheduled_at),
        ("amikeep:class", class),
        ("amikeep:mode", mode),
        ("amikeep:grade", grade),
        ("Team", "ops"),
    ] {
        assert_eq!(image.tags.get(key).map(String::as_str), Some(want), "{key} of {image:?}");
    }
    let cost_center = image.tags.get("CostCenter").map(String::as_str);
    assert_eq!(cost_center, (image.instance_id.as_str() == instance_id(1)).then_some("42"));
    assert_eq!(image.snapshots.len(), 2);
}
