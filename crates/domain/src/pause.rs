//! Pauses: what an operator stopped for a while, and the fires that fall into it.
//!
//! A fire that falls into a pause is skipped for good, so that nothing surprising runs when the pause ends. What an
//! operator asks for by hand (`amikeep backup`) is not stopped by a pause.

use std::fmt;

use jiff::Timestamp;

use crate::id::{InstanceId, PolicyName, RequestId};

/// What is paused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PauseScope {
    /// Every policy.
    All,
    /// One policy.
    Policy(PolicyName),
    /// One instance, in every policy.
    Instance(InstanceId),
}

impl PauseScope {
    /// Whether a fire of `policy` for `instance` is meant; without an instance, whether the whole fire is.
    pub fn covers(&self, policy: &PolicyName, instance: Option<&InstanceId>) -> bool {
        match self {
            Self::All => true,
            Self::Policy(paused) => paused == policy,
            Self::Instance(paused) => Some(paused) == instance,
        }
    }
}

/// As in `policy db-nightly`.
impl fmt::Display for PauseScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all policies"),
            Self::Policy(policy) => write!(f, "policy {policy}"),
            Self::Instance(instance) => write!(f, "instance {instance}"),
        }
    }
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// The request by which it was asked for.
    pub id: RequestId,
    /// What is paused.
    pub scope: PauseScope,
    /// From when on.
    pub since: Timestamp,
    /// It ends by itself then; the instant itself is no longer paused.
    pub until: Option<Timestamp>,
    /// Why, in the operator's words.
    pub reason: Option<String>,
    /// When an operator ended it.
    pub ended_at: Option<Timestamp>,
}

impl Pause {
    /// Whether `at` falls into it.
    pub fn contains(&self, at: Timestamp) -> bool {
        let before = |end: Option<Timestamp>| end.is_none_or(|end| at < end);
        self.since <= at && before(self.until) && before(self.ended_at)
    }
}

/// The reason, and until when: `paused: disk replacement; until 2026-11-23T06:00:00Z`.
impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} paused", self.scope)?;
        if let Some(reason) = &self.reason {
            write!(f, ": {reason}")?;
        }
        self.until.map_or(Ok(()), |until| write!(f, "; until {until}"))
    }
}

/// The pause into which `at` falls for `policy` and `instance`, if there is one.
pub fn pause_at<'a>(
    pauses: &'a [Pause],
    policy: &PolicyName,
    instance: Option<&InstanceId>,
    at: Timestamp,
) -> Option<&'a Pause> {
    pauses.iter().find(|pause| pause.scope.covers(policy, instance) && pause.contains(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn pause(scope: PauseScope) -> Pause {
        Pause {
            id: "0193509f-6e00-7c3a-9b1e-5d2f8a4c6e10".parse().unwrap(),
            scope,
            since: at("2026-11-22T01:00:00Z"),
            until: Some(at("2026-11-22T03:00:00Z")),
            reason: Some("disk replacement".to_owned()),
            ended_at: None,
        }
    }

    #[test]
    fn a_pause_has_its_beginning_and_not_its_end() {
        let pause = pause(PauseScope::All);
        assert!(!pause.contains(at("2026-11-22T00:59:59Z")));
        assert!(pause.contains(at("2026-11-22T01:00:00Z")));
        assert!(pause.contains(at("2026-11-22T02:59:59Z")));
        assert!(!pause.contains(at("2026-11-22T03:00:00Z")));
    }

    #[test]
    fn resuming_ends_a_pause_before_its_time() {
        let pause = Pause { ended_at: Some(at("2026-11-22T02:00:00Z")), ..pause(PauseScope::All) };
        assert!(pause.contains(at("2026-11-22T01:59:59Z")));
        assert!(!pause.contains(at("2026-11-22T02:00:00Z")));
    }

    #[test]
    fn a_pause_of_an_instance_stops_no_other_and_no_whole_fire() {
        let (policy, instance) = ("db".parse().unwrap(), "i-00000000000000001".parse().unwrap());
        let other = "i-00000000000000002".parse().unwrap();
        let pauses = [pause(PauseScope::Instance(instance))];
        let PauseScope::Instance(instance) = &pauses[0].scope else { unreachable!() };
        let now = at("2026-11-22T02:00:00Z");
        assert!(pause_at(&pauses, &policy, Some(instance), now).is_some());
        assert!(pause_at(&pauses, &policy, Some(&other), now).is_none());
        assert!(pause_at(&pauses, &policy, None, now).is_none());
    }

    #[test]
    fn a_pause_says_of_what_why_and_until_when() {
        let pause = pause(PauseScope::Policy("db".parse().unwrap()));
        assert_eq!(pause.to_string(), "policy db paused: disk replacement; until 2026-11-22T03:00:00Z");
    }
}
