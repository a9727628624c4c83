//! The laws of pruning, over random rows, listings, rules, guards and clocks.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::retention::{Candidate, DeleteReason, Guard, plan_series};

/// What is wrong with the proof of an image, mostly nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    Owner,
    Job,
    Name,
    Instance,
    ForeignSnapshot,
}

/// How an image comes to be in a world.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is drawn alone")]
struct Spec {
    policy: usize,
    instance: u32,
    captured_at: Timestamp,
    state: KnownState,
    listed: Option<ListedState>,
    counts: bool,
    grade: Option<Grade>,
    flaw: Flaw,
    is_pinned: bool,
    is_open: bool,
    is_released: bool,
    /// `None` is never answered.
    usage: Option<Usage>,
    unseen_for: SignedDuration,
}

/// The last one is not configured.
const POLICIES: [&str; 3] = ["nightly", "weekly", "gone"];

const KEEPS: [&str; 8] =
    ["last=1", "last=3", "last=-1", "daily=2", "within=48h", "daily=3,weekly=2,monthly=2", "hourly=2", "yearly=1"];

fn any_spec() -> impl Strategy<Value = Spec> {
    let place = (prop_oneof![6 => Just(0_usize), 3 => Just(1), 1 => Just(2)], 1..3_u32);
    let from = at("2026-09-20T00:00:00Z").as_second();
    let newest = at("2026-11-22T02:30:00Z").as_second();
    // A few at the same instant, and very few from the future.
    let time = prop_oneof![40 => from..newest, 4 => Just(newest - 3_600), 1 => newest + 4_000..newest + 90_000];
    let state = prop_oneof![
        12 => Just(KnownState::Available),
        1 => Just(KnownState::Pending),
        2 => Just(KnownState::Failed),
        1 => Just(KnownState::Missing),
        1 => Just(KnownState::Going),
    ];
    let listed = prop_oneof![
        14 => Just(Some(ListedState::Available)),
        1 => Just(Some(ListedState::Pending)),
        1 => Just(Some(ListedState::Failed)),
        1 => Just(Some(ListedState::Disabled)),
        2 => Just(None),
    ];
    let flaw = prop_oneof![
        12 => Just(Flaw::None),
        1 => Just(Flaw::Owner),
        1 => Just(Flaw::Job),
        1 => Just(Flaw::Name),
        1 => Just(Flaw::Instance),
        1 => Just(Flaw::ForeignSnapshot),
    ];
    let usage = prop_oneof![
        12 => Just(Some(Usage::Unused)),
        1 => Just(Some(Usage::InUse { by: vec!["i-0a".to_owned()] })),
        1 => Just(Some(Usage::Unknown { why: "denied".to_owned() })),
        1 => Just(None),
    ];
    let rarely = || proptest::bool::weighted(0.1);
    let grade = proptest::option::of(proptest::sample::select(&Grade::ALL[..]));
    let rest = (proptest::bool::weighted(0.85), grade, rarely(), rarely(), rarely(), 0..15_i64);
    (place, time, state, listed, flaw, usage, rest).prop_map(|(place, time, state, listed, flaw, usage, rest)| Spec {
        policy: place.0,
        instance: place.1,
        captured_at: Timestamp::from_second(time).unwrap(),
        state,
        listed,
        counts: rest.0,
        grade: rest.1,
        flaw,
        is_pinned: rest.2,
        is_open: rest.3,
        is_released: rest.4,
        usage,
        unseen_for: days(rest.5),
    })
}

/// A world, and what EC2 answers about its images.
#[derive(Debug, Clone)]
struct Case {
    world: World,
    usage: BTreeMap<ImageId, Usage>,
    specs: BTreeMap<ImageId, Spec>,
}

fn any_case() -> impl Strategy<Value = Case> {
    let keep = || proptest::sample::select(&KEEPS[..]);
    let max_deletes = || proptest::option::of(prop_oneof![1 => 0..6_u32, 1 => 6..60_u32]);
    let counts = || (0..12_u32, 0..4_u32).prop_map(|(deleted, succeeded)| DayCounts { deleted, succeeded });
    let scope = prop_oneof![
        Just(PauseScope::All),
        Just(PauseScope::Policy(name("nightly"))),
        Just(PauseScope::Instance(instance_id(2))),
    ];
    let paused = proptest::option::weighted(0.3, scope);
    let rules = ((keep(), max_deletes(), counts()), (keep(), max_deletes(), counts()));
    (vec(any_spec(), 0..50), rules, paused, proptest::bool::weighted(0.9)).prop_map(
        |(specs, (nightly, weekly), paused, is_sound)| {
            let mut world = World::new(nightly.0);
            world.policy().max_deletes = nightly.1;
            let other = Policy { keep: weekly.0.parse().unwrap(), max_deletes: weekly.1, ..policy("weekly") };
            world.policy_set.policies.insert(name("weekly"), other);
            world.day_counts = BTreeMap::from([(name("nightly"), nightly.2), (name("weekly"), weekly.2)]);
            world.pauses = paused.into_iter().map(pause).collect();
            if !is_sound {
                world.clock = Clock::Unsound { why: "a year ahead".to_owned() };
            }
            case(world, specs)
        },
    )
}

fn case(mut world: World, specs: Vec<Spec>) -> Case {
    let mut usage = BTreeMap::new();
    let mut by_id = BTreeMap::new();
    for (n, spec) in (1..).zip(specs) {
        let image = build(n, &spec, world.now);
        let id = image.known.image.clone();
        usage.extend(spec.usage.clone().map(|usage| (id.clone(), usage)));
        if spec.is_open {
            world.open_jobs.insert(image.known.job);
        }
        if spec.is_released {
            world.released.images.insert(id.clone());
        }
        world.add(image);
        if spec.listed.is_none() {
            world.deregister(n);
        }
        by_id.insert(id, spec);
    }
    // The one that images map which somebody else made.
    world.listing.snapshots.remove(&snapshot_id(9_999));
    Case { world, usage, specs: by_id }
}

fn build(n: u32, spec: &Spec, now: Timestamp) -> Image {
    let mut image = image_of(n, spec.captured_at, &name(POLICIES[spec.policy]), &instance_id(spec.instance));
    let row = &mut image.known;
    (row.state, row.counts, row.grade, row.pinned) = (spec.state, spec.counts, spec.grade, spec.is_pinned);
    row.last_seen_at = now - spec.unseen_for;
    row.missing_since = Some(row.last_seen_at);
    let listed = &mut image.listed;
    listed.state = spec.listed.unwrap_or(ListedState::Available);
    if spec.is_pinned {
        listed.tags.insert(tags::PIN.to_owned(), String::new());
    }
    match spec.flaw {
        Flaw::None => {}
        Flaw::Owner => drop(listed.tags.insert(tags::OWNER.to_owned(), "other".to_owned())),
        Flaw::Job => drop(listed.tags.insert(tags::JOB.to_owned(), job_of_image(n + 1).to_string())),
        Flaw::Name => listed.name.push_str("-copy"),
        Flaw::Instance => listed.source_instance = Some(instance_id(9)),
        Flaw::ForeignSnapshot => listed.snapshots.push(snapshot_id(9_999)),
    }
    image
}

type SeriesOf = (usize, u32);

impl Case {
    fn plan(&self) -> PrunePlan {
        self.world.plan_with(Some(&self.usage))
    }

    /// The images of each series that count: those that rules are asked about.
    fn counting(&self) -> BTreeMap<SeriesOf, Vec<Candidate<ImageId>>> {
        let mut series: BTreeMap<SeriesOf, Vec<_>> = BTreeMap::new();
        for (id, spec) in &self.specs {
            let counts = spec.counts
                && spec.listed == Some(ListedState::Available)
                && spec.state != KnownState::Going
                && !spec.is_open
                && self.world.listing.images.contains_key(id);
            if counts {
                let candidate = Candidate { id: id.clone(), captured_at: spec.captured_at };
                series.entry((spec.policy, spec.instance)).or_default().push(candidate);
            }
        }
        series
    }

    /// What the rules alone keep, of policies that are configured.
    fn wanted(&self) -> BTreeSet<ImageId> {
        let mut wanted = BTreeSet::new();
        for ((policy, _), images) in self.counting() {
            let Some(policy) = self.world.policy_set.policies.get(&name(POLICIES[policy])) else { continue };
            let planned = plan_series(&images, &policy.keep, policy.schedule.timezone(), self.world.now);
            let kept = planned.into_iter().filter(|image| matches!(image.verdict, Verdict::Keep(_)));
            wanted.extend(kept.map(|image| image.id));
        }
        wanted
    }

    /// Takes images out of the listing, as an answer that breaks off in the middle does.
    fn without(mut self, lacks: impl Fn(u32) -> bool) -> Self {
        self.world.listing.images.retain(|id, _| !lacks(number(id)));
        self
    }

    fn has_future(&self) -> bool {
        self.specs.values().any(|spec| self.world.now < spec.captured_at)
    }
}

fn kept(plan: &PrunePlan) -> BTreeSet<ImageId> {
    let kept = plan.images.iter().filter(|image| matches!(image.verdict, Verdict::Keep(_)));
    kept.map(|image| image.known.image.clone()).collect()
}

fn targets(plan: &PrunePlan) -> BTreeSet<ImageId> {
    plan.targets().map(|(_, target)| target.image().clone()).collect()
}

fn lines(plan: &PrunePlan) -> BTreeSet<String> {
    plan.images.iter().map(|it| format!("{} {} {:?}", short(&it.known.image), verdict(it), it.target)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn whatever_stands_in_the_way_of_a_deletion_prevents_it(case in any_case()) {
        let plan = case.plan();
        for id in targets(&plan) {
            let spec = &case.specs[&id];
            prop_assert_eq!(&case.world.clock, &Clock::Sound);
            prop_assert!(spec.policy != 2, "the policy is gone");
            prop_assert!(!spec.is_pinned && !spec.is_open && spec.state != KnownState::Going, "{spec:?}");
            let paused = case.world.pauses.iter().any(|it| {
                it.scope.covers(&name(POLICIES[spec.policy]), Some(&instance_id(spec.instance)))
            });
            prop_assert!(!paused);
            if let Some(listed) = spec.listed {
                prop_assert!(matches!(listed, ListedState::Available | ListedState::Failed), "{spec:?}");
                prop_assert_eq!(&spec.usage, &Some(Usage::Unused));
                prop_assert_eq!(spec.flaw, Flaw::None);
            } else if spec.state != KnownState::Failed {
                prop_assert!(MISSING_KEPT_FOR <= spec.unseen_for);
            }
        }
    }

    #[test]
    fn the_newest_image_that_counts_never_goes(case in any_case()) {
        let gone = targets(&case.plan());
        for images in case.counting().values() {
            let newest = images.iter().map(|image| image.captured_at).max().unwrap();
            let is_left = |it: &&Candidate<ImageId>| it.captured_at == newest && !gone.contains(&it.id);
            prop_assert!(images.iter().any(|it| is_left(&it)));
            // Nor does anything in a series with an image from the future.
            if case.world.now + SignedDuration::from_hours(1) < newest {
                prop_assert!(images.iter().all(|it| !gone.contains(&it.id)));
            }
        }
    }

    /// Also of its failed ones: what goes has a newer image behind it that stays.
    #[test]
    fn what_goes_leaves_an_image_of_its_series_that_is_no_older_and_counts(case in any_case()) {
        let gone = targets(&case.plan());
        let counting = case.counting();
        for id in &gone {
            let spec = &case.specs[id];
            let images = &counting[&(spec.policy, spec.instance)];
            prop_assert!(images.iter().any(|it| spec.captured_at <= it.captured_at && !gone.contains(&it.id)));
        }
    }

    #[test]
    fn no_more_goes_in_a_day_than_max_deletes_but_for_what_was_released(case in any_case()) {
        let plan = case.plan();
        for policy in ["nightly", "weekly"].map(name) {
            let counts = case.world.day_counts[&policy];
            let configured = case.world.policy_set.policies[&policy].max_deletes;
            let max_deletes = configured.unwrap_or(20 + 2 * counts.succeeded);
            let is_counted = |it: &&PrunedImage| {
                it.known.policy == policy && it.target.is_some() && !case.world.released.images.contains(&it.known.image)
            };
            let n_gone = u32::try_from(plan.images.iter().filter(is_counted).count()).unwrap();
            prop_assert!(n_gone == 0 || counts.deleted + n_gone <= max_deletes);
            let is_told = plan.over_limit.iter().any(|(over, _)| *over == policy);
            let is_held = |it: &PrunedImage| it.known.policy == policy && it.verdict.held_by().contains(&Guard::MaxDeletes);
            prop_assert_eq!(is_told, plan.images.iter().any(is_held), "whoever holds back says so");
        }
    }

    #[test]
    fn an_image_has_a_proof_exactly_if_it_is_to_go_now(case in any_case()) {
        let plan = case.plan();
        prop_assert_eq!(plan.images.len(), case.world.known.len(), "every row has a verdict");
        for image in &plan.images {
            let goes = matches!(&image.verdict, Verdict::Delete(reason) if *reason != DeleteReason::UnderWay);
            prop_assert_eq!(image.target.is_some(), goes, "{}", verdict(image));
            let guards = image.verdict.held_by();
            let words: BTreeSet<&str> = guards.iter().map(Guard::as_str).collect();
            prop_assert_eq!(words.len(), guards.len(), "each guard is told once: {}", verdict(image));
        }
    }

    #[test]
    fn rules_decide_alone_and_guards_only_hold_back(case in any_case()) {
        prop_assert_eq!(kept(&case.plan()), case.wanted());
    }

    #[test]
    fn without_answers_about_their_use_no_image_of_ec2_goes(case in any_case()) {
        for id in targets(&case.world.plan_with(Some(&BTreeMap::new()))) {
            prop_assert!(!case.world.listing.images.contains_key(&id));
        }
    }

    /// After it nothing more goes, whatever was left behind: what rules keep of the rest is what they kept before.
    #[test]
    fn a_prune_that_was_carried_out_leaves_nothing_for_the_next(case in any_case()) {
        let plan = case.plan();
        let mut after = case.clone();
        after.world.carry_out(&plan);
        let next = after.plan();
        prop_assert!(targets(&next).is_empty(), "{:?}", lines(&next));
        prop_assert_eq!(kept(&next), kept(&plan));
        // What is left is what rules keep and what guards hold; nothing is left without a word.
        let silent = next.images.iter().find(|it| match &it.verdict {
            Verdict::Keep(reasons) => reasons.is_empty(),
            Verdict::Held(guards) => guards.is_empty(),
            Verdict::Delete(reason) => *reason != DeleteReason::UnderWay,
        });
        prop_assert!(silent.is_none(), "{silent:?}");
    }

    #[test]
    fn a_prune_that_was_carried_out_in_part_is_finished_by_the_next(case in any_case(), done in any::<[bool; 8]>()) {
        let mut case = case;
        // Limits are left out: a day that is half used up stops what a fresh one would let through.
        case.world.policy_set.policies.values_mut().for_each(|policy| policy.max_deletes = Some(10_000));
        let plan = case.plan();
        let mut partly = plan.clone();
        partly.images.retain(|it| done[number(&it.known.image) as usize % 8]);
        let mut after = case.clone();
        after.world.carry_out(&partly);
        let rest: BTreeSet<ImageId> = targets(&plan).difference(&targets(&partly)).cloned().collect();
        prop_assert_eq!(targets(&after.plan()), rest);
    }

    /// The order in which the ledger gives its rows changes nothing, and neither does asking again.
    #[test]
    fn the_order_of_rows_changes_nothing(case in any_case()) {
        let mut turned = case.clone();
        turned.world.known.reverse();
        prop_assert_eq!(lines(&turned.plan()), lines(&case.plan()));
    }

    /// A listing that lacks images keeps more of the others, never less: what a rule keeps with all of them, it keeps
    /// with fewer. (It could let go what an image from the future holds, if it is that image that it lacks. And what it
    /// lacks would be missing from EC2 for it; that is why only complete listings are planned with.)
    #[test]
    fn a_listing_that_lacks_images_deletes_none_that_a_rule_would_keep(case in any_case(), lacks in any::<[bool; 8]>()) {
        let lacks = |n: u32| lacks[n as usize % 8];
        let complete = kept(&case.plan());
        let broken = case.without(lacks).plan();
        let still_listed: BTreeSet<ImageId> = complete.into_iter().filter(|id| !lacks(number(id))).collect();
        prop_assert!(still_listed.is_subset(&kept(&broken)));
    }

    /// And those that it lacks are safe for a week.
    #[test]
    fn an_image_that_was_seen_this_week_does_not_go_for_being_missing(case in any_case(), lacks in any::<[bool; 8]>()) {
        let lacks = |n: u32| lacks[n as usize % 8];
        let mut case = case;
        let now = case.world.now;
        for row in &mut case.world.known {
            row.last_seen_at = row.last_seen_at.max(now - days(6));
            row.missing_since = Some(row.last_seen_at);
        }
        let gone = targets(&case.clone().without(lacks).plan());
        for id in gone.iter().filter(|id| lacks(number(id))) {
            prop_assert_eq!(case.specs[id].state, KnownState::Failed, "{}", short(id));
        }
    }

    /// A clock that is ahead, and believed, changes nothing about images that EC2 has.
    #[test]
    fn a_clock_that_is_ahead_lets_no_further_image_go(case in any_case(), ahead in 1..20_000_i64) {
        prop_assume!(!case.has_future());
        let listed = |plan: &PrunePlan| -> BTreeSet<ImageId> {
            targets(plan).into_iter().filter(|id| case.world.listing.images.contains_key(id)).collect()
        };
        let mut later = case.clone();
        // Pauses end by the clock, and what is missing is given up by it; both may use up a limit.
        later.world.pauses.clear();
        later.world.now += SignedDuration::from_hours(ahead);
        let mut today = case.clone();
        today.world.pauses.clear();
        for world in [&mut later.world, &mut today.world] {
            world.policy_set.policies.values_mut().for_each(|policy| policy.max_deletes = Some(10_000));
        }
        prop_assert_eq!(listed(&later.plan()), listed(&today.plan()));
    }

    /// One more guard, or one less row: a pin takes one image out of those that go and adds none.
    #[test]
    fn pinning_one_image_holds_it_and_lets_no_other_go_but_by_the_limit(case in any_case(), n in 1..50_u32) {
        prop_assume!(case.world.listing.images.contains_key(&image_id(n)));
        let mut case = case;
        case.world.policy_set.policies.values_mut().for_each(|policy| policy.max_deletes = Some(10_000));
        let mut pinned = case.clone();
        pinned.world.listed(n).tags.insert(tags::PIN.to_owned(), String::new());
        let mut expected = targets(&case.plan());
        expected.remove(&image_id(n));
        prop_assert_eq!(targets(&pinned.plan()), expected);
    }
}
