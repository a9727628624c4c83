//! Policies that nearly match: a misspelt tag is the commonest reason for an instance without a backup.

use amikeep_domain::instance::Instance;
use amikeep_domain::policy::{Policy, TagMatch};

use crate::explain::{Inputs, NearMiss};

/// More would be a list of all policies, in which nobody finds anything.
const NEAR_MISSES_MAX: usize = 5;

/// What keeps a policy from matching.
struct Missing {
    text: String,
    /// How much is to be changed.
    weight: u32,
}

/// A key that is written in another way.
const TYPO: u32 = 1;
/// Anything else.
const DIFFERENCE: u32 = 2;

impl Missing {
    fn new(text: String) -> Self {
        Self { text, weight: DIFFERENCE }
    }
}

/// The policies that need the smallest change to match.
pub(super) fn near_misses(inputs: &Inputs<'_>) -> Vec<NearMiss> {
    let distance = |missing: &[Missing]| missing.iter().map(|it| it.weight).sum::<u32>();
    let misses = inputs.policy_set.policies.values().map(|policy| (policy, missing(policy, inputs)));
    let misses: Vec<_> = misses.filter(|(_, missing)| !missing.is_empty()).collect();
    let Some(smallest) = misses.iter().map(|(_, missing)| distance(missing)).min() else { return Vec::new() };
    let nearest = misses.into_iter().filter(|(_, missing)| distance(missing) == smallest).take(NEAR_MISSES_MAX);
    let near_miss = |(policy, missing): (&Policy, Vec<Missing>)| NearMiss {
        policy: policy.name.to_string(),
        missing: missing.into_iter().map(|it| it.text).collect(),
    };
    nearest.map(near_miss).collect()
}

/// Empty if the policy matches.
fn missing(policy: &Policy, inputs: &Inputs<'_>) -> Vec<Missing> {
    let (found, instance) = (inputs.found, &inputs.found.instance);
    let mut missing = Vec::new();
    if !policy.select.matches(instance) {
        let excluding = policy.select.exclude_tags.iter().filter(|it| fits(it, instance));
        missing.extend(excluding.map(|it| excluded_by(it, instance)));
        let is_chosen = policy.select.instances.contains(&instance.id);
        if !is_chosen && policy.select.tags.is_empty() {
            missing.push(Missing::new("it lists instances by id, and this is none of them".to_owned()));
        } else if !is_chosen {
            missing.extend(policy.select.tags.iter().filter(|it| !fits(it, instance)).map(|it| differs(it, instance)));
        }
    }
    if !policy.accounts.iter().any(|name| found.account_names.contains(name)) {
        let names: Vec<_> = policy.accounts.iter().map(ToString::to_string).collect();
        missing.push(Missing::new(format!("it runs in account {} alone", names.join(", "))));
    }
    missing
}

fn fits(tag: &TagMatch, instance: &Instance) -> bool {
    instance.tags.get(&tag.key).is_some_and(|value| fits_value(tag, value))
}

fn fits_value(tag: &TagMatch, value: &str) -> bool {
    tag.values.iter().any(|pattern| pattern.matches(value))
}

fn wanted(tag: &TagMatch) -> String {
    tag.values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(" or ")
}

fn differs(tag: &TagMatch, instance: &Instance) -> Missing {
    let (key, wanted) = (&tag.key, wanted(tag));
    if let Some(value) = instance.tags.get(key) {
        return Missing::new(format!("the tag {key} is `{value}`, and {wanted} is wanted"));
    }
    // Keys are compared with regard to case, which is easily overlooked.
    let similar = instance.tags.iter().find(|(other, _)| other.trim().eq_ignore_ascii_case(key.trim()));
    let text = format!("the tag {key} is missing, and {wanted} is wanted");
    match similar {
        Some((other, value)) if fits_value(tag, value) => {
            Missing { text: format!("{text}; there is one called `{other}`, and case counts"), weight: TYPO }
        }
        _ => Missing::new(text),
    }
}

fn excluded_by(tag: &TagMatch, instance: &Instance) -> Missing {
    let value = instance.tags.get(&tag.key).unwrap_or_default();
    Missing::new(format!("the tag {} is `{value}`, which exclude_tags names", tag.key))
}
