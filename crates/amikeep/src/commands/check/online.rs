//! Asking AWS what the credentials are and what they may do. Nothing is changed: permissions are asked for by `DryRun`.

use std::path::Path;

use amikeep_cloud::{Action, Cloud, CloudError, InstanceQuery, ProbeOutcome};
use amikeep_cloud_aws::AwsCloud;
use amikeep_config::Config;
use amikeep_domain::freeze::{CaptureBy, Via};
use amikeep_domain::id::{AccountName, InstanceId};
use amikeep_domain::instance::{Instance, InstanceState};
use amikeep_domain::policy::{Enabled, Policy, PolicySet};
use amikeep_engine::next_step_once;
use amikeep_view::check::{Account, Finding, Matches, Permission};
use tokio::task::JoinSet;

use crate::wiring;

/// What one account said, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) account: Account,
    /// What is wrong, and what to do.
    problems: Vec<Problem>,
    /// What is doubtful.
    doubts: Vec<Problem>,
}

#[derive(Debug)]
struct Problem {
    message: String,
    next_step: Option<String>,
}

impl Asked {
    /// The problems as findings about the account's table. No line is to blame for them.
    pub(super) fn findings(&self, file: &Path) -> Vec<Finding> {
        self.told(&self.problems, file)
    }

    /// What is doubtful, in the same way.
    pub(super) fn warnings(&self, file: &Path) -> Vec<Finding> {
        self.told(&self.doubts, file)
    }

    fn told(&self, problems: &[Problem], file: &Path) -> Vec<Finding> {
        let finding = |problem: &Problem| Finding {
            file: file.display().to_string(),
            line: None,
            column: None,
            key: format!("accounts.{}", self.account.account_name),
            message: problem.message.clone(),
            suggestion: problem.next_step.clone(),
        };
        problems.iter().map(finding).collect()
    }

    fn failed(mut self, message: String, next_step: Option<String>) -> Self {
        self.account.error = Some(message.clone());
        self.problems.push(Problem { message, next_step });
        self
    }
}

/// Asks every account, all at the same time, since one that does not answer takes a minute.
pub(super) async fn ask(config: &Config) -> Vec<Asked> {
    let mut questions = JoinSet::new();
    for account in config.accounts.values() {
        let account = account.clone();
        let (owner, set) = (config.daemon.owner.clone(), config.policy_set.clone());
        questions.spawn(async move {
            let asked = Asked { account: unknown(&account), problems: Vec::new(), doubts: Vec::new() };
            match AwsCloud::connect(wiring::aws_account(&account, &owner)).await {
                Ok(cloud) => ask_account(&cloud, &account, &set, asked).await,
                Err(error) => asked.failed(error.to_string(), None),
            }
        });
    }
    let mut answers = Vec::new();
    while let Some(answer) = questions.join_next().await {
        // A panic in a question is printed where it happens; the others are answered all the same.
        answers.extend(answer.ok());
    }
    answers.sort_by(|a, b| a.account.account_name.cmp(&b.account.account_name));
    answers
}

fn unknown(account: &amikeep_config::Account) -> Account {
    Account {
        account_name: account.name.to_string(),
        account: None,
        region: account.region.to_string(),
        arn: None,
        error: None,
        matches: Vec::new(),
        permissions: Vec::new(),
    }
}

async fn ask_account(
    cloud: &impl Cloud,
    configured: &amikeep_config::Account,
    set: &PolicySet,
    mut asked: Asked,
) -> Asked {
    let identity = match cloud.observe_identity().await {
        Ok(identity) => identity,
        Err(error) => return asked.failed(error.to_string(), Some(next_step_once(&error))),
    };
    asked.account.account = Some(identity.account.to_string());
    asked.account.arn = Some(identity.arn.clone());
    if let Some(expected) = configured.account_id.as_ref().filter(|expected| **expected != identity.account) {
        let message = format!("the credentials belong to account {}, and account_id says {expected}", identity.account);
        return asked.failed(message, Some("correct account_id, or give the account other credentials".to_owned()));
    }
    // Without a listing there is no instance to ask about; why there is none shows at its own permission.
    let listed = cloud.observe_instances(InstanceQuery::All).await;
    let instance = to_ask_about(listed.as_deref().unwrap_or_default(), set);
    if let Ok(instances) = &listed {
        asked.account.matches = matches(instances, &configured.name, set);
        asked.doubts = doubts(&asked.account.matches, instance.as_ref());
    }
    for action in Action::ALL.into_iter().filter(|action| is_called(*action, set)) {
        let outcome = cloud.probe(action, instance.clone()).await;
        let found = problem(action, &outcome, &identity.arn);
        match cost_of_missing(action) {
            Some(cost) => {
                asked.doubts.extend(found.map(|it| Problem { message: format!("{}: {cost}", it.message), ..it }));
            }
            None => asked.problems.extend(found),
        }
        asked.account.permissions.push(permission(action, outcome));
    }
    asked
}

/// Whether an action is called under this configuration. Some are only where an instance is held still in a certain way.
fn is_called(action: Action, set: &PolicySet) -> bool {
    match action {
        Action::DescribeVolumes | Action::GetInstanceUefiData | Action::CreateSnapshots | Action::RegisterImage => {
            set.freezes.values().any(|freeze| freeze.capture == CaptureBy::Snapshots)
        }
        _ if action.service() == "ssm" => set.freezes.values().any(|freeze| freeze.via == Via::Ssm),
        _ => true,
    }
}

/// What does not work without a permission, where backups do. It is a warning: a policy that is tied to tags refuses ids
/// that do not exist, so that what pruning needs cannot be asked about before there is an image.
fn cost_of_missing(action: Action) -> Option<&'static str> {
    match action {
        Action::DeregisterImage => Some("without it pruning deletes nothing"),
        Action::DeleteSnapshot => Some("without it pruning leaves the snapshots"),
        Action::DeleteTags => Some("without it `amikeep unpin` does not work"),
        Action::DescribeImageReferences => Some("without it every image counts as in use, and pruning deletes nothing"),
        Action::ListServiceQuotas => Some("without it EC2's request limits are taken to be the documented ones"),
        Action::DescribeLaunchTemplates | Action::DescribeLaunchTemplateVersions => {
            Some("it is needed only where EC2 does not know DescribeImageReferences")
        }
        _ => None,
    }
}

/// How many instances each policy of the account would image if it fired now.
fn matches(instances: &[Instance], account: &AccountName, set: &PolicySet) -> Vec<Matches> {
    let fires_here = |it: &&Policy| it.enabled == Enabled::Yes && it.accounts.contains(account);
    let count = |policy: &Policy| instances.iter().filter(|it| policy.select.matches(it)).count();
    let policies = set.policies.values().filter(fires_here);
    policies.map(|it| Matches { policy: it.name.to_string(), instances: count(it) }).collect()
}

fn doubts(matches: &[Matches], to_ask_about: Option<&InstanceId>) -> Vec<Problem> {
    let no_match = |it: &Matches| Problem {
        message: format!("policy {} matches no instance now, so it would back up nothing", it.policy),
        next_step: Some(
            "compare its `select` with the tags of the instances, and the region of the account".to_owned(),
        ),
    };
    let unasked = to_ask_about.is_none().then(|| Problem {
        message: "there is no instance to ask about, so not every permission could be checked".to_owned(),
        next_step: Some("check again when there is one that is running or stopped".to_owned()),
    });
    matches.iter().filter(|it| it.instances == 0).map(no_match).chain(unasked).collect()
}

/// An instance that EC2 would image, best one that a policy covers: permissions may depend on its tags.
fn to_ask_about(instances: &[Instance], set: &PolicySet) -> Option<InstanceId> {
    let can_be_imaged = |it: &&Instance| matches!(it.state, InstanceState::Running | InstanceState::Stopped);
    let is_covered = |it: &Instance| set.policies.values().any(|policy| policy.select.matches(it));
    let mut candidates = instances.iter().filter(can_be_imaged);
    let covered = candidates.clone().find(|it| is_covered(it));
    covered.or_else(|| candidates.next()).map(|it| it.id.clone())
}

fn iam_action(action: Action) -> String {
    format!("{}:{action}", action.service())
}

fn permission(action: Action, outcome: Result<ProbeOutcome, CloudError>) -> Permission {
    let (outcome, detail) = match outcome {
        Ok(ProbeOutcome::Allowed) => ("allowed", None),
        Ok(ProbeOutcome::Denied(message)) => ("denied", Some(message)),
        Ok(ProbeOutcome::NotChecked(reason)) => ("not-checked", Some(reason)),
        Err(error) => ("error", Some(error.to_string())),
    };
    Permission { action: iam_action(action), outcome, detail }
}

fn problem(action: Action, outcome: &Result<ProbeOutcome, CloudError>, arn: &str) -> Option<Problem> {
    let action = iam_action(action);
    match outcome {
        Ok(ProbeOutcome::Denied(_)) => Some(Problem {
            message: format!("{action} is denied"),
            next_step: Some(format!("allow {action} for {arn}")),
        }),
        Ok(ProbeOutcome::Allowed | ProbeOutcome::NotChecked(_)) => None,
        Err(error) => Some(Problem {
            message: format!("{action} could not be asked for: {error}"),
            next_step: Some(next_step_once(error)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use amikeep_cloud::CloudErrorKind;

    use super::*;

    const ARN: &str = "arn:aws:iam::111122223333:role/amikeep";

    #[test]
    fn what_is_denied_is_a_problem_and_says_what_to_allow() {
        let denied = Ok(ProbeOutcome::Denied("You are not authorized".to_owned()));
        let problem = problem(Action::CreateImage, &denied, ARN).unwrap();
        assert_eq!(problem.message, "ec2:CreateImage is denied");
        assert_eq!(problem.next_step.unwrap(), format!("allow ec2:CreateImage for {ARN}"));
        assert_eq!(permission(Action::CreateImage, denied).outcome, "denied");
    }

    #[test]
    fn what_cannot_be_asked_for_is_told_and_no_problem() {
        let not_checked = Ok(ProbeOutcome::NotChecked("there is no instance to ask about".to_owned()));
        assert!(problem(Action::CreateImage, &not_checked, ARN).is_none());
        assert_eq!(permission(Action::AssumeRole, not_checked).action, "sts:AssumeRole");
    }

    #[test]
    fn a_policy_that_matches_nothing_and_an_account_without_instances_are_doubtful() {
        let matches = |instances| [Matches { policy: "nightly".to_owned(), instances }];
        let id: InstanceId = "i-0123456789abcdef0".parse().unwrap();
        assert!(doubts(&matches(2), Some(&id)).is_empty());
        assert!(doubts(&matches(0), Some(&id))[0].message.contains("nightly"));
        assert!(doubts(&matches(2), None)[0].message.contains("no instance to ask about"));
    }

    #[test]
    fn an_answer_that_did_not_come_is_a_problem() {
        let error = CloudError {
            action: Action::DescribeImages,
            kind: CloudErrorKind::Unavailable,
            code: "timeout".to_owned(),
            message: "no answer".to_owned(),
            request_id: None,
        };
        let outcome = Err(error);
        assert!(problem(Action::DescribeImages, &outcome, ARN).unwrap().message.contains("ec2:DescribeImages"));
        assert_eq!(permission(Action::DescribeImages, outcome).outcome, "error");
    }
}
