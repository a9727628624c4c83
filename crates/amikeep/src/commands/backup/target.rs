//! Which policy a backup belongs to: the one that was named, else the only one that matches.
//!
//! Asks EC2 where the instances are and then decides nothing but that. It must never guess: with several policies the
//! operator chooses, since class, tags and retention all hang on it.

use std::collections::{BTreeMap, BTreeSet};

use amikeep_cloud::{Cloud, InstanceQuery, VALUES_PER_FILTER_MAX};
use amikeep_config::Config;
use amikeep_domain::class::Consistency;
use amikeep_domain::decision::resolve_class;
use amikeep_domain::id::{AccountName, InstanceId, PolicyName};
use amikeep_domain::instance::Instance;
use amikeep_domain::policy::{Enabled, Policy, PolicySet};
use amikeep_engine::next_step_once;
use tokio::task::JoinSet;

use crate::cli::BackupArgs;
use crate::exit::UsageError;
use crate::wiring::Clouds;

/// Of several instances that were named none is backed up unless all can be, and that must not be left to guess.
const NOTHING_DONE: &str = "nothing was backed up";

/// What is to be backed up, and as part of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) instance: InstanceId,
    pub(super) account: AccountName,
    pub(super) policy: PolicyName,
}

/// What the accounts said.
#[derive(Debug, Default)]
struct Found {
    /// By instance: where it is, and how it is described there.
    instances: BTreeMap<InstanceId, Vec<(AccountName, Instance)>>,
    /// By account: why it said nothing.
    silent: BTreeMap<AccountName, String>,
}

/// Finds every instance and the policy it belongs to. What is wrong with the command line is told for all of them.
pub(super) async fn find(config: &Config, clouds: &Clouds, args: &BackupArgs) -> anyhow::Result<Vec<Target>> {
    let set = &config.policy_set;
    check_arguments(set, args)?;
    let ids: Vec<InstanceId> = args.instances.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect();
    let candidates =
        set.policies.values().filter(|policy| args.policy.as_ref().is_none_or(|name| *name == policy.name));
    let accounts: BTreeSet<&AccountName> = candidates.flat_map(|policy| &policy.accounts).collect();
    let found = ask(clouds, &accounts, &ids).await;
    let missing: Vec<&InstanceId> = ids.iter().filter(|id| !found.instances.contains_key(id)).collect();
    if !missing.is_empty() {
        return Err(not_found(&missing, set, &accounts, &found));
    }
    let mut refused = Vec::new();
    let mut targets = Vec::new();
    for (instance, places) in &found.instances {
        match choose(set, args, places) {
            Ok((account, policy)) => {
                targets.push(Target {
                    instance: instance.clone(),
                    account: account.clone(),
                    policy: policy.name.clone(),
                });
            }
            Err(error) => refused.push(format!("{instance}: {error}")),
        }
    }
    if refused.is_empty() {
        return Ok(targets);
    }
    refused.push(NOTHING_DONE.to_owned());
    Err(UsageError(refused.join("\n")).into())
}

/// What can be told without asking EC2.
fn check_arguments(set: &PolicySet, args: &BackupArgs) -> Result<(), UsageError> {
    match &args.policy {
        Some(name) if !set.policies.contains_key(name) => {
            let known = names(set.policies.values());
            Err(UsageError(format!("there is no policy {name} in the configuration; there are: {known}")))
        }
        None if set.policies.is_empty() => Err(UsageError("the configuration has no policy".to_owned())),
        _ => Ok(()),
    }
}

/// Asks all accounts at the same time.
async fn ask(clouds: &Clouds, accounts: &BTreeSet<&AccountName>, ids: &[InstanceId]) -> Found {
    let mut asked = JoinSet::new();
    let mut found = Found::default();
    for account in accounts {
        let Some(cloud) = clouds.get(*account).cloned() else {
            found.silent.insert((*account).clone(), "it cannot be used as it is configured".to_owned());
            continue;
        };
        for ids in ids.chunks(VALUES_PER_FILTER_MAX) {
            let (account, cloud, ids) = ((*account).clone(), cloud.clone(), ids.to_vec());
            asked.spawn(async move { (account, cloud.observe_instances(InstanceQuery::Ids(ids)).await) });
        }
    }
    while let Some(Ok((account, answer))) = asked.join_next().await {
        match answer {
            Ok(instances) => {
                for instance in instances {
                    found.instances.entry(instance.id.clone()).or_default().push((account.clone(), instance));
                }
            }
            Err(error) => {
                found.silent.insert(account, format!("{error}\n  next step: {}", next_step_once(&error)));
            }
        }
    }
    found
}

/// That instances were not found, or could not be looked up as long as an account says nothing.
fn not_found(
    missing: &[&InstanceId],
    set: &PolicySet,
    accounts: &BTreeSet<&AccountName>,
    found: &Found,
) -> anyhow::Error {
    let missing = missing.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", ");
    let region = |name: &AccountName| set.accounts.get(name).map(|rules| format!(" ({})", rules.region));
    let answered = accounts.iter().filter(|name| !found.silent.contains_key(**name));
    let answered: Vec<String> = answered.map(|name| format!("{name}{}", region(name).unwrap_or_default())).collect();
    let what = match (answered.as_slice(), found.silent.is_empty()) {
        (asked, true) => format!("instance {missing} was not found; accounts asked: {}", asked.join(", ")),
        ([], false) => format!("instance {missing} could not be looked up"),
        (asked, false) => format!(
            "instance {missing} was not found in {}; it may be in an account that did not answer",
            asked.join(", ")
        ),
    };
    let silent = found.silent.iter().map(|(account, error)| {
        format!("account {account}{} did not answer: {error}", region(account).unwrap_or_default())
    });
    let lines: Vec<String> = std::iter::once(what).chain(silent).chain([NOTHING_DONE.to_owned()]).collect();
    anyhow::anyhow!(lines.join("\n"))
}

/// The account and the policy for an instance that was found in these places.
fn choose<'a>(
    set: &'a PolicySet,
    args: &BackupArgs,
    places: &'a [(AccountName, Instance)],
) -> Result<(&'a AccountName, &'a Policy), String> {
    let is_wanted = |policy: &Policy, instance: &Instance| match &args.policy {
        Some(name) => *name == policy.name,
        None => policy.enabled == Enabled::Yes && policy.select.matches(instance),
    };
    let mut chosen: BTreeMap<&PolicyName, (&AccountName, &Policy, &Instance)> = BTreeMap::new();
    for policy in set.policies.values() {
        let mut there = places.iter().filter(|(account, _)| policy.accounts.contains(account));
        if let Some((account, instance)) = there.find(|(_, instance)| is_wanted(policy, instance)) {
            chosen.insert(&policy.name, (account, policy, instance));
        }
    }
    let mut chosen = chosen.into_values();
    match (chosen.next(), chosen.next()) {
        (Some((account, policy, instance)), None) => {
            check_consistency(set, policy, instance, args.consistency).map(|()| (account, policy))
        }
        (Some((_, first, _)), Some((_, second, _))) => {
            let several = [first, second].into_iter().chain(chosen.map(|(_, policy, _)| policy));
            Err(format!("several policies match it; choose one with --policy: {}", names(several)))
        }
        (None, _) => Err(none_matches(set, args, places)),
    }
}

fn none_matches(set: &PolicySet, args: &BackupArgs, places: &[(AccountName, Instance)]) -> String {
    let found_in: Vec<&str> = places.iter().map(|(account, _)| account.as_str()).collect();
    let found_in = found_in.join(", ");
    if let Some(name) = &args.policy {
        return format!("it is in account {found_in}, in which policy {name} does not run");
    }
    let here = set.policies.values().filter(|it| places.iter().any(|(account, _)| it.accounts.contains(account)));
    format!("no enabled policy matches it; name the one it should belong to with --policy: {}", names(here))
}

/// An operator may take another mode this once, but an audit relies on the images of one class.
fn check_consistency(
    set: &PolicySet,
    policy: &Policy,
    instance: &Instance,
    asked: Option<Consistency>,
) -> Result<(), String> {
    // A class that cannot be told fails the job with its own message, so it is no matter here.
    match resolve_class(policy, &set.classes, instance) {
        Ok(class) if asked.is_some_and(|asked| !class.allows(asked)) => {
            Err(format!("class {} is never imaged without a reboot: leave out --consistency", class.name))
        }
        Ok(class) if asked == Some(Consistency::Freeze) && class.freeze.is_none() => Err(format!(
            "class {name} cannot freeze: add `freeze = \"NAME\"` to [classes.{name}] and a table [freezes.NAME]",
            name = class.name
        )),
        _ => Ok(()),
    }
}

fn names<'a>(policies: impl Iterator<Item = &'a Policy>) -> String {
    policies.map(|policy| policy.name.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use amikeep_domain::instance::{Hibernation, InstanceState, RootDevice};

    use super::*;

    const FILE: &str = r#"
        [daemon]
        owner = "test"
        database = "/nowhere/amikeep.db"

        [accounts.one]
        region = "eu-central-1"
        [accounts.two]
        region = "us-east-1"

        [policies.nightly]
        account = ["one", "two"]
        class = "regulated"
        schedule = "@daily"
        select = { tags = { Role = "db" } }
        keep = { last = 3 }

        [policies.weekly]
        account = "one"
        class = "stateless"
        schedule = "@weekly"
        select = { tags = { Role = ["db", "web"] } }
        keep = { last = 3 }

        [policies.retired]
        account = "one"
        class = "stateless"
        schedule = "@weekly"
        enabled = false
        select = { tags = { Role = "web" } }
        keep = { last = 3 }
    "#;

    fn choice(arguments: &[&str], account: &str, role: &str) -> Result<(String, String), String> {
        let config = amikeep_config::parse(FILE, "test.toml").unwrap().config;
        let args = args(arguments);
        let instance = Instance {
            id: "i-0123456789abcdef0".parse().unwrap(),
            state: InstanceState::Running,
            launched_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            root_device: RootDevice::Ebs,
            root_device_name: None,
            volumes: Vec::new(),
            instance_store_disks: Some(0),
            hibernation: Hibernation::No,
            tags: [("Role", role)].into_iter().collect(),
        };
        let places = [(account.parse().unwrap(), instance)];
        let chosen = choose(&config.policy_set, &args, &places);
        chosen.map(|(account, policy)| (account.to_string(), policy.name.to_string()))
    }

    fn args(arguments: &[&str]) -> BackupArgs {
        use clap::Parser;
        let line = ["amikeep", "backup", "i-0123456789abcdef0"].iter().chain(arguments);
        match crate::cli::Cli::try_parse_from(line).unwrap().command {
            crate::cli::Command::Backup(args) => args,
            other => panic!("{other:?}"),
        }
    }

    fn check(arguments: &[&str]) -> String {
        let config = amikeep_config::parse(FILE, "test.toml").unwrap().config;
        check_arguments(&config.policy_set, &args(arguments)).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn an_account_that_says_nothing_is_no_proof_that_an_instance_is_not_there() {
        let set = amikeep_config::parse(FILE, "test.toml").unwrap().config.policy_set;
        let (one, two, id) = ("one".parse().unwrap(), "two".parse().unwrap(), "i-0123456789abcdef0".parse().unwrap());
        let said = |found: &Found| not_found(&[&id], &set, &[&one, &two].into(), found).to_string();
        let all_answered = said(&Found::default());
        assert!(
            all_answered
                .starts_with("instance i-0123456789abcdef0 was not found; accounts asked: one (eu-central-1), two")
        );
        let silent = |names: &[&AccountName]| Found {
            silent: names.iter().map(|name| ((*name).clone(), "no credentials".to_owned())).collect(),
            ..Found::default()
        };
        let none_answered = said(&silent(&[&one, &two]));
        assert!(
            none_answered.contains("could not be looked up") && !none_answered.contains("not found"),
            "{none_answered}"
        );
        let one_answered = said(&silent(&[&two]));
        assert!(one_answered.contains("not found in one") && one_answered.contains("account two"), "{one_answered}");
        assert!([all_answered, none_answered, one_answered].iter().all(|text| text.ends_with(NOTHING_DONE)));
    }

    #[test]
    fn the_only_policy_that_matches_is_taken() {
        assert_eq!(choice(&[], "two", "db"), Ok(("two".to_owned(), "nightly".to_owned())));
        // A policy that is switched off does not count as a match.
        assert_eq!(choice(&[], "one", "web"), Ok(("one".to_owned(), "weekly".to_owned())));
    }

    #[test]
    fn of_several_policies_none_is_guessed() {
        let error = choice(&[], "one", "db").unwrap_err();
        assert!(error.ends_with("--policy: nightly, weekly"), "{error}");
    }

    #[test]
    fn a_policy_that_is_named_need_not_match_but_must_run_there() {
        assert_eq!(choice(&["--policy", "retired"], "one", "cache"), Ok(("one".to_owned(), "retired".to_owned())));
        assert!(choice(&["--policy", "weekly"], "two", "web").unwrap_err().contains("in account two"));
    }

    #[test]
    fn without_a_match_the_policies_of_the_account_are_listed() {
        let error = choice(&[], "two", "cache").unwrap_err();
        assert!(error.ends_with("--policy: nightly"), "{error}");
    }

    #[test]
    fn a_regulated_instance_is_never_weakened() {
        assert!(choice(&["--consistency", "no-reboot"], "two", "db").unwrap_err().contains("regulated"));
        assert!(choice(&["--consistency", "reboot"], "two", "db").is_ok());
        assert!(choice(&["--consistency", "freeze"], "two", "db").unwrap_err().contains("regulated"));
        assert!(choice(&["--consistency", "no-reboot", "--policy", "weekly"], "one", "db").is_ok());
    }

    #[test]
    fn a_class_that_names_no_freeze_cannot_be_frozen() {
        let error = choice(&["--consistency", "freeze", "--policy", "weekly"], "one", "db").unwrap_err();
        assert!(error.contains("cannot freeze") && error.contains("[freezes.NAME]"), "{error}");
    }

    #[test]
    fn what_needs_no_answer_of_ec2_is_told_first() {
        assert!(check(&["--policy", "nighty"]).ends_with("nightly, retired, weekly"));
        assert_eq!(check(&["--policy", "nightly"]), "");
    }
}
