//! Manual backups, with and without a daemon.

use crate::site::{NEVER_NOW, Site, instance_id, policy, spec, world};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_daemon_the_command_does_it_itself() {
    let site = Site::new(world().instance(spec(1)), &policy("nightly", "stateful", NEVER_NOW, "")).await;
    let ran = site.run(&["backup", &instance_id(1), "--format", "json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let job = &ran.json()["jobs"][0];
    assert_eq!((job["state"].as_str(), job["trigger"].as_str()), (Some("succeeded"), Some("manual")), "{job:#}");
    assert_eq!((job["mode"]["done"].as_str(), job["grade"].as_str()), (Some("reboot"), Some("clean")));
    assert_eq!(site.world.images().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_daemon_the_daemon_does_it_and_the_command_follows() {
    let site = Site::new(world().instance(spec(1)), &policy("nightly", "stateful", NEVER_NOW, "")).await;
    let daemon = site.daemon().await;
    let ran = site.run(&["backup", &instance_id(1), "--consistency", "no-reboot", "--format", "json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let job = &ran.json()["jobs"][0];
    assert_eq!((job["mode"]["asked"].as_str(), job["grade"].as_str()), (Some("no-reboot"), Some("crash")), "{job:#}");
    let queued = site.run(&["backup", &instance_id(1), "--no-wait", "--format", "json"]).await;
    assert_eq!(queued.code, 0, "{queued:?}");
    site.wait_for_jobs("both end well", |jobs| jobs.iter().filter(|it| it["state"] == "succeeded").count() == 2).await;
    daemon.signal("TERM");
    assert!(daemon.wait().await.success());
    assert_eq!(site.world.images().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_is_named_by_the_operator_or_by_being_the_only_one() {
    let two = policy("one", "stateful", NEVER_NOW, "") + &policy("two", "stateless", NEVER_NOW, "");
    let site = Site::new(world().instance(spec(1)), &two).await;
    let ran = site.run(&["backup", &instance_id(1)]).await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("one") && ran.stderr.contains("two") && ran.stderr.contains("--policy"), "{ran:?}");
    assert!(site.world.images().is_empty());
    let ran = site.run(&["backup", &instance_id(1), "--policy", "two", "--format", "json"]).await;
    assert_eq!(ran.json()["jobs"][0]["policy"], "two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn regulated_cannot_be_weakened() {
    let site = Site::new(world().instance(spec(1)), &policy("audit", "regulated", NEVER_NOW, "")).await;
    let ran = site.run(&["backup", &instance_id(1), "--consistency", "no-reboot"]).await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("regulated"), "{ran:?}");
    assert!(site.world.images().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_not_there_is_named() {
    let site = Site::new(world(), &policy("nightly", "stateful", NEVER_NOW, "")).await;
    let ran = site.run(&["backup", &instance_id(9)]).await;
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains(&instance_id(9)) && ran.stderr.contains("eu-central-1"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_fails_exits_with_1_and_says_what_to_do() {
    let fleet = world().instance(spec(1).tag("aws:autoscaling:groupName", "web"));
    let site = Site::new(fleet, &policy("nightly", "stateful", NEVER_NOW, "")).await;
    let ran = site.run(&["backup", &instance_id(1)]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains("reboot_blocked") && said.contains("reboot_in_asg"), "{said}");
    let jobs = site.jobs().await;
    let show = site.run(&["show", jobs[0]["id"].as_str().unwrap()]).await;
    assert!(show.stdout.contains("reboot_in_asg"), "{show:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_tells_before_anything_happens() {
    let fleet = world().instance(spec(1)).instance(spec(2).tag("Env", "test"));
    let site = Site::new(fleet, &policy("nightly", "stateful", "0 2 * * *", "")).await;
    let explained = site.run(&["explain", &instance_id(1), "--format", "json"]).await.json();
    let policy = &explained["policies"][0];
    assert_eq!(policy["policy"], "nightly", "{explained:#}");
    assert!(explained.to_string().contains("clean"), "{explained:#}");
    let unmatched = site.run(&["explain", &instance_id(2), "--format", "json"]).await;
    assert_eq!(unmatched.json()["policies"], serde_json::json!([]));
    assert!(site.world.images().is_empty());
}
