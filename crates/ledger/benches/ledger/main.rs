//! The ledger at a million jobs: how long `history` and `show` take, how many commits it takes a second, and how large
//! it is.
//!
//! `cargo xtask bench ledger` runs it. A thousand jobs are written through the ledger's own methods, with every event
//! that a night gives them, and then copied into earlier nights, so that each row is one that amikeep wrote.

#[path = "../../../../benches/figure.rs"]
mod figure;
mod fill;

use std::path::Path;

use amikeep_domain::fire::Cursor;
use amikeep_domain::job::{Job, JobEvent, StateName};
use amikeep_domain::policy::Enabled;
use amikeep_ledger::{EngineLock, FirePlan, FireRun, HistoryFilter, Holder, JobCursor, Ledger};
use jiff::SignedDuration;

use crate::figure::{Samples, Stopwatch};

/// Jobs in the ledger. The environment can ask for fewer, to try the benchmark itself.
const JOBS: u32 = 1_000_000;

/// Rows of a page: the default of `amikeep history`.
const PAGE_ROWS: u32 = 50;

/// Pages read for each figure.
const PAGES: u32 = 1_000;

/// How many scrapes are timed.
const SCRAPES: u32 = 100;

/// How many single commits are timed.
const COMMITS: u32 = 2_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let n_jobs: u32 = std::env::args().find_map(|it| it.strip_prefix("--jobs=")?.parse().ok()).unwrap_or(JOBS);
    let directory = tempfile::tempdir().expect("a directory for the ledger");
    let path = directory.path().join("amikeep.db");
    let small = fill_to(&path, n_jobs / 10).await;
    measure_commits(&path, "a tenth of the jobs").await;
    let large = fill_to(&path, n_jobs).await;
    measure_commits(&path, "all jobs").await;
    figure::print("jobs in the ledger", f64::from(n_jobs), "");
    figure::print("size per job at a tenth", small / f64::from(n_jobs / 10), "B");
    figure::print("size per job", large / f64::from(n_jobs), "B");
    measure_history(&path).await;
    measure_figures(&path).await;
}

/// Fills up to `n_jobs` jobs; the size of the file then, in bytes.
async fn fill_to(path: &Path, n_jobs: u32) -> f64 {
    let stopwatch = Stopwatch::start();
    let ledger = open(path).await;
    if ledger.1.cursors().await.expect("cursors").is_empty() {
        fill::first_night(&ledger.1).await;
    }
    ledger.1.close().await;
    drop(ledger.0);
    fill::copy_nights(path, n_jobs / fill::JOBS_A_NIGHT).await;
    figure::tell(&format!("{n_jobs} jobs after {:.0} s", stopwatch.elapsed().as_secs_f64()));
    let size = std::fs::metadata(path).expect("the size of the ledger").len();
    // A ledger of a million jobs has a gigabyte or two, which a double holds exactly.
    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52 bytes")]
    let size = size as f64;
    size
}

async fn open(path: &Path) -> (EngineLock, Ledger) {
    let holder = Holder { pid: std::process::id(), command: "bench".to_owned(), started_at: fill::night() };
    let lock = EngineLock::acquire(path, &holder).expect("the lock of the ledger");
    let ledger = Ledger::open_for_engine(path, &lock).await.expect("the ledger");
    (lock, ledger)
}

/// Events of jobs of another night, each in a transaction of its own as the engine commits an intent.
async fn measure_commits(path: &Path, at: &str) {
    let (lock, ledger) = open(path).await;
    let jobs = plan_extra_night(&ledger).await;
    let (mut samples, stopwatch) = (Samples::default(), Stopwatch::start());
    for job in &jobs {
        let (recorded, took) = figure::time(ledger.record_event(job, &JobEvent::Started, fill::night())).await;
        recorded.expect("an event");
        samples.push(took);
    }
    let commits_per_s = f64::from(COMMITS) / stopwatch.elapsed().as_secs_f64();
    figure::print(&format!("commits, {at}"), commits_per_s, "/s");
    figure::print(&format!("one commit, {at}, p99"), samples.percentile_ms(99), "ms");
    ledger.close().await;
    drop(lock);
}

/// Jobs of a policy of its own that nothing has happened to; later calls plan later nights.
async fn plan_extra_night(ledger: &Ledger) -> Vec<Job> {
    let policy: amikeep_domain::id::PolicyName = "commits".parse().expect("a policy's name");
    let cursors = ledger.cursors().await.expect("cursors");
    let planned = cursors.iter().find(|cursor| cursor.policy == policy).map(|cursor| cursor.planned_to);
    let from = planned.unwrap_or_else(fill::night);
    if planned.is_none() {
        let cursor = Cursor {
            policy: policy.clone(),
            account: fill::account_name(),
            fingerprint: "0 2 * * * UTC".to_owned(),
            planned_to: from,
            enabled: Enabled::Yes,
        };
        ledger.record_cursor(&cursor).await.expect("a cursor");
    }
    let to = from + SignedDuration::from_hours(24);
    let jobs = (0..COMMITS).map(|n| fill::new_job(&policy, n, to)).collect();
    let run = FireRun { scheduled_at: to, trigger: amikeep_domain::job::Trigger::Schedule, matched: COMMITS, jobs };
    let plan = FirePlan {
        policy,
        account: fill::account_name(),
        planned_from: from,
        planned_to: to,
        missed: None,
        missed_note: None,
        skipped: None,
        skipped_note: None,
        run: Some(run),
        at: to,
    };
    ledger.record_fire(&plan).await.expect("a fire").jobs
}

/// The first page and page 1,000 of what operators ask for, and the story of one job.
async fn measure_history(path: &Path) {
    let ledger = Ledger::open_read_only(path).await.expect("the ledger, for reading");
    let all = HistoryFilter { until: Some(fill::night() + SignedDuration::from_secs(1)), ..HistoryFilter::default() };
    let filters = [
        ("all jobs", all.clone()),
        ("one policy", HistoryFilter { policy: Some(fill::policy(7)), ..all.clone() }),
        ("one instance", HistoryFilter { instance: Some(fill::instance(77)), ..all.clone() }),
        ("failed jobs", HistoryFilter { state: Some(StateName::Failed), ..all.clone() }),
    ];
    for (name, filter) in &filters {
        let (first, after) = first_pages(&ledger, filter).await;
        figure::print_goal(&format!("history, {name}, first page, p99"), first.percentile_ms(99), "ms", 5.0);
        let Some(after) = after else { continue };
        let mut late = Samples::default();
        for _ in 0..PAGES {
            let (page, took) = figure::time(ledger.history(filter, PAGE_ROWS, Some(&after))).await;
            page.expect("a page");
            late.push(took);
        }
        figure::print_goal(&format!("history, {name}, page {PAGES}, p99"), late.percentile_ms(99), "ms", 5.0);
    }
    let jobs = ledger.history(&all, PAGE_ROWS, None).await.expect("a page").rows;
    let mut shown = Samples::default();
    for job in jobs.iter().cycle().take(PAGES as usize) {
        let (events, took) = figure::time(ledger.events(job.id)).await;
        assert!(!events.expect("events").is_empty(), "a job without events");
        shown.push(took);
    }
    figure::print("the events of a job, p99", shown.percentile_ms(99), "ms");
}

/// What `/metrics` reads of the ledger for each scrape.
async fn measure_figures(path: &Path) {
    let ledger = Ledger::open_read_only(path).await.expect("the ledger, for reading");
    let mut samples = Samples::default();
    for _ in 0..SCRAPES {
        let (figures, took) = figure::time(ledger.figures()).await;
        assert!(!figures.expect("figures").images.is_empty(), "a ledger without images");
        samples.push(took);
    }
    figure::print_goal("the figures of a scrape, p99", samples.percentile_ms(99), "ms", 100.0);
}

/// Reads the first page again and again, then walks; the cursor after which page 1,000 begins, if there are as many.
async fn first_pages(ledger: &Ledger, filter: &HistoryFilter) -> (Samples, Option<JobCursor>) {
    let mut first = Samples::default();
    for _ in 0..PAGES {
        let (page, took) = figure::time(ledger.history(filter, PAGE_ROWS, None)).await;
        page.expect("a page");
        first.push(took);
    }
    let mut after = None;
    for _ in 1..PAGES {
        match ledger.history(filter, PAGE_ROWS, after.as_ref()).await.expect("a page").next {
            Some(next) => after = Some(next),
            None => return (first, None),
        }
    }
    (first, after)
}
