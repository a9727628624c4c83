//! A ledger that is torn or lost: refused, kept as it is, and restored by the commands of its page.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use amikeep_ec2_sim::Action;

use crate::site::{NEVER_NOW, Site, instance_id, is_open, policy, spec, world};

const PAGE: &str = include_str!("../../docs/ledger.md");

/// The page's own commands, for a ledger that is in this directory and belongs to no service.
fn restore(directory: &Path) {
    let block = PAGE.split("```sh\n").find(|block| block.starts_with("# Restore the newest backup\n")).unwrap();
    let block = block.split("```").next().unwrap();
    assert!(block.contains("cd /var/lib/amikeep &&"), "{block}");
    let block = block.replace("/var/lib/amikeep", directory.to_str().unwrap()).replace("systemctl", "true systemctl");
    let output = Command::new("sh").args(["-c", &block]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{block}\n{output:?}");
}

/// A site whose ledger has a backup with jobs in it, and jobs since; the daemon does not run.
async fn backed_up_site() -> Site {
    let site = Site::new(world().instance(spec(1)).instance(spec(2)), &often("")).await;
    let daemon = site.daemon().await;
    site.wait_for_jobs("some succeed", |jobs| 4 <= succeeded(jobs)).await;
    daemon.signal("TERM");
    assert!(daemon.wait().await.success());
    // The one from the first start, when there was nothing yet.
    fs::remove_dir_all(backups(&site)).unwrap();
    let mut daemon = site.daemon().await;
    daemon.wait_for_log("the ledger was copied to").await;
    let before = succeeded(&site.jobs().await);
    site.wait_for_jobs("more succeed after the backup", |jobs| before + 6 <= succeeded(jobs)).await;
    site.configure(&often("enabled = false"));
    daemon.signal("HUP");
    site.wait_for_jobs("all end", |jobs| !jobs.iter().any(is_open)).await;
    daemon.signal("TERM");
    assert!(daemon.wait().await.success());
    site
}

fn often(more: &str) -> String {
    policy("often", "stateless", "*/2 * * * * *", more)
}

fn succeeded(jobs: &[serde_json::Value]) -> usize {
    jobs.iter().filter(|job| job["state"] == "succeeded").count()
}

fn backups(site: &Site) -> PathBuf {
    site.dir().join("amikeep.db.backups")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_ledger_is_kept_and_restored_by_the_page_and_nothing_is_taken_twice() {
    let site = backed_up_site().await;
    let before = site.jobs().await;
    let images = site.world.images();
    tear(site.database());
    let torn = fs::read(site.database()).unwrap();
    let sent = site.world.count(Action::CreateImage);
    let (status, log) = site.start(&mut site.command(&["daemon"])).ended().await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("restore a backup as docs/ledger.md describes"), "{log}");
    let refused = site.run(&["history"]).await;
    assert!(refused.code == 1 && refused.stderr.contains("restore a backup"), "{refused:?}");
    assert_eq!(fs::read(site.database()).unwrap(), torn, "the evidence was changed");

    restore(site.dir());
    let is_kept = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with("damaged-");
    let kept = fs::read_dir(site.dir()).unwrap().map(Result::unwrap).find(is_kept).unwrap();
    assert!(fs::read(kept.path().join("amikeep.db")).unwrap() == torn);
    let known = site.jobs().await;
    assert!(!known.is_empty() && known.len() < before.len());

    // The policy goes on: its missed fires are recorded, and whatever it takes now is new.
    site.configure(&often(""));
    let pruning = site.config_text().replace("[daemon]", "[daemon]\nprune_schedule = \"*/3 * * * * *\"");
    site.write_config(&pruning.replace("last = 3", "last = -1"));
    let mut daemon = site.daemon().await;
    daemon.wait_for_log("did not stop in order").await;
    daemon.wait_for_log("carry the owner's tag and are not in the ledger; they are left alone").await;
    let after = succeeded(&known) + 4;
    site.wait_for_jobs("images are taken again", |jobs| after <= succeeded(jobs)).await;
    site.configure(&often("enabled = false").replace("last = 3", "last = -1"));
    daemon.signal("HUP");
    let jobs = site.wait_for_jobs("all end", |jobs| !jobs.iter().any(is_open)).await;
    daemon.signal("TERM");
    assert!(daemon.wait().await.success());

    let mut names: Vec<String> = site.world.images().into_iter().map(|image| image.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), site.world.images().len(), "a fire and instance has one image");
    assert!(sent < site.world.count(Action::CreateImage));
    assert_eq!(site.world.count(Action::DeregisterImage), 0, "what the ledger does not know is left alone");
    assert!(images.iter().all(|image| site.world.images().iter().any(|it| it.id == image.id)));
    for job in jobs.iter().filter(|job| job["state"] == "failed") {
        assert_eq!(job["error"]["code"], "name_taken", "{job:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_ledger_takes_in_what_was_made_since_when_an_operator_says_so() {
    let site = backed_up_site().await;
    let before = site.jobs().await;
    let running = site.daemon().await;
    let refused = site.run(&["reconcile", "--yes"]).await;
    assert!(refused.code == 1 && refused.stderr.contains("stop it first"), "{refused:?}");
    running.signal("TERM");
    assert!(running.wait().await.success());
    fs::remove_file(site.database()).unwrap();
    restore(site.dir());
    let known = site.jobs().await.len();

    let nobody = site.run(&["reconcile"]).await;
    assert_eq!(nobody.code, 2, "{nobody:?}");
    let dry = site.run(&["reconcile", "--dry-run", "--format", "json"]).await;
    let shown = dry.json()["images"].as_array().unwrap().clone();
    assert!(!shown.is_empty() && shown.iter().all(|image| image["taken_in"] == false), "{dry:?}");
    assert_eq!(site.jobs().await.len(), known, "it only showed them");
    let ran = site.run(&["reconcile", "--yes", "--format", "json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let taken = ran.json()["images"].as_array().unwrap().clone();
    assert!(taken.len() == shown.len() && taken.iter().all(|image| image["taken_in"] == true), "{ran:?}");
    let again = site.run(&["reconcile", "--yes", "--format", "json"]).await;
    assert_eq!(again.json()["images"], serde_json::json!([]), "{again:?}");

    // What was there before the ledger was lost is there again, what was open in the backup as soon as the daemon looks; and
    // it goes by the rules.
    let ids = |jobs: &[serde_json::Value]| {
        let made = jobs.iter().filter(|job| job["state"] == "succeeded");
        made.map(|job| job["id"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    site.configure(&often("").replace("last = 3", "last = 1"));
    site.write_config(&site.config_text().replace("[daemon]", "[daemon]\nprune_schedule = \"*/3 * * * * *\""));
    let daemon = site.daemon().await;
    site.wait_for_jobs("all is known again", |jobs| ids(&before).is_subset(&ids(jobs))).await;
    let gone = || site.world.images().iter().filter(|image| image.deregistered_at.is_some()).count();
    let jobs = site.wait_for_jobs("all but the newest go", |_| taken.len() <= gone()).await;
    assert!(jobs.iter().all(|job| job["state"] != "failed"), "{jobs:#?}");
    daemon.signal("TERM");
    let (status, log) = daemon.ended().await;
    assert!(status.success() && !log.contains("are not in the ledger"), "{log}");
    let mut names: Vec<String> = site.world.images().into_iter().map(|image| image.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), site.world.images().len(), "a fire and instance has one image");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_is_torn_while_it_is_open_ends_the_daemon_and_is_left_as_it_is() {
    let site = backed_up_site().await;
    site.configure(&often(""));
    let daemon = site.daemon().await;
    tear(site.database());
    let torn = fs::read(site.database()).unwrap();
    let (status, log) = daemon.ended().await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("amikeep ends, and leaves the ledger as it is: "), "{log}");
    assert!(fs::read(site.database()).unwrap() == torn, "the log was written into it");
    let sent = site.world.count(Action::CreateImage);
    let (status, log) = site.start(&mut site.command(&["daemon"])).ended().await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert_eq!((fs::read(site.database()).unwrap() == torn, site.world.count(Action::CreateImage)), (true, sent));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_is_lost_is_never_made_anew_in_silence() {
    let site = Site::new(world().instance(spec(1)), &policy("never", "stateless", NEVER_NOW, "")).await;
    let mut daemon = site.daemon().await;
    daemon.wait_for_log("the ledger was copied to").await;
    daemon.signal("TERM");
    assert!(daemon.wait().await.success());
    fs::remove_file(site.database()).unwrap();
    for args in [&["daemon"][..], &["backup", &instance_id(1)]] {
        let refused = site.run(args).await;
        assert!(refused.code == 1 && refused.stderr.contains("is left of one: restore a backup"), "{refused:?}");
    }
    assert!(!site.database().exists());
    restore(site.dir());
    let daemon = site.daemon().await;
    daemon.signal("TERM");
    assert!(daemon.wait().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_whose_ledger_is_taken_away_ends_and_touches_nothing_of_what_is_there_now() {
    let site = backed_up_site().await;
    site.configure(&often(""));
    let before = succeeded(&site.jobs().await);
    let daemon = site.daemon().await;
    site.wait_for_jobs("it works", |jobs| before < succeeded(jobs)).await;
    // As somebody would who restores a backup and forgets to stop the daemon.
    restore(site.dir());
    let put_back = fs::read(site.database()).unwrap();
    let (status, log) = daemon.ended().await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("is no longer the file that amikeep opened"), "{log}");
    assert!(fs::read(site.database()).unwrap() == put_back, "it was written to");
    let daemon = site.daemon().await;
    daemon.signal("TERM");
    assert!(daemon.wait().await.success());
    let mut names: Vec<String> = site.world.images().into_iter().map(|image| image.name).collect();
    names.sort();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "a fire and instance has one image");

    // The lock alone: a second daemon could take one of the same name.
    let daemon = site.daemon().await;
    fs::remove_file(site.database().with_extension("db.lock")).unwrap();
    let (status, log) = daemon.ended().await;
    assert!(status.code() == Some(1) && log.contains("amikeep.db.lock is no longer the file"), "{log}");
    let daemon = site.daemon().await;
    daemon.signal("TERM");
    assert!(daemon.wait().await.success());
}

/// Every page but the first no longer makes sense.
fn tear(path: &Path) {
    let file = fs::File::options().write(true).open(path).unwrap();
    let len = usize::try_from(file.metadata().unwrap().len()).unwrap();
    file.write_all_at(&vec![0xaa; len - 4_096], 4_096).unwrap();
}
