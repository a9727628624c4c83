//! `[policies.NAME]`.

use std::collections::{BTreeMap, BTreeSet};

use amikeep_domain::class::{Class, Consistency};
use amikeep_domain::id::{AccountName, ClassName, PolicyName};
use amikeep_domain::pattern::Pattern;
use amikeep_domain::policy::{Enabled, Policy, Selector, TagMatch};
use amikeep_domain::retention::{Count, Keep, KeepRules};
use amikeep_domain::schedule::Schedule;
use amikeep_domain::tags;
use jiff::{SignedDuration, Timestamp};

use crate::build::Schedules;
use crate::build::references::Known;
use crate::config::Account;
use crate::findings::{At, Findings};
use crate::keys::{KeepKeys, PolicyKeys, SelectKeys};
use crate::value::Located;
use crate::value::list::OneOrMore;
use crate::value::table::{Entry, Named};
use crate::value::text::SoughtTag;

/// What amikeep sets itself, and may have to set later: the grade, and an operator's pin.
const OWN_TAGS: [&str; 11] = [
    tags::OWNER,
    tags::POLICY,
    tags::INSTANCE,
    tags::JOB,
    tags::SCHEDULED_AT,
    tags::CLASS,
    tags::MODE,
    tags::GRADE,
    tags::POSITION,
    tags::PIN,
    tags::NAME,
];

/// A shorter interval between fires is probably a mistake: an image takes minutes, and the next job would wait for it.
const INTERVAL_MIN: SignedDuration = SignedDuration::from_mins(5);

/// What policies point to.
pub(crate) struct Others<'a> {
    pub(crate) known: &'a Known,
    pub(crate) accounts: &'a BTreeMap<AccountName, Account>,
    pub(crate) classes: &'a BTreeMap<ClassName, Class>,
}

pub(crate) fn build(
    entries: Option<&Named<PolicyName, PolicyKeys>>,
    others: &Others<'_>,
    schedules: &mut Schedules,
    findings: &mut Findings<'_>,
) -> BTreeMap<PolicyName, Policy> {
    let entries = entries.map_or(&[][..], |named| &named.0);
    let built = entries.iter().filter_map(|entry| build_policy(entry, others, schedules, findings));
    built.map(|policy| (policy.name.clone(), policy)).collect()
}

fn build_policy(
    entry: &Entry<PolicyName, PolicyKeys>,
    others: &Others<'_>,
    schedules: &mut Schedules,
    findings: &mut Findings<'_>,
) -> Option<Policy> {
    let keys = entry.value.as_ref()?;
    check_references(keys, others, findings);
    check_accounts_differ(keys, others, findings);
    check_tag_count(keys, &entry.name.at, findings);
    let schedule = keys.schedule.located().zip(keys.timezone.get()).and_then(|(cron, zone)| {
        let schedule = schedules.get(cron, &zone.0, findings)?;
        warn_frequent(&schedule, &cron.at, findings);
        Some(schedule)
    });
    let select = keys.select.located().and_then(|select| build_selector(&select.value, &select.at, findings));
    let keep = keys.keep.located().and_then(|keep| build_keep(&keep.value, &keep.at, findings));
    let enabled = enabled(keys, findings);
    let tags = keys.tags.get().map_or(&[][..], |tags| &tags.0);
    Some(Policy {
        name: entry.name.value.clone(),
        accounts: keys.account.get()?.0.iter().map(|account| account.value.clone()).collect(),
        class: keys.class.get()?.clone(),
        schedule: schedule?,
        jitter: keys.jitter.get()?.0,
        start_within: keys.start_within.get()?.0,
        enabled: enabled?,
        select: select?,
        class_tag_allows: keys.class_tag_allows.get()?.0.iter().map(|class| class.value.clone()).collect(),
        copy_tags: keys.copy_tags.get()?.0.iter().map(|tag| tag.value.0.clone()).collect(),
        keep: keep?,
        tags: tags.iter().filter_map(|tag| Some((tag.name.value.0.clone(), tag.value.clone()?.0))).collect(),
        deadline: keys.deadline.get()?.0,
        max_deletes: keys.max_deletes.get().map(|max| max.0),
    })
}

fn check_references(keys: &PolicyKeys, others: &Others<'_>, findings: &mut Findings<'_>) {
    for account in keys.account.get().into_iter().flat_map(|accounts| &accounts.0) {
        others.known.check_account(account, findings);
    }
    let allowed = keys.class_tag_allows.get().into_iter().flat_map(|allowed| &allowed.0);
    for class in keys.class.located().into_iter().chain(allowed) {
        others.known.check_class(class, findings);
        check_freeze_named(class, others.classes, findings);
    }
}

/// One fire makes one job for each instance of an account and region, so a second name for them would be in its way.
fn check_accounts_differ(keys: &PolicyKeys, others: &Others<'_>, findings: &mut Findings<'_>) {
    let mut seen = BTreeMap::new();
    for name in keys.account.get().into_iter().flat_map(|accounts| &accounts.0) {
        let Some(account) = others.accounts.get(&name.value) else { continue };
        let Some(id) = &account.account_id else { continue };
        if let Some(first) = seen.insert((id, &account.region), &name.value) {
            findings.error(&name.at, format!("`{}` is the same account and region as `{first}`", name.value));
        }
    }
}

/// A policy that would fail every night must not look accepted.
fn check_freeze_named(class: &Located<ClassName>, classes: &BTreeMap<ClassName, Class>, findings: &mut Findings<'_>) {
    let name = &class.value;
    let lacks_freeze = |class: &Class| class.consistency == Consistency::Freeze && class.freeze.is_none();
    if classes.get(name).is_some_and(lacks_freeze) {
        findings.error(&class.at, format!("class `{name}` asks for a freeze and does not say which")).suggest(format!(
            "add `freeze = \"NAME\"` to [classes.{name}] and a table [freezes.NAME] that says how the instance is held \
             still; or set `consistency = \"reboot\"` or `\"no-reboot\"` in [classes.{name}]"
        ));
    }
}

/// EC2 refuses an image with too many tags, and then there is no image at all.
fn check_tag_count(keys: &PolicyKeys, policy: &At, findings: &mut Findings<'_>) {
    let copied = keys.copy_tags.get().into_iter().flat_map(|tags| &tags.0).map(|tag| &tag.value.0);
    let extra = keys.tags.get().into_iter().flat_map(|tags| &tags.0).map(|tag| &tag.name.value.0);
    let own: BTreeSet<&str> = OWN_TAGS.into_iter().collect();
    let others: BTreeSet<&str> = copied.chain(extra).map(String::as_str).filter(|key| !own.contains(key)).collect();
    let others_max = tags::PER_RESOURCE_MAX - own.len();
    if others_max < others.len() {
        let at = keys.tags.given().map(|it| &it.at).or(keys.copy_tags.given().map(|it| &it.at)).unwrap_or(policy);
        let message =
            format!("`tags` and `copy_tags` make {} different tags, and EC2 would refuse the image", others.len());
        let allowed =
            format!("{others_max}: EC2 takes {}, of which amikeep needs {}", tags::PER_RESOURCE_MAX, own.len());
        findings.error(at, message).allow(allowed);
    }
}

fn build_selector(keys: &SelectKeys, at: &At, findings: &mut Findings<'_>) -> Option<Selector> {
    let has_tags = !keys.tags.is_absent() && keys.tags.get().is_none_or(|tags| !tags.0.is_empty());
    let has_instances = !keys.instances.is_absent() && keys.instances.get().is_none_or(|it| !it.0.is_empty());
    if !has_tags && !has_instances {
        findings
            .error(at, "nothing is selected")
            .allow("tags, or instances, or both; exclude_tags only takes away from them")
            .suggest(
                "for every instance of the account write `tags = { Name = \"*\" }`, or any tag that they all have",
            );
        return None;
    }
    let instances = keys.instances.get().into_iter().flat_map(|instances| &instances.0);
    Some(Selector {
        instances: instances.map(|instance| instance.value.clone()).collect(),
        tags: tag_matches(keys.tags.get()),
        exclude_tags: tag_matches(keys.exclude_tags.get()),
    })
}

fn tag_matches(tags: Option<&Named<SoughtTag, OneOrMore<Pattern>>>) -> Vec<TagMatch> {
    let entries = tags.map_or(&[][..], |tags| &tags.0).iter();
    let matches = entries.filter_map(|entry| {
        let values = entry.value.as_ref()?.0.iter().map(|pattern| pattern.value.clone()).collect();
        Some(TagMatch { key: entry.name.value.0.clone(), values })
    });
    matches.collect()
}

fn build_keep(keys: &KeepKeys, at: &At, findings: &mut Findings<'_>) -> Option<Keep> {
    let counts = [&keys.last, &keys.hourly, &keys.daily, &keys.weekly, &keys.monthly, &keys.yearly];
    let withins = [
        &keys.within,
        &keys.within_hourly,
        &keys.within_daily,
        &keys.within_weekly,
        &keys.within_monthly,
        &keys.within_yearly,
    ];
    for count in counts.iter().filter_map(|field| field.given()).filter(|count| count.value == Count::All) {
        findings.warn(&count.at, "keeps images for ever, and their snapshots are paid for as long as they exist");
    }
    if counts.iter().all(|field| field.is_absent()) && withins.iter().all(|field| field.is_absent()) {
        findings
            .error(at, "keep has no rule, so it does not say what to keep")
            .suggest("give at least one, such as `last = 7`, or `last = -1` to keep everything");
        return None;
    }
    let rules = KeepRules {
        last: keys.last.get().copied(),
        hourly: keys.hourly.get().copied(),
        daily: keys.daily.get().copied(),
        weekly: keys.weekly.get().copied(),
        monthly: keys.monthly.get().copied(),
        yearly: keys.yearly.get().copied(),
        within: keys.within.get().copied(),
        within_hourly: keys.within_hourly.get().copied(),
        within_daily: keys.within_daily.get().copied(),
        within_weekly: keys.within_weekly.get().copied(),
        within_monthly: keys.within_monthly.get().copied(),
        within_yearly: keys.within_yearly.get().copied(),
    };
    // Fails only if every rule that is there was refused, and reported, already.
    Keep::new(rules).ok()
}

fn enabled(keys: &PolicyKeys, findings: &mut Findings<'_>) -> Option<Enabled> {
    let enabled = keys.enabled.located()?;
    if enabled.value {
        return Some(Enabled::Yes);
    }
    findings.warn(&enabled.at, "the policy is switched off: nothing new is backed up by it");
    Some(Enabled::No)
}

/// Looks at two days from the first fire on. The date to begin at is fixed, so that a file is judged the same always.
fn warn_frequent(schedule: &Schedule, at: &At, findings: &mut Findings<'_>) {
    const FIRES_MAX: usize = 100;
    let Some(first) = schedule.next_after(Timestamp::UNIX_EPOCH) else { return };
    let until = first.checked_add(SignedDuration::from_hours(48)).unwrap_or(Timestamp::MAX);
    let fires: Vec<Timestamp> = std::iter::once(first).chain(schedule.between(first, until)).take(FIRES_MAX).collect();
    let shortest = fires.windows(2).map(|pair| pair[1].duration_since(pair[0])).min();
    if shortest.is_some_and(|interval| interval < INTERVAL_MIN) {
        findings.warn(at, "fires more often than every 5 minutes, while an image takes longer than that").suggest(
            "a job waits while an image of its instance is pending, and is skipped when its start_within ends; choose \
                 a longer interval",
        );
    }
}
