//! EC2's request limits: one token bucket per account, region and action, with the documented sizes.
//!
//! Rules: "Request throttling for the Amazon EC2 API". STS is not limited here.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::request::{Action, Request};
use crate::world::Place;

/// Whether requests are limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestLimits {
    /// As EC2 documents its defaults.
    Documented,
    /// Not at all.
    Off,
}

/// Capacity and refill per second of actions whose limits are not as documented.
pub(crate) type SpecialLimits = BTreeMap<Action, (f64, f64)>;

/// The bucket that a request draws from, and whether it is the one of listings without filter and paging, which no
/// special limit changes.
fn bucket(request: &Request, special: &SpecialLimits) -> Option<(f64, f64, bool)> {
    let bare = request.query().is_some_and(|query| query.filters.is_empty() && query.max_results.is_none());
    let (capacity, refill, bare) = documented(request.action(), bare)?;
    let special = special.get(&request.action()).filter(|_| !bare);
    Some(special.map_or((capacity, refill, bare), |(capacity, refill)| (*capacity, *refill, false)))
}

/// Capacity and refill per second, and whether an action has a bucket of its own for listings without filter and paging.
pub(crate) fn documented(action: Action, bare: bool) -> Option<(f64, f64, bool)> {
    Some(match action {
        Action::DescribeInstances
        | Action::DescribeInstanceStatus
        | Action::DescribeSnapshots
        | Action::DescribeVolumes
            if bare =>
        {
            (50.0, 10.0, true)
        }
        Action::DescribeInstances
        | Action::DescribeInstanceStatus
        | Action::DescribeSnapshots
        | Action::DescribeVolumes
        | Action::DescribeInstanceTypes
        | Action::DescribeImages
        | Action::DescribeImageReferences
        | Action::DescribeLaunchTemplates
        | Action::DescribeLaunchTemplateVersions
        | Action::GetInstanceUefiData
        | Action::DescribeTags
        | Action::DescribeRegions => (100.0, 20.0, false),
        Action::CreateImage
        | Action::RegisterImage
        | Action::EnableImageDeregistrationProtection
        | Action::DisableImageDeregistrationProtection
        | Action::CreateLaunchTemplate
        | Action::CreateLaunchTemplateVersion
        | Action::DeleteLaunchTemplate
        | Action::StopInstances
        | Action::RebootInstances => (50.0, 5.0, false),
        Action::DeregisterImage | Action::DeleteSnapshot | Action::CreateSnapshots | Action::TerminateInstances => {
            (100.0, 5.0, false)
        }
        Action::CreateTags | Action::DeleteTags => (100.0, 10.0, false),
        Action::StartInstances => (5.0, 2.0, false),
        // STS and Service Quotas are not limited here, and Systems Manager publishes no limits for these.
        Action::SendCommand
        | Action::GetCommandInvocation
        | Action::CancelCommand
        | Action::DescribeInstanceInformation
        | Action::GetCallerIdentity
        | Action::AssumeRole
        | Action::ListServiceQuotas => return None,
    })
}

#[derive(Debug, Clone, Copy)]
struct Level {
    tokens: f64,
    at: Timestamp,
}

/// The fill of every bucket.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buckets(BTreeMap<(Place, Action, bool), Level>);

impl Buckets {
    /// Takes a token; false if there is none.
    pub(crate) fn take(&mut self, place: &Place, request: &Request, special: &SpecialLimits, now: Timestamp) -> bool {
        let Some((capacity, refill, bare)) = bucket(request, special) else { return true };
        let key = (place.clone(), request.action(), bare);
        let level = self.0.entry(key).or_insert(Level { tokens: capacity, at: now });
        // A clock that was set back refills nothing.
        let elapsed = now.duration_since(level.at).as_secs_f64().max(0.0);
        let tokens = (level.tokens + elapsed * refill).min(capacity);
        let granted = 1.0 <= tokens;
        *level = Level { tokens: if granted { tokens - 1.0 } else { tokens }, at: now };
        granted
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::request::Query;

    fn granted(buckets: &mut Buckets, request: &Request, now: Timestamp) -> usize {
        let place = Place { account: "111122223333".parse().unwrap(), region: "eu-central-1".parse().unwrap() };
        (0..1000).take_while(|_| buckets.take(&place, request, &SpecialLimits::new(), now)).count()
    }

    #[test]
    fn buckets_have_the_documented_sizes_and_refill() {
        let (mut buckets, now) = (Buckets::default(), Timestamp::UNIX_EPOCH);
        let delete = Request::DeleteSnapshot { snapshot_id: "snap-1".into() };
        let start = Request::StartInstances { ids: vec![] };
        assert_eq!(granted(&mut buckets, &delete, now), 100);
        assert_eq!(granted(&mut buckets, &start, now), 5);
        assert_eq!(granted(&mut buckets, &delete, now + SignedDuration::from_secs(3)), 15);
        assert_eq!(granted(&mut buckets, &delete, now), 0);
    }

    #[test]
    fn a_bare_listing_has_a_smaller_bucket_of_its_own() {
        let (mut buckets, now) = (Buckets::default(), Timestamp::UNIX_EPOCH);
        let paged = Query { max_results: Some(100), ..Query::default() };
        assert_eq!(
            granted(&mut buckets, &Request::DescribeInstances { ids: vec![], query: Query::default() }, now),
            50
        );
        assert_eq!(granted(&mut buckets, &Request::DescribeInstances { ids: vec![], query: paged }, now), 100);
    }
}
