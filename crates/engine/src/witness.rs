//! Who is told of what no row of the ledger keeps, for figures about this process.
//!
//! It is told after the fact, outside of every hold and every transaction, and must return at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use amikeep_domain::freeze::HoldSeen;
use amikeep_domain::id::{AccountName, PolicyName};
use amikeep_domain::prune::PrunePlan;
use amikeep_domain::retention::Verdict;

/// Is told what holds and prunes came to.
pub trait Witness: Debug + Send + Sync + 'static {
    /// An instance was held still, or could not be.
    fn held(&self, seen: &HoldSeen);

    /// Retention was applied to every policy in some accounts.
    fn pruned(&self, seen: PruneSeen);
}

/// What a prune held back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneSeen {
    /// The accounts that were looked at.
    pub accounts: BTreeSet<AccountName>,
    /// The policies that have images there.
    pub policies: BTreeSet<PolicyName>,
    /// How many images each guard holds back, by account, policy and the guard's word. One that several hold counts for
    /// each.
    pub by_guard: BTreeMap<(AccountName, PolicyName, &'static str), u64>,
    /// The policies of which more would be deleted than they allow, and how many that would be.
    pub over_limit: BTreeMap<PolicyName, u64>,
}

impl PruneSeen {
    pub(crate) fn of(plan: &PrunePlan, accounts: BTreeSet<AccountName>) -> Self {
        let mut seen = Self { accounts, ..Self::default() };
        for image in &plan.images {
            let (account, policy) = (&image.known.account_name, &image.known.policy);
            // A name that its account had before: what was told of it is told anew, too.
            if !seen.accounts.contains(account) {
                seen.accounts.insert(account.clone());
            }
            // Images come by series, so most are of the policy before.
            if !seen.policies.contains(policy) {
                seen.policies.insert(policy.clone());
            }
            let Verdict::Held(guards) = &image.verdict else { continue };
            for guard in guards {
                *seen.by_guard.entry((account.clone(), policy.clone(), guard.as_str())).or_default() += 1;
            }
        }
        let over_limit = plan.over_limit.iter();
        seen.over_limit = over_limit.map(|(policy, over)| (policy.clone(), over.planned as u64)).collect();
        seen
    }
}

/// Nobody.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoWitness;

impl Witness for NoWitness {
    fn held(&self, _seen: &HoldSeen) {}

    fn pruned(&self, _seen: PruneSeen) {}
}
