//! Policies: which instances are imaged, when, how, and how long the images are kept.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::class::Class;
use crate::freeze::Freeze;
use crate::id::{AccountId, AccountName, ClassName, FreezeName, InstanceId, Owner, PolicyName, Region};
use crate::instance::{Instance, InstanceTags};
use crate::jitter;
use crate::pattern::Pattern;
use crate::retention::Keep;
use crate::schedule::Schedule;

/// A tag key and the values of it that match. Values are alternatives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagMatch {
    /// The key, exactly.
    pub key: String,
    /// The values, at least one.
    pub values: Vec<Pattern>,
}

impl TagMatch {
    fn matches(&self, tags: &InstanceTags) -> bool {
        tags.get(&self.key).is_some_and(|value| self.values.iter().any(|pattern| pattern.matches(value)))
    }
}

/// Which instances a policy covers: those listed, and those whose tags match, less those excluded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    /// Instances by id.
    pub instances: BTreeSet<InstanceId>,
    /// Instances by tag: all of these must match. Empty selects none.
    pub tags: Vec<TagMatch>,
    /// Any of these excludes, also what is listed by id.
    pub exclude_tags: Vec<TagMatch>,
}

impl Selector {
    /// Whether the policy covers this instance.
    pub fn matches(&self, instance: &Instance) -> bool {
        let by_tags = !self.tags.is_empty() && self.tags.iter().all(|it| it.matches(&instance.tags));
        let excluded = self.exclude_tags.iter().any(|it| it.matches(&instance.tags));
        (by_tags || self.instances.contains(&instance.id)) && !excluded
    }
}

/// Whether a policy fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enabled {
    /// It fires.
    Yes,
    /// It plans nothing; what it made stays.
    No,
}

/// One policy, `[policies.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Its name.
    pub name: PolicyName,
    /// The accounts it runs in, at least one.
    pub accounts: Vec<AccountName>,
    /// The class of its instances.
    pub class: ClassName,
    /// When it fires.
    pub schedule: Schedule,
    /// The spread of starts.
    pub jitter: SignedDuration,
    /// No capture begins later than the nominal time, plus the instance's delay, plus this.
    pub start_within: SignedDuration,
    /// Whether it fires.
    pub enabled: Enabled,
    /// The instances it covers.
    pub select: Selector,
    /// The classes that an instance may choose by its own tag.
    pub class_tag_allows: BTreeSet<ClassName>,
    /// Tags carried over from the instance.
    pub copy_tags: Vec<String>,
    /// What is kept.
    pub keep: Keep,
    /// Extra tags on image and snapshots.
    pub tags: BTreeMap<String, String>,
    /// An image still pending after this is reported as stalled.
    pub deadline: SignedDuration,
    /// The most deletions in any 24 hours; `None` is the default of the contract.
    pub max_deletes: Option<u32>,
}

/// When one instance of one fire may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartWindow {
    /// The nominal time and the instance's delay.
    pub start_at: Timestamp,
    /// No capture begins later than this.
    pub start_by: Timestamp,
}

impl Policy {
    /// When `instance` may start for the fire of `scheduled_at`.
    pub fn start_window(&self, instance: &InstanceId, scheduled_at: Timestamp) -> StartWindow {
        let start_at = saturating_add(scheduled_at, jitter::start_delay(&self.name, instance, self.jitter));
        StartWindow { start_at, start_by: saturating_add(start_at, self.start_within) }
    }
}

/// `at + duration`, and the end of time where that would leave the calendar.
pub fn saturating_add(at: Timestamp, duration: SignedDuration) -> Timestamp {
    at.checked_add(duration).unwrap_or(if duration.is_negative() { Timestamp::MIN } else { Timestamp::MAX })
}

/// What the rules need to know of an account, `[accounts.NAME]`; credentials are the adapter's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRules {
    /// Its one region.
    pub region: Region,
    /// The only account id that is accepted, where one is given.
    pub expected_id: Option<AccountId>,
    /// How long EC2's answers may lag behind its writes.
    pub visibility_lag: SignedDuration,
}

/// All that the configuration says of what should happen.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicySet {
    /// Whose images these are.
    pub owner: Owner,
    /// The policies by name.
    pub policies: BTreeMap<PolicyName, Policy>,
    /// The classes by name, built in and configured.
    pub classes: BTreeMap<ClassName, Class>,
    /// The freeze recipes by name.
    pub freezes: BTreeMap<FreezeName, Freeze>,
    /// The accounts by name.
    pub accounts: BTreeMap<AccountName, AccountRules>,
    /// When retention is applied, in UTC.
    pub prune_schedule: Schedule,
    /// How long jobs stay in the ledger one by one; older ones, if their images are gone, only as sums.
    pub history_keep: SignedDuration,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::instance;

    fn tag(key: &str, values: &[&str]) -> TagMatch {
        TagMatch { key: key.to_owned(), values: values.iter().copied().map(Pattern::new).collect() }
    }

    fn tagged(tags: &[(&str, &str)]) -> Instance {
        Instance { tags: tags.iter().copied().collect(), ..instance(1) }
    }

    #[test]
    fn every_tag_must_match_by_any_of_its_values() {
        let tags = vec![tag("Env", &["prod"]), tag("Role", &["mysql", "pg-?"])];
        let selector = Selector { tags, ..Selector::default() };
        assert!(selector.matches(&tagged(&[("Env", "prod"), ("Role", "mysql"), ("Name", "x")])));
        assert!(selector.matches(&tagged(&[("Env", "prod"), ("Role", "pg-1")])));
        for other in
            [&[("Env", "prod"), ("Role", "web")][..], &[("Env", "test"), ("Role", "mysql")], &[("Env", "prod")]]
        {
            assert!(!selector.matches(&tagged(other)), "{other:?}");
        }
    }

    #[test]
    fn a_selector_without_tags_selects_what_it_lists_alone() {
        let listed = Selector { instances: [instance(1).id].into(), ..Selector::default() };
        assert!(listed.matches(&instance(1)));
        assert!(!listed.matches(&instance(2)));
        assert!(!Selector::default().matches(&tagged(&[("Env", "prod")])));
    }

    #[test]
    fn what_is_listed_needs_no_tag_and_what_has_the_tags_need_not_be_listed() {
        let tags = vec![tag("Env", &["prod"])];
        let both = Selector { instances: [instance(2).id].into(), tags, ..Selector::default() };
        assert!(both.matches(&tagged(&[("Env", "prod")])));
        assert!(both.matches(&instance(2)));
        assert!(!both.matches(&tagged(&[("Env", "test")])));
    }

    #[test]
    fn one_tag_that_excludes_wins_over_tags_and_over_the_list() {
        let excluded = vec![tag("Backup", &["no"]), tag("Env", &["tmp-*"])];
        let listed =
            Selector { instances: [instance(1).id].into(), exclude_tags: excluded.clone(), ..Selector::default() };
        let by_tags = Selector { tags: vec![tag("Role", &["*"])], exclude_tags: excluded, ..Selector::default() };
        for selector in [listed, by_tags] {
            assert!(selector.matches(&tagged(&[("Role", "mysql"), ("Backup", "yes")])));
            assert!(!selector.matches(&tagged(&[("Role", "mysql"), ("Backup", "no")])));
            assert!(!selector.matches(&tagged(&[("Role", "mysql"), ("Env", "tmp-1")])));
        }
    }
}
