//! Users who may not read the ledger ask the daemon, and are told exactly what root is told.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::site::{NEVER_NOW, Ran, Site, instance_id, policy, spec, world};

/// `nobody`, on every Linux.
const NOBODY: u32 = 65_534;

/// Somebody who is not root, and the group they are in.
#[derive(Clone, Copy)]
enum Who {
    /// In the group that the daemon runs as, which is root's own here.
    Member,
    /// In no group that matters.
    Stranger,
}

/// Only root can become somebody else.
fn is_left_out() -> bool {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !is_root {
        eprintln!("NOT RUN: this test becomes another user, which takes root");
    }
    !is_root
}

/// An installation that others can look into, as far as its files let them.
async fn site() -> Site {
    let nightly = policy("nightly", "stateless", NEVER_NOW, "");
    let site = Site::new(world().instance(spec(1)), &nightly).await;
    fs::set_permissions(site.dir(), Permissions::from_mode(0o755)).unwrap();
    site
}

/// The binary where everybody can run it: the directory that it was built in may be root's alone.
fn binary(site: &Site) -> PathBuf {
    let copy = site.dir().join("amikeep");
    if !copy.exists() {
        fs::copy(env!("CARGO_BIN_EXE_amikeep"), &copy).unwrap();
    }
    copy
}

async fn run_as(who: Who, site: &Site, args: &[&str]) -> Ran {
    let mut command = Command::new(binary(site));
    command.args(args).env_clear().envs(site.command(args).get_envs().filter_map(|(k, v)| Some((k, v?))));
    let group = match who {
        Who::Member => 0,
        Who::Stranger => NOBODY,
    };
    command.uid(NOBODY).gid(group).current_dir("/");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs it as root, who reads the ledger, and as a member, who asks the daemon. Both must be told the same.
async fn run_both(site: &Site, args: &[&str]) -> Ran {
    let (root, member) = (site.run(args).await, run_as(Who::Member, site, args).await);
    assert_eq!((root.code, &root.stdout, &root.stderr), (member.code, &member.stdout, &member.stderr), "{args:?}");
    root
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_of_the_group_is_told_exactly_what_root_is_told() {
    if is_left_out() {
        return;
    }
    let site = site().await;
    let daemon = site.daemon().await;
    for _ in 0..2 {
        assert_eq!(site.run(&["backup", &instance_id(1)]).await.code, 0);
    }
    assert_eq!(site.run(&["backup", &instance_id(1), "--consistency", "reboot"]).await.code, 0);
    assert_eq!(site.run(&["pause", "--policy", "nightly", "--reason", "disk replacement"]).await.code, 0);
    let mode = fs::metadata(site.database()).unwrap().mode() & 0o777;
    assert_eq!(mode, 0o600, "the ledger is for its owner alone");

    let jobs = run_both(&site, &["history", "--format", "json"]).await.json();
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 3);
    let job = jobs["jobs"][0]["id"].as_str().unwrap();
    let page = run_both(&site, &["history", "--limit", "1", "--format", "json"]).await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    let second = run_both(&site, &["history", "--limit", "1", "--cursor", cursor, "--format", "json"]).await.json();
    assert_eq!(second["jobs"][0]["id"], jobs["jobs"][1]["id"]);

    let instance = instance_id(1);
    let leap_day = ["--from", "2028-02-28", "--to", "2028-03-01"];
    let done: &[&[&str]] = &[
        &["history"],
        &["history", "--policy", "nightly", "--instance", &instance, "--state", "succeeded", "--since", "2026-01-01"],
        &["history", "--state", "failed"],
        &["history", "--fires"],
        &["history", "--fires", "--format", "json"],
        &["history", "--summary"],
        &["history", "--summary", "--format", "json"],
        &["show", job],
        &["show", job, "--format", "json"],
        &["images"],
        &["images", "--policy", "nightly", "--instance", &instance, "--format", "json"],
        &["pause"],
        &["pause", "--format", "json"],
        &["explain", &instance],
        &["explain", &instance, "--format", "json"],
    ];
    for args in done {
        assert_eq!(run_both(&site, args).await.code, 0, "{args:?}");
    }
    for format in ["table", "json"] {
        let args = [&["plan", "--format", format][..], &leap_day].concat();
        let plan = run_both(&site, &args).await;
        assert!(plan.stdout.contains("disk replacement"), "{plan:?}");
    }
    let failed: &[(&[&str], i32)] = &[
        (&["show", "00000000"], 1),
        (&["show", "x"], 1),
        (&["history", "--policy", "nigthly"], 2),
        (&["images", "--policy", "nigthly"], 2),
        (&["history", "--cursor", "nonsense"], 2),
    ];
    for (args, code) in failed {
        assert_eq!(run_both(&site, args).await.code, *code, "{args:?}");
    }
    daemon.signal("TERM");
    assert!(daemon.wait().await.success());
    assert!(!socket(&site).exists(), "it goes with its daemon");
    let log = fs::metadata(format!("{}-wal", site.database().display())).map_or(0, |file| file.len());
    assert_eq!(log, 0, "a stopped ledger is one file, which can be copied");
}

fn socket(site: &Site) -> PathBuf {
    PathBuf::from(format!("{}.sock", site.database().display()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_is_told_which_group_to_join_and_nobody_can_change_anything() {
    if is_left_out() {
        return;
    }
    let site = site().await;
    let alone = run_as(Who::Member, &site, &["history"]).await;
    assert_eq!(alone.code, 1, "there is neither a ledger nor a daemon: {alone:?}");
    let daemon = site.daemon().await;
    for args in [&["history"][..], &["images"], &["show", "00000000"], &["pause"]] {
        let ran = run_as(Who::Stranger, &site, args).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{args:?}: {ran:?}");
        assert!(ran.stderr.contains("usermod -aG amikeep"), "{args:?}: {ran:?}");
    }
    // A plan needs no ledger, but says what it does not know.
    let plan = run_as(Who::Stranger, &site, &["plan", "--format", "json"]).await;
    assert_eq!((plan.code, plan.json()), (0, Value::Array(Vec::new())), "{plan:?}");
    assert!(plan.stderr.contains("what is paused is not known") && plan.stderr.contains("usermod"), "{plan:?}");

    for args in [&["pause", "--all"][..], &["resume", "--all"], &["backup", &instance_id(1)], &["prune", "--yes"]] {
        let ran = run_as(Who::Member, &site, args).await;
        assert_eq!(ran.code, 1, "{args:?}: {ran:?}");
        assert!(ran.stderr.contains("root"), "{args:?} says who may: {ran:?}");
    }
    let pauses = run_both(&site, &["pause", "--format", "json"]).await.json();
    assert_eq!(pauses["pauses"], Value::Array(Vec::new()));

    fs::set_permissions(site.config(), Permissions::from_mode(0o600)).unwrap();
    let ran = run_as(Who::Stranger, &site, &["history"]).await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("may not read the file") && ran.stderr.contains("usermod -aG"), "{ran:?}");
    drop(daemon);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_socket_of_a_killed_daemon_is_replaced_and_that_of_another_is_not_taken() {
    if is_left_out() {
        return;
    }
    let site = site().await;
    site.daemon().await.kill();
    assert!(socket(&site).exists(), "nobody was there to take it away");
    let ran = run_as(Who::Member, &site, &["history"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("no daemon answers at"), "{ran:?}");
    let first = site.daemon().await;
    assert_eq!(run_as(Who::Member, &site, &["history"]).await.code, 0);

    // Another installation that was given the same socket by mistake works without.
    let other = self::site().await;
    let text =
        other.config_text().replace("[daemon]\n", &format!("[daemon]\nsocket = \"{}\"\n", socket(&site).display()));
    other.write_config(&text);
    let mut second = other.daemon().await;
    second.wait_for_log("another daemon answers at").await;
    assert_eq!(other.run(&["backup", &instance_id(1)]).await.code, 0);
    let jobs = run_both(&site, &["history", "--format", "json"]).await.json();
    assert_eq!(jobs["jobs"], Value::Array(Vec::new()), "the first one answers still, about its own ledger");
    drop((first, second));
}
