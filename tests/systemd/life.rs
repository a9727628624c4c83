//! The running service: who it is, what it may touch, and what becomes of it when it is told, killed or stuck.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::host::{Host, NEVER_NOW, OFTEN, message};

pub(crate) fn it_runs_as_its_own_user_without_any_privilege(host: &Host) {
    let pid = host.show("MainPID");
    let status = host.container.sh(&format!("cat /proc/{pid}/status"));
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name} in {status}")).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let id = host.container.sh("id -u amikeep");
    assert_eq!(field("Uid"), [id.as_str(); 4].join(" "));
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!((field("NoNewPrivs").as_str(), field("Seccomp").as_str()), ("1", "2"));
    assert_eq!(
        host.container.sh(&format!("grep 'Max core file size' /proc/{pid}/limits | tr -s ' '")),
        "Max core file size 0 0 bytes"
    );
}

pub(crate) fn its_ledger_is_its_own_and_the_rest_of_the_host_is_read_only(host: &Host) {
    let modes = host.container.sh("stat -c '%a %U' /var/lib/amikeep /var/lib/amikeep/amikeep.db");
    assert_eq!(modes, "700 amikeep\n600 amikeep");
    let pid = host.show("MainPID");
    for path in ["/etc/amikeep/new", "/usr/new", "/var/new"] {
        let ran = host.container.try_sh(&format!("nsenter -t {pid} -m touch {path}"));
        assert!(ran.stderr.contains("Read-only file system"), "{path} in the eyes of the service: {ran:?}");
    }
}

pub(crate) async fn a_schedule_with_seconds_takes_an_image_and_the_journal_says_which(host: &Host) {
    let line = host.wait_for_line("STATE=succeeded", "backed up").await;
    for field in ["JOB_ID", "POLICY", "ACCOUNT", "REGION", "INSTANCE_ID", "SCHEDULED_AT", "MODE", "GRADE", "IMAGE_ID"] {
        assert!(line[field].is_string(), "{field} in {line:#}");
    }
    assert_eq!(line["SYSLOG_IDENTIFIER"], "amikeep");
    let job = line["JOB_ID"].as_str().unwrap();
    let shown = host.container.sh(&format!("amikeep show {job} --format json"));
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["job"]["state"], &shown["job"]["image_id"]), (&"succeeded".into(), &line["IMAGE_ID"]));
    let secrets = host.container.sh("journalctl -u amikeep | grep -c must-not-be-seen || true");
    assert_eq!(secrets, "0");
}

/// The container has the network of this machine.
pub(crate) async fn it_may_listen_and_says_that_it_is_well(host: &Host) {
    let line = host.wait_for_line("", "metrics and health are answered at http://").await;
    let address = message(&line).rsplit_once("http://").unwrap().1;
    let answer_to = |path: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(answer_to("/healthz").ends_with("\r\n\r\nok\n"), "{}", answer_to("/healthz"));
    let figures = answer_to("/metrics");
    assert!(figures.contains("\namikeep_ledger_readable 1.0\n"), "{figures}");
}

pub(crate) async fn a_reload_takes_a_valid_file_in(host: &Host) {
    let pid = host.show("MainPID");
    host.configure(&[NEVER_NOW, NEVER_NOW]);
    host.follow("Reload");
    host.wait_for_status("policies in force: 2, open jobs: 0").await;
    assert_eq!((host.show("MainPID"), host.show("ActiveState")), (pid, "active".to_owned()));
}

pub(crate) async fn a_reload_of_a_broken_file_fails_aloud_and_changes_nothing(host: &Host) {
    let pid = host.show("MainPID");
    host.break_config();
    assert!(!host.try_follow("Reload").succeeded);
    host.wait_for_line("", "clas").await;
    assert_eq!((host.show("MainPID"), host.show("ActiveState")), (pid, "active".to_owned()));
    assert_eq!(host.show("StatusText"), "policies in force: 2, open jobs: 0");
}

pub(crate) async fn a_hangup_alone_counts_a_broken_file(host: &Host) {
    host.container.sh("systemctl kill --kill-who main --signal HUP amikeep");
    host.wait_for_status("policies in force: 2, open jobs: 0, failed reloads: 1").await;
    host.wait_for_line("PRIORITY=3 FAILED_RELOADS=1", "what was in force stays in force").await;
    host.configure(&[NEVER_NOW]);
    host.follow("Reload");
    host.wait_for_status("policies in force: 1").await;
}

pub(crate) async fn a_killed_daemon_is_started_again_and_says_so(host: &Host) {
    assert_eq!(host.show("NRestarts"), "0");
    host.container.sh("systemctl kill --kill-who main --signal KILL amikeep");
    host.wait_for("NRestarts", "1").await;
    host.wait_for("ActiveState", "active").await;
    host.wait_for_line("PRIORITY=4", "did not stop in order").await;
}

pub(crate) async fn a_daemon_that_hangs_is_ended_by_the_watchdog_and_started_again(host: &Host) {
    assert_eq!(host.show("WatchdogUSec"), "1min");
    let drop_in = "/run/systemd/system/amikeep.service.d/short.conf";
    host.container.write(drop_in, "[Service]\nWatchdogSec=3s\nRestartSec=100ms");
    host.container.sh("systemctl daemon-reload; systemctl restart amikeep");
    // While it is well it answers, again and again.
    for _ in 0..3 {
        let answered = host.show("WatchdogTimestampMonotonic");
        host.container.wait_for("it answers", || host.show("WatchdogTimestampMonotonic") != answered).await;
    }
    assert_eq!(host.show("NRestarts"), "0");
    host.container.sh("systemctl kill --kill-who main --signal STOP amikeep");
    host.wait_for("NRestarts", "1").await;
    host.wait_for("ActiveState", "active").await;
    let told = host.container.sh("journalctl --unit amikeep --output cat _PID=1");
    for words in ["Watchdog timeout (limit 3s)", "status=6/ABRT", "Failed with result 'watchdog'"] {
        assert!(told.contains(words), "{words:?} in {told}");
    }
    host.container.sh(&format!("rm {drop_in}; systemctl daemon-reload"));
}

pub(crate) async fn a_stop_is_clean_though_an_image_is_under_way(host: &Host) {
    host.configure(&[OFTEN]);
    host.follow("Reload");
    host.wait_for_status("open jobs: 1").await;
    let started = tokio::time::Instant::now();
    host.container.sh("systemctl stop amikeep");
    let took = started.elapsed();
    assert!(took.as_secs() < 60, "longer than shutdown_grace: {took:?}");
    let ended = ["ActiveState", "Result", "ExecMainStatus"].map(|property| host.show(property));
    assert_eq!(ended, ["inactive", "success", "0"]);
    assert_eq!(host.journal("").last().map(message), Some("stopped"));
    let files = host.container.sh("find /var/lib/amikeep -name '*-wal' -size +0");
    assert_eq!(files, "", "a stopped ledger is one file, which can be copied");
}

pub(crate) fn a_broken_file_at_the_start_is_final(host: &Host) {
    host.break_config();
    assert!(!host.container.try_sh("systemctl start amikeep").succeeded);
    let ended = ["ActiveState", "Result", "ExecMainStatus", "NRestarts"].map(|property| host.show(property));
    assert_eq!(ended, ["failed", "exit-code", "2", "0"]);
    host.container.sh("systemctl reset-failed amikeep");
}
