//! Months of bad nights in process, where a night takes the least time: many seeds, and every fault that the world has.
//!
//! `AMIKEEP_SIM_SEED` and `AMIKEEP_SIM_SEEDS` say which seeds are tried, and `AMIKEEP_SIM_NIGHTS` how many nights each of them
//! has trouble. Where no seed is named, those that found something once are tried too.

use std::sync::Arc;

use amikeep_ec2_sim::{Action, Fault, FaultOutcome, World};
use jiff::Timestamp;

use crate::simulated::counts::Counts;
use crate::simulated::dice::Dice;
use crate::simulated::house::at;
use crate::simulated::nights::{Nights, fleet, house};
use crate::simulated::rules::Series;

/// Seeds that found something once, one a line, each with what it found.
const REGRESSIONS: &str = include_str!("simulation_seeds.txt");
/// The seeds of an ordinary run of the tests, beside those.
const FIRST_SEED: u64 = 1;
const SEEDS: u64 = 4;
/// How many are tried side by side. A night waits for real processes and the disk for most of its time.
const SIDE_BY_SIDE: usize = 4;
/// How many nights each of them has trouble: enough for both clock changes of its half of the year.
const NIGHTS: u64 = 17;
const READS: [Action; 5] = [
    Action::DescribeImages,
    Action::DescribeSnapshots,
    Action::DescribeInstances,
    Action::DescribeImageReferences,
    Action::GetCallerIdentity,
];
const WRITES: [Action; 6] = [
    Action::CreateImage,
    Action::CreateSnapshots,
    Action::RegisterImage,
    Action::DeregisterImage,
    Action::DeleteSnapshot,
    Action::CreateTags,
];

fn plan_faults(world: &World, _dice: &mut Dice) {
    let strike = |action, outcome, per_mille| world.plan_fault(Fault::on(action, outcome).per_mille(per_mille));
    for action in READS {
        strike(action, FaultOutcome::Throttle, 15);
        strike(action, FaultOutcome::CutInBody, 10);
        strike(action, FaultOutcome::Hang, 5);
        strike(action, FaultOutcome::internal_error(), 10);
    }
    for action in WRITES {
        strike(action, FaultOutcome::Throttle, 30);
        strike(action, FaultOutcome::LostReplyAfterEffect, 40);
        strike(action, FaultOutcome::LostBeforeEffect, 40);
        strike(action, FaultOutcome::internal_error_after_effect(), 20);
        strike(action, FaultOutcome::service_unavailable(), 20);
        strike(action, FaultOutcome::Garbage, 10);
        strike(action, FaultOutcome::Hang, 5);
    }
}

/// In autumn clocks go back in Berlin on 25 October and in New York on 1 November 2026; in spring they go forward in New
/// York on 14 March and in Berlin on 28 March 2027.
fn begins_at(seed: u64) -> Timestamp {
    at(if seed.is_multiple_of(2) { "2026-10-22T00:00:00Z" } else { "2027-03-12T00:00:00Z" })
}

async fn simulate(seed: u64, troubled: u64) -> Counts {
    let house = house(fleet(seed, begins_at(seed)));
    let cloud = Arc::new(house.0.cloud());
    let mut nights = Nights::new(seed, house, cloud, plan_faults);
    nights.run(i64::try_from(troubled).unwrap(), Series::kept).await;
    nights.counts
}

#[expect(clippy::disallowed_methods, reason = "a longer run is asked for by the environment")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn regressions() -> impl Iterator<Item = u64> {
    let seed = |line: &str| line.split_whitespace().next().map(|seed| seed.parse().unwrap());
    REGRESSIONS.lines().filter(|line| !line.starts_with('#')).filter_map(seed)
}

/// Lives through a seed on a runtime of its own, and says what it went through.
fn try_seed(seed: u64, troubled: u64) -> Counts {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(simulate(seed, troubled))
}

#[test]
fn what_is_left_after_months_of_bad_nights_is_what_the_rules_say() {
    let named = number("AMIKEEP_SIM_SEED");
    let first = named.unwrap_or(FIRST_SEED);
    let seeds = first..first + number("AMIKEEP_SIM_SEEDS").unwrap_or(SEEDS);
    let troubled = number("AMIKEEP_SIM_NIGHTS").unwrap_or(NIGHTS);
    let seeds: Vec<u64> = regressions().filter(|_| named.is_none()).chain(seeds).collect();
    for seeds in seeds.chunks(SIDE_BY_SIDE) {
        std::thread::scope(|scope| {
            let tries = seeds.iter().map(|seed| (*seed, scope.spawn(|| try_seed(*seed, troubled))));
            for (seed, tried) in tries.collect::<Vec<_>>() {
                let counts = tried.join().unwrap();
                assert!(troubled < NIGHTS || had_trouble(&counts), "seed {seed} was too quiet: {counts}");
            }
        });
    }
}

fn had_trouble(counts: &Counts) -> bool {
    let (lives, deaths) = (counts.get("lives"), counts.get("deaths"));
    let (proved, in_holds) = (counts.get("holds: proved"), counts.get("holds: deaths in one"));
    20 < lives && 5 < deaths && 20 < counts.faults() && 5 < proved && 0 < in_holds
}
