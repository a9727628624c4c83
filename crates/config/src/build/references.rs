//! Names that point to other tables: whether they exist, what was probably meant, and what nobody points to.

use amikeep_domain::class;
use amikeep_domain::id::{AccountName, ClassName, FreezeName};

use crate::findings::{At, Findings};
use crate::keys::{PolicyKeys, RootKeys};
use crate::suggest;
use crate::value::Located;
use crate::value::table::Named;

/// Every name that can be pointed to. A name counts even if its table is wrong: that is reported once, there.
pub(crate) struct Known {
    accounts: Vec<AccountName>,
    classes: Vec<ClassName>,
    freezes: Vec<FreezeName>,
}

impl Known {
    pub(crate) fn of(root: &RootKeys) -> Self {
        let mut classes = names(root.classes.get());
        classes.extend(class::built_in().into_keys());
        Self { accounts: names(root.accounts.get()), classes, freezes: names(root.freezes.get()) }
    }

    pub(crate) fn check_account(&self, account: &Located<AccountName>, findings: &mut Findings<'_>) {
        check("account", account, &self.accounts, AccountName::as_str, findings);
    }

    pub(crate) fn check_class(&self, class: &Located<ClassName>, findings: &mut Findings<'_>) {
        check("class", class, &self.classes, ClassName::as_str, findings);
    }

    pub(crate) fn check_freeze(&self, freeze: &Located<FreezeName>, findings: &mut Findings<'_>) {
        check("freeze", freeze, &self.freezes, FreezeName::as_str, findings);
    }
}

fn names<K: Clone, V>(entries: Option<&Named<K, V>>) -> Vec<K> {
    entries.map_or(&[][..], |named| &named.0).iter().map(|entry| entry.name.value.clone()).collect()
}

fn check<N: PartialEq>(kind: &str, name: &Located<N>, known: &[N], text: fn(&N) -> &str, findings: &mut Findings<'_>) {
    if known.contains(&name.value) {
        return;
    }
    let names: Vec<&str> = known.iter().map(text).collect();
    let nearest = suggest::did_you_mean(suggest::nearest(text(&name.value), &names));
    let diagnostic = findings.error(&name.at, format!("there is no {kind} `{}`", text(&name.value)));
    diagnostic.suggestion = nearest;
    if names.is_empty() {
        diagnostic.suggest(format!("add a table [{kind}s.{}]", text(&name.value)));
    } else {
        diagnostic.allow(names.join(", "));
    }
}

/// Warns of accounts and own classes that no policy uses: one of the two names may be misspelt. The file is right
/// otherwise, so nothing that is used is hidden by an error.
pub(crate) fn warn_unused(root: &RootKeys, findings: &mut Findings<'_>) {
    let policies: Vec<&PolicyKeys> =
        root.policies.get().into_iter().flat_map(|named| &named.0).filter_map(|entry| entry.value.as_ref()).collect();
    if policies.is_empty() {
        findings
            .warn(&At::root(), "there is no policy, so nothing is backed up")
            .suggest("add [policies.NAME]; config/minimal.toml of the source tree shows the smallest one");
        return;
    }
    let uses_account = |policy: &&PolicyKeys, name: &AccountName| {
        policy.account.get().is_some_and(|accounts| accounts.0.iter().any(|account| account.value == *name))
    };
    for account in root.accounts.get().into_iter().flat_map(|named| &named.0) {
        if !policies.iter().any(|policy| uses_account(policy, &account.name.value)) {
            findings.warn(&account.name.at, "no policy uses this account");
        }
    }
    let uses_class = |policy: &&PolicyKeys, name: &ClassName| {
        let allowed = policy.class_tag_allows.get().map_or(&[][..], |allowed| &allowed.0);
        policy.class.get() == Some(name) || allowed.iter().any(|class| class.value == *name)
    };
    let built_in = class::built_in();
    for class in root.classes.get().into_iter().flat_map(|named| &named.0) {
        let name = &class.name.value;
        if !built_in.contains_key(name) && !policies.iter().any(|policy| uses_class(policy, name)) {
            let nearest = suggest::nearest(name.as_str(), built_in.keys().map(ClassName::as_str));
            findings.warn(&class.name.at, "no policy uses this class").suggestion = suggest::did_you_mean(nearest);
        }
    }
}
