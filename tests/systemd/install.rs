//! Installing, starting, upgrading and removing, each by the commands of the install page.

use crate::host::{Host, NEVER_NOW, OFTEN};

pub(crate) fn the_page_installs_a_service_that_only_its_user_and_root_can_read(host: &Host) {
    host.follow("Install");
    host.follow("Completions and manual pages");
    host.follow("Configure");
    let user = host.container.sh("getent passwd amikeep");
    assert!(user.ends_with(":/var/lib/amikeep:/usr/sbin/nologin"), "{user}");
    let password = host.container.sh("getent shadow amikeep | cut -d : -f 2");
    assert!(password.starts_with('!'), "it has a password: {password}");
    let modes = host.container.sh("stat -c '%a %U %G' /etc/amikeep /etc/amikeep/amikeep.toml");
    assert_eq!(modes, "750 root amikeep\n640 root amikeep");
    // What an operator copies without a mode is put right at the next boot.
    host.container.sh("chmod 0644 /etc/amikeep/amikeep.toml; systemd-tmpfiles --create amikeep.conf");
    assert_eq!(host.container.sh("stat -c '%a' /etc/amikeep/amikeep.toml"), "640");
    host.container.sh("test -s /usr/share/man/man1/amikeep-history.1");
    host.container.sh("bash -n /usr/share/bash-completion/completions/amikeep");
}

pub(crate) fn it_starts_and_is_ready_when_systemctl_returns(host: &Host) {
    host.configure(&[OFTEN]);
    host.give_credentials();
    host.follow("Start");
    assert_eq!(host.show("ActiveState"), "active");
    assert!(host.show("StatusText").starts_with("policies in force: 1"), "{}", host.show("StatusText"));
    assert_eq!(host.container.sh("systemctl is-enabled amikeep"), "enabled");
}

pub(crate) fn members_of_the_group_are_answered_and_strangers_are_not(host: &Host) {
    host.container.sh("useradd alice; useradd bob");
    host.follow("Let operators look");
    let modes = host.container.sh("stat -c '%a %U %G' /run/amikeep /run/amikeep/amikeep.sock");
    assert_eq!(modes, "750 amikeep amikeep\n660 amikeep amikeep");
    let run_as = |who: &str, args: &str| format!("setpriv --reuid={who} --regid={who} --init-groups -- amikeep {args}");
    for args in ["history --format json", "images --format json", "plan --format json", "pause --format json"] {
        let alice = host.container.try_sh(&run_as("alice", args));
        let json: Result<serde_json::Value, _> = serde_json::from_str(&alice.stdout);
        assert!(alice.succeeded && json.is_ok(), "{args}: {alice:?}");
    }
    let changed = host.container.try_sh(&run_as("alice", "pause --all"));
    assert!(!changed.succeeded && changed.stderr.contains("root"), "{changed:?}");
    let bob = host.container.try_sh(&run_as("bob", "history"));
    assert!(!bob.succeeded && bob.stderr.contains("usermod -aG amikeep"), "{bob:?}");
    // One who has a configuration of his own cannot reach the socket either.
    host.container.sh("install -m 0644 /etc/amikeep/amikeep.toml /tmp/copy.toml");
    let bob = host.container.try_sh(&run_as("bob", "--config /tmp/copy.toml history"));
    assert!(!bob.succeeded && bob.stderr.contains("nor ask the daemon"), "{bob:?}");
}

pub(crate) fn systemd_finds_nothing_wrong_with_the_unit_and_little_exposed(host: &Host) {
    // Its last command fails above an exposure level of 2.0.
    let ran = host.follow("Verify");
    assert_eq!(ran.stdout.lines().next(), Some("active"));
    // `verify` succeeds with warnings too; it alone speaks on standard error.
    assert_eq!(ran.stderr, "");
}

pub(crate) fn the_page_upgrades_it(host: &Host) {
    host.configure(&[NEVER_NOW]);
    host.container.sh("systemctl start amikeep");
    host.follow("Upgrade");
    host.follow("Install");
    // A root who looks while the service is down must not take its ledger away from it.
    host.container.sh("amikeep history > /dev/null");
    let strangers = host.container.sh("find /var/lib/amikeep ! -user amikeep");
    assert_eq!(strangers, "");
    host.container.sh("systemctl start amikeep");
    assert_eq!(host.show("ActiveState"), "active");
    host.container.sh("amikeep history --state succeeded --format json | grep -q image_id");
}

pub(crate) fn the_page_removes_it_and_leaves_ledger_and_configuration(host: &Host) {
    host.follow("Uninstall");
    assert!(!host.container.try_sh("systemctl cat amikeep").succeeded);
    let left = host.container.sh("find /etc /usr /var -xdev -name '*amikeep*' -newer /etc/machine-id | sort");
    let is_kept =
        |path: &str| ["/etc/amikeep", "/var/lib/amikeep", "/tmp", "/var/tmp"].iter().any(|it| path.starts_with(it));
    assert_eq!(left.lines().filter(|path| !is_kept(path)).collect::<Vec<_>>(), [""; 0]);
    host.container.sh("test -s /var/lib/amikeep/amikeep.db; test -s /etc/amikeep/amikeep.toml");
}
