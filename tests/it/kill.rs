//! `kill -9` in the middle of waves: every fire has exactly one image per instance, in the right mode, with the right tags.

use std::collections::BTreeMap;
use std::time::Duration;

use amikeep_ec2_sim::{ImageRecord, ImageState, InstanceState, Reboot, RebootCause};
use serde_json::Value;

use crate::site::{Site, instance_id, is_open, policy, spec, world};

/// How often the daemon is killed, and after how long. The times are unrelated to anything the daemon does, so that the
/// kills fall into every phase of a wave.
const KILL_AFTER_MS: [u64; 8] = [1_300, 400, 2_100, 900, 1_700, 250, 1_100, 600];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_is_killed_again_and_again_images_every_instance_once_per_fire() {
    let fleet = world()
        .instance(spec(1).tag("CostCenter", "42"))
        .instance(spec(2).tag("amikeep:class", "stateless"))
        .instance(spec(3).state(InstanceState::Stopped));
    let more = "class_tag_allows = [\"stateless\"]\ncopy_tags = [\"CostCenter\"]\ntags = { Team = \"ops\" }";
    let site = Site::new(fleet, &policy("often", "production-database", "*/3 * * * * *", more)).await;
    for after_ms in KILL_AFTER_MS {
        let daemon = site.daemon().await;
        tokio::time::sleep(Duration::from_millis(after_ms)).await;
        daemon.kill();
    }
    let daemon = site.daemon().await;
    let fires_before = site.jobs().await.len();
    site.wait_for_jobs("fires go on after the last kill", |jobs| fires_before + 6 <= jobs.len()).await;
    // No further fires, so that what is open can come to its end.
    site.configure(&policy("often", "production-database", "*/3 * * * * *", &format!("{more}\nenabled = false")));
    daemon.signal("HUP");
    let jobs = site.wait_for_jobs("every job ends", |jobs| !jobs.iter().any(is_open)).await;
    daemon.signal("TERM");
    assert!(daemon.wait().await.success());
    assert_once_per_fire(&site, &jobs).await;
}

async fn assert_once_per_fire(site: &Site, jobs: &[Value]) {
    let mut images: BTreeMap<String, Vec<ImageRecord>> = BTreeMap::new();
    for image in site.world.images() {
        images.entry(image.tags["amikeep:job"].clone()).or_default().push(image);
    }
    let fires = site.run(&["history", "--fires", "--format", "json", "--limit", "1000"]).await.json();
    let fires = fires["fires"].as_array().unwrap();
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
        causes.dedup();
        assert_eq!(causes.len(), reboots.len(), "no image rebooted its instance twice");
        assert_eq!(reboots.is_empty(), n != 1, "only the database is rebooted");
    }
}

fn assert_image(job: &Value, images: &[ImageRecord]) {
    let [image] = images else { panic!("{} images of {job:#?}", images.len()) };
    assert_eq!(image.state, ImageState::Available);
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
