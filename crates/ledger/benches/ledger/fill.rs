//! A ledger as years of nights leave it: one night through the ledger's own methods, the others as copies of it.

use std::path::Path;

use amikeep_domain::class::Consistency;
use amikeep_domain::decision::JobError;
use amikeep_domain::fire::Cursor;
use amikeep_domain::grade::{Evidence, Grade};
use amikeep_domain::id::{AccountName, InstanceId, JobId, PolicyName};
use amikeep_domain::instance::AttachedVolume;
use amikeep_domain::job::{CapturedVolume, Finished, Intent, Job, JobEvent, JobKey, Trigger};
use amikeep_domain::policy::{Enabled, StartWindow};
use amikeep_ledger::{FirePlan, FireRun, Ledger, NewJob};
use jiff::{SignedDuration, Timestamp};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

/// Policies, and instances of each.
const POLICIES: u32 = 10;
const INSTANCES: u32 = 100;

/// Jobs of one night.
pub(crate) const JOBS_A_NIGHT: u32 = POLICIES * INSTANCES;

/// Of so many jobs one fails.
const FAILS_EVERY: u32 = 10;

/// The nominal time of the newest night.
pub(crate) fn night() -> Timestamp {
    "2026-11-22T01:00:00Z".parse().expect("a time")
}

pub(crate) fn account_name() -> AccountName {
    "default".parse().expect("an account's name")
}

pub(crate) fn policy(n: u32) -> PolicyName {
    format!("nightly-{n}").parse().expect("a policy's name")
}

pub(crate) fn instance(n: u32) -> InstanceId {
    format!("i-{n:017x}").parse().expect("an instance id")
}

/// A job of an instance at a nominal time; one instance and time give one id.
pub(crate) fn new_job(policy: &PolicyName, n: u32, scheduled_at: Timestamp) -> NewJob {
    let mut random = [0x55; 10];
    random[6..].copy_from_slice(&n.to_be_bytes());
    NewJob {
        id: JobId::new(scheduled_at, random),
        key: JobKey {
            policy: policy.clone(),
            account: "123456789012".parse().expect("an account id"),
            region: "eu-central-1".parse().expect("a region"),
            instance: instance(n),
            scheduled_at,
        },
        account_name: account_name(),
        trigger: Trigger::Schedule,
        request: None,
        asked: None,
        class: "production-database".parse().expect("a class"),
        window: StartWindow { start_at: scheduled_at, start_by: scheduled_at + SignedDuration::from_hours(6) },
        created_at: scheduled_at,
    }
}

/// The newest night: every job from its fire to its end.
pub(crate) async fn first_night(ledger: &Ledger) {
    for n in 0..POLICIES {
        let policy = policy(n);
        let before = night() - SignedDuration::from_hours(24);
        let cursor = Cursor {
            policy: policy.clone(),
            account: account_name(),
            fingerprint: "0 1 * * * UTC".to_owned(),
            planned_to: before,
            enabled: Enabled::Yes,
        };
        ledger.record_cursor(&cursor).await.expect("a cursor");
        let jobs = (0..INSTANCES).map(|i| new_job(&policy, n * INSTANCES + i, night())).collect();
        let run = FireRun { scheduled_at: night(), trigger: Trigger::Schedule, matched: INSTANCES, jobs };
        let plan = FirePlan {
            policy,
            account: account_name(),
            planned_from: before,
            planned_to: night(),
            missed: None,
            missed_note: None,
            skipped: None,
            skipped_note: None,
            run: Some(run),
            at: night(),
        };
        let jobs = ledger.record_fire(&plan).await.expect("a fire").jobs;
        follow(ledger, jobs).await;
    }
}

async fn follow(ledger: &Ledger, jobs: Vec<Job>) {
    let mut jobs = jobs;
    for step in 0..5 {
        let changes: Vec<_> = jobs.drain(..).filter_map(|job| Some((job.clone(), event(&job, step)?))).collect();
        jobs = ledger.record_events(&changes, night() + SignedDuration::from_secs(step)).await.expect("events");
    }
}

/// What happens next to a job: every tenth fails when its image is asked for.
fn event(job: &Job, step: i64) -> Option<JobEvent> {
    let number = u32::from_str_radix(&job.key.instance.as_str()[11..], 16).expect("an instance of this benchmark");
    let image = || format!("ami-{number:017x}").parse().expect("an image id");
    Some(match step {
        0 => JobEvent::Started,
        1 => JobEvent::Intended { class: job.class.clone(), intent: intent(job) },
        2 if number % FAILS_EVERY == 3 => JobEvent::Failed(JobError::new(
            "UnauthorizedOperation",
            "You are not authorized to perform this operation.",
            "give the role ec2:CreateImage",
        )),
        2 => JobEvent::Accepted { image: image() },
        _ if job.state.name().is_terminal() => return None,
        3 => JobEvent::Available(finished(number)),
        _ => JobEvent::Graded { problem: None },
    })
}

fn intent(job: &Job) -> Intent {
    Intent {
        name: format!("amikeep-bench-{}-{}-20261122T010000Z", job.key.policy, job.key.instance)
            .parse()
            .expect("a name"),
        asked: Consistency::Reboot,
        mode: Consistency::Reboot,
        reason: "its class asks for a reboot".to_owned(),
        expected: Grade::Clean,
        grade_min: Some(Grade::Clean),
        volumes: ["/dev/xvda", "/dev/sdf"].map(attached).into(),
        instance_store_disks: None,
        launched_at: night() - SignedDuration::from_hours(1_000),
        deadline: SignedDuration::from_hours(24),
        hold: None,
        registration: None,
        recorded_at: night(),
    }
}

fn attached(device: &str) -> AttachedVolume {
    AttachedVolume { device: device.to_owned(), volume: "vol-0123456789abcdef0".parse().expect("a volume id") }
}

fn finished(number: u32) -> Finished {
    let captured = |device: &str| CapturedVolume {
        device: device.to_owned(),
        volume: Some("vol-0123456789abcdef0".parse().expect("a volume id")),
        snapshot: Some("snap-0123456789abcdef0".parse().expect("a snapshot id")),
        grade: Some(Grade::Clean),
    };
    Finished {
        image: format!("ami-{number:017x}").parse().expect("an image id"),
        captured_at: night() + SignedDuration::from_secs(3),
        grade: Grade::Clean,
        evidence: Some(Evidence::Requested),
        volumes: ["/dev/xvda", "/dev/sdf"].map(captured).into(),
    }
}

const COPY_JOBS: &str = "
    INSERT INTO jobs (id, policy, account, region, instance, scheduled_at, account_name, trigger, request, asked, class,
                      start_at, start_by, created_at, started_at, finished_at, attempts, number, intent, state, data)
    SELECT printf('%08x-%04x', (scheduled_at - ?1) >> 16, (scheduled_at - ?1) & 65535) || substr(id, 14),
           policy, account, region, instance, scheduled_at - ?1, account_name, trigger, request, asked, class,
           start_at - ?1, start_by - ?1, created_at - ?1, started_at - ?1, finished_at - ?1, attempts, number, intent,
           state, data
    FROM jobs WHERE scheduled_at = ?2 AND policy LIKE 'nightly-%'";

const COPY_EVENTS: &str = "
    INSERT INTO events (job, at, event, detail)
    SELECT printf('%08x-%04x', (scheduled_at - ?1) >> 16, (scheduled_at - ?1) & 65535) || substr(job, 14),
           at - ?1, event, detail
    FROM events JOIN jobs ON jobs.id = events.job WHERE scheduled_at = ?2 AND policy LIKE 'nightly-%'";

/// All but the newest fortnight are deleted, as retention leaves them.
const COPY_IMAGES: &str = "
    INSERT INTO images (image, account, region, name, job, policy, account_name, instance, class, captured_at, grade,
                        volumes, state, counts, pinned, first_seen_at, last_seen_at)
    SELECT printf('ami-%08x%s', ?1 / 86400000, substr(image, 13)), images.account, images.region, name,
           printf('%08x-%04x', (scheduled_at - ?1) >> 16, (scheduled_at - ?1) & 65535) || substr(job, 14),
           images.policy, images.account_name, images.instance, images.class, captured_at - ?1, grade, volumes,
           iif(14 < ?1 / 86400000, 'deleted', images.state), counts, pinned, first_seen_at - ?1, last_seen_at - ?1
    FROM images JOIN jobs ON jobs.id = images.job WHERE scheduled_at = ?2 AND images.policy LIKE 'nightly-%'";

/// Copies the newest night into the ones before it until there are `nights`.
pub(crate) async fn copy_nights(path: &Path, nights: u32) {
    let mut db = SqliteConnectOptions::new().filename(path).connect().await.expect("the ledger");
    let newest = night().as_millisecond();
    let oldest: i64 =
        sqlx::query_scalar("SELECT min(scheduled_at) FROM jobs").fetch_one(&mut db).await.expect("a night");
    let done = (newest - oldest) / 86_400_000;
    for back in done + 1..i64::from(nights) {
        let mut tx = db.begin().await.expect("a transaction");
        for copy in [COPY_JOBS, COPY_EVENTS, COPY_IMAGES] {
            let copied = sqlx::query(copy).bind(back * 86_400_000).bind(newest).execute(&mut *tx).await;
            assert!(copied.expect("a copy").rows_affected() > 0, "nothing to copy");
        }
        tx.commit().await.expect("a commit");
    }
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut db).await.expect("a checkpoint");
    db.close().await.expect("the end of the connection");
}
