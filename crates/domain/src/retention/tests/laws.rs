//! The laws of retention, over random series, rules and zones.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use proptest::collection::vec;
use proptest::prelude::*;

use super::zone;
use crate::grade::Grade;
use crate::retention::{
    Candidate, Count, Guard, ImageFacts, Keep, KeepRules, Limit, Pin, Planned, Rule, Usage, Verdict, Within,
    apply_guards, plan_series,
};

/// Zones with whole and half hours of summer time, without any, and with clocks set back just after midnight.
const ZONES: [&str; 6] =
    ["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"];

type Image = Candidate<u16>;

/// Two years from 2009, in which the zones above changed their clocks in every way they know.
const FIRST_SECOND: i64 = 1_230_768_000;

/// Times at which images cluster: around the transitions of the zones above, and anywhere.
fn any_time() -> impl Strategy<Value = Timestamp> {
    let night = |second: i64| prop_oneof![second - 14_400..second + 14_400, second - 90..second + 90];
    prop_oneof![
        4 => FIRST_SECOND..FIRST_SECOND + 2 * 366 * 86_400,
        1 => night(1_289_097_060),  // St John's, 7 November 2010, back at 00:01.
        1 => night(1_288_486_800),  // Berlin, 31 October 2010, back at 03:00.
        1 => night(1_270_306_800),  // Lord Howe, 3 April 2010, back by half an hour.
        1 => night(1_262_304_000),  // The turn of the year.
    ]
    .prop_map(|second| Timestamp::from_second(second).unwrap())
}

/// A series, oldest first, with ids that say nothing about the order, and with ties.
fn any_series() -> impl Strategy<Value = Vec<Image>> {
    vec((any_time(), any::<u16>()), 0..60).prop_map(|images| {
        let by_id: BTreeMap<_, _> = images.into_iter().map(|(at, id)| (id, at)).collect();
        let mut series: Vec<_> = by_id.into_iter().map(|(id, captured_at)| Candidate { id, captured_at }).collect();
        series.sort_by_key(|image| image.captured_at);
        series
    })
}

fn any_count() -> impl Strategy<Value = Option<Count>> {
    prop_oneof![3 => Just(None), 3 => (1..8_i64).prop_map(Some), 1 => Just(Some(-1))]
        .prop_map(|number| number.map(|number| Count::new(number).unwrap()))
}

fn any_within() -> impl Strategy<Value = Option<Within>> {
    let reach =
        prop_oneof![1..100_i64, (1..1_000_i64).prop_map(|hours| hours * 3_600), (1..800_i64).prop_map(|d| d * 86_400)];
    proptest::option::weighted(0.3, reach)
        .prop_map(|secs| secs.map(|secs| Within::new(SignedDuration::from_secs(secs)).unwrap()))
}

fn any_keep() -> impl Strategy<Value = Keep> {
    let counts = [(); 6].map(|()| any_count());
    let withins = [(); 6].map(|()| any_within());
    (counts, withins).prop_filter_map("an empty keep", |(counts, withins)| {
        let [last, hourly, daily, weekly, monthly, yearly] = counts;
        let [within, within_hourly, within_daily, within_weekly, within_monthly, within_yearly] = withins;
        let rules = KeepRules {
            last,
            hourly,
            daily,
            weekly,
            monthly,
            yearly,
            within,
            within_hourly,
            within_daily,
            within_weekly,
            within_monthly,
            within_yearly,
        };
        Keep::new(rules).ok()
    })
}

fn any_zone() -> impl Strategy<Value = TimeZone> {
    proptest::sample::select(&ZONES[..]).prop_map(zone)
}

/// A plan for which nothing is in the future.
fn plan(series: &[Image], keep: &Keep, timezone: &TimeZone) -> Vec<Planned<u16>> {
    plan_series(series, keep, timezone, Timestamp::MAX)
}

fn kept(planned: &[Planned<u16>]) -> BTreeSet<u16> {
    planned.iter().filter(|image| matches!(image.verdict, Verdict::Keep(_))).map(|image| image.id).collect()
}

/// `keep` with one rule alone.
fn alone(rule: Rule, limit: Limit) -> Keep {
    format!("{rule}={limit}").parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pruning_every_night_keeps_what_pruning_once_at_the_end_keeps(
        series in any_series(), keep in any_keep(), timezone in any_zone(), nights in vec(1..5_usize, 60),
    ) {
        let mut stored: Vec<Image> = Vec::new();
        let mut coming = series.as_slice();
        for n_images in nights {
            let (tonight, later) = coming.split_at(n_images.min(coming.len()));
            // Images of one instant arrive together: within a series there are never two captures at once.
            let n_tied = tonight.last().map_or(0, |last| later.iter().take_while(|it| it.captured_at == last.captured_at).count());
            stored.extend_from_slice(&coming[..tonight.len() + n_tied]);
            coming = &later[n_tied..];
            let wanted = kept(&plan(&stored, &keep, &timezone));
            stored.retain(|image| wanted.contains(&image.id));
        }
        prop_assert!(coming.is_empty());
        let at_the_end = plan(&series, &keep, &timezone);
        let with_reasons: Vec<_> = at_the_end.into_iter().filter(|image| image.verdict.as_str() == "keep").collect();
        prop_assert_eq!(plan(&stored, &keep, &timezone), with_reasons);
    }

    #[test]
    fn an_image_that_is_held_over_many_nights_changes_no_other_verdict(
        series in any_series(), keep in any_keep(), timezone in any_zone(), pins in any::<[bool; 16]>(), n_old in 0..60_usize,
    ) {
        let is_pinned = |id: u16| pins[usize::from(id % 16)];
        let (old, _) = series.split_at(n_old.min(series.len()));
        // An instant is never split, as above.
        let n_old = old.last().map_or(0, |last| series.partition_point(|it| it.captured_at <= last.captured_at));
        let wanted = kept(&plan(&series[..n_old], &keep, &timezone));
        let mut left = series.clone();
        left.retain(|image| wanted.contains(&image.id) || is_pinned(image.id) || {
            series[n_old..].iter().any(|it| it.id == image.id)
        });
        prop_assert_eq!(kept(&plan(&left, &keep, &timezone)), kept(&plan(&series, &keep, &timezone)));
    }

    #[test]
    fn the_newest_image_never_goes(series in any_series(), keep in any_keep(), timezone in any_zone()) {
        let planned = plan(&series, &keep, &timezone);
        prop_assert!(planned.first().is_none_or(|newest| newest.verdict.as_str() == "keep"));
    }

    #[test]
    fn pinning_one_image_changes_no_other_verdict(
        series in any_series(), keep in any_keep(), timezone in any_zone(), pick in any::<prop::sample::Index>(),
    ) {
        prop_assume!(!series.is_empty());
        let pinned = pick.get(&series).id;
        let facts = |pin: Pin, id: u16| ImageFacts {
            pin,
            usage: Usage::Unused,
            grade: Some(if id.is_multiple_of(3) { Grade::Clean } else { Grade::Crash }),
            grade_asked: Grade::Clean,
        };
        let mut without = plan(&series, &keep, &timezone);
        let mut with = without.clone();
        apply_guards(&mut without, |id| facts(Pin::Unpinned, *id));
        apply_guards(&mut with, |id| facts(if *id == pinned { Pin::Pinned } else { Pin::Unpinned }, *id));
        for (without, with) in without.iter().zip(&with) {
            if with.id == pinned {
                prop_assert_ne!(with.verdict.as_str(), "delete");
            } else {
                prop_assert_eq!(without, with);
            }
        }
    }

    #[test]
    fn moving_now_changes_no_reason_and_deletes_nothing_more(
        series in any_series(), keep in any_keep(), timezone in any_zone(), now in any_time(),
    ) {
        let planned = plan_series(&series, &keep, &timezone, now);
        let ahead_max = SignedDuration::from_hours(1);
        let (future, counted): (Vec<_>, Vec<_>) =
            series.into_iter().partition(|image| ahead_max < image.captured_at.duration_since(now));
        let timeless = plan(&counted, &keep, &timezone);
        prop_assert_eq!(planned.len(), future.len() + timeless.len());
        prop_assert!(planned[..future.len()].iter().all(|image| image.verdict.held_by() == [Guard::FromTheFuture]));
        for (image, timeless) in planned[future.len()..].iter().zip(&timeless) {
            prop_assert_eq!(image.verdict.reasons(), timeless.verdict.reasons());
            prop_assert!(future.is_empty() || image.verdict.as_str() != "delete");
            prop_assert!(!future.is_empty() || image == timeless);
        }
    }

    #[test]
    fn the_order_in_which_images_are_given_does_not_matter(
        (series, shuffled) in any_series().prop_flat_map(|series| (Just(series.clone()), Just(series).prop_shuffle())),
        keep in any_keep(), timezone in any_zone(),
    ) {
        prop_assert_eq!(plan(&series, &keep, &timezone), plan(&shuffled, &keep, &timezone));
    }

    #[test]
    fn a_keep_keeps_what_each_of_its_rules_alone_keeps_and_no_more(
        series in any_series(), keep in any_keep(), timezone in any_zone(),
    ) {
        // This also says that a rule more never deletes more.
        let by_rule = keep.limits().flat_map(|(rule, limit)| kept(&plan(&series, &alone(rule, limit), &timezone)));
        prop_assert_eq!(by_rule.collect::<BTreeSet<_>>(), kept(&plan(&series, &keep, &timezone)));
    }

    #[test]
    fn a_plan_is_what_the_words_of_the_rules_say(series in any_series(), keep in any_keep(), timezone in any_zone()) {
        let planned = plan(&series, &keep, &timezone);
        for (rule, limit) in keep.limits() {
            let expected = slowly(&planned, rule, limit, &timezone);
            let reasons = planned.iter().enumerate().flat_map(|(i, it)| it.verdict.reasons().iter().map(move |r| (i, r)));
            let ranks: Vec<_> = reasons.filter(|(_, it)| it.rule == rule).map(|(i, it)| (i, it.rank)).collect();
            prop_assert_eq!(ranks, expected.into_iter().zip(1..).collect::<Vec<_>>(), "{}={}", rule, limit);
        }
    }

    #[test]
    fn keep_survives_being_written_and_read(keep in any_keep()) {
        prop_assert_eq!(keep.to_string().parse::<Keep>(), Ok(keep));
    }
}

/// One rule, told a second time and without any care for speed: buckets are compared as written names.
fn slowly(planned: &[Planned<u16>], rule: Rule, limit: Limit, timezone: &TimeZone) -> Vec<usize> {
    let name = |index: usize| match rule.as_str().trim_start_matches("within_") {
        "last" | "within" => index.to_string(),
        "hourly" => planned[index].captured_at.to_zoned(timezone.clone()).strftime("%F %H %z").to_string(),
        "daily" => planned[index].captured_at.to_zoned(timezone.clone()).strftime("%F").to_string(),
        "weekly" => planned[index].captured_at.to_zoned(timezone.clone()).strftime("%G %V").to_string(),
        "monthly" => planned[index].captured_at.to_zoned(timezone.clone()).strftime("%Y %m").to_string(),
        _ => planned[index].captured_at.to_zoned(timezone.clone()).strftime("%Y").to_string(),
    };
    let mut names = BTreeSet::new();
    let mut chosen: Vec<_> = (0..planned.len()).filter(|index| names.insert(name(*index))).collect();
    match limit {
        Limit::Within(within) => {
            chosen.retain(|i| planned[0].captured_at.duration_since(planned[*i].captured_at) <= within.duration());
        }
        Limit::Count(Count::Limited(n)) if (n.get() as usize) <= chosen.len() => chosen.truncate(n.get() as usize),
        Limit::Count(_) => {
            chosen.extend(planned.len().checked_sub(1));
            chosen.dedup();
        }
    }
    chosen
}
