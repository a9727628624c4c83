//! Letting go, over the real binary and the simulated EC2's HTTP face.

use amikeep_ec2_sim::Action;
use serde_json::Value;

use crate::site::{ACCOUNT, NEVER_NOW, Ran, Site, instance_id, policy, spec, world};

/// One instance with that many images, of which the rules want one.
async fn site(images: usize, more: &str) -> Site {
    let nightly = policy("nightly", "stateless", NEVER_NOW, more).replace("last = 3", "last = -1");
    let site = Site::new(world().instance(spec(1)), &nightly).await;
    for _ in 0..images {
        let ran = site.run(&["backup", &instance_id(1)]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    site.configure(&nightly.replace("last = -1", "last = 1"));
    site
}

fn verdicts(ran: &Ran) -> Vec<String> {
    let images = ran.json()["images"].as_array().unwrap().clone();
    images.iter().map(|image: &Value| image["verdict"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_dry_run_shows_is_what_goes() {
    let site = site(3, "").await;
    let dry = site.run(&["prune", "--dry-run", "--format", "json"]).await;
    assert_eq!((dry.code, verdicts(&dry)), (0, vec!["keep".into(), "delete".into(), "delete".into()]), "{dry:?}");
    let nobody = site.run(&["prune"]).await;
    assert_eq!((nobody.code, site.images_left()), (2, 3), "{nobody:?}");
    let ran = site.run(&["prune", "--yes", "--format", "json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let deleted = ran.json()["deleted"].as_array().unwrap().clone();
    assert_eq!((deleted.len(), site.images_left(), site.orphans()), (2, 1, 0), "{ran:?}");
    assert_eq!(deleted[0]["reason"], "no rule keeps it");
    let shown = site.run(&["show", deleted[0]["job_id"].as_str().unwrap(), "--format", "json"]).await;
    let events = shown.json()["events"].as_array().unwrap().clone();
    assert_eq!(events.last().unwrap()["event"], "deleted", "{events:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_max_deletes_goes_only_when_the_policy_is_named() {
    let site = site(3, "max_deletes = 1").await;
    let ran = site.run(&["prune", "--yes"]).await;
    assert_eq!((ran.code, site.images_left()), (0, 3), "{ran:?}");
    assert!(ran.stderr.contains("--policy nightly --yes"), "{ran:?}");
    let ran = site.run(&["prune", "--policy", "nightly", "--yes"]).await;
    assert_eq!((ran.code, site.images_left(), site.orphans()), (0, 1, 0), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_permission_is_told_and_the_other_half_follows() {
    let site = site(2, "").await;
    site.world.deny(&ACCOUNT.parse().unwrap(), Action::DeleteSnapshot);
    let ran = site.run(&["prune", "--yes", "--format", "json"]).await;
    assert_eq!((ran.code, site.images_left(), site.orphans()), (1, 1, 2), "{ran:?}");
    let failed = ran.json()["failed"].as_array().unwrap().clone();
    assert_eq!((failed.len(), failed[0]["state"].as_str()), (1, Some("snapshots-left")), "{ran:?}");
    assert_eq!(failed[0]["snapshots_left"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_prunes_pins_pauses_and_resumes_when_it_is_asked() {
    let site = site(3, "").await;
    let daemon = site.daemon().await;
    let oldest = site.world.images()[0].id.to_string();
    let ran = site.run(&["pin", &oldest, "--format", "json"]).await;
    assert_eq!((ran.code, ran.json()["pinned"].as_bool()), (0, Some(true)), "{ran:?}");
    let ran = site.run(&["pause", "--all", "--reason", "a test", "--format", "json"]).await;
    assert_eq!((ran.code, ran.json()["pauses"][0]["scope"].as_str()), (0, Some("all")), "{ran:?}");
    let dry = site.run(&["prune", "--dry-run", "--format", "json"]).await;
    assert_eq!(verdicts(&dry), ["keep", "held", "held"], "{dry:?}");
    let ran = site.run(&["resume", "--policy", "nightly"]).await;
    assert_eq!(ran.code, 1, "only what was paused can be resumed: {ran:?}");
    assert_eq!(site.run(&["resume", "--all"]).await.code, 0);
    let ran = site.run(&["prune", "--yes", "--format", "json"]).await;
    assert_eq!((ran.code, site.images_left(), site.orphans()), (0, 2, 0), "{ran:?}");
    assert_eq!(site.run(&["unpin", &oldest]).await.code, 0);
    assert_eq!(site.run(&["prune", "--yes"]).await.code, 0);
    assert_eq!((site.images_left(), site.orphans()), (1, 0));
    daemon.signal("TERM");
    assert!(daemon.wait().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_can_be_paused_before_there_is_a_ledger_and_a_typo_cannot() {
    let site = Site::new(world().instance(spec(1)), &policy("nightly", "stateless", NEVER_NOW, "")).await;
    let ran = site.run(&["pause", "--policy", "nightly", "--until", "6h", "--format", "json"]).await;
    assert_eq!((ran.code, ran.json()["pauses"][0]["policy"].as_str()), (0, Some("nightly")), "{ran:?}");
    let ran = site.run(&["pause", "--policy", "nigthly"]).await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("nigthly") && ran.stderr.contains("nightly"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_has_ended_cannot_be_cancelled() {
    let site = site(1, "").await;
    let history = site.run(&["history", "--format", "json"]).await;
    let job = history.json()["jobs"][0]["id"].as_str().unwrap().to_owned();
    let ran = site.run(&["cancel", &job]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("ended already: succeeded"), "{ran:?}");
    assert_eq!(site.run(&["cancel", "00000000"]).await.code, 1);
}
