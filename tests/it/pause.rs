//! What operators stop and take back, over the real binary with a daemon.

use std::time::Duration;

use serde_json::Value;

use crate::site::{Daemon, Site, instance_id, policy, spec, world};

/// Comes while the test looks on.
const OFTEN: &str = "*/2 * * * * *";

async fn fires(site: &Site) -> Vec<Value> {
    let ran = site.run(&["history", "--fires", "--format", "json", "--limit", "1000"]).await;
    ran.json()["fires"].as_array().unwrap().clone()
}

async fn pauses(site: &Site, args: &[&str]) -> Vec<Value> {
    let ran = site.run(&[args, &["--format", "json"]].concat()).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.json()["pauses"].as_array().unwrap().clone()
}

async fn wait_for_skipped(site: &Site, at_least: u64) {
    let deadline = tokio::time::Instant::now() + Duration::from_mins(2);
    loop {
        let fires = fires(site).await;
        let skipped = fires.iter().filter(|fire| fire["outcome"] == "skipped");
        let count: u64 = skipped.map(|fire| fire["missed_count"].as_u64().unwrap_or(1)).sum();
        if at_least <= count {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "fires are not skipped: {fires:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn stop(daemon: Daemon) {
    daemon.signal("TERM");
    assert!(daemon.wait().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fires_that_fall_into_a_pause_are_skipped_and_never_run() {
    let site = Site::new(world().instance(spec(1)), &policy("often", "stateless", OFTEN, "")).await;
    let mut daemon = site.daemon().await;
    let paused = pauses(&site, &["pause", "--policy", "often", "--reason", "disk replacement"]).await;
    let since: jiff::Timestamp = paused[0]["since"].as_str().unwrap().parse().unwrap();
    wait_for_skipped(&site, 2).await;
    daemon.wait_for_log("policy often paused: disk replacement").await;
    // Everywhere one looks it is seen.
    for args in [&["history"][..], &["images"]] {
        let ran = site.run(args).await;
        assert!(ran.stderr.contains("policy often paused: disk replacement"), "{args:?}: {ran:?}");
    }
    for args in [&["plan"][..], &["explain", &instance_id(1)], &["history", "--fires"]] {
        let ran = site.run(args).await;
        assert!(ran.stdout.contains("disk replacement"), "{args:?}: {ran:?}");
    }
    // Also after a restart.
    stop(daemon).await;
    let mut daemon = site.daemon().await;
    daemon.wait_for_log("policy often paused: disk replacement").await;
    assert!(pauses(&site, &["resume", "--policy", "often"]).await.is_empty());
    let resumed_at = jiff::Timestamp::from_millisecond(now_ms()).unwrap();
    let jobs =
        site.wait_for_jobs("fires go on", |jobs| 2 <= jobs.iter().filter(|job| is_after(job, resumed_at)).count());
    for job in jobs.await {
        let at: jiff::Timestamp = job["scheduled_at"].as_str().unwrap().parse().unwrap();
        assert!(at < since || is_after(&job, resumed_at) || job["skip_reason"] == "paused", "{job:#} was made up for");
    }
    stop(daemon).await;
}

/// By a second, since the resumption was asked for before it was known here.
fn is_after(job: &Value, at: jiff::Timestamp) -> bool {
    let scheduled_at: jiff::Timestamp = job["scheduled_at"].as_str().unwrap().parse().unwrap();
    at.duration_since(scheduled_at) <= jiff::SignedDuration::from_secs(3)
}

fn now_ms() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_waits_for_its_time_can_be_cancelled() {
    let jitter = "jitter = \"6h\"\nstart_within = \"6h\"";
    let site = Site::new(world().instance(spec(1)), &policy("often", "stateless", OFTEN, jitter)).await;
    let daemon = site.daemon().await;
    let jobs = site.wait_for_jobs("one waits", |jobs| jobs.iter().any(|job| job["state"] == "queued")).await;
    let job = jobs.iter().find(|job| job["state"] == "queued").unwrap()["id"].as_str().unwrap().to_owned();
    let ran = site.run(&["cancel", &job, "--format", "json"]).await;
    assert_eq!((ran.code, ran.json()["job"]["skip_reason"].as_str()), (0, Some("cancelled")), "{ran:?}");
    let shown = site.run(&["show", &job]).await;
    assert!(shown.stdout.contains("cancelled"), "{shown:?}");
    assert!(site.world.images().is_empty());
    stop(daemon).await;
}
