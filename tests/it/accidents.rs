//! Hundreds of real holds of XFS and ext4 at once, under writers at full speed, and in each something goes wrong at a moment
//! that nobody chose: the real binary, the simulated EC2 over HTTP, and copies of the disks when a snapshot's point in time
//! is fixed.
//!
//! After each, writes have flowed again within the budget, which the writers themselves tell; nothing is frozen, and no freeze
//! is on record. In the end every job has one image, no grade is better than what the copies of its snapshots hold, and no
//! snapshot is left without an image.
//!
//! `AMIKEEP_ACCIDENTS` says how many holds, `AMIKEEP_ACCIDENT_SEED` from which seed they are drawn, and `AMIKEEP_ACCIDENT`
//! runs the one with this number alone. When a strike falls, relative to what is struck, is the host's matter.

mod accident;
mod copies;
mod stage;
mod verdict;
mod writer;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::accidents::accident::{Accident, Plan};
use crate::accidents::stage::Stage;
use crate::kill::number;
use crate::simulated::counts::Counts;

/// How many, unless it is said.
const RUNS: u64 = 60;

/// The longest that writes may stall, as it is configured.
const BUDGET: Duration = Duration::from_secs(3);
/// What a machine that does other things too may add to a stall: freezing, thawing and starting processes take their time.
/// Without a thaw at the budget a call that hangs stalls writes for longer than both together.
const NOISE: Duration = Duration::from_secs(9);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_flow_again_within_the_budget_and_no_grade_is_better_than_its_copy_whatever_happens() {
    let Some(mut stage) = Stage::new().await else { return };
    let (runs, seed) = (number("AMIKEEP_ACCIDENTS").unwrap_or(RUNS), number("AMIKEEP_ACCIDENT_SEED").unwrap_or(1));
    let numbers = number("AMIKEEP_ACCIDENT").map_or(0..runs, |number| number..number + 1);
    eprintln!("{runs} holds are drawn from AMIKEEP_ACCIDENT_SEED={seed}");
    let mut counts = Counts::default();
    let mut longest = BTreeMap::<Accident, Duration>::new();
    for number in numbers {
        let plan = Plan::draw(seed, number);
        eprintln!("AMIKEEP_ACCIDENT_SEED={seed} AMIKEEP_ACCIDENT={number}: {plan:?}");
        let struck = stage.run(&plan).await;
        assert!(struck.gap < BUDGET + NOISE, "no write was acknowledged for {:?}", struck.gap);
        let of_kind = longest.entry(plan.accident).or_default();
        *of_kind = struck.gap.max(*of_kind);
        counts.add("holds", 1);
        counts.add(format!("holds: {}", plan.accident.name()), 1);
        if plan.accident.is_strike() {
            counts.add("strikes from outside", 1);
            counts.add("strikes from outside while a hold was on record", u64::from(struck.was_held));
        }
        stage.judge_ended(&mut counts).await;
    }
    stage.end(&mut counts).await;
    for (accident, longest) in longest {
        eprintln!("report: {}: the longest time without a write was {} ms", accident.name(), longest.as_millis());
    }
    eprint!("{counts}");
}
