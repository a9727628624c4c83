//! The cursors of all policies, each with the time until which nothing is due.
//!
//! Ten thousand policies are looked at in every tick, and nearly all of them rest. When a policy is due next follows from
//! its cursor and the schedule that the cursor was moved by, so it is computed once for each cursor and kept beside it.
//! Must never say more than [`due_fires`](crate::fire::due_fires) would: where it knows nothing, that is asked.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::fire::{CLOCK_STEP_BACK_MAX, Cursor};
use crate::id::{AccountName, PolicyName};
use crate::policy::{Enabled, Policy, PolicySet};

/// How far a policy has been planned in one account, and what its schedule has next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    cursor: Cursor,
    /// The first nominal time after the cursor; `None` where the schedule of the cursor was not known.
    next: Option<Timestamp>,
}

impl Planned {
    /// A cursor, and what follows from it if its schedule is still the one of its policy.
    pub fn new(cursor: Cursor, policy_set: &PolicySet) -> Self {
        let policy = policy_set.policies.get(&cursor.policy);
        let schedule = policy.map(|it| &it.schedule).filter(|it| it.fingerprint() == cursor.fingerprint);
        let next = schedule.and_then(|schedule| schedule.next_after(cursor.planned_to));
        Self { cursor, next }
    }

    /// The cursor.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// The next nominal time of the policy, if it is certain that nothing is to be done before it.
    pub fn rests_until(&self, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
        let rests = self.cursor.enabled == Enabled::Yes
            && self.cursor.fingerprint == policy.schedule.fingerprint()
            && self.cursor.planned_to.duration_since(now) <= CLOCK_STEP_BACK_MAX;
        self.next.filter(|next| rests && now < *next)
    }
}

/// The cursors, by policy. Each has one for every account that it was planned in, which are few: a list of them takes a
/// fraction of the memory of a map.
#[derive(Debug, Clone, Default)]
pub struct Cursors(BTreeMap<PolicyName, Vec<Planned>>);

impl Cursors {
    /// Takes one in, in the place of the one before it.
    pub fn insert(&mut self, planned: Planned) {
        let Some(of_policy) = self.0.get_mut(&planned.cursor.policy) else {
            self.0.insert(planned.cursor.policy.clone(), vec![planned]);
            return;
        };
        match of_policy.binary_search_by(|it| it.cursor.account.cmp(&planned.cursor.account)) {
            Ok(index) => of_policy[index] = planned,
            Err(index) => of_policy.insert(index, planned),
        }
    }

    /// The one of a policy in an account.
    pub fn get(&self, policy: &PolicyName, account: &AccountName) -> Option<&Planned> {
        self.0.get(policy)?.iter().find(|it| it.cursor.account == *account)
    }

    /// All of them, by policy and account.
    pub fn iter(&self) -> impl Iterator<Item = &Cursor> {
        self.0.values().flatten().map(Planned::cursor)
    }
}

impl FromIterator<Planned> for Cursors {
    fn from_iter<I: IntoIterator<Item = Planned>>(planned: I) -> Self {
        let mut cursors = Self::default();
        for planned in planned {
            cursors.insert(planned);
        }
        cursors
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fire::{CursorStep, due_fires};
    use crate::fixture::{at, minutes, policy, policy_set};
    use crate::policy::saturating_add;
    use crate::schedule::Schedule;

    fn planned(policy_set: &PolicySet, planned_to: &str) -> Planned {
        let policy = policy_set.policies.values().next().unwrap();
        let cursor = Cursor {
            policy: policy.name.clone(),
            account: policy.accounts[0].clone(),
            fingerprint: policy.schedule.fingerprint().to_owned(),
            planned_to: at(planned_to),
            enabled: Enabled::Yes,
        };
        Planned::new(cursor, policy_set)
    }

    #[test]
    fn it_rests_exactly_when_nothing_is_due() {
        let set = policy_set(vec![policy("nightly")]);
        let policy = &set.policies[&"nightly".parse().unwrap()];
        let planned = planned(&set, "2026-11-22T02:00:00Z");
        // From two hours before the cursor, which is a clock that was set back, to a day after the next time.
        for minute in -120..48 * 60 {
            let now = saturating_add(at("2026-11-22T02:00:00Z"), minutes(minute));
            let rests = due_fires(policy, Some(planned.cursor()), now) == CursorStep::Rest;
            let expected = rests.then(|| at("2026-11-23T02:00:00Z"));
            assert_eq!(planned.rests_until(policy, now), expected, "{now}");
        }
    }

    #[test]
    fn a_cursor_of_another_schedule_says_nothing() {
        let set = policy_set(vec![policy("nightly")]);
        let mut other = policy("nightly");
        other.schedule = Schedule::parse("0 3 * * *", "UTC").unwrap();
        let now = at("2026-11-22T02:30:00Z");
        assert_eq!(planned(&set, "2026-11-22T02:00:00Z").rests_until(&other, now), None);
        // Neither when it was taken in under the other one.
        let foreign = Planned::new(planned(&set, "2026-11-22T02:00:00Z").cursor, &policy_set(vec![other]));
        assert_eq!(foreign.rests_until(&set.policies[&"nightly".parse().unwrap()], now), None);
    }

    #[test]
    fn one_that_was_switched_off_does_not_rest() {
        let set = policy_set(vec![policy("nightly")]);
        let policy = &set.policies[&"nightly".parse().unwrap()];
        let cursor = Cursor { enabled: Enabled::No, ..planned(&set, "2026-11-22T02:00:00Z").cursor };
        assert_eq!(Planned::new(cursor, &set).rests_until(policy, at("2026-11-22T02:30:00Z")), None);
    }

    #[test]
    fn each_account_has_its_own_and_a_newer_one_takes_its_place() {
        let set = policy_set(vec![policy("nightly")]);
        let of = |account: &str, planned_to: &str| {
            let mut planned = planned(&set, planned_to);
            planned.cursor.account = account.parse().unwrap();
            planned
        };
        let all =
            [of("two", "2026-11-22T02:00:00Z"), of("one", "2026-11-22T02:00:00Z"), of("two", "2026-11-23T02:00:00Z")];
        let cursors: Cursors = all.into_iter().collect();
        let found: Vec<_> = cursors.iter().map(|it| (it.account.as_str(), it.planned_to)).collect();
        assert_eq!(found, [("one", at("2026-11-22T02:00:00Z")), ("two", at("2026-11-23T02:00:00Z"))]);
        let get = |account: &str| cursors.get(&"nightly".parse().unwrap(), &account.parse().unwrap());
        assert_eq!(get("two").unwrap().cursor().planned_to, at("2026-11-23T02:00:00Z"));
        assert_eq!(get("three"), None);
    }
}
