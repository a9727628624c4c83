//! Disks that are full, read-only or broken below the ledger, with the real `SQLite` in the real binary.
//!
//! Whatever the disk does: nothing is sent without its committed intent, what is wrong and what to do is said, nothing
//! that was committed is lost, and a ledger that is damaged is refused and kept as it is.

pub(crate) mod volume;

use std::process::Stdio;
use std::time::Duration;

use amikeep_ec2_sim::{Action, Call};
use serde_json::Value;

use crate::disk::volume::Volume;
use crate::notify::NotifySocket;
use crate::site::{Daemon, NEVER_NOW, Site, policy, spec, world};
use crate::web;

/// Images of two instances every other second, of which one each is kept, and a prune every three seconds.
async fn busy(volume: &Volume) -> Site {
    let often = policy("often", "stateless", "*/2 * * * * *", "").replace("last = 3", "last = 1");
    let site = Site::with_ledger(world().instance(spec(1)).instance(spec(2)), &often, volume.database()).await;
    let pruning = "[daemon]\nprune_schedule = \"*/3 * * * * *\"";
    site.write_config(&site.config_text().replace("[daemon]", pruning));
    site
}

fn changes(site: &Site) -> Vec<Call> {
    let is_change =
        |call: &Call| matches!(call.action(), Action::CreateImage | Action::DeregisterImage | Action::DeleteSnapshot);
    site.world.calls().into_iter().filter(is_change).collect()
}

/// Waits until images were taken and let go, so that both kinds of changes are under way.
async fn wait_for_work(site: &Site) {
    let (images, deleted) = (site.world.count(Action::CreateImage), site.world.count(Action::DeregisterImage));
    let worked = || {
        images + 4 <= site.world.count(Action::CreateImage) && deleted + 2 <= site.world.count(Action::DeregisterImage)
    };
    site.wait_for_jobs("images are taken and let go", |_| worked()).await;
}

/// Several fires and prunes come and go, and nothing is sent.
async fn assert_silent(site: &Site) {
    // What was intended before the trouble may still be sent.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = changes(site).len();
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(changes(site).len(), before, "sent although nothing can be written down: {:#?}", changes(site).last());
}

/// Every change that EC2 was ever asked for is in the ledger, with its intent from before the call.
async fn assert_intended(site: &Site) {
    let images = site.world.images();
    assert!(!images.is_empty());
    for image in images {
        let shown = site.run(&["show", &image.tags["amikeep:job"], "--format", "json"]).await;
        assert_eq!(shown.code, 0, "{} is of a job that the ledger does not know: {shown:?}", image.id);
        let shown = shown.json();
        let written_at = |event: &str| {
            let events = shown["events"].as_array().unwrap();
            let at = |it: &&Value| it["event"] == event;
            Some(events.iter().find(at)?["at"].as_str()?.parse::<jiff::Timestamp>().unwrap())
        };
        assert!(written_at("intended").is_some_and(|at| at <= image.created_at), "{image:?}: {shown:#}");
        if let Some(deregistered_at) = image.deregistered_at {
            assert!(written_at("deletion-planned").is_some_and(|at| at <= deregistered_at), "{image:?}: {shown:#}");
        }
    }
}

async fn stop(daemon: Daemon) {
    daemon.signal("TERM");
    let (status, log) = daemon.ended().await;
    assert!(status.success(), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_all_changes_and_room_starts_them_again() {
    let Some(volume) = Volume::new() else { return };
    let site = busy(&volume).await;
    site.write_config(&site.config_text().replace("listen = \"\"", web::LISTEN));
    let path = site.dir().join("notify");
    let socket = NotifySocket::bind(&path);
    let mut daemon = site.start(site.command(&["daemon"]).env("NOTIFY_SOCKET", &path));
    let address = web::address(&mut daemon).await;
    wait_for_work(&site).await;
    assert_eq!(web::get(&address, "/healthz").await.status, 200);
    volume.fill();
    daemon.wait_for_log("is full: free some space; all that was committed is safe").await;
    assert_silent(&site).await;
    let told = tokio::task::spawn_blocking(move || (socket.wait_for("STATUS=NOTHING IS BACKED UP: the disk"), socket));
    let (_, socket) = told.await.unwrap();
    let health = web::get(&address, "/healthz").await;
    assert!(health.status == 503 && health.body.starts_with("nothing is backed up: the disk"), "{health:?}");
    let figures = web::get(&address, "/metrics").await.body;
    assert!(figures.contains("\namikeep_engine_stopped 1.0\n"), "{figures}");
    assert!(figures.contains("\namikeep_ledger_readable 1.0\n"), "what only reads goes on: {figures}");
    // What only reads goes on.
    assert_eq!(site.run(&["history"]).await.code, 0);
    let refused = site.run(&["backup", "i-00000000000000001", "--no-wait"]).await;
    assert!(refused.code == 1 && refused.stderr.contains("is full: free some space"), "{refused:?}");

    volume.free();
    daemon.wait_for_log("the ledger can be written again").await;
    wait_for_work(&site).await;
    tokio::task::spawn_blocking(move || socket.wait_for("STATUS=policies in force: 1")).await.unwrap();
    assert_eq!(web::get(&address, "/healthz").await.body, "ok\n");
    stop(daemon).await;
    assert_intended(&site).await;
}

/// The loop waits for a disk that takes no write, while the process is as alive as ever: nobody else may answer for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_that_hangs_answers_no_watchdog() {
    let Some(volume) = Volume::new() else { return };
    let never = policy("never", "stateless", NEVER_NOW, "");
    let site = Site::with_ledger(world().instance(spec(1)), &never, volume.database()).await;
    let path = site.dir().join("notify");
    let socket = NotifySocket::bind(&path);
    let daemon = site.start(site.command(&["daemon"]).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "10000000"));
    socket.wait_for("READY=1");
    assert!(2 <= socket.count_for(Duration::from_secs(5), "WATCHDOG=1"), "it answers while it is well");
    // A request that the loop itself has to write about, from before the disk stood still.
    daemon.signal("STOP");
    let log = site.database().with_extension("db-wal");
    let written = || log.metadata().unwrap().modified().unwrap();
    let before = written();
    let mut pausing = site.command(&["pause", "--all"]).stdout(Stdio::null()).spawn().unwrap();
    while written() == before {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let frozen = volume.freeze();
    daemon.signal("CONT");
    // One answer may have been on its way.
    assert!(socket.count_for(Duration::from_secs(8), "WATCHDOG=1") <= 2, "{}", daemon.log());
    assert_eq!(socket.count_for(Duration::from_secs(6), "WATCHDOG=1"), 0, "{}", daemon.log());
    drop(frozen);
    socket.wait_for("WATCHDOG=1");
    assert!(pausing.wait().unwrap().success(), "it goes on");
    stop(daemon).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_turns_read_only_stops_all_changes_until_it_is_mended() {
    let Some(volume) = Volume::new() else { return };
    let site = busy(&volume).await;
    let mut daemon = site.daemon().await;
    wait_for_work(&site).await;
    volume.fail_read_only();
    daemon.wait_for_log("nothing can be written down, so nothing is done").await;
    assert_silent(&site).await;
    daemon.signal("TERM");
    let (status, log) = daemon.ended().await;
    assert_eq!(status.code(), Some(1), "a stop that is not on record is no success: {log}");
    assert!(log.contains("is read-only: remount its file system writable"), "{log}");
    let refused = site.start(&mut site.command(&["daemon"])).ended().await;
    assert_eq!(refused.0.code(), Some(1), "{}", refused.1);
    assert!(refused.1.contains("Read-only file system"), "{}", refused.1);

    volume.repair();
    let daemon = site.daemon().await;
    assert!(daemon.log().contains("did not stop in order"), "{}", daemon.log());
    wait_for_work(&site).await;
    stop(daemon).await;
    assert_intended(&site).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_stops_all_changes_until_it_is_back() {
    let Some(volume) = Volume::new() else { return };
    let site = busy(&volume).await;
    let daemon = site.daemon().await;
    wait_for_work(&site).await;
    volume.fail();
    // SQLite tells a disk that cannot be read from a file that makes no sense only by luck. By the other luck nothing has to
    // be read, and the daemon tries to write for a minute first.
    let (status, log) = daemon.ended().await;
    let sent = changes(&site).len();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("into the kernel's log for errors of its disk"), "{log}");
    for _ in 0..2 {
        // As systemd would.
        let (status, log) = site.start(&mut site.command(&["daemon"])).ended().await;
        assert!(status.code() == Some(1) && log.contains("Input/output error"), "{log}");
    }
    assert_eq!(changes(&site).len(), sent);

    volume.repair();
    let daemon = site.daemon().await;
    wait_for_work(&site).await;
    stop(daemon).await;
    assert_intended(&site).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_or_read_only_at_the_start_is_named() {
    let Some(volume) = Volume::new() else { return };
    let site = busy(&volume).await;
    volume.fill();
    for _ in 0..2 {
        let (status, log) = site.start(&mut site.command(&["daemon"])).ended().await;
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains("No space left") || log.contains("is full"), "{log}");
    }
    assert!(!site.database().exists(), "half a ledger would be refused for ever");
    volume.free();
    stop(site.daemon().await).await;

    volume.unmount();
    volume.mount("ro");
    let (status, log) = site.start(&mut site.command(&["daemon"])).ended().await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("read-only") || log.contains("Read-only"), "{log}");
    volume.unmount();
    volume.mount("rw");
    stop(site.daemon().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_lost_part_of_the_ledger_is_named_and_nothing_is_made_anew() {
    let Some(volume) = Volume::new() else { return };
    let site = busy(&volume).await;
    let daemon = site.daemon().await;
    wait_for_work(&site).await;
    stop(daemon).await;
    let before = changes(&site).len();
    volume.cut_off_after_first_page(site.database());
    let (status, log) = site.start(&mut site.command(&["daemon"])).ended().await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("look into the kernel's log for errors of its disk"), "{log}");
    let refused = site.run(&["history"]).await;
    assert!(refused.code == 1 && refused.stderr.contains("kernel's log"), "{refused:?}");
    assert_eq!(changes(&site).len(), before, "nothing was sent");
    assert!(site.database().exists());
}
