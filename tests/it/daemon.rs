//! The daemon and its signals.

use amikeep_ec2_sim::Action;

use crate::site::{ACCOUNT, NEVER_NOW, Site, is_open, policy, spec, world};

fn idle() -> String {
    policy("idle", "stateless", NEVER_NOW, "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_daemon_refuses_to_start_and_names_the_first() {
    let site = Site::new(world(), &idle()).await;
    let first = site.daemon().await;
    let second = site.run(&["daemon"]).await;
    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.stderr.contains(&first.pid().to_string()), "{second:?}");
    first.signal("TERM");
    assert!(first.wait().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lock_of_a_killed_daemon_is_free() {
    let site = Site::new(world(), &idle()).await;
    site.daemon().await.kill();
    let next = site.daemon().await;
    next.signal("INT");
    assert!(next.wait().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_takes_a_valid_file_and_leaves_an_invalid_one_alone() {
    let site = Site::new(world().instance(spec(1)), &idle()).await;
    let mut daemon = site.daemon().await;
    let good = site.config_text();
    site.write_config(&format!("{good}\n[policies.wrong]\nclas = \"stateless\"\n"));
    daemon.signal("HUP");
    daemon.wait_for_log("clas").await;
    // The running policies are still in force: a manual backup by one of them works.
    let error = site.run(&["check"]).await;
    assert_eq!(error.code, 2);
    site.configure(&policy("often", "stateless", "* * * * * *", ""));
    daemon.signal("HUP");
    let jobs = site.wait_for_jobs("the reloaded policy fires", |jobs| jobs.iter().any(|it| it["state"] == "succeeded"));
    assert!(jobs.await.iter().all(|job| job["policy"] == "often"));
    daemon.signal("TERM");
    assert!(daemon.wait().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_only_commands_work_beside_the_daemon_and_after_it() {
    let site = Site::new(world().instance(spec(1)), &policy("often", "stateless", "* * * * * *", "")).await;
    let daemon = site.daemon().await;
    let jobs = site.wait_for_jobs("a backup", |jobs| jobs.iter().any(|it| it["state"] == "succeeded")).await;
    let done = jobs.iter().find(|job| !is_open(job)).unwrap();
    let show = site.run(&["show", done["id"].as_str().unwrap(), "--format", "json"]).await.json();
    let events: Vec<&str> = show["events"].as_array().unwrap().iter().map(|it| it["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["queued", "started", "intended", "accepted", "available", "graded"]);
    daemon.signal("TERM");
    assert!(daemon.wait().await.success());
    let images = site.run(&["images", "--format", "json"]).await.json();
    let newest = &images["images"][0];
    assert_eq!((newest["verdict"].as_str(), newest["grade"].as_str()), (Some("keep"), Some("crash")), "{newest:#?}");
    assert_eq!(newest["reasons"][0]["rule"], "last");
    for command in ["history", "images"] {
        let table = site.run(&[command]).await;
        assert_eq!(table.code, 0, "{table:?}");
        assert!(!table.stdout.contains('\u{1b}'), "no colours in a pipe");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_line_of_an_outcome_reads_alone_and_has_fields() {
    let site = Site::new(world().instance(spec(1)), &policy("often", "stateless", "* * * * * *", "")).await;
    let mut daemon = site.daemon().await;
    daemon.wait_for_log("backed up").await;
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("backed up")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    for key in
        ["job_id", "policy", "account", "region", "instance_id", "scheduled_at", "state", "mode", "grade", "image_id"]
    {
        assert!(line[key].is_string(), "{key} in {line:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_is_none_is_refused_and_left_as_it_is() {
    let site = Site::new(world(), &idle()).await;
    std::fs::write(site.database(), "these are the notes of the neighbour").unwrap();
    let ran = site.run(&["daemon"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains(site.database().to_str().unwrap()), "{ran:?}");
    assert_eq!(std::fs::read_to_string(site.database()).unwrap(), "these are the notes of the neighbour");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemon_takes_the_request_limits_of_its_account_into_force_and_says_so() {
    let world = world().request_limit(Action::CreateImage, 80.0, 8.0);
    let site = Site::new(world, &idle()).await;
    let mut daemon = site.daemon().await;
    daemon.wait_for_log("CreateImage 80 at once and 8 a second").await;
    drop(daemon);
    site.world.deny(&ACCOUNT.parse().unwrap(), Action::ListServiceQuotas);
    let mut daemon = site.daemon().await;
    daemon.wait_for_log("are taken to be the documented ones").await;
    daemon.signal("TERM");
    assert!(daemon.wait().await.success());
}
