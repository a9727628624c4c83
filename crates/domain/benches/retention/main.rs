//! Retention over a million images in a thousand series, rules and guards; and a whole prune of a region that is as full
//! as EC2 lets it be.
//!
//! `cargo xtask bench retention` runs it. A series is nearly three years of nightly images, a little off their nominal
//! times as captures are, in the zone of an office.

#[path = "../../../../benches/figure.rs"]
mod figure;
mod region;

use amikeep_domain::grade::Grade;
use amikeep_domain::retention::{Candidate, ImageFacts, Keep, Pin, Planned, Usage, Verdict, apply_guards, plan_series};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::figure::Stopwatch;

const SERIES: usize = 1_000;
const IMAGES: usize = 1_000;

/// The rules of the README, which most policies resemble, and the most that a policy can ask for.
const RULES: [(&str, &str); 2] = [
    ("last, daily, weekly, monthly", "last=3,daily=7,weekly=4,monthly=12"),
    (
        "all ten rules but one",
        "last=3,hourly=24,daily=30,weekly=52,monthly=36,yearly=-1,within=7d,within_daily=90d,within_weekly=365d",
    ),
];

fn main() {
    let now: Timestamp = "2026-11-22T03:30:00Z".parse().expect("a time");
    let timezone = TimeZone::get("Europe/Berlin").expect("a zone");
    let series: Vec<Vec<Candidate<String>>> = (0..SERIES).map(|n| nights(n, now)).collect();
    for (name, rules) in RULES {
        let keep: Keep = rules.parse().expect("rules");
        let stopwatch = Stopwatch::start();
        let mut n_gone = 0;
        for images in &series {
            let planned = plan_with_guards(images, &keep, &timezone, now);
            n_gone += planned.iter().filter(|image| matches!(image.verdict, Verdict::Delete(_))).count();
        }
        let took = stopwatch.elapsed();
        assert!(0 < n_gone && n_gone < SERIES * IMAGES, "rules that keep all or nothing measure nothing");
        figure::print_goal(&format!("a million images, {name}"), took.as_secs_f64(), "s", 1.0);
    }
    region::measure(now);
}

fn plan_with_guards(
    images: &[Candidate<String>],
    keep: &Keep,
    timezone: &TimeZone,
    now: Timestamp,
) -> Vec<Planned<String>> {
    let mut planned = plan_series(images, keep, timezone, now);
    apply_guards(&mut planned, |_| ImageFacts {
        pin: Pin::Unpinned,
        usage: Usage::Unused,
        grade: Some(Grade::Clean),
        grade_asked: Grade::Clean,
    });
    planned
}

/// Images of one instance, one a night, each minutes off its time by a pattern that has no period of days.
fn nights(series: usize, now: Timestamp) -> Vec<Candidate<String>> {
    let night = |n: usize| {
        let hours = i64::try_from(n * 24).expect("a few years of hours");
        let off = i64::try_from((n * 7_919 + series * 104_729) % 600).expect("less than ten minutes");
        Candidate {
            id: format!("ami-{:017x}", series * IMAGES + n),
            captured_at: now - SignedDuration::from_hours(hours) - SignedDuration::from_secs(off),
        }
    };
    (0..IMAGES).map(night).collect()
}
