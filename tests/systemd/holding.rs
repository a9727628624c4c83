//! Holding still under systemd, with the drop-ins that are shipped for it: this host's own file system, and by commands.

use crate::host::{DATA, Host, INSTANCE, SOURCES};

const DROP_INS: &str = "/etc/systemd/system/amikeep.service.d";
/// Where the commands leave what they did: the service can write there and nowhere else.
const HELD: &str = "/var/lib/amikeep/held";
/// The service is given its credentials; an operator has them too.
const AS_ROOT: &str = "AWS_SHARED_CREDENTIALS_FILE=/etc/amikeep/aws-credentials";

/// With this drop-in, and no other of ours.
fn take(host: &Host, drop_in: &str) {
    let source = format!("{SOURCES}/systemd/amikeep.service.d/{drop_in}");
    host.container.sh(&format!("install -m 0644 {source} {DROP_INS}/{drop_in}; systemctl daemon-reload"));
}

fn put_back(host: &Host, drop_in: &str) {
    let files = format!("{DROP_INS}/{drop_in} /run/systemd/system/amikeep.service.d/* {HELD}*");
    host.container.sh(&format!("systemctl stop amikeep; rm -f {files}; systemctl daemon-reload"));
}

pub(crate) async fn it_freezes_this_host_with_the_drop_in_for_it(host: &Host) {
    take(host, "freeze.conf");
    // A server of another user, which the service sees with the privileges of the drop-in alone.
    let redis = "redis-server --port 0 --save '' --appendonly yes --unixsocket /run/held.sock --unixsocketperm 777";
    host.container.sh(&format!("systemd-run --quiet --unit=held {redis} --dir {DATA}"));
    host.container.wait_for("redis listens", || host.container.try_sh("test -S /run/held.sock").succeeded).await;
    host.container.write("/etc/amikeep/redis-url", "unix:///run/held.sock");
    host.configure_freeze(&format!(
        "via = \"local\"\nmounts = [\"{DATA}\"]\ndevices = [\"/dev/xvda\"]\ninstance = \"{INSTANCE}\"\nbudget = \"60s\"\n\
         application = \"redis\"\nconnection = {{ file = \"/etc/amikeep/redis-url\" }}\n\
         post = [[\"/bin/sh\", \"-c\", \"echo done > {HELD}\"]]"
    ));
    host.container.sh("systemctl restart amikeep");
    // What docs/freeze.md says that it costs. The unit alone is below 1.2.
    host.container.sh("systemd-analyze security --threshold=20 amikeep.service > /dev/null");
    let_it_lock_memory(host);
    let ran = host.container.sh(&format!("{AS_ROOT} amikeep backup {INSTANCE} --format json"));
    let job = &serde_json::from_str::<serde_json::Value>(&ran).unwrap()["jobs"][0];
    assert_eq!((&job["state"], &job["grade"]), (&"succeeded".into(), &"application".into()), "{job:#}");
    assert_eq!(job["hold"]["mounts"][0]["fs_type"], "ext4", "{job:#}");
    host.container.sh(&format!("touch {DATA}/writes-flow-again; systemctl stop held"));
    put_back(host, "freeze.conf");
}

/// A build machine may have no right to raise limits. systemd raises them as far as it can then, and says nothing; the
/// capability that stands above that limit makes up for it.
fn let_it_lock_memory(host: &Host) {
    let limits = host.container.sh(&format!("cat /proc/{}/limits", host.show("MainPID")));
    let limit = limits.lines().find(|line| line.starts_with("Max locked memory")).unwrap();
    if !limit.contains("unlimited") {
        let text = "[Service]\nAmbientCapabilities=CAP_IPC_LOCK\nCapabilityBoundingSet=CAP_IPC_LOCK";
        host.container.write("/run/systemd/system/amikeep.service.d/lock.conf", text);
        host.container.sh("systemctl daemon-reload; systemctl restart amikeep");
    }
}

pub(crate) async fn what_a_killed_daemon_froze_by_a_command_is_thawed_before_its_guard_is_ended(host: &Host) {
    take(host, "freeze-command.conf");
    // The freeze outlives the daemon, and takes effect only after the first thaw.
    let freeze = format!(
        "echo begun >> {HELD}; while ! grep -q thaw {HELD}; do sleep 0.05; done; touch {HELD}.frozen; echo frozen >> {HELD}"
    );
    let thaw = format!("echo thaw >> {HELD}; test -e {HELD}.frozen || exit 46; rm {HELD}.frozen");
    host.configure_freeze(&format!(
        "via = \"command\"\ndevices = [\"/dev/xvda\"]\nbudget = \"60s\"\n\
         freeze = [\"/bin/sh\", \"-c\", \"{freeze}\"]\nthaw = [\"/bin/sh\", \"-c\", \"{thaw}\"]"
    ));
    host.container.sh("systemctl restart amikeep");
    let restarts: u32 = host.show("NRestarts").parse().unwrap();
    host.container.sh(&format!("{AS_ROOT} amikeep backup {INSTANCE} --no-wait > /dev/null"));
    host.container.wait_for("it freezes", || host.container.try_sh(&format!("grep begun {HELD}")).succeeded).await;
    host.container.sh("systemctl kill --kill-who main --signal KILL amikeep");
    host.wait_for("NRestarts", &(restarts + 1).to_string()).await;
    host.wait_for("ActiveState", "active").await;
    let held = host.container.sh(&format!("cat {HELD}"));
    let lines: Vec<&str> = held.lines().collect();
    assert_eq!(lines[..4], ["begun", "thaw", "frozen", "thaw"], "the guard was given its time: {lines:?}");
    put_back(host, "freeze-command.conf");
}
