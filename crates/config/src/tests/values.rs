//! What a right file means.

use std::path::Path;

use amikeep_domain::class::{AsgReboot, Consistency, IfBlocked};
use amikeep_domain::policy::Enabled;
use jiff::SignedDuration;

use crate::Listen;
use crate::tests::{accepted, config, with_policy, with_tables};
use amikeep_domain::freeze::{Application, CaptureBy, Commands, Connection, Via};

#[test]
fn what_is_left_out_has_the_default_of_the_contract() {
    let config = config(&with_policy(&[]));
    assert_eq!(config.daemon.database.to_str(), Some("/var/lib/amikeep/amikeep.db"));
    assert_eq!(config.daemon.listen, Listen::On("127.0.0.1:8484".parse().unwrap()));
    assert_eq!(config.daemon.socket.as_deref(), Some(Path::new("/run/amikeep/amikeep.sock")));
    assert_eq!(config.daemon.max_concurrent_jobs, 64);
    assert_eq!(config.daemon.shutdown_grace, SignedDuration::from_secs(60));
    assert_eq!(config.daemon.ledger_backups, 7);
    assert_eq!(config.policy_set.prune_schedule.fingerprint(), "30 * * * * UTC");
    assert_eq!(config.policy_set.history_keep, SignedDuration::from_hours(400 * 24));
    let account = config.accounts.values().next().unwrap();
    assert_eq!(account.visibility_lag, SignedDuration::from_mins(5));
    assert_eq!((&account.profile, &account.role, &account.account_id), (&None, &None, &None));
    let policy = config.policy_set.policies.values().next().unwrap();
    assert_eq!(policy.schedule.fingerprint(), "0 2 * * * UTC");
    assert_eq!(policy.jitter, SignedDuration::ZERO);
    assert_eq!(policy.start_within, SignedDuration::from_hours(6));
    assert_eq!(policy.deadline, SignedDuration::from_hours(24));
    assert_eq!((policy.enabled, policy.max_deletes), (Enabled::Yes, None));
    assert!(policy.class_tag_allows.is_empty() && policy.copy_tags.is_empty() && policy.tags.is_empty());
    assert_eq!(config.policy_set.classes, amikeep_domain::class::built_in());
    assert!(config.policy_set.freezes.is_empty());
}

#[test]
fn every_key_of_a_policy_arrives() {
    let text = with_policy(&[
        ("account", "[\"default\", \"other\"]"),
        ("class", "\"always-on\""),
        ("schedule", "\"0  30 1 * * MON\""),
        ("timezone", "\"Europe/Berlin\""),
        ("jitter", "\"10m\""),
        ("start_within", "\"2h\""),
        ("enabled", "false"),
        (
            "select",
            "{ tags = { Env = \"prod\", Role = [\"a*\", \"b\"] }, exclude_tags = { Skip = \"*\" }, instances = [\"i-0123456789abcdef0\"] }",
        ),
        ("class_tag_allows", "[\"stateless\"]"),
        ("copy_tags", "[\"CostCenter\"]"),
        ("keep", "{ last = -1, weekly = 4, within = \"2d\" }"),
        ("tags", "{ A = \"1\" }"),
        ("deadline", "\"7d\""),
        ("max_deletes", "0"),
    ]) + "[accounts.other]\nregion = \"us-east-1\"\naccount_id = \"123456789012\"\n";
    let set = config(&text).policy_set;
    let policy = set.policies.values().next().unwrap();
    let accounts: Vec<_> = policy.accounts.iter().map(ToString::to_string).collect();
    assert_eq!(accounts, ["default", "other"]);
    assert_eq!(policy.class.as_str(), "always-on");
    assert_eq!(policy.schedule.fingerprint(), "0 30 1 * * mon Europe/Berlin");
    assert_eq!(policy.jitter, SignedDuration::from_mins(10));
    assert_eq!(policy.start_within, SignedDuration::from_hours(2));
    assert_eq!(policy.enabled, Enabled::No);
    let tags: Vec<_> = policy.select.tags.iter().map(|it| (it.key.as_str(), it.values.len())).collect();
    assert_eq!(tags, [("Env", 1), ("Role", 2)]);
    assert_eq!(policy.select.exclude_tags[0].values[0].as_str(), "*");
    assert_eq!(policy.select.instances.len(), 1);
    assert_eq!(policy.class_tag_allows.len(), 1);
    assert_eq!(policy.copy_tags, ["CostCenter"]);
    assert_eq!(policy.keep.to_string(), "last=-1,weekly=4,within=2d");
    assert_eq!(policy.tags["A"], "1");
    assert_eq!((policy.deadline, policy.max_deletes), (SignedDuration::from_hours(168), Some(0)));
    let ids: Vec<_> = set.accounts.values().map(|it| it.expected_id.as_ref().map(ToString::to_string)).collect();
    assert_eq!(ids, [None, Some("123456789012".to_owned())]);
}

#[test]
fn every_rule_of_keep_arrives_as_itself() {
    let keep = "{ last = 1, hourly = 2, daily = 3, weekly = 4, monthly = 5, yearly = 6, within = \"7s\", within_hourly = \"8m\", \
                within_daily = \"9h\", within_weekly = \"10d\", within_monthly = \"11d\", within_yearly = \"12d\" }";
    let config = config(&with_policy(&[("keep", keep)]));
    let kept = config.policy_set.policies.values().next().unwrap().keep.to_string();
    assert_eq!(
        kept,
        "last=1,hourly=2,daily=3,weekly=4,monthly=5,yearly=6,within=7s,within_hourly=8m,within_daily=9h,\
         within_weekly=10d,within_monthly=11d,within_yearly=12d"
    );
}

#[test]
fn a_socket_is_beside_a_ledger_of_ones_own_or_where_it_is_said_to_be_or_nowhere() {
    let socket =
        |more: &str| config(&with_policy(&[]).replacen("[daemon]\n", &format!("[daemon]\n{more}"), 1)).daemon.socket;
    assert_eq!(socket("database = \"/srv/a/one.db\"\n").as_deref(), Some(Path::new("/srv/a/one.db.sock")));
    let both = "database = \"/srv/a/one.db\"\nsocket = \"/run/two.sock\"\n";
    assert_eq!(socket(both).as_deref(), Some(Path::new("/run/two.sock")));
    assert_eq!(socket("socket = \"\"\n"), None);
}

#[test]
fn every_key_of_daemon_and_account_arrives() {
    let text = "[daemon]\nowner = \"me\"\ndatabase = \"/tmp/x.db\"\nlisten = \"\"\nsocket = \"/tmp/x.sock\"\nmax_concurrent_jobs = 0x10\n\
                shutdown_grace = \"0s\"\nledger_backups = 0\nprune_schedule = \"@hourly\"\nhistory_keep = \"30d\"\n\
                [accounts.a]\nregion = \"eu-west-1\"\nprofile = \"p\"\nrole_arn = \"arn:aws:iam::123456789012:role/r\"\n\
                external_id = \"e\"\nendpoint_url = \"http://[::1]:1\"\naccount_id = \"123456789012\"\nvisibility_lag = \"2s\"\n";
    let config = config(text);
    let daemon = &config.daemon;
    assert_eq!((daemon.owner.as_str(), daemon.database.to_str()), ("me", Some("/tmp/x.db")));
    assert_eq!((daemon.listen, daemon.max_concurrent_jobs), (Listen::Off, 16));
    assert_eq!((daemon.socket.as_deref(), daemon.shutdown_grace.as_secs()), (Some(Path::new("/tmp/x.sock")), 0));
    assert_eq!(daemon.ledger_backups, 0);
    let rules = &config.policy_set;
    assert_eq!((rules.prune_schedule.expression(), rules.history_keep.as_hours()), ("@hourly", 30 * 24));
    let account = config.accounts.values().next().unwrap();
    assert_eq!((account.name.as_str(), account.region.as_str()), ("a", "eu-west-1"));
    assert_eq!(account.profile.as_deref(), Some("p"));
    let role = account.role.as_ref().unwrap();
    assert_eq!((role.arn.as_str(), role.external_id.as_deref()), ("arn:aws:iam::123456789012:role/r", Some("e")));
    assert_eq!(account.endpoint_url.as_deref(), Some("http://[::1]:1"));
    let rules = config.policy_set.accounts.values().next().unwrap();
    assert_eq!((rules.region.as_str(), rules.visibility_lag.as_secs()), ("eu-west-1", 2));
    assert_eq!((&rules.expected_id, account.visibility_lag), (&account.account_id, rules.visibility_lag));
}

#[test]
fn a_class_of_the_file_changes_a_built_in_one_or_adds_another() {
    let text = with_policy(&[("class", "\"mine\"")])
        + "[classes.stateful]\nif_blocked = \"wait\"\nreboot_window = { from = \"22:00\", to = \"02:00\" }\n\
           [classes.stateless]\nconsistency = \"reboot\"\nreboot_in_asg = true\n\
           [classes.mine]\nconsistency = \"no-reboot\"\n";
    let classes = config(&text).policy_set.classes.clone();
    let class = |name: &str| &classes[&name.parse().unwrap()];
    let stateful = class("stateful");
    assert_eq!((stateful.consistency, stateful.if_blocked), (Consistency::Reboot, IfBlocked::Wait));
    let window = stateful.reboot_window.as_ref().map(ToString::to_string);
    assert_eq!(window.as_deref(), Some("Mon,Tue,Wed,Thu,Fri,Sat,Sun 22:00-02:00"));
    assert_eq!(class("stateless").consistency, Consistency::Reboot);
    assert_eq!(class("stateless").reboot_in_asg, AsgReboot::Allowed);
    assert_eq!(class("stateless").why, "the configuration asks for it, in [classes.stateless]");
    assert_eq!(class("mine").consistency, Consistency::NoReboot);
    assert_eq!(classes.len(), 12);
}

#[test]
fn a_freeze_is_read_with_its_defaults() {
    let text = with_policy(&[("class", "\"critical\"")])
        + "[classes.critical]\nfreeze = \"db\"\n[freezes.db]\nvia = \"local\"\nmounts = [\"/data\", \"/log\"]\n\
           application = \"redis\"\nconnection = { file = \"/etc/redis-url\" }\npre = [[\"/bin/a\", \"x\", \"x\"], [\"/bin/b\"]]\n";
    let config = config(&text);
    let freeze = config.policy_set.freezes.values().next().unwrap();
    assert_eq!((freeze.via, freeze.application), (Via::Local, Application::Redis));
    assert_eq!(freeze.connection, Some(Connection::File("/etc/redis-url".into())));
    assert_eq!(freeze.pre.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1]);
    assert_eq!((freeze.budget.as_secs(), freeze.lock_wait.as_secs()), (10, 5));
    assert_eq!((freeze.post.len(), freeze.command_limit.as_secs(), freeze.capture), (0, 30, CaptureBy::Image));
    let class = &config.policy_set.classes[&"critical".parse().unwrap()];
    assert_eq!(class.freeze.as_ref(), Some(&freeze.name));
}

#[test]
fn a_freeze_by_commands_has_both_and_its_devices() {
    let text = with_tables(
        "[freezes.db]\nvia = \"command\"\nfreeze = [\"/usr/bin/ssh\", \"root@{instance_id}\", \"freeze\"]\n\
         thaw = [\"/usr/bin/ssh\", \"{instance_id}\"]\ndevices = [\"/dev/sdf\"]\nbudget = \"45s\"\n",
    );
    let freeze = config(&text).policy_set.freezes.values().next().unwrap().clone();
    let Commands { freeze: by, thaw } = freeze.commands.unwrap();
    assert_eq!((by.len(), thaw[1].as_str()), (3, "{instance_id}"));
    assert_eq!((freeze.devices, freeze.budget.as_secs()), (vec!["/dev/sdf".to_owned()], 45));
}

#[test]
fn how_a_file_is_formatted_does_not_matter() {
    let text = with_policy(&[("schedule", "\"0 2 * * *\""), ("timezone", "\"europe/berlin\"")]);
    let reformatted = "\
# a comment
policies.p = { keep.daily = 0x7, select.tags.Env = ['prod'], schedule = '''0   2 * * *''',
               class = \"stateful\", timezone = \"Europe/Berlin\", account = [ 'default', ] }
daemon.owner = 'test'
accounts.\"default\" = { region = \"eu-central-1\" }
";
    let (a, b) = (config(&text), config(reformatted));
    assert_eq!(a, b);
    let fingerprint =
        |config: &crate::Config| config.policy_set.policies.values().next().unwrap().schedule.fingerprint().to_owned();
    assert_eq!(fingerprint(&a), fingerprint(&b));
}

#[test]
fn a_right_file_has_no_warnings() {
    assert!(accepted(&with_policy(&[])).warnings.is_empty());
    assert!(accepted(&with_policy(&[("schedule", "\"*/5 * * * *\"")])).warnings.is_empty());
    let chosen_by_tag =
        with_policy(&[("class_tag_allows", "[\"mine\"]")]) + "[classes.mine]\nconsistency = \"reboot\"\n";
    assert!(accepted(&chosen_by_tag).warnings.is_empty());
}

#[test]
fn a_key_of_a_class_that_is_written_into_a_policy_is_sent_home() {
    for key in ["if_blocked", "consistency", "reboot_window"] {
        let text = format!("[daemon]\nowner = \"test\"\n[policies.p]\n{key} = \"x\"\n");
        let error = crate::parse(&text, "f").unwrap_err();
        let told =
            error.report().errors().filter_map(|it| it.suggestion.as_deref()).any(|it| it.contains("[classes.NAME]"));
        assert!(told, "{key}: {}", error.report().render(crate::Color::Plain));
    }
}
