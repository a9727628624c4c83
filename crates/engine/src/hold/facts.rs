//! What the commands of a freeze are told: by environment variables, and by words in braces in their arguments.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use amikeep_domain::freeze::{Freeze, Via};
use amikeep_domain::id::{AccountId, InstanceId, PolicyName, Region};
use amikeep_hold::ssm::Shell;
use amikeep_hold::{Hook, Hooks};
use jiff::Timestamp;

use crate::clock::Clock;

/// What a hold is for. A rehearsal is for nothing, and leaves out what it does not know.
#[derive(Debug, Clone, Default)]
pub(crate) struct Purpose {
    pub(crate) instance: Option<InstanceId>,
    pub(crate) region: Option<Region>,
    pub(crate) account: Option<AccountId>,
    pub(crate) policy: Option<PolicyName>,
    pub(crate) job: Option<String>,
    pub(crate) image_name: Option<String>,
    /// How the instance is reached, if it is another machine, and the clock to compare its own with.
    pub(crate) remote: Option<Remote>,
}

/// The way to another machine.
#[derive(Clone)]
pub(crate) struct Remote {
    pub(crate) shell: Arc<dyn Shell>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("shell", &self.shell).finish_non_exhaustive()
    }
}

impl Purpose {
    /// The environment variables, all of them beginning with `AMIKEEP_`.
    pub(crate) fn facts(&self, freeze: &Freeze, not_after: Timestamp) -> Vec<(String, String)> {
        let mounts: Vec<String> = freeze.mounts.iter().map(|mount| mount.display().to_string()).collect();
        let known = [
            ("FREEZE", Some(freeze.name.to_string())),
            ("VIA", Some(freeze.via.as_str().to_owned())),
            ("INSTANCE_ID", self.instance.as_ref().map(ToString::to_string)),
            ("REGION", self.region.as_ref().map(ToString::to_string)),
            ("ACCOUNT", self.account.as_ref().map(ToString::to_string)),
            ("POLICY", self.policy.as_ref().map(ToString::to_string)),
            ("JOB_ID", self.job.clone()),
            ("IMAGE_NAME", self.image_name.clone()),
            ("MOUNTS", Some(mounts.join("\n"))),
            ("BUDGET_SECONDS", Some(freeze.budget.as_secs().to_string())),
            ("NOT_AFTER", Some(not_after.as_second().to_string())),
        ];
        known.into_iter().filter_map(|(name, value)| Some((format!("AMIKEEP_{name}"), value?))).collect()
    }

    /// The words of a command, with what stands in braces filled in. What is not known stays empty.
    pub(crate) fn fill(&self, argv: &[String], freeze: &Freeze, not_after: Timestamp) -> Vec<String> {
        let text = |value: Option<String>| value.unwrap_or_default();
        let values = [
            ("{instance_id}", text(self.instance.as_ref().map(ToString::to_string))),
            ("{job_id}", text(self.job.clone())),
            ("{region}", text(self.region.as_ref().map(ToString::to_string))),
            ("{budget_seconds}", freeze.budget.as_secs().to_string()),
            ("{not_after}", not_after.as_second().to_string()),
        ];
        let fill = |word: &String| values.iter().fold(word.clone(), |word, (name, value)| word.replace(name, value));
        argv.iter().map(fill).collect()
    }
}

/// The commands before and after that run on this machine.
pub(crate) fn hooks(freeze: &Freeze, facts: Vec<(String, String)>) -> Hooks {
    if freeze.via == Via::Ssm {
        // The guard on the other machine runs them there.
        return Hooks { pre: Vec::new(), post: Vec::new(), facts };
    }
    let hook = |argv: &Vec<String>| Hook { argv: argv.clone(), limit: freeze.command_limit.unsigned_abs() };
    Hooks { pre: freeze.pre.iter().map(hook).collect(), post: freeze.post.iter().map(hook).collect(), facts }
}

/// Where the kernel shows devices; a constant of the machine.
pub(crate) fn sys() -> PathBuf {
    PathBuf::from(amikeep_hold::SYS)
}

#[cfg(test)]
pub(crate) mod tests {
    use amikeep_domain::freeze::{Application, CaptureBy, MysqlLock, Via};
    use jiff::SignedDuration;

    use super::*;

    pub(crate) fn freeze() -> Freeze {
        Freeze {
            name: "db".parse().unwrap(),
            via: Via::Command,
            mounts: vec!["/data".into(), "/log".into()],
            devices: vec!["/dev/sdf".to_owned()],
            instance: None,
            application: Application::None,
            mysql_lock: MysqlLock::EveryEngine,
            connection: None,
            pre: Vec::new(),
            post: Vec::new(),
            commands: None,
            command_limit: SignedDuration::from_secs(30),
            budget: SignedDuration::from_secs(10),
            lock_wait: SignedDuration::from_secs(5),
            capture: CaptureBy::Image,
        }
    }

    #[test]
    fn values_are_words_or_parts_of_words_and_never_more_words() {
        let purpose = Purpose { instance: Some("i-0123456789abcdef0".parse().unwrap()), ..Purpose::default() };
        let argv = ["/bin/ssh", "root@{instance_id}", "{budget_seconds} {not_after}", "{job_id}"].map(str::to_owned);
        let not_after = "1970-01-01T00:01:00Z".parse().unwrap();
        let filled = purpose.fill(&argv, &freeze(), not_after);
        assert_eq!(filled, ["/bin/ssh", "root@i-0123456789abcdef0", "10 60", ""]);
        let facts = purpose.facts(&freeze(), not_after);
        let names: Vec<&str> = facts.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "AMIKEEP_FREEZE",
                "AMIKEEP_VIA",
                "AMIKEEP_INSTANCE_ID",
                "AMIKEEP_MOUNTS",
                "AMIKEEP_BUDGET_SECONDS",
                "AMIKEEP_NOT_AFTER"
            ]
        );
        assert_eq!(facts[3].1, "/data\n/log");
    }
}
