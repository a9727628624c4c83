//! What the tests of this crate share: a ledger in a directory of its own, and jobs in any state.

use std::path::{Path, PathBuf};

use amikeep_domain::class::Consistency;
use amikeep_domain::decision::JobError;
use amikeep_domain::fire::Cursor;
use amikeep_domain::grade::{Evidence, Grade};
use amikeep_domain::id::{
    AccountId, AccountName, DeletionId, ImageId, InstanceId, JobId, PolicyName, Region, RequestId, SnapshotId,
};
use amikeep_domain::image_attributes::{Billing, ImageAttributes, InstanceStoreDevice, VolumeAttributes};
use amikeep_domain::instance::AttachedVolume;
use amikeep_domain::job::{
    CapturedVolume, Finished, IntendedHold, IntendedRegistration, Intent, Job, JobEvent, JobKey, Trigger,
};
use amikeep_domain::policy::{Enabled, StartWindow};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use crate::fires::{FirePlan, FireRun};
use crate::images::{ImageRow, ImageRowState};
use crate::jobs::NewJob;
use crate::ledger::Ledger;
use crate::lock::{EngineLock, Holder};
use crate::prunes::{ListingRecord, NewDeletion, PruneRecord};
use crate::requests::{Request, RequestKind};

/// A ledger that its engine has open.
pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) lock: EngineLock,
    pub(crate) ledger: Ledger,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let lock = lock(&dir.path().join("amikeep.db"));
        let ledger = Ledger::open_for_engine(&dir.path().join("amikeep.db"), &lock).await.unwrap();
        Self { dir, lock, ledger }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("amikeep.db")
    }

    /// One job of the instance `n`, as a fire of its own would leave it.
    pub(crate) async fn queued(&self, n: u32) -> Job {
        let job = new_job(n, at("2026-11-22T01:00:00Z"));
        let policy: PolicyName = format!("p-{n}").parse().unwrap();
        let job = NewJob { key: JobKey { policy: policy.clone(), ..job.key }, ..job };
        self.ledger.record_cursor(&Cursor { policy: policy.clone(), ..cursor("2026-11-22T00:00:00Z") }).await.unwrap();
        let plan = FirePlan { policy, ..plan("2026-11-22T00:00:00Z", "2026-11-22T01:00:00Z", vec![job]) };
        self.ledger.record_fire(&plan).await.unwrap().jobs.remove(0)
    }

    /// Records these events one after the other.
    pub(crate) async fn follow(&self, job: Job, events: &[JobEvent]) -> Job {
        let mut job = job;
        for event in events {
            job = self.ledger.record_event(&job, event, at("2026-11-22T01:00:05Z")).await.unwrap();
        }
        job
    }

    /// A job whose image `n` is available and counts.
    pub(crate) async fn succeeded(&self, n: u32) -> Job {
        let job = self.queued(n).await;
        let job = self.follow(job, &until_pending(n)).await;
        self.follow(job, &[JobEvent::Available(finished(n)), JobEvent::Graded { problem: None }]).await
    }

    /// A job that failed with its image `n`.
    pub(crate) async fn failed(&self, n: u32) -> Job {
        let job = self.queued(n).await;
        let job = self.follow(job, &until_pending(n)).await;
        self.follow(job, &[JobEvent::Failed(error())]).await
    }

    /// What the ledger says of the image `n`.
    pub(crate) async fn image(&self, n: u32) -> ImageRow {
        let rows = self.ledger.images(None, None).await.unwrap();
        rows.into_iter().find(|row| row.image == image(n)).unwrap()
    }

    pub(crate) async fn image_state(&self, n: u32) -> ImageRowState {
        self.image(n).await.state
    }

    /// The words of a job's history that came after its end.
    pub(crate) async fn words(&self, job: &Job) -> Vec<String> {
        let events = self.ledger.events(job.id).await.unwrap();
        let words: Vec<_> = events.into_iter().map(|it| it.event).collect();
        let end = words.iter().position(|it| ["graded", "succeeded", "failed"].contains(&it.as_str()));
        words[end.unwrap() + 1..].to_vec()
    }

    /// An operator asks for something; the request is open.
    pub(crate) async fn request(&self, n: u8, kind: RequestKind) -> RequestId {
        let requested_at = at("2026-11-22T02:00:00.5Z");
        let id = RequestId::new(requested_at, [n; 10]);
        self.ledger.record_request(&Request { id, kind, requested_at }).await.unwrap();
        id
    }
}

/// A prune on a complete listing in which these images are.
pub(crate) fn prune_record(seen: &[u32], deletions: Vec<NewDeletion>) -> PruneRecord {
    PruneRecord {
        request: None,
        policy: None,
        planned_at: at("2026-11-22T03:00:00.25Z"),
        listings: vec![listing_record(seen)],
        kept: 7,
        held: 2,
        notes: vec!["nothing \"special\"".to_owned()],
        deletions,
    }
}

pub(crate) fn listing_record(seen: &[u32]) -> ListingRecord {
    ListingRecord {
        account_name: account_name(),
        account: account(),
        region: region(),
        seen: seen.iter().map(|n| (image(*n), false)).collect(),
        listed_at: at("2026-11-22T02:59:00Z"),
        missing_before: at("2026-11-22T02:54:00Z"),
        pruned_to: Some(at("2026-11-22T02:30:00Z")),
    }
}

/// The deletion of the image `n` of a job.
pub(crate) fn new_deletion(job: &Job, n: u32) -> NewDeletion {
    NewDeletion {
        id: deletion_id(n),
        image: Some(image(n)),
        job: job.id,
        policy: job.key.policy.clone(),
        account: account(),
        account_name: account_name(),
        region: region(),
        instance: job.key.instance.clone(),
        snapshots: vec![snapshot(1), snapshot(2)],
        reason: "no rule keeps it".to_owned(),
        stray: None,
    }
}

pub(crate) fn deletion_id(n: u32) -> DeletionId {
    let mut random = [0; 10];
    random[6..].copy_from_slice(&n.to_be_bytes());
    DeletionId::new(at("2026-11-22T03:00:00Z"), random)
}

pub(crate) fn snapshot(n: u32) -> SnapshotId {
    format!("snap-{n:017x}").parse().unwrap()
}

pub(crate) fn lock(db: &Path) -> EngineLock {
    let started_at = at("2026-11-22T00:00:00Z");
    EngineLock::acquire(db, &Holder { pid: 1, command: "amikeep daemon".to_owned(), started_at }).unwrap()
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn policy() -> PolicyName {
    "nightly".parse().unwrap()
}

pub(crate) fn account_name() -> AccountName {
    "default".parse().unwrap()
}

pub(crate) fn account() -> AccountId {
    "123456789012".parse().unwrap()
}

pub(crate) fn region() -> Region {
    "eu-central-1".parse().unwrap()
}

pub(crate) fn instance(n: u32) -> InstanceId {
    format!("i-{n:017x}").parse().unwrap()
}

pub(crate) fn image(n: u32) -> ImageId {
    format!("ami-{n:017x}").parse().unwrap()
}

/// A job id that depends on both: no two jobs of a test share one.
pub(crate) fn job_id(n: u32, scheduled_at: Timestamp) -> JobId {
    let mut random = [0; 10];
    random[6..].copy_from_slice(&n.to_be_bytes());
    JobId::new(scheduled_at, random)
}

pub(crate) fn new_job(n: u32, scheduled_at: Timestamp) -> NewJob {
    let key = JobKey { policy: policy(), account: account(), region: region(), instance: instance(n), scheduled_at };
    NewJob {
        id: job_id(n, scheduled_at),
        key,
        account_name: account_name(),
        trigger: Trigger::Schedule,
        request: None,
        asked: None,
        class: "stateful".parse().unwrap(),
        window: StartWindow { start_at: scheduled_at, start_by: scheduled_at + SignedDuration::from_hours(6) },
        created_at: scheduled_at + SignedDuration::from_millis(250),
    }
}

pub(crate) fn cursor(planned_to: &str) -> Cursor {
    Cursor {
        policy: policy(),
        account: account_name(),
        fingerprint: "0 * * * * UTC".to_owned(),
        planned_to: at(planned_to),
        enabled: Enabled::Yes,
    }
}

/// A plan of one fire at its end.
pub(crate) fn plan(planned_from: &str, planned_to: &str, jobs: Vec<NewJob>) -> FirePlan {
    let matched = u32::try_from(jobs.len()).unwrap();
    let run = FireRun { scheduled_at: at(planned_to), trigger: Trigger::Schedule, matched, jobs };
    FirePlan {
        policy: policy(),
        account: account_name(),
        planned_from: at(planned_from),
        planned_to: at(planned_to),
        missed: None,
        missed_note: None,
        skipped: None,
        skipped_note: None,
        run: Some(run),
        at: at(planned_to),
    }
}

pub(crate) fn error() -> JobError {
    JobError::new("reboot_blocked", "a reboot is \"blocked\"", "widen reboot_window")
}

/// Every field set, and times finer than a column holds.
pub(crate) fn intent() -> Intent {
    Intent {
        name: "amikeep-test-nightly-i-00000000000000001-20261122T010000Z".parse().unwrap(),
        asked: Consistency::Reboot,
        mode: Consistency::NoReboot,
        reason: "the instance is stopped, so nothing needs a reboot".to_owned(),
        expected: Grade::Offline,
        grade_min: Some(Grade::Clean),
        volumes: vec![AttachedVolume { device: "/dev/xvda".to_owned(), volume: "vol-12345678".parse().unwrap() }],
        instance_store_disks: Some(2),
        launched_at: at("2026-11-01T00:00:00.000000001Z"),
        deadline: SignedDuration::from_hours(24),
        hold: Some(IntendedHold {
            freeze: "db".parse().unwrap(),
            mounts: vec!["/data".into(), "/log".into()],
            budget: SignedDuration::from_secs(10),
        }),
        registration: None,
        recorded_at: at("2026-11-22T01:00:01.123456789Z"),
    }
}

pub(crate) fn finished(n: u32) -> Finished {
    let captured = CapturedVolume {
        device: "/dev/xvda".to_owned(),
        volume: Some("vol-12345678".parse().unwrap()),
        snapshot: Some("snap-12345678".parse().unwrap()),
        grade: Some(Grade::Offline),
    };
    let lost = CapturedVolume { device: "instance-store-0".to_owned(), volume: None, snapshot: None, grade: None };
    Finished {
        image: image(n),
        captured_at: at("2026-11-22T01:00:03.25Z"),
        grade: Grade::Offline,
        evidence: Some(Evidence::Requested),
        volumes: vec![captured, lost],
    }
}

/// From queued to pending, with the image `n`.
pub(crate) fn until_pending(n: u32) -> Vec<JobEvent> {
    vec![JobEvent::Started, intended(), JobEvent::Accepted { image: image(n) }]
}

pub(crate) fn intended() -> JobEvent {
    JobEvent::Intended { class: "stateful".parse().unwrap(), intent: intent() }
}

/// An intent whose image is registered from snapshots, every field set.
pub(crate) fn registered() -> JobEvent {
    let volume = VolumeAttributes {
        device: "/dev/xvda".to_owned(),
        volume: "vol-12345678".parse().unwrap(),
        delete_on_termination: true,
        volume_type: "gp3".to_owned(),
        iops: Some(3_000),
        throughput: Some(125),
    };
    let text = |text: &str| Some(text.to_owned());
    let attributes = ImageAttributes {
        architecture: "arm64".to_owned(),
        virtualization: "hvm".to_owned(),
        kernel: text("aki-12345678"),
        ramdisk: text("ari-12345678"),
        root_device_name: "/dev/xvda".to_owned(),
        boot_mode: text("uefi"),
        tpm_support: text("v2.0"),
        uefi_data: text("QU1aTlVFRkk="),
        ena_support: true,
        sriov_net_support: text("simple"),
        imds_support: text("v2.0"),
        volumes: vec![volume],
        instance_store: vec![InstanceStoreDevice {
            device: "/dev/sdb".to_owned(),
            virtual_name: "ephemeral0".to_owned(),
        }],
        billing: Billing {
            platform_details: "Linux/UNIX".to_owned(),
            usage_operation: text("RunInstances"),
            product_codes: Vec::new(),
        },
    };
    let tags = [("amikeep:owner".to_owned(), "test".to_owned())].into();
    let registration = Some(Box::new(IntendedRegistration { attributes, tags }));
    JobEvent::Intended { class: "critical".parse().unwrap(), intent: Intent { registration, ..intent() } }
}

pub(crate) fn snapshots_taken(n: u32) -> JobEvent {
    JobEvent::SnapshotsTaken { snapshots: [("vol-12345678".parse().unwrap(), snapshot(n))].into() }
}
