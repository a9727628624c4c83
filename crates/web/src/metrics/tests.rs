//! What a scrape says, and that all of it is documented.

use std::collections::BTreeSet;

use amikeep_domain::fire::FireOutcome;
use amikeep_domain::freeze::{Application, HoldOutcome, HoldSeen};
use amikeep_domain::grade::Grade;
use amikeep_domain::job::StateName;
use amikeep_domain::prune::DeletionStateName;
use amikeep_ledger::{AccountSeen, Ended, ImageFigure, LastFire, LastJobs, Tally};
use expect_test::expect;

use super::*;
use crate::fixture::{at, board, now};

fn tally(policy: &str, ended: Ended, count: u64) -> Tally {
    let (policy, account_name) = (policy.parse().unwrap(), "default".parse().unwrap());
    Tally { policy, account_name, ended, count, last_at: at("2026-11-22T02:10:00Z") }
}

/// Two policies of which one is configured, and what became of them.
fn figures() -> Figures {
    let (policy, account_name) = ("nightly".parse().unwrap(), "default".parse().unwrap());
    let last = LastFire { policy, account_name, scheduled_at: at("2026-11-22T02:00:00Z"), matched: 3 };
    let jobs = |state, count| {
        let (policy, account_name) = (last.policy.clone(), last.account_name.clone());
        LastJobs { policy, account_name, state, count }
    };
    let images = |policy: &str, grade, count| {
        let (policy, account_name) = (policy.parse().unwrap(), last.account_name.clone());
        ImageFigure { policy, account_name, grade, count, newest_at: at("2026-11-22T02:01:00.5Z") }
    };
    let account = AccountSeen {
        name: last.account_name.clone(),
        id: None,
        region: None,
        seen_at: now(),
        inventory_at: Some(at("2026-11-22T02:00:00Z")),
        last_error: Some(("denied".to_owned(), now())),
    };
    Figures {
        tallies: vec![
            tally("gone", Ended::Fire(FireOutcome::Ran), 5),
            tally("nightly", Ended::Fire(FireOutcome::Ran), 30),
            tally("gone", Ended::Failed("Boom".to_owned()), 1),
            tally("nightly", Ended::Failed("UnauthorizedOperation".to_owned()), 2),
            tally("nightly", Ended::Failed("<script> of a strange endpoint".to_owned()), 1),
            tally("nightly", Ended::Failed(String::new()), 4),
            tally("nightly", Ended::Failed("another one, as strange".to_owned()), 5),
            tally("nightly", Ended::Skipped("overlapped".to_owned()), 1),
            tally("nightly", Ended::Succeeded { mode: None, grade: Some(Grade::Crash) }, 80),
            tally("gone", Ended::Deletion(DeletionStateName::Done), 9),
        ],
        last_fires: vec![last.clone()],
        last_jobs: vec![jobs(StateName::Failed, 1), jobs(StateName::Succeeded, 2)],
        open_jobs: vec![(StateName::Pending, 2)],
        stalled_jobs: 1,
        images: vec![images("gone", Grade::Clean, 4), images("nightly", Grade::Crash, 12)],
        open_deletions: vec![(DeletionStateName::SnapshotsLeft, 1)],
        accounts: vec![account],
        left_frozen: 1,
        last_prune_at: Some(at("2026-11-22T11:30:00Z")),
    }
}

fn scrape(board: &Arc<Board>, figures: Option<Figures>) -> Scrape {
    let files = Files { ledger: 4_096, log: 8_192, free: 1 << 30 };
    Scrape {
        board: Arc::clone(board),
        now: now(),
        policy_set: board.policy_set(),
        heard: board.heard().map(|(_, stand)| (Duration::from_millis(250), stand)),
        reloads: board.reloads(),
        held_back: board.held_back(),
        calls: board.sources.calls(),
        waits: board.sources.waits(),
        skews: board.sources.skews(),
        stored: figures.map(|figures| Stored { figures, files, last_backup_at: Some(at("2026-11-22T00:30:00Z")) }),
    }
}

fn page(board: &Arc<Board>, figures: Option<Figures>) -> String {
    text(board, figures, Format::Prometheus)
}

fn text(board: &Arc<Board>, figures: Option<Figures>, format: Format) -> String {
    let mut page = String::new();
    scrape(board, figures).render(format, &mut page).unwrap();
    page
}

/// The samples of the families that begin with this.
fn samples(page: &str, start: &str) -> String {
    let start = format!("amikeep_{start}");
    page.split_inclusive('\n').filter(|line| line.starts_with(&start)).collect()
}

#[test]
fn what_became_of_a_policy_is_told_in_full_and_of_one_that_is_gone_what_it_left() {
    let page = page(&board(&["nightly", "new"]), Some(figures()));
    expect![[r#"
        amikeep_fires_total{policy="new",account_name="default",outcome="ran"} 0
        amikeep_fires_total{policy="new",account_name="default",outcome="no-match"} 0
        amikeep_fires_total{policy="new",account_name="default",outcome="missed"} 0
        amikeep_fires_total{policy="new",account_name="default",outcome="skipped"} 0
        amikeep_fires_total{policy="nightly",account_name="default",outcome="ran"} 30
        amikeep_fires_total{policy="nightly",account_name="default",outcome="no-match"} 0
        amikeep_fires_total{policy="nightly",account_name="default",outcome="missed"} 0
        amikeep_fires_total{policy="nightly",account_name="default",outcome="skipped"} 0
    "#]]
    .assert_eq(&samples(&page, "fires"));
    expect![[r#"
        amikeep_job_failures_total{policy="nightly",account_name="default",code="UnauthorizedOperation"} 2
        amikeep_job_failures_total{policy="nightly",account_name="default",code="other"} 6
        amikeep_job_failures_total{policy="nightly",account_name="default",code="unknown"} 4
        amikeep_job_skips_total{policy="nightly",account_name="default",reason="overlapped"} 1
    "#]]
    .assert_eq(&samples(&page, "job_"));
    expect![[r#"
        amikeep_policy_next_fire_timestamp_seconds{policy="new"} 1795399200.0
        amikeep_policy_next_fire_timestamp_seconds{policy="nightly"} 1795399200.0
        amikeep_policy_last_fire_timestamp_seconds{policy="nightly",account_name="default"} 1795312800.0
        amikeep_policy_last_fire_instances{policy="nightly",account_name="default"} 3.0
        amikeep_policy_last_fire_jobs{policy="nightly",account_name="default",state="failed"} 1.0
        amikeep_policy_last_fire_jobs{policy="nightly",account_name="default",state="succeeded"} 2.0
        amikeep_policy_last_success_timestamp_seconds{policy="nightly",account_name="default"} 1795313400.0
        amikeep_policy_newest_image_timestamp_seconds{policy="gone",account_name="default"} 1795312860.5
        amikeep_policy_newest_image_timestamp_seconds{policy="nightly",account_name="default"} 1795312860.5
    "#]]
    .assert_eq(&samples(&page, "policy_"));
    expect![[r#"
        amikeep_images_held{policy="nightly",account_name="default",guard="pinned"} 2.0
        amikeep_images_taken_total{policy="nightly",account_name="default",mode="unknown",grade="crash"} 80
        amikeep_images{policy="gone",account_name="default",grade="clean"} 4.0
        amikeep_images{policy="nightly",account_name="default",grade="crash"} 12.0
    "#]]
    .assert_eq(&samples(
        &{
            let board = board(&["nightly"]);
            let held = ("default".parse().unwrap(), "nightly".parse().unwrap(), "pinned");
            board.pruned(HeldBack { by_guard: [(held, 2)].into(), ..HeldBack::default() });
            self::page(&board, Some(figures()))
        },
        "images",
    ));
}

#[test]
fn what_the_process_knows_is_told_without_a_ledger_too() {
    let board = board(&["nightly"]);
    board.beat(Stand { trouble: Some("the disk is full".to_owned()), paused: 2, ..Stand::default() });
    board.reload_failed();
    let (freeze, application) = ("db".parse().unwrap(), Application::Mysql);
    let stall = Some(SignedDuration::from_millis(420));
    board.held(&HoldSeen { freeze, application, outcome: HoldOutcome::Unproved, stall, locked: None });
    let page = page(&board, None);
    for line in [
        "amikeep_engine_stopped 1.0",
        "amikeep_loop_silent_seconds 0.25",
        "amikeep_pauses 2.0",
        "amikeep_config_last_reload_successful 0.0",
        "amikeep_config_reloads_failed_total 1",
        "amikeep_ledger_readable 0.0",
        r#"amikeep_aws_calls_total{account_name="default",action="CreateImage",outcome="ok"} 7"#,
        r#"amikeep_clock_skew_seconds{account_name="default"} -2.0"#,
        r#"amikeep_holds_total{freeze="db",application="mysql",outcome="unproved"} 1"#,
        r#"amikeep_hold_stall_seconds_bucket{freeze="db",application="mysql",le="0.25"} 0"#,
        r#"amikeep_hold_stall_seconds_bucket{freeze="db",application="mysql",le="0.5"} 1"#,
    ] {
        assert!(page.lines().any(|it| it == line), "{line}: {page}");
    }
    assert!(!page.contains("amikeep_jobs_total{"), "{page}");
}

#[test]
fn a_time_that_a_wrong_clock_noted_is_left_out() {
    let mut figures = figures();
    figures.last_prune_at = Some(now() + SignedDuration::from_hours(2));
    for tally in &mut figures.tallies {
        tally.last_at = now() + SignedDuration::from_hours(2);
    }
    let page = page(&board(&["nightly"]), Some(figures));
    assert_eq!(samples(&page, "last_prune"), "");
    assert_eq!(samples(&page, "policy_last_success"), "");
}

#[test]
fn a_prune_of_one_account_leaves_what_is_known_of_another() {
    let board = board(&["nightly"]);
    let key = |account: &str| (account.parse().unwrap(), "nightly".parse().unwrap(), "pinned");
    let seen = |account: &str, count| HeldBack {
        accounts: [account.parse().unwrap()].into(),
        policies: ["nightly".parse().unwrap()].into(),
        by_guard: if count == 0 { [].into() } else { [(key(account), count)].into() },
        over_limit: [].into(),
    };
    board.pruned(HeldBack { over_limit: [("nightly".parse().unwrap(), 31)].into(), ..seen("one", 1) });
    board.pruned(seen("two", 2));
    let known = board.held_back();
    assert_eq!(known.by_guard, [(key("one"), 1), (key("two"), 2)].into());
    assert_eq!(known.over_limit, [].into(), "it was looked at again, and all is well");
    board.pruned(seen("one", 0));
    assert_eq!(board.held_back().by_guard, [(key("two"), 2)].into());
}

fn names(text: &str) -> BTreeSet<&str> {
    let is_part = |it: char| it.is_ascii_lowercase() || it == '_';
    let starts = text.match_indices("amikeep_").map(|(start, _)| &text[start..]);
    starts.map(|rest| rest.split(|it| !is_part(it)).next().unwrap()).filter(|name| !name.ends_with('_')).collect()
}

#[test]
fn every_figure_is_documented_and_every_alert_is_about_one() {
    let page = page(&board(&["nightly"]), Some(figures()));
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let shown: BTreeSet<&str> = types.collect();
    let documented = names(include_str!("../../../../docs/metrics.md"));
    assert_eq!(documented, shown);
    let alerts = names(include_str!("../../../../config/prometheus-alerts.yml"));
    assert!(!alerts.is_empty() && alerts.is_subset(&shown), "{:?}", alerts.difference(&shown));
    for line in page.lines().filter(|line| line.starts_with("# HELP")) {
        assert!(line.ends_with(|it: char| it == '.' || it.is_alphanumeric()), "{line}");
    }
}

#[test]
fn both_formats_have_the_same_samples() {
    let board = board(&["nightly"]);
    let values = |format| {
        let page = text(&board, Some(figures()), format);
        page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    assert_eq!(values(Format::Prometheus), values(Format::OpenMetrics));
}
