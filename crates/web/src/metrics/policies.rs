//! Figures of each policy.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use amikeep_domain::fire::FireOutcome;
use amikeep_domain::id::{AccountName, PolicyName};
use amikeep_domain::job::StateName;
use amikeep_domain::policy::{Enabled, PolicySet};
use amikeep_domain::prune::DeletionStateName;
use amikeep_ledger::{Ended, Figures, Tally};

use crate::metrics::sheet::{Family, Sheet};
use crate::metrics::{Scrape, number, seconds};

/// A policy in one of its accounts, as labels.
type Key<'a> = [(&'static str, &'a str); 2];
/// The same, and how something ended.
type EndedKey<'a> = (Key<'a>, [(&'static str, &'static str); 1]);

/// The word of a job that the ledger no longer knows everything of.
const UNKNOWN: &str = "unknown";
/// A code comes from whatever answers at the endpoint; one that no service would send is not passed on.
const CODE_LEN_MAX: usize = 64;

pub(super) fn write(scrape: &Scrape, sheet: &mut Sheet<'_>) -> fmt::Result {
    write_next(scrape, sheet)?;
    let Some(stored) = &scrape.stored else { return Ok(()) };
    let figures = &stored.figures;
    write_last(scrape, figures, sheet)?;
    write_fires(scrape, figures, sheet)?;
    write_jobs(scrape, figures, sheet)?;
    write_images(figures, sheet)
}

fn key<'a>(policy: &'a PolicyName, account_name: &'a AccountName) -> Key<'a> {
    [("policy", policy.as_str()), ("account_name", account_name.as_str())]
}

/// Each policy in each of its accounts.
fn configured(policy_set: &PolicySet) -> impl Iterator<Item = Key<'_>> {
    let pairs = policy_set.policies.values();
    pairs.flat_map(|policy| policy.accounts.iter().map(|account| key(&policy.name, account)))
}

fn is_configured(policy_set: &PolicySet, policy: &PolicyName, account_name: &AccountName) -> bool {
    policy_set.policies.get(policy).is_some_and(|it| it.accounts.contains(account_name))
}

fn write_next(scrape: &Scrape, sheet: &mut Sheet<'_>) -> fmt::Result {
    let next = Family::seconds("policy_next_fire_timestamp", "When an enabled policy fires next, since 1970.");
    let enabled = scrape.policy_set.policies.values().filter(|policy| policy.enabled == Enabled::Yes);
    sheet.gauges(
        &next,
        enabled.filter_map(|policy| {
            Some(([("policy", policy.name.as_str())], seconds(policy.schedule.next_after(scrape.now)?)))
        }),
    )
}

fn write_last(scrape: &Scrape, figures: &Figures, sheet: &mut Sheet<'_>) -> fmt::Result {
    let set = &scrape.policy_set;
    let fires = || figures.last_fires.iter().filter(|it| is_configured(set, &it.policy, &it.account_name));
    let last = Family::seconds(
        "policy_last_fire_timestamp",
        "The nominal time of the last fire that was neither missed nor skipped, since 1970.",
    );
    sheet.gauges(
        &last,
        fires().filter_map(|it| Some((key(&it.policy, &it.account_name), scrape.seen_at(it.scheduled_at)?))),
    )?;
    let matched = Family::new("policy_last_fire_instances", "How many instances that fire matched.");
    sheet.gauges(&matched, fires().map(|it| (key(&it.policy, &it.account_name), number(it.matched))))?;
    let jobs = Family::new("policy_last_fire_jobs", "The jobs of the last fire that gave any, by state.");
    let of_last = figures.last_jobs.iter().filter(|it| is_configured(set, &it.policy, &it.account_name));
    sheet.gauges(
        &jobs,
        of_last.map(|it| ((key(&it.policy, &it.account_name), [("state", it.state.as_str())]), number(it.count))),
    )
}

/// All that can become of a fire is there from the beginning, so that the first of a kind is an increase.
fn write_fires(scrape: &Scrape, figures: &Figures, sheet: &mut Sheet<'_>) -> fmt::Result {
    let counts = counts(figures, |ended| match ended {
        Ended::Fire(outcome) => Some(outcome.as_str()),
        _ => None,
    });
    let fires = Family::new("fires", "Fires by what became of them, each nominal time counted.");
    sheet.counters(&fires, with_zeros(scrape, &counts, &FireOutcome::ALL.map(FireOutcome::as_str)))
}

fn write_jobs(scrape: &Scrape, figures: &Figures, sheet: &mut Sheet<'_>) -> fmt::Result {
    let ends = [StateName::Succeeded, StateName::Failed, StateName::Skipped].map(StateName::as_str);
    let counts = counts(figures, |ended| match ended {
        Ended::Succeeded { .. } => Some(ends[0]),
        Ended::Failed(_) => Some(ends[1]),
        Ended::Skipped(_) => Some(ends[2]),
        Ended::Fire(_) | Ended::Deletion(_) => None,
    });
    let jobs = Family::new("jobs", "Jobs that have ended, by how.");
    sheet.counters(&jobs, with_zeros(scrape, &counts, &ends))?;

    let set = &scrape.policy_set;
    let known = || figures.tallies.iter().filter(|it| is_configured(set, &it.policy, &it.account_name));
    let failures = Family::new("job_failures", "Jobs that failed, by the code of the error.");
    let of_code = known().filter_map(|it| match &it.ended {
        Ended::Failed(code) => Some((it, presentable(code))),
        _ => None,
    });
    sheet.counters(&failures, summed(of_code).map(|(key, code, count)| ((key, [("code", code)]), count)))?;
    let skips = Family::new("job_skips", "Jobs that were skipped, by the reason.");
    let of_reason = known().filter_map(|it| match &it.ended {
        Ended::Skipped(why) => Some((it, presentable(why))),
        _ => None,
    });
    sheet.counters(&skips, summed(of_reason).map(|(key, why, count)| ((key, [("reason", why)]), count)))?;
    let taken =
        Family::new("images_taken", "Images of jobs that succeeded, by how they were taken and what they are worth.");
    sheet.counters(
        &taken,
        known().filter_map(|it| match &it.ended {
            Ended::Succeeded { mode, grade } => {
                let mode = ("mode", mode.map_or(UNKNOWN, |it| it.as_str()));
                let grade = ("grade", grade.map_or(UNKNOWN, |it| it.as_str()));
                Some(((key(&it.policy, &it.account_name), [mode, grade]), it.count))
            }
            _ => None,
        }),
    )?;
    let last = Family::seconds("policy_last_success_timestamp", "When a job of the policy last succeeded, since 1970.");
    sheet.gauges(&last, last_successes(scrape, figures))
}

fn last_successes<'a>(scrape: &Scrape, figures: &'a Figures) -> Vec<(Key<'a>, f64)> {
    let mut last: Vec<(Key<'a>, f64)> = Vec::new();
    // Tallies come by policy and account, so those of one are beside each other.
    for tally in figures.tallies.iter().filter(|it| matches!(it.ended, Ended::Succeeded { .. })) {
        let (key, Some(at)) = (key(&tally.policy, &tally.account_name), scrape.seen_at(tally.last_at)) else {
            continue;
        };
        match last.last_mut() {
            Some((of, known)) if *of == key => *known = known.max(at),
            _ if is_configured(&scrape.policy_set, &tally.policy, &tally.account_name) => last.push((key, at)),
            _ => {}
        }
    }
    last
}

/// They outlive their policy, and somebody pays for them.
fn write_images(figures: &Figures, sheet: &mut Sheet<'_>) -> fmt::Result {
    let images = Family::new("images", "Images that are there and count for retention, by grade.");
    sheet.gauges(
        &images,
        figures
            .images
            .iter()
            .map(|it| ((key(&it.policy, &it.account_name), [("grade", it.grade.as_str())]), number(it.count))),
    )?;
    let newest = Family::seconds(
        "policy_newest_image_timestamp",
        "When the newest of those images was captured, by the clock of EC2, since 1970.",
    );
    let mut newest_of: Vec<(Key<'_>, f64)> = Vec::new();
    for image in &figures.images {
        let (key, at) = (key(&image.policy, &image.account_name), seconds(image.newest_at));
        match newest_of.last_mut() {
            Some((of, known)) if *of == key => *known = known.max(at),
            _ => newest_of.push((key, at)),
        }
    }
    sheet.gauges(&newest, newest_of)?;
    let deletions = Family::new("deletions", "Deletions of images and snapshots that have ended, by how.");
    sheet.counters(
        &deletions,
        figures.tallies.iter().fold(Vec::<(EndedKey<'_>, u64)>::new(), |mut sums, tally| {
            let Some(state) = deletion(tally) else { return sums };
            let labels = (key(&tally.policy, &tally.account_name), [("outcome", state.as_str())]);
            match sums.last_mut() {
                // One that was refused is tallied by code.
                Some((of, count)) if *of == labels => *count += tally.count,
                _ => sums.push((labels, tally.count)),
            }
            sums
        }),
    )
}

fn deletion(tally: &Tally) -> Option<DeletionStateName> {
    match tally.ended {
        Ended::Deletion(state) => Some(state),
        _ => None,
    }
}

/// How many of each policy ended with each of some words.
fn counts(figures: &Figures, word: impl Fn(&Ended) -> Option<&'static str>) -> HashMap<(Key<'_>, &'static str), u64> {
    let mut counts = HashMap::new();
    for tally in &figures.tallies {
        if let Some(word) = word(&tally.ended) {
            *counts.entry((key(&tally.policy, &tally.account_name), word)).or_default() += tally.count;
        }
    }
    counts
}

/// The same for every policy of the configuration and every word.
fn with_zeros<'a>(
    scrape: &'a Scrape,
    counts: &'a HashMap<(Key<'a>, &'static str), u64>,
    words: &'a [&'static str],
) -> impl Iterator<Item = (EndedKey<'a>, u64)> {
    configured(&scrape.policy_set).flat_map(move |key| {
        let count = move |word: &&'static str| counts.get(&(key, *word)).copied().unwrap_or(0);
        words.iter().map(move |word| ((key, [("outcome", *word)]), count(word)))
    })
}

/// One series for each policy and word, however many tallies that word stands for.
fn summed<'a>(tallies: impl Iterator<Item = (&'a Tally, &'a str)>) -> impl Iterator<Item = (Key<'a>, &'a str, u64)> {
    let mut sums: BTreeMap<(Key<'a>, &'a str), u64> = BTreeMap::new();
    for (tally, word) in tallies {
        *sums.entry((key(&tally.policy, &tally.account_name), word)).or_default() += tally.count;
    }
    sums.into_iter().map(|((key, word), count)| (key, word, count))
}

fn presentable(code: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match code {
        "" => UNKNOWN,
        code if CODE_LEN_MAX < code.len() || !code.bytes().all(is_plain) => "other",
        code => code,
    }
}
