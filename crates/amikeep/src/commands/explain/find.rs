//! Finding an instance: every account is asked at the same time.

use std::sync::Arc;

use amikeep_cloud::{Cloud, CloudError, InstanceQuery};
use amikeep_config::Config;
use amikeep_domain::id::{AccountId, AccountName, InstanceId};
use amikeep_domain::instance::Instance;
use amikeep_engine::next_step_once;
use amikeep_view::explain::Found;
use tokio::task::JoinSet;

use crate::wiring;

/// What came of asking.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// Where the instance is.
    pub(super) found: Option<Found>,
    /// The accounts that answered, in words.
    asked: Vec<String>,
    /// Why the others did not.
    pub(super) failures: Vec<String>,
}

type Answer = Result<(AccountId, Option<Instance>), CloudError>;

impl Search {
    /// Asks every account that is configured.
    pub(super) async fn run(config: &Config, instance: &InstanceId) -> Self {
        let mut questions = JoinSet::new();
        for (name, cloud) in wiring::connect(config, &wiring::pacers()).await {
            let instance = instance.clone();
            questions.spawn(async move { (name, ask(cloud, instance).await) });
        }
        let mut answers: Vec<(AccountName, Answer)> = Vec::new();
        while let Some(answer) = questions.join_next().await {
            // A panic in a question is printed where it happens; the others are answered all the same.
            answers.extend(answer.ok());
        }
        answers.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut search = Self::default();
        for (name, answer) in answers {
            search.take(config, name, answer);
        }
        search
    }

    fn take(&mut self, config: &Config, name: AccountName, answer: Answer) {
        let (account, instance) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let next_step = next_step_once(&error);
                return self
                    .failures
                    .push(format!("account {name} could not be asked: {error}\n  next step: {next_step}"));
            }
        };
        let configured = config.accounts.get(&name);
        if let Some(expected) =
            configured.and_then(|it| it.account_id.as_ref()).filter(|expected| **expected != account)
        {
            return self.failures.push(format!(
                "account {name} is not used: its credentials belong to {account}, and account_id says {expected}"
            ));
        }
        let region = configured.map(|it| it.region.to_string()).unwrap_or_default();
        self.asked.push(format!("{name} ({account}, {region})"));
        match (&mut self.found, instance) {
            (Some(found), Some(_)) => found.account_names.push(name),
            (None, Some(instance)) => self.found = Some(Found { account_names: vec![name], account, instance }),
            (_, None) => {}
        }
    }

    /// That the instance was not found, and where it was looked for.
    pub(super) fn not_found(&self, instance: &InstanceId) -> String {
        match (self.asked.as_slice(), self.failures.as_slice()) {
            ([], _) => format!("error: no account could be asked for {instance}; see `amikeep check --online`"),
            (asked, []) => format!("error: {instance} was not found in {}", asked.join(", ")),
            (asked, _) => format!(
                "error: {instance} was not found in {}; it may be in an account that could not be asked",
                asked.join(", ")
            ),
        }
    }
}

async fn ask(cloud: Arc<impl Cloud>, instance: InstanceId) -> Answer {
    let identity = cloud.observe_identity().await?;
    let mut instances = cloud.observe_instances(InstanceQuery::Ids(vec![instance])).await?;
    Ok((identity.account, instances.pop()))
}

#[cfg(test)]
mod tests {
    use amikeep_domain::instance::{Hibernation, InstanceState, RootDevice};

    use super::*;

    const FILE: &str = r#"
        [daemon]
        owner = "test"
        database = "/nowhere/amikeep.db"

        [accounts.a]
        region = "eu-central-1"

        [accounts.b]
        region = "us-east-1"
        account_id = "444455556666"
    "#;

    fn instance() -> Instance {
        Instance {
            id: "i-0123456789abcdef0".parse().unwrap(),
            state: InstanceState::Running,
            launched_at: "2026-11-01T00:00:00Z".parse().unwrap(),
            root_device: RootDevice::Ebs,
            root_device_name: None,
            volumes: Vec::new(),
            instance_store_disks: None,
            hibernation: Hibernation::No,
            tags: amikeep_domain::instance::InstanceTags::default(),
        }
    }

    fn searched(answers: Vec<(&str, Answer)>) -> Search {
        let config = amikeep_config::parse(FILE, "test.toml").unwrap().config;
        let mut search = Search::default();
        for (name, answer) in answers {
            search.take(&config, name.parse().unwrap(), answer);
        }
        search
    }

    fn account(id: &str) -> AccountId {
        id.parse().unwrap()
    }

    #[test]
    fn an_instance_that_is_nowhere_is_said_to_be_nowhere_that_was_asked() {
        let search = searched(vec![("a", Ok((account("111122223333"), None)))]);
        assert_eq!(
            search.not_found(&instance().id),
            "error: i-0123456789abcdef0 was not found in a (111122223333, eu-central-1)"
        );
    }

    #[test]
    fn an_account_that_is_another_than_configured_is_not_used() {
        let search = searched(vec![
            ("a", Ok((account("111122223333"), Some(instance())))),
            ("b", Ok((account("111122223333"), Some(instance())))),
        ]);
        assert_eq!(search.found.unwrap().account_names, ["a".parse().unwrap()]);
        assert_eq!(search.failures.len(), 1);
    }
}
