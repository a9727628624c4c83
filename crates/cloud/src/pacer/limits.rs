//! How large EC2's request buckets are: the documented defaults, and what an account has instead.
//!
//! Knows no time and no fill.

use std::collections::BTreeMap;
use std::fmt;

use crate::port::Action;

/// The size of one bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    pub(crate) capacity: f64,
    pub(crate) refill_per_s: f64,
}

impl Limit {
    /// A bucket of `capacity` tokens with `refill_per_s` new ones a second, as Service Quotas tells them: "request bucket
    /// maximum capacity" and "request bucket refill rate". None if nothing could ever pass through it.
    pub fn new(capacity: f64, refill_per_s: f64) -> Option<Self> {
        let is_usable = capacity.is_finite() && refill_per_s.is_finite() && 1.0 <= capacity && 0.0 < refill_per_s;
        is_usable.then_some(Self { capacity, refill_per_s })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at once and {} a second", self.capacity, self.refill_per_s)
    }
}

/// How Service Quotas names the two numbers of a bucket, after the name of its action.
const CAPACITY_QUOTA: &str = " request bucket maximum capacity";
const REFILL_QUOTA: &str = " request bucket refill rate";

/// The buckets of one account in one region. An action that is not among them has no limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits(BTreeMap<Action, Limit>);

impl Limits {
    /// The defaults of EC2, from "Request throttling for the Amazon EC2 API" in the developer guide.
    pub fn documented() -> Self {
        Self(Action::ALL.into_iter().filter_map(|action| Some((action, documented(action)?))).collect())
    }

    /// The documented limits, and in their place what Service Quotas tells: pairs of the name of a quota of EC2 and its
    /// value, in any order, with whatever other quotas there are. "View your current API throttling limits" in the
    /// developer guide has the names. A bucket that nothing could pass is no limit that EC2 can mean, and is passed over.
    pub fn from_quotas<'a>(quotas: impl IntoIterator<Item = (&'a str, f64)>) -> Self {
        let mut limits = Self::documented();
        for (name, value) in quotas {
            let (action, is_capacity) = match (name.strip_suffix(CAPACITY_QUOTA), name.strip_suffix(REFILL_QUOTA)) {
                (Some(action), _) => (action, true),
                (None, Some(action)) => (action, false),
                (None, None) => continue,
            };
            let known = limits.0.iter_mut().find(|(known, _)| known.as_str() == action);
            let Some((_, limit)) = known else { continue };
            let told =
                if is_capacity { Limit::new(value, limit.refill_per_s) } else { Limit::new(limit.capacity, value) };
            *limit = told.unwrap_or(*limit);
        }
        limits
    }

    /// Those that are not as documented.
    pub fn special(&self) -> impl Iterator<Item = (Action, Limit)> {
        self.iter().filter(|(action, limit)| documented(*action) != Some(*limit))
    }

    /// The same with another limit for one action.
    #[must_use]
    pub fn with(mut self, action: Action, limit: Limit) -> Self {
        self.0.insert(action, limit);
        self
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Action, Limit)> {
        self.0.iter().map(|(action, limit)| (*action, *limit))
    }
}

fn documented(action: Action) -> Option<Limit> {
    let (capacity, refill_per_s) = match action {
        // STS and Service Quotas have limits of their own, which a few calls an hour do not reach, and Systems Manager
        // publishes none.
        Action::GetCallerIdentity
        | Action::AssumeRole
        | Action::ListServiceQuotas
        | Action::DescribeInstanceInformation
        | Action::SendCommand
        | Action::GetCommandInvocation
        | Action::CancelCommand => return None,
        // The port's listings have a filter or a page size, so that the smaller buckets of bare listings do not apply.
        Action::DescribeInstances
        | Action::DescribeInstanceTypes
        | Action::DescribeImages
        | Action::DescribeSnapshots
        | Action::DescribeImageReferences
        | Action::DescribeLaunchTemplates
        | Action::DescribeLaunchTemplateVersions
        | Action::DescribeVolumes
        | Action::GetInstanceUefiData => (100.0, 20.0),
        Action::CreateImage | Action::RegisterImage => (50.0, 5.0),
        Action::CreateTags | Action::DeleteTags => (100.0, 10.0),
        Action::DeregisterImage | Action::DeleteSnapshot | Action::CreateSnapshots => (100.0, 5.0),
    };
    Some(Limit { capacity, refill_per_s })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_of_ec2_has_the_documented_limit_and_other_services_have_none() {
        let lines = Action::ALL.map(|action| match documented(action) {
            Some(limit) => format!("{action} {} {}\n", limit.capacity, limit.refill_per_s),
            None => format!("{action} unlimited\n"),
        });
        expect_test::expect![[r#"
            GetCallerIdentity unlimited
            AssumeRole unlimited
            DescribeInstances 100 20
            DescribeInstanceTypes 100 20
            DescribeImages 100 20
            DescribeSnapshots 100 20
            CreateImage 50 5
            CreateTags 100 10
            DeleteTags 100 10
            DeregisterImage 100 5
            DeleteSnapshot 100 5
            DescribeImageReferences 100 20
            DescribeLaunchTemplates 100 20
            DescribeLaunchTemplateVersions 100 20
            DescribeVolumes 100 20
            GetInstanceUefiData 100 20
            CreateSnapshots 100 5
            RegisterImage 50 5
            DescribeInstanceInformation unlimited
            SendCommand unlimited
            GetCommandInvocation unlimited
            CancelCommand unlimited
            ListServiceQuotas unlimited
        "#]]
        .assert_eq(&lines.concat());
    }

    #[test]
    fn quotas_of_our_actions_are_taken_by_their_names_and_all_else_is_passed_over() {
        let limits = Limits::from_quotas([
            ("CreateImage request bucket refill rate", 12.5),
            ("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 1920.0),
            ("CreateImage request bucket maximum capacity", 200.0),
            ("DescribeInstances unfiltered request bucket maximum capacity", 7.0),
            ("RunInstances request bucket maximum capacity", 1000.0),
            ("DeregisterImage request bucket refill rate", 0.0),
            ("DescribeImages request bucket refill rate", 40.0),
        ]);
        let special: Vec<String> = limits.special().map(|(action, limit)| format!("{action}: {limit}")).collect();
        assert_eq!(
            special,
            ["DescribeImages: 100 at once and 40 a second", "CreateImage: 200 at once and 12.5 a second"]
        );
    }

    #[test]
    fn a_limit_that_nothing_could_pass_is_none() {
        for (capacity, refill) in [(0.5, 5.0), (50.0, 0.0), (50.0, -1.0), (f64::NAN, 5.0), (50.0, f64::INFINITY)] {
            assert_eq!(Limit::new(capacity, refill), None, "{capacity} and {refill}");
        }
        assert!(Limit::new(1.0, 0.1).is_some());
    }
}
