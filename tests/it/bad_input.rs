//! What people type wrong: each error says what, where, and what to do, and exits with 2.

use std::process::Stdio;

use crate::site::{NEVER_NOW, Site, policy, spec, world};

async fn site() -> Site {
    Site::new(world().instance(spec(1)), &policy("nightly", "stateless", "0 2 * * *", "")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mistake_in_a_file_is_reported_at_once() {
    let site = site().await;
    for (wrong, right, words) in [
        ("schedul = \"0 2 * * *\"", "schedule = \"0 2 * * *\"", ["schedul", "schedule"]),
        ("schedule = 2", "schedule = \"0 2 * * *\"", ["schedule", "cron expression"]),
        ("schedule = \"61 2 * * *\"", "schedule = \"0 2 * * *\"", ["61", "minute"]),
        ("schedule = \"0 0 31 2 *\"", "schedule = \"0 2 * * *\"", ["0 0 31 2 *", "never"]),
        ("keep = {}", "keep = { last = 3 }", ["keep", "last = -1"]),
        ("select = {}", "select = { tags = { Env = \"prod\" } }", ["select", "tags"]),
        ("class = \"stateles\"", "class = \"stateless\"", ["stateles", "stateless"]),
        ("class = \"critical\"", "class = \"stateless\"", ["critical", "[freezes.NAME]"]),
    ] {
        let good = site.config_text();
        assert!(good.contains(right), "{right}");
        site.write_config(&good.replace(right, wrong));
        let ran = site.run(&["check"]).await;
        assert_eq!(ran.code, 2, "{wrong}: {ran:?}");
        for word in words {
            assert!(ran.stderr.contains(word) || ran.stdout.contains(word), "{word} for {wrong}: {ran:?}");
        }
        let json = site.run(&["check", "--format", "json"]).await.json();
        let error = &json["errors"][0];
        assert!(error["line"].is_number() && error["column"].is_number() && error["message"].is_string(), "{json:#}");
        site.write_config(&good);
    }
    let two = site.config_text().replace("region", "regoin").replace("last = 3", "lats = 3")
        + "timezone = \"Europe/Berln\"\n";
    site.write_config(&two);
    let json = site.run(&["check", "--format", "json"]).await.json();
    assert!(3 <= json["errors"].as_array().unwrap().len(), "{json:#}");
    assert!(json.to_string().contains("Europe/Berlin"), "{json:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_missing_or_unreadable_is_named() {
    let site = site().await;
    for path in ["/nowhere/amikeep.toml", site.dir().to_str().unwrap()] {
        for command in ["check", "daemon", "plan", "history"] {
            let ran = site.run(&["--config", path, command]).await;
            assert_eq!(ran.code, 2, "{command} {path}: {ran:?}");
            assert!(ran.stderr.contains(path), "{command} {path}: {ran:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_errors_exit_with_2() {
    let site = site().await;
    for args in [
        &["nonsense"][..],
        &["backup"],
        &["backup", "not-an-instance"],
        &["backup", "i-00000000000000001", "--consistency", "sometimes"],
        &["history", "--state", "asleep"],
        &["history", "--since", "yesterdayish"],
        &["history", "--cursor", "%%%"],
        &["plan", "--from", "tomorrowish"],
        &["explain", "ami-00000000000000001"],
        &["simulate", "--keep", "lst=3"],
    ] {
        let ran = site.run(args).await;
        assert_eq!(ran.code, 2, "{args:?}: {ran:?}");
        assert!(!ran.stderr.is_empty() && ran.stdout.is_empty(), "{args:?}: {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_job_exits_with_1() {
    let site = site().await;
    site.daemon().await.kill();
    let ran = site.run(&["show", "01a20127-0000-7000-8000-000000000000"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_are_accepted() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let site = site().await;
    let mut checked = 0;
    let files = examples.read_dir().unwrap().map(|entry| entry.unwrap().path());
    // Alerts for Prometheus are checked where the metrics are.
    for path in files.filter(|path| path.extension().is_some_and(|ending| ending == "toml")) {
        let ran = site.run(&["check", "--config", path.to_str().unwrap()]).await;
        assert_eq!(ran.code, 0, "{}: {ran:?}", path.display());
        checked += 1;
    }
    assert!(3 <= checked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_needs_no_ec2_and_shows_local_time() {
    let mut site = site().await;
    site.configure(&policy("nightly", "stateless", "30 2 * * *", "timezone = \"Europe/Berlin\"\njitter = \"10m\""));
    site.set_credentials(None);
    let ran =
        site.run(&["plan", "--from", "2026-10-24T12:00:00Z", "--to", "2026-10-26T12:00:00Z", "--format", "json"]).await;
    let plan = ran.json();
    let times: Vec<&str> = plan.as_array().unwrap().iter().map(|it| it["scheduled_at"].as_str().unwrap()).collect();
    assert_eq!(times, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"], "the repeated half hour runs once");
    assert!(plan[0]["local_time"].as_str().unwrap().starts_with("2026-10-25T02:30"), "{plan:#}");
    assert_eq!(plan[0]["timezone"], "Europe/Berlin");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_can_be_tried_on_a_list_of_times() {
    let site = site().await;
    let file = site.dir().join("times.json");
    std::fs::write(&file, r#"["2026-11-20T02:00:00Z","2026-11-21T02:00:00Z","2026-11-22T02:00:00Z"]"#).unwrap();
    let ran = site.run(&["simulate", "--keep", "last=1", file.to_str().unwrap(), "--format", "json"]).await;
    let rows = ran.json();
    let verdicts: Vec<_> = rows.as_array().unwrap().iter().map(|it| it["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts.iter().filter(|it| **it == "keep").count(), 1, "{rows:#}");
    std::fs::write(&file, "[\"not a time\"]").unwrap();
    let ran = site.run(&["simulate", "--keep", "last=1", file.to_str().unwrap()]).await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("not a time"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_pipe_is_no_panic() {
    let site = Site::new(world(), &policy("nightly", "stateless", NEVER_NOW, "")).await;
    for args in [&["schema"][..], &["--help"], &["plan", "--to", "2030-01-01T00:00:00Z"], &["backup", "--help"]] {
        let mut command = site.command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn help_alone_leads_to_why_a_job_failed_and_what_runs_tonight() {
    let site = site().await;
    let help = site.run(&["--help"]).await;
    assert_eq!(help.code, 0);
    for words in ["amikeep plan", "amikeep history --state failed", "amikeep show"] {
        assert!(help.stdout.contains(words), "{words} in {}", help.stdout);
    }
}
