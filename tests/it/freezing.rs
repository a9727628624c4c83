//! Real freezes of this machine's own file systems, XFS and ext4 at once, under writers: the real binary, the simulated EC2,
//! and copies of the backing files that are taken when a snapshot's point in time is fixed.

mod mariadb;
mod redis;
mod rows;
mod ssm;
mod ssm_apps;
mod ssm_postgresql;
mod ssm_redis;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amikeep_cloud::{Cloud, InstanceQuery};
use amikeep_domain::instance::AttachedVolume;
use amikeep_ec2_sim::{Action, Fault, FaultOutcome, ImageDuration, Place, PointInTime, SimCloud, WorldBuilder};
use jiff::SignedDuration;
use serde_json::Value;

use crate::disks::{Disks, sh};
use crate::site::{ACCOUNT, REGION, Ran, Site, instance_id, world};

/// Appends numbered rows and flushes each; what was acknowledged is in a file that is never frozen.
struct Writer {
    process: Child,
    acknowledged: PathBuf,
}

impl Writer {
    fn on(disks: &Disks, name: &str, acknowledged: &Path) -> Self {
        let rows = disks.path(name).join("rows");
        let script = format!(
            "i=1; while echo $i >> {0} && sync {0} && echo $i > {1}.new && mv {1}.new {1}; do i=$((i+1)); done",
            rows.display(),
            acknowledged.display()
        );
        let process = Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).spawn().unwrap();
        let writer = Self { process, acknowledged: acknowledged.to_owned() };
        writer.wait_for(1);
        writer
    }

    fn count(&self) -> u64 {
        fs::read_to_string(&self.acknowledged).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    /// Writes flow: further rows are acknowledged.
    fn flows_again(&self) {
        self.wait_for(self.count() + 3);
    }

    fn wait_for(&self, count: u64) {
        let mut tries = 0;
        while self.count() < count {
            sh("sleep 0.05");
            tries += 1;
            assert!(tries < 1_200, "no row is acknowledged for a minute");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A site whose volumes are the two disks, with writers on both.
struct Scene {
    // Dropped first, so that nothing is written to what is put away.
    writers: Vec<Writer>,
    site: Site,
    /// Rows that had been acknowledged when a volume's copy was made.
    copied: Arc<Mutex<BTreeMap<String, u64>>>,
    disks: Disks,
}

const NAMES: [(&str, &str); 2] = [("xfs", "/dev/sdf"), ("ext4", "/dev/sdg")];

impl Scene {
    async fn new(builder: WorldBuilder, if_blocked: &str, more: &str) -> Option<Self> {
        let disks = tokio::task::spawn_blocking(Disks::new).await.unwrap()?;
        let spec = crate::site::spec(1).volume("/dev/sdg", 20);
        let site = Site::new(builder.instance(spec), "").await;
        site.configure(&disks.config(if_blocked, more));
        let acknowledged = |name: &str| site.dir().join(format!("acknowledged-{name}"));
        let writers = NAMES.iter().map(|(name, _)| Writer::on(&disks, name, &acknowledged(name))).collect();
        let scene = Self { writers, site, copied: Arc::default(), disks };
        scene.copy_with(|| ()).await;
        Some(scene)
    }

    /// Has a copy made of each snapshot of a disk from now on, right after something else was done.
    async fn copy_with(&self, first: impl Fn() + Send + Sync + 'static) {
        let Self { site, disks, .. } = self;
        let acknowledged = |name: &str| site.dir().join(format!("acknowledged-{name}"));
        let place = Place { account: ACCOUNT.parse().unwrap(), region: REGION.parse().unwrap() };
        let instances = SimCloud::new(site.world.clone(), place).observe_instances(InstanceQuery::All).await.unwrap();
        let of_volume = |it: &AttachedVolume| {
            let (name, _) = NAMES.iter().find(|(_, device)| *device == it.device)?;
            Some((it.volume.to_string(), (*name, disks.image(name), acknowledged(name))))
        };
        let volumes: BTreeMap<_, _> = instances[0].volumes.iter().filter_map(of_volume).collect();
        let noted = Arc::clone(&self.copied);
        site.world.on_point_in_time(move |point: &PointInTime| {
            let Some((name, image, acknowledged)) = volumes.get(point.volume.as_str()) else { return };
            first();
            let count = fs::read_to_string(acknowledged).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            sh(&format!("cp --reflink=always --sparse=auto {0} {0}.copy", image.display()));
            noted.lock().unwrap().insert((*name).to_owned(), count);
        });
    }

    async fn backup(&self) -> (Value, Ran) {
        let ran = self.site.run(&["backup", &instance_id(1), "--format", "json"]).await;
        (ran.json()["jobs"][0].clone(), ran)
    }

    fn flows_again(&self) {
        self.writers.iter().for_each(Writer::flows_again);
    }

    fn mount_copy(&self, name: &str) -> PathBuf {
        let image = self.disks.path("host").join(format!("{name}.img.copy"));
        // Writable: the log of a frozen XFS is replayed when it is mounted, as by a server that starts from the image.
        let options = if name == "xfs" { "rw,nouuid" } else { "rw" };
        self.disks.mount(&image, &format!("copy-{name}"), options)
    }

    /// Rows in the copy of a disk.
    fn rows_in_copy(&self, name: &str) -> u64 {
        let rows = fs::read_to_string(self.mount_copy(name).join("rows")).unwrap();
        rows.lines().last().unwrap().parse().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn xfs_and_ext4_are_frozen_at_once_and_the_image_has_every_row_that_was_acknowledged() {
    let Some(scene) = Scene::new(world(), "fail", "budget = \"60s\"").await else { return };
    let (job, ran) = scene.backup().await;
    assert_eq!((ran.code, job["grade"].as_str()), (0, Some("filesystem")), "{job:#} {ran:?}");
    let grades: BTreeMap<&str, &str> = job["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["device"].as_str().unwrap(), it["grade"].as_str().unwrap()))
        .collect();
    assert_eq!(
        grades,
        BTreeMap::from([("/dev/xvda", "crash"), ("/dev/sdf", "filesystem"), ("/dev/sdg", "filesystem")])
    );
    scene.flows_again();
    let copied = scene.copied.lock().unwrap().clone();
    for (name, acknowledged) in copied {
        let rows = scene.rows_in_copy(&name);
        // Nothing was written while the copy was made but what had been on its way.
        assert!((acknowledged..=acknowledged + 1).contains(&rows), "{name}: {rows} rows, {acknowledged} acknowledged");
    }
    let story = scene.site.run(&["show", job["id"].as_str().unwrap()]).await;
    for words in ["xfs", "ext4", "frozen", "thawed"] {
        assert!(story.stdout.contains(words), "{words} in {story:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_of_both_disks_are_taken_in_one_call_and_writes_flow_on_at_its_reply() {
    let quick = world().image_duration(ImageDuration::Fixed(SignedDuration::from_secs(2)));
    let Some(scene) = Scene::new(quick, "fail", "budget = \"60s\"\ncapture = \"snapshots\"").await else { return };
    let (job, ran) = scene.backup().await;
    assert_eq!((ran.code, job["grade"].as_str()), (0, Some("filesystem")), "{job:#} {ran:?}");
    scene.flows_again();
    assert_eq!(scene.site.world.count(Action::CreateSnapshots), 1);
    let copied = scene.copied.lock().unwrap().clone();
    for (name, acknowledged) in copied {
        let rows = scene.rows_in_copy(&name);
        // Nothing was written while the copy was made but what had been on its way.
        assert!((acknowledged..=acknowledged + 1).contains(&rows), "{name}: {rows} rows, {acknowledged} acknowledged");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_hangs_stalls_writes_no_longer_than_the_budget() {
    let hung = world().fault(Fault::on(Action::CreateImage, FaultOutcome::Hang).times(1));
    let Some(scene) = Scene::new(hung, "fail", "budget = \"3s\"\nlock_wait = \"1s\"").await else { return };
    let (job, ran) = scene.backup().await;
    // Tried again after it was settled by name, in a second hold.
    assert_eq!((ran.code, job["grade"].as_str()), (0, Some("filesystem")), "{job:#} {ran:?}");
    scene.flows_again();
    let story = scene.site.run(&["show", job["id"].as_str().unwrap(), "--format", "json"]).await.json();
    let events = story["events"].as_array().unwrap();
    let first = events.iter().find(|it| it["event"] == "held").unwrap()["detail"].as_str().unwrap().to_owned();
    assert!(first.contains("not proved"), "{first}");
}

/// Kills the daemon while everything is frozen, and its guard first or after it.
async fn killed(guard_first: bool) {
    let late = world().snapshot_lag(SignedDuration::from_mins(5), SignedDuration::ZERO);
    let Some(scene) = Scene::new(late, "no-reboot", "budget = \"100s\"").await else { return };
    let daemon = scene.site.daemon().await;
    let queued = scene.site.run(&["backup", &instance_id(1), "--no-wait"]).await;
    assert_eq!(queued.code, 0, "{queued:?}");
    // Frozen: EC2 was asked, which is after the freeze.
    while scene.site.world.count(Action::CreateImage) == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let guard = sh(&format!("pgrep --parent {} --full __guard", daemon.pid()));
    if guard_first {
        // Both, in one call: neither can do anything for the other.
        sh(&format!("kill -9 {guard} {}", daemon.pid()));
        drop(daemon);
        let thawed = scene.site.run(&["thaw", "--format", "json"]).await;
        assert_eq!(thawed.code, 0, "{thawed:?}");
        assert_eq!(thawed.json()["holds"].as_array().unwrap().len(), 1, "{thawed:?}");
    } else {
        daemon.kill();
    }
    let writers = scene.writers.iter();
    tokio::task::block_in_place(|| writers.for_each(Writer::flows_again));
    // Whoever comes next finds the image by its name, and says what it is worth.
    scene.site.world.set_snapshot_lag(SignedDuration::ZERO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_flow_again_when_the_daemon_is_killed() {
    killed(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_flow_again_when_daemon_and_guard_are_killed_and_somebody_comes() {
    killed(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_that_is_killed_is_noticed_at_once_and_proves_nothing() {
    let late = world().snapshot_lag(SignedDuration::from_secs(8), SignedDuration::ZERO);
    let Some(scene) = Scene::new(late, "no-reboot", "budget = \"100s\"").await else { return };
    let daemon = scene.site.daemon().await;
    let queued = scene.site.run(&["backup", &instance_id(1), "--no-wait"]).await;
    assert_eq!(queued.code, 0, "{queued:?}");
    while scene.site.world.count(Action::CreateImage) == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    sh(&format!("pkill -9 --parent {} --full __guard", daemon.pid()));
    tokio::task::block_in_place(|| scene.flows_again());
    let jobs = scene.site.wait_for_jobs("it ends", |jobs| jobs.iter().all(|job| job["state"] == "succeeded")).await;
    assert_eq!(jobs[0]["grade"], "crash", "{:#}", jobs[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsal_freezes_thaws_and_prints_the_stall() {
    let Some(scene) = Scene::new(world(), "fail", "").await else { return };
    let ran = scene.site.run(&["hold", "--freeze", "disks", "--test", "--format", "json"]).await;
    assert_eq!((ran.code, ran.json()["held"].as_bool()), (0, Some(true)), "{ran:?}");
    assert_eq!(ran.json()["mounts"].as_array().unwrap().len(), 2);
    scene.flows_again();
}

impl Scene {
    /// Rehearses `capture = "snapshots"` over a real freeze: both disks stood still, what an image would carry is told, and
    /// nothing was taken.
    async fn rehearses_snapshots(&self, more: &[&str]) {
        let ran = self.site.run(&[&["hold", "--freeze", "disks", "--test"], more].concat()).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        for words in
            ["xfs", "ext4", "Writes stood still for", "An image by CreateSnapshots", "root device name", "It works"]
        {
            assert!(ran.stdout.contains(words), "{words} in {}", ran.stdout);
        }
        let ran = self.site.run(&[&["hold", "--freeze", "disks", "--test", "--format", "json"], more].concat()).await;
        let (told, capture) = (ran.json(), ran.json()["capture_by_snapshots"].clone());
        assert_eq!(
            (ran.code, told["held"].as_bool(), capture["fit"].as_bool()),
            (0, Some(true), Some(true)),
            "{ran:?}"
        );
        let volumes = capture["carries"]["volumes"].as_str().unwrap();
        assert!(["/dev/xvda", "/dev/sdf", "/dev/sdg"].iter().all(|device| volumes.contains(device)), "{capture:#}");
        let steps: Vec<&str> =
            told["steps"].as_array().unwrap().iter().map(|it| it["step"].as_str().unwrap()).collect();
        assert_eq!(steps, ["frozen", "frozen", "thawed", "thawed"], "{told:#}");
        assert!(told["stall_ms"].is_u64() && told["mounts"].as_array().unwrap().len() == 2, "{told:#}");
        self.flows_again();
        for action in [Action::CreateSnapshots, Action::CreateImage, Action::RegisterImage] {
            assert_eq!(self.site.world.count(action), 0, "nothing was taken");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsal_of_snapshots_freezes_and_tells_what_an_image_would_carry() {
    let Some(scene) = Scene::new(world(), "fail", "capture = \"snapshots\"").await else { return };
    scene.rehearses_snapshots(&[]).await;
}
